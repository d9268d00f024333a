"""Metrics: each is a name, a protocol and one function of a sample set."""
