"""The middleware: puts the current mode before the engine, and reads a wish for another from its answer."""

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from pinocchio_agentmode.modes import Mode, ModeSource, modes_of
from pinocchio_agentmode.switch import KEY, last_switch
from pinocchio_core.plugin import Block, BlockKind, Event, Handler, Turn

STATE: Final = "agentmode"
"""This plugin's key in the state of a conversation, and in the metadata of the blocks that it inserts."""
MAX_LOGGED_CHARACTERS: Final = 80

_log = logging.getLogger(__name__)


class AgentMode:
    """A middleware that keeps a conversation in one mode at a time.

    `quiet_mode` is a name that needs no warning although there is no such mode.
    """

    def __init__(self, default_mode: str, *, modes: ModeSource, quiet_mode: str | None = None) -> None:
        self._default_mode = default_mode
        self._modes = modes
        self._quiet_mode = quiet_mode
        self._warned = threading.Event()

    def __call__(self, turn: Turn, following: Handler) -> Turn:
        """Run the rest of the chain in the current mode, then switch if the answer asks for it."""
        passed = self._prepared(turn)
        return self._switched(following(passed), passed)

    def _prepared(self, turn: Turn) -> Turn:
        name = self._mode_name(turn)
        modes = modes_of(turn.about.get("extensions", {}), self._modes)
        mode = modes.get(name)
        if mode is None:
            self._tell_unknown(name)
        kept = tuple(block for block in turn.blocks if STATE not in block.metadata)
        inserted = Block(kind=BlockKind.USER, text=_text(mode, modes.names()), metadata={STATE: {"mode": name}})
        tools = turn.tools
        if mode is not None and mode.allowed_tools is not None:
            tools = tuple(tool for tool in tools if tool.name in mode.allowed_tools)
        return turn.replace(blocks=(*kept[:-1], inserted, *kept[-1:]), tools=tools)

    def _switched(self, turn: Turn, passed: Turn) -> Turn:
        current = self._mode_name(turn)
        found = [switch for block in _answers(turn, passed) if (switch := last_switch(block.text))]
        if not found or found[-1].new_mode == current:
            return turn
        wish = found[-1]
        _log.info("mode switched from %.80r to %.80r", current, wish.new_mode)
        entry = {"mode": wish.new_mode, "previous_mode": current, "analysis": wish.analysis}
        event = Event(type="mode", data={"from": current, "to": wish.new_mode, "analysis": wish.analysis})
        return turn.replace(state={**turn.state, STATE: entry}, events=(*turn.events, event))

    def _mode_name(self, turn: Turn) -> str:
        entry = turn.state.get(STATE)
        name: Any = entry.get("mode") if isinstance(entry, Mapping) else None
        return name if isinstance(name, str) and name else self._default_mode

    def _tell_unknown(self, name: str) -> None:
        quiet = name == self._quiet_mode or self._warned.is_set()
        if not quiet:
            self._warned.set()
        level = logging.DEBUG if quiet else logging.WARNING
        _log.log(level, "there is no mode %r: the turn is unrestricted", name[:MAX_LOGGED_CHARACTERS])


def _answers(turn: Turn, passed: Turn) -> tuple[Block, ...]:
    """The assistant blocks that the rest of the chain added: those after the last block that it was given.

    A middleware further inside may have rewritten or dropped older blocks, so the end of what was given is the last
    block that is still the same object or comes from the user.
    """
    given = {id(block) for block in passed.blocks}
    ends = [i for i, block in enumerate(turn.blocks, 1) if id(block) in given or block.kind is BlockKind.USER]
    added = turn.blocks[ends[-1] if ends else 0 :]
    return tuple(block for block in added if block.kind is BlockKind.ASSISTANT)


def _text(mode: Mode | None, names: tuple[str, ...]) -> str:
    lines = [f"You are in the mode {mode.name}.", mode.prompt, ""] if mode else []
    return "\n".join(
        [
            *lines,
            f"There are these modes: {', '.join(names)}." if names else "There are no modes to switch to.",
            "If another one suits the task better, end your answer with this block, filled in:",
            "```yaml",
            f"{KEY}:",
            "  analysis: why the other mode suits better",
            "  new_mode: its name",
            "```",
            "Without such a block the mode stays as it is.",
        ]
    )
