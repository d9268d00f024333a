"""Choosing settings: what may vary, and studies that vary it; only here is optuna imported."""
