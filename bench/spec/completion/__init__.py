"""Settings that need more than a schema to be checked and filled in."""
