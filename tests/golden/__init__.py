"""Stored numbers: the terms of the first iterations of every model."""
