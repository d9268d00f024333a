"""The game interface and the only training loop."""
