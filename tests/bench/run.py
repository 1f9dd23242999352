"""The measurements: `tox -e bench`, or `python tests/bench/run.py [--quick]` where the project is installed.

Everything is compared with a reference in the same run, in interleaved rounds; the ratio of medians of two runs says
nothing. Prints a table, and keeps it with every sample in `bench-results/`.
"""

import argparse
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import chats
import growth
import peers
import report
import sharing
import single
import teams
import upkeep
from databases import Filled, fill
from figures import Figure, Samples, table
from processes import Lab
from single import PATCHES, shuffled
from sizes import FULL, QUICK, Peers, Size

from pinocchio_core.settings import DEFAULT_THREADS

RESULTS = Path(__file__).parents[2] / "bench-results"
LISTENERS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: fewer, shorter rounds, 10,000 for 100,000"
    )
    parser.add_argument("--threads", type=int, default=DEFAULT_THREADS, help="of every server (default: %(default)s)")
    parser.add_argument("--only", choices=[name for name in _GROUPS if name], help="just this group of figures")
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
    heading = _heading(lab, document_bytes, size.peers if options.only == "peers" else size)
    sections = "".join(f"\n\n{each}" for each in report.sections(samples))
    text = f"{heading}\n\n{table(figures)}{sections}\n\nTook {time.monotonic() - began:.0f} s.\n"
    sys.stdout.write(text)
    _keep(text, heading, figures, samples)


def measured(lab: Lab, size: Size) -> tuple[list[Figure], dict[str, Samples], int]:
    """All figures, the samples they are made of, and the size of the document that was read."""
    many = _filled(lab, f"{size.many}.db", size.many)
    figures, samples, document_bytes = measured_single(lab, size, many)
    for more, taken, _ in (
        measured_sharing(lab, size),
        measured_upkeep(lab, size),
        measured_chats(lab, size),
        measured_teams(lab, size, many),
        measured_peers(lab, size, many),
    ):
        figures += more
        samples |= taken
    return figures, samples, document_bytes


def measured_single(lab: Lab, size: Size, many: Filled | None = None) -> tuple[list[Figure], dict[str, Samples], int]:
    """The same for reads, writes and starts of one server alone."""
    many = many or _filled(lab, f"{size.many}.db", size.many)
    few, some = (_filled(lab, f"{count}.db", count) for count in (10, 1000))
    body = few.first.document
    _say("reads")
    reads = single.reads(lab, size, few, some, many, body)
    _say("writes")
    writes = single.writes(lab, size, _filled(lab, "w10.db", 10), _filled(lab, "w10000.db", 10_000))
    _say("starts")
    starts = single.starts(lab, size, many)
    figures = [*single.read_figures(reads, size), *single.write_figures(writes), *single.start_figures(starts, size)]
    return figures, {"reads": reads, "writes": writes, "starts": starts}, len(body)


def measured_sharing(lab: Lab, size: Size) -> tuple[list[Figure], dict[str, Samples], int]:
    """The same for several processes on one database alone."""
    _say("sharing")
    read, written = _filled(lab, "shared-1000.db", 1000), _filled(lab, "shared-10.db", 10)
    plan = sharing.Plan(
        read=read,
        written=written,
        reads=shuffled(read),
        patches=shuffled(written),
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
        patches=shuffled(large),
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
        patches=shuffled(short),
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


def measured_peers(lab: Lab, size: Size, many: Filled | None = None) -> tuple[list[Figure], dict[str, Samples], int]:
    """The same beside what one would pick instead, and how all of it grows, alone."""
    _say("peers")
    made = {size.many: many} if many else {}

    def filled(count: int) -> Filled:
        return made.get(count) or _filled(lab, f"peers-{count}.db", count)

    plan = growth.Plan(filled=filled, **vars(size.peers))
    return peers.measured(lab, plan)


_GROUPS: dict[str | None, Callable[..., Any]] = {
    None: measured,
    "single": measured_single,
    "sharing": measured_sharing,
    "upkeep": measured_upkeep,
    "chats": measured_chats,
    "teams": measured_teams,
    "peers": measured_peers,
}


def _filled(lab: Lab, name: str, count: int) -> Filled:
    began = time.monotonic()
    filled = fill(lab.folder / name, count)
    _say(f"{count:,} profiles written in {time.monotonic() - began:.1f} s")
    return filled


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


def _heading(lab: Lab, document_bytes: int, size: Size | Peers) -> str:
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
    if "peers" in samples:
        import plots  # with matplotlib, which nothing else needs

        for path in plots.drawn(samples, RESULTS, name):
            sys.stderr.write(f"bench: drawn in {path}\n")


if __name__ == "__main__":
    main()
