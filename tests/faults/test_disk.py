"""A disk that is full or fails under a server: refused writes, nothing else, and all is well again when the disk is."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROFILES = "/api/chat/profiles"
CLIENTS = 4
REFUSED = 10
FULL, FAILED = r"the disk is full \(SQLITE_FULL\)", r"the disk failed to read or write \(SQLITE_IOERR\w*\)"
SAYS = {"full": FULL, "small and full": FULL, "whose writes fail": FAILED, "whose syncs fail": FAILED}
"""Disks, and the reason that the server gives."""
STATES = {"full": "f", "whose writes fail": "w", "whose syncs fail": "s"}
"""What disk.c is told."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is preloaded, and tmpfs, are Linux's")


class Disk:
    """A folder for a database, on a disk that can `fail` and `heal`."""

    def __init__(self, name, home, folder):
        self.name, self.says, self.home, self.folder = name, SAYS[name], home, folder
        self.path, self.wal = folder / "profiles.db", folder / "profiles.db-wal"
        self.variables = {"PINOCCHIO_PROFILE_REGISTRY_DB": self.path}
        """For the processes that use it."""

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())


class FaultyDisk(Disk):
    """A disk that fails as long as a file says so; see disk.c."""

    def __init__(self, name, home, library):
        super().__init__(name, home, home / "data")
        self._state = home / "state"
        self.variables |= {"LD_PRELOAD": library, "DISK_FOLDER": self.folder, "DISK_STATE": self._state}

    def fail(self):
        self._state.write_text(STATES[self.name])

    def heal(self):
        self._state.unlink()


class SmallDisk(Disk):
    """A file system of a few megabytes in memory, and a file that takes what is left of it."""

    def __init__(self, name, home, mounted):
        super().__init__(name, home, mounted / "data")
        self._filler = mounted / "filler"

    def fail(self):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
                while file.write(bytes(size)):
                    pass

    def heal(self):
        self._filler.unlink()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("disk") / "disk.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", path, Path(__file__).with_name("disk.c"), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture
def mounted(tmp_path):
    folder = tmp_path / "mounted"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("this user cannot mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=60)


@pytest.fixture(params=SAYS)
def disk(request, tmp_path):
    """Each of the disks, working."""
    if request.param in STATES:
        return FaultyDisk(request.param, tmp_path, request.getfixturevalue("library"))
    return SmallDisk(request.param, tmp_path, request.getfixturevalue("mounted"))


def test_while_the_disk_fails_writes_are_refused_and_nothing_is_lost(
    disk, serving, writing, run, history, problem, until, figure
):
    with serving(disk.home, **disk.variables) as server:
        until(lambda: disk.wal.stat().st_size == 0)
        with writing("before") as before:
            before.start(server, CLIENTS)
            until(lambda: len(before.acknowledged) >= 40)
            disk.fail()
            until(lambda: len(before.refused) >= 40)
        server.wait_for_log(f"no checkpoint: .*{disk.says}")
        for number in range(REFUSED):
            answer = server.request("POST", PROFILES, {"slug": f"refused-{number}"})
            problem(answer, 503, "store unavailable")
            assert answer.headers["Retry-After"]
            for path in (PROFILES, f"{PROFILES}/default", "/readyz"):
                read = server.request("GET", path)
                assert read.status == 200, read.body
        disk.heal()
        with writing("after") as after:
            after.start(server, CLIENTS)
            until(lambda: len(after.acknowledged) >= 40)
        assert after.refused == set()
        slugs = {item["slug"] for item in server.request("GET", PROFILES).json}
        until(lambda: disk.wal.stat().st_size == 0)
    found = history(disk.path)
    assert found.lost(before) + found.lost(after) == []
    assert not found.published(before)
    assert not slugs & {f"refused-{number}" for number in range(REFUSED)}
    verified = run(disk.home, "profiles", "verify", disk.path, **disk.variables)
    assert verified.returncode == 0, verified
    refused, reads = len(before.refused) + REFUSED, 3 * REFUSED
    figure(
        f"a disk {disk.name}, under {CLIENTS} writers",
        f"{refused} of {refused} writes 503, published later 0, {reads} of {reads} reads 200; then writes work again by"
        f" themselves, and 0 of {len(before.acknowledged) + len(after.acknowledged)} acknowledged ones are lost",
    )


def test_a_backup_that_the_disk_fails_says_so_and_leaves_nothing(disk, serving, run):
    with serving(disk.home, **disk.variables):
        there = disk.names()
        disk.fail()
        failed = run(disk.home, "profiles", "backup", **disk.variables)
        assert failed.returncode == 1, failed
        assert "cannot" in failed.stderr
        assert "Traceback" not in failed.stderr
        assert disk.names() == there
        disk.heal()
        made = run(disk.home, "profiles", "backup", **disk.variables)
        assert made.returncode == 0, made
        assert len(disk.names()) == len(there) + 2


def test_a_disk_that_fails_keeps_a_server_from_starting_and_not_from_stopping(
    disk, serving, writing, run, history, until
):
    disk.folder.mkdir()
    disk.fail()
    refused = run(disk.home, "web-chat", "--addr", "127.0.0.1:0", **disk.variables)
    assert refused.returncode == 1, refused
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.splitlines()) == 2, refused.stderr
    disk.heal()
    with serving(disk.home, **disk.variables) as server:
        with writing("before") as before:
            before.start(server, CLIENTS)
            until(lambda: len(before.acknowledged) >= 20)
            disk.fail()
            until(lambda: len(before.refused) >= 20)
        assert server.stop() == 0, server.log
    disk.heal()
    with serving(disk.home, **disk.variables) as server:
        assert server.request("POST", PROFILES, {"slug": "again"}).status == 201
    found = history(disk.path)
    assert found.lost(before) == []
    if disk.name != "whose syncs fail":  # what was written last is whole there, but the disk did not promise it
        assert not found.published(before)
