"""Work around a crash at interpreter exit.

Threads of obstore and Icechunk release Python objects shortly after an asynchronous result. If the
interpreter is finalised at that moment, as in a script whose last line reads something, CPython
ends the thread inside Rust code, and the process dies of SIGABRT or SIGSEGV, or prints "Error in
sys.excepthook", after its work (Python 3.12 and 3.13, obstore 0.12, Icechunk 2.3). Ten lines
reproduce it: see docs/design/upstream.md. Threads finish while this waits, since waiting releases
the interpreter lock; a fixed pause is too short on a busy machine.

Modules that start such work import this one for its effect.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

#: Seconds between looks at the threads; where a system does not tell their state, the only pause.
PAUSE = 0.05
#: Seconds after which the interpreter exits although a thread is still running.
_LONGEST = 2.0
#: Where Linux tells the state of the threads of this process.
_THREADS = Path("/proc/self/task")


def wait_for_threads() -> None:
    """Wait until all other threads of the process are idle, some seconds at most."""
    end = time.monotonic() + _LONGEST
    time.sleep(PAUSE)
    while _is_busy() and time.monotonic() < end:
        time.sleep(PAUSE)


def _is_busy() -> bool:
    """Return whether another thread is running or waits for a processor."""
    own = str(threading.get_native_id())
    with suppress(OSError):
        for thread in os.listdir(_THREADS):
            with suppress(OSError, IndexError):
                # proc(5): the state is the first field after the name, which may hold anything.
                status = (_THREADS / thread / "stat").read_text()
                if thread != own and status.rpartition(")")[2].split()[0] == "R":
                    return True
    return False


atexit.register(wait_for_threads)
