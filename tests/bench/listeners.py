"""Listeners to changes on several servers: `listeners.py '{"ports": [...], "listeners": N}'`.

Says so once all of them listen, reads until a line comes on standard input and then until nothing more comes, and
prints how many changes each saw at least, and how many listeners missed one or saw it out of order.
"""

import json
import re
import select
import socket
import sys
import time
from itertools import pairwise

_SEQUENCE = re.compile(rb'"seq":([0-9]+)')
QUIET_S = 3.0
"""After so long without a change nothing more is expected."""
DEADLINE_S = 100.0


def listening(port: int) -> socket.socket:
    """A connection on which the header of the answer has come."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(b"GET /api/chat/changes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(4096)
    if not received.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"it does not listen: {received[:500]!r}")
    return connection


def main(job: dict[str, object]) -> None:
    ports, count = job["ports"], job["listeners"]
    connections = [listening(ports[number % len(ports)]) for number in range(count)]
    by_descriptor = {each.fileno(): (each, bytearray()) for each in connections}
    poller = select.poll()
    for descriptor in (*by_descriptor, sys.stdin.fileno()):
        poller.register(descriptor, select.POLLIN)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    ending, came, deadline = False, time.monotonic(), None
    while not (ending and time.monotonic() > came + QUIET_S) and not (deadline and time.monotonic() > deadline):
        for descriptor, _ in poller.poll(200):
            if descriptor not in by_descriptor:
                ending, deadline = True, time.monotonic() + DEADLINE_S
                poller.unregister(descriptor)
                continue
            connection, received = by_descriptor[descriptor]
            data = connection.recv(1 << 16)
            if b'"seq":' in data:
                came = time.monotonic()
            if not data:
                poller.unregister(descriptor)
            received += data
    seen = [[int(number) for number in _SEQUENCE.findall(received)] for _, received in by_descriptor.values()]
    last = max(numbers[-1] for numbers in seen if numbers)
    first = min(numbers[0] for numbers in seen if numbers)
    whole = [numbers for numbers in seen if numbers and numbers[0] == first and numbers[-1] == last]
    right = [numbers for numbers in whole if all(after == before + 1 for before, after in pairwise(numbers))]
    sys.stdout.write(json.dumps({"seen": min(map(len, seen)), "wrong": len(seen) - len(right)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
