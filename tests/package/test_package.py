"""What is published: built, installed elsewhere, and run, together with the plugin of docs/write-a-plugin.md.

Runs without the project installed: it uses pytest, build and tox, and what it builds.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
import venv
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/write-a-plugin.md").read_text()
WAIT_S = 600
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PINOCCHIO_", "PYTHON", "TOX_"))}


def run(*command, cwd, expect=0):
    """The command's standard output; it has to end with this status."""
    ended = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=CLEAN, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert ended.returncode == expect, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def build(source, target, *options):
    """The files that building `source` gives."""
    target.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "build", *options, "--outdir", target, source, cwd=target)
    return sorted(target.iterdir())


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    """Source distribution and wheel of the root, the wheel built from the source distribution."""
    sdist, wheel = sorted(build(ROOT, tmp_path_factory.mktemp("dist")), key=lambda path: path.suffix)
    assert (sdist.suffix, wheel.suffix) == (".gz", ".whl")
    return sdist, wheel


@pytest.fixture(scope="session")
def agentmode(tmp_path_factory):
    """The wheel of contrib/agentmode."""
    (wheel,) = build(ROOT / "contrib/agentmode", tmp_path_factory.mktemp("agentmode"), "--wheel")
    return wheel


@pytest.fixture(scope="session")
def elsewhere(dist, agentmode, tmp_path_factory):
    """A folder far from the sources, and the programs of a fresh environment with both wheels."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", dist[1], agentmode, cwd=folder)
    return folder, programs


@pytest.fixture(scope="session")
def written(elsewhere, tmp_path_factory):
    """The package of docs/write-a-plugin.md, made by the command that stands there."""
    _, programs = elsewhere
    folder = tmp_path_factory.mktemp("new")
    new, cd, tox = _commands("new")
    assert (new[:3], cd, tox) == (["pinocchio", "plugins", "new"], ["cd", "acme-shout"], ["tox"])
    run(programs / "pinocchio", *new[1:], cwd=folder)
    return folder / "acme-shout"


def _commands(mark):
    """The commands of the page's block with this mark."""
    block = DOCUMENT.split(f"<!-- {mark} -->\n```bash\n")[1].split("```")[0]
    return [shlex.split(line) for line in block.replace(" && ", "\n").replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="session")
def with_plugin(elsewhere, written, tmp_path_factory):
    """The same environment, with the plugin of the document installed too."""
    folder, programs = elsewhere
    (wheel,) = build(written, tmp_path_factory.mktemp("plugin"), "--wheel")
    assert f"dist/{wheel.name}" in _commands("install")[-1]
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return folder, programs


@contextmanager
def serving(programs, folder):
    """The URL of a server, which has to end well when it is told to."""
    command = [programs / "pinocchio", "web-chat", "--addr", "127.0.0.1:0", "--profile-registry-db", "profiles.db"]
    with subprocess.Popen(command, cwd=folder, env=CLEAN, stderr=subprocess.PIPE, text=True) as process:
        deadline = threading.Timer(60, process.kill)
        deadline.start()
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"serves (http://127\.0\.0\.1:[0-9]+)", line):
                    yield found[1]
                    break
            else:
                raise AssertionError("".join(said))
            process.send_signal(signal.SIGTERM)
            said.append(process.stderr.read())
            assert process.wait() == 0, "".join(said)
        finally:
            deadline.cancel()
            process.kill()


def answer_of(url, document=None):
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  # always http
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # always http
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_wheel_has_what_it_needs_and_no_more(dist):
    names = zipfile.ZipFile(dist[1]).namelist()
    information = next(name for name in names if name.endswith("/METADATA")).rpartition("/")[0]

    for needed in (
        "pinocchio_core/py.typed",
        "pinocchio_plugins/py.typed",
        "pinocchio_core/web/openapi.json",
        "pinocchio_core/cli/templates/tox.ini.tmpl",
    ):
        assert needed in names
    assert f"{information}/licenses/LICENSE" in names
    assert {name.partition("/")[0] for name in names} == {"pinocchio_core", "pinocchio_plugins", information}
    assert not [name for name in names if "/test_" in name or "conftest" in name or "__pycache__" in name]


def test_source_distribution_has_what_building_and_testing_needs(dist):
    with tarfile.open(dist[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    for needed in ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "ARCHITECTURE.md", "tox.ini"):
        assert needed in names
    for folder in ("core/", "plugins/", "contrib/agentmode/", "docs/", "tests/"):
        assert any(name.startswith(folder) for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", ".tox", ".venv"))]


def test_agentmode_wheel_is_a_distribution_of_its_own(agentmode):
    names = zipfile.ZipFile(agentmode).namelist()

    assert "pinocchio_agentmode/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "pinocchio_core"))]


def test_installed_plugins_are_all_active(elsewhere):
    folder, programs = elsewhere

    plugins = json.loads(run(programs / "pinocchio", "plugins", "--json", cwd=folder))

    assert {"pinocchio-webchat", "pinocchio-agentmode"} <= {plugin["distribution"] for plugin in plugins}
    assert {plugin["status"] for plugin in plugins} == {"active"}


@pytest.mark.parametrize("name", ["core", "plugins", "contrib", "tests"])
def test_source_folders_cannot_be_imported(elsewhere, name):
    folder, programs = elsewhere

    run(programs / "python", "-c", f"import {name}", cwd=folder, expect=1)


def test_installed_packages_are_those_of_the_wheels(elsewhere):
    folder, programs = elsewhere
    code = "import pinocchio_core, pinocchio_plugins, pinocchio_agentmode; print(pinocchio_core.__file__)"

    assert run(programs / "python", "-c", code, cwd=folder).startswith(str(folder))


def test_installed_program_says_its_version(elsewhere, dist):
    folder, programs = elsewhere
    version = dist[1].name.split("-")[1]

    assert run(programs / "pinocchio", "--version", cwd=folder).strip() == f"pinocchio, version {version}"


def test_requirements_of_the_wheels_are_complete(elsewhere):
    folder, programs = elsewhere

    assert run(programs / "python", "-m", "pip", "check", cwd=folder).strip() == "No broken requirements found."


def test_documented_package_is_the_one_that_the_command_writes(written):
    shown = dict(re.findall(r"^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))

    assert len(shown) == 4
    assert shown == {name: (written / name).read_text() for name in shown}


def test_new_package_is_green_under_tox_as_it_is(written):
    said = run(sys.executable, "-m", "tox", "run", cwd=written)

    assert "lint: OK" in said
    assert re.search(r"py3[0-9]+: OK", said)


def test_documented_plugin_passes_its_own_tests(with_plugin, written):
    folder, programs = with_plugin
    run(programs / "python", "-m", "pip", "install", "--quiet", "pytest", cwd=folder)

    assert " passed" in run(programs / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=written)


def test_documented_plugin_is_listed_as_the_document_says(with_plugin):
    folder, programs = with_plugin
    shown = re.search(r"^```\n(active .*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)[1]

    assert shown in run(programs / "pinocchio", "plugins", cwd=folder)


def test_documented_plugin_is_served_enforced_and_runs_in_a_turn(with_plugin):
    folder, programs = with_plugin
    profile, chat = (json.loads(command[command.index("-d") + 1]) for command in _commands("use") if "-d" in command)
    config = profile["runtime"]["middlewares"][0]["config"]
    wrong = {"mark": 5, "volume": 11}

    with serving(programs, folder) as url:
        _, middlewares = answer_of(f"{url}/api/chat/schemas/middlewares")
        uses = {"middlewares": [{"name": "acme-shout", "config": wrong}]}
        refused, problem = answer_of(f"{url}/api/chat/profiles", {**profile, "runtime": uses})
        created, stored = answer_of(f"{url}/api/chat/profiles", profile)
        answered, turn = answer_of(f"{url}/chat", chat)

    (shout,) = [each for each in middlewares if each["name"] == "acme-shout"]
    assert (shout["display_name"], shout["description"]) == ("Acme shout", "Ends every answer with a mark.")
    assert shout["schema"]["properties"]["mark"]["default"] == "!"
    assert (refused, created, answered) == (400, 201, 200)
    assert [each["field"] for each in problem["errors"]] == ["runtime.middlewares[0].config"] * 2
    assert stored["extensions"] == {"middleware.acme-shout_config@v1": {"instances": {"default": config}}}
    assert turn["reply"].endswith("!!")


def test_next_version_of_the_plugin_is_tried_before_it_is_installed(with_plugin, written, tmp_path):
    folder, programs = with_plugin
    following = tmp_path / "next"
    shutil.copytree(written, following, ignore=shutil.ignore_patterns(".tox", "dist", ".*_cache"))
    for name, old, new in (
        ("pyproject.toml", "0.1.0", "0.2.0"),
        ("src/acme_shout/definition.py", 'maxLength": 3', 'maxLength": 2'),
    ):
        text = (following / name).read_text()
        assert old in text
        (following / name).write_text(text.replace(old, new))
    with serving(programs, folder) as url:
        profile = {"slug": "long", "runtime": {"middlewares": [{"name": "acme-shout", "config": {"mark": "!!!"}}]}}
        assert answer_of(f"{url}/api/chat/profiles", profile)[0] == 201

    said = run(
        programs / "pinocchio", "plugins", "check", "--with", following, "--db", "profiles.db", cwd=folder, expect=1
    )

    assert "acme-shout 0.2.0 in place of 0.1.0" in said
    assert 'BREAKS         profile "long"' in said
    assert "acme-shout 0.1.0" in run(programs / "pinocchio", "plugins", cwd=folder)
