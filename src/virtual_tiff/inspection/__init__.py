"""Describe TIFFs: each image, its encoding, and the clients that can read it."""

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
