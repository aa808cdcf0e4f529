"""Where the variables of a cube have images, after more of them were added."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import Merged, merge
from virtual_tiff.cubes.extending import url_of
from virtual_tiff.cubes.gaps import PRESENT, Presence, gap_error, presence, presence_axes
from virtual_tiff.cubes.growth import Growth
from virtual_tiff.cubes.plan import Axis, CubePlan, CubeVariable
from virtual_tiff.errors import ErrorKind, InvalidOptionError
from virtual_tiff.publishing.coordinate import (
    read_coordinate,
    read_presence,
    write_coordinate,
    write_presence,
)

_REMEDY = (
    'Append images for all of them at once, or make the cube with on_gap="fill" and a fill_value.'
)


@dataclass(frozen=True, slots=True, eq=False)
class PresenceUpdate:
    """Arrays of presence to write: `after` by name of the variable, along `axes`."""

    axes: tuple[Axis, ...]
    after: Mapping[str, Presence]

    @classmethod
    def read(
        cls,
        group: zarr.Group,
        cube: CubePlan,
        arrays: Collection[str],
        axes: Sequence[Merged],
        renewing: Mapping[str, NDArray[np.bool_]],
        growth: Growth,
    ) -> Self:
        """Add the images of a cube to those that the group has.

        Parameters
        ----------
        group
            Of the cube, before arrays are resized.
        cube
            The images to add, at their places on the grid that has grown.
        arrays
            Names of the variables that the group has.
        axes
            Values along the axes of the cube, together.
        renewing
            By name of the variable, which images take the places of others.
        growth
            Of a regular grid.

        Raises
        ------
        MismatchError
            There would be gaps in a variable without a nodata value.
        InvalidOptionError
            With kind `duplicate`: images of a regular grid overlap with others.
        """
        ours = presence_axes(cube)
        together = list(axes)
        # The cells of a regular grid that are there, among all that begin in the grid of now.
        own = [slice(None)] * len(together)
        for axis, begin, old, size in zip(
            ours[len(axes) :], growth.before, growth.old, growth.shape, strict=False
        ):
            # Without gaps, a regular grid has no axes of tiles: its images fill it.
            there = read_coordinate(group, axis.name) if axis.name in group else np.zeros(1, int)
            # Empty ones before and after them.
            more = [0] * (begin > 0), [begin + old] * (begin + old < size)
            first, end = (np.array(each, np.int64) for each in more)
            together.append(merge(np.concatenate([first, there + begin, end]), axis.values))
            own.append(slice(first.size, first.size + there.size))
        all_axes = tuple(
            Axis(axis.name, merged.values) for axis, merged in zip(ours, together, strict=True)
        )
        shape = tuple(len(axis.values) for axis in all_axes)
        before = tuple(m.old[part].size for m, part in zip(together, own, strict=True))
        after: dict[str, Presence] = {}
        masks = {str(group[name].attrs.get("ancillary_variables")) for name in arrays}
        masks |= {name for name, variable in cube.variables.items() if variable.is_mask}
        for name in {**dict.fromkeys(arrays), **cube.variables}:
            if name in masks:
                continue
            has_gaps = f"{name}{PRESENT}" in group
            # Else all places of the cube would be listed only to find that none is empty.
            is_full = name in arrays and not has_gaps and cube.grid_kind != "regular"
            if is_full and not _gaps_beside(cube.variables.get(name), axes):
                continue
            found = Presence(shape, np.empty(0, np.int64))
            if name in arrays:
                found = read_presence(group, f"{name}{PRESENT}", before)
                for number, merged in enumerate(together):
                    places = merged.old[own[number]]
                    found = found.along(number, places, shape[number])
                    if number >= len(axes):
                        # Cells that are split: their parts have what the whole had.
                        ends = np.append(merged.old[1:], shape[number])[own[number]]
                        count = np.zeros(shape[number], np.int64)
                        count[places] = ends - places
                        found = found.spread(number, count)
            variable = cube.variables.get(name)
            if variable is not None:
                steps = [m.new[variable.places[:, i]] for i, m in enumerate(axes)]
                moved = np.stack(steps, axis=1) if steps else variable.places
                variable = replace(variable, places=moved)
                if cube.grid_kind == "regular" and name in arrays:
                    _check_apart(cube, name, variable, renewing[name], found, all_axes)
                found = found | presence(cube, variable, all_axes)
            if not found.gaps and not has_gaps:
                continue
            after[name] = found
            gaps = found.gaps
            attributes: Any = group[name].attrs if name in arrays else {}
            if variable is not None and name not in arrays:
                attributes = variable.image.attributes
            if gaps and "_FillValue" not in attributes:
                raise gap_error(name, gaps, _REMEDY)
        return cls(all_axes, after)

    def write(self, group: zarr.Group) -> None:
        """Write them, with the coordinates that only they have."""
        for axis in self.axes if self.after else ():
            write_coordinate(group, axis.name, axis.values)
        for name, values in self.after.items():
            write_presence(group, f"{name}{PRESENT}", self.axes, values)


def _gaps_beside(variable: CubeVariable | None, axes: Sequence[Merged]) -> int:
    """Count the gaps that images leave in a variable that has had none, without listing places."""
    shape = tuple(len(merged.values) for merged in axes)
    empty = prod(shape) - prod(merged.old.size for merged in axes)
    if variable is None or not empty:
        return empty
    places = [merged.new[variable.places[:, i]] for i, merged in enumerate(axes)]
    taken = np.ones(variable.rows.size, bool)
    for merged, along in zip(axes, places, strict=True):
        known = np.zeros(len(merged.values), bool)
        known[merged.old] = True
        taken &= known[along]
    filled = Presence.at(shape, np.stack([along[~taken] for along in places], axis=1))
    return empty - filled.cells.size


def _check_apart(
    cube: CubePlan,
    name: str,
    variable: CubeVariable,
    renewing: NDArray[np.bool_],
    there: Presence,
    axes: tuple[Axis, ...],
) -> None:
    """Refuse images that lie upon others of a regular grid, but for those that they renew."""
    new = variable.of(~renewing)
    if not np.intersect1d(presence(cube, new, axes).cells, there.cells).size:
        return
    odd = [
        image
        for image in range(new.rows.size)
        if np.isin(presence(cube, new.of(np.array([image])), axes).cells, there.cells).any()
    ]
    raise InvalidOptionError(
        f"{len(odd)} of {cube.images} images overlap with others that variable {name!r} has.",
        kind=ErrorKind.DUPLICATE,
        url=url_of(cube, new, odd[0]),
        remedy='A cube with grid="tiles" holds images that overlap.',
    )
