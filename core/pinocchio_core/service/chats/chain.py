"""The chain of middlewares around an engine: built once for each config, run in the profile's order."""

import logging
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import msgspec

from pinocchio_core.domain.turns import Handler, Middleware, Turn
from pinocchio_core.errors import MiddlewareFailed, PinocchioError
from pinocchio_core.host.blame import pass_on
from pinocchio_core.host.host import Host
from pinocchio_core.service.kept import Kept
from pinocchio_core.service.resolve import ResolvedUse

log = logging.getLogger("pinocchio.chat")


def built_from(name: str, config: Mapping[str, Any]) -> tuple[str, bytes]:
    """The key under which what a plugin built is kept for other turns."""
    return name, msgspec.json.encode(config, order="sorted")


class Chains:
    """Runs turns through middlewares."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._built: Kept[Middleware] = Kept()

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
            # a copy, because the plugin may change it, and others run with the same
            return self._built.get(
                built_from(use.name, use.config), lambda: entry.definition.build(deepcopy(use.config))
            )
        except BaseException as error:  # a plugin may raise anything
            pass_on(error)
            raise self._failure(use) from error

    def _wrapped(self, use: ResolvedUse, middleware: Middleware, following: Handler) -> Handler:
        def handle(turn: Turn) -> Turn:
            try:
                answer: object = middleware(turn, following)
            except PinocchioError:
                raise  # what is inside has failed, and says what
            except BaseException as error:  # a plugin may raise anything
                pass_on(error)
                raise self._failure(use) from error
            if not isinstance(answer, Turn):
                raise self._failure(use) from TypeError(f"it returned {type(answer).__name__}, not a Turn")
            return answer

        return handle

    def _failure(self, use: ResolvedUse) -> MiddlewareFailed:
        return MiddlewareFailed(use.name, self._host.owner_of("middlewares", use.name))
