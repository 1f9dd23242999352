"""The host: the plugins of one program, their catalog, and typed calls of every hook."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from msgspec import structs

from pinocchio_core.domain.profile import Profile
from pinocchio_core.domain.slugs import printable
from pinocchio_core.errors import HookFailed, Overloaded, PluginsFailed, Problem
from pinocchio_core.host.blame import pass_on
from pinocchio_core.host.catalog import Catalog, Unsound
from pinocchio_core.host.contributions import Contribution, call, contribution_of, merge, returned
from pinocchio_core.host.discovery import ALL, Candidate, Selection, installed_plugins
from pinocchio_core.host.loader import Plugin, load_plugins, reason_of
from pinocchio_core.host.records import PluginRecord, PluginStatus
from pinocchio_core.plugin.types import ExtensionSchema, ProfileChange, ProfileSeed, StartupInfo

log = logging.getLogger(__name__)

DEFAULT_REQUESTS_IN_HOOKS = 8
HOOK_BUDGET_MS = 200
"""A hook that runs in a request and takes longer is logged with its plugin's name."""
_CHANGED = "pinocchio_profile_changed"


class Host:
    """The plugins of one program.

    `records` is in a fixed order, by distribution and name. Nothing is shared between hosts, so that several
    can live in one process.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate] | None = None,
        *,
        selection: Selection = ALL,
        extension_schemas: Sequence[ExtensionSchema] = (),
    ) -> None:
        """Load `candidates`, or every installed plugin, and collect what they contribute.

        `extension_schemas` are the embedding application's own.

        Raises:
            SettingsError: the selection names something that is not installed.
        """
        found = installed_plugins() if candidates is None else list(candidates)
        self._order = {(c.distribution, c.name): i for i, c in reversed(list(enumerate(found)))}
        loaded, others = load_plugins(found, selection)
        given: list[tuple[Plugin, Contribution]] = []
        for plugin in loaded:
            outcome = contribution_of(plugin)
            if isinstance(outcome, PluginRecord):
                others.append(outcome)
            else:
                given.append((plugin, outcome))
        self._application = tuple(extension_schemas)
        self.catalog, clashes = merge(given, self._application)
        self._others = others + list(clashes.values())
        self._active = {p.record.name: (p, c) for p, c in given if p.record.name not in clashes}
        self.allow_requests_in_hooks(DEFAULT_REQUESTS_IN_HOOKS)

    catalog: Catalog
    """What may be used; final once `startup` has returned."""

    @property
    def records(self) -> list[PluginRecord]:
        """One record for each plugin that was found."""
        records = [plugin.record for plugin, _ in self._active.values()] + self._others
        return sorted(records, key=lambda r: self._order.get((r.distribution, r.name), len(self._order)))

    @property
    def faults(self) -> list[PluginRecord]:
        """The records of plugins that should be active and are not."""
        return [record for record in self.records if record.failed]

    def owner_of(self, kind: str, name: str) -> str:
        """The plugin that contributes a thing of this kind (`middlewares`, `engines`, `tools`), for messages."""
        for plugin, contribution in self._active.values():
            if name in contribution.names()[kind]:
                return plugin.record.source
        return "unknown"

    def require_sound(self, *, serving: bool = True) -> None:
        """Raise PluginsFailed where any plugin is at fault; `serving`: a server asks, which could do without them."""
        if self.faults:
            raise PluginsFailed([record.line() for record in self.faults], serving=serving)

    def documents(self) -> list[dict[str, Any]]:
        """Each record with what its plugin contributes, as JSON objects."""
        empty = Contribution()
        return [
            record.document()
            | {"contributes": (self._active[record.name][1] if self._is_active(record) else empty).names()}
            for record in self.records
        ]

    def allow_requests_in_hooks(self, count: int) -> None:
        """Let at most `count` requests be inside hooks, so that a plugin that hangs leaves threads for the others."""
        self._requests_in_hooks = count
        self._request_slots = threading.BoundedSemaphore(count)
        self._inside: dict[object, str] = {}

    # hooks, in the order in which they are called

    def extend_cli(self, commands: click.Group) -> None:
        """Let plugins add commands and options."""
        self._each_or_fail("pinocchio_cli", commands=commands)

    def seeds(self) -> list[tuple[PluginRecord, ProfileSeed]]:
        """The profiles for a store that is filled for the first time, each with its plugin."""
        found: list[tuple[PluginRecord, ProfileSeed]] = []
        for plugin, _ in list(self._active.values()):
            try:
                seeds = returned(plugin, "pinocchio_bootstrap_profiles", ProfileSeed)
            except Unsound as error:
                self.fail(plugin.record, str(error))
            except BaseException as error:  # a plugin may raise anything
                pass_on(error)
                self.fail(plugin.record, f"pinocchio_bootstrap_profiles raised {reason_of(error)}")
            else:
                found += [(plugin.record, seed) for seed in seeds]
        return found

    def startup(self, info: StartupInfo) -> None:
        """Tell plugins that the program is about to serve."""
        self._each_or_fail("pinocchio_startup", info=info)

    def validate(self, profile: Profile) -> list[Problem]:
        """What plugins have against a profile, beyond schemas.

        Raises:
            HookFailed: a plugin raised.
            Overloaded: too many requests are inside hooks already.
        """
        problems: list[Problem] = []
        hook = "pinocchio_validate_profile"
        for plugin in self._implementing(hook):
            with self._in_request(plugin, hook):
                try:
                    problems += map(_encodable, returned(plugin, hook, Problem, profile=profile))
                except BaseException as error:  # a plugin may raise anything
                    pass_on(error)
                    raise HookFailed(plugin.record.source, hook) from error
        return problems

    @property
    def hears_of_changes(self) -> bool:
        """Whether there is a plugin to tell of changes."""
        return bool(self._implementing(_CHANGED))

    def changed(self, change: ProfileChange) -> None:
        """Tell plugins of a committed change; whatever they raise is logged."""
        for plugin in self._implementing(_CHANGED):
            try:
                with self._in_request(plugin, _CHANGED):
                    call(plugin, _CHANGED, change=change)
            except BaseException as error:  # the change is committed: the request stands
                pass_on(error)
                log.exception("plugin %s failed in %s", plugin.record.source, _CHANGED)

    def shutdown(self) -> None:
        """Tell plugins that the program has stopped serving; whatever they raise is logged."""
        for plugin in self._implementing("pinocchio_shutdown"):
            try:
                call(plugin, "pinocchio_shutdown")
            except BaseException as error:  # at exit, every plugin gets its turn
                pass_on(error)
                log.exception("plugin %s failed in pinocchio_shutdown", plugin.record.source)

    def fail(self, record: PluginRecord, detail: str) -> None:
        """Take a plugin, and all that it contributes, out of service before the program serves."""
        if self._active.pop(record.name, None) is None:
            return  # once is enough
        self.catalog, _ = merge(list(self._active.values()), self._application)
        self._others.append(structs.replace(record, status=PluginStatus.CONTRIBUTION_FAILED, detail=detail))

    def _is_active(self, record: PluginRecord) -> bool:
        return record.name in self._active and record.status is PluginStatus.ACTIVE

    def _implementing(self, hook: str) -> list[Plugin]:
        return [plugin for plugin, _ in self._active.values() if hook in plugin.implementations]

    def _each_or_fail(self, hook: str, **arguments: Any) -> None:
        for plugin in self._implementing(hook):
            try:
                call(plugin, hook, **arguments)
            except BaseException as error:  # a plugin may raise anything
                pass_on(error)
                log.debug("plugin %s failed in %s", plugin.record.source, hook, exc_info=True)
                self.fail(plugin.record, f"{hook} raised {reason_of(error)}")

    @contextmanager
    def _in_request(self, plugin: Plugin, hook: str) -> Iterator[None]:
        if not self._request_slots.acquire(timeout=HOOK_BUDGET_MS / 1000):
            raise Overloaded(self._requests_in_hooks, ", ".join(sorted(set(self._inside.copy().values()))))
        began, call_id = time.monotonic(), object()
        self._inside[call_id] = plugin.record.source
        try:
            yield
        finally:
            del self._inside[call_id]
            self._request_slots.release()
            took_ms = (time.monotonic() - began) * 1000
            if took_ms > HOOK_BUDGET_MS:
                log.warning(
                    "plugin %s took %.0f ms in %s; its budget is %d ms",
                    plugin.record.source,
                    took_ms,
                    hook,
                    HOOK_BUDGET_MS,
                )


def _encodable(problem: Problem) -> Problem:
    """The problem with escapes for what is no text and could not be sent."""
    try:
        return Problem(**{name: text and str(text).encode().decode() for name, text in structs.asdict(problem).items()})
    except UnicodeEncodeError:
        return Problem(**{name: text and printable(str(text)) for name, text in structs.asdict(problem).items()})
