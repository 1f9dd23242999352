"""The connection to a provider. Imports httpx2, so `openai` imports this only when it builds an engine.

Waiting for bytes is cut into short waits below the protocol, where a wait that ended with nothing breaks nothing. In
between, the turn's `Watch` may raise, in the thread of the turn, and that closes the connection, so the provider stops
generating. No other thread is needed.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpcore2
import httpx2

from pinocchio_plugins.openai_watch import BEAT_S, Watch

MAX_CONNECT_S: Final = 10.0
"""Connecting is one wait, in which the client is not asked for; so it is short."""
MAX_EXCERPT_BYTES: Final = 64 * 1024
EXCERPT_PATIENCE_S: Final = 5.0
KEEP_ALIVE_S: Final = 30.0


class ConnectionBroke(Exception):
    """The provider cannot be reached, the connection broke, or nothing came in time; `again` says what may pass."""

    def __init__(self, reason: str, *, again: bool = True, next_step: str | None = None) -> None:
        self.again, self.next_step = again, next_step
        super().__init__(reason)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The beginning of an answer; `chunks` are the bytes of its body as they come."""

    status: int
    headers: httpx2.Headers
    chunks: Iterator[bytes]
    watch: Watch

    def excerpt(self) -> bytes:
        """The beginning of the body, or what came of it before the connection broke."""
        self.watch.patience_s = min(self.watch.patience_s, EXCERPT_PATIENCE_S)
        found = bytearray()
        try:
            for chunk in self.chunks:
                found += chunk
                if len(found) > MAX_EXCERPT_BYTES:
                    break
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
            pass
        return bytes(found[:MAX_EXCERPT_BYTES])


class Provider:
    """Sends requests to one URL. Threads may share it."""

    def __init__(self, url: httpx2.URL, *, headers: dict[str, str], timeout_s: float) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._transport = _Transport(tls=url.scheme == "https")
        self._http = httpx2.Client(
            transport=self._transport,
            headers=headers,
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, MAX_CONNECT_S)),
            # What a provider sets in one conversation is not for the next one.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
        )

    @contextmanager
    def post(self, body: bytes, watch: Watch) -> Iterator[Reply]:
        """Send a request; what `watch` raises while the answer is waited for ends it and closes the connection.

        Raises:
            ConnectionBroke: also while the body is read.
        """
        try:
            with self._transport.watched_by(watch), self._http.stream("POST", self.url, content=body) as response:
                yield Reply(
                    status=response.status_code, headers=response.headers, chunks=response.iter_raw(), watch=watch
                )
        except httpcore2.ReadTimeout:
            raise ConnectionBroke(
                f"the provider sent nothing for {watch.patience_s:g} s",
                again=False,
                next_step="try again, or raise timeout in the section ai-client",
            ) from None
        except httpcore2.LocalProtocolError:
            # Its text may repeat a header, and with it the key.
            raise ConnectionBroke("the request is not valid HTTP, so it was not sent", again=False) from None
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            raise ConnectionBroke(f"the provider cannot be reached: {str(error) or 'it did not answer'}") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise ConnectionBroke(
                f"the connection to the provider broke: {str(error) or type(error).__name__}"
            ) from None

    def close(self) -> None:
        """Close the idle connections."""
        self._http.close()


class _Transport(httpx2.BaseTransport):
    """What `httpx2.HTTPTransport` does, on streams that look up from waiting."""

    def __init__(self, *, tls: bool) -> None:
        self._now = threading.local()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False) if tls else None,
            max_connections=None,
            max_keepalive_connections=20,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=_Backend(self._now),
        )

    @contextmanager
    def watched_by(self, watch: Watch) -> Iterator[None]:
        """Within it, this thread's waiting is watched."""
        self._now.watch = watch
        try:
            yield
        finally:
            del self._now.watch

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._pool.handle_request(
            httpcore2.Request(
                request.method,
                httpcore2.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.read(),
                extensions=request.extensions,
            )
        )
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Backend(httpcore2.SyncBackend):
    def __init__(self, now: threading.local) -> None:
        self._now = now

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options), self._now)


class _Stream(httpcore2.NetworkStream):
    """A stream whose `read` lets the turn's watch look up every `BEAT_S`."""

    def __init__(self, stream: httpcore2.NetworkStream, now: threading.local) -> None:
        self._stream = stream
        self._now = now

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  the watch has a nearer one
        watch: Watch = self._now.watch
        until = time.monotonic() + watch.patience_s
        while True:
            watch.pulse()
            left = until - time.monotonic()
            try:
                return self._stream.read(max_bytes, max(min(left, BEAT_S), 0.001))
            except httpcore2.ReadTimeout:
                if time.monotonic() >= until:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._now)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
