"""A report as one HTML file that needs no network.

Each module turns a part of the record into plain data, which the scripts of `template/` draw.
"""
