"""What the runner hands to every benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to measure, and with what.

    Parameters
    ----------
    rounds
        Rounds that count.
    quick
        Use less data where that does not change what is compared.
    cache
        Folder of the data.
    peer
        Python of the environment in which the existing `virtual-tiff` from PyPI is installed;
        `None` where there is none.
    """

    rounds: int
    quick: bool
    cache: Path
    peer: Path | None
