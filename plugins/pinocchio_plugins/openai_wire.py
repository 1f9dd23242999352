"""Turns as requests of the chat completions API, and bodies of its answers as JSON documents."""

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, Final, NoReturn

from pinocchio_core.plugin import Block, BlockKind, EngineFailed, ToolDefinition

DONE: Final = "[DONE]"
MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""Longest event of a stream, and longest answer that is no stream."""
SAID: Final = frozenset({BlockKind.ASSISTANT, BlockKind.TOOL_CALL})
ROLES: Final = {BlockKind.SYSTEM: "system", BlockKind.USER: "user"}
STREAM_FIELDS: Final = frozenset({b"", b"data", b"event", b"id", b"retry"})


def messages(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """The blocks as messages.

    Text and tool calls that follow one another are one message. Results come right after their calls, wherever they
    are among the blocks, a call without one gets an empty one, and a result without a call is left out: providers
    refuse anything else.
    """
    blocks = tuple(blocks)
    results: dict[str, deque[str]] = defaultdict(deque)
    for block in blocks:
        if block.kind == BlockKind.TOOL_RESULT:
            results[block.call_id].append(block.text)
    told: list[dict[str, Any]] = []
    for kind, run in groupby(blocks, key=lambda block: BlockKind.ASSISTANT if block.kind in SAID else block.kind):
        if kind == BlockKind.ASSISTANT:
            told += _said(tuple(run), results)
        elif kind in ROLES:
            told += ({"role": ROLES[kind], "content": block.text} for block in run)
    return told


def _said(run: Sequence[Block], results: Mapping[str, deque[str]]) -> Iterator[dict[str, Any]]:
    text = "\n\n".join(block.text for block in run if block.kind == BlockKind.ASSISTANT and block.text)
    calls = [block for block in run if block.kind == BlockKind.TOOL_CALL]
    if not text and not calls:
        return
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.tool, "arguments": json.dumps(dict(call.arguments or {}))},
            }
            for call in calls
        ]
    yield message
    for call in calls:
        waiting = results.get(call.call_id)
        yield {"role": "tool", "tool_call_id": call.call_id, "content": waiting.popleft() if waiting else ""}


def tools(definitions: Iterable[ToolDefinition]) -> list[dict[str, Any]]:
    """The tools as functions that the model may call."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.arguments_schema,
            },
        }
        for tool in definitions
    ]


def documents(chunks: Iterable[bytes]) -> tuple[bool, Iterator[str]]:
    """Whether the body is one JSON document, and the documents in it."""
    rest = iter(chunks)
    for chunk in rest:
        if start := chunk.lstrip():
            body = chain([start], rest)
            return (True, _whole(body)) if start.startswith(b"{") else (False, _events(body))
    raise EngineFailed("the provider closed early: the answer is empty", next_step="try again")


def _whole(chunks: Iterable[bytes]) -> Iterator[str]:
    found = bytearray()
    for chunk in chunks:
        found += chunk
        _bounded(len(found))
    yield found.decode("utf-8", "replace")


def _events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event of a stream; a last one need not have its blank line."""
    data: list[bytes] = []
    size = 0
    for line in chain(_lines(chunks), [b""]):
        name, _, value = line.partition(b":")
        if name not in STREAM_FIELDS:
            garbage("it is no stream of events")
        if name == b"data":
            data.append(value.removeprefix(b" "))
            size += len(value)
            _bounded(size)
        elif not line and data:
            yield b"\n".join(data).decode("utf-8", "replace").strip()
            data, size = [], 0


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for chunk in chunks:
        pending += chunk
        if b"\n" in chunk:
            *lines, rest = bytes(pending).split(b"\n")
            pending = bytearray(rest)
            yield from (line.removesuffix(b"\r") for line in lines)
        _bounded(len(pending))
    if pending:
        yield bytes(pending).removesuffix(b"\r")


def _bounded(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise EngineFailed(f"the provider sent more than {MAX_EVENT_BYTES} bytes in one piece")


def garbage(reason: str) -> NoReturn:
    """Raise what says that this is no answer."""
    raise EngineFailed(
        f"what the provider sent is no answer of the chat completions API: {reason}",
        next_step="check that the base URL is that of an OpenAI-compatible API; it often ends in /v1",
    )
