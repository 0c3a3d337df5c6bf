"""How a process of ours treats memory: asked of a process of its own, which can be changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ASK = """
import gc
from actors.shell.memory import calm_collector, share_arenas
calm_collector()
share_arenas()
print(gc.get_threshold()[0])
"""


def test_garbage_is_looked_for_rarely_and_the_c_library_may_be_any() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert asked.stdout == "50000\n"
    assert asked.stderr == ""
