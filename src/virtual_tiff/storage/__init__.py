"""Addresses of files, and the object stores that serve them."""
