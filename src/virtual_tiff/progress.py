"""The callback with which long operations report their progress."""

from __future__ import annotations

from typing import Literal, Protocol

#: What is in progress: listing sources, reading headers, writing references, committing, or
#: checking files.
type Stage = Literal["list", "read", "write", "commit", "check"]


class Progress(Protocol):
    """A callable that receives progress reports."""

    def __call__(self, stage: Stage, done: int, total: int, failed: int, /) -> None:
        """Report progress.

        Parameters
        ----------
        stage
            What is in progress.
        done, total
            Completed items of this stage, failures included, and their total number.
        failed
            Items that failed.
        """


def no_progress(stage: Stage, done: int, total: int, failed: int, /) -> None:
    """Report nothing."""
