"""`python -m virtual_tiff.cli`."""

import sys

from virtual_tiff.cli import main

sys.exit(main())
