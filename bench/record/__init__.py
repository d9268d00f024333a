"""Records of runs on disk: folders and their state, entries, locks, progress, provenance."""
