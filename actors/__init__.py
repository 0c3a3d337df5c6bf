"""The actors: who owns which state, who tells whom what, who restarts whom; and `BarSystem`, the way to embed them."""

from actors.settings import BadOption, Settings
from actors.subscriptions import BarView
from actors.system import BarSystem

__all__ = ["BadOption", "BarSystem", "BarView", "Settings"]
