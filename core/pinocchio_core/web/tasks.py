"""What a request is to waitress while it is answered: its tasks, otherwise than its own.

- It closes the connection after every 204 and 304; here it stays open (a 304 is then as fast as a 200).
- Its own errors, sent before the app is called, are plain text; here they are problem documents.
- An answer holds its thread to the end; here it may go on without one (`outlets`).
- It sends header and body apart; here they go together.
"""

import secrets
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import build_http_date

from pinocchio_core.domain import limits
from pinocchio_core.errors import BodyTooLarge
from pinocchio_core.web.browsers import SECURITY_HEADERS
from pinocchio_core.web.errors import PROBLEM_JSON, plain_problem, problem_of
from pinocchio_core.web.outlets import DETACH, ChannelOutlet

JOINED_BYTES = 256 * 1024
"""Bodies up to this size are sent with their header; what the socket does not take of them at once is copied."""


_http_date = lru_cache(1)(build_http_date)


@lru_cache(256)
def _capitalized(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


class Detached(BaseException):
    """Ends the task of a request whose answer goes on; no `Exception`, because waitress takes those for failures."""


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
        self.environ = None  # kept, it would lead back here, and all of a request would wait for the garbage collection
        return environ

    def detach(self, *, heartbeat: bytes, endless: bool) -> ChannelOutlet:
        """Send the header; the rest of the answer is what is written to the outlet, and this task ends without it."""
        self.write(b"")
        outlet = ChannelOutlet(self.channel, chunked=self.chunked_response, heartbeat=heartbeat, endless=endless)
        self.channel.outlet = outlet
        self._detached = True
        self.channel.server.pull_trigger()  # to watch the socket from now on
        return outlet

    def write(self, data: bytes) -> None:
        """Send bytes of the body, the first of them, or none, together with the header."""
        if self.wrote_header or len(data) > JOINED_BYTES:
            super().write(data)
            return
        self.channel.hold()
        try:
            super().write(data)
        finally:
            self.channel.release()

    def finish(self) -> None:
        """End the answer, unless it goes on."""
        if self._detached:
            raise Detached
        super().finish()

    def build_response_header(self) -> bytes:
        """The header, which says so where the server is about to stop; made in a third of waitress's time."""
        if self._stopping:
            self.set_close_on_finish()
        has_body = self.has_body
        if (
            self.version != "1.1"
            or self.close_on_finish
            or self.request.connection_close
            or (has_body and self.content_length is None)
        ):
            header: bytes = super().build_response_header()
            return header
        lines = [f"HTTP/1.1 {self.status}\r\nDate: {_http_date(int(self.start_time))}"]
        for sent, value in self.response_headers:
            name = _capitalized(sent)
            if has_body or name != "Content-Length":
                lines.append(f"{name}: {value}")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("latin-1")

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
