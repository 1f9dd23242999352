"""The sqlite plugin as the host and the chain see it."""

import logging
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from pinocchio_core.plugin import (
    Block,
    BlockKind,
    Metadata,
    MiddlewareUse,
    Policy,
    Profile,
    Runtime,
    StartupInfo,
    ToolDefinition,
    Turn,
)
from pinocchio_plugins.sqlite import SqlitePlugin

EXTENSION = "middleware.sqlite_config@v1"
INTEGER = {"minimum": 1, "type": "integer"}
RECORDED = {
    "additionalProperties": False,
    "description": "Executes SQL tool calls against configured SQLite connection settings.",
    "properties": {
        "dsn": {"type": "string"},
        "execution_timeout_ms": INTEGER,
        "max_output_bytes": INTEGER,
        "max_output_lines": INTEGER,
        "max_rows": INTEGER,
    },
    "title": "SQLite Tool Middleware",
    "type": "object",
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "open" / "shop.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE item (name TEXT); INSERT INTO item VALUES ('tea'), ('pot');")
    return path


@pytest.fixture
def plugin(database: Path) -> SqlitePlugin:
    return SqlitePlugin(roots=[database.parent])


def profile(*uses: MiddlewareUse, instances: Mapping[str, Any] | None = None) -> Profile:
    extensions = {} if instances is None else {EXTENSION: msgspec.Raw(msgspec.json.encode({"instances": instances}))}
    return Profile(
        registry="default",
        slug="analyst",
        runtime=Runtime(middlewares=uses or None),
        policy=Policy(allow_overrides=False, read_only=False),
        metadata=Metadata(version=1, created_at_ms=1, updated_at_ms=1, created_by="t", updated_by="t", source="t"),
        extensions=extensions,
    )


def passed_on(plugin: SqlitePlugin, config: Mapping[str, Any]) -> Turn:
    """The turn that reaches the engine below a use with this config, and is answered."""
    (definition,) = plugin.pinocchio_middleware_definitions()
    seen: list[Turn] = []

    def engine(turn: Turn) -> Turn:
        seen.append(turn)
        return turn.replace(blocks=(*turn.blocks, Block(kind=BlockKind.ASSISTANT, text="done")))

    result = definition.build(config)(Turn(blocks=(Block(kind=BlockKind.USER, text="hi"),)), engine)
    assert [block.text for block in result.blocks] == ["hi", "done"]
    return seen[0]


def test_definition_is_the_recorded_one(plugin: SqlitePlugin) -> None:
    (definition,) = plugin.pinocchio_middleware_definitions()
    assert (definition.name, definition.version, definition.display_name) == ("sqlite", 1, "SQLite Tool")
    assert definition.config_schema == RECORDED
    Draft202012Validator.check_schema(definition.config_schema)


def test_tool_is_offered_with_the_schema_and_answers(plugin: SqlitePlugin, database: Path) -> None:
    (tool,) = passed_on(plugin, {"dsn": str(database), "max_rows": 1}).tools
    assert tool.name == "sql_query"
    assert "CREATE TABLE item (name TEXT);" in tool.description
    assert tool.call({"query": "SELECT name FROM item"}) == "name\ntea\n… truncated at 1 rows"


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [({"query": "SELECT 1"}, True), ({}, False), ({"query": 1}, False), ({"query": "SELECT 1", "dsn": "x"}, False)],
)
def test_tool_takes_a_query_and_nothing_else(plugin: SqlitePlugin, database: Path, arguments: Any, valid: bool) -> None:
    (tool,) = passed_on(plugin, {"dsn": str(database)}).tools
    assert Draft202012Validator(tool.arguments_schema).is_valid(arguments) is valid


def test_tools_of_others_stay_and_names_stay_apart(plugin: SqlitePlugin, database: Path) -> None:
    other = ToolDefinition("clock", description="", arguments_schema={}, call=lambda _arguments: "now")
    (definition,) = plugin.pinocchio_middleware_definitions()
    middleware = definition.build({"dsn": str(database)})
    turn = middleware(Turn(tools=(other,)), lambda turn: middleware(turn, lambda inner: inner))
    assert [tool.name for tool in turn.tools] == ["clock", "sql_query", "sql_query_2"]


def test_no_tool_without_dsn(plugin: SqlitePlugin, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pinocchio_plugins.sqlite"):
        assert passed_on(plugin, {"max_rows": 5}).tools == ()
    assert "no dsn" in caplog.text


def test_build_opens_nothing(plugin: SqlitePlugin, database: Path) -> None:
    (definition,) = plugin.pinocchio_middleware_definitions()
    database.unlink()
    definition.build({"dsn": str(database)})
    assert not database.exists()


def test_database_that_is_not_there_yet_is_refused_in_words(plugin: SqlitePlugin, database: Path) -> None:
    (tool,) = passed_on(plugin, {"dsn": str(database.with_name("later.db"))}).tools
    assert "cannot be opened" in tool.description
    assert tool.call({"query": "SELECT 1"}) == "error: there is no database that can be opened at the configured dsn"
    with closing(sqlite3.connect(database.with_name("later.db"))) as connection:
        connection.execute("CREATE TABLE t (a)")
    assert tool.call({"query": "SELECT a FROM t"}) == "a\n(no rows)"


def test_empty_database_is_described_as_such(plugin: SqlitePlugin, database: Path) -> None:
    database.with_name("empty.db").touch()
    (tool,) = passed_on(plugin, {"dsn": str(database.with_name("empty.db"))}).tools
    assert tool.description.endswith("It has no tables yet.")


def test_location_is_checked_again_before_each_call(plugin: SqlitePlugin, database: Path, tmp_path: Path) -> None:
    link = database.with_name("link.db")
    link.symlink_to(database)
    (tool,) = passed_on(plugin, {"dsn": str(link)}).tools
    assert tool.call({"query": "SELECT count(*) AS n FROM item"}) == "n\n2"
    database.rename(tmp_path / "moved.db")
    link.unlink()
    link.symlink_to(tmp_path / "moved.db")
    assert tool.call({"query": "SELECT 1"}).startswith("refused: dsn: ")


def test_dsn_that_no_write_checked_is_refused_in_words(database: Path) -> None:
    (tool,) = passed_on(SqlitePlugin(), {"dsn": str(database)}).tools
    assert "item" not in tool.description
    assert "--sqlite-tool-root" in tool.call({"query": "SELECT 1"})


def test_profile_database_is_refused_from_startup_on(plugin: SqlitePlugin, database: Path) -> None:
    (tool,) = passed_on(plugin, {"dsn": str(database)}).tools
    plugin.pinocchio_startup(StartupInfo(version="0", default_registry="default", database_path=database))
    assert "is the profile database" in tool.call({"query": "SELECT name FROM item"})
    (problem,) = plugin.pinocchio_validate_profile(profile(instances={"default": {"dsn": f"file:{database}"}}))
    assert "is the profile database" in problem.reason


def test_validation_passes_what_is_acceptable(plugin: SqlitePlugin, database: Path) -> None:
    uses = (MiddlewareUse(name="sqlite", id="a"), MiddlewareUse(name="agentmode"), MiddlewareUse(name="sqlite"))
    instances = {"id:a": {"dsn": str(database)}, "default": {"dsn": f"file:{database}?mode=ro"}, "id:b": {}}
    assert list(plugin.pinocchio_validate_profile(profile(*uses, instances=instances))) == []
    assert list(plugin.pinocchio_validate_profile(profile(*uses))) == []
    assert list(plugin.pinocchio_validate_profile(profile())) == []


def test_validation_reports_every_instance_where_it_is(plugin: SqlitePlugin) -> None:
    others = (MiddlewareUse(name="agentmode", id="x"), MiddlewareUse(name="agentmode", id="a"))
    uses = (others[0], MiddlewareUse(name="sqlite", id="a", enabled=False), others[1])
    instances = {"id:a": {"dsn": "/etc/hosts"}, "id:unused": {"dsn": ":memory:"}, "default": {"dsn": ""}}
    problems = list(plugin.pinocchio_validate_profile(profile(*uses, instances=instances)))
    assert [problem.field for problem in problems] == [
        "runtime.middlewares[1].config",
        f'extensions["{EXTENSION}"].instances["id:unused"]',
        f'extensions["{EXTENSION}"].instances["default"]',
    ]
    assert problems[0].reason == (
        "dsn: '/etc/hosts' is not below a folder that the operator named with --sqlite-tool-root"
    )
    assert all(problem.reason.startswith("dsn: ") for problem in problems)


def test_validation_repeats_at_most_80_characters(plugin: SqlitePlugin) -> None:
    (problem,) = plugin.pinocchio_validate_profile(profile(instances={"default": {"dsn": "/" + "x" * 500}}))
    assert "x" * 78 in problem.reason
    assert "x" * 80 not in problem.reason


def test_validation_without_folders_names_the_option(database: Path) -> None:
    (problem,) = SqlitePlugin().pinocchio_validate_profile(profile(instances={"default": {"dsn": str(database)}}))
    assert "the operator named no folder with --sqlite-tool-root" in problem.reason


def commands(plugin: SqlitePlugin) -> click.Group:
    group = click.Group()
    group.add_command(click.Command("web-chat", callback=lambda: click.echo("served")))
    plugin.pinocchio_cli(group)
    return group


def refused(plugin: SqlitePlugin, *paths: Path) -> list[bool]:
    return [
        any(plugin.pinocchio_validate_profile(profile(instances={"default": {"dsn": str(path)}}))) for path in paths
    ]


def test_option_names_folders(database: Path, tmp_path: Path) -> None:
    plugin = SqlitePlugin()
    arguments = ["web-chat", "--sqlite-tool-root", str(database.parent)]
    result = CliRunner().invoke(commands(plugin), arguments)
    assert result.output == "served\n"
    assert refused(plugin, database, tmp_path / "other.db") == [False, True]


def test_option_can_be_repeated_and_adds_to_embedded_folders(database: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    plugin = SqlitePlugin(roots=[database.parent])
    options = [part for name in ("one", "two") for part in ("--sqlite-tool-root", str(tmp_path / name))]
    assert CliRunner().invoke(commands(plugin), ["web-chat", *options]).exit_code == 0
    paths = (database, tmp_path / "one" / "a.db", tmp_path / "two" / "a.db", tmp_path / "three" / "a.db")
    assert refused(plugin, *paths) == [False, False, False, True]


def test_variable_names_folders(database: Path, tmp_path: Path) -> None:
    plugin = SqlitePlugin()
    (tmp_path / "two").mkdir()
    variable = os.pathsep.join([str(database.parent), str(tmp_path / "two")])
    result = CliRunner().invoke(commands(plugin), ["web-chat"], env={"PINOCCHIO_SQLITE_TOOL_ROOT": variable})
    assert result.exit_code == 0, result.output
    assert refused(plugin, database, tmp_path / "two" / "a.db", tmp_path / "a.db") == [False, False, True]


def test_commands_without_the_option_take_folders_from_the_variable(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINOCCHIO_SQLITE_TOOL_ROOT", os.pathsep.join([str(database.parent), str(tmp_path / "two")]))
    plugin = SqlitePlugin()
    plugin.pinocchio_startup(StartupInfo(version="1", default_registry="default", database_path=tmp_path / "two/p.db"))
    paths = (database, tmp_path / "two" / "a.db", tmp_path / "two" / "p.db", tmp_path / "a.db")
    assert refused(plugin, *paths) == [False, False, True, True]


def test_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(commands(SqlitePlugin()), ["web-chat", "--sqlite-tool-root", str(tmp_path / "nope")])
    assert result.exit_code == 2
    assert "--sqlite-tool-root" in result.output


def test_help_shows_option_and_variable() -> None:
    output = CliRunner().invoke(commands(SqlitePlugin()), ["web-chat", "--help"]).output
    assert "--sqlite-tool-root DIR" in output
    assert "PINOCCHIO_SQLITE_TOOL_ROOT" in output


def test_command_line_without_the_server_command_is_left_alone() -> None:
    group = click.Group()
    SqlitePlugin().pinocchio_cli(group)
    assert group.commands == {}
