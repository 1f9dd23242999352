"""Turns answered by a provider: asked, asked again where that may help, and refused in words of ours."""

import email.utils
import json
import logging
import math
import random
import time
import weakref
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pinocchio_core.plugin import EngineFailed, Turn
from pinocchio_plugins.openai_answer import UNEXPLAINED, Answer, message_of
from pinocchio_plugins.openai_http import ConnectionBroke, Provider
from pinocchio_plugins.openai_settings import DEFAULT_TIMEOUT_S, SET_THE_KEY, Settings, setting
from pinocchio_plugins.openai_watch import Watch
from pinocchio_plugins.openai_wire import messages, tools

if TYPE_CHECKING:
    from pinocchio_plugins.openai_http import Reply
    from pinocchio_plugins.openai_place import Place

BACKOFF_S = (0.5, 1.0)
"""How long to wait before each further try, about; there are no more tries than these."""
MAX_RETRY_AFTER_S: Final = 10.0
"""Who asks for a longer wait is not asked again."""
LATER_S: Final = 5
"""When a client may try again where the provider does not say."""
LONGEST_LATER_S: Final = 24 * 3600

_log = logging.getLogger(__name__)


class _Passing(Exception):
    """A failure that may pass; `after_s` is how long the provider asks to wait, where it does."""

    def __init__(self, failure: EngineFailed, *, after_s: float | None = None) -> None:
        self.failure, self.after_s = failure, after_s
        super().__init__(str(failure))


class Engine:
    """Answers turns; threads may share it."""

    def __init__(self, place: "Place", fields: dict[str, Any], settings: Settings) -> None:
        self._place = place
        self._fields = fields
        self._timeout_s = setting(settings, "ai-client", "timeout") or DEFAULT_TIMEOUT_S
        self._provider = Provider(place.url, headers=place.headers(settings), timeout_s=self._timeout_s)
        # Nobody tells an engine that it is not needed any more.
        weakref.finalize(self, self._provider.close)

    def __call__(self, turn: Turn) -> Turn:
        """The turn with what the model answered.

        Raises:
            EngineFailed: it did not answer; the text says why and what to do.
        """
        body = json.dumps(self._request(turn), default=dict).encode()
        watch = Watch(turn, timeout_s=self._timeout_s)
        for attempt in count():
            watch.patience_s = self._timeout_s
            try:
                answer = self._answer(body, watch)
            except _Passing as passing:
                wait_s = wait_before(attempt, passing.after_s)
                if wait_s is None or watch.told:
                    raise passing.failure from None
                _log.warning("trying again: %s", passing)
                watch.wait(wait_s)
            else:
                break
        blocks = tuple(answer.blocks(model=self._fields["model"], turn_blocks=len(turn.blocks)))
        if not blocks:
            why = f" (finish_reason: {self._place.clean(answer.finish_reason)})" if answer.finish_reason else ""
            raise EngineFailed(f"the model answered nothing{why}")
        return turn.replace(blocks=(*turn.blocks, *blocks), usage=answer.usage(turn.usage))

    def _request(self, turn: Turn) -> dict[str, Any]:
        request = {**self._fields, "messages": messages(turn.blocks)}
        if turn.tools:
            request["tools"] = tools(turn.tools)
        else:
            request.pop("parallel_tool_calls", None)  # providers refuse it without tools
        return request

    def _answer(self, body: bytes, watch: Watch) -> Answer:
        answer = Answer(watch, clean=self._place.clean)
        begun = False
        try:
            with self._provider.post(body, watch) as reply:
                if not 200 <= reply.status <= 299:
                    self._refuse(reply)
                begun = True
                answer.read(reply.chunks)
        except ConnectionBroke as error:
            if not answer.finished:
                early = "the provider closed early: " if begun and error.again else ""
                failure = EngineFailed(early + self._place.clean(str(error)), next_step=error.next_step)
                raise (_Passing(failure) if error.again else failure) from None
        return answer

    def _refuse(self, reply: "Reply") -> NoReturn:
        status, clean = reply.status, self._place.clean
        after_s = retry_after(reply.headers.get("retry-after"))
        may_pass = status == 429 or status >= 500
        later_s = None
        if status == 429 or (may_pass and after_s is not None):
            later_s = max(math.ceil(LATER_S if after_s is None else after_s), 1)
        reason = "a redirect, which is not followed" if 300 <= status <= 399 else clean(_said(reply.excerpt()))
        failure = EngineFailed(
            f"the provider answered {status}: {reason}",
            status=status,
            retry_after_s=later_s,
            next_step=self._advice(status, later_s),
        )
        raise _Passing(failure, after_s=after_s) if may_pass else failure

    def _advice(self, status: int, later_s: int | None) -> str | None:
        place = self._place
        if status in {401, 403} and not place.own:
            return "the key is not sent to other origins than the server's own; make this one the server's base URL"
        if status in {401, 403}:
            return SET_THE_KEY
        if status == 404 or 300 <= status <= 399:
            model = place.clean(self._fields["model"])
            return f"check the base URL {place.clean(place.base_url)} and the model {model}"
        return f"try again in {later_s} s" if later_s else None


def wait_before(attempt: int, after_s: float | None) -> float | None:
    """Seconds to wait after this try, the first being 0, where there is to be another."""
    if attempt >= len(BACKOFF_S) or (after_s or 0) > MAX_RETRY_AFTER_S:
        return None
    return max(BACKOFF_S[attempt] * random.uniform(0.75, 1.25), after_s or 0)  # noqa: S311  jitter, no secret


def retry_after(value: str | None) -> float | None:
    """Seconds in a Retry-After header, a number or a date (RFC 9110, section 10.2.3)."""
    try:
        seconds = float(value or "")
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_LATER_S) if math.isfinite(seconds) else None


def _said(body: bytes) -> str:
    try:
        return message_of(json.loads(body))
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        return text if text and not text.startswith("<") else UNEXPLAINED
