"""From the record to tables, figures and pages. Nothing here imports torch."""
