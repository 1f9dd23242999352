"""Modes, and where they come from."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Protocol

KEY: Final = "agentmode.modes@v1"
"""The extension of a profile that has modes of its own."""
MODES_SCHEMA: Final[dict[str, Any]] = {
    "title": "Agent Modes",
    "description": "Modes of this profile, in the place of all others.",
    "type": "object",
    "properties": {
        "modes": {
            "type": "object",
            "maxProperties": 100,
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "prompt": {"type": "string"},
                    "allowed_tools": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["prompt"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["modes"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Mode:
    """A way of working that a conversation is in."""

    name: str
    _: KW_ONLY
    prompt: str
    allowed_tools: tuple[str, ...] | None = None
    """Names of the tools that stay on offer; `None` leaves every tool, empty none."""


class ModeSource(Protocol):
    """Looks modes up; called for each turn, from several threads."""

    def get(self, name: str) -> Mode | None:
        """The mode of that name, `None` where there is none."""

    def names(self) -> tuple[str, ...]:
        """The names of all modes, sorted."""


class StaticModes:
    """A fixed list of modes."""

    def __init__(self, modes: Iterable[Mode]) -> None:
        self._modes = {mode.name: mode for mode in modes}

    def get(self, name: str) -> Mode | None:
        """The mode of that name, `None` where there is none."""
        return self._modes.get(name)

    def names(self) -> tuple[str, ...]:
        """The names of all modes, sorted."""
        return tuple(sorted(self._modes))


def modes_of(extensions: Mapping[str, Any], other: ModeSource) -> ModeSource:
    """The modes that a profile has in its extensions, else those of the other source."""
    value = extensions.get(KEY)
    if value is None:
        return other
    return StaticModes(
        Mode(name, prompt=mode["prompt"], allowed_tools=_tools(mode)) for name, mode in value["modes"].items()
    )


def _tools(mode: Mapping[str, Any]) -> tuple[str, ...] | None:
    tools = mode.get("allowed_tools")
    return None if tools is None else tuple(tools)


SHIPPED_MODES: Final = (
    Mode(
        "financial_analyst",
        prompt=(
            "You work as a financial analyst. Answer from figures: say which data a statement rests on, for which"
            " period and in which currency. Use the tools you have to look figures up and to calculate instead of"
            " estimating. Name assumptions, and say plainly when the data does not answer the question."
        ),
    ),
    Mode(
        "category_regexp_designer",
        prompt=(
            "You design regular expressions that sort transactions into categories. For each category give one"
            " expression, what it is meant to match, three examples that it matches and two that look alike and that"
            " it must not match. Prefer anchors and word boundaries to broad wildcards, and point out overlaps"
            " between categories."
        ),
        allowed_tools=("sql_query",),
    ),
    Mode(
        "category_regexp_reviewer",
        prompt=(
            "You review regular expressions that sort transactions into categories. Look for matches that are wrong,"
            " matches that are missed, overlaps between categories, and expressions that are slow on long input."
            " Show each finding with a text that demonstrates it and the smallest change that repairs it. Do not"
            " design new categories."
        ),
        allowed_tools=("sql_query",),
    ),
)
