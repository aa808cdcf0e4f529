"""Names of groups, arrays and dimensions that a repository may hold."""

from __future__ import annotations

#: Group of a repository that is this package's own: neither a file nor a variable takes its name.
RESERVED = "_virtual_tiff"
