"""Errors: one tree, and all that a caller needs to act on one."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from virtual_tiff import errors
from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    InvalidTIFFError,
    MismatchError,
    RepositoryError,
    SourceError,
    SourcesError,
    UnsupportedTIFFError,
    VirtualTIFFError,
)
from virtual_tiff.tags import Tag

CLASSES = [
    SourceError,
    InvalidTIFFError,
    UnsupportedTIFFError,
    InvalidOptionError,
    MismatchError,
    RepositoryError,
    SourcesError,
]


def test_the_tree_is_complete() -> None:
    found = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, VirtualTIFFError)
    }
    assert found == {VirtualTIFFError, *CLASSES}


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (SourceError, OSError),
        (InvalidTIFFError, ValueError),
        (InvalidOptionError, ValueError),
        (MismatchError, ValueError),
    ],
)
def test_errors_are_what_python_calls_them(
    cls: type[VirtualTIFFError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin):
        raise cls("a reason.")


@pytest.mark.parametrize("cls", CLASSES)
def test_fields(cls: type[VirtualTIFFError]) -> None:
    bare = cls("a reason.")
    assert (bare.kind, bare.url, bare.ifd, bare.tag) == (cls.default_kind, None, None, None)
    assert (bare.remedy, bare.message, str(bare)) == (None, "a reason.", "a reason.")

    full = cls(
        "a reason.",
        kind=ErrorKind.TRUNCATED,
        url="s3://bucket/image.tif",
        ifd=(0, 2),
        tag=Tag.ROWS_PER_STRIP,
        remedy="Do this.",
    )
    assert full.kind == "truncated"
    # One line, with the cause and the remedy.
    assert str(full) == (
        "s3://bucket/image.tif, IFD 0.2, tag RowsPerStrip (278): a reason. Do this."
    )


@pytest.mark.parametrize(
    ("tag", "name"),
    [(Tag.TILE_OFFSETS, "TileOffsets (324)"), (Tag.SUB_IFDS, "SubIFDs (330)"), (65_000, "65000")],
)
def test_tags_are_named(tag: int, name: str) -> None:
    assert f"tag {name}:" in str(InvalidTIFFError("a reason.", tag=tag))


def test_a_tag_of_0_is_named_too() -> None:
    assert str(InvalidTIFFError("a reason.", tag=0, ifd=(0,))) == "IFD 0, tag 0: a reason."


def test_the_place_is_filled_in_once() -> None:
    error = InvalidTIFFError("a reason.", ifd=(3,))
    assert error.at(url="file:///a.tif", ifd=(0,)) is error
    assert (error.url, error.ifd) == ("file:///a.tif", (3,))
    assert error.at(url="file:///b.tif").url == "file:///a.tif"


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_cross_processes(cls: type[VirtualTIFFError]) -> None:
    error = cls(
        "a reason.", kind=ErrorKind.CONFLICT, url="a", ifd=(1, 2), tag=256, remedy="Do this."
    )
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is cls
        for name in ("message", "kind", "url", "ifd", "tag", "remedy"):
            assert getattr(again, name) == getattr(error, name)
        assert str(again) == str(error)


def test_an_error_of_several_files() -> None:
    one = SourceError("gone.", kind=ErrorKind.NOT_FOUND, url="a")
    other = InvalidTIFFError("torn.", kind=ErrorKind.TRUNCATED, url="b")
    alike = SourcesError.of([one, one], 5)
    assert alike.kind == ErrorKind.NOT_FOUND
    mixed = SourcesError.of([one, other], 5)
    assert mixed.kind == ErrorKind.SEVERAL
    assert "2 of 5" in str(mixed)
    again = pickle.loads(pickle.dumps(mixed))
    assert [str(error) for error in again.errors] == [str(one), str(other)]
    many = SourcesError.of([one] * 1000, 1000)
    assert len(str(many)) < 500


def test_kinds_are_stable() -> None:
    """Callers match on these texts: add to them, but never change one."""
    assert {kind.value for kind in ErrorKind} >= {
        *("not-found", "not-authorized", "no-store", "is-directory", "source-changed", "storage"),
        *("empty-file", "not-a-tiff", "truncated", "ifd-cycle", "invalid-ifd", "invalid-tag"),
        *("missing-tag", "header-too-large", "invalid-segment", "unsupported-compression"),
        *("unsupported-data-type", "unsupported-predictor", "unsupported-layout"),
        *("unsupported-color", "unsupported-fill-order", "unsupported-mask", "copy-limit"),
        *("invalid-option", "ifd-out-of-range", "no-sources", "duplicate", "mismatch"),
        *("repository-exists", "repository-not-found", "not-a-repository", "conflict"),
        "repository",
    }


def test_errors_need_the_standard_library_alone() -> None:
    code = (
        "import sys, virtual_tiff.errors as e\n"
        "third = [m for m in sys.modules if m.split('.')[0] not in sys.stdlib_module_names]\n"
        "print(sorted(m for m in third if not m.startswith(('virtual_tiff', '_'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
