"""Connections of waitress, otherwise than its own.

- After an error it closes at once, and a client that is still sending sees a reset instead of the answer; here the
  rest is read and thrown away for a while (RFC 9112, section 9.6).
- A client that goes while its answer is made is not noticed; here it is, once somebody has asked whether it is there.
- After each answer a byte through a pipe wakes the loop, to listen to the client again; here it has gone on listening,
  and is woken where it has something to do.
- A client that reads nothing of its answers holds a thread for ever; here it is cut off after a while.
- Every request goes to a thread; here the loop answers short ones itself (`at_once`).
"""

import socket
import time
from contextlib import suppress
from typing import Any

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.utilities import InternalServerError

from pinocchio_core.store.sqlite.blocking import WouldBlock, no_blocking
from pinocchio_core.web import at_once
from pinocchio_core.web.outlets import ChannelOutlet
from pinocchio_core.web.parsing import RequestParser
from pinocchio_core.web.tasks import Detached, KeepAliveTask, ProblemTask
from pinocchio_core.web.unread import held_by_system

LINGER_S = 10
LINGER_BYTES = 128 * 1024 * 1024


class Channel(HTTPChannel):
    """A connection."""

    parser_class = RequestParser
    task_class = KeepAliveTask
    error_task_class = ProblemTask
    linger = False
    requests: list[Any]
    current_outbuf_count: int
    outlet: ChannelOutlet | None = None
    """Where the rest of an answer comes from whose task has ended."""
    _watched = False
    """Whether the one that makes the answer asks if the client is there."""
    _listened = False
    """Whether the loop tells of bytes of the client, as long as it waits."""
    _ended = False
    """Whether the client has sent all it had to send, and may wait for answers."""
    _held: list[bytes] | None = None
    _at_once = False
    """Whether the request that was just read is answered by the loop."""
    _lingering_until: float | None = None
    _lingered_bytes = 0
    _flushes = 0
    """How often the system took bytes that waited."""
    _standing: tuple[int, int] | None = None
    """What was the same since `_standing_since`: the flushes, and how many bytes the system held."""
    _standing_since = 0.0

    def readable(self) -> bool:
        """Whether the loop is to tell of bytes of the client, now that it is about to wait.

        That is so while a request is being answered too, of which the next one may come. `_listened` is false while it
        is being decided, so that `service`, which ends an answer meanwhile, wakes the loop rather once too often.
        """
        self._listened = False
        self._listened = wanted = self._wants_bytes()
        return wanted

    def _wants_bytes(self) -> bool:
        if self._lingering_until is not None:
            return True
        if self.will_close or self.close_when_flushed:
            return False
        if self.outlet is not None:
            return True
        if len(self.requests) == 1 and not self._ended:
            return self._watched or not self.total_outbufs_len
        return bool(super().readable())

    def handle_read(self) -> None:
        """Take bytes of the client, and answer at once what they ask for where that is short.

        They are thrown away while lingering, and where no further request is answered.
        """
        if self.outlet is not None:
            self._look_for_end()
        elif self._lingering_until is not None:
            self._throw_away()
        else:
            self._take()
            if self._at_once:
                self._at_once = False
                self._serve_at_once()

    def takes_at_once(self, rule: at_once.Rule) -> bool:
        """Whether the loop, which has just read the first request, answers it itself; notes it if so.

        Not while bytes wait for the client: who writes more may have to wait for it, and the loop must not.
        """
        request = self.requests[0]
        self._at_once = not self.total_outbufs_len and not request.error and rule(request)
        return self._at_once

    def _serve_at_once(self) -> None:
        try:
            with no_blocking():
                self.service()
        except WouldBlock:
            self.requests[0].get_body_stream().seek(0)
            self.server.hand_over(self)

    def _take(self) -> None:
        """Take what has come of requests; the next one may come before this one is answered.

        A client that has sent all it had to send still wants its answer, unless who makes it asks whether it is there.
        """
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            super().handle_close()
            return
        if data:
            self.last_activity = time.time()
            self.received(data)
        elif self.requests and not self._watched:
            self._ended = True
        else:
            self.handle_close()

    def _throw_away(self) -> None:
        try:
            received = len(self.recv(self.adj.recv_bytes))
        except OSError:
            received = 0
        self._lingered_bytes += received
        if not received or self._lingered_bytes > LINGER_BYTES or time.monotonic() > (self._lingering_until or 0):
            super().handle_close()

    def _look_for_end(self) -> None:
        try:
            self.recv(self.adj.recv_bytes)  # closes at the end of what the client sends
        except OSError:
            super().handle_close()

    def service(self) -> None:
        """Answer one request, or begin to."""
        request = self.requests[0]
        try:
            goes_on = self._answer(request)
        except Detached:
            return
        finally:
            self._watched = False
        if goes_on:
            self._to_next(request)
        else:
            self._drop_requests()
        self.last_activity = time.time()
        if self.total_outbufs_len or self.will_close or not (goes_on and (self._listened or self.requests)):
            self.server.pull_trigger()

    def _answer(self, request: Any) -> bool:
        """Whether more requests may follow."""
        task = (self.error_task_class if request.error else self.task_class)(self, request)
        if not self.connected:
            return False
        try:
            task.service()
        except ClientDisconnected:
            self.logger.info("client disconnected while %s was answered", request.path)
            return False
        except Exception:
            self.logger.exception("failed to answer %s", request.path)
            if not task.wrote_header:
                self._fail(request)
            return False
        return not task.close_on_finish

    def _fail(self, request: Any) -> None:
        request.error = InternalServerError("the server failed to make an answer; its log says why")
        with suppress(ClientDisconnected):
            self.error_task_class(self, request).service()

    def _to_next(self, request: Any) -> None:
        """Leave an answered request behind, and have the next one answered, where it has come already."""
        if len(self.requests) > 1:
            self._flush_outbufs_below_high_watermark()
        if self.current_outbuf_count > 0:
            self.current_outbuf_count = self.adj.outbuf_high_watermark  # buffers are not shared by answers
        request.close()
        with self.requests_lock:
            self.requests.pop(0)
            if self.connected and self.requests:
                self.server.hand_over(self)
            elif self.connected and self._awaits_continue():
                self.send_continue()

    def _awaits_continue(self) -> bool:
        coming = self.request
        return coming is not None and coming.expect_continue and coming.headers_finished and not self.sent_continue

    def _drop_requests(self) -> None:
        with self.requests_lock:
            self.close_when_flushed = True
            for request in self.requests:
                request.close()
            self.requests = []

    def hold(self) -> None:
        """Keep what is written, until `release` sends it in one piece."""
        self._held = []

    def release(self) -> None:
        """Send what was kept, or as much of it as the socket takes now; the loop sends the rest."""
        held, self._held = self._held, None
        if not held:
            return
        sent = 0 if self.total_outbufs_len else self._sent(held)
        if sent < sum(map(len, held)):
            super().write_soon(b"".join(held)[sent:])
            self.server.pull_trigger()

    def _sent(self, pieces: list[bytes]) -> int:
        """How many bytes the socket takes now."""
        if self.connected:
            with suppress(OSError):
                return int(self.socket.sendmsg(pieces))
        return 0

    def write_soon(self, data: bytes) -> int:
        """Send bytes, or as many as the socket takes now; the loop sends the rest."""
        if self._held is None:
            return int(super().write_soon(data))
        self._held.append(data)
        return len(data)

    def _flush_some(self, do_close: bool = True) -> bool:  # noqa: FBT002  as waitress has it
        with self.outbuf_lock:  # waitress's loop does without, and would send again what a thread is just sending
            flushed = bool(super()._flush_some(do_close=do_close))
            self._flushes += flushed
            return flushed

    def takes_nothing(self, now: float, for_s: float) -> bool:
        """Whether the client took nothing for so long of the bytes that wait for it; asked every second while some do.

        The system takes bytes again only after the client has read a good deal of those before. So what it still holds
        is looked at too: of one that reads slowly it becomes less and less.
        """
        standing = (self._flushes, held_by_system(self.socket))
        if standing != self._standing:
            self._standing, self._standing_since = standing, now
        return now >= self._standing_since + for_s

    def cut_off(self) -> None:
        """Let go of a client; the loop then closes the connection as it does when one has gone."""
        self.linger = False
        with suppress(OSError, AttributeError):  # a thread may just have closed it
            self.socket.shutdown(socket.SHUT_RDWR)

    def outlet_closed(self) -> None:
        """The answer that went on without its task has ended, and with it the connection.

        It lingers, so that what the client may have sent behind its request does not take the answer from it.
        """
        self.linger = True
        self._drop_requests()
        self.outlet = None
        self.last_activity = time.time()
        if self.connected:
            self.server.pull_trigger()

    def check_client_disconnected(self) -> bool:
        """Whether the client has gone; from the first time on that this is asked for a request, it is looked for."""
        if not self._watched:
            self._watched = True
            self.server.pull_trigger()
        return self._ended or not self.connected

    def handle_close(self) -> None:
        """Close, or after an error first let the client finish sending."""
        if not self.linger or not self.connected or self._lingering_until is not None:
            super().handle_close()
            return
        self.will_close = False
        self._lingering_until = time.monotonic() + LINGER_S
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            super().handle_close()
