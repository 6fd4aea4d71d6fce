"""What a person is shown of a message: its steps, their working and their money, and the page made of them."""
