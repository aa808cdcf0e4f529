"""Find the overviews of the images of an inventory, level by level."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.inventory.table import Inventory

type Key = tuple[str, str]


def overview_rows(
    inventory: Inventory, images: Inventory, chosen: NDArray[np.int64]
) -> Iterator[tuple[Inventory, NDArray[np.int64]]]:
    """Find the overviews of images, from the largest level to the smallest.

    Yields the overviews of one level, and the row of each image in them; -1 for those that are not
    in `chosen`, the rows of images that must have overviews, of which negative ones are ignored.
    """
    overviews = inventory.images
    overviews = overviews.filter(pc.equal(overviews.table["role"], "overview"))
    if len(overviews) == 0:
        raise InvalidOptionError(
            "the inventory has no overviews.",
            url=images.table["url"][0].as_py(),
            remedy="Scan all images of each file (parser=VirtualTIFF()), or omit overviews.",
        )
    of_image = _by_image(overviews)
    keys = _keys(images, "ifd")
    bands = images.table["bands"].to_pylist()
    rows = np.unique(chosen[chosen >= 0]).tolist()
    found = {row: [o for o, count in of_image[keys[row]] if count == bands[row]] for row in rows}
    depth = Counter(len(each) for each in found.values()).most_common(1)[0][0]
    odd = [row for row in rows if len(found[row]) != depth]
    if odd or not depth:
        row = odd[0] if odd else rows[0]
        raise MismatchError(
            f"the image has {len(found[row])} overviews, but {len(rows) - len(odd)} of "
            f"{len(rows)} images have {depth}.",
            url=keys[row][0],
            remedy="Omit overviews, or build the same ones for all images.",
        )
    for level in range(depth):
        members = np.array([found[row][level] for row in rows])
        of_level = np.full(len(images), -1, np.int64)
        of_level[rows] = np.arange(len(rows))
        yield Inventory(overviews.table.take(pa.array(members))), of_level


def _by_image(overviews: Inventory) -> dict[Key, list[tuple[int, int]]]:
    """Return rows and band counts of overviews by image, the largest first."""
    table = overviews.table
    area = pc.multiply(table["width"], table["height"]).to_pylist()
    ifds, bands = table["ifd"].to_pylist(), table["bands"].to_pylist()
    found: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    seen: set[Key] = set()
    for row, key in enumerate(_keys(overviews, "full_ifd")):
        # A file that is named twice has its rows twice.
        if (key[0], ifds[row]) not in seen:
            seen.add((key[0], ifds[row]))
            found[key].append((row, bands[row]))
    for rows in found.values():
        # Stable, so that levels of equal size keep the order of the file.
        rows.sort(key=lambda entry: area[entry[0]], reverse=True)
    return found


def _keys(inventory: Inventory, column: str) -> list[Key]:
    table = inventory.table
    return list(zip(table["url"].to_pylist(), table[column].to_pylist(), strict=True))
