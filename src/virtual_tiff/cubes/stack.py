"""Plan a cube from the images of an inventory.

Images must share grid and encoding; differences are reported, never resampled. This module does no
I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.choices import OnDuplicate, check_choice
from virtual_tiff.cubes.agreement import GRID, check_encodings, check_grids, shared_band_names
from virtual_tiff.cubes.overviews import overview_rows
from virtual_tiff.cubes.placing import coordinate_of, placed, stackable, variable_names
from virtual_tiff.cubes.plan import Band, CubePlan, CubeVariable, ImageGrid, Rows, image_of_band
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.attributes import of_one_band
from virtual_tiff.planning.names import check_name
from virtual_tiff.planning.plan import ArrayPlan

#: Dimension of a cube that is stacked along the column `datetime`.
TIME = "time"
DEFAULT_VARIABLE = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeOptions:
    """Options of a cube.

    Parameters
    ----------
    along
        Column whose values order the images; `datetime` makes the dimension `time`.
    variable
        Column that names the variable of each image.
    variable_pattern
        Regular expression such as `_(red|nir)` whose group finds the name of the variable in a URL,
        if no column has it.
    name
        Name of the only variable, if neither is given.
    split_bands
        Make each band of planar images a variable, named by its description if each band has
        another one, else by its number: `data_1`.
    on_duplicate
        Which of several images at the same position of a variable is used: the `first` or `last` in
        the inventory, or the `newest` (by time of the last change); `raise` refuses them.
    overviews
        Make a pyramid: a cube of the images in the group `0`, and one of each level of their
        overviews in `1`, `2`, …. All images must have overviews of the same sizes, and the
        inventory must contain them: `scan(…, parser=VirtualTIFF())` reads all images of a file.
    coordinates
        Whether to write x, y and band.
    """

    along: str = "datetime"
    variable: str | None = None
    variable_pattern: str | None = None
    name: str = DEFAULT_VARIABLE
    split_bands: bool = False
    on_duplicate: OnDuplicate = "raise"
    overviews: bool = False
    coordinates: bool = True

    def __post_init__(self) -> None:
        check_choice("on_duplicate", self.on_duplicate, OnDuplicate)
        check_name(self.dimension, "dimension")
        if self.variable is None and self.variable_pattern is None and not self.split_bands:
            check_name(self.name, "variable", taken=(self.dimension,))

    @property
    def dimension(self) -> str:
        """Name of the dimension along which images are stacked, and of its coordinate."""
        return TIME if self.along == "datetime" else self.along


def plan_cube(inventory: Inventory, options: CubeOptions | None = None) -> CubePlan:
    """Plan the cube of some images.

    Parameters
    ----------
    inventory
        Images to stack. Rows with an error, masks and, unless requested, overviews are ignored.
    options
        Options of a cube.

    Raises
    ------
    MismatchError
        Images differ in grid, encoding or meaning of their values; names the first and counts the
        others.
    InvalidOptionError
        A column is absent or has nulls; two images have the same position (kind `duplicate`); there
        are no images (kind `no-sources`).
    """
    options = options or CubeOptions()
    images = stackable(inventory)
    names = np.array(
        variable_names(images, options.variable, options.variable_pattern, options.name),
        np.dtypes.StringDType(),
    )
    check_grids(images.table)
    coordinate, step = coordinate_of(images, options.along)
    places = {}
    for label in sorted(set(names.tolist())):
        members = np.flatnonzero(names == label)
        places[label] = placed(
            images, members, step, len(coordinate), options.on_duplicate, options.along
        )
    cube = _cube(images, coordinate, places, options)
    if not options.overviews:
        return cube
    overviews = []
    for level, rows in overview_rows(inventory, images, np.concatenate([*places.values()])):
        check_grids(level.table)
        below = {label: np.where(place < 0, -1, rows[place]) for label, place in places.items()}
        overviews.append(_cube(level, coordinate, below, options))
    return replace(cube, overviews=tuple(overviews))


def _cube(
    images: Inventory,
    coordinate: NDArray[np.generic],
    places: Mapping[str, Rows],
    options: CubeOptions,
) -> CubePlan:
    """Make variables of images with known positions and equal grids."""
    variables: dict[str, CubeVariable] = {}
    # References are most of a table, and are not needed here.
    said = images.table.drop_columns(["offsets", "lengths", "inline"])
    for label, place in places.items():
        members = place[place >= 0]
        attributes = check_encodings(said.take(pa.array(members)))
        image = replace(images.plan(int(members[0])), attributes=attributes)
        parts: dict[str, tuple[ArrayPlan, Band | None]] = {label: (image, None)}
        if options.split_bands:
            parts = _bands(label, image, alone=len(places) == 1)
        for name, (array, band) in parts.items():
            if name in variables:
                raise InvalidOptionError(f"two variables would be named {name!r}.")
            variables[name] = CubeVariable(image=array, rows=place, band=band)
    _check_dimensions(variables)
    _check_names(images, variables, options)
    cube = CubePlan(
        dimension=options.dimension,
        coordinate=coordinate,
        variables=variables,
        grid=ImageGrid.of_row(images.table.select(list(GRID)).slice(0, 1).to_pylist()[0]),
        inventory=images,
    )
    if not cube.bands:
        return cube
    of_bands = [
        v.rows[v.rows >= 0] for v in variables.values() if "band" in v.image.dimension_names
    ]
    table = said.take(pa.array(np.concatenate(of_bands)))
    return replace(cube, band_names=shared_band_names(table))


def _bands(
    label: str, image: ArrayPlan, *, alone: bool
) -> dict[str, tuple[ArrayPlan, Band | None]]:
    """Split the bands of planar images, which have separate chunks.

    They are named by their descriptions, if each has another one; `alone` says that no other
    variable can have the same.
    """
    if "band" not in image.dimension_names:
        return {label: (image, None)}
    axis = image.dimension_names.index("band")
    if image.chunk_shape[axis] != 1:
        raise InvalidOptionError(
            "the bands share their chunks, so they cannot be split by reference.",
            url=None if image.source is None else image.source.url,
            remedy="Omit split_bands: the variable has a band dimension.",
        )
    count = image.shape[axis]
    one = image_of_band(image, axis)
    names = _names_of_bands(label, image.attributes.get("long_name"), count, alone=alone)
    found: dict[str, tuple[ArrayPlan, Band | None]] = {}
    for i in range(count):
        attributes = of_one_band(
            dict(image.attributes), i + 1, count, real=image.data_type.kind != "c"
        )
        found[names[i]] = (replace(one, attributes=attributes), Band(i, axis, count))
    return found


def _names_of_bands(label: str, names: JSON, count: int, *, alone: bool) -> list[str]:
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    usable = len(set(texts)) == count and all(name and "/" not in name for name in texts)
    if not usable:
        return [f"{label}_{number}" for number in range(1, count + 1)]
    return texts if alone else [f"{label}_{name}" for name in texts]


def _check_dimensions(variables: Mapping[str, CubeVariable]) -> None:
    """Check that each dimension has one size in the group."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, variable in variables.items():
        image = variable.image
        for dimension, size in zip(image.dimension_names, image.shape, strict=True):
            known, owner = sizes.setdefault(dimension, (size, name))
            if known != size:
                raise MismatchError(
                    f"dimension {dimension!r} is {size} long in variable {name!r}, but {known} in "
                    f"{owner!r}.",
                    url=None if image.source is None else image.source.url,
                    remedy="Publish the variables as separate cubes, or groups.",
                )


def _check_names(
    images: Inventory, variables: Mapping[str, CubeVariable], options: CubeOptions
) -> None:
    """No name is that of two things in a group."""
    dimensions = {name for v in variables.values() for name in v.image.dimension_names}
    check_name(options.dimension, "dimension", taken=dimensions)
    for name, variable in variables.items():
        url = images.table["url"][int(variable.rows[variable.rows >= 0][0])].as_py()
        check_name(name, "variable", taken={options.dimension, *dimensions}, url=url)
        if options.overviews and name.isdecimal():
            raise InvalidOptionError(
                f"a variable of a cube with overviews cannot be named {name!r}, as levels are.",
                url=url,
                remedy="Name the variable with a letter in it, or leave overviews out.",
            )
