"""What this plugin declares: its middleware and a profile to begin with."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pinocchio_agentmode.middleware import AgentMode
from pinocchio_agentmode.modes import SHIPPED_MODES, ModeSource, StaticModes
from pinocchio_agentmode.table import ModesUnreadable, TableModes
from pinocchio_core.plugin import Middleware, MiddlewareDefinition, ProfileSeed

NAME: Final = "agentmode"
ENVIRONMENT: Final = "PINOCCHIO_AGENTMODE_DB"
"""A SQLite file with the table `modes`; unset for the modes that ship."""
NO_MODE: Final = "default"
"""The schema's default; it stands for no mode, so that it is not known is nothing to warn of."""
DESCRIPTION: Final = "Parses and applies agent-mode switches from model output."
SCHEMA: Final[dict[str, Any]] = {
    "title": "Agent Mode Middleware",
    "description": DESCRIPTION,
    "type": "object",
    "properties": {"default_mode": {"type": "string", "default": NO_MODE}},
    "additionalProperties": False,
}

_log = logging.getLogger(__name__)


def definition(modes: ModeSource | None = None) -> MiddlewareDefinition:
    """The middleware `agentmode` on a source of modes, by default the static list that ships."""
    source = StaticModes(SHIPPED_MODES) if modes is None else modes

    def build(config: Mapping[str, Any]) -> Middleware:
        default_mode = config.get("default_mode", NO_MODE)
        if default_mode == NO_MODE and source.get(NO_MODE) is None:
            _log.debug("default_mode is %r: turns are unrestricted until the model switches", NO_MODE)
            return AgentMode(default_mode, modes=source, quiet_mode=NO_MODE)
        return AgentMode(default_mode, modes=source)

    return MiddlewareDefinition(NAME, SCHEMA, build, display_name="Agent Mode", description=DESCRIPTION)


def refuse_databases_of_the_server(*own: Path | None, environment: Mapping[str, str] = os.environ) -> None:
    """Raise ModesUnreadable where the table that the operator names is in one of these files."""
    path = _table_path(environment)
    if path and any(each and each.exists() and path.exists() and path.samefile(each) for each in own):
        raise ModesUnreadable(f"{path} is a database of the server; name another file in {ENVIRONMENT}")


def chosen_modes(environment: Mapping[str, str] = os.environ) -> ModeSource:
    """The modes of the table that the operator names, else those that ship.

    Raises:
        ModesUnreadable: there is no such table, which is said at the start and not in a chat.
    """
    path = _table_path(environment)
    if path is None:
        return StaticModes(SHIPPED_MODES)
    modes = TableModes(path)
    modes.names()
    return modes


def _table_path(environment: Mapping[str, str]) -> Path | None:
    path = environment.get(ENVIRONMENT, "").strip()
    return Path(path).expanduser() if path else None


def agent_profile() -> ProfileSeed:
    """The profile `agent`: concise, in the mode of a financial analyst, overrides allowed."""
    use = {"name": NAME, "id": "default", "config": {"default_mode": "financial_analyst"}}
    return ProfileSeed(
        "agent",
        document={
            "runtime": {"system_prompt": "You are a helpful assistant. Be concise.", "middlewares": [use]},
            "policy": {"allow_overrides": True, "read_only": False},
        },
    )
