"""Made records, and the tables that they make."""
