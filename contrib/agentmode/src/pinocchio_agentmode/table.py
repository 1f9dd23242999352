"""Modes kept in a table of a SQLite file, so that they can be changed without a release."""

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pinocchio_agentmode.modes import Mode

TABLE = "CREATE TABLE modes (name TEXT PRIMARY KEY, prompt TEXT NOT NULL, allowed_tools TEXT)"
"""The table's shape; `allowed_tools` is a JSON array of names, or NULL for no restriction."""


class ModesUnreadable(Exception):
    """The table cannot be read, or a row is not a mode: no turn may then run without its restrictions."""


class TableModes:
    """Modes from the table `modes` of a database that is opened read-only for each look-up."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, name: str) -> Mode | None:
        """The mode of that name, `None` where there is none.

        Raises:
            ModesUnreadable: the database, the table or the row is not as it should be.
        """
        rows = self._rows("SELECT prompt, allowed_tools FROM modes WHERE name = ?", (name,))
        return _mode(name, *rows[0]) if rows else None

    def names(self) -> tuple[str, ...]:
        """The names of all modes, sorted.

        Raises:
            ModesUnreadable: the database or the table is not as it should be.
        """
        return tuple(name for (name,) in self._rows("SELECT name FROM modes ORDER BY name", ()))

    def _rows(self, query: str, parameters: Sequence[str]) -> list[tuple[Any, ...]]:
        uri = f"file://{quote(os.fsencode(self._path.absolute()))}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                return connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise ModesUnreadable(f"the table of modes in {self._path} cannot be read: {error}") from error


def _mode(name: str, prompt: object, allowed_tools: object) -> Mode:
    try:
        tools = None if allowed_tools is None else json.loads(str(allowed_tools))
    except ValueError:
        raise ModesUnreadable(f"allowed_tools of mode {name!r} is not JSON") from None
    if tools is not None and not (isinstance(tools, list) and all(isinstance(tool, str) for tool in tools)):
        raise ModesUnreadable(f"allowed_tools of mode {name!r} is not an array of strings")
    if not isinstance(prompt, str):
        raise ModesUnreadable(f"the prompt of mode {name!r} is not text")
    return Mode(name, prompt=prompt, allowed_tools=None if tools is None else tuple(tools))
