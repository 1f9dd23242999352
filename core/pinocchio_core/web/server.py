"""Serving an app with waitress until told to stop, then finishing what runs."""

import errno
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from pinocchio_core.domain import limits
from pinocchio_core.web import at_once
from pinocchio_core.web.connections import Channel
from pinocchio_core.web.listening import BACKLOG, CONNECTIONS
from pinocchio_core.web.loop import Loop
from pinocchio_core.web.outlets import ChannelOutlet
from pinocchio_core.web.threads import Threads

_GRACE_S = 0.1
"""How long a request that is on its way in when a stop is asked for may take to arrive."""
DRAIN_S = 15
"""How long requests that run or wait may take after a stop was asked for."""
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_REST_S = 0.5
"""How long nothing is accepted once the system had no room for a connection."""
_COMPLAIN_EVERY_S = 60


class _Listener(TcpWSGIServer):
    channel_class = Channel
    stopping = False
    is_answered_at_once: at_once.Rule = staticmethod(at_once.nothing)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._trigger_lock = threading.RLock()
        self._deaf = False
        self._rests_until = 0.0
        self._complains_from = 0.0
        super().__init__(*args, **kwargs)

    def readable(self) -> bool:
        """Whether the loop is to tell of connections that wait to be accepted."""
        return bool(super().readable()) and time.monotonic() >= self._rests_until

    def accept(self) -> Any:
        """Take up a connection; where the system has no room for one, all go on waiting, and the loop rests."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            now = time.monotonic()
            self._rests_until = now + _REST_S
            if now >= self._complains_from:
                self._complains_from = now + _COMPLAIN_EVERY_S
                self.logger.warning("cannot accept connections for now: %s; those that come wait", error.strerror)
            return None

    def add_task(self, channel: Channel) -> None:
        """Have the first request of a connection answered, that was just read: by the loop itself, or a thread."""
        if not channel.takes_at_once(self.is_answered_at_once):
            self.hand_over(channel)

    def hand_over(self, channel: Channel) -> None:
        """Have the first request of a connection answered by a thread."""
        super().add_task(channel)

    def pull_trigger(self) -> None:
        """Wake the loop; does nothing once it has ended, when the trigger's descriptor may be another file's."""
        with self._trigger_lock:
            if not self._deaf:
                super().pull_trigger()

    def accept_waiting(self) -> None:
        """Take up all connections that wait to be accepted, for those that are left are reset when nobody listens."""
        for _ in range(BACKLOG):
            if self.readable():
                self.handle_accept()

    def end(self) -> None:
        """Close the connections that are still there, and be woken no more."""
        for channel in list(self.active_channels.values()):
            channel.linger = False
            channel.handle_close()
        with self._trigger_lock:
            self._deaf = True

    def maintenance(self, now: float) -> None:
        """What is done every second: end connections that are idle, or whose clients take nothing of their answers.

        Streams are kept alive; how far a client may be behind there is their own affair.
        """
        patience_s = self.adj.channel_timeout
        for channel in list(self.active_channels.values()):
            outlet = channel.outlet
            if outlet is not None:
                outlet.keep_alive()
            elif channel.total_outbufs_len:
                if channel.takes_nothing(time.monotonic(), patience_s):
                    self.logger.info("a client took nothing of its answer for %d s", patience_s)
                    channel.cut_off()
            elif not channel.requests and channel.last_activity < now - patience_s:
                channel.will_close = True

    def outlets(self) -> list[ChannelOutlet]:
        """Those of the answers that go on without a thread of this server."""
        return [outlet for channel in list(self.active_channels.values()) if (outlet := channel.outlet) is not None]


class _Adjustments(Adjustments):
    """For sockets that are bound already: without this an address that nobody listens on is looked up."""

    listen: Sequence[str] = ()


class Server:
    """A WSGI app behind listening sockets."""

    def __init__(
        self,
        app: Any,
        sockets: list[socket.socket],
        *,
        threads: int,
        rule: at_once.Rule = at_once.nothing,
        connections: int = CONNECTIONS,
        patience_s: int = 20,
    ) -> None:
        """`rule` says what the loop answers itself; more than so many `connections` wait to be accepted.

        Connections are ended that were idle, or whose clients took nothing of an answer, for `patience_s`.
        """
        adjustments = _Adjustments(
            sockets=sockets,
            threads=threads,
            connection_limit=connections,
            backlog=BACKLOG,
            channel_timeout=patience_s,
            cleanup_interval=1,
            # ours is the limit that counts; this one only bounds what is read before the app can say so
            max_request_body_size=2 * limits.MAX_BODY_BYTES,
            max_request_header_size=32 * 1024,
            ident=None,
            # the scheme that a front proxy names makes a cookie Secure; nothing else is taken from such headers
            clear_untrusted_proxy_headers=False,
        )
        self._map: dict[int, Any] = {}
        self._loop = Loop(self._map)
        self._dispatcher = Threads()
        self._dispatcher.set_thread_count(threads)
        self._listeners = [
            _Listener(
                app,
                self._map,
                _sock=each,
                dispatcher=self._dispatcher,
                adj=adjustments,
                bind_socket=False,
                sockinfo=(each.family, each.type, each.proto, each.getsockname()),
            )
            for each in sockets
        ]
        for listener in self._listeners:
            listener.is_answered_at_once = rule

    def run(self) -> None:
        """Serve until `stop`, then finish the requests that run or wait, within DRAIN_S."""
        try:
            while not self._listeners[0].stopping:
                self._loop.turn(1.0)
            for listener in self._listeners:
                listener.accept_waiting()
                listener.del_channel()
                listener.socket.close()
            self._loop.ask_all()
            stopped = time.monotonic()
            while time.monotonic() < stopped + (DRAIN_S if self._busy() else _GRACE_S):
                self._end_endless()
                self._loop.turn(0.05)
        finally:
            for listener in self._listeners:
                listener.stopping = True
                listener.end()
            self._dispatcher.shutdown(cancel_pending=True, timeout=1)
            wasyncore.close_all(self._map)

    def stop(self) -> None:
        """Ask `run` to end; safe in a signal handler and in any thread."""
        for listener in self._listeners:
            listener.stopping = True
        self._listeners[0].pull_trigger()

    def _end_endless(self) -> None:
        for listener in self._listeners:
            for outlet in listener.outlets():
                if outlet.endless:
                    outlet.close()

    def _busy(self) -> bool:
        channels = [channel for listener in self._listeners for channel in listener.active_channels.values()]
        return any(channel.requests or channel.total_outbufs_len for channel in channels)
