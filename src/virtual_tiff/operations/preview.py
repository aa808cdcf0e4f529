"""`preview`: a picture of a TIFF or of a published array, from the smallest level that serves."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import check_names
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inspection.directories import FileOptions, stores_for
from virtual_tiff.inventory.sources import SUFFIXES
from virtual_tiff.operations.mosaic import Mosaic
from virtual_tiff.planning.agreement import listed
from virtual_tiff.storage.addresses import is_local, local_path, source_url, split_url

#: Groups and arrays that a remedy names.
_NAMED = 10

type Pixels = NDArray[np.uint8]

#: Names of dimensions that are not positions along a stack.
_SPACE = frozenset({"y", "x"})
_BANDS = frozenset({"band", "c"})
_RGB = ("red", "green", "blue")
#: Percentiles of the values that become black and white.
_STRETCH = (2.0, 98.0)


def preview(
    source: str | os.PathLike[str],
    *,
    group: str = "",
    array: str | None = None,
    size: int = 512,
    **options: Unpack[FileOptions],
) -> bytes:
    """Make a PNG of a TIFF or of a published array, without GDAL.

    Of a pyramid, the smallest level is read whose longer side has `size` pixels or more; every n-th
    pixel of it is taken. Values of 8 bits with colours are as they are, palettes are applied, and
    others are stretched between the percentiles 2 and 98. Pixels without data are transparent.

    Parameters
    ----------
    source
        Path or URL of a TIFF, or of a repository.
    group, array
        Of a repository: path of a group, and name of its array; by default the first. Tiles are
        put together; of the dimensions but y, x and bands, the first position is shown.
    size
        Most pixels of the longer side.
    **options
        See `virtual_tiff.inspection.directories.FileOptions`.

    Raises
    ------
    InvalidOptionError
        There is no such group or array, or none with dimensions y and x.
    VirtualTIFFError
        The source cannot be read.

    Examples
    --------
    >>> from virtual_tiff import preview
    >>> preview("examples/aerial.tif", size=100)[1:4]
    b'PNG'
    """
    from imagecodecs import png_encode

    pixels = picture(source, group=group, array=array, size=size, **options)
    return bytes(png_encode(pixels))


def picture(
    source: str | os.PathLike[str],
    *,
    group: str = "",
    array: str | None = None,
    size: int = 512,
    **options: Unpack[FileOptions],
) -> Pixels:
    """Return red, green, blue and alpha: shape `(rows, columns, 4)`."""
    check_names("preview", options, FileOptions)
    if not isinstance(size, int) or size < 1:
        raise InvalidOptionError(f"size is {size!r}, but must be a whole number, at least 1.")
    if not isinstance(group, str):
        raise InvalidOptionError(f"group is {group!r}, but must be the path of a group.")
    if not isinstance(array, str | None):
        raise InvalidOptionError(f"array is {array!r}, but must be the name of an array.")
    store = _tiff(source, options) if is_tiff(source) else _repository(source)
    levels = list(_levels(store, group, array))
    if not levels:
        raise InvalidOptionError(
            f"there is no image {array or 'with dimensions y and x'} in the group {group!r}.",
            url=os.fspath(source),
            remedy=_remedy(store, group),
        )
    ordered = sorted(levels, key=lambda level: level.longest)
    chosen = next((level for level in ordered if level.longest >= size), ordered[-1])
    return chosen.picture(size)


def is_tiff(source: str | os.PathLike[str]) -> bool:
    """Return whether a source is a TIFF, and no repository."""
    text = source_url(source, query=True)
    if is_local(text):
        return os.path.isfile(local_path(text)) or text.lower().endswith(SUFFIXES)
    return text.startswith(("http://", "https://")) or split_url(text)[2].lower().endswith(SUFFIXES)


def _tiff(source: str | os.PathLike[str], options: FileOptions) -> Any:
    from virtual_tiff.manifest import manifest_store
    from virtual_tiff.parser import VirtualTIFF

    url, registry = stores_for(source, options)
    given = {name: options[name] for name in _OF_PARSER if name in options}  # type: ignore[literal-required]
    parser = VirtualTIFF(ifd=0, ifd_layout="multiscale", on_unsupported="copy", **given)
    return manifest_store(parser.plan(url, registry), registry)


_OF_PARSER = ("prefetch", "sidecars", "header_limit", "time_limit")


def _repository(source: str | os.PathLike[str]) -> Any:
    from virtual_tiff.publishing.repository import open_repository

    return open_repository(source).readonly_session("main").store


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """An image of one resolution: an array, its mask, and the places of its tiles."""

    array: Any
    mask: Any
    mosaic: Mosaic | None

    @property
    def dimensions(self) -> Sequence[str]:
        return cast("Sequence[str]", self.array.metadata.dimension_names)

    @property
    def longest(self) -> int:
        if self.mosaic is not None:
            return max(self.mosaic.size)
        sizes = dict(zip(self.dimensions, self.array.shape, strict=True))
        return int(max(sizes["y"], sizes["x"]))

    def picture(self, size: int) -> Pixels:
        step = -(-self.longest // size)
        if self.mosaic is not None:
            values, alpha = self.mosaic.read(self._window, step)
        else:
            values, alpha = self._window(dict.fromkeys(_SPACE, slice(None, None, step)))
        colors = self._colors(values, alpha > 0)
        return np.ascontiguousarray(np.dstack([colors, alpha]))

    def _window(self, place: Mapping[str, int | slice]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return values `(rows, columns, bands)`, and the opacity of pixels."""
        values = self._read(self.array, place)
        alpha = np.full(values.shape[:2], 255, np.uint8)
        if self.mask is not None:
            alpha[self._read(self.mask, place)[..., 0] == 0] = 0
        if "alpha" in (names := self._band_colors()):
            alpha[values[..., names.index("alpha")] == 0] = 0
        if (nodata := self._nodata()) is not None:
            empty = np.isnan(values) if nodata != nodata else values == nodata
            alpha[empty.all(axis=-1)] = 0
        if values.dtype.kind == "f":
            alpha[~np.isfinite(values).any(axis=-1)] = 0
        return values, alpha

    def _read(self, array: Any, place: Mapping[str, int | slice]) -> NDArray[Any]:
        """Return a window as `(rows, columns, bands)`; of other dimensions the first position."""
        names = array.metadata.dimension_names
        keys = [place.get(n, slice(None) if n in _BANDS else 0) for n in names]
        values = np.asarray(array[tuple(keys)])
        left = [name for name in names if name in _SPACE or name in _BANDS]
        bands = [name for name in left if name in _BANDS]
        order = [left.index(name) for name in ("y", "x", *bands)]
        values = values.transpose(order)
        values = values.reshape(*values.shape[:2], -1)
        return np.abs(values) if values.dtype.kind == "c" else values

    def _nodata(self) -> float | None:
        value = self.array.fill_value
        is_real = isinstance(value, int | float | np.integer | np.floating)
        return float(value) if "_FillValue" in self.array.attrs and is_real else None

    def _band_colors(self) -> list[str]:
        """Return what each band shows, such as `red`; empty if that is not known."""
        found = listed("color_interpretation", self.array.attrs.get("color_interpretation", []))
        bands = dict(zip(self.dimensions, self.array.shape, strict=True))
        count = math.prod(size for name, size in bands.items() if name in _BANDS)
        names = [str(name) for name in found] if isinstance(found, list) else []
        return names if len(names) == count else []

    def _colors(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> Pixels:
        attributes: Mapping[str, Any] = self.array.attrs
        table = attributes.get("color_map")
        if table is not None and values.shape[-1] == 1 and values.dtype.kind == "u":
            palette = _palette(table)
            index = np.minimum(values[..., 0], len(palette) - 1)
            return np.asarray(palette[index], np.uint8)
        names = self._band_colors()
        bands = [names.index(name) for name in _RGB] if set(_RGB) <= set(names) else [0, 0, 0]
        if values.dtype == np.uint8 and values.shape[-1] >= 3 and bands != [0, 0, 0]:
            return values[..., bands].astype(np.uint8)
        distinct = {band: _stretched(values[..., band], valid) for band in set(bands)}
        gray = [distinct[band] for band in bands]
        if attributes.get("photometric_interpretation") == "WhiteIsZero":
            gray = [255 - one for one in gray]
        return np.stack(gray, axis=-1)


def _palette(table: Any) -> Pixels:
    """Return colours of 8 bits; writers scale them to 16 by 257, by 256, or not at all.

    Which of these is guessed from the values as GDAL does.
    """
    colors = np.asarray(table, np.uint16).reshape(-1, 3)
    scale = 1 if colors.max(initial=0) < 256 else 257 if (colors % 256).any() else 256
    return np.asarray(colors // scale, np.uint8)


def _stretched(values: NDArray[Any], valid: NDArray[np.bool_]) -> Pixels:
    """Return values between two percentiles as 0 to 255."""
    numbers = values.astype(np.float64)
    known = numbers[valid & np.isfinite(numbers)]
    if not known.size:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(known, _STRETCH)
    with np.errstate(invalid="ignore", over="ignore"):
        share = (numbers - low) / (high - low if high > low else 1.0)
        return np.asarray((np.nan_to_num(np.clip(share, 0, 1)) * 255).round(), np.uint8)


def _levels(store: Any, group: str, array: str | None) -> Iterator[_Level]:
    """Yield the levels of the first image of a group: itself, or the groups below it."""
    import zarr
    from zarr.errors import ContainsArrayError

    try:
        root = zarr.open_group(store, path=group.strip("/"), mode="r", zarr_format=3)
    except (FileNotFoundError, ContainsArrayError):
        raise InvalidOptionError(
            f"there is no group {group!r}.", remedy=_remedy(store, group)
        ) from None
    own = _level(root, array)
    if own is not None:
        yield own
        return
    found = sorted(root.groups(), key=lambda pair: (len(pair[0]), pair[0]))
    for _, below in found:
        level = _level(below, array)
        if level is not None:
            yield level
        elif not any(_level(one, array) for _, one in below.groups()):
            continue
        else:
            yield from _levels(store, below.path, array)
            return


def _remedy(store: Any, group: str) -> str:
    """Name what the deepest existing group of a path holds."""
    import zarr
    from zarr.errors import ContainsArrayError

    parts = [part for part in group.split("/") if part]
    while True:
        path = "/".join(parts)
        try:
            found = zarr.open_group(store, path=path, mode="r", zarr_format=3)
            break
        except (FileNotFoundError, ContainsArrayError):
            if not parts:
                return "Name a repository that holds images."
            parts.pop()
    words = []
    for kind, members in (("groups", found.groups()), ("arrays", found.arrays())):
        shown = (name for name, _ in members if not name.startswith("_"))
        names = list(islice(shown, _NAMED + 1))
        if names:
            named = ", ".join(map(repr, names[:_NAMED]))
            words.append(f"the {kind} {named}{', …' if len(names) > _NAMED else ''}")
    where = f"The group {path!r}" if path else "The root"
    return f"{where} has {' and '.join(words) or 'nothing'}."


def _level(group: Any, array: str | None) -> _Level | None:
    arrays = dict(group.arrays())
    mask = arrays.get("mask")
    images = {name: one for name, one in arrays.items() if name != "mask" and _is_image(one)}
    if array is not None and array not in arrays:
        return None
    chosen = arrays[array] if array is not None else next(iter(images.values()), None)
    if chosen is None or not _is_image(chosen):
        return None
    mask = mask if mask is not None and _is_image(mask) else None
    return _Level(chosen, mask, Mosaic.of(group, chosen))


def _is_image(array: Any) -> bool:
    names = array.metadata.dimension_names or ()
    return {"y", "x"} <= set(names) and array.dtype.kind in "biufc"
