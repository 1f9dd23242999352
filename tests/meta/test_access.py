"""Every route says who may use it, and docs/http-api.md and the OpenAPI document say the same."""

import re
from pathlib import Path

import falcon.inspect
import pytest

from pinocchio_core.service.access.callers import Role
from pinocchio_core.testing import make_app
from pinocchio_core.web.access import ROUTES
from pinocchio_plugins import echo, starter_profile

PAGE = (Path(__file__).parents[2] / "docs/http-api.md").read_text(encoding="utf-8")
WHO = PAGE.split("### Who may")[1].split("\n### ")[0]


@pytest.fixture
def app():
    with make_app(starter_profile, echo) as made:
        yield made


def test_every_route_and_method_states_its_role_and_no_other_does(app):
    served = {
        (route.path, method.method)
        for route in falcon.inspect.inspect_app(app.program.app).routes
        for method in route.methods
        if not method.internal and method.method not in ("HEAD", "OPTIONS")
    }

    assert {(path, method) for path, needs in ROUTES.items() for method in needs} == served


def test_http_docs_say_who_may_as_the_server_does():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in WHO.splitlines() if line.startswith("| `")
    ]
    told = {
        (path, method): (who, limited == "yes")
        for routes, methods, who, limited in rows
        for path in re.findall(r"`([^`]+)`", routes)
        for method in methods.split(", ")
    }
    stated = {
        (path, method): (need.roles[-1].value if need.roles else "anybody", need.limited)
        for path, needs in ROUTES.items()
        for method, need in needs.items()
    }

    assert told == stated


def test_a_role_may_what_the_one_before_it_may():
    order = tuple(reversed(Role))
    for needs in ROUTES.values():
        for need in needs.values():
            assert need.roles == order[: len(need.roles)]


def test_openapi_operations_ask_for_a_token_where_the_server_does(app):
    document = app.get("/openapi.json").json
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            need = ROUTES[path][method.upper()]
            assert operation.get("security") == (None if need.roles else [{}, {"token": []}]), (path, method)
            assert {"401", "403", "421", "429"} - operation["responses"].keys() == set(), (path, method)
