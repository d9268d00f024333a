"""Sweeps as users write them: settings, run configurations, components, preferences."""
