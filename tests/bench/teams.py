"""What a team needs at size: writes beside a long history, pages of it, searches, listeners to changes, and plans."""

import json
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from databases import REGISTRY, Filled
from figures import Figure, Sample, Samples, Target, figure, interleaved
from processes import HERE, Lab, Running, others_cpu

PROFILES = "/api/chat/profiles"
SEARCHES = {
    "by tag": f"{PROFILES}?tag=bench&limit=100",
    "by middleware": f"{PROFILES}?middleware=sqlite&limit=100",
    "by text": f"{PROFILES}?q=p012&limit=100",
    "by time": f"{PROFILES}?changed_since=2001-01-01T00:00:00Z&limit=100",
}
_REVISIONS = """
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
INSERT INTO profile_revisions (registry_slug, slug, version, op, payload_json, actor, source, at_ms)
SELECT ?, printf('h%05d', n / 100), n % 100 + 1, 'update', ?, 'bench', 'bench', n FROM numbers
"""
_PROMPT = "runtime:\n  system_prompt: |\n    Answer briefly.\n    Say what you know.\n"
_PAYLOAD = json.dumps({"description": "Kept for ever. " * 30})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure, on which databases."""

    short: Filled
    long: Filled
    many: Filled
    patches: list[tuple[str, str]]
    body: str
    long_revisions: int
    listeners: int
    changes: int
    files: int
    rounds: int
    sample_s: float
    group_s: float


def measured(lab: Lab, plan: Plan) -> tuple[list[Figure], Samples]:
    """The figures, and the samples they are made of."""
    _add_revisions(plan.short.path, 1000)
    _add_revisions(plan.long.path, plan.long_revisions)
    servers = {each: lab.pinocchio(filled.path) for each, filled in _databases(plan).items()}

    def loaded(server: str, path: str | None = None, **job: object) -> Callable[[], Sample]:
        def sample() -> Sample:
            targets = plan.patches if path is None else [(path, "")]
            outcome = lab.load(servers[server], targets, seconds=plan.sample_s, **job)
            return Sample(values=vars(outcome), others_cpu=outcome.others_cpu)

        return sample

    patch = {"method": "PATCH", "body": plan.body}
    subjects = {
        "short": loaded("short", **patch),
        "long": loaded("long", **patch),
        "revisions": loaded("long", f"{PROFILES}/h00000/revisions?registry={REGISTRY}&limit=100", connections=1),
        "polling": loaded("long", f"/api/chat/changes?after={plan.long_revisions - 1}&limit=1"),
        **{name: loaded("many", path, connections=1) for name, path in SEARCHES.items()},
    }
    samples = interleaved(subjects, rounds=plan.rounds, deadline=time.monotonic() + plan.group_s)
    lab.close()
    samples["listeners"] = [_listened(lab, plan)]
    samples["plan"] = [_planned(lab, plan)]
    return _figures(samples, plan), samples


def _databases(plan: Plan) -> dict[str, Filled]:
    return {"short": plan.short, "long": plan.long, "many": plan.many}


def _add_revisions(path: Path, count: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_REVISIONS, (count, REGISTRY, _PAYLOAD))


def _listened(lab: Lab, plan: Plan) -> Sample:
    """Listeners on two servers, while both write."""
    pair = [lab.pinocchio(plan.short.path), lab.pinocchio(plan.short.path)]
    ports = [server.port for server in pair]
    job = {"ports": ports, "listeners": plan.listeners}
    command = [sys.executable, HERE / "listeners.py", json.dumps(job)]
    with others_cpu() as others, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as listening:
        if listening.stdout is None or listening.stdin is None or listening.stdout.readline() != b"listening\n":
            raise SystemExit("the listeners did not begin")
        began, written = time.monotonic(), 0.0
        while written < plan.changes:
            outcome = lab.load(pair[0], plan.patches, seconds=1.0, other_servers=_others(pair), **_patching(plan))
            written += outcome.rate
        said = listening.communicate(b"\n", timeout=120)[0]
    lab.close()
    found = json.loads(said)
    return Sample(values={**found, "s": time.monotonic() - began}, others_cpu=others[0])


def _others(pair: list[Running]) -> list[tuple[int, int]]:
    return [(server.port, server.process.pid) for server in pair[1:]]


def _patching(plan: Plan) -> dict[str, object]:
    return {"method": "PATCH", "body": plan.body}


def _planned(lab: Lab, plan: Plan) -> Sample:
    """`profiles plan` of a folder with one file a profile."""
    folder = lab.folder / "files"
    folder.mkdir()
    (folder / "_registry.yaml").write_text("slug: files\n")
    for number in range(plan.files):
        (folder / f"p{number:05d}.yaml").write_text(f"description: Number {number}\n{_PROMPT}")
    program = Path(sysconfig.get_path("scripts")) / "pinocchio"
    with others_cpu() as others:
        began = time.perf_counter()
        command = [program, "profiles", "plan", folder, "--profile-registry-db", plan.short.path]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        took = time.perf_counter() - began
    if done.returncode != 2 or done.stdout.count(b"+ create profile") != plan.files:
        raise SystemExit(f"the plan is another one: {done.stdout[-500:]!r}")
    return Sample(values={"s": took}, others_cpu=others[0])


def _figures(samples: Samples, plan: Plan) -> list[Figure]:
    long = f"{plan.long_revisions:,}"
    below_5_ms = Target(relation="≤", bound=5.0, of="value")
    made = [
        figure(
            samples,
            f"PATCH beside {long} revisions",
            unit="/s",
            value=("long", "rate"),
            reference=("short", "rate"),
            against="PATCH beside 1,000",
            target=Target(relation="≥", bound=0.8),
        ),
        figure(
            samples, f"page of 100 of {long} revisions", unit="ms", value=("revisions", "median_ms"), target=below_5_ms
        ),
        figure(
            samples,
            "polls of the changes after one",
            unit="/s",
            value=("polling", "rate"),
            target=Target(relation="≥", bound=1000, of="value"),
        ),
    ]
    made += [
        figure(
            samples,
            f"page of 100 of {len(plan.many.slugs):,} {name}",
            unit="ms",
            value=(name, "median_ms"),
            target=below_5_ms,
        )
        for name in SEARCHES
    ]
    return [
        *made,
        figure(samples, f"changes that {plan.listeners} listeners saw, each", unit="", value=("listeners", "seen")),
        figure(
            samples,
            "listeners that missed one, or saw it out of order",
            unit="",
            value=("listeners", "wrong"),
            target=Target(relation="≤", bound=0, of="value"),
        ),
        figure(
            samples,
            f"plan of {plan.files:,} files",
            unit="s",
            value=("plan", "s"),
            target=Target(relation="≤", bound=10, of="value"),
        ),
    ]
