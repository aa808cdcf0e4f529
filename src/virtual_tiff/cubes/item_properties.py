"""Properties of STAC Items, or other columns, as coordinates along the first axis of a cube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from virtual_tiff.cubes.coordinate import as_text, times_attributes
from virtual_tiff.cubes.plan import Axis, CubePlan, Rows
from virtual_tiff.errors import InvalidOptionError, MismatchError
from virtual_tiff.json_type import JSON

#: Attribute of such a coordinate, with the name of the property.
ITEM_PROPERTY = "item_property"
#: Stored where an integer, or a time, is missing (`_FillValue`).
_NO_INTEGER = np.iinfo(np.int64).min
#: Stored where a boolean is missing (`_FillValue`).
_NO_BOOLEAN = -1
_KINDS = {"b": "booleans", "i": "integers", "f": "numbers", "T": "text", "M": "times"}
#: Columns with the identifiers of Items.
_ITEM = "item"


@dataclass(frozen=True, slots=True, eq=False)
class Property:
    """One value for each step of an axis.

    Parameters
    ----------
    values
        Booleans, int64, float64, text or `datetime64[us]`, shape `(steps,)`.
    missing
        Where no Item has a value, shape `(steps,)`.
    """

    values: NDArray[Any]
    missing: NDArray[np.bool_]

    @classmethod
    def nothing(cls, size: int) -> Property:
        """Return a property without any value."""
        return cls(np.full(size, np.nan), np.ones(size, bool))

    def take(self, kept: Rows) -> Property:
        """Return the values of some steps."""
        return Property(self.values[kept], self.missing[kept])

    def at(self, positions: Rows, size: int) -> Property:
        """Return the values at other positions of a longer axis."""
        values = np.zeros(size, self.values.dtype)
        missing = np.ones(size, bool)
        values[positions], missing[positions] = self.values, self.missing
        return Property(values, missing)

    def encoded(self) -> tuple[NDArray[Any], dict[str, JSON]]:
        """Values as they are stored, and the attributes that say how (CF sections 2.5.1 and 4.4).

        A missing number is NaN, missing text empty; an integer, boolean or time that is missing
        is `_FillValue`, which only coordinates that lack one have: others keep their type.
        """
        kind = self.values.dtype.kind
        some = bool(self.missing.any())
        if kind == "T":
            return np.where(self.missing, np.array("", self.values.dtype), self.values), {}
        if kind == "f":
            return np.where(self.missing, np.nan, self.values), {}
        if kind == "b":
            stored = np.where(self.missing, _NO_BOOLEAN, self.values).astype(np.int8)
            # xarray makes booleans of integers with this attribute.
            said: dict[str, JSON] = {"_FillValue": _NO_BOOLEAN} if some else {"dtype": "bool"}
            return stored, {"flag_values": [0, 1], "flag_meanings": "false true", **said}
        filled: dict[str, JSON] = {"_FillValue": _NO_INTEGER} if some else {}
        if kind == "M":
            counts, attributes = times_attributes(self.values[~self.missing])
            stored = np.full(self.values.shape, _NO_INTEGER, np.int64)
            stored[~self.missing] = counts
            return stored, {**attributes, **filled}
        return np.where(self.missing, _NO_INTEGER, self.values), filled

    @classmethod
    def decoded(cls, stored: NDArray[Any], times: NDArray[Any] | None) -> Property:
        """Read stored values back; `times` are the same if they are times."""
        kind = stored.dtype.kind
        if kind == "T":
            return cls(stored, stored == "")
        if kind == "f":
            return cls(stored, np.isnan(stored))
        if stored.dtype == np.int8:
            return cls(stored == 1, stored == _NO_BOOLEAN)
        return cls(stored if times is None else times, stored == _NO_INTEGER)


def item_property(cube: CubePlan, name: str) -> Property | None:
    """Return the values of a column at the steps of the first axis of a cube.

    Returns
    -------
    Property
        `None` if there is no such column.

    Raises
    ------
    InvalidOptionError
        The values are lists or objects.
    MismatchError
        Two images of one step have different values; names their Items.
    """
    table = cube.inventory.table
    if name not in table.column_names:
        return None
    everything = _values_of(table[name], name)
    axis = cube.axes[0]
    variables = [v for v in cube.variables.values() if not v.is_mask]
    rows = np.concatenate([v.rows for v in variables])
    steps = np.concatenate([v.places[:, 0] for v in variables])
    said = ~everything.missing[rows]
    rows, steps = rows[said], steps[said]
    values = everything.values[rows]
    found, first = np.unique(steps, return_index=True)
    expected = values[first][np.searchsorted(found, steps)]
    odd = np.flatnonzero(values != expected)
    if odd.size:
        one = int(rows[first[np.searchsorted(found, steps[odd[0]])]])
        other = int(rows[odd[0]])
        a, b = (as_text(everything.values[[row]])[0] for row in (one, other))
        raise MismatchError(
            f"{name!r} is {a!r} in {_item(table, one)}, but {b!r} in {_item(table, other)}, and "
            f"both are at {axis.name} {as_text(axis.values[steps[odd[:1]]])[0]}.",
            url=table["url"][other].as_py(),
            remedy="Leave it out of item_properties, or stack along another column.",
        )
    return Property(values[first], np.zeros(found.size, bool)).at(found, len(axis.values))


def check_item_properties(cube: CubePlan) -> None:
    """Check that the requested properties can be coordinates.

    Raises
    ------
    InvalidOptionError
        There is no such column, no stacked axis, or the values are lists or objects.
    MismatchError
        Two images of one step have different values.
    """
    for name in cube.item_properties:
        if not cube.axes or cube.axes[0].is_of_tiles:
            raise InvalidOptionError(
                f"the cube is not stacked, so {name!r} has no dimension.",
                remedy="Pass along=, or leave item_properties out.",
            )
        if item_property(cube, name) is None:
            raise InvalidOptionError(
                f"there is no column {name!r} for item_properties.",
                remedy=f"The caller's columns are: "
                f"{', '.join(cube.inventory.own_columns) or 'none'}.",
            )


def joined(
    name: str,
    there: Property,
    added: Property,
    replaced: NDArray[np.bool_],
    axis: Axis,
) -> Property:
    """Join the values that a cube has with those of images that are added, on one axis.

    Parameters
    ----------
    name
        Of the property.
    there, added
        At all steps of the axis.
    replaced
        Steps with images that take the place of others, whose new values count.
    axis
        All steps.

    Raises
    ------
    MismatchError
        They are of different kinds, or a step has another value.
    """
    there, added = _alike(name, there, added)
    both = ~there.missing & ~added.missing & ~replaced
    odd = np.flatnonzero(both & (there.values != added.values))
    if odd.size:
        a, b = (as_text(each.values[odd[:1]])[0] for each in (there, added))
        step = as_text(axis.values[odd[:1]])[0]
        raise MismatchError(
            f"{name!r} is {b!r} at {axis.name} {step}, but {a!r} in the cube.",
            remedy='Pass on_present="replace" with all images of the step.',
        )
    values = np.where(added.missing, there.values, added.values)
    return Property(values, there.missing & added.missing)


def _alike(name: str, *both: Property) -> tuple[Property, Property]:
    """Give two properties one data type; one without values takes that of the other."""
    kinds = {each.values.dtype.kind for each in both if not each.missing.all()}
    if len(kinds) > 1 and kinds != {"i", "f"}:
        first, second = (_KINDS[each.values.dtype.kind] for each in both)
        raise MismatchError(
            f"{name!r} is {first} in the cube, but {second} in the Items.",
            remedy=f"Leave {name!r} out of the table, or give it the type that it has in the cube.",
        )
    kind = "f" if len(kinds) != 1 else kinds.pop()
    dtype = next(
        (p.values.dtype for p in both if p.values.dtype.kind == kind), both[0].values.dtype
    )
    one, other = (
        Property(np.zeros(p.values.shape, dtype), p.missing)
        if p.missing.all()
        else Property(p.values.astype(dtype), p.missing)
        for p in both
    )
    return one, other


def _values_of(column: pa.ChunkedArray, name: str) -> Property:
    """Return a column of a table as values."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    missing = values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_null(kind):
        return Property.nothing(len(values))
    if pa.types.is_boolean(kind):
        return Property(values.fill_null(False).to_numpy(zero_copy_only=False), missing)
    try:
        if pa.types.is_integer(kind):
            found = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            return Property(found, missing | (found == _NO_INTEGER))
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            found = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            return Property(found, missing | np.isnan(found))
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            # A time of the caller's own zone is stored in UTC, as others are.
            times = values.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
            return Property(
                times.cast(pa.int64()).to_numpy(zero_copy_only=False).astype("M8[us]"), missing
            )
        if (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_string_view(kind)
        ):
            texts = np.array([text or "" for text in values.to_pylist()], np.dtypes.StringDType())
            return Property(texts, missing | (texts == ""))
    except pa.ArrowInvalid as error:
        raise InvalidOptionError(f"column {name!r} cannot be a coordinate: {error}") from error
    raise InvalidOptionError(
        f"column {name!r} is {kind}, which cannot be a coordinate.",
        remedy="Use times, numbers, booleans or text.",
    )


def _item(table: pa.Table, row: int) -> str:
    """Name the Item of an image, or its file."""
    found = table[_ITEM][row].as_py() if _ITEM in table.column_names else None
    return str(table["url"][row].as_py()) if found is None else f"Item {found!r}"
