"""Strict reading of YAML: YAML 1.2's core schema as JSON text, and the line of each value.

libyaml finds the structure, which is the slow part; what scalars mean is decided here, because its bindings follow
YAML 1.1, where `no` is a boolean and `2026-01-01` a date. There is nothing here that could grow: no anchors, so no
aliases, no tags, no merge keys that do anything, no keys that are not strings.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml
from yaml import events

from pinocchio_core.domain import limits, paths
from pinocchio_core.domain.slugs import shown
from pinocchio_core.files.scalars import encode_text, json_of_plain

_DEPTH = limits.MAX_DEPTH + 3
"""A profile may be as deep as in a request, and is inside `profiles` and the file."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Flaw(Exception):
    """What is wrong with a text, and where in it."""

    def __init__(self, line: int | None, path: str, reason: str) -> None:
        self.line, self.path, self.reason = line, path, reason
        super().__init__(reason)


def json_of_yaml(text: str) -> bytes:
    """The one document of a YAML text, as JSON text.

    Raises:
        Flaw: it is not YAML, or holds what is not allowed.
    """
    return _Reader(text).document().encode()


def lines_of(text: str) -> dict[str, int]:
    """The line of each value by its path, as far as the text can be read."""
    lines: dict[str, int] = {}
    with suppress(Flaw):
        _Reader(text, lines).document()
    return lines


class _Reader:
    def __init__(self, text: str, lines: dict[str, int] | None = None) -> None:
        self._events = _events_of(text)
        self._lines = lines
        self._at: list[str | int] = []

    def document(self) -> str:
        found = ""
        documents = 0
        for event in self._events:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                self._refuse(event, "a second document begins here; write one in a file", when=documents > 1)
                self._refuse(event, "directives are not allowed", when=bool(event.tags or event.version))
                found = self._value(next(self._events))
        if not documents:
            raise Flaw(None, "", "is empty")
        return found

    def _value(self, event: Any) -> str:
        self._refuse_more_than_values(event)
        self._note(event)
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event)
        if len(self._at) >= _DEPTH:
            raise Flaw(
                event.start_mark.line + 1, f"{paths.of(self._at[:4])}…", f"is nested more than {limits.MAX_DEPTH} deep"
            )
        return self._mapping() if isinstance(event, events.MappingStartEvent) else self._sequence()

    def _scalar(self, event: Any) -> str:
        if not event.implicit[0]:
            return encode_text(event.value)
        try:
            return json_of_plain(event.value)
        except ValueError as error:
            raise self._flaw(event, str(error)) from None

    def _mapping(self) -> str:
        items: dict[str, str] = {}
        for event in self._events:
            if isinstance(event, events.MappingEndEvent):
                break
            key = self._key(event)
            self._at.append(key)
            self._refuse(event, "the key is there more than once", when=key in items)
            self._note(event)
            items[key] = self._value(next(self._events))
            self._at.pop()
        return "{" + ",".join(f"{encode_text(key)}:{value}" for key, value in items.items()) + "}"

    def _key(self, event: Any) -> str:
        self._refuse_more_than_values(event)
        self._refuse(event, "a key must be a text", when=not isinstance(event, events.ScalarEvent))
        key = str(event.value)
        self._refuse(
            event, "the merge key << is not allowed; write the values out", when=key == "<<" and not event.style
        )
        return key

    def _sequence(self) -> str:
        items: list[str] = []
        for event in self._events:
            if isinstance(event, events.SequenceEndEvent):
                break
            self._at.append(len(items))
            items.append(self._value(event))
            self._at.pop()
        return "[" + ",".join(items) + "]"

    def _refuse_more_than_values(self, event: Any) -> None:
        """What makes a text larger than it is, and what makes values of other kinds."""
        self._refuse(event, "aliases are not allowed; write the value out", when=isinstance(event, events.AliasEvent))
        self._refuse(event, "anchors are not allowed; write the value out", when=event.anchor is not None)
        if event.tag is not None:
            raise self._flaw(event, f"the tag {shown(event.tag)} is not allowed")

    def _note(self, event: Any) -> None:
        if self._lines is not None:
            self._lines.setdefault(paths.of(self._at), event.start_mark.line + 1)

    def _refuse(self, event: Any, reason: str, *, when: bool) -> None:
        if when:
            raise self._flaw(event, reason)

    def _flaw(self, event: Any, reason: str) -> Flaw:
        return Flaw(event.start_mark.line + 1, paths.of(self._at), reason)


def _events_of(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Flaw(mark.line + 1 if mark else None, "", f"is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", None) or "unreadable"
        raise Flaw(None, "", f"is not YAML: {reason}") from None
