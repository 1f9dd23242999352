"""The fixtures that pytest finds in every environment with the distribution."""

import subprocess
import sys

TESTS = """
import pytest
from pinocchio_core.plugin import MiddlewareDefinition, hookimpl


class Shout:
    @hookimpl
    def pinocchio_middleware_definitions(self):
        yield MiddlewareDefinition("shout", {}, lambda config: lambda turn, handler: handler(turn))


@pytest.fixture
def pinocchio_plugins():
    return [Shout]


def test_all_of_them(pinocchio_host, pinocchio_app, pinocchio_store, make_pinocchio_app):
    assert set(pinocchio_host.catalog.middlewares) == {"shout"}
    assert pinocchio_app.post("/api/chat/profiles", {"slug": "a"}).status == 201
    assert pinocchio_store.profiles.read("default", "a").version == 1
    with make_pinocchio_app() as other:
        assert other.get("/api/chat/profiles/a").status == 404
"""
BYSTANDER = """
import sys


def test_nothing_is_imported_that_was_not_asked_for():
    assert "pinocchio_core.pytest_plugin" in sys.modules
    assert not {"falcon", "pinocchio_core.host", "pinocchio_core.testing"} & set(sys.modules)
"""


def pytest_of(folder, text):
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_fixtures_are_there_without_an_import(tmp_path):
    assert "1 passed" in pytest_of(tmp_path, TESTS)


def test_other_test_suites_pay_nothing_for_them(tmp_path):
    assert "1 passed" in pytest_of(tmp_path, BYSTANDER)
