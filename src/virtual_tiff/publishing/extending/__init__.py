"""Extend cubes: check that images fit, make room for them, move what is there."""
