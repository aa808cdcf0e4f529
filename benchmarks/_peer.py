"""The existing package of the same name on PyPI, in an environment of its own."""

from __future__ import annotations

from pathlib import Path

from benchmarks._environment import Environment
from benchmarks._measure import Sample

NAME = "virtual-tiff 0.5.0"
ENVIRONMENT = Environment(
    NAME,
    "peer-venv",
    ("virtual-tiff==0.5.0", "obstore"),
    Path(__file__).with_name("_peer_script.py"),
)
NOT_INSTALLED = ENVIRONMENT.not_installed


def parse(python: Path, urls: list[str], *, threads: int) -> Sample:
    """Parse files with the peer: its seconds, without those to start Python and to import it.

    The first file is parsed once more, unmeasured, to warm up.

    Raises
    ------
    RuntimeError
        If the peer fails.
    """
    return Sample(**ENVIRONMENT.run(python, {"urls": urls, "threads": threads}))
