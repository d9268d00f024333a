"""A table in the forms that people read or load."""
