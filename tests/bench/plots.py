"""Plots of what was measured beside the peers: `plots.py RESULT.json FOLDER` draws those of a run that was kept.

Each as PNG and SVG. The colours are those of Okabe and Ito, which colour-blind people can tell apart; lines have marks
of their own besides.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from contenders import CONTENDERS, GET, OPERATIONS, PAGE, PATCH
from figures import Sample, Samples
from growth import key, parts
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from peers import REFERENCES
from report import median

COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#999999", "#882255", "#D5C711", "#000000")
MARKS = ("o", "s", "^", "D", "v", "x", "1", "+", "*")
SUBJECTS = (*(contender.name for contender in CONTENDERS), *REFERENCES)
STYLE = dict(zip(SUBJECTS, zip(COLOURS, MARKS, strict=True), strict=True))
SWEPT = (GET, PAGE, PATCH)
SIZE_INCHES = {"throughput": (8.0, 10.0), "growth": (10.5, 4.0)}


def drawn(samples: Mapping[str, Samples], folder: Path, stamp: str) -> list[Path]:
    """Draw all plots; the files, whose names begin with `stamp` where there is one."""
    mpl.rcParams["svg.hashsalt"] = "bench"  # the same run gives the same file
    figures = {
        "throughput": _throughput(samples["peers"]),
        "profiles": _growth(samples["peers by size"], "profiles in the database"),
        "clients": _growth(samples["peers by clients"], "clients, each with one request under way"),
    }
    made = []
    for name, figure in figures.items():
        for kind in ("png", "svg"):
            path = folder / f"{f'{stamp}-' if stamp else ''}{name}.{kind}"
            figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            made.append(path)
    return made


def _throughput(base: Samples) -> Figure:
    """Bars by operation and subject; the axis is logarithmic, because a list takes a hundred times a profile."""
    figure = Figure(figsize=SIZE_INCHES["throughput"], layout="constrained")
    axes = figure.subplots()
    at, ticks, seen = 0.0, [], set()
    for operation in OPERATIONS:
        present = [(each, rate) for each in SUBJECTS if (rate := median(base, key(operation, each), "rate"))]
        ticks.append((at + (len(present) - 1) / 2, operation))
        for subject, rate in present:
            label = None if subject in seen else subject
            axes.barh(at, rate, height=0.9, color=STYLE[subject][0], label=label)
            axes.annotate(f"{rate:,.0f}", (rate, at), (3, 0), textcoords="offset points", va="center", fontsize=7)
            seen.add(subject)
            at += 1
        at += 1
    axes.set_yticks([place for place, _ in ticks], [operation for _, operation in ticks])
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.7)  # room for the numbers
    axes.set_ylim(at, -1)
    axes.set_xlabel("requests a second (logarithmic; 1,000 profiles, 8 clients, one core)")
    _plain(axes, grid="x")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure


def _growth(swept: Samples, what: str) -> Figure:
    """A panel for each operation that peers have, a line for each subject."""
    figure = Figure(figsize=SIZE_INCHES["growth"], layout="constrained")
    points = sorted({int(parts(name)[2]) for name in swept})
    for axes, operation in zip(figure.subplots(1, len(SWEPT)), SWEPT, strict=True):
        for subject, (colour, mark) in STYLE.items():
            found = [(point, median(swept, key(operation, subject, point), "rate")) for point in points]
            known = [each for each in found if each[1] is not None]
            if known:
                label = subject if operation == SWEPT[0] else None
                axes.plot(*zip(*known, strict=True), color=colour, marker=mark, markersize=5, label=label)
        axes.set_title(operation, fontsize=10)
        axes.set_xscale("log")
        axes.set_xticks(points, [f"{point:,}" for point in points], minor=False)
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel(what, fontsize=9)
        _plain(axes, grid="y")
    figure.axes[0].set_ylabel("requests a second")
    figure.legend(loc="outside upper center", ncols=len(CONTENDERS), frameon=False, fontsize=8)
    return figure


def _plain(axes: Axes, *, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def main(result: str, folder: str) -> None:
    """Draw those of a run that was kept."""
    raw = json.loads(Path(result).read_text())["samples"]
    samples = {
        group: {name: [Sample(**each) for each in taken] for name, taken in subjects.items()}
        for group, subjects in raw.items()
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in drawn(samples, Path(folder), ""):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
