"""One server alone: reads, writes and starts, beside what bounds them."""

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from contenders import pages
from databases import DOCUMENT, REGISTRY, RUNTIME, Filled, fill
from figures import Figure, Sample, Samples, Target, figure, interleaved
from processes import Lab, Running, others_cpu
from sizes import Size

from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.filters import ProfileFilter

PROFILES = "/api/chat/profiles"
PATCHES = {
    "description": json.dumps({"description": DOCUMENT["description"] + " %016d"}),
    "runtime": json.dumps({"runtime": {**RUNTIME, "system_prompt": RUNTIME["system_prompt"] + " %016d"}}),
}
"""Bodies of PATCH, each with the place for a number that makes it a change."""


def reads(lab: Lab, size: Size, few: Filled, some: Filled, many: Filled, body: bytes) -> Samples:
    """Samples of reads of three sizes and of their references."""
    (lab.folder / "static.json").write_bytes(body)
    (lab.folder / "page.json").write_bytes(_page_of(some))
    static = lab.reference("static", lab.folder / "static.json")
    static_page = lab.reference("static", lab.folder / "page.json")
    here = lab.reference("here", lab.folder / "static.json")
    select = lab.reference("select", some.path)
    models = lab.reference("models", some.path)
    servers = [lab.pinocchio(filled.path) for filled in (few, some, many)]
    page = [(f"{PROFILES}?limit=100", "")]
    known = [(f"{PROFILES}/{s}", f"If-None-Match: {e}\r\n") for s, e in zip(some.slugs, some.etags, strict=False)]
    subjects = {
        "static": loaded(lab, size, static, [("/", "")]),
        "here": loaded(lab, size, here, [("/", "")]),
        "select": loaded(lab, size, select, shuffled(some)),
        "one of some": loaded(lab, size, servers[1], shuffled(some)),
        "304": loaded(lab, size, servers[1], known, status=304),
        "one of few": loaded(lab, size, servers[0], shuffled(few)),
        "one of many": loaded(lab, size, servers[2], shuffled(many)),
        "page": loaded(lab, size, servers[1], pages(some)),
        "page again": loaded(lab, size, servers[1], page),
        "static page": loaded(lab, size, static_page, [("/", "")]),
        "models": loaded(lab, size, models, [("/", "")]),
    }
    samples = interleaved(subjects, rounds=size.rounds, deadline=time.monotonic() + size.group_s)
    for name, server in (("memory few", servers[0]), ("memory many", servers[2])):
        samples[name] = [Sample(values={"rss_mb": server.rss_mb}, others_cpu=0)]
    lab.close()
    return samples


def read_figures(samples: Samples, size: Size) -> list[Figure]:
    """What they come to."""

    def rate(name: str, subject: str, other: str, against: str, target: Target | None) -> Figure:
        both = {"value": (subject, "rate"), "reference": (other, "rate")}
        return figure(samples, name, unit="/s", against=against, target=target, **both)

    static = "static answer of that size, bare Falcon"
    return [
        rate("GET one of 1,000", "one of some", "static", static, Target(relation="≥", bound=0.90)),
        rate("a static answer, this server", "here", "static", static, None),
        rate("a bare SELECT of 1,000", "select", "static", static, None),
        rate("GET one of 1,000", "one of some", "select", "a bare SELECT, no checks", None),
        rate(
            f"GET one of {size.many:,}", "one of many", "one of few", "GET one of 10", Target(relation="≥", bound=0.75)
        ),
        rate("304 of 1,000", "304", "one of some", "GET one of 1,000", Target(relation="≥", bound=1.0)),
        rate("page of 100", "page", "models", "such a page of Peewee models", Target(relation="≥", bound=20)),
        rate("the same page again", "page again", "models", "those models", Target(relation="≥", bound=20)),
        rate("a static page of that size", "static page", "models", "those models: what any page can reach", None),
        figure(
            samples,
            f"memory at {size.many:,} after all reads",
            unit="MB",
            value=("memory many", "rss_mb"),
            reference=("memory few", "rss_mb"),
            against="the same at 10",
        ),
    ]


def _page_of(filled: Filled) -> bytes:
    store = Store(open_database(dsn_of_path(str(filled.path))).database)
    try:
        return store.list_profiles(REGISTRY, None, ProfileFilter(limit=100)).document
    finally:
        store.close()


def writes(lab: Lab, size: Size, few: Filled, many: Filled) -> Samples:
    """Samples of PATCH and of raw commits."""
    raw = fill(lab.folder / "raw.db", 10)
    servers = [lab.pinocchio(filled.path) for filled in (few, many)]

    def commits() -> Sample:
        with others_cpu() as others:
            rate = lab.commits(raw.path, size.sample_s)
        return Sample(values={"rate": rate}, others_cpu=others[0])

    def patches(server: Running, filled: Filled, kind: str) -> Callable[[], Sample]:
        return loaded(lab, size, server, shuffled(filled), method="PATCH", body=PATCHES[kind])

    subjects = {
        "commits": commits,
        "patch few": patches(servers[0], few, "description"),
        "patch many": patches(servers[1], many, "description"),
        "patch runtime": patches(servers[0], few, "runtime"),
    }
    samples = interleaved(subjects, rounds=size.rounds, deadline=time.monotonic() + size.group_s)
    lab.close()
    return samples


def write_figures(samples: Samples) -> list[Figure]:
    """What they come to."""
    raw = "raw commits of one such row"

    def rate(name: str, subject: str, other: str, against: str, target: Target | None) -> Figure:
        both = {"value": (subject, "rate"), "reference": (other, "rate")}
        return figure(samples, name, unit="/s", against=against, target=target, **both)

    def tail(name: str, subject: str) -> Figure:
        both = {"value": (subject, "p99_ms"), "reference": (subject, "median_ms")}
        target = Target(relation="≤", bound=3.5)
        return figure(samples, f"p99 of {name}, 8 clients", unit="ms", against="median", target=target, **both)

    return [
        rate("PATCH of 10", "patch few", "commits", raw, Target(relation="≥", bound=0.30)),
        rate("PATCH of a whole runtime", "patch runtime", "commits", raw, None),
        rate("PATCH of 10,000", "patch many", "patch few", "PATCH of 10", Target(relation="≥", bound=0.75)),
        tail("PATCH of 10", "patch few"),
        tail("PATCH of 10,000", "patch many"),
    ]


def starts(lab: Lab, size: Size, many: Filled) -> Samples:
    """Samples of starts to the first answer."""

    def imports() -> Sample:
        with others_cpu() as others:
            took = lab.imports()
        return Sample(values={"s": took}, others_cpu=others[0])

    def started(path: Path, slug: str) -> Sample:
        with others_cpu() as others:
            server = lab.pinocchio(path, first=f"{PROFILES}/{slug}")
            rss_mb = server.rss_mb
            server.stop()
        return Sample(values={"s": server.started_in_s, "rss_mb": rss_mb}, others_cpu=others[0])

    numbers = iter(range(sys.maxsize))
    subjects = {
        "imports": imports,
        "new": lambda: started(lab.folder / f"new-{next(numbers)}.db", "default"),
        "many": lambda: started(many.path, many.slugs[-1]),
    }
    for warm_up in subjects.values():
        warm_up()
    return interleaved(subjects, rounds=size.starts, deadline=time.monotonic() + size.group_s / 2)


def start_figures(samples: Samples, size: Size) -> list[Figure]:
    """What they come to."""
    figures = []
    for name, subject in (("a new store", "new"), (f"{size.many:,} profiles", "many")):
        both = {"value": (subject, "s"), "reference": ("imports", "s")}
        target = Target(relation="≤", bound=1.5)
        against = "importing the libraries"
        figures.append(
            figure(samples, f"start to first answer, {name}", unit="s", against=against, target=target, **both)
        )
    memory = ("new", "rss_mb")
    idle = Target(relation="≤", bound=55, of="value")
    figures.append(figure(samples, "memory then, a new store", unit="MB", value=memory, target=idle))
    both = {"value": ("many", "rss_mb"), "reference": memory}
    more = Target(relation="≤", bound=10, of="difference")
    name = f"memory then, {size.many:,} profiles"
    return [*figures, figure(samples, name, unit="MB", against="a new store", target=more, **both)]


def loaded(
    lab: Lab, size: Size, server: Running, targets: Sequence[tuple[str, str]], **job: object
) -> Callable[[], Sample]:
    """A sample of one operation of one server."""

    def sample() -> Sample:
        outcome = lab.load(server, targets, seconds=size.sample_s, **job)
        if outcome.client_cpu > 0.95:
            sys.stderr.write(
                f"bench: the load generator was the limit ({outcome.rate:.0f}/s): that figure says little\n"
            )
        return Sample(values=vars(outcome), others_cpu=outcome.others_cpu)

    return sample


def shuffled(filled: Filled) -> list[tuple[str, str]]:
    """A target for each of up to 20,000 profiles."""
    slugs = random.Random(1).sample(filled.slugs, min(20_000, len(filled.slugs)))  # noqa: S311  no secret
    return [(f"{PROFILES}/{slug}", "") for slug in slugs]
