"""The command line. Each command is a file that fetches; how a thing looks stands in a file of its own.

    app.py       which commands there are; the one place where an error becomes a sentence
    options.py   options that commands share, and how their text is read
    output.py    pages and JSON to standard output; page.py what a page is made of, plain.py and styled.py how it is set
    pages/       from values (message, report, quote, entry) to pages

On a terminal a page is set with rich; into a pipe it goes as plain text with every value whole.
"""
