"""Test vectors of codecs, which readers in every language have to reproduce."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import zarr

from tests.helpers.persisted import persisted_codecs
from tests.helpers.read import images, local_registry, numcodecs_names
from tests.helpers.vectors import Vector, decode, vectors
from tests.readers._cases import all_cases
from virtual_tiff.choices import OnUnsupported
from virtual_tiff.parser import VirtualTIFF

_CORE = {"bytes", "transpose", "zstd"}
_PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference" / "codecs"


@pytest.mark.parametrize("vector", list(vectors()), ids=lambda vector: vector.name)
def test_zarr_python_decodes_the_vector(vector: Vector, tmp_path: Path) -> None:
    assert decode(vector, tmp_path / "array") == vector.decoded


@pytest.mark.parametrize("name", sorted(persisted_codecs()))
def test_every_persisted_codec_has_vectors_and_a_page(name: str) -> None:
    """With all fields of its configuration."""
    fields = persisted_codecs()[name]
    of_vectors = [
        codec.get("configuration", {})
        for vector in vectors()
        if vector.name.startswith(f"{name}: ")
        for codec in vector.codecs
        if codec["name"] == name
    ]
    assert of_vectors
    assert fields <= {field for configuration in of_vectors for field in configuration}
    page = (_PAGES / f"{name}.md").read_text(encoding="utf-8")
    documented = page.partition("## Configuration")[2].partition("##")[0]
    rows = " ".join(re.findall(r"^\|(.+?)\|", documented, flags=re.MULTILINE))
    assert fields <= set(re.findall(r"`(\w+)`", rows))


def test_no_other_codec_and_no_other_field_is_persisted(tmp_path: Path) -> None:
    """Classes of codecs write their own defaults: only names and fields of the source."""
    written: dict[str, set[str]] = {}
    for case in all_cases():
        case.write(path := tmp_path / f"{case.name}.tif")
        unsupported: OnUnsupported = "copy" if case.copy else "raise"
        parser = VirtualTIFF(ifd=0, band_axis=case.band_axis, on_unsupported=unsupported)
        store = parser(path.as_uri(), local_registry())
        with numcodecs_names():
            group = zarr.open_group(store, mode="r", zarr_format=3)
            for _, array in images(group):
                metadata: Any = array.metadata.to_dict()
                for codec in metadata["codecs"]:
                    written.setdefault(codec["name"], set()).update(codec.get("configuration", {}))
    of_ours = written.keys() - _CORE
    assert of_ours <= persisted_codecs().keys()
    for name in of_ours:
        assert written[name] <= persisted_codecs()[name], name
