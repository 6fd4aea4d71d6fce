"""The command line. Each command is a file that fetches; how a thing looks stands in a file of its own.

    app.py       which commands there are; the one place where an error becomes a sentence
    options.py   options that commands share, and how their text is read
    checks.py    what doctor looks at
    pages/       from values (message, report, quote) to pages
    page.py      what a page is made of; plain.py, styled.py and html.py set it, lines.py and styled_lines.py one entry
    output.py    pages and JSON to standard output
    files.py     files that are written whole or not at all

On a terminal a page is set with rich; into a pipe it goes as plain text with every value whole.
"""
