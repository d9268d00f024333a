"""Networks that see images for metrics: classifiers, Inception, LPIPS, and a user's own."""
