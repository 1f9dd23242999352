"""Hooks that hang while requests run: what they may hold up, and who is named for it."""

import threading

import pytest

from pinocchio_core.domain.profile import OPEN_POLICY
from pinocchio_core.errors import Overloaded
from pinocchio_core.host.discovery import Candidate
from pinocchio_core.host.host import Host
from pinocchio_core.plugin import Metadata, Profile, ProfileChange, Runtime, hookimpl

METADATA = Metadata(version=1, created_at_ms=0, updated_at_ms=0, created_by="", updated_by="", source="")
PROFILE, HANG = (
    Profile(registry="default", slug=slug, runtime=Runtime(), policy=OPEN_POLICY, metadata=METADATA)
    for slug in ("a", "hang")
)
CHANGE = ProfileChange(op="create", registry="default", slug="a", version=1, actor="me", at_ms=0)
WAIT_S = 10


class Innocent:
    @hookimpl
    def pinocchio_validate_profile(self):
        return []


class Hanging:
    """A plugin whose calls hang until they are let go."""

    def __init__(self):
        self.inside, self.go = threading.Semaphore(0), threading.Event()

    @hookimpl
    def pinocchio_validate_profile(self, profile):
        if profile.slug == "hang":
            self.inside.release()
            assert self.go.wait(WAIT_S)
        return []

    @hookimpl
    def pinocchio_profile_changed(self, change):
        raise AssertionError("there is no slot for this call")

    def end(self):
        """Let them go, and wait until they have gone."""
        self.go.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def stuck():
    """A host of which both slots are taken by a plugin that hangs; an innocent plugin is asked before it."""
    hanging = Hanging()
    host = Host(
        [
            Candidate(name=name, target=name, distribution=f"acme-{name}", version="1.5", load=lambda each=each: each)
            for name, each in (("innocent", Innocent()), ("slow", hanging))
        ]
    )
    host.allow_requests_in_hooks(2)
    hanging.threads = [threading.Thread(target=host.validate, args=(HANG,)) for _ in range(2)]
    for thread in hanging.threads:
        thread.start()
        assert hanging.inside.acquire(timeout=WAIT_S)
    yield host, hanging
    hanging.end()


def test_hooks_that_hang_leave_the_other_requests_an_answer(stuck):
    host, _ = stuck

    with pytest.raises(Overloaded, match="2 requests are waiting for plugins: "):
        host.validate(PROFILE)
    host.changed(CHANGE)  # is committed already, and stands


def test_hooks_that_hang_are_named_and_not_those_that_wait_for_them(stuck):
    host, _ = stuck

    with pytest.raises(Overloaded) as refused:
        host.validate(PROFILE)

    assert "slow (acme-slow 1.5)" in str(refused.value)
    assert "innocent" not in str(refused.value)


def test_hooks_that_were_hanging_give_their_slots_back(stuck):
    host, hanging = stuck
    hanging.end()

    assert host.validate(PROFILE) == []
