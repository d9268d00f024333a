"""The notes under a table."""
