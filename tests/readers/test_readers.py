"""Software that has nothing of this package reads what it publishes, as the table says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.readers._bare import bare_environment, python
from tests.readers._cases import all_cases
from tests.readers._published import published
from tests.readers._readers import PYTHON_READERS, badness
from tests.readers._table import (
    BEGIN,
    DATA,
    PAGE,
    README,
    changes,
    from_json,
    page,
    with_short_table,
)
from tests.readers.main import make_table

_REGENERATE = "run scripts/reader_matrix.py and look at what changes"


@pytest.mark.parametrize("key", PYTHON_READERS)
def test_readers_have_nothing_of_this_package(key: str, tmp_path: Path) -> None:
    """Also nothing that only this package requires, and no entry points of others."""
    reader = PYTHON_READERS[key]
    start, variables = python(bare_environment(tmp_path / "site", reader.distributions))
    script = (
        "import importlib.util as u, importlib.metadata as m, json\n"
        "names = ['virtual_tiff', 'virtualizarr', 'imagecodecs', 'imagecodecs_zarr', 'tifffile']\n"
        "codecs = [e.name for e in m.entry_points(group='zarr.codecs')]\n"
        "print([n for n in names if u.find_spec(n)], any('imagecodecs' in c for c in codecs))\n"
    )
    done = subprocess.run(
        [*start, "-c", script], env=variables, capture_output=True, text=True, check=True
    )
    with_codecs = "imagecodecs-zarr" in reader.distributions
    assert done.stdout.strip() == ("['imagecodecs'] True" if with_codecs else "[] False")


def test_python_readers_as_the_table_says(tmp_path: Path) -> None:
    """Every encoding through Icechunk or from a copy, in processes without this package."""
    with published(all_cases(), tmp_path) as found:
        table = make_table(found, tmp_path, PYTHON_READERS)
    # What everything rests on: zarr and imagecodecs-zarr read every encoding there is.
    inexact = {
        name: verdicts["zarr+imagecodecs"]
        for name, verdicts in table.verdicts.items()
        if verdicts["zarr+imagecodecs"] != "exact"
    }
    # Two strips of JPEG 4:2:0 had to be lengthened.
    assert all(badness(verdict) <= badness("within 4") for verdict in inexact.values()), inexact
    assert all("jpeg-ycbcr-4-2-0" in name and "half-empty" in name for name in inexact), inexact
    differences = changes(from_json(DATA.read_text(encoding="utf-8")), table)
    assert not differences, f"{_REGENERATE}: {differences}"


def test_the_page_is_made_of_the_data() -> None:
    table = from_json(DATA.read_text(encoding="utf-8"))
    assert page(table) == PAGE.read_text(encoding="utf-8"), _REGENERATE
    readme = README.read_text(encoding="utf-8") if README.exists() else ""
    if BEGIN in readme:
        assert with_short_table(readme, table) == readme, _REGENERATE


def test_nothing_wrong_is_left_unsaid() -> None:
    """Every reader that gives wrong pixels is told of in the row of the encoding."""
    table = from_json(DATA.read_text(encoding="utf-8"))
    lines = [line.strip("| ").split(" | ") for line in page(table).splitlines()]
    columns = list(table.titles)
    wrong = {
        (case.encoding, key)
        for case in all_cases()
        for key, verdict in table.verdicts[case.name].items()
        if badness(verdict) > badness("refused")
    }
    assert wrong
    for encoding, key in wrong:
        # Rows begin with the encoding, and end with one cell for each reader.
        cells = [line[columns.index(key) - len(columns)] for line in lines if line[0] == encoding]
        assert any("**" in cell for cell in cells), (encoding, key)
