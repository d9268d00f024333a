"""Where runs are done: one executor a file, all with the same three methods."""
