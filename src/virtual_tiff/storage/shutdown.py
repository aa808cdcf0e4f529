"""Let the threads of obstore and Icechunk come to rest before Python ends.

After an asynchronous result has been handed over, a thread of theirs still gives Python objects
back. Where the interpreter ends in that very moment, as in a script whose last line reads or
publishes something, the process dies of a segmentation fault, after its work was done and in about
one run of ten (Python 3.12, obstore 0.12, Icechunk 2.3). A short pause before the end avoids it.

Imported for its effect by what starts such work.
"""

from __future__ import annotations

import atexit
import time

#: Seconds: many times what the threads need, and not felt.
PAUSE = 0.05

atexit.register(time.sleep, PAUSE)
