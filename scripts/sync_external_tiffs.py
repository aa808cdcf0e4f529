"""Download TIFFs from a list of URLs into .cache/test-images/external.

The list has a URL a line, with its SHA-256 in front where it is known; `#` begins a comment. What
is downloaded without one is recorded in the manifest, and compared from then on with `--verify`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from _download import DownloadError, Remote, arguments, run

LIST = Path(__file__).with_name("external_tiffs.txt")


def read_list(path: Path) -> list[Remote]:
    """Parse a list of URLs.

    Raises
    ------
    DownloadError
        A line is neither a URL nor a checksum and a URL, or two files would have one place.
    """
    found: dict[str, Remote] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = re.fullmatch(r"(?:([0-9a-f]{64})\s+)?(https?://\S+)", text)
        if match is None:
            raise DownloadError(f"{path}:{number}: {text!r} is no URL, nor a SHA-256 and a URL")
        address = urlsplit(match[2])
        remote = Remote(
            match[2], f"{address.netloc}{unquote(address.path)}".replace(":", "_"), sha256=match[1]
        )
        if remote.path in found:
            raise DownloadError(f"{path}:{number}: {match[2]} is there twice")
        found[remote.path] = remote
    return list(found.values())


def main() -> int:
    parser = arguments(__doc__, "external", github=False)
    parser.add_argument("--list", type=Path, default=LIST, help="the list (%(default)s)")
    options = parser.parse_args()
    return run(lambda: read_list(options.list), options)


if __name__ == "__main__":
    sys.exit(main())
