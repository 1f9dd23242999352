"""One signed POST to a webhook, bounded in time (Standard Webhooks, version 1)."""

import base64
import hashlib
import hmac
import http.client
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from pinocchio_core.service.changes.endpoints import Endpoint

_ANSWER_BYTES: Final = 64 * 1024


class NotDelivered(Exception):
    """Nobody has acknowledged the message; the text says why and repeats nothing of it."""


class Sending:
    """A message on its way; any thread may `cut_off` it before its time is over."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._ended = threading.Event()

    def connect(self) -> None:
        """Connect, which may take long; OSError where it was cut off before or meanwhile, so that nothing is sent."""
        if not self._ended.is_set():
            self._connection.connect()
        if self._ended.is_set():
            raise ConnectionAbortedError

    def cut_off(self) -> None:
        """End it: at once where it is connected, else once it would be.

        The connection's own limit is for each piece of the answer, and not for all of it.
        """
        self._ended.set()
        with suppress(OSError, AttributeError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)


def signature(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def post(
    endpoint: Endpoint, message_id: str, body: bytes, *, timestamp_s: int, begun: Callable[[Sending], None]
) -> None:
    """Send a message, and wait until it is acknowledged with a status of 200 to 299.

    `begun` gets it before it connects, for who may want to cut it off.

    Raises:
        NotDelivered: it was not, within the endpoint's time.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "pinocchio",
        "Connection": "close",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature(endpoint.secret, message_id, timestamp_s, body),
    }
    parts = urlsplit(endpoint.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=endpoint.timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sending = Sending(connection)
    begun(sending)
    late = threading.Event()
    timer = threading.Timer(endpoint.timeout_s, _end_late, (sending, late))
    timer.daemon = True
    timer.start()
    try:
        sending.connect()
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read(_ANSWER_BYTES)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise NotDelivered(f"it did not answer within {endpoint.timeout_s:g} s") from error
        detail = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        raise NotDelivered(type(error).__name__ + detail) from error
    finally:
        timer.cancel()
        connection.close()
    if not 200 <= answer.status < 300:
        redirected = ", and redirects are not followed" if 300 <= answer.status < 400 else ""
        raise NotDelivered(f"it answered with status {answer.status}{redirected}")


def _end_late(sending: Sending, late: threading.Event) -> None:
    late.set()
    sending.cut_off()
