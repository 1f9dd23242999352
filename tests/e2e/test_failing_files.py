"""Commands whose files cannot be written, or not even be looked for: one clear message, and nothing is left."""

import os
import shutil
import subprocess

import pytest

from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import dsn_of_path

PROFILES = "/api/chat/profiles"


@pytest.fixture
def stocked(serving, tmp_path):
    """A folder with a database whose export takes 200 KB."""
    with serving(tmp_path) as server:
        assert (
            server.request("POST", PROFILES, {"slug": "long", "runtime": {"system_prompt": "x" * 200_000}}).status
            == 201
        )
    return tmp_path


@pytest.fixture
def export(pinocchio, environment, stocked):
    """Export to a path, in a shell that runs something first."""

    def exported(form, output, *, first=":"):
        command = [
            pinocchio,
            "profiles",
            "export",
            "--profile-registry-db",
            "data/profiles.db",
            "--registry",
            "default",
        ]
        shell = ["bash", "-c", f'{first}; exec "$@"', "bash", *command, "--format", form, "-o", output]
        return subprocess.run(
            shell, cwd=stocked, env=environment(stocked), capture_output=True, text=True, timeout=60, check=False
        )

    return exported


@pytest.mark.parametrize("form", ["json", "go-sqlite", "yaml"])
def test_an_export_that_finds_no_space_leaves_nothing(export, stocked, form):
    before = sorted(stocked.iterdir())
    done = export(form, "out", first="ulimit -f 64")

    assert done.returncode == 1
    assert done.stderr.startswith("pinocchio: cannot write out: ")
    assert done.stderr.count("\n") == 2
    assert sorted(stocked.iterdir()) == before
    assert export(form, "out").returncode == 0


def test_an_export_that_finds_no_space_leaves_the_file_that_was_there(export, stocked):
    (stocked / "out").write_text("slug: default\nprofiles: {}\n")
    before = sorted(stocked.iterdir())

    assert export("yaml", "out", first="ulimit -f 64").returncode == 1
    assert sorted(stocked.iterdir()) == before
    assert (stocked / "out").read_text() == "slug: default\nprofiles: {}\n"


@pytest.fixture
def locked(tmp_path):
    """A folder that nobody may enter."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "locked/copy.db", "--profile-registry-db", "profiles.db"),
        ("backup", "--profile-registry-db", "locked/profiles.db"),
        ("verify", "locked/copy.db"),
        ("restore", "locked/copy.db", "--profile-registry-db", "profiles.db"),
        ("restore", "profiles.db", "--profile-registry-db", "locked/profiles.db"),
        ("restore", "--drill", "locked/copy.db"),
        ("doctor", "--profile-registry-db", "locked/profiles.db"),
        ("quiesce", "--profile-registry-db", "locked/profiles.db", "--", "true"),
        ("export", "-o", "locked/x.json", "--profile-registry-db", "profiles.db"),
        ("plan", "locked/x.yaml", "--profile-registry-db", "profiles.db"),
        ("list", "--profile-registry-db", "locked/profiles.db"),
    ],
)
def test_what_may_not_be_looked_for_is_one_clear_message(pinocchio, environment, tmp_path, locked, arguments):
    without = []
    if os.geteuid() == 0:  # who may enter every folder, but for these capabilities
        without = [shutil.which("setpriv"), "--bounding-set=-dac_override,-dac_read_search"]
        if not without[0]:
            pytest.skip("root cannot be kept out without setpriv")
    open_database(dsn_of_path(str(tmp_path / "profiles.db"))).database.close()
    command = [*without, pinocchio, "profiles", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("pinocchio: ")
    assert "Permission denied" in done.stderr
    assert done.stderr.count("\n") == 2
    locked.chmod(0o700)
    assert not list(locked.iterdir())
