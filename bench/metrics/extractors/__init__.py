"""The networks that judge images: classifiers, Inception, LPIPS, a user's own."""
