"""`SourceOptions`: how tables of sources and STAC Items are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypedDict

from virtual_tiff.choices import StacMetadata, check_choice
from virtual_tiff.errors import InvalidOptionError

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry


class StoreArguments(TypedDict, total=False):
    """Stores of the files, of all functions that read some.

    Parameters
    ----------
    registry
        Stores for the files. By default obstore's, with credentials from the environment.
    anonymous
        Read the files without credentials, as for public buckets.
    """

    registry: ObjectStoreRegistry[Any] | None
    anonymous: bool


class AssetArguments(TypedDict, total=False):
    """The fields of `SourceOptions` that choose files, as arguments."""

    url_column: str
    assets: Sequence[str] | None
    asset_roles: Sequence[str] | None
    asset_gsd: float | None
    alternate: str | None
    stac_metadata: StacMetadata
    bbox: Sequence[float] | None
    datetime: str | None


class SourceArguments(StoreArguments, AssetArguments, total=False):
    """How sources are resolved, for all functions that take some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Options for resolving sources.

    Parameters
    ----------
    url_column
        Column of a table that holds URLs or paths.
    datetime_column
        Column of a table, or property of a STAC Item, that holds the time. By default a column
        named `datetime`.
    assets
        Keys of the assets of STAC Items, or patterns such as `B0*` for some of the TIFFs; `None`
        for all TIFFs but previews. An Item without one of them is a gap.
    asset_roles
        Roles of assets, of which one is enough, such as `reflectance`.
    asset_gsd
        Resolution of assets in metres, as the Item says it.
    alternate
        Name of the alternate address of the assets to use, such as `s3`.
    stac_metadata
        Whether to `use` what Items say about values and bands, or to `ignore` it.
    bbox, datetime
        West, south, east and north in degrees, and time or interval (RFC 3339, such as `2024-06` or
        `2024-01-01/2024-12-31`), of the search for a source `catalog:NAME`.
    """

    url_column: str = "url"
    datetime_column: str | None = None
    assets: Sequence[str] | None = None
    asset_roles: Sequence[str] | None = None
    asset_gsd: float | None = None
    alternate: str | None = None
    stac_metadata: StacMetadata = "use"
    bbox: Sequence[float] | None = None
    datetime: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Take the fields out of arguments, by their names."""
        return cls(**{name: given[name] for name in cls.__dataclass_fields__ if name in given})

    def __post_init__(self) -> None:
        check_choice("stac_metadata", self.stac_metadata, StacMetadata)
        for name in ("assets", "asset_roles"):
            if isinstance(getattr(self, name), str):
                # A text is a sequence of its letters, which is never meant.
                raise InvalidOptionError(
                    f"{name} is a text, but must be a list.",
                    remedy=f"Write {name}=[{getattr(self, name)!r}].",
                )
