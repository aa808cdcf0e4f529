"""Peak memory of one piece of work, in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks._measure import Sample

MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one run in a process of its own, in bytes of resident memory.

    `rise` is the peak during the run less what the process held before it, all imports done;
    `peak` is everything.
    """

    rise: int
    peak: int


def memory_of(
    module: str, work: str, arguments: Sequence[str], *, warm_up: Sequence[str]
) -> tuple[Memory, Sample]:
    """Run one piece of work in a fresh process.

    Parameters
    ----------
    module
        Module of this package with a dictionary `WORK` of functions; each takes arguments and
        returns the work to measure.
    work
        Key of `WORK`.
    arguments
        For the work that is measured.
    warm_up
        Arguments for doing the same on something small first, so that imports and thread pools
        do not count.

    Raises
    ------
    RuntimeError
        If the process fails.
    """
    task = json.dumps([module, work, arguments, warm_up])
    command = [sys.executable, "-m", "benchmarks._memory", task]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {work} ended with status {done.returncode}")
    numbers = json.loads(done.stdout.splitlines()[-1])
    sample = Sample(numbers["wall"], numbers["cpu"])
    return Memory(numbers["rise"], numbers["peak"]), sample


def _resident(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def _probe(module: str, work: str, arguments: list[str], warm_up: list[str]) -> None:
    """Measure in this process, and print JSON.

    Not getrusage: its ru_maxrss is inherited through fork and exec, so a big parent hides a
    small child. VmHWM belongs to this program alone and can be reset (proc(5), clear_refs).
    """
    prepare: Callable[..., Callable[[], object]]
    prepare = import_module(f"benchmarks.{module}").WORK[work]
    prepare(*warm_up)()
    run = prepare(*arguments)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    result = run()
    numbers = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "rise": _resident("VmHWM") - before,
        "peak": _resident("VmHWM"),
    }
    del result
    print(json.dumps(numbers))


if __name__ == "__main__":
    _probe(*json.loads(sys.argv[1]))
    # Peers that do not wait for obstore's threads crash at exit now and then, after their work.
    sys.stdout.flush()
    os._exit(0)
