"""What looking after a database costs those who write it: checkpoints in pauses, and a backup of a large one.

Run as a program it is one of the processes that are measured: `upkeep.py write DATABASE SECONDS yes|no` writes in
bursts, with or without the keeper; `upkeep.py backup DATABASE DESTINATION` makes a backup when told to.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from databases import AUTHOR, REGISTRY, Filled
from figures import Figure, Sample, Samples, Target, figure, interleaved
from msgspec import structs
from processes import Lab, others_cpu

from pinocchio_core.domain.profile import Profile
from pinocchio_core.store.copies import backup
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.sqlite.keeper import Keeper
from pinocchio_core.store.store import Store

BURST_S, PAUSE_S = 1.0, 0.5
"""Bursts of writes, with pauses that are long enough for a checkpoint."""
BEGIN_AFTER_S = 0.5
MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure, on which databases."""

    written: Filled
    large: Filled
    patches: Sequence[tuple[str, str]]
    body: str
    rounds: int
    burst_s: float
    """How long a sample of bursts takes, pauses included."""
    load_s: float
    """How long writers write around a backup."""
    group_s: float


def measured(lab: Lab, plan: Plan) -> tuple[list[Figure], Samples]:
    """The figures, and the samples they are made of."""
    bursts = {name: _bursts(lab, plan, keeper) for name, keeper in (("with checkpoints", "yes"), ("without", "no"))}
    samples = interleaved(bursts, rounds=plan.rounds, deadline=time.monotonic() + plan.group_s / 2)
    samples |= interleaved(_backups(lab, plan), rounds=plan.rounds, deadline=time.monotonic() + plan.group_s / 2)
    lab.close()
    return _figures(samples, plan.large.path.stat().st_size / MB), samples


def _bursts(lab: Lab, plan: Plan, keeper: str) -> Callable[[], Sample]:
    def sample() -> Sample:
        with others_cpu() as others:  # not pinned, as a server of one process is not
            lab.cores.release()
            done = _run("write", plan.written.path, plan.burst_s, keeper)
        lab.cores.unpin()
        return Sample(values=json.loads(done), others_cpu=others[0])

    return sample


def _backups(lab: Lab, plan: Plan) -> dict[str, Callable[[], Sample]]:
    server = lab.pinocchio(plan.large.path)

    def load(*, copied: bool) -> Sample:
        destination = lab.folder / "large.db.bak"
        with _backup(plan.large.path, destination) as process:
            if copied:
                threading.Timer(BEGIN_AFTER_S, process.stdin.close).start()
            outcome = lab.load(server, plan.patches, seconds=plan.load_s, method="PATCH", body=plan.body)
            process.stdin.close()
            took = json.loads(process.stdout.read())
        for path in (destination, backup.manifest_path(destination)):
            path.unlink()
        return Sample(values=vars(outcome) | took, others_cpu=outcome.others_cpu if not copied else 0)

    return {"writers": lambda: load(copied=False), "writers beside a backup": lambda: load(copied=True)}


def _backup(database: Path, destination: Path) -> subprocess.Popen[bytes]:
    """A process that is ready to make a backup, and does it when its standard input is closed."""
    command = [sys.executable, __file__, "backup", str(database), str(destination)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def _figures(samples: Samples, size_mb: float) -> list[Figure]:
    name = f"backup of {size_mb:.0f} MB under 8 writers"
    beside, alone = "writers beside a backup", "writers"
    one_second = Target(relation="≤", bound=1, of="value")
    return [
        figure(
            samples,
            "writes in bursts, a checkpoint in each pause",
            unit="/s",
            value=("with checkpoints", "rate"),
            reference=("without", "rate"),
            against="the same without",
            target=Target(relation="≥", bound=0.97),
        ),
        figure(
            samples,
            f"{name}: the copy",
            unit="s",
            value=(beside, "copy_s"),
            target=one_second,
        ),
        figure(samples, f"{name}: verified, with its manifest", unit="s", value=(beside, "all_s")),
        figure(
            samples,
            "those writers",
            unit="/s",
            value=(beside, "rate"),
            reference=(alone, "rate"),
            against="without a backup",
            target=Target(relation="≥", bound=0.9),
        ),
    ]


def _run(*arguments: object) -> bytes:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


# --- as a process that is measured


def write(path: Path, seconds: float, *, keeper: bool) -> dict[str, float]:
    """Writes a second of bursts in one thread; what happens in the pauses does not count."""
    store = Store(open_database(dsn_of_path(str(path))).database)
    row = store.profiles.read(REGISTRY, "p000000")
    keeping = Keeper(store.database)
    if keeper:
        keeping.start()
    done, busy_s, end = 0, 0.0, time.perf_counter() + seconds
    profile = row.profile()
    while time.perf_counter() < end:
        began = time.perf_counter()
        while time.perf_counter() < began + BURST_S:
            profile = _changed(store, profile, done)
            done += 1
        busy_s += time.perf_counter() - began
        time.sleep(PAUSE_S)
    keeping.stop()
    store.close()
    return {"rate": done / busy_s}


def _changed(store: Store, old: Profile, number: int) -> Profile:
    def make(version: int, at_ms: int) -> Profile:
        metadata = structs.replace(old.metadata, version=version, updated_at_ms=at_ms)
        return structs.replace(old, description=f"{number:016d}", metadata=metadata)

    with store.write():
        return store.profiles.replace(make, old=old, author=AUTHOR).profile


def make_backup(path: Path, destination: Path) -> dict[str, float]:
    """Seconds until the copy was made, and until it was verified and had its name."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    copied: list[float] = []
    began = time.perf_counter()

    def progress(_: int, __: int) -> None:
        copied.append(time.perf_counter() - began)

    backup.make_backup(path, destination, plugins={}, now=datetime.now().astimezone(), progress=progress)
    return {"copy_s": copied[0], "all_s": time.perf_counter() - began}


if __name__ == "__main__":
    kind, database, *more = sys.argv[1:]
    if kind == "write":
        found = write(Path(database), float(more[0]), keeper=more[1] == "yes")
    else:
        found = make_backup(Path(database), Path(more[0]))
    sys.stdout.write(json.dumps(found))
