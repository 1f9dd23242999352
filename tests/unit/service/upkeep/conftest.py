"""A clock that is told the time, and the place of a database."""

import pytest


class Clock:
    now_ms = 1_700_000_000_000

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "profiles.db"
