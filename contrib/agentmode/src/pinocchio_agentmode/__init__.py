"""Agent modes: the middleware `agentmode` and the profile `agent` that uses it."""

from collections.abc import Iterator

from pinocchio_agentmode.definition import agent_profile, chosen_modes, definition
from pinocchio_core.plugin import MiddlewareDefinition, ProfileSeed, hookimpl


@hookimpl
def pinocchio_middleware_definitions() -> Iterator[MiddlewareDefinition]:
    """The middleware `agentmode`, with the modes that come with it or those of the operator's table."""
    yield definition(chosen_modes())


@hookimpl
def pinocchio_bootstrap_profiles() -> Iterator[ProfileSeed]:
    """The profile `agent`, which begins as a financial analyst."""
    yield agent_profile()
