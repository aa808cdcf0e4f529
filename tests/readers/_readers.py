"""The readers of the table: how each is started, and what came of every case.

A reader is a process of its own in which this package cannot be imported. It is asked for a list
of arrays and answers line by line; where it dies or hangs, the array it was at has its outcome,
and a new process goes on behind it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio

from tests.helpers.make import Pixels, same_bits
from tests.readers._bare import bare_environment, python
from tests.readers._published import ARRAY, Published

_HERE = Path(__file__).resolve().parent
JAVASCRIPT = _HERE.parent / "javascript"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
_SECONDS = 240

type Window = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reader made of one array.

    Parameters
    ----------
    verdict
        `exact`: the same bits, shape and data type, whole and in a window. `within N`: samples of
        a lossy stream differ by at most N. `refused`: an error. `wrong`: other pixels, without a
        word. `crashed`: the process ended. `hung`: it did not.
    detail
        The error, or what differs.
    """

    verdict: str
    detail: str = ""


class Reader(Protocol):
    """A column of the table."""

    @property
    def title(self) -> str:
        """Head of the column."""

    @property
    def versions(self) -> str:
        """What was tried."""

    def command(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Command and environment variables; may make files in a folder."""

    def task(self, published: Published) -> dict[str, Any]:
        """What the process is told, besides the names."""

    def load(self, folder: Path, name: str, answer: dict[str, Any]) -> Pixels:
        """Pixels that the process has saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonReader:
    """A script in a bare environment.

    Parameters
    ----------
    distributions
        What is installed, besides what it requires.
    script
        Name of the file.
    options
        Further entries of the task.
    """

    title: str
    distributions: tuple[str, ...]
    script: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def versions(self) -> str:
        """Versions of the distributions, and of GDAL where it is in one."""
        found = [f"{name} {version(name)}" for name in self.distributions]
        if "rasterio" in self.distributions:
            found.append(f"GDAL {rasterio.__gdal_version__}")
        return ", ".join(found)

    def command(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Make the environment, and return the command."""
        start, variables = python(bare_environment(folder / "site", self.distributions))
        return [*start, str(_HERE / self.script)], variables

    def task(self, published: Published) -> dict[str, Any]:
        """Both places; the script knows which it can read."""
        return {
            "repository": str(published.repository),
            "prefix": published.prefix,
            "copy": str(published.copy),
            **dict(self.options),
        }

    def load(self, folder: Path, name: str, answer: dict[str, Any]) -> Pixels:
        """Load the .npy file."""
        data: Pixels = np.load(folder / f"{name}.npy")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaScriptReader:
    """zarrita.js on Icechunk's WebAssembly build, over HTTP.

    Parameters
    ----------
    codecs
        Whether it has zarrita-tiff-codecs.
    browser
        Whether it runs in headless Chromium instead of Node.
    """

    title: str
    codecs: bool
    browser: bool = False

    @property
    def versions(self) -> str:
        """Versions of the packages that npm has installed, and of the JavaScript engine."""
        own = ["zarrita-tiff-codecs"] if self.codecs else []
        found = [
            f"{name} {_npm_version(name)}" for name in ("zarrita", "@earthmover/icechunk", *own)
        ]
        command, name = (CHROMIUM, "Chromium") if self.browser else ("node", "Node")
        done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
        major = re.findall(r"\d+", done.stdout)[0]
        return ", ".join([*found, f"{name} {major}"])

    def command(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Ask for the WebAssembly build, also where the native one would load."""
        variables = os.environ | {"NAPI_RS_FORCE_WASI": "error", "CHROMIUM": CHROMIUM}
        script = "read_chromium.mjs" if self.browser else "read.mjs"
        return ["node", str(JAVASCRIPT / script)], variables

    def task(self, published: Published) -> dict[str, Any]:
        """Return URLs: nothing is read from the disk."""
        return {
            "repository": published.repository_url,
            "prefix": published.prefix,
            "codecs": self.codecs,
        }

    def load(self, folder: Path, name: str, answer: dict[str, Any]) -> Pixels:
        """Load the bytes of the typed array, which are in the byte order of the machine."""
        whole = not name.endswith(".window")
        data: Pixels = np.fromfile(folder / f"{name}.bin", answer["dtype"])
        return data.reshape(answer["shape" if whole else "windowShape"])


def _npm_version(name: str) -> str:
    path = JAVASCRIPT / "node_modules" / name / "package.json"
    found: str = json.loads(path.read_bytes())["version"]
    return found


PYTHON_READERS: dict[str, PythonReader] = {
    "zarr": PythonReader(
        title="zarr-python",
        distributions=("zarr", "icechunk"),
        script="_read_zarr.py",
        options=(("copy", None),),
    ),
    "zarr+imagecodecs": PythonReader(
        title="zarr-python + imagecodecs-zarr",
        distributions=("zarr", "icechunk", "imagecodecs-zarr", "imagecodecs"),
        script="_read_zarr.py",
        options=(("copy", None),),
    ),
    "zarrs": PythonReader(
        title="zarrs",
        distributions=("zarrs", "zarr"),
        script="_read_zarr.py",
        options=(("pipeline", "zarrs.ZarrsCodecPipeline"), ("strict", True)),
    ),
    "zarrs+imagecodecs": PythonReader(
        title="zarrs + imagecodecs-zarr",
        distributions=("zarrs", "zarr", "imagecodecs-zarr", "imagecodecs"),
        script="_read_zarr.py",
        options=(("pipeline", "zarrs.ZarrsCodecPipeline"), ("strict", False)),
    ),
    "gdal": PythonReader(
        title="GDAL",
        distributions=("rasterio",),
        script="_read_gdal.py",
    ),
    "tensorstore": PythonReader(
        title="tensorstore",
        distributions=("tensorstore",),
        script="_read_tensorstore.py",
    ),
}
JAVASCRIPT_READERS: dict[str, JavaScriptReader] = {
    "zarrita": JavaScriptReader(title="zarrita.js", codecs=False),
    "zarrita+codecs": JavaScriptReader(title="zarrita.js + zarrita-tiff-codecs", codecs=True),
    "chromium": JavaScriptReader(title="the same in Chromium", codecs=True, browser=True),
}
#: Columns, in order.
READERS: dict[str, Reader] = {**PYTHON_READERS, **JAVASCRIPT_READERS}


def window_of(shape: Sequence[int]) -> Window:
    """Bounds of a part of an array that begins and ends inside of chunks, in every dimension."""
    return tuple((size // 5, max(size // 5 + 1, size - size // 4)) for size in shape)


def read_all(reader: Reader, published: Published, folder: Path) -> dict[str, Outcome]:
    """Let a reader read every case."""
    folder.mkdir(parents=True)
    command, variables = reader.command(folder)
    results = folder / "results"
    results.mkdir()
    windows = {name: window_of(data.shape) for name, data in published.expected.items()}
    task = reader.task(published) | {"array": ARRAY, "to": str(results), "windows": windows}
    outcomes: dict[str, Outcome] = {}
    waiting = list(published.expected)
    while waiting:
        answers, end = _run(command, variables, task | {"names": waiting}, folder)
        if not answers and not outcomes:
            raise RuntimeError(f"{reader.title} does not start: {end.detail}")
        for name, answer in zip(waiting, answers, strict=False):
            if "error" in answer:
                outcomes[name] = Outcome("refused", _one_line(answer["error"]))
                continue
            expected, window = published.expected[name], windows[name]
            outcomes[name] = worst(
                _compare(part, reader.load(results, f"{name}{suffix}", answer), lossy)
                for part, suffix in ((expected, ""), (expected[_slices(window)], ".window"))
                for lossy in [published.cases[name].lossy]
            )
        waiting = waiting[len(answers) :]
        if waiting:
            outcomes[waiting.pop(0)] = end
    return outcomes


def _run(
    command: list[str], variables: dict[str, str], task: dict[str, Any], folder: Path
) -> tuple[list[dict[str, Any]], Outcome]:
    """Return the answers that came, and what to say of the case after them."""
    try:
        done = subprocess.run(
            command,
            input=json.dumps(task),
            capture_output=True,
            text=True,
            env=variables,
            cwd=folder,
            timeout=_SECONDS,
            check=False,
        )
        output, end = done.stdout, Outcome("crashed", _one_line(done.stderr[-500:]))
    except subprocess.TimeoutExpired as error:
        partial = error.stdout or b""
        output = partial.decode() if isinstance(partial, bytes) else partial
        end = Outcome("hung", f"no end after {_SECONDS} s")
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")], end


def _slices(window: Window) -> tuple[slice, ...]:
    return tuple(slice(*bounds) for bounds in window)


#: Levels by which decoders of one lossy stream may differ: in how they round, and in how they
#: enlarge chroma that is stored at half the resolution. More is wrong.
TOLERANCE = 24


def _compare(expected: Pixels, found: Pixels, lossy: bool) -> Outcome:
    if same_bits(expected, found):
        return Outcome("exact")
    if found.shape != expected.shape:
        return Outcome("wrong", f"shape {found.shape} instead of {expected.shape}")
    if found.dtype != expected.dtype:
        return Outcome("wrong", f"{found.dtype} instead of {expected.dtype}")
    if not lossy:
        others = np.frombuffer(expected.tobytes(), "u1") != np.frombuffer(found.tobytes(), "u1")
        share = others.reshape(expected.size, -1).any(axis=1).mean()
        return Outcome("wrong", f"{share:.0%} of the samples differ")
    largest = int(np.abs(expected.astype("int64") - found.astype("int64")).max())
    if largest > TOLERANCE:
        return Outcome("wrong", f"samples differ by up to {largest}")
    return Outcome(f"within {largest}")


def badness(verdict: str) -> tuple[int, int]:
    """Order of verdicts, from `exact` to `wrong`."""
    kind, _, number = verdict.partition(" ")
    order = ("exact", "within", "refused", "crashed", "hung", "wrong")
    return order.index(kind), int(number or 0)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The one that a user has to know of."""
    return max(outcomes, key=lambda outcome: badness(outcome.verdict))


def _one_line(text: str, most: int = 240) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"
