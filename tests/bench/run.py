"""The measurements: `tox -e bench`, or `python tests/bench/run.py [--quick]` where the project is installed.

Everything is compared with a reference in the same run, in interleaved rounds; the ratio of medians of two runs says
nothing. Prints a table, and keeps it with every sample in `bench-results/`.
"""

import argparse
import json
import platform
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import chats
import sharing
import teams
import upkeep
from databases import DOCUMENT, REGISTRY, RUNTIME, Filled, fill
from figures import Figure, Sample, Samples, Target, figure, interleaved, table
from processes import Lab, Running, others_cpu

from pinocchio_core.settings import DEFAULT_THREADS
from pinocchio_core.store.dsn import dsn_of_path
from pinocchio_core.store.filters import ProfileFilter
from pinocchio_core.store.opening import open_database
from pinocchio_core.store.store import Store

RESULTS = Path(__file__).parents[2] / "bench-results"
PROFILES = "/api/chat/profiles"
PATCHES = {
    "description": json.dumps({"description": DOCUMENT["description"] + " %016d"}),
    "runtime": json.dumps({"runtime": {**RUNTIME, "system_prompt": RUNTIME["system_prompt"] + " %016d"}}),
}
"""Bodies of PATCH, each with the place for a number that makes it a change."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    sample_s: float
    starts: int
    many: int
    """Profiles in the largest database."""
    large: int
    """Profiles in the database that is backed up."""
    upkeep_s: float
    """How long writers write around its backup."""
    group_s: float
    """After this time a group of rounds begins no further one."""
    revisions: int
    """In the database with the long history."""
    changes: int
    """What listeners hear of, at least."""
    files: int


FULL = Size(
    rounds=9,
    sample_s=0.8,
    starts=11,
    many=100_000,
    large=12_000,
    upkeep_s=3.0,
    group_s=110,
    revisions=1_000_000,
    changes=5000,
    files=10_000,
)
QUICK = Size(
    rounds=3,
    sample_s=0.3,
    starts=3,
    many=10_000,
    large=4000,
    upkeep_s=1.5,
    group_s=8,
    revisions=100_000,
    changes=1000,
    files=1000,
)
LISTENERS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: fewer, shorter rounds, 10,000 for 100,000"
    )
    parser.add_argument("--threads", type=int, default=DEFAULT_THREADS, help="of every server (default: %(default)s)")
    parser.add_argument("--only", choices=["sharing", "upkeep", "chats", "teams"], help="just this group of figures")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    RESULTS.mkdir(exist_ok=True)
    began = time.monotonic()
    # beside the results and not in /tmp, which may be memory: there a commit costs nothing
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix="databases-") as folder:
        lab = Lab(Path(folder), options.threads)
        try:
            figures, samples, document_bytes = _GROUPS[options.only](lab, size)
        finally:
            lab.close()
    heading = _heading(lab, document_bytes, size)
    text = f"{heading}\n\n{table(figures)}\n\nTook {time.monotonic() - began:.0f} s.\n"
    sys.stdout.write(text)
    _keep(text, heading, figures, samples)


def measured(lab: Lab, size: Size) -> tuple[list[Figure], dict[str, Samples], int]:
    """All figures, the samples they are made of, and the size of the document that was read."""
    few, some, many = (_filled(lab, f"{count}.db", count) for count in (10, 1000, size.many))
    body = few.first.document
    _say("reads")
    reads = _reads(lab, size, few, some, many, body)
    _say("writes")
    writes = _writes(lab, size, _filled(lab, "w10.db", 10), _filled(lab, "w10000.db", 10_000))
    _say("starts")
    starts = _starts(lab, size, many)
    shared_figures, shared, _ = measured_sharing(lab, size)
    upkeep_figures, kept, _ = measured_upkeep(lab, size)
    chat_figures, chatted, _ = measured_chats(lab, size)
    figures = [*_read_figures(reads, size), *_write_figures(writes), *_start_figures(starts, size)]
    team_figures, teamed, _ = measured_teams(lab, size, many)
    samples = {"reads": reads, "writes": writes, "starts": starts} | shared | kept | chatted | teamed
    return [*figures, *shared_figures, *upkeep_figures, *chat_figures, *team_figures], samples, len(body)


def measured_sharing(lab: Lab, size: Size) -> tuple[list[Figure], dict[str, Samples], int]:
    """The same for several processes on one database alone."""
    _say("sharing")
    read, written = _filled(lab, "shared-1000.db", 1000), _filled(lab, "shared-10.db", 10)
    plan = sharing.Plan(
        read=read,
        written=written,
        reads=_shuffled(read),
        patches=_shuffled(written),
        body=PATCHES["description"],
        rounds=size.rounds,
        sample_s=size.sample_s,
        group_s=size.group_s,
    )
    figures, samples = sharing.measured(lab, plan)
    return figures, {"sharing": samples}, len(read.first.document)


def measured_upkeep(lab: Lab, size: Size) -> tuple[list[Figure], dict[str, Samples], int]:
    """The same for checkpoints and backups alone."""
    _say("upkeep")
    large = _filled(lab, "large.db", size.large)
    plan = upkeep.Plan(
        written=_filled(lab, "bursts.db", 10),
        large=large,
        patches=_shuffled(large),
        body=PATCHES["description"],
        rounds=size.rounds,
        burst_s=4 * size.sample_s,
        load_s=size.upkeep_s,
        group_s=size.group_s,
    )
    figures, samples = upkeep.measured(lab, plan)
    return figures, {"upkeep": samples}, len(large.first.document)


def measured_chats(lab: Lab, size: Size) -> tuple[list[Figure], dict[str, Samples], int]:
    """The same for chats alone."""
    _say("chats")
    filled = _filled(lab, "chats.db", 1000)
    plan = chats.Plan(filled=filled, rounds=size.rounds, sample_s=size.sample_s, group_s=size.group_s)
    figures, samples = chats.measured(lab, plan)
    return figures, {"chats": samples}, len(filled.first.document)


def measured_teams(lab: Lab, size: Size, many: Filled | None = None) -> tuple[list[Figure], dict[str, Samples], int]:
    """The same for histories, searches, listeners and plans alone."""
    _say("teams")
    short = _filled(lab, "short-history.db", 10)
    plan = teams.Plan(
        short=short,
        long=_filled(lab, "long-history.db", 10),
        many=many or _filled(lab, f"searched-{size.many}.db", size.many),
        patches=_shuffled(short),
        body=PATCHES["description"],
        long_revisions=size.revisions,
        listeners=LISTENERS,
        changes=size.changes,
        files=size.files,
        rounds=size.rounds,
        sample_s=size.sample_s,
        group_s=size.group_s,
    )
    figures, samples = teams.measured(lab, plan)
    return figures, {"teams": samples}, len(short.first.document)


_GROUPS: dict[str | None, Callable[..., Any]] = {
    None: measured,
    "sharing": measured_sharing,
    "upkeep": measured_upkeep,
    "chats": measured_chats,
    "teams": measured_teams,
}


# --- reads


def _reads(lab: Lab, size: Size, few: Filled, some: Filled, many: Filled, body: bytes) -> Samples:
    (lab.folder / "static.json").write_bytes(body)
    (lab.folder / "page.json").write_bytes(_page_of(some))
    static = lab.reference("static", lab.folder / "static.json")
    static_page = lab.reference("static", lab.folder / "page.json")
    select = lab.reference("select", some.path)
    models = lab.reference("models", some.path)
    servers = [lab.pinocchio(filled.path) for filled in (few, some, many)]
    page = [(f"{PROFILES}?limit=100", "")]
    known = [(f"{PROFILES}/{s}", f"If-None-Match: {e}\r\n") for s, e in zip(some.slugs, some.etags, strict=False)]
    subjects = {
        "static": _loaded(lab, size, static, [("/", "")]),
        "select": _loaded(lab, size, select, _shuffled(some)),
        "one of some": _loaded(lab, size, servers[1], _shuffled(some)),
        "304": _loaded(lab, size, servers[1], known, status=304),
        "one of few": _loaded(lab, size, servers[0], _shuffled(few)),
        "one of many": _loaded(lab, size, servers[2], _shuffled(many)),
        "page": _loaded(lab, size, servers[1], page),
        "static page": _loaded(lab, size, static_page, [("/", "")]),
        "models": _loaded(lab, size, models, [("/", "")]),
    }
    samples = interleaved(subjects, rounds=size.rounds, deadline=time.monotonic() + size.group_s)
    for name, server in (("memory few", servers[0]), ("memory many", servers[2])):
        samples[name] = [Sample(values={"rss_mb": server.rss_mb}, others_cpu=0)]
    lab.close()
    return samples


def _read_figures(reads: Samples, size: Size) -> list[Figure]:
    def rate(name: str, subject: str, other: str, against: str, target: Target | None) -> Figure:
        both = {"value": (subject, "rate"), "reference": (other, "rate")}
        return figure(reads, name, unit="/s", against=against, target=target, **both)

    static = "static answer of that size, bare Falcon"
    return [
        rate("GET one of 1,000", "one of some", "static", static, Target(relation="≥", bound=0.90)),
        rate("a bare SELECT of 1,000", "select", "static", f"{static}: what any GET can reach", None),
        rate("GET one of 1,000", "one of some", "select", "a bare SELECT, no checks", None),
        rate(
            f"GET one of {size.many:,}", "one of many", "one of few", "GET one of 10", Target(relation="≥", bound=0.75)
        ),
        rate("304 of 1,000", "304", "one of some", "GET one of 1,000", Target(relation="≥", bound=1.0)),
        rate("page of 100", "page", "models", "the same page of Peewee models", Target(relation="≥", bound=20)),
        rate("a static page of that size", "static page", "models", "those models: what any page can reach", None),
        figure(
            reads,
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


# --- writes


def _writes(lab: Lab, size: Size, few: Filled, many: Filled) -> Samples:
    raw = _filled(lab, "raw.db", 10)
    servers = [lab.pinocchio(filled.path) for filled in (few, many)]

    def commits() -> Sample:
        with others_cpu() as others:
            rate = lab.commits(raw.path, size.sample_s)
        return Sample(values={"rate": rate}, others_cpu=others[0])

    def patches(server: Running, filled: Filled, kind: str) -> Callable[[], Sample]:
        return _loaded(lab, size, server, _shuffled(filled), method="PATCH", body=PATCHES[kind])

    subjects = {
        "commits": commits,
        "patch few": patches(servers[0], few, "description"),
        "patch many": patches(servers[1], many, "description"),
        "patch runtime": patches(servers[0], few, "runtime"),
    }
    samples = interleaved(subjects, rounds=size.rounds, deadline=time.monotonic() + size.group_s)
    lab.close()
    return samples


def _write_figures(writes: Samples) -> list[Figure]:
    raw = "raw commits of one such row"

    def rate(name: str, subject: str, other: str, against: str, target: Target | None) -> Figure:
        both = {"value": (subject, "rate"), "reference": (other, "rate")}
        return figure(writes, name, unit="/s", against=against, target=target, **both)

    def tail(name: str, subject: str) -> Figure:
        both = {"value": (subject, "p99_ms"), "reference": (subject, "median_ms")}
        target = Target(relation="≤", bound=3.5)
        return figure(writes, f"p99 of {name}, 8 clients", unit="ms", against="median", target=target, **both)

    return [
        rate("PATCH of 10", "patch few", "commits", raw, Target(relation="≥", bound=0.30)),
        rate("PATCH of a whole runtime", "patch runtime", "commits", raw, None),
        rate("PATCH of 10,000", "patch many", "patch few", "PATCH of 10", Target(relation="≥", bound=0.75)),
        tail("PATCH of 10", "patch few"),
        tail("PATCH of 10,000", "patch many"),
    ]


# --- starts


def _starts(lab: Lab, size: Size, many: Filled) -> Samples:
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


def _start_figures(starts: Samples, size: Size) -> list[Figure]:
    figures = []
    for name, subject in (("a new store", "new"), (f"{size.many:,} profiles", "many")):
        both = {"value": (subject, "s"), "reference": ("imports", "s")}
        target = Target(relation="≤", bound=1.5)
        against = "importing the libraries"
        figures.append(
            figure(starts, f"start to first answer, {name}", unit="s", against=against, target=target, **both)
        )
    memory = ("new", "rss_mb")
    idle = Target(relation="≤", bound=55, of="value")
    figures.append(figure(starts, "memory then, a new store", unit="MB", value=memory, target=idle))
    both = {"value": ("many", "rss_mb"), "reference": memory}
    more = Target(relation="≤", bound=10, of="difference")
    name = f"memory then, {size.many:,} profiles"
    return [*figures, figure(starts, name, unit="MB", against="a new store", target=more, **both)]


# --- what they share


def _loaded(
    lab: Lab, size: Size, server: Running, targets: Sequence[tuple[str, str]], **job: object
) -> Callable[[], Sample]:
    def sample() -> Sample:
        outcome = lab.load(server, targets, seconds=size.sample_s, **job)
        if outcome.client_cpu > 0.95:
            _say(f"the load generator was the limit ({outcome.rate:.0f}/s): that figure says little")
        return Sample(values=vars(outcome), others_cpu=outcome.others_cpu)

    return sample


def _shuffled(filled: Filled) -> list[tuple[str, str]]:
    slugs = random.Random(1).sample(filled.slugs, min(20_000, len(filled.slugs)))  # noqa: S311  no secret
    return [(f"{PROFILES}/{slug}", "") for slug in slugs]


def _filled(lab: Lab, name: str, count: int) -> Filled:
    began = time.monotonic()
    filled = fill(lab.folder / name, count)
    _say(f"{count:,} profiles written in {time.monotonic() - began:.1f} s")
    return filled


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


def _heading(lab: Lab, document_bytes: int, size: Size) -> str:
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()}"
        f" {platform.machine()}; {lab.cores}; {lab.threads} threads, 8 connections; documents of"
        f" {document_bytes:,} bytes; synchronous=FULL; up to {size.rounds} rounds of {size.sample_s} s"
        f" ({size.starts} starts), interleaved. Three numbers are minimum / median / maximum; a target is met by"
        " the median over the rounds. By CPU time: the same ratio from the servers' CPU time for an answer."
    )


def _keep(text: str, heading: str, figures: Sequence[Figure], samples: dict[str, Samples]) -> None:
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    raw = {
        group: {subject: [vars(sample) for sample in taken] for subject, taken in subjects.items()}
        for group, subjects in samples.items()
    }
    document = {"about": heading, "figures": [each.document() for each in figures], "samples": raw}
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False))
    sys.stderr.write(f"bench: kept in {RESULTS / name}.json\n")


if __name__ == "__main__":
    main()
