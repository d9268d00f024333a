"""What runs leave on disk, written and read: folders and their state, rows, locks, progress."""
