"""What runs leave on disk: folders and their state, entries, locks, progress, provenance."""
