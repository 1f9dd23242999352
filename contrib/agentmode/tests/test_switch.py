"""Reading a wish for another mode out of a model's text."""

import logging

import pytest

from pinocchio_agentmode.switch import (
    MAX_ANALYSIS_CHARACTERS,
    MAX_NAME_CHARACTERS,
    Switch,
    last_switch,
)
from pinocchio_agentmode.yaml_block import MAX_BLOCK_BYTES


def block(content: str, *, info: str = "yaml") -> str:
    return f"Some words.\n```{info}\n{content}\n```\nMore words."


def wish(name: str) -> str:
    return block(f"mode_switch:\n  analysis: because\n  new_mode: {name}")


@pytest.mark.parametrize("info", ["yaml", "yml", "YAML", " yaml "])
def test_block_is_read(info: str) -> None:
    text = block("mode_switch:\n  analysis: |\n    two\n    lines\n  new_mode: ' writer '", info=info)
    assert last_switch(text) == Switch(new_mode="writer", analysis="two\nlines")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_of_both_kinds_are_read(newline: str) -> None:
    assert last_switch(wish("writer").replace("\n", newline)) == Switch(new_mode="writer", analysis="because")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mode_switch: {new_mode: writer}",
        "```yaml\nmode_switch: {new_mode: writer}",
        block("mode_switch: {new_mode: writer}", info=""),
        block("mode_switch: {new_mode: writer}", info="python"),
        block("mode_switch: {new_mode: ''}"),
        block("mode_switch: {new_mode: '  '}"),
        block("mode_switch: {new_mode: 7}"),
        block("mode_switch: {new_mode: [writer]}"),
        block("mode_switch: {new_mode: null}"),
        block(f"mode_switch: {{new_mode: {'x' * (MAX_NAME_CHARACTERS + 1)}}}"),
        block("mode_switch: {analysis: why}"),
        block("mode_switch: writer"),
        block("mode_switch:"),
        block("- mode_switch"),
        block("other: {mode_switch: {new_mode: writer}}"),
        "````markdown\n```yaml\nmode_switch: {new_mode: writer}\n```\n````",
    ],
)
def test_anything_else_is_no_wish(text: str) -> None:
    assert last_switch(text) is None


def test_last_well_formed_block_wins() -> None:
    assert last_switch(wish("one") + "\n" + wish("two") + "\n" + wish("''")) == Switch(
        new_mode="two", analysis="because"
    )


@pytest.mark.parametrize("analysis", ["7", "[a]", "null"])
def test_analysis_that_is_not_text_is_left_out(analysis: str) -> None:
    assert last_switch(block(f"mode_switch: {{new_mode: writer, analysis: {analysis}}}")) == Switch(new_mode="writer")


def test_analysis_is_kept_to_its_bound() -> None:
    switch = last_switch(block(f"mode_switch: {{new_mode: writer, analysis: {'y' * 5000}}}"))
    assert switch == Switch(new_mode="writer", analysis="y" * MAX_ANALYSIS_CHARACTERS)


def lists_of_lists() -> str:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    return "\n".join(["a0: &a0 [x]", *levels, "mode_switch: {new_mode: writer, analysis: *a29}"])


def merged_maps() -> str:
    levels = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    return "\n".join(["a0: &a0 {x: y}", *levels, "mode_switch: {new_mode: writer}"])


@pytest.mark.parametrize(
    "content",
    [
        lists_of_lists(),
        merged_maps(),
        "mode_switch: &a {new_mode: writer, analysis: *a}",
        "mode_switch: {new_mode: !!python/object/apply:os.getcwd []}",
        "mode_switch: {new_mode: writer, analysis: !!int ''}",
        "mode_switch: {new_mode: writer, analysis: !!timestamp x}",
        "mode_switch: {new_mode: writer, analysis: !!bool x}",
        "mode_switch: {new_mode: writer, analysis: 2001-99-99}",
        "mode_switch: {new_mode: writer, analysis: " + "9" * 5000 + "}",
        "mode_switch: {[a]: b, {c: d}: e}",
        "mode_switch: " + "[" * 10_000,
        "mode_switch: " + "{a: " * 2000,
        "mode_switch: {new_mode: writer",
        "mode_switch: {new_mode: writer}\n---\nmode_switch: {new_mode: writer}",
        "mode_switch: {new_mode: writer}\n# " + "\x00",
        "mode_switch: {new_mode: writer}\n# " + "\ud800",
        "mode_switch: {new_mode: writer}\n# " + "x" * MAX_BLOCK_BYTES,
    ],
)
def test_hostile_yaml_is_ignored_with_a_line_in_the_log(content: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pinocchio_agentmode"):
        assert last_switch(wish("earlier") + "\n" + block(content)) == Switch(new_mode="earlier", analysis="because")
    assert "was ignored" in caplog.text
    assert "writer" not in caplog.text


def test_only_so_many_blocks_are_looked_at() -> None:
    assert last_switch(wish("writer") + "\n" + "\n".join([wish("''")] * 15)) is not None
    assert last_switch(wish("writer") + "\n" + "\n".join([wish("''")] * 16)) is None
