"""Secrets that a request brings: profiles and overrides are no place for them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pinocchio_core.domain import paths
from pinocchio_core.errors import Problem
from pinocchio_core.host.catalog import Catalog
from pinocchio_core.host.schemas import CompiledSchema

_NO_PLACE = "is a secret, and profiles and requests are no place for one; set it for the server,"
IN_CONFIG = f"{_NO_PLACE} with --config or PINOCCHIO_MW_<NAME>__<PATH>"
IN_SETTINGS = f"{_NO_PLACE} with PINOCCHIO_ENGINE_API_KEY"


def secret_problems(schema: CompiledSchema, value: Any, field: str, reason: str = IN_CONFIG) -> Iterator[Problem]:
    """What is secret in a value, by the path of each."""
    for path in schema.secrets(value):
        yield Problem(field=paths.join(field, *path), reason=reason)


def settings_secrets(settings: Any, catalog: Catalog, field: str) -> Iterator[Problem]:
    """What is secret in the settings of engines, for any of those that are installed."""
    seen: set[str] = set()
    for entry in catalog.engines.values() if isinstance(settings, Mapping) else ():
        for problem in secret_problems(entry.schema, settings, field, IN_SETTINGS):
            if problem.field not in seen:
                seen.add(problem.field)
                yield problem
