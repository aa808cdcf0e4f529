"""Save the results of a scan in a folder, so that an interrupted scan can continue."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.inventory.listing import Listing
from virtual_tiff.inventory.rows import POSITION
from virtual_tiff.inventory.table import SCAN_OPTIONS
from virtual_tiff.inventory.unchanged import metadata_now
from virtual_tiff.storage.errors import writing
from virtual_tiff.storage.source import Source

#: Errors of good files, which come again. After all others another try may go well: when the store
#: answers, or a whole file was put where a broken one was.
_LASTING = (
    *(kind for kind in ErrorKind if kind.startswith("unsupported-")),
    ErrorKind.COPY_LIMIT,
)


class Checkpoint:
    """Parts of a table, one Parquet file each, which appear only when they are complete.

    `options` is text that identifies the options of the scan, and `listing` has what is known of
    the files now: rows of those that have changed since are not used.
    """

    def __init__(self, folder: Path, options: str) -> None:
        self.folder = folder
        self.options = options
        self.listing: Listing = {}

    @classmethod
    def open(cls, folder: str | os.PathLike[str] | None, options: object) -> Self | None:
        """Open or create the folder of a scan, unless it has parts with other options."""
        if folder is None:
            return None
        checkpoint = cls(Path(folder), repr(options))
        with writing(checkpoint.folder):
            checkpoint.folder.mkdir(parents=True, exist_ok=True)
        for file in checkpoint._files():
            checkpoint._check(file)
        return checkpoint

    def _check(self, file: Path) -> None:
        """Refuse a part of something else: it would be read, and removed after the scan."""
        try:
            schema = pq.read_schema(file)
        except pa.ArrowInvalid as error:
            raise InvalidOptionError(
                f"{file} is not Parquet, so {self.folder} is no checkpoint: {error}",
                remedy="Name a new folder with checkpoint=….",
            ) from error
        if POSITION not in schema.names:
            raise InvalidOptionError(
                f"{self.folder} is no checkpoint: {file.name} is a part of an inventory.",
                remedy="Name a new folder with checkpoint=….",
            )
        if (schema.metadata or {}).get(SCAN_OPTIONS, b"").decode() != self.options:
            raise InvalidOptionError(
                f"{self.folder} has a scan with other options.",
                remedy="Remove the folder to start again. Or name another with checkpoint=….",
            )

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def write(self, part: pa.Table) -> None:
        """Save a part."""
        name = f"part-{len(self._files()):06}-{uuid4().hex[:8]}.parquet"
        partial = self.folder / f".{name}.partial"
        metadata = {**(part.schema.metadata or {}), SCAN_OPTIONS: self.options.encode()}
        with writing(self.folder):
            try:
                pq.write_table(part.replace_schema_metadata(metadata), partial, compression="zstd")
                partial.replace(self.folder / name)
            finally:
                partial.unlink(missing_ok=True)

    def parts(self, positions: Mapping[str, int]) -> Iterator[pa.Table]:
        """Yield the saved parts, with the given positions of their URLs.

        Rows of other URLs, and rows that have to be read again, are left out.
        """
        seen: set[str] = set()
        lasting = pa.array([str(kind) for kind in _LASTING])
        for file in self._files():
            part = pq.read_table(file)
            urls = part["url"].to_pylist()
            kinds = part["error_kind"]
            again = pc.and_not(pc.is_valid(kinds), pc.is_in(kinds, value_set=lasting)).to_pylist()
            failed = {url for url, retry in zip(urls, again, strict=True) if retry}
            failed |= self._changed(part)
            keep = [url in positions and url not in failed and url not in seen for url in urls]
            seen.update(url for url, kept in zip(urls, keep, strict=True) if kept)
            part = part.filter(pa.array(keep, pa.bool_())).replace_schema_metadata(None)
            if part.num_rows:
                where = pa.array([positions[url] for url in part["url"].to_pylist()], pa.int64())
                index = part.schema.get_field_index(POSITION)
                yield part.set_column(index, part.schema.field(POSITION), where)

    def _changed(self, part: pa.Table) -> set[str]:
        """Return the files of a part that are not what they were when its rows were read."""
        found = set()
        for row in part.select(["url", "size", "etag", "last_modified"]).to_pylist():
            url = row["url"]
            now = metadata_now(url, self.listing)
            if now is None:
                continue
            known = row["size"] is not None and row["last_modified"] is not None
            if not known or Source(**row).difference(now) is not None:
                found.add(url)
        return found

    def remove(self) -> None:
        """Remove the parts, and the folder if it is empty then."""
        for file in (*self._files(), *self.folder.glob(".part-*.partial")):
            file.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
