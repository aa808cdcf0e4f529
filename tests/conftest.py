"""What all tests share: the corpus of TIFFs that others wrote, and the rule that it is used.

A test that asks for `corpus_file` runs once for every file of the corpus and carries the marker
`corpus`; a test that walks `corpus_files()` itself has to be marked. Where there is no corpus
such tests are skipped, and say so. On CI a session fails that had a corpus and ran none of them:
a suite must not turn green because its data was not looked at.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CORPUS_VARIABLE = "VIRTUAL_TIFF_CORPUS"
SUFFIXES = frozenset({".btf", ".gtiff", ".lsm", ".ndpi", ".scn", ".stk", ".svs", ".tif", ".tiff"})

_corpus_tests_run = 0


@cache
def corpus_root() -> Path | None:
    """Folder of the corpus, or `None` where there is none.

    Raises
    ------
    pytest.UsageError
        If VIRTUAL_TIFF_CORPUS names something that is not a folder.
    """
    if named := os.environ.get(CORPUS_VARIABLE):
        root = Path(named).resolve()
        if not root.is_dir():
            raise pytest.UsageError(f"{CORPUS_VARIABLE}={named} is not a folder")
        return root
    root = Path(__file__).resolve().parents[2] / "shared" / "corpus"
    return root if root.is_dir() else None


def corpus_files() -> list[Path]:
    """Every TIFF of the corpus, in the same order every time; empty where there is no corpus."""
    root = corpus_root()
    if root is None:
        return []
    return sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and look for the corpus before any test does."""
    config.addinivalue_line("markers", "corpus: reads TIFFs that others wrote")
    corpus_root()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `corpus_file` once for every file of the corpus."""
    if "corpus_file" in metafunc.fixturenames:
        root = corpus_root() or Path()
        # Without a corpus one test is left, for the rule below to skip it in so many words.
        metafunc.parametrize(
            "corpus_file",
            [
                pytest.param(file, id=str(file.relative_to(root)), marks=pytest.mark.corpus)
                for file in corpus_files()
            ]
            or [pytest.param(None, id="none", marks=pytest.mark.corpus)],
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what reads the corpus where there is none."""
    if not corpus_files():
        skip = pytest.mark.skip(reason=f"no corpus: set {CORPUS_VARIABLE}")
        for item in items:
            if item.get_closest_marker("corpus"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Fail a test after which later tests of its process would see another log."""
    yield
    logger = logging.getLogger("virtual_tiff")
    left = {
        "logging.disable": logging.root.manager.disable,
        "level": logger.level,
        "handlers": list(logger.handlers),
    }
    logging.disable(logging.NOTSET)
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()
    assert not any(left.values()), f"the test leaves logging changed: {left}"


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """Take back what a test changes in the environment, which later processes would inherit.

    Dask's workers, for one, leave MALLOC_TRIM_THRESHOLD_ and OMP_NUM_THREADS behind.
    """
    before = os.environ.copy()
    yield
    for name in os.environ.keys() | before.keys():
        if os.environ.get(name) != before.get(name) and name != "PYTEST_CURRENT_TEST":
            _set(name, before.get(name))


def _set(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the corpus tests that ran."""
    global _corpus_tests_run
    if report.when == "call" and not report.skipped and "corpus" in report.keywords:
        _corpus_tests_run += 1


def _corpus_was_missed(config: pytest.Config) -> bool:
    # xdist's workers see a part of the tests each; their reports come together in the session
    # that started them.
    if hasattr(config, "workerinput") or config.option.collectonly:
        return False
    # Who asks for single files does not ask for the corpus.
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return False
    on_ci = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
    return on_ci and _corpus_tests_run == 0 and bool(corpus_files())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session on CI that had a corpus and read nothing of it."""
    if session.exitstatus == pytest.ExitCode.OK and _corpus_was_missed(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say why."""
    if _corpus_was_missed(config):
        terminalreporter.write_line(
            f"FAILED: {corpus_root()} is there, and no corpus test ran", red=True, bold=True
        )
