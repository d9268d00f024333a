"""What stands under a table."""
