"""The middleware that offers the tool `sql_query` on the database of one sqlite use."""

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from itertools import count
from typing import Any, Final

from pinocchio_core.plugin import Handler, ToolDefinition, Turn
from pinocchio_plugins.sqlite_location import DsnRefused
from pinocchio_plugins.sqlite_query import Limits, answer, schema_of

TOOL_NAME: Final = "sql_query"
ARGUMENTS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "One SELECT statement in SQLite's dialect."}},
    "required": ["query"],
    "additionalProperties": False,
}

Locate = Callable[[str], str]
"""From a dsn to the file it leads to; raises `DsnRefused`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SqlTool:
    """A middleware that adds the tool and passes the turn on.

    The dsn is checked again before each time its file is opened: a link may lead elsewhere by now, and a config
    may have come from a request.
    """

    dsn: str
    _: KW_ONLY
    locate: Locate
    limits: Limits

    def __call__(self, turn: Turn, following: Handler) -> Turn:
        """Offer the tool; a second use in the same chain offers `sql_query_2`, and so on."""
        taken = {tool.name for tool in turn.tools}
        tool = ToolDefinition(
            _free_name(taken),
            description=self._description(),
            arguments_schema=ARGUMENTS_SCHEMA,
            call=self.call,
        )
        return following(turn.replace(tools=(*turn.tools, tool)))

    def call(self, arguments: Mapping[str, Any]) -> str:
        """What the tool answers the model: rows, or in words why there are none."""
        try:
            path = self.locate(self.dsn)
        except DsnRefused as refusal:
            return f"refused: dsn: {refusal}"
        return answer(path, arguments["query"], limits=self.limits)

    def _description(self) -> str:
        text = f"Run one read-only SELECT on a SQLite database; at most {self.limits.max_rows} rows come back."
        try:
            schema = schema_of(self.locate(self.dsn), limits=self.limits)
        except (DsnRefused, sqlite3.Error) as error:
            _log.warning("the database of a sqlite use cannot be read: %s", error)
            return f"{text} The database cannot be opened at present."
        return f"{text} Its schema:\n{schema}" if schema else f"{text} It has no tables yet."


def pass_on(turn: Turn, following: Handler) -> Turn:
    """The middleware of a use without a dsn: it offers nothing."""
    return following(turn)


def _free_name(taken: Collection[str]) -> str:
    names = (TOOL_NAME if number == 1 else f"{TOOL_NAME}_{number}" for number in count(1))
    return next(name for name in names if name not in taken)
