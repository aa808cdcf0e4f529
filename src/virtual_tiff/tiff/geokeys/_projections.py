"""Build user-defined map projections from GeoKeys, as PROJJSON conversions.

`_methods` defines the methods and the keys of their parameters; this module adds values and units,
and chooses the same variant as PROJ and GDAL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from virtual_tiff.json_type import JSON
from virtual_tiff.tiff.geokeys import _methods as table
from virtual_tiff.tiff.geokeys._codes import GeoKeys
from virtual_tiff.tiff.geokeys._methods import Method, ParameterSource, ProjMethod, Quantity


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure with EPSG's name and code; `factor` is in radians, or metres, per unit."""

    name: str
    factor: float
    angular: bool
    epsg: int | None = None

    @property
    def json(self) -> JSON:
        """Return the unit as PROJJSON."""
        if self.name in ("degree", "metre"):
            return self.name
        unit: dict[str, JSON] = {
            "type": "AngularUnit" if self.angular else "LinearUnit",
            "name": self.name,
            "conversion_factor": self.factor,
        }
        if self.epsg is not None:
            unit["id"] = {"authority": "EPSG", "code": self.epsg}
        return unit


# EPSG's value of a degree, which is also PROJ's; π / 180 rounds one digit further.
DEGREE = Unit("degree", 0.0174532925199433, angular=True, epsg=9122)
METRE = Unit("metre", 1.0, angular=False, epsg=9001)


@dataclass(frozen=True, slots=True)
class Units:
    """Units of the projection parameters of a GeoKeyDirectory."""

    angle: Unit = DEGREE
    azimuth: Unit = DEGREE
    length: Unit = METRE

    def of(self, quantity: Quantity) -> Unit:
        """Return the unit of a kind of parameter that has one."""
        if quantity == "length":
            return self.length
        return self.azimuth if quantity == "azimuth" else self.angle


def conversion(code: int, keys: GeoKeys, units: Units) -> dict[str, JSON] | None:
    """Return a map projection as PROJJSON; `None` for a method GeoTIFF 1.1 does not name."""
    try:
        method = _method(ProjMethod(code), keys, units)
    except ValueError:
        return None
    return {
        "type": "Conversion",
        "name": "unnamed",
        "method": _identified(method.name, method.epsg),
        "parameters": [
            {**_identified(parameter.name, parameter.epsg), **_value(parameter.source, keys, units)}
            for parameter in method.parameters
        ],
    }


def _value(source: ParameterSource, keys: GeoKeys, units: Units) -> dict[str, JSON]:
    value = keys.double(*source.keys)
    if source.quantity == "scale":
        return {"value": source.default if value is None else value, "unit": "unity"}
    if value is None:  # defaults are in degrees and metres, independent of the file
        return {"value": source.default, "unit": "metre" if source.is_length else "degree"}
    return {"value": value, "unit": units.of(source.quantity).json}


def _identified(name: str, epsg: int | None) -> dict[str, JSON]:
    if epsg is None:
        return {"name": name}
    return {"name": name, "id": {"authority": "EPSG", "code": epsg}}


def _method(method: ProjMethod, keys: GeoKeys, units: Units) -> Method:
    """Return the operation method; its variant depends on the parameters given."""
    latitude = (keys.double(*table.LAT.keys) or 0.0) * units.angle.factor / DEGREE.factor
    if method == ProjMethod.MERCATOR:
        if keys.double(*table.PARALLEL_1.keys) is not None:
            return table.MERCATOR_B_SHIFTED if latitude else table.MERCATOR_B
        scaled = keys.double(*table.ORIGIN_SCALE.keys) not in (None, 1)
        return table.MERCATOR_B_LATITUDE if latitude and not scaled else table.MERCATOR_A
    if method == ProjMethod.POLAR_STEREOGRAPHIC:
        if keys.double(*table.SCALE.keys) in (None, 1):
            return table.POLAR_B
        return table.POLAR_A if abs(abs(latitude) - 90) < 1e-9 else table.POLAR_WKT1
    if method == ProjMethod.EQUIRECTANGULAR:
        return table.EQUIRECTANGULAR_SHIFTED if latitude else table.EQUIRECTANGULAR
    return table.METHODS[method]


def utm(zone: int, *, north: bool) -> dict[str, JSON]:
    """Return the Transverse Mercator of a UTM zone (1 to 60), as PROJJSON."""
    values = {
        table.LAT: 0.0,
        table.LON: zone * 6.0 - 183.0,
        table.SCALE: 0.9996,
        table.EASTING: 500_000.0,
        table.NORTHING: 0.0 if north else 10_000_000.0,
    }
    keys = GeoKeys({source.keys[0]: value for source, value in values.items()})
    found = conversion(ProjMethod.TRANSVERSE_MERCATOR, keys, Units())
    assert found is not None
    return {**found, "name": f"UTM zone {zone}{'N' if north else 'S'}"}


def axis_directions(conversion: Mapping[str, JSON]) -> tuple[str, str]:
    """Return the directions of the easting and northing axes of a conversion, as in PROJ.

    In a polar projection both axes follow meridians, away from the pole (in Lambert's only if the
    central one is Greenwich); the south orientated Transverse Mercator has westings and southings.
    """
    method = conversion["method"]
    name = str(method["name"]) if isinstance(method, dict) else ""
    latitude, longitude = _origin(conversion)
    if name.lower().startswith("polar") or (
        name == "Lambert Azimuthal Equal Area" and abs(latitude) == 90 and longitude == 0
    ):
        pole = "south" if latitude > 0 else "north"
        return pole, pole
    if name == "Transverse Mercator (South Orientated)":
        return "west", "south"
    return "east", "north"


def _origin(conversion: Mapping[str, JSON]) -> tuple[float, float]:
    """Return the first two parameters: latitude and longitude in the methods used here."""
    parameters = conversion["parameters"]
    values = [
        parameter.get("value")
        for parameter in (parameters if isinstance(parameters, list) else [])[:2]
        if isinstance(parameter, dict)
    ]
    numbers = [float(v) if isinstance(v, int | float) else 0.0 for v in values]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0.0, 0.0)
