"""Loading plugins one by one, so that each fault has an owner and none hides another."""

import inspect
import logging
import traceback
from typing import Any

import pluggy
from msgspec import Struct, structs

from pinocchio_core.domain.slugs import printable
from pinocchio_core.domain.suggestions import nearest
from pinocchio_core.host.blame import pass_on
from pinocchio_core.host.discovery import ALL, Candidate, Selection
from pinocchio_core.host.records import PluginRecord, PluginStatus
from pinocchio_core.plugin import hookspecs

log = logging.getLogger(__name__)

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("pinocchio_"))


class Plugin(Struct, frozen=True):
    """A loaded plugin: its record, and its implementations by hook name."""

    record: PluginRecord
    implementations: dict[str, pluggy.HookImpl]


def load_plugins(candidates: list[Candidate], selection: Selection = ALL) -> tuple[list[Plugin], list[PluginRecord]]:
    """Load what the operator wants of `candidates`.

    Returns the plugins that could be loaded, in a fixed order, and the records of all the others.

    Raises:
        SettingsError: the selection names something that is not there.
    """
    selection.check(candidates)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loaded: dict[str, Plugin] = {}
    others: list[PluginRecord] = []
    for candidate in candidates:
        record = PluginRecord(
            name=candidate.name,
            target=candidate.target,
            distribution=candidate.distribution,
            version=candidate.version,
        )
        refusal = selection.refusal(candidate)
        if refusal:
            others.append(structs.replace(record, status=PluginStatus.BLOCKED, detail=refusal))
        elif candidate.name in loaded:
            owner = loaded[candidate.name].record
            detail = f'the name "{candidate.name}" is already taken by {owner.distribution} {owner.version}'
            others.append(structs.replace(record, status=PluginStatus.CONFLICT, detail=detail))
        else:
            outcome = _load(manager, candidate, record)
            if isinstance(outcome, Plugin):
                loaded[candidate.name] = outcome
            else:
                others.append(outcome)
    return list(loaded.values()), others


def reason_of(error: BaseException) -> str:
    """An exception of a plugin in one line, with the place in the plugin's own code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (at {frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    try:
        text = " ".join(str(error).split())
    except BaseException as broken:  # what is broken may be the error's own text
        pass_on(broken)
        text = "(an error without a text)"
    return printable(f"{type(error).__name__}: {text}{place}")


def _load(manager: pluggy.PluginManager, candidate: Candidate, record: PluginRecord) -> Plugin | PluginRecord:
    try:
        target = candidate.load()
        target = target() if inspect.isclass(target) else target
    except BaseException as error:  # a plugin may raise anything, and `sys.exit` at import is one way
        pass_on(error)
        log.debug("plugin %s cannot be imported", record.source, exc_info=True)
        return structs.replace(record, status=PluginStatus.IMPORT_FAILED, detail=reason_of(error))
    try:
        manager.register(target, name=candidate.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        # pluggy leaves a plugin that it refuses registered
        if manager.has_plugin(candidate.name):
            manager.unregister(name=candidate.name)
        return structs.replace(record, status=PluginStatus.REJECTED, detail=printable(" ".join(str(error).split())))
    calls = {caller.name: caller for caller in manager.get_hookcallers(target) or []}
    fault = _misfit(calls, target)
    if fault:
        manager.unregister(name=candidate.name)
        return structs.replace(record, status=PluginStatus.REJECTED, detail=fault)
    implementations = {
        name: next(impl for impl in caller.get_hookimpls() if impl.plugin is target) for name, caller in calls.items()
    }
    return Plugin(structs.replace(record, hooks=tuple(sorted(implementations))), implementations)


def _misfit(calls: dict[str, pluggy.HookCaller], target: Any) -> str:
    for name, caller in sorted(calls.items()):
        if caller.spec is None:
            near = nearest(name, HOOKS)
            return f"unknown hook {name!r}" + (f"; did you mean {near!r}?" if near else "")
        if any(impl.plugin is target and (impl.hookwrapper or impl.wrapper) for impl in caller.get_hookimpls()):
            return f"{name} is a hook wrapper; implement the hook itself"
    if calls:
        return ""
    return "it implements no hook; mark implementations with @hookimpl of pinocchio_core.plugin"
