"""The short form: a few ratios with wide margins, so that a change which makes something much slower is noticed.

`tox -e bench-short`, as part of every whole run. Fails where a ratio is worse than its bound, and says which.

The bounds are about half of what is normal (the second number of each): a shared machine with two cores moves a ratio
of two rates in one run by a fifth or so, and a figure that fails by chance would soon be ignored. What halves a speed
is found; what takes a tenth is for `tox -e bench`. A figure whose rounds others disturbed is judged by CPU times, which
hold there, where both sides have them, and not at all otherwise.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contenders import CONTENDERS, FASTAPI, GET, NOT_MODIFIED, OURS, PAGE, PATCH, RESOLVE, SCHEMAS
from databases import fill
from figures import QUIET_CORES, Sample, Samples, interleaved
from growth import Files, Plan, key, loaded
from peers import COMMITS, STATIC, of_references
from processes import Lab

from pinocchio_core.settings import DEFAULT_THREADS

RESULTS = Path(__file__).parents[2] / "bench-results"
ROUNDS, SAMPLE_S, BUDGET_S, PROFILES = 3, 0.4, 60, 1000
ASKED = {OURS: (GET, NOT_MODIFIED, PAGE, SCHEMAS, RESOLVE), FASTAPI: (GET, PAGE)}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """How one subject's rate may compare with another's at worst."""

    value: str
    reference: str
    least: float
    normal: float
    """What it was when the bound was set; only for people."""


BOUNDS = (
    Bound(value=key(GET, OURS), reference=key(GET, STATIC), least=0.45, normal=0.95),
    Bound(value=key(NOT_MODIFIED, OURS), reference=key(GET, OURS), least=0.6, normal=1.07),
    Bound(value=key(PAGE, OURS), reference=key(PAGE, STATIC), least=0.16, normal=0.33),
    Bound(value=key(SCHEMAS, OURS), reference=key(SCHEMAS, STATIC), least=0.7, normal=1.4),
    Bound(value=key(RESOLVE, OURS), reference=key(GET, OURS), least=0.33, normal=0.68),
    Bound(value=key(PATCH, OURS), reference=key(PATCH, COMMITS), least=0.09, normal=0.19),
    Bound(value=key(GET, OURS), reference=key(GET, FASTAPI), least=3.5, normal=7.2),
    Bound(value=key(PAGE, OURS), reference=key(PAGE, FASTAPI), least=9.0, normal=19.0),
    Bound(value=key(PATCH, OURS), reference=key(PATCH, FASTAPI), least=0.9, normal=2.0),
)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What came of a bound."""

    bound: Bound
    measured: float
    by: str
    """`rate`, or `CPU time` where others disturbed the rates."""
    judged: bool

    @property
    def failed(self) -> bool:
        """Whether it was measured well enough, and is worse."""
        return self.judged and self.measured < self.bound.least

    def __str__(self) -> str:
        verdict = "FAILED" if self.failed else "ok" if self.judged else "not judged, others used the machine"
        of = f"{self.bound.value} / {self.bound.reference}"
        return f"{of}: {self.measured:.2f} by {self.by}, at least {self.bound.least:g}: {verdict}"


def judged(samples: Samples, bound: Bound) -> Judgement:
    """One bound, by the median of the quiet rounds' ratios; by CPU time where no round was quiet."""
    rounds = list(zip(samples[bound.value], samples[bound.reference], strict=True))
    quiet = [each for each in rounds if all(sample.others_cpu <= QUIET_CORES for sample in each)]
    if quiet:
        return Judgement(bound=bound, measured=_ratio(quiet, "rate"), by="rate", judged=True)
    if all("cpu_us" in sample.values for each in rounds for sample in each):
        return Judgement(bound=bound, measured=1 / _ratio(rounds, "cpu_us"), by="CPU time", judged=True)
    return Judgement(bound=bound, measured=_ratio(rounds, "rate"), by="rate", judged=False)


def summary(judgements: Sequence[Judgement]) -> str:
    """How many were judged, and how; those that were not are counted apart."""
    failed, judged_at_all = sum(each.failed for each in judgements), sum(each.judged for each in judgements)
    skipped = len(judgements) - judged_at_all
    return f"{judged_at_all - failed} passed, {failed} failed" + (f", {skipped} not judged" if skipped else "")


def _ratio(rounds: Sequence[tuple[Sample, Sample]], kind: str) -> float:
    return statistics.median(own.values[kind] / other.values[kind] for own, other in rounds)


def _samples(lab: Lab) -> Samples:
    plan = Plan(
        filled=lambda count: fill(lab.folder / f"{count}.db", count),
        sizes=(PROFILES,),
        clients=(8,),
        processes=(1,),
        base=PROFILES,
        rounds=ROUNDS,
        starts=1,
        sample_s=SAMPLE_S,
        group_s=BUDGET_S,
    )
    files = Files(lab, plan.filled)
    filled = files.of(PROFILES)
    subjects = of_references(lab, plan, files, filled)
    for contender in CONTENDERS:
        for operations in (ASKED.get(contender.name, ()), (PATCH,) if contender.name in ASKED else ()):
            if not operations:
                continue
            path = files.copy(contender, PROFILES)
            server = contender.start(lab, path, 1, None)
            requests = contender.requests(filled, path)
            for operation in operations:
                subjects[key(operation, contender.name)] = loaded(lab, server, requests[operation], SAMPLE_S)
    needed = {name for bound in BOUNDS for name in (bound.value, bound.reference)}
    wanted = {name: subject for name, subject in subjects.items() if name in needed}
    return interleaved(wanted, rounds=ROUNDS, deadline=time.monotonic() + BUDGET_S)


def main() -> int:
    """Measure and judge; the exit code."""
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix="databases-") as folder:
        lab = Lab(Path(folder), DEFAULT_THREADS)
        try:
            samples = _samples(lab)
        finally:
            lab.close()
    judgements = [judged(samples, bound) for bound in BOUNDS]
    for each in judgements:
        sys.stdout.write(f"{each}\n")
    sys.stdout.write(f"{summary(judgements)}\n")
    return int(any(each.failed for each in judgements))


if __name__ == "__main__":
    sys.exit(main())
