"""Paths of values inside documents, as messages write them: `runtime.middlewares[0].config`."""

import re
from collections.abc import Iterable

from pinocchio_core.domain.slugs import shown

_LONGEST_PLAIN = 80
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def join(base: str, *steps: str | int) -> str:
    """`base` extended by object keys and array positions; keys that are no plain names are quoted."""
    path = base
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif len(step) <= _LONGEST_PLAIN and _PLAIN.fullmatch(step):
            path += f".{step}" if path else step
        else:
            path += f"[{shown(step)}]"
    return path


def of(steps: Iterable[str | int]) -> str:
    """The path of these steps from the root of a document."""
    return join("", *steps)


def pointer(steps: Iterable[str]) -> str:
    """The JSON Pointer of these keys (RFC 6901)."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
