"""This server beside what one would pick instead, at one base point: operations, subjects, and the goals as figures.

All on one core, each with a database of its own, 1,000 profiles, 8 clients, one server process, interleaved. What
there is: our app under its own server and under granian, peers that do the same with other libraries, and what bounds
both: bare Falcon that answers ready bytes, and raw commits. `growth.py` goes on from here.
"""

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from contenders import (
    AGAIN,
    CHAT,
    CONTENDERS,
    CREATE,
    EXPLAIN,
    GET,
    GRANIAN,
    LIST,
    NOT_MODIFIED,
    OPERATIONS,
    OURS,
    PAGE,
    PATCH,
    PEERS,
    RESOLVE,
    SCHEMA_PATH,
    SCHEMAS,
    Contender,
    Request,
)
from databases import Filled
from figures import Figure, Sample, Samples, Target, figure, interleaved
from growth import Files, Plan, by_clients, by_processes, by_size, key, loaded, parts, starts
from processes import Lab, Running, others_cpu

from pinocchio_core.service.access.callers import Role, Token, digest_of, new_token
from pinocchio_core.service.access.tokens import add_token

STATIC, DICTIONARY, COMMITS = "bare Falcon, static", "bare Falcon, dictionary", "raw commits"
HERE = "static, this server"
TOKENS = "pinocchio, tokens"
"""Ours where tokens are needed; the host is checked and answers are counted in any case."""
REFERENCES = (STATIC, HERE, DICTIONARY, COMMITS)
WRITES = (CREATE, PATCH, RESOLVE, EXPLAIN, CHAT)
"""Asked of a server whose entity tags nobody needs; `resolve` and chats only so that servers share the memory."""


def measured(lab: Lab, plan: Plan) -> tuple[list[Figure], dict[str, Samples], int]:
    """The figures, the samples they are made of, and the size of the document that was read."""
    files = Files(lab, plan.filled)
    base = _base(lab, plan, files)
    _say("starts")
    started = starts(lab, plan, files)
    _say("sizes")
    sizes = by_size(lab, plan, files)
    _say("clients")
    clients = by_clients(lab, plan, files)
    _say("processes")
    processes = by_processes(lab, plan, files)
    samples = {
        "peers": base,
        "peers by size": sizes,
        "peers by clients": clients,
        "peers by processes": processes,
        "peers at start": started,
    }
    return figures_of(base, sizes), samples, len(files.of(plan.base).first.document)


def _base(lab: Lab, plan: Plan, files: Files) -> Samples:
    _say("base point")
    filled = files.of(plan.base)
    subjects: dict[str, Callable[[], Sample]] = {}
    for contender in CONTENDERS:
        subjects |= _of_contender(lab, plan, files, contender)
    subjects |= _with_tokens(lab, plan, files, filled)
    subjects |= of_references(lab, plan, files, filled)
    samples = interleaved(subjects, rounds=plan.rounds, deadline=time.monotonic() + plan.group_s)
    lab.close()
    return samples


def _of_contender(lab: Lab, plan: Plan, files: Files, contender: Contender) -> dict[str, Callable[[], Sample]]:
    filled = files.of(plan.base)
    subjects = {}
    for kinds in (tuple(each for each in OPERATIONS if each not in WRITES), WRITES):
        path = files.copy(contender, plan.base)
        requests = contender.requests(filled, path)
        asked = [operation for operation in kinds if operation in requests]
        if not asked:
            continue
        server = contender.start(lab, path, 1, None)
        for operation in asked:
            subjects[key(operation, contender.name)] = loaded(lab, server, requests[operation], plan.sample_s)
    return subjects


def _with_tokens(lab: Lab, plan: Plan, files: Files, filled: Filled) -> dict[str, Callable[[], Sample]]:
    ours, secret, file = CONTENDERS[0], new_token(), lab.folder / "tokens"
    now = datetime.now(UTC)
    add_token(file, Token(name="bench", role=Role.READER, sha256=digest_of(secret), created_at=now))
    path = files.copy(ours, plan.base)
    server = lab.pinocchio(path, "--auth-tokens", file)
    targets = [(each, f"Authorization: Bearer {secret}\r\n") for each, _ in ours.requests(filled, path)[GET].targets]
    return {key(GET, TOKENS): loaded(lab, server, Request(targets=targets), plan.sample_s)}


def of_references(lab: Lab, plan: Plan, files: Files, filled: Filled) -> dict[str, Callable[[], Sample]]:
    """Samples of what bounds everybody."""
    ours = CONTENDERS[0]
    path = files.copy(ours, plan.base)
    requests = ours.requests(filled, path)
    server = ours.start(lab, path, 1, None)
    subjects: dict[str, Callable[[], Sample]] = {}
    for operation in (GET, PAGE, LIST, SCHEMAS):
        bytes_of_it = lab.folder / f"{operation}.json"
        bytes_of_it.write_bytes(lab.answer(server, requests[operation].targets[0][0]))
        for name, kind in ((STATIC, "static"), (HERE, "here")):
            subjects[key(operation, name)] = _static(lab, plan, kind, bytes_of_it)
    server.stop()
    dictionary = lab.reference("dict", path)
    subjects[key(GET, DICTIONARY)] = loaded(lab, dictionary, requests[GET], plan.sample_s)
    raw = files.copy(ours, plan.base)

    def commits() -> Sample:
        with others_cpu() as others:
            rate = lab.commits(raw, plan.sample_s)
        return Sample(values={"rate": rate}, others_cpu=others[0])

    return subjects | {key(PATCH, COMMITS): commits}


def _static(lab: Lab, plan: Plan, kind: str, body: Path) -> Callable[[], Sample]:
    server: Running = lab.reference(kind, body)
    return loaded(lab, server, Request(targets=[("/", "")]), plan.sample_s)


def figures_of(base: Samples, sizes: Samples) -> list[Figure]:
    """The goals, then for every operation ours beside the best of the peers."""
    return [*_goals(base), *_growth(sizes), *_ahead(base)]


def _goals(base: Samples) -> list[Figure]:
    def rate(name: str, value: str, reference: str, against: str, bound: float | None) -> Figure:
        target = None if bound is None else Target(relation="≥", bound=bound)
        both = {"value": (value, "rate"), "reference": (reference, "rate")}
        return figure(base, name, unit="/s", against=against, target=target, **both)

    one, static = key(GET, OURS), key(GET, STATIC)
    bytes_of_it = "static answer of those bytes, bare Falcon"
    tail = {"value": (key(PATCH, OURS), "p99_ms"), "reference": (key(PATCH, OURS), "median_ms")}
    return [
        rate("a dictionary on the same route, bare Falcon", key(GET, DICTIONARY), static, bytes_of_it, None),
        rate("a static answer, this server", key(GET, HERE), static, bytes_of_it, None),
        rate("GET one", one, static, bytes_of_it, 0.95),
        rate("GET one, with a token", key(GET, TOKENS), static, bytes_of_it, 0.85),
        rate("304", key(NOT_MODIFIED, OURS), one, "GET one", 1.0),
        rate("page of 100", key(PAGE, OURS), key(PAGE, STATIC), bytes_of_it, 0.5),
        rate(AGAIN, key(AGAIN, OURS), key(PAGE, STATIC), bytes_of_it, 0.5),
        rate("full list", key(LIST, OURS), key(LIST, STATIC), bytes_of_it, None),
        rate(f"GET {SCHEMA_PATH}", key(SCHEMAS, OURS), key(SCHEMAS, STATIC), bytes_of_it, 0.95),
        rate("PATCH with history", key(PATCH, OURS), key(PATCH, COMMITS), "raw commits of such a row", 0.35),
        figure(base, "p99 of PATCH", unit="ms", against="median", target=Target(relation="≤", bound=3.5), **tail),
    ]


def _growth(sizes: Samples) -> list[Figure]:
    counts = sorted({int(parts(name)[2]) for name in sizes})
    few, many = counts[0], counts[-1]
    figures = []
    for operation, bound in ((GET, 0.80), (PAGE, None), (PATCH, None)):
        target = Target(relation="≥", bound=bound) if bound else None
        both = {"value": (key(operation, OURS, many), "rate"), "reference": (key(operation, OURS, few), "rate")}
        name = f"{operation}, {many:,} profiles"
        figures.append(figure(sizes, name, unit="/s", against=f"the same at {few:,}", target=target, **both))
    return figures


def _ahead(base: Samples) -> list[Figure]:
    figures = []
    for operation in OPERATIONS:
        best = best_peer(base, operation)
        if best is None:
            continue
        for own in (OURS, GRANIAN):
            both = {"value": (key(operation, own), "rate"), "reference": (key(operation, best), "rate")}
            target = Target(relation="≥", bound=1.0)
            figures.append(figure(base, f"{operation}, {own}", unit="/s", against=best, target=target, **both))
    return figures


def best_peer(base: Samples, operation: str) -> str | None:
    """The peer with the highest median rate; `None` where none of them has the operation."""
    rates = {
        peer: statistics.median(sample.values["rate"] for sample in base[key(operation, peer)])
        for peer in PEERS
        if key(operation, peer) in base
    }
    return max(rates, key=rates.__getitem__) if rates else None


def _say(text: str) -> None:
    sys.stderr.write(f"bench: peers: {text}\n")
