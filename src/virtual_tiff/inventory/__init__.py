"""Scan sources into an inventory, a table with a row for each image."""
