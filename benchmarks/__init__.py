"""Benchmarks side by side with rasterio, tifffile and async-tiff; and the HTTP server they use.

`python -m benchmarks --help` says how to run them. They need Linux, since memory is read from
/proc; the server (`tests.helpers.range_server`) runs on any POSIX system.
"""
