"""What waitress does otherwise than this server wants it, as subclasses of its own parts.

- It closes the connection after every 204 and 304; here it stays open (a 304 is then as fast as a 200).
- Its own errors, sent before the app is called, are plain text; here they are problem documents.
- After an error it closes at once, and a client that is still sending sees a reset instead of the answer; here the
  rest is read and thrown away for a while (RFC 9112, section 9.6).
"""

import secrets
import socket
import time
from http import HTTPStatus
from typing import Any

import msgspec
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from pinocchio_core.domain import limits
from pinocchio_core.errors import BodyTooLarge
from pinocchio_core.web.errors import PROBLEM_JSON, plain_problem, problem_of

LINGER_S = 10
LINGER_BYTES = 128 * 1024 * 1024


class KeepAliveTask(WSGITask):
    """A request to the app."""

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
        return environ

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
        self.response_headers += [("Content-Type", PROBLEM_JSON), ("X-Request-Id", request_id)]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.linger = True
        self.write(body)


class Channel(HTTPChannel):
    """A connection."""

    task_class = KeepAliveTask
    error_task_class = ProblemTask
    linger = False
    _lingering_until: float | None = None
    _lingered_bytes = 0

    def readable(self) -> bool:
        """Whether bytes of the client are wanted."""
        return self._lingering_until is not None or bool(super().readable())

    def handle_read(self) -> None:
        """Take bytes of the client, or throw them away while lingering."""
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
