"""Sources as a table of images, one row each."""
