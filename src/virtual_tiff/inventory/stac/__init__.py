"""STAC: Items as sources, and what they say about the values of their TIFFs."""
