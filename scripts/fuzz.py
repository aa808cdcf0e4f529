"""Parse mutated headers: a correct parse or an error of ours is all that may come out.

`python scripts/fuzz.py --help`; the machinery is in tests/fuzz.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fuzz.main import main

if __name__ == "__main__":
    sys.exit(main())
