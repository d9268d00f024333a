"""A benchmark and ablation harness for conditional image generators."""

__version__ = "0.1.0"
