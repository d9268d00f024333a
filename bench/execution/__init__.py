"""Run directories, their states, and the one function that fills them."""
