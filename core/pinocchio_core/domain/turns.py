"""A chat turn as plain values: what a middleware gets, passes on and returns."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self


class BlockKind(StrEnum):
    """What a block of a turn is."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of a turn; `tool`, `call_id` and `arguments` are for tool calls and their results."""

    kind: BlockKind
    text: str = ""
    tool: str = ""
    call_id: str = ""
    arguments: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something a middleware wants the client to hear of, for example a change of mode."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolDefinition:
    """A tool that an engine may call.

    `call` takes the arguments, already valid under `arguments_schema` (JSON Schema draft 2020-12), and returns
    text for the model; what it raises is shown to the model as the result.
    """

    name: str
    _: KW_ONLY
    description: str
    arguments_schema: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], str]


Emit = Callable[[Event], None]
"""Tells the client at once; raises `TurnCancelled` where nobody waits for the turn any more."""


def _nobody(_: Event) -> None:
    """Where nobody listens."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The blocks of a conversation so far, and what the engine may use for the next ones."""

    blocks: tuple[Block, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    """The tools offered to the engine; a middleware may add or remove some."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """JSON values kept with the conversation from turn to turn, keyed by plugin."""
    events: tuple[Event, ...] = ()
    """What the client hears of at the end of the turn."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """What engines say that the turn took, such as `input_tokens` and `output_tokens`."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the turn runs for: `conv_id`, `turn_id`, `registry`, `profile`, `profile_version`, `runtime_fingerprint`,
    `middlewares`, the names of those that are active, and `extensions`, the values of the profile's extensions by key
    apart from configs of middlewares."""
    emit: Emit = field(default=_nobody, compare=False, repr=False)
    """For engines: `delta` events with `text` as it comes. An engine that takes long calls it often, with an empty
    `delta` if need be, and so ends soon after a client that has gone."""

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)


Handler = Callable[[Turn], Turn]
"""The rest of the chain: the next middleware, or at its end the engine."""

Middleware = Callable[[Turn, Handler], Turn]
"""What `MiddlewareDefinition.build` returns: takes a turn and the handler to pass it on to."""
