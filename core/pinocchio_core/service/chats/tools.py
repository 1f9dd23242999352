"""The tools that a model calls: an engine is asked again with their results until it calls none."""

import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from pinocchio_core.domain.turns import Block, BlockKind, Event, Handler, ToolDefinition, Turn
from pinocchio_core.errors import EngineFailed
from pinocchio_core.host.loader import reason_of
from pinocchio_core.host.schemas import CompiledSchema

MAX_ROUNDS: Final = 5
"""How often an engine may call tools in one turn; after that it is asked to answer without."""
TOOL_TIMEOUT_S: Final = 60.0
MAX_RESULT_CHARACTERS: Final = 64 * 1024
MAX_CALLS: Final = 20
"""Calls in one round."""
_LOOK_S: Final = 0.5
"""How often to look whether the client is still there while a tool runs."""


def with_tools(engine: Handler) -> Handler:
    """The engine, with the calls of tools that it asks for made."""

    def handle(turn: Turn) -> Turn:
        for _ in range(MAX_ROUNDS):
            answered = engine(turn)
            calls = list(open_calls(answered.blocks[len(turn.blocks) :]))
            if not calls:
                return answered
            turn = answered.replace(blocks=(*answered.blocks, *_results(answered, calls)))
        answered = engine(turn.replace(tools=()))
        if any(open_calls(answered.blocks[len(turn.blocks) :])):
            raise EngineFailed(f"the model called tools more than {MAX_ROUNDS} times in one turn")
        return answered

    return handle


def open_calls(blocks: Sequence[Block]) -> Iterator[Block]:
    """The calls that have no result yet."""
    done = {block.call_id for block in blocks if block.kind is BlockKind.TOOL_RESULT}
    return (block for block in blocks if block.kind is BlockKind.TOOL_CALL and block.call_id not in done)


def _results(turn: Turn, calls: Sequence[Block]) -> Iterator[Block]:
    tools = {tool.name: tool for tool in turn.tools}
    for number, call in enumerate(calls):
        shown = {"tool": call.tool, "call_id": call.call_id, "arguments": call.arguments}
        turn.emit(Event(type="tool_call", data=shown))
        text = _answer(turn, tools, call) if number < MAX_CALLS else f"not called: at most {MAX_CALLS} calls at once"
        if len(text) > MAX_RESULT_CHARACTERS:
            text = f"{text[:MAX_RESULT_CHARACTERS]}\n(cut: the whole has {len(text)} characters)"
        turn.emit(Event(type="tool_result", data={"tool": call.tool, "call_id": call.call_id, "text": text}))
        yield Block(kind=BlockKind.TOOL_RESULT, tool=call.tool, call_id=call.call_id, text=text)


def _answer(turn: Turn, tools: dict[str, ToolDefinition], call: Block) -> str:
    """The result of a call as text for the model, whatever happens."""
    tool = tools.get(call.tool)
    if tool is None:
        return f"there is no tool {call.tool!r}; there are: {', '.join(sorted(tools)) or 'none'}"
    if "invalid_arguments" in call.metadata:
        return "the arguments are no JSON object; call it again with one that fits its schema"
    problems = _compiled(msgspec.json.encode(tool.arguments_schema)).problems(dict(call.arguments or {}))
    if problems:
        return "the arguments do not fit the schema: " + "; ".join(str(problem) for problem in problems[:5])
    return _called(turn, tool, dict(call.arguments or {}))


def _called(turn: Turn, tool: ToolDefinition, arguments: dict[str, Any]) -> str:
    """Call it in a thread of its own: one that hangs holds up this turn for a while and nothing else."""
    outcome: list[str] = []

    def call() -> None:
        try:
            outcome.append(str(tool.call(arguments)))
        except BaseException as error:  # noqa: BLE001  a plugin may raise anything, and signals come elsewhere
            outcome.append(f"the tool failed: {reason_of(error)}")

    thread = threading.Thread(target=call, name=f"tool {tool.name}", daemon=True)
    thread.start()
    for _ in range(int(TOOL_TIMEOUT_S / _LOOK_S)):
        thread.join(_LOOK_S)
        if not thread.is_alive():
            return outcome[0]
        turn.emit(Event(type="delta", data={"text": ""}))
    return f"the tool did not answer within {TOOL_TIMEOUT_S:.0f} s"


@lru_cache(maxsize=256)
def _compiled(schema: bytes) -> CompiledSchema:
    return CompiledSchema(msgspec.json.decode(schema))
