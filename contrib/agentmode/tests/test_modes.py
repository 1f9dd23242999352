"""Where modes come from."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pinocchio_agentmode.definition import ENVIRONMENT, chosen_modes, refuse_databases_of_the_server
from pinocchio_agentmode.modes import SHIPPED_MODES, Mode, StaticModes
from pinocchio_agentmode.table import TABLE, ModesUnreadable, TableModes


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "modes %?.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany(
            "INSERT INTO modes VALUES (?, ?, ?)",
            [
                ("writer", "You write.", None),
                ("auditor", "You check.", '["sql_query"]'),
                ("mute", "You think.", "[]"),
                ("broken", "You fail.", "sql_query"),
                ("number", "You fail.", "[1]"),
                ("blob", b"\xff", None),
            ],
        )
    return path


def test_shipped_modes_are_the_three_of_the_contract() -> None:
    assert StaticModes(SHIPPED_MODES).names() == (
        "category_regexp_designer",
        "category_regexp_reviewer",
        "financial_analyst",
    )
    assert all(mode.prompt for mode in SHIPPED_MODES)


def test_static_modes_are_found_by_name() -> None:
    mode = Mode("writer", prompt="You write.")
    modes = StaticModes([mode])
    assert modes.get("writer") is mode
    assert modes.get("Writer") is None


def test_table_modes_are_found_by_name(table: Path) -> None:
    modes = TableModes(table)
    assert modes.names() == ("auditor", "blob", "broken", "mute", "number", "writer")
    assert modes.get("writer") == Mode("writer", prompt="You write.")
    assert modes.get("auditor") == Mode("auditor", prompt="You check.", allowed_tools=("sql_query",))
    assert modes.get("mute") == Mode("mute", prompt="You think.", allowed_tools=())
    assert modes.get("nobody") is None


def test_table_modes_see_a_change_at_once(table: Path) -> None:
    modes = TableModes(table)
    with closing(sqlite3.connect(table)) as connection, connection:
        connection.execute("UPDATE modes SET prompt = 'You draw.' WHERE name = 'writer'")
    assert modes.get("writer") == Mode("writer", prompt="You draw.")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("broken", "not JSON"), ("number", "not an array of strings"), ("blob", "not text")],
)
def test_row_that_is_no_mode_is_an_error(table: Path, name: str, reason: str) -> None:
    with pytest.raises(ModesUnreadable, match=reason):
        TableModes(table).get(name)


def test_table_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    with pytest.raises(ModesUnreadable, match="cannot be read"):
        TableModes(path).names()
    assert not path.exists()


def test_the_operators_table_takes_the_place_of_the_modes_that_ship(tmp_path: Path) -> None:
    assert chosen_modes({}).names() == chosen_modes({ENVIRONMENT: " "}).names() != ()
    path = tmp_path / "modes.db"
    with pytest.raises(ModesUnreadable, match="cannot be read"):
        chosen_modes({ENVIRONMENT: str(path)})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE)
        connection.execute("INSERT INTO modes VALUES ('poet', 'Answer in verse.', NULL)")
    modes = chosen_modes({ENVIRONMENT: str(path)})
    assert modes.names() == ("poet",)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE modes SET prompt = 'Rhyme.'")
    assert modes.get("poet") == Mode("poet", prompt="Rhyme.")


def test_a_table_in_a_database_of_the_server_is_refused(table: Path, tmp_path: Path) -> None:
    environment = {ENVIRONMENT: str(table)}
    refuse_databases_of_the_server(tmp_path / "profiles.db", None, environment=environment)
    refuse_databases_of_the_server(table, environment={})
    (tmp_path / "linked.db").hardlink_to(table)
    with pytest.raises(ModesUnreadable, match="is a database of the server"):
        refuse_databases_of_the_server(None, tmp_path / "linked.db", environment=environment)
