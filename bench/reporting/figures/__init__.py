"""Figures for a paper, one a file: drawn from the record and small arrays, never from a model."""
