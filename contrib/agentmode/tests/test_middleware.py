"""A turn on its way through the middleware and back."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from pinocchio_agentmode.middleware import AgentMode
from pinocchio_agentmode.modes import Mode, StaticModes
from pinocchio_core.plugin import Block, BlockKind, Event, Handler, ToolDefinition, Turn

MODES = StaticModes(
    [
        Mode("writer", prompt="You write."),
        Mode("auditor", prompt="You check.", allowed_tools=("sql_query", "clock")),
        Mode("mute", prompt="You think.", allowed_tools=()),
    ]
)
TOOLS = tuple(
    ToolDefinition(name, description="", arguments_schema={}, call=lambda _arguments: "")
    for name in ("calculator", "clock")
)
USER = Block(kind=BlockKind.USER, text="hi")


def wish(name: str, analysis: str = "because") -> str:
    return f"Done.\n```yaml\nmode_switch:\n  analysis: {analysis}\n  new_mode: {name}\n```"


def assistant(text: str) -> Block:
    return Block(kind=BlockKind.ASSISTANT, text=text)


def engine(*added: Block) -> Handler:
    return lambda turn: turn.replace(blocks=(*turn.blocks, *added))


def run(turn: Turn, *added: Block, default_mode: str = "writer") -> Turn:
    return AgentMode(default_mode, modes=MODES)(turn, engine(*added))


def in_mode(name: str, *blocks: Block) -> Turn:
    return Turn(blocks=blocks or (USER,), tools=TOOLS, state={"agentmode": {"mode": name}, "other": {"x": 1}})


def inserted(turn: Turn) -> list[Block]:
    return [block for block in turn.blocks if "agentmode" in block.metadata]


def test_prompt_and_instructions_go_in_before_the_last_block() -> None:
    system = Block(kind=BlockKind.SYSTEM, text="Be brief.")
    result = run(Turn(blocks=(system, USER)))
    assert [block.kind for block in result.blocks] == [BlockKind.SYSTEM, BlockKind.USER, BlockKind.USER]
    assert (result.blocks[0], result.blocks[2]) == (system, USER)
    text = result.blocks[1].text
    assert "You write." in text
    assert "auditor, mute, writer" in text
    assert "```yaml\nmode_switch:" in text


def test_turn_without_blocks_gets_the_one() -> None:
    assert run(Turn()).blocks == tuple(inserted(run(Turn())))


def test_block_of_an_earlier_turn_is_taken_out() -> None:
    first = run(Turn(blocks=(USER,)), assistant("hello"))
    again = run(first.replace(blocks=(*first.blocks, Block(kind=BlockKind.USER, text="more"))))
    assert [block.text for block in again.blocks if block not in inserted(again)] == ["hi", "hello", "more"]
    assert again.blocks.index(inserted(again)[0]) == len(again.blocks) - 2
    assert len(inserted(again)) == 1


@pytest.mark.parametrize(
    ("mode", "offered"),
    [("writer", ["calculator", "clock"]), ("auditor", ["clock"]), ("mute", []), ("nobody", ["calculator", "clock"])],
)
def test_mode_narrows_the_tools(mode: str, offered: list[str]) -> None:
    assert [tool.name for tool in run(in_mode(mode)).tools] == offered


@pytest.mark.parametrize("state", [{}, {"agentmode": None}, {"agentmode": {}}, {"agentmode": {"mode": ""}}])
def test_default_mode_is_used_where_the_state_has_none(state: dict[str, object]) -> None:
    (block,) = inserted(run(Turn(blocks=(USER,), state=state), default_mode="auditor"))
    assert "You check." in block.text


def test_mode_of_the_state_beats_the_default() -> None:
    (block,) = inserted(run(in_mode("auditor")))
    assert "You check." in block.text
    assert "You write." not in block.text


def test_answer_switches_the_mode() -> None:
    result = run(in_mode("writer").replace(events=(Event(type="start"),)), assistant(wish("auditor", "figures matter")))
    assert result.state == {
        "agentmode": {"mode": "auditor", "previous_mode": "writer", "analysis": "figures matter"},
        "other": {"x": 1},
    }
    assert result.events == (
        Event(type="start"),
        Event(type="mode", data={"from": "writer", "to": "auditor", "analysis": "figures matter"}),
    )
    assert result.blocks[-1].text == wish("auditor", "figures matter")


def test_next_turn_runs_in_the_new_mode() -> None:
    result = run(run(in_mode("writer"), assistant(wish("auditor"))).replace(blocks=(USER,)))
    (block,) = inserted(result)
    assert "You check." in block.text
    assert result.state["agentmode"]["mode"] == "auditor"


@pytest.mark.parametrize(
    "added",
    [
        (),
        (assistant("nothing to switch"),),
        (assistant(wish("writer")),),
        (assistant(wish("auditor")), assistant(wish("writer"))),
        (Block(kind=BlockKind.TOOL_RESULT, text=wish("auditor")),),
        (Block(kind=BlockKind.USER, text=wish("auditor")),),
    ],
)
def test_other_answers_change_nothing(added: tuple[Block, ...]) -> None:
    result = run(in_mode("writer"), *added)
    assert result.state == in_mode("writer").state
    assert result.events == ()


def test_last_of_several_blocks_wins() -> None:
    call = Block(kind=BlockKind.TOOL_CALL, tool="clock")
    result = run(in_mode("writer"), assistant(wish("auditor")), call, assistant(wish("mute")), assistant("so be it"))
    assert [event.data["to"] for event in result.events] == ["mute"]


def rewritten(turn: Turn) -> Turn:
    return turn.replace(blocks=tuple(replace(block) for block in turn.blocks))


def trimmed(turn: Turn) -> Turn:
    return turn.replace(blocks=turn.blocks[-1:])


@pytest.mark.parametrize("inner", [lambda turn: turn, rewritten, trimmed])
def test_only_new_text_is_read_whatever_happens_to_older_blocks(inner: Callable[[Turn], Turn]) -> None:
    turn = in_mode("writer", USER, assistant(wish("auditor")), Block(kind=BlockKind.USER, text="go on"))
    middleware = AgentMode("writer", modes=MODES)
    assert middleware(turn, lambda passed: engine(assistant("ok"))(inner(passed))).events == ()
    (event,) = middleware(turn, lambda passed: engine(assistant(wish("mute")))(inner(passed))).events
    assert event.data["to"] == "mute"


def test_text_that_the_turn_already_ended_with_is_not_new() -> None:
    turn = in_mode("writer", USER, assistant(wish("auditor")))
    assert run(turn, assistant("ok")).events == ()


def test_two_uses_in_one_chain_switch_once() -> None:
    middleware = AgentMode("writer", modes=MODES)
    result = middleware(in_mode("writer"), lambda turn: middleware(turn, engine(assistant(wish("auditor")))))
    assert len(result.events) == 1
    assert result.state["agentmode"]["previous_mode"] == "writer"
    assert len(inserted(result)) == 1


def test_unknown_mode_is_warned_of_once_and_leaves_the_turn_free(caplog: pytest.LogCaptureFixture) -> None:
    middleware = AgentMode("nobody", modes=MODES)
    with caplog.at_level(logging.DEBUG, "pinocchio_agentmode"):
        results = [middleware(Turn(blocks=(USER,), tools=TOOLS), engine()) for _ in range(3)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]
    assert "'nobody'" in caplog.text
    assert all(result.tools == TOOLS for result in results)
    (block,) = inserted(results[0])
    assert "You are in the mode" not in block.text
    assert "auditor, mute, writer" in block.text


def test_log_never_holds_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    long = "line\nbreak" + "z" * 100
    with caplog.at_level(logging.DEBUG):
        run(in_mode(long, Block(kind=BlockKind.USER, text="my secret")), assistant(wish("auditor", "their secret")))
    assert "secret" not in caplog.text
    assert "z" * 80 not in caplog.text
    assert "line\\nbreak" in caplog.text
