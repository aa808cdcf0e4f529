"""What is in a TIFF, as data: each image, how it is stored, and who can read it."""

from virtual_tiff.inspection.describe import describe, describe_image
from virtual_tiff.inspection.read import examine, info
from virtual_tiff.inspection.records import FileInfo, ImageInfo, Kind, SeriesInfo

__all__ = [
    "FileInfo",
    "ImageInfo",
    "Kind",
    "SeriesInfo",
    "describe",
    "describe_image",
    "examine",
    "info",
]
