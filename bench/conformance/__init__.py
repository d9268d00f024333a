"""The conformance suite behind `bench check`."""
