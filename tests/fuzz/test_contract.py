"""Every operation of the OpenAPI document under requests made from the document, and what has to hold of answers.

Schemathesis makes the requests: the document's examples, the corners of every schema, random ones that keep to the
schemas and such that do not, and sequences in which one answer's values go into the next request. What it knows to ask
of an answer is asked, with the departures that `config_of` lists. That a request which keeps to the schemas is refused
only for what a schema cannot say is asked by `refused_for_what_schemas_cannot_say`.
"""

import re
from collections import Counter

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

import pinocchio_agentmode
from pinocchio_core.testing import make_app
from pinocchio_plugins import calculator, echo, starter_profile, starter_suggestions
from pinocchio_plugins.sqlite import SqlitePlugin

PLUGINS = (SqlitePlugin, starter_profile, starter_suggestions, pinocchio_agentmode, calculator, echo)
EXAMPLES = 25
"""Random requests of each operation that keep to its schemas, and as many that do not."""

UNSAYABLE = (
    "must be the slug of the path",  # two places of one request
    "is about profile .* too|needs an id, because",  # several members of a list
    "send one of the two|already used|appears in both",
    "^(request_)?overrides.*once more",  # one key, spelled in two ways
    "does not allow engine overrides",  # depends on the profile
    "is a deletion, which leaves nothing to restore",  # depends on its history
    "and more problems than are listed",
    "without a fraction and an exponent",  # 1.0 is an integer to JSON Schema
    r'invalid version "(\\u[0-9a-f]{4}|\s)*\d{19}\D',  # a pattern bounds the digits, not the number
    "does not fit into 64 bits|nested more than|more than .* values",  # of values that may be anything
    "unknown (middleware|tool)",  # depends on the plugins, and so do configs, settings and extensions
    r"runtime\.middlewares\[\d+\]\.config",
    r"^runtime\.extends",  # depends on the profiles that are there, and on other members of the list
    r"^(writes\[\d+\]\.document\.)?extensions",
    r"^writes\[\d+\]\.document",  # depends on what the write does
    r'header\.If-(None-)?Match: .*got "0"$',  # the sample that Schemathesis sends does not keep to the pattern
)
"""Why a request is refused though it keeps to its schema."""

EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "additionalProperties": False,
}


@schemathesis.check
def refused_for_what_schemas_cannot_say(ctx, response, case):
    """A request that keeps to the document is not refused as malformed."""
    if response.status_code != 400 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    told = [f"{problem['field']}: {problem['reason']}" for problem in response.json()["errors"]]
    unexplained = [text for text in told if not re.search("|".join(UNSAYABLE), text)]
    assert not unexplained, f"the document allows it, and it is refused: {unexplained[0]}"


def config_of(seed):
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "checks": {
                # what a schema cannot say (an unknown middleware, a slug other than the path's) is refused with 400
                # all the same; `refused_for_what_schemas_cannot_say` asks for the reasons instead
                "positive_data_acceptance": {"enabled": False},
            },
        }
    )


def document_of(app):
    """The document as this app keeps to it, in the words of Schemathesis."""
    document = app.get("/openapi.json").json
    for response in document["components"]["responses"].values():
        if events_schema := response.get("content", {}).get("text/event-stream"):
            events_schema["schema"] = EVENT  # it looks at them one by one; OpenAPI 3.1 describes their whole text
    del document["security"]  # this app asks for no tokens, as the scheme's description says
    return document


def faults_of(schema, requests):
    """What is wrong with any answer, each kind once, with the request as a command; counts requests by status."""
    found = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found[str(event)] = repr(getattr(event, "value", None) or event.exception)
        recorder = getattr(event, "recorder", None)
        if recorder is None:
            continue
        for interaction in recorder.interactions.values():
            requests[interaction.response.status_code if interaction.response else None] += 1
        for case, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    kind = re.sub(r"[^ a-z]+", "", str(check.failure_info.failure))[:100]
                    key = f"{recorder.cases[case].value.operation.label}: {check.name} {kind}"
                    found.setdefault(key, _told(check, recorder.interactions[case].response))
    return found


def _told(check, response):
    failure = check.failure_info.failure
    answer = "" if response is None else f"{response.status_code} {response.content[:1000]!r}"
    return f"{failure.title}: {failure}\n{check.failure_info.code_sample[:3000]}\n{answer}"


def test_contract_holds_for_whatever_the_document_lets_one_send(budget):
    requests = Counter()
    for seed in budget.seeds():
        with make_app(*PLUGINS) as app:
            schema = schemathesis.openapi.from_dict(document_of(app), config=config_of(seed))
            schema.app = app.program.app
            found = faults_of(schema, requests)
        budget.tell(f"{requests.total()} requests, by status {dict(sorted(requests.items()))}")
        assert not found, f"seed {seed}\n\n" + "\n\n".join(f"=== {key}\n{text}" for key, text in found.items())
    assert requests.keys() >= {200, 201, 204, 304, 400, 404, 405, 409, 412}
