"""Load for a server: a process of its own, N connections kept open, as little work per answer as Python allows.

Reads what to do as JSON on standard input (`Job`), prints what came of it as JSON (`Outcome`). Requests are bytes
made beforehand; of an answer only the status and the length are looked at. `client_cpu` near 1 means that this
process, not the server, was the limit.
"""

import gc
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count

import psutil

RECEIVE_BYTES = 1 << 20
LONGEST_S = 20
"""How long to wait for an answer of every connection where one takes longer than the time that is measured."""
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to send, to whom, for how long."""

    port: int
    server_pid: int
    targets: list[tuple[str, str]]
    """Path and header lines (each ended by CR LF); every connection goes round its own share of them."""
    method: str = "GET"
    status: int = 200
    """The one status that counts as an answer."""
    body: str | None = None
    """A body in which `%016d` becomes a number that was never sent before."""
    connections: int = 8
    seconds: float = 1.0
    warm_up: float = 0.2
    other_servers: list[tuple[int, int]] = field(default_factory=list)
    """Port and process id of further servers; connections go to all of them in turn."""

    @property
    def ports(self) -> list[int]:
        """The ports of all servers."""
        return [self.port, *(port for port, _ in self.other_servers)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured after the warm-up; times in milliseconds, CPU in cores."""

    rate: float
    median_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: float
    """The server's CPU time for one answer, in microseconds."""
    client_cpu: float
    server_cpu: float
    others_cpu: float
    """What processes that have nothing to do with the measurement used."""
    first_share: float
    """The part of the answers that came from the first server, in percent."""


class Connection:
    """One connection with one request under way at a time."""

    def __init__(self, job: Job, number: int, values: Iterator[int]) -> None:
        port = job.ports[number % len(job.ports)]
        self.to_first = port == job.port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own = job.targets[number :: job.connections] or job.targets
        self._requests = [request(job, path, headers) for path, headers in own]
        self._has_body = job.body is not None
        self._status = str(job.status).encode()
        self._values = values
        self._next = 0
        self._head = b""
        self._missing = -1
        self._chunked = False
        self.sent_at = 0
        self.answers = 0

    def send(self) -> None:
        """Send the next request."""
        data = self._requests[self._next]
        self._next = (self._next + 1) % len(self._requests)
        self._head, self._missing, self._chunked = b"", -1, False
        self.sent_at = time.perf_counter_ns()
        self.socket.sendall(data % next(self._values) if self._has_body else data)

    def receive(self) -> bool:
        """Take what has come; True where the answer is complete."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise SystemExit("the server closed a connection that was to be kept")
        if self._chunked:
            self._go_on(data)
        elif self._missing >= 0:
            self._missing -= len(data)
        else:
            self._begin(self._head + data)
        self.answers += self._missing == 0
        return self._missing == 0

    def _begin(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return
        if data[9:12] != self._status:
            raise SystemExit(f"expected {self._status.decode()}, got {data[:2000]!r}")
        head = data[: end + 2].lower()
        start = head.find(b"content-length: ")
        if start < 0 and b"\r\ntransfer-encoding: chunked\r\n" in head:
            self._chunked = True
            self._go_on(data[end + 4 :])
            return
        length = 0 if start < 0 else int(head[start + 16 : head.index(b"\r", start)])
        self._missing = end + 4 + length - len(data)

    def _go_on(self, data: bytes) -> None:
        """Look for the chunk that ends the answer, whose bytes are in no JSON text of one line."""
        self._head = self._head[-len(LAST_CHUNK) :] + data
        self._missing = 0 if self._head.endswith(LAST_CHUNK) else -1


def request(job: Job, path: str, headers: str) -> bytes:
    """One request as bytes; where it has a body, with the place for its number."""
    lines = f"{job.method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\n{headers}"
    if job.body is None:
        return f"{lines}\r\n".encode()
    length = len((job.body % 0).encode())
    head = f"{lines}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".replace("%", "%%")
    return (head + job.body).encode()


def drive(job: Job) -> Outcome:
    """Send for the time asked for, then let every answer come."""
    values = count(time.time_ns() // 1000)
    connections = {c.socket.fileno(): c for c in (Connection(job, i, values) for i in range(job.connections))}
    poller = select.poll()
    for descriptor, connection in connections.items():
        poller.register(descriptor, select.POLLIN)
        connection.send()
    _run(poller, connections, job.warm_up)
    servers = [job.server_pid, *(pid for _, pid in job.other_servers)]
    before, answers = _cpu(servers), _answers(connections)
    began = time.perf_counter()
    took_ns = _run(poller, connections, job.seconds, least=job.connections)
    elapsed = time.perf_counter() - began
    client, server, busy = (after - other for after, other in zip(_cpu(servers), before, strict=True))
    all_answers, from_first = (after - other for after, other in zip(_answers(connections), answers, strict=True))
    _drain(poller, connections)
    if not took_ns:
        raise SystemExit("no answer came")
    took_ns.sort()
    return Outcome(
        rate=len(took_ns) / elapsed,
        median_ms=took_ns[len(took_ns) // 2] / 1e6,
        p99_ms=took_ns[int(len(took_ns) * 0.99)] / 1e6,
        max_ms=took_ns[-1] / 1e6,
        cpu_us=server / len(took_ns) * 1e6,
        client_cpu=client / elapsed,
        server_cpu=server / elapsed,
        others_cpu=max(0.0, (busy - client - server) / elapsed),
        first_share=100 * from_first / all_answers,
    )


def _run(poller: select.poll, connections: dict[int, Connection], seconds: float, least: int = 0) -> list[int]:
    """Go on for so long, and after that until there are so many answers or it has taken LONGEST_S."""
    took_ns: list[int] = []
    clock = time.perf_counter_ns
    began = clock()
    end, longest = began + int(seconds * 1e9), began + int(LONGEST_S * 1e9)
    while clock() < end or (len(took_ns) < least and clock() < longest):
        for descriptor, _ in poller.poll(1000):
            connection = connections[descriptor]
            if connection.receive():
                took_ns.append(clock() - connection.sent_at)
                connection.send()
    return took_ns


def _drain(poller: select.poll, connections: dict[int, Connection]) -> None:
    left = dict(connections)
    while left:
        for descriptor, _ in poller.poll(10_000):
            if descriptor in left and left[descriptor].receive():
                left.pop(descriptor).socket.close()
                poller.unregister(descriptor)


def _answers(connections: dict[int, Connection]) -> tuple[int, int]:
    """How many answers came so far, and how many of them from the first server."""
    taken = connections.values()
    return sum(c.answers for c in taken), sum(c.answers for c in taken if c.to_first)


def _cpu(servers: list[int]) -> tuple[float, float, float]:
    """CPU seconds of this process, of the servers with their workers, and of the whole machine."""
    processes = [psutil.Process(pid) for pid in servers]
    processes += [child for process in processes for child in process.children()]
    times = [process.cpu_times() for process in processes]
    return time.process_time(), sum(each.user + each.system for each in times), busy_s()


def busy_s() -> float:
    """CPU seconds that all processors were busy since they started."""
    times = psutil.cpu_times()._asdict()
    return sum(value for name, value in times.items() if name not in {"idle", "iowait", "guest", "guest_nice"})


if __name__ == "__main__":
    gc.disable()
    sys.stdout.write(json.dumps(asdict(drive(Job(**json.load(sys.stdin))))))
