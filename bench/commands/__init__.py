"""Commands that are too long for `bench/cli.py`, and the options that commands share."""
