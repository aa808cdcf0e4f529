"""Find registered CRSs by name, since citations name systems that have no code in keys."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import pyproj
from pyproj.database import query_crs_info
from pyproj.enums import PJType
from pyproj.exceptions import CRSError

type Kind = Literal["projected", "geographic", "vertical"]

_KINDS: dict[Kind, list[PJType]] = {
    "projected": [PJType.PROJECTED_CRS],
    "geographic": [PJType.GEOGRAPHIC_2D_CRS, PJType.GEOGRAPHIC_3D_CRS],
    "vertical": [PJType.VERTICAL_CRS],
}


def code_of_name(name: str, kind: Kind) -> str | None:
    """Return the code of a registered CRS by name, such as `EPSG:5070`; EPSG's first."""
    if name in ("unnamed", "unknown"):
        return None
    for registry in ("EPSG", "ESRI", "IAU_2015"):
        if (code := _names(registry, kind).get(name)) is not None:
            return code
    return _code_of_alias(name) if "_" in name else None


@lru_cache(maxsize=9)
def _names(registry: str, kind: Kind) -> dict[str, str]:
    return {
        info.name: f"{info.auth_name}:{info.code}"
        for info in query_crs_info(auth_name=registry, pj_types=_KINDS[kind])
    }


@lru_cache(maxsize=256)
def _code_of_alias(name: str) -> str | None:
    """Return the code of a CRS by its ArcGIS name."""
    try:
        found = pyproj.CRS.from_user_input(name).to_authority()
    except CRSError:
        return None
    return ":".join(found) if found is not None else None
