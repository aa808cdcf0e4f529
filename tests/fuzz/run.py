"""Run many checks in processes of their own, which may hang, die, or eat memory.

A worker takes a batch of cases. It says in shared memory which case it is at, so that the process
that started it knows whom to blame when it dies, or when it has to be ended.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import mmap
import os
import resource
import select
import signal
import struct
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.check import PARSERS, Checker, Finding
from tests.fuzz.pixels import compare

#: Seconds of the processor that one case may take, and seconds on the clock of a busy machine.
TIME_LIMIT = 5.0
CLOCK_LIMIT = 60.0
#: Bytes of address space that a worker may add to what it starts with. Threads reserve tens of
#: megabytes each without using them.
SPACE_LIMIT = 3 * 2**30
#: Bytes of memory that one case may really take: less than the 300 MB that bombs may, since here
#: the interpreter with its libraries does not count.
MEMORY_LIMIT = 256 * 2**20
BATCH = 400

_STATE = struct.Struct("q")


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, and the case that led to it."""

    number: int
    signature: str
    detail: str


@dataclass(slots=True)
class Report:
    """What came of all cases: `parsed` or the kind of an error by case, and the findings."""

    outcomes: dict[int, str] = field(default_factory=dict)
    findings: list[Found] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many were run."""
        return len(self.outcomes) + len(self.findings)


def run(load: Callable[[int], bytes], numbers: range, *, jobs: int = 1) -> Report:
    """Check every case.

    Parameters
    ----------
    load
        Makes the bytes of a case; called in the worker.
    numbers
        The cases. The parser depends on the number; see `PARSERS`.
    jobs
        Workers at once.
    """
    # Before the forks: imports count for no case, and happen once. None of them starts a thread.
    for module in (
        "async_tiff",
        "tifffile",
        "virtual_tiff.manifest",
        "virtual_tiff.completing.segments",
    ):
        importlib.import_module(module)
    report = Report()
    started = time.monotonic()
    todo = [numbers[i : i + BATCH] for i in range(0, len(numbers), BATCH)][::-1]
    live: list[_Worker] = []
    try:
        while todo or live:
            while todo and len(live) < jobs:
                live.append(_Worker(load, todo.pop()))
            select.select([worker.pipe for worker in live], [], [], 0.2)
            for worker in list(live):
                rest = worker.poll(report)
                if rest is not None:
                    live.remove(worker)
                    if len(rest):
                        todo.append(rest)
    finally:
        for worker in live:
            worker.end()
    report.seconds = time.monotonic() - started
    return report


class _Worker:
    """One forked process."""

    def __init__(self, load: Callable[[int], bytes], numbers: range) -> None:
        self.numbers = numbers
        self._done = 0
        self._state = mmap.mmap(-1, _STATE.size)
        self._text = b""
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        _STATE.pack_into(self._state, 0, numbers[0])
        self.pipe, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            status = 1
            try:
                os.close(self.pipe)
                _work(load, numbers, write, self._state, self._printed.fileno())
                status = 0
            except BaseException:
                os.write(self._printed.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(status)
        os.close(write)
        os.set_blocking(self.pipe, False)
        self._last, self._since, self._spent = numbers[0], time.monotonic(), self._processor()

    def poll(self, report: Report) -> range | None:
        """Take in what has come; return the cases that are left once the process has ended."""
        self._drain(report)
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        # The number may be half written while the process runs: then this only starts anew.
        (number,) = _STATE.unpack_from(self._state, 0)
        if number != self._last:
            self._last, self._since, self._spent = number, time.monotonic(), self._processor()
        waited = time.monotonic() - self._since
        if not ended and waited <= CLOCK_LIMIT and self._processor() - self._spent <= TIME_LIMIT:
            return None
        reason = f"death by {_reason(status)}"
        if not ended:
            reason = "hang"
            os.kill(self._pid, signal.SIGUSR1)  # faulthandler says where it is
            time.sleep(0.5)
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._drain(report)
        os.close(self.pipe)
        detail = _read(self._printed.fileno())
        self._printed.close()
        if self._done == len(self.numbers):
            return self.numbers[:0]
        report.findings.append(Found(number, reason, detail))
        return self.numbers[self.numbers.index(number) + 1 :]

    def end(self) -> None:
        """End the process, whatever it is at."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self.pipe)
        self._printed.close()

    def _processor(self) -> float:
        """Return the seconds of the processor that the process has used."""
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended, or there is no /proc
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _drain(self, report: Report) -> None:
        try:
            while part := os.read(self.pipe, 1 << 16):
                self._text += part
        except BlockingIOError:
            pass
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            number, outcome, detail = json.loads(line)
            self._done += 1
            if detail is None:
                report.outcomes[number] = outcome
            else:
                report.findings.append(Found(number, outcome, detail))


def _reason(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.WEXITSTATUS(status)}"


def _work(
    load: Callable[[int], bytes], numbers: range, pipe: int, state: mmap.mmap, printed: int
) -> None:
    os.environ |= {"RUST_BACKTRACE": "0", "CPL_LOG": os.devnull, "GDAL_NUM_THREADS": "1"}
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    faulthandler.enable(printed)
    faulthandler.register(signal.SIGUSR1, printed)
    _limit_memory()
    checker = Checker()
    for number in numbers:
        _STATE.pack_into(state, 0, number)
        line = json.dumps([number, *_judge(checker, number, load(number), printed)])
        os.write(pipe, line.encode() + b"\n")


def _judge(checker: Checker, number: int, data: bytes, printed: int) -> tuple[str, str | None]:
    """Return the outcome and `None`, or the signature of a finding and its details."""
    before = _peak_memory()
    try:
        outcome = checker.check(PARSERS[number % len(PARSERS)], data)
    except Finding as finding:
        return finding.signature, finding.detail
    if text := _read(printed):
        os.ftruncate(printed, 0)
        return "printed: " + _first_words(text), text
    if (taken := _peak_memory() - before) > MEMORY_LIMIT:
        return "memory", f"{taken / 2**20:.0f} MiB for a file of {len(data)} bytes"
    if checker.plan is None:
        return outcome, None
    try:
        outcome = compare(data, checker.plan, checker.registry) or outcome
    except Finding as finding:
        return finding.signature, finding.detail
    finally:
        os.ftruncate(printed, 0)  # what the oracles had to say
    return outcome, None


def _read(printed: int) -> str:
    size = os.fstat(printed).st_size
    return os.pread(printed, min(size, 8000), 0).decode("utf-8", "replace").strip("\0")


def _first_words(text: str) -> str:
    """Text without what differs from case to case."""
    line = text.strip().split("\n", 1)[0]
    return line.split(" at ", 1)[-1][:100]


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPACE_LIMIT, used + SPACE_LIMIT))
