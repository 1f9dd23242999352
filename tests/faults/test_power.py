"""Power cuts: all that a writer did to its files is put down, and the files are rebuilt as a disk would hold them.

What was synced before the cut is there. Of what was not, any part may be: each sector holds one of the states that it
went through, in any combination with the others; a file that was cut short may still be long, a name that was made or
removed since its folder was synced may be missing or still there. Truncations and names of a folder come to the disk
in their order, as file systems with a journal see to.
"""

import json
import random
import shutil
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from pinocchio_core.host.host import Host
from pinocchio_core.service.writing.seeding import fill
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.store import Store

HERE = Path(__file__).parent
DATABASE, ACKS = "profiles.db", "acks"
IN_MEMORY = ("-shm", ".lock", ACKS)
"""Ends of names of files that mean nothing to the next start."""
SECTORS = (512, 4096)
WRITE, TRUNCATE, SYNC, SYNC_FOLDER, UNLINK = range(1, 6)
RECORD = struct.Struct("=qQII")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="what is preloaded is written for Linux"),
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler"),
]


class File:
    """A file: what of it was synced, and what was done since: the offset and bytes of a write, or a size and None."""

    def __init__(self):
        self.kept = bytearray()
        self.pending = []

    def sync(self):
        for offset, data in self.pending:
            put(self.kept, offset, data)
        self.pending = []

    def after_cut(self, rng):
        """The bytes that survive."""
        content, sector, likely = self.kept[:], rng.choice(SECTORS), rng.choice((0, 0.5, 0.9, 0.99, 1))
        sectors, sizes = defaultdict(list), [len(content)]
        for offset, data in self.pending:
            if data is None:
                if rng.random() >= likely:
                    break  # and nothing that came after it
                put(content, offset, None)
                sectors = defaultdict(list, {key: each for key, each in sectors.items() if key * sector < offset})
                sizes = [offset]
                continue
            for start in range(offset - offset % sector, offset + len(data), sector):
                piece = data[max(start - offset, 0) : start + sector - offset]
                sectors[start // sector].append((max(start, offset), piece))
            sizes.append(max(sizes[-1], offset + len(data)))
        for states in sectors.values():
            reached = len(states) if rng.random() < likely else rng.randint(0, len(states))
            for start, piece in states[:reached]:
                put(content, start, piece)
        put(content, sizes[-1] if rng.random() < likely else rng.choice(sizes), None)
        return content


class Disk:
    """A folder on a disk: which file each name leads to, when its names were last synced, and since."""

    def __init__(self):
        self._files = {}
        self._kept_names = {}
        self._name_changes = []

    def do(self, kind, name, offset, data):
        if kind == UNLINK:
            self._files.pop(name, None)
            self._name_changes.append((name, None))
        elif kind == SYNC_FOLDER:
            self._kept_names, self._name_changes = dict(self._files), []
        elif name not in self._files:
            self._files[name] = File()
            self._name_changes.append((name, self._files[name]))
        if kind == SYNC:
            self._files[name].sync()
        elif kind in (WRITE, TRUNCATE):
            self._files[name].pending.append((offset, data if kind == WRITE else None))

    def after_cut(self, rng):
        """The files that are there when the power is back, each name with its bytes."""
        names = dict(self._kept_names)
        names.update(self._name_changes[: rng.randint(0, len(self._name_changes))])
        return {name: file.after_cut(rng) for name, file in names.items() if file}


def put(content, offset, data):
    """Write into a file's bytes, or give them a size; a gap is zeros."""
    content.extend(bytes(max(offset - len(content), 0)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def records(path):
    """What was put down: kind, name, offset and bytes of each operation."""
    with path.open("rb") as log:
        while head := log.read(RECORD.size):
            offset, length, kind, name_length = RECORD.unpack(head)
            name = log.read(name_length).decode()
            yield kind, name, offset, log.read(length)


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    library = tmp_path_factory.mktemp("recorder") / "power.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "power.c", "-ldl", "-lpthread"]
    subprocess.run(command, check=True, timeout=60)
    return library


@pytest.fixture
def recorded(recorder, environment, tmp_path):
    """All that a writer did until it ended: `recorded("_synchronous=FULL")`."""

    def record(parameters):
        folder, log = tmp_path / "recorded", tmp_path / "log"
        folder.mkdir()
        subprocess.run(
            [sys.executable, HERE / "power_writer.py", f"file:{folder / DATABASE}?{parameters}", folder / ACKS],
            env=environment(tmp_path, LD_PRELOAD=recorder, POWER_FOLDER=folder, POWER_LOG=log),
            check=True,
            timeout=60,
        )
        return list(records(log))

    return record


class Acknowledged:
    """What the writer was told that it is stored; for `History.lost`."""

    def __init__(self):
        self.acknowledged, self.deleted = {}, set()

    def __len__(self):
        return len(self.acknowledged) + len(self.deleted)

    def note(self, line):
        slug, document = json.loads(line)
        if document:
            self.acknowledged[slug, document["metadata"]["version"]] = document
        else:
            self.deleted.add(slug)


@pytest.fixture
def started_again(history, tmp_path):
    """What a database holds after a power cut, opened as a server opens it."""
    folder = tmp_path / "rebuilt"

    def start(files, parameters):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in files.items():
            if not name.endswith(IN_MEMORY):
                (folder / name).write_bytes(content)
        with closing(open_database(parse_dsn(f"file:{folder / DATABASE}?{parameters}")).database) as database:
            fill(Store(database), Host(), registry="default", strict=True)
        return history(folder / DATABASE)

    return start


@pytest.fixture
def cut(started_again, rng):
    """Cut the power at random moments and start again: `cut(log, 200, "_synchronous=FULL")`.

    Returns how many writes had been acknowledged, of all cuts together, and what each cut lost.
    """

    def run(log, count, parameters):
        moments = Counter(rng.choices(range(1, len(log) + 1), k=count))
        disk, acknowledged, total, lost = Disk(), Acknowledged(), 0, []
        for number, (kind, name, offset, data) in enumerate(log, 1):
            if name == ACKS:
                acknowledged.note(data)
            else:
                disk.do(kind, name, offset, data)
            for again in range(moments[number]):
                seed = f"{number}-{again}"
                print(f"cut after operation {number} of {len(log)}, seed {seed!r}")  # noqa: T201  for a failure
                files = disk.after_cut(random.Random(seed))  # noqa: S311  no secret
                lost.append(started_again(files, parameters).lost(acknowledged))
                total += len(acknowledged)
        return total, lost

    return run


def test_after_a_power_cut_everything_acknowledged_is_there(recorded, cut, figure):
    log, cuts = recorded("_synchronous=FULL"), 200
    kinds = Counter(kind for kind, *_ in log)
    assert kinds[TRUNCATE]
    assert kinds[SYNC_FOLDER]
    assert kinds[UNLINK]
    acknowledged, lost = cut(log, cuts, "_synchronous=FULL")
    assert lost == [[]] * cuts
    figure(
        f"simulated power cuts at random moments, {cuts} times",
        f"{acknowledged:,} acknowledged writes, lost 0, half written 0; history and profiles agree",
    )


def test_after_a_power_cut_while_it_is_made_a_database_is_made_again(recorded, cut, figure):
    log, cuts = recorded("_synchronous=FULL"), 50
    first = next(number for number, (_, name, *_) in enumerate(log) if name == ACKS)
    assert cut(log[:first], cuts, "_synchronous=FULL") == (0, [[]] * cuts)
    figure(f"the same before the first write, {cuts} times", f"{cuts} of {cuts} start again")


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_with_a_rollback_journal_too_everything_acknowledged_is_there(recorded, cut, figure, mode):
    parameters, cuts = f"_journal_mode={mode}", 50
    acknowledged, lost = cut(recorded(parameters), cuts, parameters)
    assert lost == [[]] * cuts
    figure(f"the same with `{parameters}`, {cuts} times", f"{acknowledged:,} acknowledged writes, lost 0")


def test_without_a_sync_for_each_write_power_cuts_lose_some(recorded, cut, figure):
    """What the other tests find, they find because of the syncs."""
    parameters, cuts = "_synchronous=NORMAL", 50
    acknowledged, lost = cut(recorded(parameters), cuts, parameters)
    losing = sum(map(bool, lost))
    assert losing
    figure(
        f"the same with `{parameters}`, {cuts} times",
        f"{losing} cuts lost {sum(map(len, lost)):,} of {acknowledged:,} acknowledged writes; what is left is whole",
    )
