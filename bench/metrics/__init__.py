"""Metrics: each is a name, a protocol and a function of a sample set, or of the model's codes."""
