"""What cubes say of their values, and their files do not, from STAC Items or a given fill value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import zarr

from virtual_tiff.cubes.options import CubeOptions
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.inventory.arrow import with_cells
from virtual_tiff.inventory.table import SCHEMA, Inventory
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.agreement import MEANING, Document, listed, readable
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.sources_table import Sources

_FILL_VALUE = "_FillValue"
#: What Items and options may add.
_KEYS = (*MEANING, "long_name")


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Images of cubes whose files have not changed.

    Parameters
    ----------
    sources
        Rows of the table of sources, of images that have a place in a cube.
    changed
        URLs of the other files.
    read
        Scans one file.
    """

    sources: Sources
    changed: Set[str]
    read: Callable[[str], Inventory]

    def attributes(self, array: str) -> Document | None:
        """Read the attributes of one of the images of an array; `None` if all have changed."""
        names = ("array", "url", "ifd")
        for path, url, ifd in zip(*(self.sources[n].tolist() for n in names), strict=True):
            if path == array and url not in self.changed:
                table = self.read(url).images.table
                pairs = zip(table["ifd"].to_pylist(), table["attributes"].to_pylist(), strict=True)
                texts = [text for number, text in pairs if number == ifd]
                return json.loads(texts[0]) if texts else None
        return None


def added_meaning(
    group: zarr.Group, path: str, cube: CubePlan, unchanged: Unchanged
) -> dict[str, JSON]:
    """Return attributes that an array of a cube has, and neither changed nor unchanged images.

    Files that have changed may have lost what they said of their values. What an unchanged file
    does not say either has come from elsewhere, and holds for all.

    Parameters
    ----------
    group, path
        The full resolution of the cube.
    cube
        The plan of the changed images.
    unchanged
        The other images.
    """
    found: dict[str, JSON] = {}
    for name, variable in cube.variables.items():
        if variable.is_mask or name not in group:
            continue
        there: Mapping[str, Any] = dict(group[name].attrs)
        keys = [key for key in _KEYS if key in there and key not in variable.image.attributes]
        if variable.band is not None:
            # Attributes of a band have other names in those of its image.
            keys = [key for key in keys if key == _FILL_VALUE]
        said = unchanged.attributes(f"{key_prefix(path)}{name}") if keys else None
        if said is not None:
            found |= {key: listed(key, there[key]) for key in keys if key not in said}
    return found


def with_meaning(
    table: pa.Table, options: CubeOptions, added: Mapping[str, JSON]
) -> tuple[pa.Table, CubeOptions]:
    """Add attributes to the images of a table, and a fill value to the options of their cube."""
    others = {key: value for key, value in added.items() if key != _FILL_VALUE}
    if others:
        roles, texts = (table[name].to_pylist() for name in ("role", "attributes"))
        completed = [
            text if role == "mask" else json.dumps({**json.loads(text), **others})
            for role, text in zip(roles, texts, strict=True)
        ]
        table = with_cells(table, SCHEMA.field("attributes"), completed)
    value = readable(_FILL_VALUE, added.get(_FILL_VALUE))
    if isinstance(value, int | float):
        options = replace(options, on_gap="fill", fill_value=value)
    return table, options
