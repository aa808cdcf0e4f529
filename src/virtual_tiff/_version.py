"""The version, in the one place where it is kept."""

__version__ = "1.0.0.dev0"
