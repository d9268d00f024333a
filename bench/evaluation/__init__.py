"""Measuring a trained model or images from anywhere; control rows; pictures of codes."""
