"""The command: lists the faults, runs one, or all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.faults.outcome import Impossible
from tests.faults.table import FAULTS, Fault

NAME_WIDTH = 18
LIMIT_S = 30 * 60


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for; the exit status: 0 all held, 1 something did not, 2 something cannot be tried here."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__, "", *(f"  {fault.name:{NAME_WIDTH}}{fault.what}" for fault in FAULTS.values()), sep="\n")
        print(f"  {'all':{NAME_WIDTH}}all of them, one after the other")
        return 0
    name, *options = arguments
    if name == "all":
        return max(in_a_process(fault) for fault in FAULTS.values())
    if name not in FAULTS:
        print(f"expected one of {', '.join([*FAULTS, 'all'])}, got {name!r}", file=sys.stderr)
        return 2
    return tried(FAULTS[name], options)


def tried(fault: Fault, options: Sequence[str]) -> int:
    """Run one here, and say in one line how it went. SIGTERM ends it, and what it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began_s = time.monotonic()
    try:
        word, seen, status = "held", fault.run(options), 0
    except Impossible as error:
        word, seen, status = "NOT TRIED", f"needs {error}", 2
    except AssertionError as error:
        word, seen, status = "FAILED", " ".join(str(error).split()), 1
    print(f"{fault.name}: {word} in {time.monotonic() - began_s:.0f} s: {seen}", flush=True)
    return status


def in_a_process(fault: Fault) -> int:
    """Run one in a session of its own, of which nothing is left afterwards."""
    command = [sys.executable, "-m", "tests.faults", fault.name]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        print(f"{fault.name}: FAILED: it did not end within {LIMIT_S} s", flush=True)
        return 1
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
