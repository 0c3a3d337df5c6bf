"""The web side: the JSON API, and the exchange's own REST answered from the file, on one port.

Everything that only the running service knows comes in as a callable (`Sources`), so that the data
service and a separate web process share all of it.
"""

from web.access import Access
from web.app import make_app
from web.descriptors import room_for
from web.hold import ClosedHold
from web.push import PushServer
from web.server import WebServer
from web.sources import Sources

__all__ = ["Access", "ClosedHold", "PushServer", "Sources", "WebServer", "make_app", "room_for"]
