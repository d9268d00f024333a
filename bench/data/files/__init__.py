"""Image sets in files: trees and tables of images, their arrays, one crop and resize."""
