"""The feed of changes, page by page or as events."""

import falcon
import msgspec

from pinocchio_core.service.changes.following import Follower, Listener
from pinocchio_core.store.tables.feed import BEGINNING, Change, ChangeFeed, Place
from pinocchio_core.web import codec, queries
from pinocchio_core.web.events import HEARTBEAT
from pinocchio_core.web.outlets import Outlet, OutletStream
from pinocchio_core.web.resources import Resource
from pinocchio_core.web.resources.chat import EVENTS


class ChangesResource(Resource):
    """`/api/chat/changes`."""

    def __init__(self, feed: ChangeFeed, follower: Follower) -> None:
        self._feed = feed
        self._follower = follower

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Changes after a cursor: those there are, or as events also all that come."""
        if EVENTS in (req.get_header("Accept") or ""):
            self._send_events(req, resp)
        else:
            self._send_page(req, resp)
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("Vary", "Accept")

    def _send_page(self, req: falcon.Request, resp: falcon.Response) -> None:
        asked = queries.feed_of(req, default=BEGINNING, resumed=False)
        found = self._feed.read(asked.after or self._feed.newest(), limit=asked.limit, wanted=asked.wanted)
        page = {"changes": found.changes, "next": found.after.seq, "cursor": str(found.after), "more": found.more}
        codec.send_json(resp, page)

    def _send_events(self, req: falcon.Request, resp: falcon.Response) -> None:
        asked = queries.feed_of(req, default=None, resumed=True)
        place = asked.after or self._feed.newest()
        resp.content_type = EVENTS
        if req.method == "HEAD":
            return
        self._follower.admit()

        def take(outlet: Outlet) -> None:
            outlet.write(b"id: %b\n\n" % str(place).encode())  # no event, but where to go on after a break
            self._follower.follow(Listener(outlet, place, asked.wanted))

        resp.stream = OutletStream(req.env, take, heartbeat=HEARTBEAT, endless=True, unused=self._follower.dismiss)


def change_event(change: Change) -> bytes:
    """A change as a server-sent event (HTML standard, section 9.2)."""
    return _event("change", change.place, msgspec.json.encode(change))


def reset_event(place: Place) -> bytes:
    """What tells a listener that it may have missed something, and from where it is told now."""
    return _event("reset", place, msgspec.json.encode({"cursor": str(place)}))


def _event(name: str, place: Place, data: bytes) -> bytes:
    """One event; JSON has no line breaks in it."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name.encode(), str(place).encode(), data)
