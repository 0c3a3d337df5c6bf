"""One setting for all property tests: the same examples in every run, on every machine, however slow.

`HYPOTHESIS_PROFILE=explore` looks for new examples instead; `mutants` takes fewer, since each mutant runs them again.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.recorded import Recorded

settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("mutants", settings.get_profile("repeatable"), max_examples=25)
settings.register_profile("explore", settings.get_profile("repeatable"), derandomize=False, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    """The recorded market data, each file read once; tests that need it are skipped where it is absent."""
    return Recorded.find_or_skip()
