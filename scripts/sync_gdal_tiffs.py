"""Download the TIFFs of GDAL's own tests (autotest) into .cache/test-images/gdal.

Then `VIRTUAL_TIFF_CORPUS=.cache/test-images make test` runs the corpus tests on them.
"""

from __future__ import annotations

import sys

from _download import arguments, github_files, run


def main() -> int:
    parser = arguments(__doc__, "gdal", github=True)
    parser.add_argument("--ref", default="v3.12.0", help="tag or commit (%(default)s)")
    options = parser.parse_args()
    return run(
        lambda: github_files(
            "OSGeo/gdal", options.ref, below="autotest", api=options.api, raw=options.raw
        ),
        options,
    )


if __name__ == "__main__":
    sys.exit(main())
