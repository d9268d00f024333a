"""Metrics that compare features of samples with features of real images."""
