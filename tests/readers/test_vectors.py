"""Test vectors of codecs, which readers in every language have to reproduce."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.vectors import Vector, decode, vectors
from tests.readers._table import DATA, from_json

_CORE = {"bytes", "transpose", "zstd"}
_PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference" / "codecs"


@pytest.mark.parametrize("vector", list(vectors()), ids=lambda vector: vector.name)
def test_zarr_python_decodes_the_vector(vector: Vector, tmp_path: Path) -> None:
    assert decode(vector, tmp_path / "array") == vector.decoded


def test_every_persisted_codec_has_vectors_and_a_page() -> None:
    table = from_json(DATA.read_text(encoding="utf-8"))
    persisted = {name for chain in table.codecs.values() for name in chain} - _CORE
    # For encodings that no writer of the matrix has.
    persisted |= {"imagecodecs_tiff", "imagecodecs_eer"}
    assert {vector.name.partition(": ")[0] for vector in vectors()} == persisted
    for name in persisted:
        assert (_PAGES / f"{name}.md").exists(), name
