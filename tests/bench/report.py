"""What the samples beside the peers come to, as the sections of docs/performance.md: medians of the rounds."""

import importlib.metadata
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress

from contenders import CONTENDERS, OPERATIONS, OURS
from figures import Samples
from growth import key, parts
from peers import REFERENCES

SUBJECTS = (*(contender.name for contender in CONTENDERS), *REFERENCES)
ABSENT = "-"
PACKAGES = (
    *("falcon", "waitress", "peewee", "granian", "fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "sqlmodel"),
    *("flask", "gunicorn", "sqlalchemy", "datasette"),
)


def sections(samples: Mapping[str, Samples]) -> list[str]:
    """All of them, each with its heading; none where that group was not measured."""
    if "peers" not in samples:
        return []
    base = samples["peers"]
    return [
        _section("Versions", "", versions()),
        _section("Requests a second", "Medians; `-` where one does not have the operation.", rates(base)),
        _section(
            "Times and costs",
            "Median and 99th percentile of the answer times, and CPU time of all processes of the server.",
            costs(base),
        ),
        _section(
            "Start and memory",
            "From the start of the process to the end of its first answer, and resident memory of all processes then"
            " and under load (the most of any operation).",
            starts(samples["peers at start"], base),
        ),
        _section("Growth with profiles", "8 clients, 1 process.", growth(samples["peers by size"], "profiles")),
        _section("Growth with clients", "1 process.", growth(samples["peers by clients"], "clients")),
        _section(
            "Growth with server processes",
            "8 clients. The servers have both cores here, and share them with the load. Of two processes, ours are kept"
            " on a core each (`--pin`); those of the others are not.",
            growth(samples["peers by processes"], "processes"),
        ),
    ]


def versions() -> str:
    """Of all that was measured and is installed."""
    found = []
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(found) + "."


def rates(base: Samples) -> str:
    """Operations by subjects."""
    rows = [
        [operation, *(shown(median(base, key(operation, subject), "rate")) for subject in SUBJECTS)]
        for operation in OPERATIONS
    ]
    return markdown(["operation", *SUBJECTS], rows)


def costs(base: Samples) -> str:
    """A row for each operation of each subject that is a server."""
    rows = []
    for operation in OPERATIONS:
        for subject in SUBJECTS:
            name = key(operation, subject)
            if median(base, name, "cpu_us") is None:
                continue
            values = [median(base, name, kind) for kind in ("rate", "median_ms", "p99_ms", "cpu_us")]
            rows.append([operation, subject, *map(shown, values), _beside_ours(base, operation, subject)])
    return markdown(["operation", "", "a second", "p50 ms", "p99 ms", "CPU µs", "rate beside ours"], rows)


def starts(started: Samples, base: Samples) -> str:
    """A row for each start that was measured."""
    rows = []
    for name in started:
        subject, count = parts(name)
        values = [median(started, name, "s"), median(started, name, "rss_mb")]
        rows.append([subject, f"{int(count):,}", *map(shown, values), shown(_memory(base, subject))])
    return markdown(["", "profiles", "start s", "memory then MB", "memory under load MB"], rows)


def growth(swept: Samples, what: str) -> str:
    """A row for each operation and subject, a column for each point of the sweep: rate (p99 in ms; CPU µs)."""
    points = sorted({int(parts(name)[2]) for name in swept})
    lines = dict.fromkeys(tuple(parts(name)[:2]) for name in swept)
    ordered = sorted(lines, key=lambda line: (OPERATIONS.index(line[0]), SUBJECTS.index(line[1])))
    rows = [[*line, *(_point(swept, key(*line, point)) for point in points)] for line in ordered]
    header = ["a second (p99 ms; CPU µs)", "", *(f"{point:,} {what if point > 1 else _one(what)}" for point in points)]
    return markdown(header, rows)


def median(samples: Samples, name: str, kind: str) -> float | None:
    """Of one value of a subject; `None` where it was not measured."""
    values = [sample.values[kind] for sample in samples.get(name, []) if kind in sample.values]
    return statistics.median(values) if values else None


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: float | None) -> str:
    """Three digits where there are fewer than that before the point."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _section(title: str, about: str, table: str) -> str:
    return "\n\n".join(part for part in (f"### {title}", about, table) if part)


def _beside_ours(base: Samples, operation: str, subject: str) -> str:
    own, other = (median(base, key(operation, each), "rate") for each in (OURS, subject))
    return ABSENT if own is None or other is None else f"{other / own:.2f}"


def _memory(base: Samples, subject: str) -> float | None:
    values = [median(base, name, "rss_mb") for name in base if parts(name)[1] == subject]
    return max((value for value in values if value is not None), default=None)


def _point(swept: Samples, name: str) -> str:
    values = [median(swept, name, kind) for kind in ("rate", "p99_ms", "cpu_us")]
    return ABSENT if values[0] is None else f"{shown(values[0])} ({shown(values[1])}; {shown(values[2])})"


def _one(what: str) -> str:
    return {"profiles": "profile", "clients": "client", "processes": "process"}[what]
