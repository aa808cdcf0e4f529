"""Describe TIFFs: each image, its encoding, and the clients that can read it."""
