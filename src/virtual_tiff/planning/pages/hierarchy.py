"""Plan series of pages as arrays with more dimensions, in groups of OME-Zarr.

An image of one resolution is the array `image` of its group. One of several has a group for each,
`0`, `1`, …, with an array `image`, as the layout `multiscale` has them. Images of a file with
several are in groups `0`, `1`, … by their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from virtual_tiff.errors import InvalidOptionError, InvalidTIFFError
from virtual_tiff.json_type import JSON
from virtual_tiff.messages import redacted_links
from virtual_tiff.planning.arrangement import PlanOptions, without_grid_mapping
from virtual_tiff.planning.attributes import noted
from virtual_tiff.planning.hierarchy import check_undamaged, damaged_overview, find_ifd
from virtual_tiff.planning.pages.arrays import LevelPlan, Pages
from virtual_tiff.planning.pages.ome_zarr import (
    collection_attributes,
    factors_of,
    image_attributes,
    is_image,
    omero_channels,
    plate_attributes,
    rgb_channels,
    row_name,
    series_attributes,
    steps_of,
    well_attributes,
)
from virtual_tiff.planning.plan import ArrayPlan, GroupPlan
from virtual_tiff.planning.variables import (
    band_names,
    band_numbers,
    coordinate,
    grid_mapping,
    positions,
    scalar_text,
)
from virtual_tiff.tiff.ifd import Header, walk_ifds
from virtual_tiff.tiff.ome_xml import ome_xml_of
from virtual_tiff.tiff.relations import left_out, relate
from virtual_tiff.tiff.series import SLIDES, Channel, IFDPath, Series, Well

#: Name of the array of every image.
NAME = "image"
#: Group and name of the whole OME-XML ("bioformats2raw.layout").
OME, METADATA = "OME", "METADATA.ome.xml"


def plan_pages(
    header: Header,
    series: Sequence[Series],
    options: PlanOptions,
    *,
    ifd: IFDPath | None,
    copies: Mapping[IFDPath, ArrayPlan] | None = None,
) -> GroupPlan:
    """Plan the series of a TIFF.

    Parameters
    ----------
    header
        All directories of the file.
    series
        Series of the file.
    options
        Axes and coordinates.
    ifd
        Path of a page of the one series to plan; `None` for all.
    copies
        Arrays of pages that cannot be referenced, by path.

    Raises
    ------
    MismatchError
        Pages of one series differ in shape, data type, encoding, chunks or fill value.
    InvalidTIFFError, UnsupportedTIFFError
        With the URL and the directory at fault.
    InvalidOptionError
        With kind `ifd-out-of-range`; or the directory is in no series.
    """
    check_undamaged(header, "pages")
    if ifd is not None:
        find_ifd(header, ifd)
        series = [one for one in series if one.holds(ifd)][:1]
        if not series:
            raise InvalidOptionError(
                "the directory is a page of no image.",
                url=header.source.url,
                ifd=ifd,
                remedy='The layout "flat" has it as an array.',
            )
    directories = {directory.index: directory for directory in walk_ifds(header.ifds)}
    pages = Pages(header.source, directories, options.image, copies or {}, options.check)
    series = [replace(one, name=_name(one, header)) for one in series]
    if ifd is None:
        series = _with_left_out(series, header)
    plans: list[tuple[Series, list[LevelPlan]]] = []
    for one in series:
        try:
            plans.append((one, pages.levels(one)))
        except InvalidTIFFError as error:
            _leave_out(one, plans, header, error)
    series = [one for one, _ in plans]
    groups = [_group(one, levels, options) for one, levels in plans]
    text = _ome_xml(header)
    wells = [one.well for one in series if one.well is not None]
    if len(wells) == len(series) and len(set(wells)) == len(wells) and _one_plate(wells):
        return _plate(wells, groups, text)
    if len(groups) == 1:
        if not text:
            return groups[0]
        return replace(groups[0], groups={**groups[0].groups, OME: GroupPlan(arrays=text)})
    names = [str(i) for i in range(len(groups))]
    children = dict(zip(names, groups, strict=True))
    if not all("ome" in group.attributes for group in groups):
        return GroupPlan(groups=children | ({OME: GroupPlan(arrays=text)} if text else {}))
    ome = GroupPlan(arrays=text, attributes=series_attributes(names))
    return GroupPlan(groups={**children, OME: ome}, attributes=collection_attributes())


def _leave_out(
    damaged: Series,
    plans: Sequence[tuple[Series, list[LevelPlan]]],
    header: Header,
    error: InvalidTIFFError,
) -> None:
    """Note on an image that the overview of it that is `damaged` is left out.

    Raises the error if it is no overview: tifffile does not put all into the series of their image.
    """
    (path, *_) = damaged.levels[0].pages
    one = next((one for one in relate(header.ifds) if one.directory.index == path), None)
    if path is None or one is None or one.full is None or one.directory.is_mask:
        raise error
    image = one.full.index
    levels = next((levels for series, levels in plans if series.holds(image)), None)
    if levels is None:
        raise error
    note = damaged_overview(path, error)
    levels[0] = replace(levels[0], array=noted(levels[0].array, note))


def _name(series: Series, header: Header) -> str:
    """Return the name of an image: that of the file, without folders, if it has none of its own.

    tifffile has one word for the pyramids of all slides.
    """
    own = "" if series.kind in SLIDES and series.name == "Baseline" else series.name
    return own or unquote(header.source.url).rpartition("/")[2]


def _with_left_out(series: list[Series], header: Header) -> list[Series]:
    """Note how many directories are in no image, as pages that the OME-XML does not name."""
    if not series or any(one.contiguous for one in series):
        return series
    used = {page for one in series for level in one.levels for page in level.pages}
    if not (left := left_out(header.ifds, used)):
        return series
    note = f"{len(left)} of {len(header.ifds)} directories are in no image of the file."
    return [replace(series[0], notes=(*series[0].notes, note)), *series[1:]]


def _ome_xml(header: Header) -> dict[str, ArrayPlan]:
    """Return the whole OME-XML of the file as an array, if it has any."""
    text = ome_xml_of(header)
    return {} if text is None else {METADATA: scalar_text(redacted_links(text))}


def _one_plate(wells: Sequence[Well]) -> bool:
    return len({well.plate for well in wells}) == 1


def _plate(
    wells: Sequence[Well], groups: Sequence[GroupPlan], text: Mapping[str, ArrayPlan]
) -> GroupPlan:
    """Put images into groups of their wells: `A/1/0` is the first field of the first well."""
    rows: dict[str, dict[str, list[tuple[Well, GroupPlan]]]] = {}
    by_field = sorted(zip(wells, groups, strict=True), key=lambda one: one[0].field)
    for well, group in by_field:
        row = rows.setdefault(row_name(well.row), {})
        row.setdefault(str(well.column + 1), []).append((well, group))
    children = {
        name: GroupPlan(
            groups={
                column: GroupPlan(
                    groups={str(well.field): group for well, group in fields},
                    attributes=well_attributes([well for well, _ in fields]),
                )
                for column, fields in columns.items()
            }
        )
        for name, columns in rows.items()
    }
    if text:
        children[OME] = GroupPlan(arrays=text)
    return GroupPlan(groups=children, attributes=plate_attributes(wells))


def plan_levels(
    header: Header,
    series: Sequence[Series],
    options: PlanOptions,
    *,
    copies: Mapping[IFDPath, ArrayPlan] | None = None,
) -> GroupPlan:
    """Plan a group for each series, with a group for each of its levels, numbered from 0.

    A level has the array `image`, and the grid mapping `spatial_ref` without coordinates.
    """
    directories = {directory.index: directory for directory in walk_ifds(header.ifds)}
    pages = Pages(header.source, directories, options.image, copies or {}, options.check)
    return GroupPlan(
        groups={
            str(i): GroupPlan(
                groups={str(j): _alone(level) for j, level in enumerate(pages.levels(one))}
            )
            for i, one in enumerate(series)
        }
    )


def _alone(level: LevelPlan) -> GroupPlan:
    found = grid_mapping(level.description, coordinates=False)
    if found is None:
        image = replace(level.array, attributes=without_grid_mapping(level.array.attributes))
        return GroupPlan(arrays={NAME: image})
    return GroupPlan(arrays={NAME: level.array, "spatial_ref": found})


def _group(series: Series, levels: Sequence[LevelPlan], options: PlanOptions) -> GroupPlan:
    """Plan the group of one image."""
    full = levels[0]
    groups = [_level_group(series, level, full, options) for level in levels]
    alone = len(groups) == 1
    attributes: dict[str, JSON] = {}
    if is_image(full.array.dimension_names):
        paths = [NAME if alone else f"{i}/{NAME}" for i in range(len(levels))]
        attributes = image_attributes(
            full.array.dimension_names,
            [
                (path, factors_of(level.size, full.size, level.factor))
                for path, level in zip(paths, levels, strict=True)
            ],
            name=series.name,
            spacing=series.spacing,
            omero=omero_channels(
                _channels(series, full) or _colors(full),
                full.array.data_type,
                series.bits,
                name=series.name,
            ),
        )
    if alone:
        return replace(groups[0], attributes={**groups[0].attributes, **attributes})
    return GroupPlan(groups={str(i): g for i, g in enumerate(groups)}, attributes=attributes)


def _channels(series: Series, level: LevelPlan) -> tuple[Channel, ...]:
    """Return the channels if there is one for each index of `c`; three samples may be one.

    Pages that are channels may have names of their own.
    """
    sizes = dict(zip(level.array.dimension_names, level.array.shape, strict=True))
    if len(series.channels) == sizes.get("c", 1):
        return series.channels
    return tuple(Channel(name=name) for name in level.names) if "c" in series.sizes else ()


def _colors(level: LevelPlan) -> tuple[Channel, ...]:
    """Return the channels of a colour image, whose samples are the dimension `c`."""
    names = level.description.array_attributes.get("color_interpretation")
    sizes = dict(zip(level.array.dimension_names, level.array.shape, strict=True))
    if not isinstance(names, list) or sizes.get("c") != len(names):
        return ()
    return rgb_channels(names)


def _level_group(
    series: Series, level: LevelPlan, full: LevelPlan, options: PlanOptions
) -> GroupPlan:
    """Put the array of a level into a group, with its coordinates."""
    beside: dict[str, ArrayPlan] = {}
    image = level.array
    found = grid_mapping(level.description) if options.coords else None
    if found is not None:
        beside["spatial_ref"] = found
    else:
        image = replace(image, attributes=without_grid_mapping(image.attributes))
    if options.coords:
        beside.update(_coordinates(series, level, full, options))
    return GroupPlan(arrays={NAME: image, **beside}, attributes=level.description.group_attributes)


def _coordinates(
    series: Series, level: LevelPlan, full: LevelPlan, options: PlanOptions
) -> Iterator[tuple[str, ArrayPlan]]:
    names, shape = level.array.dimension_names, level.array.shape
    spacing = series.spacing
    channels = [channel.name for channel in _channels(series, full)]
    steps = steps_of(names, factors_of(level.size, full.size, level.factor), spacing)
    for name, size, (start, step) in zip(names, shape, steps, strict=True):
        made: ArrayPlan | None = None
        if level.description.geotransform is not None and name in ("y", "x"):
            made = coordinate(level.description, name, size, "y" if name == "y" else "x")
        elif name in spacing:
            made = positions(name, size, start, step, spacing[name].unit)
        elif name == "c" and all(channels) and len(set(channels)) == size:
            made = band_names(channels, name)
        elif name in series.sizes and full.names:
            made = band_names(full.names, name)
        elif name == "band":
            made = band_numbers(size, name, options.image.bands)
        if made is not None:
            yield name, made
