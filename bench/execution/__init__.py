"""Sweeps done: tasks, executors, and what fills the folder of a run."""
