"""Timings of trainings and metrics on this machine."""
