"""The chain of middlewares around an engine: built once for each config, run in the profile's order."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from pinocchio_core.domain.turns import Handler, Middleware, Turn
from pinocchio_core.errors import MiddlewareFailed, PinocchioError
from pinocchio_core.host.host import Host
from pinocchio_core.service.resolve import ResolvedUse

MAX_BUILT: Final = 256
"""Middlewares, and engines, that are kept for other turns."""

B = TypeVar("B")
log = logging.getLogger("pinocchio.chat")


class Built(Generic[B]):
    """What was built for a name and a config; the least recently used goes where there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, bytes], B] = OrderedDict()

    def get(self, name: str, config: Mapping[str, Any], build: Callable[[], B]) -> B:
        """The one that was built before, else a new one; two threads may build one each, and one of them stays."""
        key = (name, msgspec.json.encode(config, order="sorted"))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = build()
        with self._lock:
            kept = self._kept.setdefault(key, made)
            while len(self._kept) > MAX_BUILT:
                self._kept.popitem(last=False)
        return kept


class Chains:
    """Runs turns through middlewares."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._built: Built[Middleware] = Built()

    def around(self, engine: Handler, uses: Iterable[ResolvedUse]) -> Handler:
        """The engine inside the middlewares of these uses that are enabled, the first one outermost.

        Raises:
            MiddlewareFailed: one cannot be built.
        """
        handler = engine
        for use in reversed([each for each in uses if each.enabled]):
            handler = self._wrapped(use, self._middleware(use), handler)
        return handler

    def _middleware(self, use: ResolvedUse) -> Middleware:
        entry = self._host.catalog.middlewares[use.name]
        try:
            return self._built.get(use.name, use.config, lambda: entry.definition.build(use.config))
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            raise self._failure(use) from error

    def _wrapped(self, use: ResolvedUse, middleware: Middleware, following: Handler) -> Handler:
        def handle(turn: Turn) -> Turn:
            try:
                answer: object = middleware(turn, following)
            except PinocchioError:
                raise  # what is inside has failed, and says what
            except (Exception, SystemExit) as error:  # a plugin may raise anything
                raise self._failure(use) from error
            if not isinstance(answer, Turn):
                raise self._failure(use) from TypeError(f"it returned {type(answer).__name__}, not a Turn")
            return answer

        return handle

    def _failure(self, use: ResolvedUse) -> MiddlewareFailed:
        return MiddlewareFailed(use.name, self._host.owner_of("middlewares", use.name))
