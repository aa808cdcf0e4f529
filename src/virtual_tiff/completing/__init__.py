"""Chunks that cannot be referenced as they are: padded, or copied."""
