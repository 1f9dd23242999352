"""How a model says that it wants another mode: a fenced YAML block in its text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

KEY: Final = "mode_switch"
MAX_BLOCKS: Final = 16
"""Blocks of one text that are looked at, from its end."""
MAX_NAME_CHARACTERS: Final = 128
MAX_ANALYSIS_CHARACTERS: Final = 4000

_FENCE: Final = re.compile(r" {0,3}(?P<ticks>`{3,})(?P<info>[^`]*)")


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A well-formed wish for a mode, which may be the current one."""

    new_mode: str
    analysis: str = ""


def last_switch(text: str) -> Switch | None:
    """The last well-formed `mode_switch` in the fenced YAML blocks of a text, `None` where there is none."""
    candidates = [block for block in _yaml_blocks(text) if KEY in block]
    switches = (_switch(block) for block in islice(reversed(candidates), MAX_BLOCKS))
    return next((switch for switch in switches if switch), None)


def _yaml_blocks(text: str) -> Iterator[str]:
    """The contents of closed fenced blocks marked as YAML, without those inside a longer fence."""
    ticks, info = "", ""
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.fullmatch(line)
        if not ticks:
            if fence:
                ticks, info, lines = fence["ticks"], fence["info"].strip().lower(), []
        elif fence and fence["ticks"].startswith(ticks) and not fence["info"].strip():
            if info in {"yaml", "yml"}:
                yield "\n".join(lines)
            ticks = ""
        else:
            lines.append(line)


def _switch(block: str) -> Switch | None:
    from pinocchio_agentmode.yaml_block import document_in  # costs a server that starts more than all the rest here

    document = document_in(block)
    wish = document.get(KEY) if isinstance(document, dict) else None
    if not isinstance(wish, dict):
        return None
    new_mode, analysis = wish.get("new_mode"), wish.get("analysis")
    if not isinstance(new_mode, str) or not 0 < len(new_mode.strip()) <= MAX_NAME_CHARACTERS:
        return None
    return Switch(
        new_mode=new_mode.strip(),
        analysis=analysis.strip()[:MAX_ANALYSIS_CHARACTERS] if isinstance(analysis, str) else "",
    )
