"""Sweeps as files: export, import, publication."""
