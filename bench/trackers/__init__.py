"""Mirrors of the record: CSV files and MLflow."""
