"""Places of a cube without an image: counted, filled, and shown by an array of presence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.choices import OnGap
from virtual_tiff.cubes.coordinate import ascends
from virtual_tiff.cubes.plan import Axis, CubePlan, CubeVariable, Rows
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import row_is_sparse
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import encode_fill_value
from virtual_tiff.planning.plan import ArrayPlan
from virtual_tiff.planning.stacks import TILES

#: End of the name of the array that says where a variable has images.
PRESENT = "_present"
#: Attributes of such an array (CF section 3.5).
PRESENT_ATTRIBUTES: Mapping[str, JSON] = {
    "long_name": "where there is an image",
    "flag_values": [0, 1],
    "flag_meanings": "missing present",
}
_REMEDY = 'Pass on_gap="fill" and a fill_value that no pixel has, which is written as _FillValue.'


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """Places with an image on a grid, of which most may have none.

    Parameters
    ----------
    shape
        Number of places along each axis.
    cells
        Numbers of the places with an image in C order, ascending.
    """

    shape: tuple[int, ...]
    cells: Rows

    @classmethod
    def at(cls, shape: tuple[int, ...], places: Rows) -> Self:
        """Make one of places, shape `(images, axes)`."""
        if not shape:
            return cls((), np.zeros(min(1, len(places)), np.int64))
        return cls(shape, _ascending(np.ravel_multi_index(tuple(places.T), shape)))

    @property
    def gaps(self) -> int:
        """Number of places without an image."""
        return prod(self.shape) - self.cells.size

    @property
    def places(self) -> Rows:
        """Places with an image, shape `(images, axes)`."""
        if not self.shape:
            return np.empty((self.cells.size, 0), np.int64)
        return np.stack(np.unravel_index(self.cells, self.shape), axis=1)

    def along(self, axis: int, positions: Rows, size: int) -> Presence:
        """Return them with an axis of another size, where its places have new positions."""
        places = self.places
        places[:, axis] = positions[places[:, axis]]
        return self.at((*self.shape[:axis], size, *self.shape[axis + 1 :]), places)

    def spread(self, axis: int, count: Rows) -> Presence:
        """Repeat places along an axis: `count` of them from each on."""
        places = self.places
        times = count[places[:, axis]]
        image = np.repeat(np.arange(times.size), times)
        within = np.arange(image.size) - np.repeat(np.cumsum(times) - times, times)
        found = places[image]
        found[:, axis] += within
        return self.at(self.shape, found)

    def only(self, axis: int, kept: Rows) -> Presence:
        """Keep some positions of an axis, which ascend."""
        places = self.places
        places = places[np.isin(places[:, axis], kept)]
        places[:, axis] = np.searchsorted(kept, places[:, axis])
        return self.at((*self.shape[:axis], kept.size, *self.shape[axis + 1 :]), places)

    def without(self, gone: NDArray[np.bool_]) -> Presence:
        """Leave out some of the places, in the order of `places`."""
        return Presence(self.shape, self.cells[~gone])

    def __or__(self, other: Presence) -> Presence:
        return Presence(self.shape, _ascending(np.concatenate([self.cells, other.cells])))

    def slab(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return 1 where there is an image, else 0, from `start` to `stop` of the first axis."""
        inner = prod(self.shape[1:])
        first, end = np.searchsorted(self.cells, [start * inner, stop * inner])
        found = np.zeros((stop - start) * inner, np.uint8)
        found[self.cells[first:end] - start * inner] = 1
        return found.reshape(stop - start, *self.shape[1:])


def _ascending(cells: Rows) -> Rows:
    """Return distinct numbers in order, at once where they are so already."""
    return cells if ascends(cells) else np.unique(cells)


def presence_axes(cube: CubePlan) -> tuple[Axis, ...]:
    """Return the axes of arrays of presence: those of the cube, and of tiles if it is stitched.

    Along y and x of a regular grid, images begin and end at the values of `tile_y` and `tile_x`.
    """
    if cube.grid_kind != "regular":
        return cube.axes
    axes = []
    for dimension, (name, size) in enumerate(
        zip(TILES, (cube.grid.height, cube.grid.width), strict=True)
    ):
        starts = [np.zeros(1, np.int64)]
        for variable in cube.variables.values():
            assert variable.corners is not None
            assert variable.sizes is not None
            corner, length = variable.corners[:, dimension], variable.sizes[:, dimension]
            starts += [corner, corner + length]
            tile = int(length.max())
            first = int(corner[0]) % tile
            if not ((corner - first) % tile).any():
                # Also where bounds leave room.
                starts.append(np.arange(first, size, tile))
        values = np.unique(np.concatenate(starts))
        axes.append(Axis(name, values[values < size]))
    return (*cube.axes, *axes)


def presence(cube: CubePlan, variable: CubeVariable, axes: tuple[Axis, ...]) -> Presence:
    """Return where a variable has images, along `axes`; see `presence_axes`."""
    shape = tuple(len(axis.values) for axis in axes)
    if cube.grid_kind != "regular":
        return Presence.at(shape, variable.places)
    assert variable.corners is not None
    assert variable.sizes is not None
    ends = variable.corners + variable.sizes
    first = [np.searchsorted(axes[d - 2].values, variable.corners[:, d]) for d in (0, 1)]
    after = [np.searchsorted(axes[d - 2].values, ends[:, d]) for d in (0, 1)]
    # An image may cover several cells, between which others begin or end.
    rows, columns = (end - start for start, end in zip(first, after, strict=True))
    count = rows * columns
    image = np.repeat(np.arange(count.size), count)
    within = np.arange(image.size) - np.repeat(np.cumsum(count) - count, count)
    y = first[0][image] + within // columns[image]
    x = first[1][image] + within % columns[image]
    return Presence.at(shape, np.concatenate([variable.places[image], y[:, None], x[:, None]], 1))


def gaps_of(cube: CubePlan, variable: CubeVariable) -> int:
    """Count the places of a variable without an image."""
    if cube.grid_kind == "regular":
        return presence(cube, variable, presence_axes(cube)).gaps
    # Smaller tiles end within their place.
    return prod(cube.sizes.values()) - variable.rows.size + _partial(cube, variable)


def _partial(cube: CubePlan, variable: CubeVariable) -> int:
    """Count the images that are smaller than a tile."""
    if cube.grid_kind != "tiles" or variable.sizes is None:
        return 0
    sizes = dict(zip(variable.image.dimension_names, variable.image.shape, strict=True))
    return int((variable.sizes < [sizes["y"], sizes["x"]]).any(axis=1).sum())


def filled(cube: CubePlan, on_gap: OnGap, fill_value: float | None, *, is_new: bool) -> CubePlan:
    """Give variables without a nodata value one, or check that they have no gaps.

    Gaps of a cube that is not new depend on the images that it has.

    Raises
    ------
    InvalidOptionError
        Counts the gaps; or the fill value cannot be that of the data type.
    """
    variables = dict(cube.variables)
    for name, variable in cube.variables.items():
        # A place without a mask is masked.
        if variable.is_mask or "_FillValue" in variable.image.attributes:
            continue
        if on_gap != "fill" or fill_value is None:
            count = gaps_of(cube, variable) if is_new else _partial(cube, variable)
            if count:
                url = cube.inventory.table["url"][int(variable.rows[0])].as_py()
                raise gap_error(name, count, _REMEDY, url)
            continue
        image = _with_fill_value(variable.image, fill_value)
        if image.fill_value != variable.image.fill_value:
            _check_dense(cube, name, variable)
        variables[name] = replace(variable, image=image)
    return replace(cube, variables=variables)


def gap_error(name: str, count: int, remedy: str, url: str | None = None) -> MismatchError:
    """Make the error of gaps that readers would take for pixels."""
    where = "1 place" if count == 1 else f"{count:,} places"
    return MismatchError(
        f"variable {name!r} has no image at {where} of the cube, and no nodata value: they would "
        "read as pixels.",
        url=url,
        remedy=remedy,
    )


def _with_fill_value(image: ArrayPlan, value: float) -> ArrayPlan:
    """Return the plan with a nodata value; refuse one that its data type cannot hold."""
    kind = image.data_type.kind
    scalar: int | float | complex
    try:
        cast = image.data_type.type(value)
        scalar = {"f": float, "c": complex}.get(kind, int)(cast)
    except (OverflowError, ValueError, TypeError) as error:
        raise _impossible(image, value) from error
    if kind == "b" or (scalar != value and value == value):
        raise _impossible(image, value)
    attributes = {**image.attributes, "_FillValue": encode_fill_value(scalar)}
    return replace(image, fill_value=scalar, attributes=attributes)


def _impossible(image: ArrayPlan, value: float) -> InvalidOptionError:
    return InvalidOptionError(f"fill_value {value!r} is no value of {image.data_type}.")


def _check_dense(cube: CubePlan, name: str, variable: CubeVariable) -> None:
    """Refuse images with missing chunks, which would read as another value than before."""
    table = cube.inventory.table
    for row in variable.rows.tolist():
        if row_is_sparse(table, row):
            raise InvalidOptionError(
                f"the image has chunks that are not stored, which read as "
                f"{variable.image.fill_value} in {name!r}; a fill value would change them.",
                url=table["url"][row].as_py(),
                remedy=f"Pass fill_value={variable.image.fill_value}, if no other pixel has it.",
            )
