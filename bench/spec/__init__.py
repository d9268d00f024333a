"""What a sweep may say: schema, run configuration, sweep files, components, preferences."""
