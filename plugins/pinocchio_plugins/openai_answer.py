"""What a provider answers, as blocks.

Read with some tolerance, because many servers call themselves compatible: a whole JSON document instead of a stream,
calls without an id or an index, arguments that are an object and no text, an end without `[DONE]`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pinocchio_core.plugin import Block, BlockKind, EngineFailed
from pinocchio_plugins.openai_watch import Watch
from pinocchio_plugins.openai_wire import DONE, documents, garbage

MAX_CALLS: Final = 128
MAX_NAME: Final = 200
"""Longest name of a model and reason to finish that is kept."""
MAX_TOKENS: Final = 2**53
UNEXPLAINED: Final = "it did not say why"
FINISHED_PATIENCE_S: Final = 5.0
"""How long to wait for the usage after the last text."""
DONE_PATIENCE_S: Final = 0.25
"""How long to wait for the end of the body after `[DONE]`, so that the connection can be used again."""

_T = TypeVar("_T")


@dataclass
class _Call:
    id: str = ""
    tool: str = ""
    arguments: list[str] = field(default_factory=list)


class Answer:
    """What has come of an answer so far."""

    def __init__(self, watch: Watch, *, clean: Callable[[str], str] = str) -> None:
        """`clean` makes a provider's message fit to be shown."""
        self.finished = False
        """Whether the answer is whole; what may follow is the usage."""
        self.finish_reason = ""
        self._watch = watch
        self._shown = clean
        self._model = ""
        self._texts: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._usage: Mapping[str, Any] = {}
        self._chosen = False

    def read(self, chunks: Iterable[bytes]) -> None:
        """Take the body of an answer in, and emit its text as it comes.

        Raises:
            EngineFailed: it is no answer, not a whole one, an error of the provider, or too long.
            TurnCancelled: nobody waits for it any more.
        """
        whole, found = documents(chunks)
        for document in found:
            if document == DONE:
                self.finished = True
                self._watch.patience_s = min(self._watch.patience_s, DONE_PATIENCE_S)
            else:
                self._take(document)
        self.finished = self.finished or whole
        if not self.finished:
            raise EngineFailed("the provider closed early: the answer has no end", next_step="try again")
        if not self._chosen:
            garbage("it has no choices")

    def blocks(self, *, model: str, turn_blocks: int) -> Iterator[Block]:
        """The answer as blocks; `model` is the one that was asked for.

        Arguments that are no JSON object become `{}`, and metadata has their text as `invalid_arguments`, so that who
        runs the tool can tell the model.
        """
        metadata = {"model": self._model or model}
        if self.finish_reason:
            metadata["finish_reason"] = self.finish_reason
        if text := "".join(self._texts):
            yield Block(kind=BlockKind.ASSISTANT, text=text, metadata=metadata)
        for index, call in sorted(self._calls.items()):
            written = "".join(call.arguments)
            arguments = _arguments(written)
            yield Block(
                kind=BlockKind.TOOL_CALL,
                tool=call.tool,
                call_id=call.id or f"call_{turn_blocks}_{index}",
                arguments=arguments or {},
                metadata={} if arguments is not None else {"invalid_arguments": written},
            )

    def usage(self, before: Mapping[str, int]) -> dict[str, int]:
        """The usage so far with that of this answer added."""
        after = dict(before)
        for name, theirs in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
            count = self._usage.get(theirs)
            if type(count) is int and 0 <= count <= MAX_TOKENS:
                after[name] = after.get(name, 0) + count
        return after

    def _take(self, document: str) -> None:
        try:
            found = json.loads(document)
        except (ValueError, RecursionError):
            garbage("it is not JSON")
        if not isinstance(found, dict):
            garbage("it is not a JSON object")
        if found.get("error"):
            reason = self._shown(message_of(found))
            raise EngineFailed(f"the provider failed while it answered: {reason}", status=_status(found))
        self._model = self._model or _clean(_a(str, found.get("model")))[:MAX_NAME]
        self._usage = _a(dict, found.get("usage")) or self._usage
        for choice in _a(list, found.get("choices")):
            if isinstance(choice, dict) and not choice.get("index"):
                self._chosen = True
                self._take_choice(choice)

    def _take_choice(self, choice: Mapping[str, Any]) -> None:
        delta = _a(dict, choice.get("delta")) or _a(dict, choice.get("message"))
        for text in (_text(delta.get("content")), _text(delta.get("refusal"))):
            if text:
                self._watch.count(text)
                self._texts.append(text)
                self._watch.tell(text)
        for call in _a(list, delta.get("tool_calls")):
            self._take_call(_a(dict, call))
        if reason := _clean(_a(str, choice.get("finish_reason"))):
            self.finish_reason = reason[:MAX_NAME]
            self.finished = True
            self._watch.patience_s = min(self._watch.patience_s, FINISHED_PATIENCE_S)

    def _take_call(self, part: Mapping[str, Any]) -> None:
        function = _a(dict, part.get("function"))
        given, arguments = _clean(_a(str, part.get("id"))), function.get("arguments")
        name = _clean(_a(str, function.get("name")))
        index = part.get("index")
        if type(index) is not int:
            # One call after another; what has neither id nor name is more of the last one.
            index = len(self._calls) if given or name or not self._calls else max(self._calls)
        call = self._calls.setdefault(index, _Call())
        if len(self._calls) > MAX_CALLS:
            raise EngineFailed(f"the model calls more than {MAX_CALLS} tools at once")
        more = json.dumps(arguments) if isinstance(arguments, dict) else _clean(_a(str, arguments))
        self._watch.count(given + name + more)
        call.id, call.tool = call.id or given, call.tool or name
        call.arguments.append(more)


def message_of(document: Any) -> str:
    """What a provider says of its error: `{"error": {"message": …}}`, or one of the many shapes like it."""
    for _ in range(3):
        inner = next(
            (found for name in ("error", "message", "detail") if (found := _a(dict, document).get(name))), None
        )
        if isinstance(inner, str):
            return inner
        document = inner
    return UNEXPLAINED


def _status(document: Mapping[str, Any]) -> int | None:
    code = _a(dict, document.get("error")).get("code")
    return code if type(code) is int and 400 <= code <= 599 else None


def _arguments(text: str) -> dict[str, Any] | None:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # fails where it is no JSON, or no Unicode
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(content: Any) -> str:
    if isinstance(content, list):
        content = "".join(_a(str, _a(dict, part).get("text")) for part in content)
    return _clean(_a(str, content))


def _clean(text: str) -> str:
    """The text with halves of surrogate pairs replaced: they could neither be sent on nor stored."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _a(kind: type[_T], value: Any) -> _T:
    """The value if it is of that type, otherwise the type's empty value."""
    return value if isinstance(value, kind) else kind()
