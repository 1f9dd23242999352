"""How all of them grow: sweeps of the number of profiles, of clients and of server processes from one base point."""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import peer_rows
from contenders import CONTENDERS, DATASETTE, GET, GRANIAN, LIST, OURS, PAGE, PATCH, RESOLVE, Contender, Request
from databases import Filled
from figures import Sample, Samples, interleaved
from processes import Lab, Running, others_cpu
from sharing import Spread

CLIENTS = 8
LONGEST_LIST = 10_000
"""A list of more, asked for by 8 clients at a time, says more about the loopback interface than about a server."""
SWEPT_OF_OURS = (GET, PAGE, PATCH, RESOLVE)
SWEPT = (GET, PAGE, PATCH)
"""No 304: entity tags change with the writes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure."""

    filled: Callable[[int], Filled]
    """Makes a database of ours with so many profiles, or hands out the one there is."""
    sizes: Sequence[int]
    clients: Sequence[int]
    processes: Sequence[int]
    base: int
    """Profiles at the base point."""
    rounds: int
    starts: int
    sample_s: float
    group_s: float
    """After this time the rounds of the base point begin no further one; a sweep has half of it."""


def key(*parts: object) -> str:
    """What samples are kept under."""
    return " | ".join(str(part) for part in parts)


def parts(name: str) -> list[str]:
    """What `key` was made of."""
    return name.split(" | ")


class Files:
    """A database of its own for each server, so that none waits for another or sees its writes."""

    def __init__(self, lab: Lab, filled: Callable[[int], Filled]) -> None:
        self._folder = lab.folder
        self._filled = filled
        self._made: dict[int, tuple[Filled, Path]] = {}
        self._copies = 0

    def of(self, count: int) -> Filled:
        """The profiles that every file of this size has."""
        return self._originals(count)[0]

    def copy(self, contender: Contender, count: int) -> Path:
        """A new file for one of them."""
        filled, peers = self._originals(count)
        self._copies += 1
        path = self._folder / f"copy{self._copies}.db"
        shutil.copyfile(filled.path if contender.ours else peers, path)
        return path

    def _originals(self, count: int) -> tuple[Filled, Path]:
        if count not in self._made:
            filled, peers = self._filled(count), self._folder / f"peers{count}.db"
            peer_rows.fill(filled.path, peers)
            self._made[count] = filled, peers
        return self._made[count]


def loaded(
    lab: Lab, server: Running, request: Request, seconds: float, connections: int = CLIENTS
) -> Callable[[], Sample]:
    """A sample of one operation of one server."""

    def sample() -> Sample:
        outcome = lab.load(server, request.targets, seconds=seconds, connections=connections, **request.job)
        return Sample(values=vars(outcome) | {"rss_mb": server.rss_mb}, others_cpu=outcome.others_cpu)

    return sample


def by_size(lab: Lab, plan: Plan, files: Files) -> Samples:
    """Samples by operation, contender and number of profiles."""
    subjects = {}
    for count in plan.sizes:
        filled = files.of(count)
        for contender in _swept():
            path = files.copy(contender, count)
            server = contender.start(lab, path, 1, None)
            requests = contender.requests(filled, path)
            listed = (LIST,) if contender.ours and count <= LONGEST_LIST else ()
            for operation in (*_operations(contender, requests), *listed):
                subjects[key(operation, contender.name, count)] = loaded(
                    lab, server, requests[operation], plan.sample_s
                )
    return _interleaved(lab, plan, subjects)


def by_clients(lab: Lab, plan: Plan, files: Files) -> Samples:
    """Samples by operation, contender and number of clients."""
    subjects = {}
    filled = files.of(plan.base)
    for contender in _swept(GRANIAN):
        path = files.copy(contender, plan.base)
        server = contender.start(lab, path, 1, None)
        requests = contender.requests(filled, path)
        for operation in _operations(contender, requests):
            for clients in plan.clients:
                subjects[key(operation, contender.name, clients)] = loaded(
                    lab, server, requests[operation], plan.sample_s, clients
                )
    return _interleaved(lab, plan, subjects)


def by_processes(lab: Lab, plan: Plan, files: Files) -> Samples:
    """Samples by operation, contender and number of server processes, which share both cores with the load."""
    pinned = lab.cores
    lab.cores = Spread(pinned)
    try:
        subjects = {}
        filled = files.of(plan.base)
        for contender in _swept(GRANIAN):
            if contender.name == DATASETTE:
                continue  # it is one process
            path = files.copy(contender, plan.base)
            requests = contender.requests(filled, path)
            for processes in plan.processes:
                # a file for each, so that no server keeps another one's file open
                path = files.copy(contender, plan.base)
                server = contender.start(lab, path, processes, contender.first(filled, path))
                for operation in SWEPT:
                    subjects[key(operation, contender.name, processes)] = loaded(
                        lab, server, requests[operation], plan.sample_s
                    )
        return _interleaved(lab, plan, subjects)
    finally:
        lab.cores = pinned
        pinned.unpin()


def starts(lab: Lab, plan: Plan, files: Files) -> Samples:
    """Starts to the first answer by contender and number of profiles: seconds, and memory then."""
    subjects = {}
    for contender in CONTENDERS:
        for count in plan.sizes if contender.name == OURS else [plan.base]:
            path = files.copy(contender, count)
            subjects[key(contender.name, count)] = _started(lab, contender, path, files.of(count))
    for warm_up in subjects.values():
        warm_up()
    return interleaved(subjects, rounds=plan.starts, deadline=time.monotonic() + plan.group_s / 2)


def _started(lab: Lab, contender: Contender, path: Path, filled: Filled) -> Callable[[], Sample]:
    first = contender.first(filled, path)

    def sample() -> Sample:
        with others_cpu() as others:
            server = contender.start(lab, path, 1, first)
            rss_mb = server.rss_mb
            server.stop()
        return Sample(values={"s": server.started_in_s, "rss_mb": rss_mb}, others_cpu=others[0])

    return sample


def _swept(*more: str) -> Iterable[Contender]:
    """Those that sweeps look at: ours, the peers, and `more`."""
    return (each for each in CONTENDERS if each.name != GRANIAN or GRANIAN in more)


def _operations(contender: Contender, requests: dict[str, Request]) -> list[str]:
    swept = SWEPT_OF_OURS if contender.name == OURS else SWEPT
    return [operation for operation in swept if operation in requests]


def _interleaved(lab: Lab, plan: Plan, subjects: dict[str, Callable[[], Sample]]) -> Samples:
    try:
        return interleaved(subjects, rounds=plan.rounds, deadline=time.monotonic() + plan.group_s / 2)
    finally:
        lab.close()
