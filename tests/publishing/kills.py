"""Kill scans and writers on S3 at random times: the next run completes, and nothing is lost.

    python -m tests.publishing.kills --runs 20

The suite runs one of each (`test_kills.py`).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import obstore
from obstore.store import S3Store

from tests.helpers.archive import PATTERN, opened, read_paths, write_scenes
from tests.helpers.s3 import make_bucket, moto_server, s3_environment
from virtual_tiff.audit.verify import verify
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.stack import stack
from virtual_tiff.publishing.repository import open_repository

BUCKET = "archive"
REPOSITORY = f"s3://{BUCKET}/repository"
COUNT = 12

#: A worker says that it is about to begin, so that the time of its imports does not count.
_WORKER = """
import sys
import virtual_tiff, virtual_tiff.audit.verify, xarray
action, output, *urls = sys.argv[1:]
print("ready", flush=True)
if action == "scan":
    import virtual_tiff.inventory.reading
    virtual_tiff.inventory.reading._PART_SECONDS = 0.0
    found = virtual_tiff.scan(urls, datetime_pattern=PATTERN, checkpoint=output + ".kept")
    found.write(output)
elif action == "append":
    virtual_tiff.append(urls, REPOSITORY, datetime_pattern=PATTERN, on_present="skip")
elif action == "create":
    virtual_tiff.stack(urls, REPOSITORY, datetime_pattern=PATTERN)
else:
    virtual_tiff.publish(urls, REPOSITORY, group="more")
print("done", flush=True)
""".replace("PATTERN", repr(PATTERN)).replace("REPOSITORY", repr(REPOSITORY))


def work(arguments: Sequence[str], seconds: float | None) -> tuple[bool, float]:
    """Run a worker, kill it after so many seconds, and return whether it was done, and when."""
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        began = time.monotonic()
        if seconds is not None:
            time.sleep(seconds)
            worker.send_signal(signal.SIGKILL)
        done = worker.stdout.readline() == "done\n"
        return done, time.monotonic() - began


def upload(bucket: S3Store, paths: Sequence[Path]) -> list[str]:
    for path in paths:
        obstore.put(bucket, f"scenes/{path.name}", path.read_bytes())
    return [f"s3://{BUCKET}/scenes/{path.name}" for path in paths]


def once(action: str, endpoint: str, folder: Path, chooser: random.Random, longest: float) -> bool:
    """Kill one run and repeat it; check that all is there. Return whether the kill was in time."""
    bucket = make_bucket(endpoint, BUCKET)
    paths = write_scenes(folder / "tiffs", COUNT)
    urls = upload(bucket, paths)
    output = str(folder / f"{action}{chooser.random()}.parquet")
    if action == "append":
        stack(urls[:2], REPOSITORY, datetime_pattern=PATTERN)
    elif action == "publish":
        publish(urls[:1], REPOSITORY)
    killed, _ = work([action, output, *urls], chooser.uniform(0, longest))
    there = _is_there(action, output, urls)
    if not there:
        assert work([action, output, *urls], None)[0], f"{action}: the second run failed"
    if action == "scan":
        assert Inventory.read(output).table["url"].to_pylist() == urls
        return not killed
    report = verify(REPOSITORY, sample=None)
    assert report.exit_status == 0, report.faults
    found = {finding.url for finding in report.findings}
    assert found == set(urls)
    if action != "publish":
        assert np.array_equal(opened(open_repository(REPOSITORY))["data"].values, read_paths(paths))
    return not there


def _is_there(action: str, output: str, urls: Sequence[str]) -> bool:
    """Return whether the killed run was complete; a repetition would then be refused."""
    if action == "scan":
        return Path(output).exists()
    try:
        report = verify(REPOSITORY, sample=0)
    except Exception:  # there may be no repository, or an empty one
        return False
    rows = len(report.findings)
    assert rows in (len(urls), {"create": 0, "append": 2, "publish": 1}[action]), rows
    return rows == len(urls)


ACTIONS = ("scan", "publish", "append", "create")


def run(
    actions: Sequence[str],
    runs: int,
    seed: int = 0,
    report: Callable[[str], object] = lambda _: None,
) -> None:
    """Kill so many runs of each action; raise AssertionError where something is lost."""
    chooser = random.Random(seed)
    before = dict(os.environ)
    try:
        with moto_server() as endpoint, tempfile.TemporaryDirectory() as folder:
            os.environ.update(s3_environment(endpoint))
            for action in actions:
                # A whole run tells how long one takes.
                bucket = make_bucket(endpoint, BUCKET)
                urls = upload(bucket, write_scenes(Path(folder) / "tiffs", COUNT))
                if action == "append":
                    stack(urls[:2], REPOSITORY, datetime_pattern=PATTERN)
                done, longest = work([action, f"{folder}/first.parquet", *urls], None)
                assert done, action
                killed = sum(
                    once(action, endpoint, Path(folder), chooser, longest) for _ in range(runs)
                )
                report(f"{action}: {runs} runs, {killed} of them killed before they were complete")
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=ACTIONS)
    chosen = parser.parse_args()
    run(chosen.actions, chosen.runs, chosen.seed, print)
