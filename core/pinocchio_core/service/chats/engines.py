"""Which engine answers a turn, with which settings."""

import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from msgspec import Struct, field

from pinocchio_core.domain import paths
from pinocchio_core.domain.slugs import shown
from pinocchio_core.domain.turns import Handler, Turn
from pinocchio_core.errors import EngineFailed, InvalidRequest, PinocchioError, Problem, SettingsError
from pinocchio_core.host.blame import pass_on
from pinocchio_core.host.catalog import Catalog
from pinocchio_core.host.host import Host
from pinocchio_core.plugin.types import EngineOptions
from pinocchio_core.service.chats.chain import built_from
from pinocchio_core.service.checking.secrets import settings_secrets
from pinocchio_core.service.kept import Kept

DEFAULT_ENGINE: Final = "echo"
FIELD: Final = "runtime.step_settings_patch"
CHOICE: Final = ("ai-chat", "ai-api-type")
"""Section and field by which a profile names its engine."""

log = logging.getLogger("pinocchio.chat")


class EngineChoice(Struct, frozen=True, kw_only=True):
    """What the operator says of engines."""

    name: str = DEFAULT_ENGINE
    """The engine of profiles that name none."""
    options: EngineOptions = field(default_factory=EngineOptions)


class Engines:
    """Makes engines, and keeps them for other turns."""

    def __init__(self, host: Host, choice: EngineChoice) -> None:
        """Raise SettingsError where the operator names an engine that is not there."""
        if choice.name not in host.catalog.engines and choice.name != DEFAULT_ENGINE:
            known = ", ".join(sorted(host.catalog.engines)) or "none"
            raise SettingsError(f"--engine: unknown engine {shown(choice.name)}", next_step=f"known: {known}")
        self._host = host
        self._choice = choice
        self._built: Kept[Handler] = Kept()

    def check(self, settings: Mapping[str, Mapping[str, Any]]) -> str:
        """The name of the engine that these settings of a resolved profile ask for.

        Raises:
            InvalidRequest: there is no such engine, or a setting does not fit its schema.
        """
        name: str = settings.get(CHOICE[0], {}).get(CHOICE[1]) or self._choice.name
        catalog = self._host.catalog
        if name not in catalog.engines:
            known = ", ".join(sorted(catalog.engines)) or "none"
            reason = f"unknown engine {shown(name)}; known: {known}"
            raise InvalidRequest([Problem(field=paths.join(FIELD, *CHOICE), reason=reason)])
        problems = list(settings_problems(settings, catalog))
        if problems:
            raise InvalidRequest(problems, next_step="see GET /api/chat/schemas/engines")
        return name

    def engine_of(self, settings: Mapping[str, Mapping[str, Any]]) -> Handler:
        """The engine for these settings.

        Raises:
            InvalidRequest: as `check`.
            EngineFailed: it cannot be made.
        """
        name = self.check(settings)
        definition = self._host.catalog.engines[name].definition
        options = self._choice.options if name == self._choice.name else EngineOptions()

        def build() -> Handler:
            return self._guarded(name, definition.build(deepcopy(settings), options))

        try:
            return self._built.get(built_from(name, settings), build)
        except PinocchioError:
            raise
        except BaseException as error:  # a plugin may raise anything
            pass_on(error)
            raise self._failure(name, error) from error

    def _guarded(self, name: str, engine: Handler) -> Handler:
        def handle(turn: Turn) -> Turn:
            try:
                answer: object = engine(turn)
            except PinocchioError:
                raise
            except BaseException as error:  # a plugin may raise anything
                pass_on(error)
                raise self._failure(name, error) from error
            if not isinstance(answer, Turn) or answer.blocks[: len(turn.blocks)] != turn.blocks:
                raise self._failure(name, TypeError("it returned no turn that goes on from the one it got"))
            if len(answer.blocks) == len(turn.blocks):
                raise EngineFailed(f'the engine "{name}" answered nothing')
            return answer

        return handle

    def _failure(self, name: str, error: BaseException) -> EngineFailed:
        owner = self._host.owner_of("engines", name)
        log.error('the engine "%s" of plugin %s failed', name, owner, exc_info=error)
        return EngineFailed(f'the engine "{name}" of plugin {owner} failed', next_step="see the log for what it raised")


def settings_problems(settings: Any, catalog: Catalog, field: str = FIELD) -> Iterator[Problem]:
    """What the schemas of installed engines have against settings; sections that none of them knows pass."""
    if not isinstance(settings, Mapping):
        return
    yield from settings_secrets(settings, catalog, field)
    seen: set[tuple[str, str]] = set()
    for entry in catalog.engines.values():
        known = entry.schema.schema.get("properties", {})
        for section in settings.keys() & known.keys():
            where = paths.join(field, section)
            for found in entry.schema.problems({section: settings[section]}):
                told = str(found)
                if (where, told) not in seen and not found.missing:
                    seen.add((where, told))
                    yield Problem(field=where, reason=told, expected=found.expected, actual=found.actual)
