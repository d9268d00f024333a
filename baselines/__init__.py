"""The methods that the proposed model is compared with, one a file."""
