"""What figures, pages and pictures of samples are drawn with: the style, panels, points, labels."""
