"""Rounds of samples, figures made of them, and their table."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import psutil

QUIET_CORES = 0.2
"""What others may use of the machine while a sample is taken; beyond it the sample is taken again."""
TRIES = 2
QUIET_WAIT_S = 3
"""How long to wait for others before a sample is taken again."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One measurement: named values (a rate, times, memory), and what others used of the machine."""

    values: Mapping[str, float]
    others_cpu: float


Samples = dict[str, list[Sample]]
"""By subject, in order of rounds."""


def interleaved(subjects: Mapping[str, Callable[[], Sample]], *, rounds: int, deadline: float) -> Samples:
    """Every subject once a round, in turning order, at least two rounds; stops early at the deadline."""
    taken: Samples = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(rounds):
        if number >= 2 and time.monotonic() > deadline:
            break
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(_quiet(subjects[name], deadline))
    return taken


def _quiet(subject: Callable[[], Sample], deadline: float) -> Sample:
    best = subject()
    for _ in range(TRIES - 1):
        if best.others_cpu <= QUIET_CORES or time.monotonic() > deadline:
            break
        _wait_for_quiet(min(deadline, time.monotonic() + QUIET_WAIT_S))
        best = min(best, subject(), key=lambda sample: sample.others_cpu)
    return best


def _wait_for_quiet(deadline: float) -> None:
    while time.monotonic() < deadline:
        if sum(psutil.cpu_percent(interval=0.2, percpu=True)) <= QUIET_CORES * 100:
            break


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a ratio, a difference or a value must be."""

    relation: str
    bound: float
    of: str = "ratio"
    """`ratio` or `difference` to the reference, or the `value` itself."""

    def met(self, value: float) -> bool:
        """Whether it is."""
        return value >= self.bound if self.relation == "≥" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}" + {"ratio": "", "difference": " more", "value": ""}[self.of]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    values: Sequence[float]
    reference: str = ""
    reference_values: Sequence[float] = ()
    target: Target | None = None
    cpu_ratio: float | None = None
    """CPU time of the server for an answer of the reference, divided by the same for this one: for rates, what the
    ratio would be if nothing disturbed. It holds on a shared machine where the ratio of the rates does not."""
    contended: int = 0
    """Rounds in which others used more of the machine than is fair."""
    compared: list[float] = field(init=False)
    """Ratio or difference to the reference, round by round."""

    def __post_init__(self) -> None:
        pairs = zip(self.values, self.reference_values, strict=False)
        apart = self.target is not None and self.target.of == "difference"
        compared = [own - other if apart else own / other for own, other in pairs]
        object.__setattr__(self, "compared", compared)

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; `None` without one, and for speeds that others disturbed."""
        if self.target is None or self._disturbed:
            return None
        return self.target.met(statistics.median(self.values if self.target.of == "value" else self.compared))

    @property
    def _disturbed(self) -> bool:
        return bool(self.contended) and self.unit != "MB"

    @property
    def _verdict(self) -> str:
        if self.target and self._disturbed:
            return "not judged: contended"
        return {True: "yes", False: "**no**", None: "-"}[self.met]

    def document(self) -> dict[str, object]:
        """It for the JSON file."""
        return asdict(self) | {"met": self.met, "summary": _three(self.values), "comparison": _three(self.compared)}

    def row(self) -> str:
        """It as a row of the table."""
        cells = (
            self.name + (f" ({self.contended} of {len(self.values)} rounds contended)" if self._disturbed else ""),
            f"{_shown(self.values)} {self.unit}",
            self.reference,
            _shown(self.reference_values),
            _shown(self.compared),
            "-" if self.cpu_ratio is None else _number(self.cpu_ratio),
            str(self.target or "-"),
            self._verdict,
        )
        return f"| {' | '.join(cells)} |"


def figure(
    samples: Samples,
    name: str,
    *,
    unit: str,
    value: tuple[str, str],
    reference: tuple[str, str] | None = None,
    against: str = "",
    target: Target | None = None,
) -> Figure:
    """A figure of one subject's value, compared with a value of another (or the same) subject round by round.

    Rounds in which either was contended are left out where three others remain.
    """
    both = [value] if reference is None else [value, reference]
    rounds = list(zip(*(samples[subject] for subject, _ in both), strict=True))
    quiet = [each for each in rounds if all(sample.others_cpu <= QUIET_CORES for sample in each)]
    kept = quiet if len(quiet) >= 3 else rounds
    return Figure(
        name=name,
        unit=unit,
        values=[each[0].values[value[1]] for each in kept],
        reference=against,
        reference_values=[each[1].values[reference[1]] for each in kept] if reference else (),
        target=target,
        cpu_ratio=_cpu_ratio(kept) if value[1] == "rate" and reference else None,
        contended=len(kept) - len(quiet) if kept is rounds else 0,
    )


def table(figures: Sequence[Figure]) -> str:
    """All figures in Markdown; three numbers are minimum / median / maximum over the rounds."""
    head = (
        "Figure",
        "Measured",
        "Reference",
        "Reference measured",
        "Ratio or difference",
        "By CPU time",
        "Target",
        "Met",
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(each.row() for each in figures)]
    return "\n".join(lines)


def _cpu_ratio(rounds: Sequence[tuple[Sample, ...]]) -> float | None:
    if not all("cpu_us" in sample.values for each in rounds for sample in each):
        return None
    return statistics.median(each[1].values["cpu_us"] / each[0].values["cpu_us"] for each in rounds)


def _three(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _shown(values: Sequence[float]) -> str:
    return " / ".join(_number(value) for value in _three(values).values())


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
