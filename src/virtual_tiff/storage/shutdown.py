"""Work around a crash at interpreter exit.

Threads of obstore and Icechunk release Python objects shortly after an asynchronous result. If the
interpreter exits at that moment, as in a script whose last line reads or publishes something, the
process crashes with a segmentation fault after its work, in about one run of ten (Python 3.12,
obstore 0.12, Icechunk 2.3). A short pause before exit avoids it.

Modules that start such work import this one for its effect.
"""

from __future__ import annotations

import atexit
import time

#: Seconds; much longer than the threads need.
PAUSE = 0.05

atexit.register(time.sleep, PAUSE)
