"""Broken plugins beside sound ones, in real processes: who is at fault is said, and nothing else suffers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

PINOCCHIO = shutil.which("pinocchio", path=str(Path(sys.executable).parent))
WAIT_S = 30
IMPORTS = "from pinocchio_core.plugin import *\n"
DEFINITIONS = IMPORTS + "@hookimpl\ndef pinocchio_middleware_definitions():\n"


def definition(name, schema="{}", build="build"):
    return f"    yield MiddlewareDefinition({name!r}, {schema}, {build})\n"


SOUND = DEFINITIONS + definition("other", build="print")
HANGING_BUILD = (
    DEFINITIONS + definition("patient") + "def build(config):\n    import threading\n    threading.Event().wait()\n"
)
HOSTILE = {
    "a-raises": ("raises", "raise RuntimeError('no licence')\n", "import_failed", "RuntimeError: no licence"),
    "b-exits": ("exits", "import sys\nsys.exit('goodbye')\n", "import_failed", "SystemExit: goodbye"),
    "c-missing": ("missing", "import acme_gone\n", "import_failed", "No module named 'acme_gone'"),
    "d-arguments": (
        "arguments",
        IMPORTS + "@hookimpl\ndef pinocchio_startup(application): pass\n",
        "rejected",
        "application",
    ),
    "e-misspelt": (
        "misspelt",
        IMPORTS + "@hookimpl\ndef pinocchio_middleware_definition(): pass\n",
        "rejected",
        "did you mean 'pinocchio_middleware_definitions'?",
    ),
    "f-owner": ("owner", DEFINITIONS + definition("taken", build="print"), "active", ""),
    "g-thief": (
        "thief",
        DEFINITIONS + definition("taken", build="print"),
        "conflict",
        'middleware "taken" is claimed by owner (f-owner 1.0) and by thief (g-thief 1.0)',
    ),
    "h-same-entry": ("owner", SOUND, "conflict", 'the name "owner" is already taken by f-owner 1.0'),
    "i-schema": (
        "schema",
        DEFINITIONS + definition("bad", "{'type': 'nope'}", "print"),
        "contribution_failed",
        'middleware "bad", config_schema: not valid draft 2020-12 at type',
    ),
    "j-reference": (
        "reference",
        DEFINITIONS + definition("outside", '{"$ref": "http://localhost:9/schema"}', "print"),
        "contribution_failed",
        "a reference must stay inside the schema",
    ),
    "k-hook": (
        "hook",
        IMPORTS + "@hookimpl\ndef pinocchio_tools():\n    raise LookupError('no tools')\n    yield\n",
        "contribution_failed",
        "pinocchio_tools raised LookupError: no tools",
    ),
}
FAULTY = {distribution: each for distribution, each in HOSTILE.items() if each[2] != "active"}


def add_distribution(folder, distribution, entry, code):
    module = f"hostile_{distribution.replace('-', '_')}"
    information = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[pinocchio.plugins]\n{entry} = {module}\n")


@pytest.fixture
def hostile(tmp_path):
    """A folder of hostile distributions."""
    folder = tmp_path / "hostile"
    for distribution, (entry, code, _, _) in HOSTILE.items():
        add_distribution(folder, distribution, entry, code)
    return folder


def environment(folder):
    own = {name: value for name, value in os.environ.items() if not name.startswith("PINOCCHIO_")}
    return own | {"PYTHONPATH": str(folder)}


def run(folder, *arguments):
    return subprocess.run(
        [PINOCCHIO, *arguments], env=environment(folder), capture_output=True, text=True, timeout=WAIT_S, check=False
    )


@contextmanager
def serving(folder, database, *arguments):
    """A server's base URL; it has to end well when it is told to."""
    command = [PINOCCHIO, "web-chat", "--addr", "127.0.0.1:0", "--profile-registry-db", str(database), *arguments]
    log = database.with_suffix(".log")
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment(folder), stderr=subprocess.PIPE, text=True)
        deadline = threading.Timer(WAIT_S, process.kill)
        deadline.start()
        try:
            url = None
            for line in process.stderr:
                errors.write(line)
                if found := re.search(r"serves (http://127\.0\.0\.1:[0-9]+)", line):
                    url = found[1]
                    break
            errors.flush()
            assert url, log.read_text()
            yield url
            process.send_signal(signal.SIGTERM)
            errors.write(process.stderr.read())  # not `communicate`, which misses what is buffered here
            assert process.wait(timeout=WAIT_S) == 0
        finally:
            deadline.cancel()
            process.kill()
            process.wait()
            process.stderr.close()


def answer_of(url, document=None):
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  # always http
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310  # always http
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_strict_start_ends_before_anything_is_opened(hostile, tmp_path):
    database = tmp_path / "data" / "profiles.db"

    ended = run(hostile, "web-chat", "--addr", "127.0.0.1:0", "--profile-registry-db", str(database))

    assert ended.returncode == 1
    assert "serves" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not database.exists()
    for distribution, (entry, _, status, reason) in FAULTY.items():
        lines = [each for each in ended.stderr.splitlines() if each.split()[:3] == [status, entry, f"({distribution}"]]
        assert len(lines) == 1
        assert reason in lines[0]
    assert len(ended.stderr.splitlines()) == 1 + len(FAULTY) + 1  # what is wrong, each fault, what to do
    assert ended.stderr.rstrip().splitlines()[-1].endswith("start without them with --plugin-errors=warn")


def test_lenient_start_serves_without_the_faulty_ones(hostile, tmp_path):
    with serving(hostile, tmp_path / "profiles.db", "--plugin-errors=warn") as url:
        names = {each["name"] for each in json.loads(answer_of(f"{url}/api/chat/schemas/middlewares")[1])}
        created, _ = answer_of(
            f"{url}/api/chat/profiles", {"slug": "a", "runtime": {"middlewares": [{"name": "taken"}]}}
        )
        refused, _ = answer_of(f"{url}/api/chat/profiles", {"slug": "b", "runtime": {"middlewares": [{"name": "bad"}]}})
        ready, reasons = answer_of(f"{url}/readyz")
        healthy, _ = answer_of(f"{url}/healthz")
        plugins = json.loads(answer_of(f"{url}/api/chat/plugins")[1])
        metrics = answer_of(f"{url}/metrics")[1]

    assert "taken" in names
    assert not names & {"bad", "outside", "other"}
    assert (created, refused, ready, healthy) == (201, 400, 503, 200)
    assert json.loads(reasons)["status"] == "degraded"
    by_distribution = {each["distribution"]: each for each in plugins}
    for distribution, (entry, _, status, reason) in HOSTILE.items():
        record = by_distribution[distribution]
        assert (record["name"], record["version"], record["status"]) == (entry, "1.0", status)
        assert reason in record["detail"]
    for distribution, (entry, _, status, reason) in FAULTY.items():
        said = [
            each for each in json.loads(reasons)["reasons"] if f"plugin {entry} ({distribution} 1.0): {status}" in each
        ]
        assert len(said) == 1
        assert reason in said[0]
    assert re.search(rf"^pinocchio_plugin_faults {len(FAULTY)}(\.0)?$", metrics, re.MULTILINE)
    log = (tmp_path / "profiles.log").read_text()
    assert "Traceback" not in log
    assert all(f"({distribution} 1.0)" in log for distribution in HOSTILE)


def test_plugins_command_lists_every_fault(hostile):
    listed, as_json = run(hostile, "plugins"), run(hostile, "plugins", "--json")

    assert (listed.returncode, as_json.returncode) == (1, 1)
    assert not listed.stderr
    for distribution, (entry, _, status, reason) in HOSTILE.items():
        lines = [each for each in listed.stdout.splitlines() if each.split()[:3] == [status, entry, f"({distribution}"]]
        assert len(lines) == 1
        assert reason in lines[0]
    statuses = {each["distribution"]: each["status"] for each in json.loads(as_json.stdout)}
    assert {key: value for key, value in statuses.items() if key in HOSTILE} == {
        distribution: status for distribution, (_, _, status, _) in HOSTILE.items()
    }


def test_plugins_command_is_content_with_sound_plugins(tmp_path):
    add_distribution(tmp_path, "acme-sound", "sound", SOUND)

    assert run(tmp_path, "plugins").returncode == 0


def test_other_commands_run_beside_faulty_plugins(hostile):
    assert run(hostile, "--version").returncode == run(hostile, "--help").returncode == 0


def test_build_that_hangs_keeps_nobody_waiting(tmp_path):
    add_distribution(tmp_path / "plugins", "acme-patient", "patient", HANGING_BUILD)

    with serving(tmp_path / "plugins", tmp_path / "profiles.db") as url:
        profile = {"slug": "a", "runtime": {"middlewares": [{"name": "patient", "config": {}}]}}
        assert answer_of(f"{url}/api/chat/profiles", profile)[0] == 201
        assert answer_of(f"{url}/readyz")[0] == 200


@pytest.mark.parametrize(
    "hook", ["pinocchio_startup(info)", "pinocchio_bootstrap_profiles()", "pinocchio_cli(commands)"]
)
@pytest.mark.parametrize("mode", ["strict", "warn"])
def test_plugin_that_fails_later_stops_a_strict_start_too(tmp_path, hook, mode):
    code = IMPORTS + f"@hookimpl\ndef {hook}:\n    raise LookupError('later')\n"
    add_distribution(tmp_path / "plugins", "acme-late", "late", code)
    database = tmp_path / "profiles.db"
    says = f"{hook.partition('(')[0]} raised LookupError: later"

    if mode == "strict":
        ended = run(tmp_path / "plugins", "web-chat", "--addr", "127.0.0.1:0", "--profile-registry-db", str(database))
        assert ended.returncode == 1
        assert f"late (acme-late 1.0)  {says}" in ended.stderr
        assert "serves" not in ended.stderr
        assert "Traceback" not in ended.stderr
    else:
        with serving(tmp_path / "plugins", database, "--plugin-errors=warn") as url:
            status, reasons = answer_of(f"{url}/readyz")
        assert status == 503
        assert says in reasons


def test_seeds_of_a_plugin_that_fails_are_left_out_whole(tmp_path):
    code = (
        DEFINITIONS
        + definition("mine", build="print")
        + "@hookimpl\ndef pinocchio_bootstrap_profiles():\n"
        + "    yield ProfileSeed('sound', document={'runtime': {'middlewares': [{'name': 'mine'}]}})\n"
        + "    yield ProfileSeed('NOT SOUND')\n"
    )
    add_distribution(tmp_path / "plugins", "acme-half", "half", code)

    with serving(tmp_path / "plugins", tmp_path / "profiles.db", "--plugin-errors=warn") as url:
        slugs = {each["slug"] for each in json.loads(answer_of(f"{url}/api/chat/profiles")[1])}

    assert slugs
    assert "sound" not in slugs


def test_half_removed_distribution_does_not_stop_the_program(tmp_path):
    information = tmp_path / "acme_half-1.0.dist-info"
    information.mkdir()
    (information / "entry_points.txt").write_text("[pinocchio.plugins]\nhalf = acme_half_removed\n")

    listed = run(tmp_path, "plugins")

    assert "Traceback" not in listed.stderr
    assert "half" in listed.stdout
    assert "No module named 'acme_half_removed'" in listed.stdout
