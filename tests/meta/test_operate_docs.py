"""docs/operate.md names every option and variable of the server, and none that does not exist."""

import re
from pathlib import Path

import click
import pytest

from pinocchio_core.cli.main import build
from pinocchio_core.cli.web_chat import web_chat
from pinocchio_core.errors import PinocchioError, RequestError, StartupError
from pinocchio_core.host.host import Host
from pinocchio_core.service.operator import PREFIX
from pinocchio_core.settings import BLOCK_VARIABLE, KEY_VARIABLE, LOAD_VARIABLE
from pinocchio_core.settings.access import TOKEN_VARIABLE
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.dsn import parse_dsn
from pinocchio_core.store.sqlite.library import VARIABLE as SQLITE_VARIABLE
from pinocchio_core.store.tables.search import SHADOWS
from pinocchio_core.web.errors import STATUSES
from pinocchio_core.web.server import DRAIN_S

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/operate.md").read_text()
OPTIONS = [parameter for parameter in web_chat.params if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.opts[0])
def test_option_is_documented_with_its_variable_and_default(option):
    row = re.search(rf"^\| `{option.opts[0]}` \| `{option.envvar}` \| (.+?) \|", TEXT, re.MULTILINE)

    assert row, f"docs/operate.md has no row for {option.opts[0]} and {option.envvar}"
    if isinstance(option.default, str | int) and option.default != "":
        default = ("no", "yes")[option.default] if isinstance(option.default, bool) else option.default
        assert row[1] == f"`{default}`"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.opts[0])
def test_choices_of_an_option_are_documented(option):
    for choice in getattr(option.type, "choices", ()):
        assert f"`{choice}`" in TEXT


def everything_the_command_line_has():
    """Every option and variable of every command, those of plugins included."""
    words = {LOAD_VARIABLE, BLOCK_VARIABLE, KEY_VARIABLE, TOKEN_VARIABLE, SQLITE_VARIABLE, PREFIX, "--help"}
    commands = [build(Host())]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        for parameter in command.params:
            words |= set(parameter.opts)
            words |= {parameter.envvar} if isinstance(parameter.envvar, str) else set()
    return words


def test_no_option_or_variable_is_documented_that_does_not_exist():
    written = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+|PINOCCHIO_[A-Z_]+", TEXT))

    assert written - everything_the_command_line_has() == set()


@pytest.mark.parametrize("variable", [LOAD_VARIABLE, BLOCK_VARIABLE, SQLITE_VARIABLE])
def test_variables_that_choose_for_every_command_are_documented(variable):
    assert f"| `{variable}` |" in TEXT


def test_parameters_of_a_dsn_are_all_documented():
    with pytest.raises(StartupError) as refused:
        parse_dsn("file:x.db?unknown=1")
    known = refused.value.next_step.removeprefix("known: ").split(", ")
    table = TEXT.split("### Parameters of a DSN")[1].split("\n## ")[0]

    assert known == [name for name in known if f"`{name}`" in table]


def test_tables_of_the_database_are_all_documented(tmp_path):
    opened = open_database(parse_dsn(str(tmp_path / "x.db")))
    try:
        rows = opened.database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    finally:
        opened.database.close()

    tables = [name for (name,) in rows if not name.startswith(SHADOWS)]
    assert tables
    assert tables == [name for name in tables if f"| `{name}` |" in TEXT]


def test_faults_of_the_store_and_of_plugins_are_in_the_troubleshooting_table():
    table = TEXT.split("## When something is wrong")[1]
    operators = [kind for kind in STATUSES if issubclass(kind, PinocchioError) and not issubclass(kind, RequestError)]

    assert operators
    for kind in operators:
        status, title = STATUSES[kind]
        assert f"{status} `{title}`" in table


def test_time_to_finish_is_documented():
    assert f"for {DRAIN_S} seconds at most" in " ".join(TEXT.split())


def test_every_row_of_the_troubleshooting_table_is_tried_by_a_test():
    rows = [line for line in TEXT.split("## When something is wrong")[1].splitlines() if line.startswith("| ")][1:]
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1])
        assert named, row
        assert set(named) <= there, row
