"""What a chat costs beside the engine: `echo` answers at once, so that all that is left is ours."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from databases import Filled
from figures import Figure, Sample, Samples, Target, figure, interleaved
from processes import Lab, Running

PROFILE = "/api/chat/profiles/agent"
PROMPT = json.dumps({"prompt": "hello %016d"})
OVERRIDE = json.dumps({"overrides": {"system_prompt": "%016d"}})
STREAMS, PAUSE_MS = 50, 50
ONE = "one client; the profile agent with its middleware agentmode, around echo"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure, on which database."""

    filled: Filled
    rounds: int
    sample_s: float
    group_s: float


def measured(lab: Lab, plan: Plan) -> tuple[list[Figure], Samples]:
    """The figures, and the samples they are made of."""
    answer = lab.folder / "answer.json"
    answer.write_text(json.dumps({"reply": "x" * 600}))
    bare = lab.reference("here", answer)
    kept = lab.pinocchio(plan.filled.path)
    in_memory = lab.pinocchio(plan.filled.path, "--turns-db", ":memory:")
    one = {"method": "POST", "body": PROMPT, "connections": 1}
    subjects = {
        "bare": _loaded(lab, plan, bare, "/", **one),
        "turn": _loaded(lab, plan, in_memory, "/chat/agent", **one),
        "kept turn": _loaded(lab, plan, kept, "/chat/agent", **one),
        "get": _loaded(lab, plan, kept, PROFILE),
        "first words": _first_words(lab, plan, in_memory),
        "get beside streams": _beside_streams(lab, plan, in_memory),
        "get alone": _loaded(lab, plan, in_memory, PROFILE),
        "resolve": _loaded(lab, plan, kept, f"{PROFILE}/resolve", method="POST", body=OVERRIDE),
    }
    samples = interleaved(subjects, rounds=plan.rounds, deadline=time.monotonic() + plan.group_s)
    lab.close()
    return _figures(samples), samples


def _loaded(lab: Lab, plan: Plan, server: Running, path: str, **job: object) -> Callable[[], Sample]:
    def sample() -> Sample:
        outcome = lab.load(server, [(path, "")], seconds=plan.sample_s, **job)
        return Sample(values=vars(outcome), others_cpu=outcome.others_cpu)

    return sample


def _first_words(lab: Lab, plan: Plan, server: Running) -> Callable[[], Sample]:
    def sample() -> Sample:
        took_ms = lab.first_words_ms(server, plan.sample_s)
        return Sample(values={"median_ms": took_ms[len(took_ms) // 2]}, others_cpu=0.0)

    return sample


def _beside_streams(lab: Lab, plan: Plan, server: Running) -> Callable[[], Sample]:
    get = _loaded(lab, plan, server, PROFILE)

    def sample() -> Sample:
        with lab.streams(server, STREAMS, PAUSE_MS):
            return get()

    return sample


def _figures(samples: Samples) -> list[Figure]:
    def added(name: str, subject: str, target: Target | None) -> Figure:
        both = {"value": (subject, "median_ms"), "reference": ("bare", "median_ms")}
        return figure(samples, name, unit="ms", against=f"a bare POST, {ONE}", target=target, **both)

    return [
        added("a turn, conversations in memory", "turn", Target(relation="≤", bound=1.0, of="difference")),
        added("a turn, kept on disk", "kept turn", None),
        figure(
            samples,
            "resolve, 8 clients",
            unit="/s",
            value=("resolve", "rate"),
            reference=("get", "rate"),
            against="GET of that profile",
            target=Target(relation="≥", bound=0.7),
        ),
        figure(
            samples,
            "first words as an event; echo has them at once",
            unit="ms",
            value=("first words", "median_ms"),
            target=Target(relation="≤", bound=10, of="value"),
        ),
        figure(
            samples,
            f"p99 of GET of that profile, 8 clients, beside {STREAMS} streams of {1000 // PAUSE_MS} words a second",
            unit="ms",
            value=("get beside streams", "p99_ms"),
            reference=("get alone", "p99_ms"),
            against="the same without streams",
            target=Target(relation="≤", bound=3),
        ),
    ]
