"""Runs `run.py` under libfaketime: `python -m tests.faults.under_faketime serve …`.

libfaketime 0.9.10 fails in clock_nanosleep, by which Python 3.11 sleeps; `select` sleeps as well.
"""

from __future__ import annotations

import runpy
import select
import sys
import time
from typing import SupportsIndex


def sleep(seconds: SupportsIndex | float, /) -> None:
    """As `time.sleep`."""
    select.select([], [], [], float(seconds))


if __name__ == "__main__":
    time.sleep = sleep
    sys.argv[0] = "run.py"
    runpy.run_path("run.py", run_name="__main__")
