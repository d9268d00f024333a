"""The record (JSON rows) and its mirrors (CSV, console, MLflow)."""
