"""Data sets: decoded once, checked, fingerprinted, kept on the device as uint8."""
