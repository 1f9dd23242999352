"""Fixtures of pytest for authors of plugins, there in every environment that has pinocchio-webchat installed.

Say in `conftest.py` which plugins are tested, and take the rest as arguments of tests:

    @pytest.fixture
    def pinocchio_plugins():
        return [acme_shout, *installed("echo")]

    def test_config_is_enforced(pinocchio_app):
        assert pinocchio_app.post("/api/chat/profiles", {"slug": "x"}).status == 201

Whoever tests something else pays nothing: what is behind a fixture is imported when a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pinocchio_core.host.host import Host
    from pinocchio_core.store.store import Store
    from pinocchio_core.testing import TestApp


@pytest.fixture
def pinocchio_plugins() -> Sequence[Any]:
    """The plugins that the other fixtures have; none unless a test suite says which."""
    return ()


@pytest.fixture
def pinocchio_host(pinocchio_plugins: Sequence[Any]) -> Host:
    """The loaded plugins: `pinocchio_host.catalog.middlewares["shout"]`."""
    from pinocchio_core.testing import make_host

    return make_host(*pinocchio_plugins)


@pytest.fixture
def make_pinocchio_app() -> Callable[..., AbstractContextManager[TestApp]]:
    """What makes apps with plugins that the test names; see `pinocchio_core.testing.make_app`."""
    from pinocchio_core.testing import make_app

    return make_app


@pytest.fixture
def pinocchio_app(pinocchio_plugins: Sequence[Any]) -> Iterator[TestApp]:
    """The whole app with the plugins over a temporary database, to be called without a socket."""
    from pinocchio_core.testing import make_app

    with make_app(*pinocchio_plugins) as app:
        yield app


@pytest.fixture
def pinocchio_store(pinocchio_app: TestApp) -> Store:
    """The temporary database of `pinocchio_app`."""
    return pinocchio_app.program.store
