"""Chats answered as events, in a process of its own: how soon they begin, or many that go on while others are measured.

Reads a `Job` as JSON from the first line of standard input. Without `held` it prints the times until the first words of
the engine arrived; with it, it says so once all streams have begun, and reads them until standard input ends.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

WORDS = b"event: delta"


@dataclass(frozen=True, kw_only=True)
class Job:
    """Whom to ask, and for what."""

    port: int
    held: int = 0
    """Streams that are kept open."""
    pause_ms: int = 0
    """How long the engine rests before each word."""
    seconds: float = 1.0


def opened(job: Job) -> socket.socket:
    """A connection on which a chat was asked for."""
    settings = {"echo": {"say": "some words", "repeat": 1000 if job.held else 1, "pause-ms": job.pause_ms}}
    document = {"prompt": "hello", "stream": True, "overrides": {"step_settings_patch": settings}}
    body = json.dumps(document).encode()
    fields = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", job.port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(f"POST /chat/agent HTTP/1.1\r\n{fields}".encode() + body)
    return connection


def read_until_words(connection: socket.socket) -> None:
    """Return when the engine's first words are there."""
    received = b""
    while WORDS not in received:
        data = connection.recv(65536)
        if not data:
            raise SystemExit(f"no words came: {received[:2000]!r}")
        received += data


def first_words_ms(job: Job) -> Iterator[float]:
    """Milliseconds from the request to the engine's first words, again and again."""
    end = time.monotonic() + job.seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        with opened(job) as connection:
            read_until_words(connection)
            yield (time.perf_counter() - began) * 1000
            while connection.recv(65536):
                pass


def hold(job: Job) -> None:
    """Keep streams open, and read them."""
    poller = select.poll()
    with ExitStack() as stack:
        connections = {each.fileno(): each for each in (stack.enter_context(opened(job)) for _ in range(job.held))}
        for descriptor, connection in connections.items():
            read_until_words(connection)
            poller.register(descriptor, select.POLLIN)
        sys.stdout.write("held\n")
        sys.stdout.flush()
        poller.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor not in connections:
                    return
                if not connections[descriptor].recv(65536):
                    raise SystemExit("a stream ended")


if __name__ == "__main__":
    asked = Job(**json.loads(sys.stdin.readline()))
    if asked.held:
        hold(asked)
    else:
        sys.stdout.write(json.dumps(sorted(first_words_ms(asked))))
