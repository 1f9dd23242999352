"""docs/http-api.md has every limit, route and kind of error, and its examples are what the app answers."""

import json
import re
from pathlib import Path

import falcon.inspect
import pytest
from waitress import utilities

import pinocchio_agentmode
from pinocchio_core.domain import limits
from pinocchio_core.errors import PinocchioError, StartupError
from pinocchio_core.testing import make_app
from pinocchio_core.web.errors import plain_problem, row_of
from pinocchio_plugins import calculator, echo, starter_profile, starter_suggestions
from pinocchio_plugins.sqlite import SqlitePlugin

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/http-api.md").read_text(encoding="utf-8")
ROWS = [tuple(cell.strip(" `") for cell in line.strip("|").split("|")) for line in PAGE.splitlines() if line[:1] == "|"]
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CONSTANTS = {name: value for name, value in vars(limits).items() if name.isupper()}


@pytest.fixture
def app():
    with make_app(SqlitePlugin, starter_profile, starter_suggestions, pinocchio_agentmode, calculator, echo) as made:
        yield made


def test_http_docs_list_every_limit_with_its_value():
    listed = {row[0]: row[1] for row in ROWS if row[0].startswith(("MAX_", "MIN_"))}

    assert listed == {name: str(value) for name, value in CONSTANTS.items()}


def test_http_docs_list_every_route_with_its_methods(app):
    routes = falcon.inspect.inspect_app(app.program.app).routes
    served = {
        route.path: {method.method for method in route.methods if not method.internal} - {"HEAD", "OPTIONS"}
        for route in routes
    }
    listed = {
        path: set(row[1].split(", "))
        for row in ROWS
        if row[0][:1] == "/" and len(row) == 3
        for path in row[0].split("`, `")
    }

    assert listed == served


def classes_of(kind):
    yield kind
    for child in kind.__subclasses__():
        yield from classes_of(child)


def kinds_of_error():
    """Status, title and code of everything that is raised while a request runs, by whichever layer."""
    places = [
        path for part in ("core", "plugins") for path in (ROOT / part).rglob("*.py") if path.parent.name != "errors"
    ]
    sources = "".join(path.read_text() for path in places)
    for kind in classes_of(PinocchioError):
        if issubclass(kind, StartupError):
            continue
        if not kind.__subclasses__() or re.search(rf"(raise|return) {kind.__name__}\b", sources):
            status, title = row_of(kind)
            yield status, title, getattr(kind, "code", title.replace(" ", "_"))
    by_itself = {
        (kind.code, kind.reason.lower()) for kind in classes_of(utilities.Error) if kind is not utilities.Error
    }
    for status, title in by_itself - {(413, "request entity too large")} | {(500, "internal error")}:
        yield status, title, plain_problem(status, title, "")["code"]


def test_http_docs_list_every_kind_of_error_with_its_status_and_code(app):
    no_path, no_method = app.get("/nowhere").json, app.request("PUT", "/healthz").json
    sent = {*kinds_of_error(), *((each["status"], each["title"], each["code"]) for each in (no_path, no_method))}

    assert {(int(row[0]), *row[1:3]) for row in ROWS if row[0].isdigit()} == sent


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_http_docs_json_is_valid(block):
    assert json.loads(block)


def test_http_docs_error_is_what_the_app_answers(app):
    sent = json.loads(re.search(r"-d '(\{.*?\})'", PAGE, re.DOTALL)[1])
    shown = json.loads(_block_after("<!-- answer -->"))

    assert app.post("/api/chat/profiles", sent, x_request_id=shown["request_id"]).json == shown


def test_http_docs_middleware_schema_is_what_the_app_answers(app):
    assert json.loads(_block_after("<!-- answer: agentmode -->")) in app.get("/api/chat/schemas/middlewares").json


def test_http_docs_profile_can_be_read_edited_and_sent_again(app):
    shown = next(json.loads(block) for block in BLOCKS if block.startswith('{\n  "registry"'))
    created = app.post("/api/chat/profiles", shown)

    assert created.status == 201
    assert created.json | {"metadata": shown["metadata"]} == shown
    assert app.patch("/api/chat/profiles/analyst", created.json).json == created.json


def test_http_docs_forms_of_a_config_are_stored_alike(app):
    forms = [json.loads(block) for block in BLOCKS if block.startswith(('{"runtime"', '{\n  "runtime"'))]
    inline, in_extension = (
        app.post("/api/chat/profiles", {"slug": f"form-{number}"} | form).json for number, form in enumerate(forms)
    )

    assert inline["extensions"] == in_extension["extensions"] == forms[1]["extensions"]
    assert inline["runtime"] == in_extension["runtime"] == forms[1]["runtime"]


def _block_after(mark: str) -> str:
    return PAGE.split(mark)[1].split("```json\n")[1].split("```")[0]
