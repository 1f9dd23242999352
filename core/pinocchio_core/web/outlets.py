"""Answers that go on after the thread of their request has gone, written by whichever thread has something to say.

A response sets `resp.stream = OutletStream(req.env, take)`. Once the header is out, `take` gets an `Outlet` and returns
at once: it starts a thread that writes to it (a chat turn), or gives it to a thread that writes to many (a feed of
changes). Under this project's server the request's own thread is then free for other requests; under any other WSGI
server it stays and passes on what is written, and the code that writes is the same.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

DETACH: Final = "pinocchio.detach"
"""Key of the WSGI environment under which our server offers to let an answer go on by itself."""
MAX_BEHIND_BYTES: Final = 256 * 1024
"""While so much waits for a client, nothing more is taken; at least one write always is."""
HEARTBEAT_S: Final = 2.0
"""After so long without a write, and with nothing that waits, the heartbeat is sent."""


class Outlet(Protocol):
    """Where the body of one answer goes; any thread may use it, and none needs a lock of its own."""

    @property
    def gone(self) -> bool:
        """Whether nothing can be written any more: the client has left, was cut off, or the answer was closed."""

    @property
    def full(self) -> bool:
        """Whether so much waits for the client that a write would cut it off unless it waits too."""

    def write(self, data: bytes, *, wait_s: float = 0.0) -> bool:
        """Send bytes, all of them or none; False where nobody gets them, now or later.

        A heartbeat may come between two writes, so write whole events. Where MAX_BEHIND_BYTES wait for the client, this
        waits at most `wait_s` for it to read; then the connection is closed. With 0 it never blocks.
        """

    def close(self) -> None:
        """End the answer; the client gets what was written before. May be called again, and must be called once."""


class OutletStream:
    """The body of a response: hands out an outlet when the server begins to send it."""

    def __init__(
        self,
        env: Mapping[str, Any],
        take: Callable[[Outlet], None],
        *,
        heartbeat: bytes = b"",
        endless: bool = False,
        unused: Callable[[], None] = lambda: None,
    ) -> None:
        """`take` is called at most once; where it never will be, `unused` is.

        `heartbeat` is sent when nothing else is (for events a comment), so that proxies keep the connection. An
        `endless` answer is closed when the server stops; any other has until `server.DRAIN_S` after that. Falcon takes
        no body for HEAD, so a resource sets no stream there.
        """
        self._detach: Callable[..., Outlet] | None = env.get(DETACH)
        self._take = take
        self._heartbeat = heartbeat
        self._endless = endless
        self._unused = unused
        self._taken = False
        self._passed_on: PassingOutlet | None = None

    def __iter__(self) -> Iterator[bytes]:
        if self._detach is not None:
            outlet = self._detach(heartbeat=self._heartbeat, endless=self._endless)
            self._take(outlet)
            self._taken = True
            return
        self._passed_on = PassingOutlet()
        self._take(self._passed_on)
        self._taken = True
        yield from self._passed_on.chunks(self._heartbeat)

    def close(self) -> None:
        """Called by the server when it has done with the body, in whatever way."""
        if self._passed_on is not None:
            self._passed_on.leave()
        if not self._taken:
            self._taken = True
            self._unused()


class PassingOutlet:
    """An outlet under a server that only knows iterators: what is written waits until that takes it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._closed = False
        self._left = False

    @property
    def gone(self) -> bool:
        """See `Outlet`."""
        return self._closed or self._left

    @property
    def full(self) -> bool:
        """See `Outlet`."""
        return self._waiting_bytes > MAX_BEHIND_BYTES

    def write(self, data: bytes, *, wait_s: float = 0.0) -> bool:
        """See `Outlet`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.gone or self._waiting_bytes <= MAX_BEHIND_BYTES, wait_s):
                self._left = True
            if self.gone:
                return False
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """See `Outlet`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def leave(self) -> None:
        """The client has gone."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def chunks(self, heartbeat: bytes) -> Iterator[bytes]:
        """What is written, as it comes."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self.gone, HEARTBEAT_S)
                if self._left or (self._closed and not self._waiting):
                    return
                data = self._waiting.popleft() if self._waiting else heartbeat
                self._waiting_bytes = sum(map(len, self._waiting))
                self._changed.notify_all()
            if data:
                yield data


class ChannelOutlet:
    """An outlet onto a connection of our server; the connection's own lock keeps writes whole and in order."""

    def __init__(self, channel: Any, *, chunked: bool, heartbeat: bytes, endless: bool) -> None:
        """`chunked`: the header has announced chunks (HTTP/1.1); else the end of the connection ends the answer."""
        self._channel = channel
        self._chunked = chunked
        self._heartbeat = heartbeat
        self.endless = endless
        self._ended = False
        self._wrote_at = time.monotonic()

    @property
    def gone(self) -> bool:
        """See `Outlet`."""
        return self._ended or not self._channel.connected or self._channel.will_close

    @property
    def full(self) -> bool:
        """See `Outlet`."""
        return bool(self._channel.total_outbufs_len > MAX_BEHIND_BYTES)

    def write(self, data: bytes, *, wait_s: float = 0.0) -> bool:
        """See `Outlet`."""
        channel = self._channel
        with channel.outbuf_lock:
            deadline = time.monotonic() + wait_s
            while not self.gone and channel.total_outbufs_len > MAX_BEHIND_BYTES:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    channel.will_close = True
                channel.server.pull_trigger()
                if left_s > 0:
                    channel.outbuf_lock.wait(left_s)
            if self.gone:
                return False
            if data:
                channel.write_soon(b"%X\r\n%b\r\n" % (len(data), data) if self._chunked else data)
                self._wrote_at = time.monotonic()
            return True

    def close(self) -> None:
        """See `Outlet`."""
        with self._channel.outbuf_lock:
            if self._ended:
                return
            if not self.gone and self._chunked:
                self._channel.write_soon(b"0\r\n\r\n")
            self._ended = True
        self._channel.outlet_closed()

    def keep_alive(self) -> None:
        """Send the heartbeat where it is time for it; never blocks."""
        channel = self._channel
        if time.monotonic() < self._wrote_at + HEARTBEAT_S or not channel.outbuf_lock.acquire(blocking=False):
            return
        try:
            if not channel.total_outbufs_len:
                self.write(self._heartbeat)
        finally:
            channel.outbuf_lock.release()
