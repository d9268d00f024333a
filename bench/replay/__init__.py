"""Runs done again from their records, and compared."""
