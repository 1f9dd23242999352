"""Two documents as a unified diff for people: JSON line by line, with long texts as the lines that they have."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pinocchio_core.domain.slugs import printable

MAX_COMPARED: Final = 2000
"""Lines on each side that are compared; where more differ they are all shown as removed and added."""
_INDENT = "  "


def lines_of(value: Any, *, key: str | None = None, depth: int = 0) -> Iterator[str]:
    """A JSON value as lines; a text of several lines is shown as these, after `|`.

    There are no commas, so that what comes after a value does not change its last line.
    """
    margin, name = _INDENT * depth, "" if key is None else f"{_text(key)}: "
    if isinstance(value, dict) and value:
        yield f"{margin}{name}{{"
        for each, item in value.items():
            yield from lines_of(item, key=each, depth=depth + 1)
        yield f"{margin}}}"
    elif isinstance(value, list) and value:
        yield f"{margin}{name}["
        for item in value:
            yield from lines_of(item, depth=depth + 1)
        yield f"{margin}]"
    elif isinstance(value, str) and "\n" in value:
        yield f"{margin}{name}|"
        yield from (f"{margin}{_INDENT}{printable(line)}" for line in value.split("\n"))
    else:
        yield f"{margin}{name}{_text(value)}"


def unified_diff(before: Any, after: Any, *, names: tuple[str, str]) -> str:
    """What is different, as `diff -u` shows it; empty where nothing is. `names` says what is compared."""
    old, new = list(lines_of(before)), list(lines_of(after))
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old[-1 - i] != new[-1 - i]), shorter - head)
    if max(len(old), len(new)) - head - tail > MAX_COMPARED:
        changed = [f"-{line}" for line in old[head : len(old) - tail]]
        changed += [f"+{line}" for line in new[head : len(new) - tail]]
        return "\n".join([f"--- {names[0]}", f"+++ {names[1]}", *changed])
    import difflib  # few processes show a difference

    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def _text(value: Any) -> str:
    return printable(msgspec.json.encode(value).decode())
