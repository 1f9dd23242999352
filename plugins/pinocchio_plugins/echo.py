"""The engine `echo`: answers from the turn alone, without a network, always the same; the default.

For trying profiles out and for tests: settings in the section `echo` make it call tools, fail or take its time.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pinocchio_core.plugin import (
    Block,
    BlockKind,
    EngineDefinition,
    EngineFailed,
    EngineOptions,
    Event,
    Handler,
    Turn,
    hookimpl,
)

NAME: Final = "echo"
MAX_PIECES: Final = 10_000
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        NAME: {
            "type": "object",
            "properties": {
                "say": {"type": "string", "description": "The answer, instead of one that shows the turn."},
                "tool-calls": {
                    "type": "array",
                    "maxItems": 20,
                    "description": "Tools to call before the answer.",
                    "items": {
                        "type": "object",
                        "required": ["tool"],
                        "properties": {"tool": {"type": "string"}, "arguments": {"type": "object"}},
                        "additionalProperties": False,
                    },
                },
                "fail": {"type": "string", "description": "Fail with this text."},
                "fail-status": {"type": "integer", "minimum": 400, "maximum": 599},
                "fail-after": {"type": "integer", "minimum": 0, "description": "Fail after so many pieces."},
                "pause-ms": {"type": "integer", "minimum": 0, "maximum": 60_000, "description": "Before each piece."},
                "repeat": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "Say it so many times."},
            },
            "additionalProperties": False,
        }
    },
}


@hookimpl
def pinocchio_engines() -> Iterator[EngineDefinition]:
    """The one definition of this plugin."""
    yield EngineDefinition(
        NAME,
        build=build,
        settings_schema=SCHEMA,
        display_name="Echo",
        description="Answers from the turn alone; needs no network.",
        offline=True,
    )


def build(settings: Mapping[str, Any], options: EngineOptions) -> Handler:
    """The engine for these settings; it needs nothing of the operator."""
    del options
    script = settings.get(NAME, {})

    def echo(turn: Turn) -> Turn:
        calls = _calls(turn, script.get("tool-calls", ()))
        if calls:
            return turn.replace(blocks=(*turn.blocks, *calls))
        text = script.get("say") or _shown(turn)
        pieces = _pieces(text)[:MAX_PIECES] * script.get("repeat", 1)
        _say(turn, pieces, script)
        answer = Block(kind=BlockKind.ASSISTANT, text="".join(pieces))
        said = {"input_tokens": sum(len(_pieces(block.text)) for block in turn.blocks), "output_tokens": len(pieces)}
        usage = {name: turn.usage.get(name, 0) + count for name, count in said.items()}
        return turn.replace(blocks=(*turn.blocks, answer), usage=usage)

    return echo


def _say(turn: Turn, pieces: list[str], script: Mapping[str, Any]) -> None:
    pause = threading.Event()
    for number, piece in enumerate(pieces):
        if "fail" in script and number >= script.get("fail-after", 0):
            raise EngineFailed(script["fail"], status=script.get("fail-status"))
        if script.get("pause-ms"):
            pause.wait(script["pause-ms"] / 1000)
        turn.emit(Event(type="delta", data={"text": piece}))


def _calls(turn: Turn, wanted: Any) -> list[Block]:
    """The calls that the script wants, unless this turn has them already; nothing where no tools are on offer."""
    since = max((i for i, block in enumerate(turn.blocks) if block.kind is BlockKind.USER), default=0)
    if not turn.tools or any(block.kind is BlockKind.TOOL_CALL for block in turn.blocks[since:]):
        return []
    return [
        Block(
            kind=BlockKind.TOOL_CALL, tool=each["tool"], call_id=f"call-{number}", arguments=each.get("arguments", {})
        )
        for number, each in enumerate(wanted)
    ]


def _shown(turn: Turn) -> str:
    """What the turn has: the last message, the prompt, the middlewares, the tools and their results."""
    last = next((block.text for block in reversed(turn.blocks) if block.kind is BlockKind.USER), "")
    systems = [block.text for block in turn.blocks if block.kind is BlockKind.SYSTEM]
    results = [block.text for block in turn.blocks if block.kind is BlockKind.TOOL_RESULT]
    lines = [f"echo: {last}"]
    lines += [f"prompt: {text}" for text in systems]
    lines += [f"middlewares: {', '.join(turn.about.get('middlewares', ()))}"] if turn.about.get("middlewares") else []
    lines += [f"tools: {', '.join(tool.name for tool in turn.tools)}"] if turn.tools else []
    lines += [f"result: {json.dumps(text, ensure_ascii=False)}" for text in results]
    return "\n".join(lines)


def _pieces(text: str) -> list[str]:
    """The text in words, each with the blank after it."""
    pieces = text.split(" ")
    return [f"{piece} " for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
