"""`pinocchio plugins check --with`: candidates in an environment of their own, over what is installed here."""

import fcntl
import json
import signal
import subprocess
import zipfile

import pytest

from pinocchio_core.cli.candidate import Environment
from pinocchio_core.errors import CandidateFailed

DEFINITION = """
import pinocchio_agentmode_next
from pinocchio_core.plugin import MiddlewareDefinition, hookimpl

print("noise on standard output")

@hookimpl
def pinocchio_middleware_definitions():
    schema = {schema!r}
    yield MiddlewareDefinition("agentmode", schema, lambda config: None, version={version}{more})
"""
MIGRATION = ", migrate_config=lambda config, from_version: {'mode': config['default_mode']}"
STRICT = {"properties": {"default_mode": {"type": "string", "maxLength": 5}}, "additionalProperties": False}
NEXT = {"properties": {"mode": {"type": "string"}}, "required": ["mode"], "additionalProperties": False}


@pytest.fixture
def wheel(tmp_path):
    """Makes the wheel of a distribution that has one plugin, in a module of its own."""

    def make(text, *, name="pinocchio_agentmode", version="9.0", requires="", group="pinocchio.plugins"):
        path = tmp_path / f"{name}-{version}-py3-none-any.whl"
        information, module = f"{name}-{version}.dist-info", f"{name}_next"
        files = {
            f"{module}/__init__.py": "",
            f"{module}/plugin.py": text.replace("pinocchio_agentmode_next", module),
            f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
            f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{information}/entry_points.txt": f"[{group}]\nagentmode = {module}.plugin\n",
        }
        record = "".join(f"{file},,\n" for file in [*files, f"{information}/RECORD"])
        with zipfile.ZipFile(path, "w") as archive:
            for file, content in {**files, f"{information}/RECORD": record}.items():
                archive.writestr(file, content)
        return path

    return make


@pytest.fixture
def check(run, serving, tmp_path):
    """Runs the check on a database with the profiles that plugins bring: one of them uses `agentmode`."""
    with serving(tmp_path):
        pass

    def checked(*arguments, **variables):
        done = run(
            tmp_path, "plugins", "check", "--db", tmp_path / "data/profiles.db", "--json", *arguments, **variables
        )
        return done, json.loads(done.stdout) if done.stdout else None

    return checked


def test_installed_plugins_are_content(check):
    done, found = check()

    assert (done.returncode, found["breaks"], found["candidates"]) == (0, [], [])


def test_candidate_is_judged_in_place_of_what_is_installed(check, wheel):
    strict = wheel(DEFINITION.format(schema=STRICT, version=1, more=""))

    done, found = check("--with", strict)

    assert done.returncode == 1
    (candidate,) = found["candidates"]
    assert (candidate["name"], candidate["version"]) == ("pinocchio_agentmode", "9.0")
    assert candidate["replaces"]
    active = [each for each in found["plugins"] if each["name"] == "agentmode"]
    assert [(each["version"], each["status"]) for each in active] == [("9.0", "active")]
    (broken,) = found["breaks"]
    assert (broken["slug"], [problem["field"] for problem in broken["problems"]]) == (
        "agent",
        ["runtime.middlewares[0].config"],
    )
    assert "at most 5 characters" in broken["problems"][0]["reason"]


def test_migration_of_a_candidate_is_previewed(check, wheel):
    done, found = check("--with", wheel(DEFINITION.format(schema=NEXT, version=2, more=MIGRATION)))

    assert (done.returncode, found["breaks"], found["sound"]) == (0, [], True)
    (migrated,) = found["migrated"]
    assert migrated["changes"][-1]["value"] == "financial_analyst"


def test_fault_of_a_candidate_is_told(check, wheel):
    done, found = check("--with", wheel(DEFINITION.format(schema={"type": "nope"}, version=1, more="")))

    assert done.returncode == 1
    (fault,) = found["faults"]
    assert "agentmode (pinocchio_agentmode 9.0)" in fault
    assert [each["slug"] for each in found["breaks"]] == ["agent"]


def test_candidate_that_fails_once_it_knows_of_the_database_is_a_fault(check, wheel):
    fails = "\n@hookimpl\ndef pinocchio_startup(info): raise OSError(f'no drum beside {info.database_path.name}')\n"

    done, found = check("--with", wheel(DEFINITION.format(schema={}, version=1, more="") + fails))

    assert done.returncode == 1
    assert "pinocchio_startup raised OSError: no drum beside profiles.db" in found["faults"][0]


def test_candidate_that_ends_the_program_is_told(check, wheel):
    done, found = check("--with", wheel("import os\nos._exit(0)\n"))

    assert (done.returncode, found) == (1, None)
    assert done.stderr.splitlines() == [
        "pinocchio: the program with the candidates gave no answer that can be read",
        "  → look for what ends the program when the candidates are imported, and check again",
    ]


def test_candidate_that_takes_too_long_is_told(wheel, tmp_path):
    (tmp_path / "own").mkdir()
    environment = Environment(tmp_path / "own", limit_s=0)

    with pytest.raises(CandidateFailed, match="did not end within 0 s") as failed:
        environment.install([wheel("")])

    assert "look for what it waits for" in failed.value.next_step


def test_second_plugin_of_one_name_is_a_fault_of_the_candidate(check, wheel):
    other = wheel(DEFINITION.format(schema=STRICT, version=1, more=""), name="zz_other", version="1.0")

    done, found = check("--with", other)

    assert done.returncode == 1
    assert "is already taken by" in found["faults"][0]
    assert found["breaks"] == []


def test_requirement_that_cannot_be_met_beside_what_is_installed_is_told(check, wheel):
    needy = wheel(
        DEFINITION.format(schema=STRICT, version=1, more=""), requires="Requires-Dist: pinocchio-webchat>=99\n"
    )

    done, found = check("--with", needy, PIP_NO_INDEX="1")

    assert (done.returncode, found) == (1, None)
    assert "requires cannot be installed" in done.stderr
    assert "pinocchio-webchat>=99" in done.stderr


def test_file_that_is_no_wheel_is_one_clear_message(check, tmp_path):
    (tmp_path / "x-1-py3-none-any.whl").write_bytes(b"nothing")

    done, found = check("--with", tmp_path / "x-1-py3-none-any.whl", PIP_NO_INDEX="1")

    assert (done.returncode, found) == (1, None)
    assert "cannot be installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_candidate_that_does_not_exist_is_a_usage_error(check, tmp_path):
    assert check("--with", tmp_path / "none.whl")[0].returncode == 2


# folders of sources, built by what stands in them

BACKEND = """
import fcntl, pathlib, sys, time, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    {do}
    pathlib.Path("build").mkdir()
    name = "acme-1.0-py3-none-any.whl"
    files = {{
        "acme.py": "from pinocchio_core.plugin import hookimpl\\n@hookimpl\\ndef pinocchio_shutdown(): ...\\n",
        "acme-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: acme\\nVersion: 1.0\\n",
        "acme-1.0.dist-info/WHEEL":
            "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "acme-1.0.dist-info/entry_points.txt": "[pinocchio.plugins]\\nacme = acme\\n",
    }}
    record = "".join(f"{{file}},,\\n" for file in [*files, "acme-1.0.dist-info/RECORD"])
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as archive:
        for file, content in {{**files, "acme-1.0.dist-info/RECORD": record}}.items():
            archive.writestr(file, content)
    return name

def hang(marker):
    with open(marker, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        pathlib.Path(marker + "-held").touch()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.005)
"""


@pytest.fixture
def sources(tmp_path):
    """Makes a folder of sources whose build does something first."""

    def make(do):
        folder = tmp_path / "sources"
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
        (folder / "backend.py").write_text(BACKEND.format(do=do))
        return folder

    return make


def test_folder_of_sources_stays_as_it_is(check, sources):
    folder = sources("pass")

    done, found = check("--with", folder)

    assert (done.returncode, [each["name"] for each in found["candidates"]]) == (0, ["acme"])
    assert sorted(path.name for path in folder.rglob("*")) == ["backend.py", "pyproject.toml"]


def test_sources_around_the_temporary_folder_are_copied_without_it(run, sources):
    inside = sources("pass") / "inside"
    temporary = inside / "temporary"
    temporary.mkdir(parents=True)

    done = run(inside, "plugins", "check", "--with", "..", TMPDIR=temporary)

    assert (done.returncode, done.stderr) == (0, "")
    assert "acme 1.0, which is new" in done.stdout.splitlines()
    assert list(temporary.iterdir()) == []


def test_reason_of_a_build_that_fails_is_told(check, sources):
    done, found = check("--with", sources("raise RuntimeError('the drum is missing')"))

    assert (done.returncode, found) == (1, None)
    first, second = done.stderr.splitlines()
    assert first.startswith("pinocchio: ")
    assert first.endswith("RuntimeError: the drum is missing")
    assert "correct it" in second


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_what_the_check_has_started_and_leaves_nothing(
    heeded, pinocchio, environment, sources, until, tmp_path, number
):
    marker, temporary = tmp_path / "marker", tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [pinocchio, "plugins", "check", "--with", sources(f"hang({str(marker)!r})")],
        cwd=tmp_path,
        env=environment(tmp_path, TMPDIR=temporary),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until((tmp_path / "marker-held").exists)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]

    assert (process.returncode, output) == (128 + number, "")
    assert list(temporary.iterdir()) == []
    with marker.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which who builds held to its end


@pytest.mark.parametrize(
    ("blocks", "says"), [(0, "no temporary folder can be made: "), (1, "an environment cannot be made in ")]
)
def test_disk_that_is_full_is_one_clear_message(pinocchio, environment, wheel, tmp_path, blocks, says):
    candidate = wheel(DEFINITION.format(schema=STRICT, version=1, more=""))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f {blocks}; exec {pinocchio} plugins check --with {candidate}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    first, second = done.stderr.splitlines()
    assert (done.returncode, says in first) == (1, True)
    assert "check again" in second


def test_candidate_without_a_plugin_is_named(check, wheel):
    done, found = check("--with", wheel("", name="acme_other", group="acme.others"))

    assert done.returncode == 0
    assert found["notes"] == ["acme_other has no plugin: it names none in the entry points pinocchio.plugins"]


def test_what_plugins_print_is_no_part_of_a_document(check, run, distribution, tmp_path):
    noisy = (
        "from pinocchio_core.plugin import *\nprint('at import')\n"
        "@hookimpl\ndef pinocchio_startup(info): print('at startup')\n"
        "@hookimpl\ndef pinocchio_shutdown(): print('at the end')\n"
    )
    site = distribution(tmp_path / "site", "acme_noisy", noisy)

    done, found = check(PYTHONPATH=site)
    migrated = run(
        tmp_path, "plugins", "migrate", "--db", tmp_path / "data/profiles.db", "--json", "--dry-run", PYTHONPATH=site
    )

    assert (done.returncode, found["breaks"]) == (0, [])
    assert json.loads(migrated.stdout) == []
    for each in (done, migrated):
        assert each.stderr.split("\n") == ["at import", "at startup", "at the end", ""]
