"""Where the variables of a cube have images, after more of them were added."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import zarr

from virtual_tiff.cubes.coordinate import Merged, merge
from virtual_tiff.cubes.gaps import PRESENT, Presence, gap_error, presence, presence_axes
from virtual_tiff.cubes.plan import Axis, CubePlan
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
        cls, group: zarr.Group, cube: CubePlan, arrays: Collection[str], axes: Sequence[Merged]
    ) -> Self:
        """Add the images of a cube to those that the group has.

        Parameters
        ----------
        group
            Of the cube, before arrays are resized.
        cube
            The images to add.
        arrays
            Names of the variables that the group has.
        axes
            Values along the axes of the cube, together.

        Raises
        ------
        MismatchError
            There would be gaps in a variable without a nodata value.
        """
        ours = presence_axes(cube)
        together = list(axes)
        for axis in ours[len(axes) :]:
            # Without gaps, a regular grid has no axes of tiles: its images fill it.
            there = read_coordinate(group, axis.name) if axis.name in group else axis.values[:1]
            together.append(merge(there, axis.values))
        all_axes = tuple(
            Axis(axis.name, merged.values) for axis, merged in zip(ours, together, strict=True)
        )
        shape = tuple(len(axis.values) for axis in all_axes)
        before = tuple(m.old.size for m in together)
        after: dict[str, Presence] = {}
        masks = {str(group[name].attrs.get("ancillary_variables")) for name in arrays}
        masks |= {name for name, variable in cube.variables.items() if variable.is_mask}
        for name in {**dict.fromkeys(arrays), **cube.variables}:
            if name in masks:
                continue
            found = Presence(shape, np.empty(0, np.int64))
            if name in arrays:
                found = read_presence(group, f"{name}{PRESENT}", before)
                for number, merged in enumerate(together):
                    found = found.along(number, merged.old, shape[number])
                    if number >= len(axes):
                        # Cells that are split: their parts have what the whole had.
                        ends = np.append(merged.old[1:], shape[number])
                        count = np.zeros(shape[number], np.int64)
                        count[merged.old] = ends - merged.old
                        found = found.spread(number, count)
            variable = cube.variables.get(name)
            if variable is not None:
                places = [m.new[variable.places[:, i]] for i, m in enumerate(axes)]
                moved = np.stack(places, axis=1) if places else variable.places
                found = found | presence(cube, replace(variable, places=moved), all_axes)
            if not found.gaps and f"{name}{PRESENT}" not in group:
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
