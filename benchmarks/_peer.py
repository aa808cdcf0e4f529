"""The existing package of the same name on PyPI, in an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks._measure import Sample

NAME = "virtual-tiff 0.5.0"
NOT_INSTALLED = f"{NAME}: not installed, see --with-peer-venv"

_REQUIREMENTS = ("virtual-tiff==0.5.0", "obstore")
_SCRIPT = Path(__file__).with_name("_peer_script.py")


def find(cache: Path) -> Path | None:
    """Python of the environment, if it was made."""
    python = cache / "peer-venv" / "bin" / "python"
    return python.absolute() if python.exists() else None


def create(cache: Path) -> Path:
    """Make the environment with uv, or with venv and pip where there is no uv.

    Raises
    ------
    RuntimeError
        If the packages cannot be installed.
    """
    folder = cache / "peer-venv"
    python = folder.absolute() / "bin" / "python"
    if uv := shutil.which("uv"):
        commands = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *_REQUIREMENTS],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", *_REQUIREMENTS],
        ]
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"failed: {' '.join(command)}")
    return python


def parse(python: Path, urls: list[str], *, threads: int) -> Sample:
    """Parse files with the peer: its seconds, without those to start Python and to import it.

    The first file is parsed once more, unmeasured, to warm up.

    Raises
    ------
    RuntimeError
        If the peer fails.
    """
    # -I keeps this folder and PYTHONPATH, and with them our package, off the peer's path.
    done = subprocess.run(
        [str(python), "-I", str(_SCRIPT)],
        input=json.dumps({"urls": urls, "threads": threads}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{NAME}: {done.stderr[-2000:]}")
    return Sample(**json.loads(done.stdout))
