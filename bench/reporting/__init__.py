"""From rows to tables and pictures. Nothing here imports torch."""
