"""The plain profile of a new store."""

from pinocchio_plugins import starter_profile


def test_seed_is_the_plain_assistant_without_overrides() -> None:
    (seed,) = starter_profile.pinocchio_bootstrap_profiles()
    assert seed.slug == "default"
    assert seed.document == {"runtime": {"system_prompt": "You are an assistant"}}
