"""Read every encoding with every reader, and write docs/reference/readers.md and .json.

`python scripts/reader_matrix.py` runs all readers; the JavaScript ones need `npm install` in
clients/javascript and tests/javascript first, which `make test-javascript` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.readers.main import main

if __name__ == "__main__":
    sys.exit(main())
