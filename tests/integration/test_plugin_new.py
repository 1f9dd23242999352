"""`pinocchio plugins new`: what it writes passes its own tests, and it writes over nothing."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import pinocchio_agentmode
from pinocchio_core.cli.blueprint import KINDS, Blueprint, requirement, source_of
from pinocchio_core.cli.main import build
from pinocchio_core.domain.slugs import is_middleware_name, middleware_key
from pinocchio_core.testing import installed, make_host

ROOT = Path(__file__).parents[2]
LONGEST = "a" + "b" * 56


def new(*arguments):
    host = make_host(pinocchio_agentmode, *installed("echo"))
    return CliRunner().invoke(build(host), ["plugins", "new", *map(str, arguments)], obj=host)


def python(folder, *arguments):
    command = [sys.executable, *map(str, arguments)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_package_passes_its_own_tests(tmp_path, kind):
    assert new("acme-shout", "--kind", kind, "--directory", tmp_path / "it").exit_code == 0

    code = f"import sys, pytest; sys.path.insert(0, {str(tmp_path / 'it/src')!r}); sys.exit(pytest.main(['-q']))"
    assert " passed" in python(tmp_path / "it", "-c", code)


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff belongs to another environment of tox")
@pytest.mark.parametrize("name", ["acme-shout", LONGEST])
@pytest.mark.parametrize("kind", KINDS)
def test_package_is_clean_under_the_rules_of_this_project(tmp_path, kind, name):
    folder = tmp_path / "it"
    new(name, "--kind", kind, "--directory", folder)
    rules = tmp_path / "pyproject.toml"
    rules.write_text((ROOT / "pyproject.toml").read_text().partition("\n[tool.pytest")[0])

    python(folder, "-m", "ruff", "check", "--extend-select", "I", ".")
    python(folder, "-m", "ruff", "format", "--check", ".")
    python(folder, "-m", "ruff", "check", "--config", rules, "src")


@pytest.mark.parametrize("kind", KINDS)
def test_package_compiles_for_every_name(tmp_path, kind):
    new(LONGEST, "--kind", kind, "--directory", tmp_path / "it")

    python(tmp_path, "-W", "error", "-m", "compileall", "-q", "it")


def test_package_is_of_published_shape(tmp_path):
    new("acme-shout", "--directory", tmp_path / "it")
    project = tomllib.loads((tmp_path / "it/pyproject.toml").read_text())["project"]

    assert (project["name"], project["license"], project["version"]) == ("acme-shout", "MIT", "0.1.0")
    assert project["entry-points"] == {"pinocchio.plugins": {"acme-shout": "acme_shout"}}
    assert project["dependencies"] == [requirement()]
    assert sorted(str(path.relative_to(tmp_path / "it")) for path in (tmp_path / "it").rglob("*.*")) == [
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/acme_shout/__init__.py",
        "src/acme_shout/definition.py",
        "src/acme_shout/py.typed",
        "tests/test_acme_shout.py",
        "tox.ini",
    ]


def test_folder_is_that_of_the_name_where_none_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert new("acme-shout").stdout.endswith("→ cd acme-shout && tox\n")
    assert (tmp_path / "acme-shout/pyproject.toml").exists()


def test_what_exists_is_not_written_over(tmp_path):
    (tmp_path / "it").mkdir()

    done = new("acme-shout", "--directory", tmp_path / "it")

    assert (done.exit_code, "exists already" in done.output) == (2, True)
    assert list((tmp_path / "it").iterdir()) == []


def test_folder_that_cannot_be_made_is_one_clear_message(tmp_path):
    (tmp_path / "file").touch()

    done = new("acme-shout", "--directory", tmp_path / "file" / "it")

    assert (done.exit_code, "Not a directory" in done.output) == (2, True)


def test_folders_around_one_that_cannot_be_made_are_not_left(tmp_path):
    (tmp_path / "there").mkdir()

    done = new("acme-shout", "--directory", tmp_path / "there" / "a" / "b" / ("x" * 300))

    assert (done.exit_code, "File name too long" in done.output) == (2, True)
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_disk_that_is_full_is_one_clear_message_and_leaves_nothing(tmp_path, pinocchio, environment):
    command = f"ulimit -f 0; exec {pinocchio} plugins new acme-shout --directory a/b"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    first, second = done.stderr.splitlines()
    assert (done.returncode, first) == (1, "pinocchio: a/b cannot be written: File too large")
    assert "nothing was left behind" in second
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "use 1 to 57"),
        ("Acme", "use 1 to 57"),
        ("1st", "use 1 to 57"),
        ("acme--x", "use 1 to 57"),
        ("acme-", "use 1 to 57"),
        ("../acme", "use 1 to 57"),
        ("acme.x", "use 1 to 57"),
        (LONGEST + "b", "use 1 to 57"),
        ("class", "a word or a module of Python"),
        ("json", "a word or a module of Python"),
        ("falcon", "is installed already"),
        ("pinocchio-core", "is installed already"),
        ("pinocchio-webchat", "pinocchio-webchat is the name of another distribution"),
        ("pinocchio_webchat", "pinocchio-webchat is the name of another distribution"),
        ("pyyaml", "pyyaml is the name of another distribution"),
        ("pytest", "a package pytest is installed already"),
        ("tox", "tox is the name of another distribution"),
        ("agentmode", "is that of a plugin of given"),
        ("echo", "is that of a plugin of given"),
    ],
)
def test_name_that_cannot_be_used_is_refused(tmp_path, name, says):
    done = new(name, "--directory", tmp_path / "it")

    assert done.exit_code == 2
    assert says in " ".join(done.output.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_name_of_an_installed_distribution_is_known_by_its_package():
    with pytest.raises(ValueError, match="a package pinocchio_agentmode is installed already"):
        Blueprint("pinocchio-agentmode", "tool")


@given(st.text("ab1-_.A é", max_size=60))
def test_name_that_is_accepted_can_be_everything_it_is_used_for(name):
    try:
        files = Blueprint(name, "extension").files()
    except ValueError:
        return
    project = tomllib.loads(next(text for path, text in files.items() if path.name == "pyproject.toml"))["project"]
    (package,) = project["entry-points"]["pinocchio.plugins"].values()

    assert project["name"] == name
    assert package.isidentifier()
    assert is_middleware_name(name)
    assert len(str(middleware_key(name, 99999))) <= 140


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        (None, requirement()),
        ("no JSON", requirement()),
        ('{"url": "file:///x", "dir_info": {"editable": true}}', "pinocchio-webchat @ file:///x"),
        ('{"url": "file:///x/a.whl", "archive_info": {}}', "pinocchio-webchat @ file:///x/a.whl"),
        (
            '{"url": "https://host/r.git", "vcs_info": {"vcs": "git", "commit_id": "12ab"}}',
            "pinocchio-webchat @ git+https://host/r.git@12ab",
        ),
    ],
)
def test_tox_finds_the_program_where_it_was_installed_from(origin, source):
    assert source_of(origin) == source
