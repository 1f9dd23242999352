"""What several processes on one database reach: two workers, and two servers.

Unlike all other measurements, servers have both cores: each is pinned to one of them, and the load runs on whichever
has time left. So the load takes from two servers what it does not take from one, which has a core for itself.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from databases import Filled
from figures import Figure, Sample, Samples, Target, figure, interleaved
from processes import Cores, Lab, Running

DEADLINE_S = 30
WORKER = re.compile(rb'pinocchio_worker_info\{pid="([0-9]+)"\}')
ONE_PINNED = "one, pinned; the load shares both cores with them"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure, on which database."""

    read: Filled
    written: Filled
    reads: Sequence[tuple[str, str]]
    patches: Sequence[tuple[str, str]]
    body: str
    rounds: int
    sample_s: float
    group_s: float


class Spread(Cores):
    """Both cores for what is started and for the load; servers pin themselves."""

    def __init__(self, pinned: Cores) -> None:
        self.server, self.client = pinned.server, pinned.client
        self.allowed = self.both = {self.server, self.client} - {None}
        self.unpin()

    def unpin(self) -> None:
        """Let this process, and the load that it starts, run on both cores."""
        self._allow(self.both)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """What is started inside may run where `only` says, else on both cores."""
        self._allow(self.allowed)
        try:
            yield
        finally:
            self.unpin()

    @contextmanager
    def only(self, core: int | None) -> Iterator[None]:
        """Servers that are started inside have this core alone."""
        self.allowed = self.both if core is None else {core}
        try:
            yield
        finally:
            self.allowed = self.both

    def _allow(self, cores: set[int]) -> None:
        if cores:
            os.sched_setaffinity(0, cores)


def measured(lab: Lab, plan: Plan) -> tuple[list[Figure], Samples]:
    """The figures, and the samples they are made of."""
    pinned = lab.cores
    lab.cores = spread = Spread(pinned)
    try:
        reads = interleaved(_reads(lab, plan), rounds=plan.rounds, deadline=time.monotonic() + plan.group_s / 2)
        lab.close()
        writes = interleaved(
            _writes(lab, spread, plan), rounds=plan.rounds, deadline=time.monotonic() + plan.group_s / 2
        )
        lab.close()
    finally:
        lab.cores = pinned
        pinned.unpin()
    return _figures(reads, writes), reads | writes


def _reads(lab: Lab, plan: Plan) -> dict[str, Callable[[], Sample]]:
    one = lab.pinocchio(plan.read.path, "--pin")
    two = lab.pinocchio(plan.read.path, "--workers", 2, "--pin")
    _wait_for_workers(two, 2)
    return {name: _loaded(lab, plan, server) for name, server in (("one worker", one), ("two workers", two))}


def _writes(lab: Lab, spread: Spread, plan: Plan) -> dict[str, Callable[[], Sample]]:
    servers = []
    for core in (spread.server, spread.client):
        with spread.only(core):
            servers.append(lab.pinocchio(plan.written.path))
    first, second = servers
    both = [(second.port, second.process.pid)]
    return {
        "one server": _loaded(lab, plan, first, write=True),
        "two servers": _loaded(lab, plan, first, write=True, other_servers=both),
    }


def _loaded(lab: Lab, plan: Plan, server: Running, *, write: bool = False, **job: object) -> Callable[[], Sample]:
    targets = plan.patches if write else plan.reads
    job |= {"method": "PATCH", "body": plan.body} if write else {}

    def sample() -> Sample:
        outcome = lab.load(server, targets, seconds=plan.sample_s, **job)
        return Sample(values=vars(outcome), others_cpu=outcome.others_cpu)

    return sample


def _wait_for_workers(server: Running, count: int) -> None:
    """Return when so many processes have answered."""
    seen: set[bytes] = set()
    deadline = time.monotonic() + DEADLINE_S
    while len(seen) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {len(seen)} of {count} workers answered")
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := connection.recv(1 << 16):
                answer += data
        seen.update(WORKER.findall(answer))


def _figures(reads: Samples, writes: Samples) -> list[Figure]:
    def of_writes(name: str, kind: str, unit: str, *, relation: str, bound: float, against: str) -> Figure:
        return figure(
            writes,
            name,
            unit=unit,
            value=("two servers", kind),
            reference=("one server", kind),
            against=against,
            target=Target(relation=relation, bound=bound),
        )

    def share(relation: str, bound: float) -> Figure:
        target = Target(relation=relation, bound=bound, of="value")
        name = "first server's part of those"
        return figure(writes, name, unit="%", value=("two servers", "first_share"), target=target)

    eight = "one server, 8 clients; each server pinned, the load on both cores"
    return [
        figure(
            reads,
            "GET one of 1,000, two pinned workers",
            unit="/s",
            value=("two workers", "rate"),
            reference=("one worker", "rate"),
            against=ONE_PINNED,
            target=Target(relation="≥", bound=1.4),
        ),
        of_writes(
            "PATCH of 10, two servers with 4 clients each", "rate", "/s", relation="≥", bound=0.95, against=eight
        ),
        of_writes("p99 of those", "p99_ms", "ms", relation="≤", bound=1.5, against="p99 of one server"),
        figure(
            writes,
            "p99 of those",
            unit="ms",
            value=("two servers", "p99_ms"),
            reference=("two servers", "median_ms"),
            against="their median",
            target=Target(relation="≤", bound=3.5),
        ),
        share("≥", 45),
        share("≤", 55),
    ]
