"""Mirrors of the record: CSV files, MLflow, TensorBoard and W&B."""
