"""From values to pages: what is said about a quote, a message, a report. How it is set is not decided here."""
