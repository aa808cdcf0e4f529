"""Packages that do not install beside ours, each in an environment of its own in the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment.

    Parameters
    ----------
    name
        How reports call the package.
    folder
        Name of its folder in the cache.
    requirements
        What is installed.
    script
        What runs in it: takes a task as JSON and prints its result as JSON.
    """

    name: str
    folder: str
    requirements: tuple[str, ...]
    script: Path

    @property
    def not_installed(self) -> str:
        """What a table says in place of figures."""
        return f"{self.name}: not installed here"

    def find(self, cache: Path) -> Path | None:
        """Python of the environment, if it was made."""
        python = cache / self.folder / "bin" / "python"
        return python.absolute() if python.exists() else None

    def create(self, cache: Path) -> Path:
        """Make it with uv, or with venv and pip where there is no uv.

        Raises
        ------
        RuntimeError
            If the packages cannot be installed.
        """
        folder = cache / self.folder
        python = folder.absolute() / "bin" / "python"
        if uv := shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".uv" / "bin")):
            commands = [
                [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
                [uv, "pip", "install", "--quiet", "--python", str(python), *self.requirements],
            ]
        else:
            commands = [
                [sys.executable, "-m", "venv", "--clear", str(folder)],
                [str(python), "-m", "pip", "install", "--quiet", *self.requirements],
            ]
        for command in commands:
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                raise RuntimeError(f"{self.name} cannot be installed: {done.stderr[-500:]}")
        return python

    def run(self, python: Path, task: Mapping[str, object]) -> dict[str, Any]:
        """Run the script in a new process.

        Raises
        ------
        RuntimeError
            If it fails.
        """
        # -I keeps this folder and PYTHONPATH, and with them our package, off the peer's path.
        done = subprocess.run(
            [str(python), "-I", str(self.script)],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
