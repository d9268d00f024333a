"""A report as one HTML file that needs no network: tables, seeds, pictures, curves and runs.

Each file beside this one turns a part of the record into plain data, `document.py` puts that data
into the hand-written files of `template/`, and their scripts draw it.
"""
