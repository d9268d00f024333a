"""What a sweep may say: settings, run configurations, sweep files, components, preferences."""
