"""Finding plugins: entry points of installed distributions, and the operator's choice among them."""

import importlib.metadata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from pinocchio_core.errors import SettingsError

GROUP = "pinocchio.plugins"
BUILT_IN = "pinocchio-webchat"
"""The distribution whose plugins count as built in."""


class Candidate(Struct, frozen=True, kw_only=True):
    """A plugin that was found and not yet loaded."""

    name: str
    target: str
    distribution: str
    version: str
    load: Callable[[], Any]
    """Imports it; raises whatever the plugin's module raises."""


class Selection(Struct, frozen=True, kw_only=True):
    """Which plugins the operator wants."""

    distributions: tuple[str, ...] | None = None
    """Only plugins of these (and of the built-in one if named); `None`: all; empty: built-ins only."""
    blocked: tuple[str, ...] = ()
    """Names of plugins to leave out, built-ins included."""

    def check(self, candidates: Iterable[Candidate]) -> None:
        """Raise SettingsError where it names something that is not installed."""
        found = list(candidates)
        _require("PINOCCHIO_LOAD_PLUGINS", "distribution", self.distributions or (), {c.distribution for c in found})
        _require("PINOCCHIO_BLOCK_PLUGINS", "plugin", self.blocked, {c.name for c in found})

    def refusal(self, candidate: Candidate) -> str:
        """Why the candidate is left out, empty where it is wanted."""
        if candidate.name in self.blocked:
            return "named in PINOCCHIO_BLOCK_PLUGINS"
        wanted = self.distributions
        if wanted is not None and candidate.distribution not in (wanted or (BUILT_IN,)):
            return f"its distribution is not among PINOCCHIO_LOAD_PLUGINS ({', '.join(wanted) or 'built-ins only'})"
        return ""


ALL = Selection()


def installed_plugins() -> list[Candidate]:
    """Every plugin of every installed distribution, by distribution and name, each one once."""
    found: dict[tuple[str, str, str], Candidate] = {}
    origins: dict[importlib.metadata.Distribution | None, tuple[str, str]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.dist not in origins:
            origins[entry.dist] = _origin(entry.dist)
        distribution, version = origins[entry.dist]
        candidate = Candidate(
            name=entry.name, target=entry.value, distribution=distribution, version=version, load=entry.load
        )
        found.setdefault((distribution, entry.name, entry.value), candidate)
    return [found[key] for key in sorted(found)]


def _origin(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    """Name and version as a distribution's metadata says them; one that was removed by halves has none."""
    metadata = distribution.metadata if distribution else None  # a file that is read and parsed each time
    name, version = (metadata[field] if metadata and field in metadata else "unknown" for field in ("Name", "Version"))
    return name, version


def given_plugins(plugins: Sequence[Any]) -> list[Candidate]:
    """Candidates for modules, objects or classes that are at hand, for tests and for embedding."""
    return [_given(plugin) for plugin in plugins]


def _given(plugin: Any) -> Candidate:
    name = getattr(plugin, "__name__", None) or type(plugin).__name__
    return Candidate(name=name.rpartition(".")[2], target=name, distribution="given", version="0", load=lambda: plugin)


def _require(variable: str, what: str, named: Iterable[str], known: set[str]) -> None:
    unknown = sorted(set(named) - known)
    if unknown:
        raise SettingsError(
            f"{variable} names {what} {', '.join(unknown)}, which is not installed",
            next_step=f"known: {', '.join(sorted(known)) or 'none'}",
        )
