"""For authors of plugins: a host and an app of one's own in a test, and one check that covers the contract.

from pinocchio_core.testing import check_plugin, installed, make_app
import acme_shout

def test_the_plugin_keeps_the_contract():
    check_plugin(acme_shout)

def test_its_config_is_enforced():
    with make_app(acme_shout, *installed("echo")) as app:
        use = {"name": "shout", "config": {"unknown": 1}}
        answer = app.post("/api/chat/profiles", {"slug": "x", "runtime": {"middlewares": [use]}})
        assert answer.status == 400

For pytest the same is there as fixtures, without an import; see `pinocchio_core.pytest_plugin`.
"""

from pinocchio_core.testing.apps import Answer, TestApp, installed, make_app, make_host
from pinocchio_core.testing.checks import check_plugin, defaults_of

__all__ = ["Answer", "TestApp", "check_plugin", "defaults_of", "installed", "make_app", "make_host"]
