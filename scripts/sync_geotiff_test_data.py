"""Download the TIFFs of developmentseed/geotiff-test-data into .cache/test-images.

They are small, and made to differ in one thing each: layout, compression, CRS, nodata.
"""

from __future__ import annotations

import sys

from _download import arguments, github_files, run


def main() -> int:
    parser = arguments(__doc__, "geotiff-test-data", github=True)
    parser.add_argument("--ref", default="main", help="tag or commit (%(default)s)")
    options = parser.parse_args()
    return run(
        lambda: github_files(
            "developmentseed/geotiff-test-data",
            options.ref,
            below="",
            api=options.api,
            raw=options.raw,
        ),
        options,
    )


if __name__ == "__main__":
    sys.exit(main())
