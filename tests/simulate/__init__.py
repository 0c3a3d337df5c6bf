"""The simulation: the real actors through hours of market and trouble, all of it drawn from one seed.

python -m tests.simulate --seeds 10000 --workers 2
python -m tests.simulate --seed 17 --trace
"""

from tests.simulate.run import Outcome, replay_command, simulate

__all__ = ["Outcome", "replay_command", "simulate"]
