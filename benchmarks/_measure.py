"""Measure contenders against each other: interleaved rounds, ratios within a round.

A time alone says more about the machine than about the code, so nothing here reports one: every
contender runs once a round, in rotating order, and what counts is the median over the rounds of
its time divided by the baseline's time of the same round.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds of the clock, and of the processor in all threads."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to measure.

    Parameters
    ----------
    name
        How the report calls it.
    run
        The work. A `Sample` that it returns (from a subprocess) counts instead of what was
        measured around it.
    """

    name: str
    run: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """All rounds of one contender."""

    name: str
    samples: list[Sample] = field(default_factory=list)

    def ratios(self, baseline: Timing) -> list[float]:
        """Clock time over that of the baseline in the same round."""
        pairs = zip(self.samples, baseline.samples, strict=True)
        return [ours.wall / theirs.wall for ours, theirs in pairs]

    def ratio(self, baseline: Timing) -> float:
        """Median of `ratios`."""
        return median(self.ratios(baseline))

    def cpu_ratio(self, baseline: Timing) -> float:
        """Median over the rounds of processor time over that of the baseline."""
        pairs = zip(self.samples, baseline.samples, strict=True)
        return median(ours.cpu / theirs.cpu for ours, theirs in pairs)

    @property
    def cpu(self) -> float:
        """Median processor time of a round, in seconds."""
        return median(sample.cpu for sample in self.samples)


def _nothing(*_: object) -> None:
    pass


def interleave(
    contenders: Sequence[Contender],
    rounds: int,
    *,
    before: Callable[[], None] = _nothing,
    after: Callable[[str, object], None] = _nothing,
    report: Callable[[str], None] = _nothing,
    warm_up: bool = True,
) -> dict[str, Timing]:
    """Run every contender once a round, by default after one round that only warms up.

    Parameters
    ----------
    contenders
        In an order that rotates, so that nobody always runs in another's wake.
    rounds
        Rounds that count; at least 1.
    before
        Called before each run, unmeasured.
    after
        Called after each run, unmeasured, with the contender's name and what it returned; the
        place to check the result. Also called in the warm-up.
    report
        Called with round and contender, to show progress.
    warm_up
        Whether there is a round that does not count.

    Returns
    -------
    dict
        Name to timing, in the order of `contenders`.
    """
    timings = {contender.name: Timing(contender.name) for contender in contenders}
    for round_number in range(-1 if warm_up else 0, rounds):
        label = f"round {round_number + 1} of {rounds}" if round_number >= 0 else "warming up"
        shift = round_number % len(contenders)
        for contender in [*contenders[shift:], *contenders[:shift]]:
            report(f"{label}: {contender.name}")
            before()
            gc.collect()
            cpu, wall = time.process_time(), time.perf_counter()
            result = contender.run()
            sample = Sample(time.perf_counter() - wall, time.process_time() - cpu)
            if isinstance(result, Sample):
                sample = result
            if round_number >= 0:
                timings[contender.name].samples.append(sample)
            after(contender.name, result)
            del result
    return timings
