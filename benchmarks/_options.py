"""What the runner hands to every benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

type Effort = Literal["full", "quick", "tiny"]


def silent(_: str) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to measure, and with what.

    Parameters
    ----------
    rounds
        Rounds that count, at most; expensive benchmarks take fewer.
    effort
        How much data: `full`, `quick` for a first look, `tiny` for tests that only want to see
        the code run.
    cache
        Folder of the data.
    peer
        Python of the environment in which the existing `virtual-tiff` from PyPI is installed;
        `None` where there is none.
    rasteret
        The same for Rasteret.
    report
        Called with what is being done now, in a few words.
    """

    rounds: int
    cache: Path
    effort: Effort = "full"
    peer: Path | None = None
    rasteret: Path | None = None
    report: Callable[[str], None] = silent

    def pick[T](self, full: T, quick: T, tiny: T) -> T:
        """Choose by effort."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.effort]
