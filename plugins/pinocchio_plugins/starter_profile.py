"""The plain profile that a new store begins with."""

from collections.abc import Iterator

from pinocchio_core.plugin import ProfileSeed, hookimpl


@hookimpl
def pinocchio_bootstrap_profiles() -> Iterator[ProfileSeed]:
    """The profile `default`: a short system prompt, no middleware, no overrides."""
    yield ProfileSeed("default", document={"runtime": {"system_prompt": "You are an assistant"}})
