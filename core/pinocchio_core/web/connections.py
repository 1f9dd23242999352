"""What waitress does otherwise than this server wants it, as subclasses of its own parts.

- It closes the connection after every 204 and 304; here it stays open (a 304 is then as fast as a 200).
- Its own errors, sent before the app is called, are plain text; here they are problem documents.
- After an error it closes at once, and a client that is still sending sees a reset instead of the answer; here the
  rest is read and thrown away for a while (RFC 9112, section 9.6).
- An answer holds its thread to the end; here it may go on without one (`outlets`).
- A client that goes while its answer is made is not noticed; here it is, once somebody has asked whether it is there.
- A target or a length that Python refuses to parse ends the connection without an answer; here it is a 400.
"""

import secrets
import socket
import time
from http import HTTPStatus
from typing import Any

import msgspec
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask

from pinocchio_core.domain import limits
from pinocchio_core.errors import BodyTooLarge
from pinocchio_core.web.browsers import SECURITY_HEADERS
from pinocchio_core.web.errors import PROBLEM_JSON, plain_problem, problem_of
from pinocchio_core.web.outlets import DETACH, ChannelOutlet

LINGER_S = 10
LINGER_BYTES = 128 * 1024 * 1024


class Detached(BaseException):
    """Ends the task of a request whose answer goes on; no `Exception`, because waitress takes those for failures."""


class RequestParser(HTTPRequestParser):
    """The bytes of a request, as they come."""

    path = ""
    """Where no path could be read: waitress names it when the client of such a request goes before its answer."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the headers; waitress.parser.ParsingError, which is answered, where it cannot."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an unclosed bracket in a host, a Content-Length of thousands of digits
            raise ParsingError("the request target or the Content-Length cannot be read") from error


class KeepAliveTask(WSGITask):
    """A request to the app."""

    _detached = False

    def set_close_on_finish(self) -> None:
        """Close after this answer, unless all there is against it is that the answer has no body."""
        asked = str(self.request.headers.get("CONNECTION", "")).lower()
        if self.has_body or self.wrote_header or self.version != "1.1" or asked == "close" or self._stopping:
            super().set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment, with the path as it was sent: waitress would fold slashes at its beginning."""
        environ: dict[str, Any] = super().get_environment()
        if self.request.path.startswith("//"):
            environ["PATH_INFO"] = self.request.path
        environ[DETACH] = self.detach
        return environ

    def detach(self, *, heartbeat: bytes, endless: bool) -> ChannelOutlet:
        """Send the header; the rest of the answer is what is written to the outlet, and this task ends without it."""
        self.write(b"")
        outlet = ChannelOutlet(self.channel, chunked=self.chunked_response, heartbeat=heartbeat, endless=endless)
        self.channel.outlet = outlet
        self._detached = True
        self.channel.server.pull_trigger()  # to watch the socket from now on
        return outlet

    def finish(self) -> None:
        """End the answer, unless it goes on."""
        if self._detached:
            raise Detached
        super().finish()

    def build_response_header(self) -> bytes:
        """The header, which says so where the server is about to stop."""
        if self._stopping:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header

    @property
    def _stopping(self) -> bool:
        return bool(getattr(self.channel.server, "stopping", False))


class ProblemTask(ErrorTask):
    """A request that waitress refuses by itself."""

    def execute(self) -> None:
        """Answer with a problem document and close."""
        error = self.request.error
        status = HTTPStatus(error.code)
        request_id = secrets.token_hex(8)
        if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            document = problem_of(BodyTooLarge(limits.MAX_BODY_BYTES))
        else:
            document = plain_problem(status, status.phrase.lower(), str(error.body))
        body = msgspec.json.encode(document | {"request_id": request_id})
        self.status = f"{status.value} {status.phrase}"
        self.response_headers += [
            ("Content-Type", PROBLEM_JSON),
            ("X-Request-Id", request_id),
            *SECURITY_HEADERS.items(),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.linger = True
        self.write(body)


class Channel(HTTPChannel):
    """A connection."""

    parser_class = RequestParser
    task_class = KeepAliveTask
    error_task_class = ProblemTask
    linger = False
    requests: list[Any]
    outlet: ChannelOutlet | None = None
    """Where the rest of an answer comes from whose task has ended."""
    _watched = False
    """Whether the one that makes the answer asks if the client is there."""
    _lingering_until: float | None = None
    _lingered_bytes = 0

    def readable(self) -> bool:
        """Whether bytes of the client are wanted."""
        if self._lingering_until is not None:
            return True
        if self.will_close or self.close_when_flushed:
            return False
        watched = self._watched and len(self.requests) == 1 and not self.total_outbufs_len
        return self.outlet is not None or watched or bool(super().readable())

    def handle_read(self) -> None:
        """Take bytes of the client; throw them away while lingering, and where no further request is answered."""
        if self.outlet is not None:
            self._look_for_end()
            return
        if self._lingering_until is None:
            super().handle_read()
            return
        try:
            received = len(self.recv(self.adj.recv_bytes))
        except OSError:
            received = 0
        self._lingered_bytes += received
        if not received or self._lingered_bytes > LINGER_BYTES or time.monotonic() > self._lingering_until:
            super().handle_close()

    def _look_for_end(self) -> None:
        try:
            self.recv(self.adj.recv_bytes)  # closes at the end of what the client sends
        except OSError:
            super().handle_close()

    def service(self) -> None:
        """Answer one request, or begin to."""
        try:
            super().service()
        except Detached:
            return
        finally:
            self._watched = False

    def outlet_closed(self) -> None:
        """The answer that went on without its task has ended, and with it the connection.

        It lingers, so that what the client may have sent behind its request does not take the answer from it.
        """
        self.linger = True
        with self.requests_lock:
            self.close_when_flushed = True
            for request in self.requests:
                request.close()
            self.requests = []
        self.outlet = None
        self.last_activity = time.time()
        if self.connected:
            self.server.pull_trigger()

    def check_client_disconnected(self) -> bool:
        """Whether the client has gone; from the first time on that this is asked for a request, it is looked for."""
        if not self._watched:
            self._watched = True
            self.server.pull_trigger()
        return not self.connected

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
