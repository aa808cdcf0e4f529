"""Import the package, each time in a new process."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks._measure import Contender, Sample, interleave
from benchmarks._memory import ROOT
from benchmarks._options import Options
from benchmarks._report import Result, rows

BASELINE = "numpy"
OURS = "virtual_tiff"
QUICK = "fewer rounds"
HEAVY = ("async_tiff", "icechunk", "xarray")

_SCRIPT = """
import json, sys, time
cpu, wall = time.process_time(), time.perf_counter()
__import__(sys.argv[1])
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([wall, cpu, list(sys.modules)]))
"""


def run(options: Options) -> Result:
    """Compare; raises `AssertionError` if the import loads what it must not."""
    names = [BASELINE, OURS, "async_tiff", "tifffile", "rasterio", "xarray", "virtualizarr"]
    names = names[: options.pick(None, None, 3)]
    contenders = [Contender(name, partial(_import, name)) for name in names]
    timings = interleave(
        contenders, options.rounds, report=options.report, warm_up=options.effort != "tiny"
    )
    return Result(
        name=Path(__file__).stem,
        title="Import, in a new process",
        baseline=BASELINE,
        rows=rows(timings, BASELINE),
        notes=[f"virtual_tiff loads none of {', '.join(HEAVY)}."],
    )


def _import(name: str) -> Sample:
    command = [sys.executable, "-c", _SCRIPT, name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    wall, cpu, modules = json.loads(done.stdout)
    if name == OURS and (loaded := set(HEAVY).intersection(modules)):
        raise AssertionError(f"import {name} loads {loaded}")
    return Sample(wall, cpu)
