import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
VALUE, REFERENCE = "GET one | pinocchio", "GET one | other"


@pytest.fixture
def short(monkeypatch):
    pytest.importorskip("psutil")
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("short")


def judged(short, own, other, *, others_cpu=0.0):
    figures = importlib.import_module("figures")
    samples = {
        name: [figures.Sample(values=values, others_cpu=others_cpu)] * 3
        for name, values in ((VALUE, own), (REFERENCE, other))
    }
    return short.judged(samples, short.Bound(value=VALUE, reference=REFERENCE, least=0.5, normal=1.0))


def test_a_ratio_below_its_bound_fails_and_says_figure_measured_and_bound(short):
    judgement = judged(short, {"rate": 40.0}, {"rate": 100.0})

    assert judgement.failed
    assert str(judgement) == f"{VALUE} / {REFERENCE}: 0.40 by rate, at least 0.5: FAILED"


def test_a_ratio_at_its_bound_holds(short):
    assert not judged(short, {"rate": 50.0}, {"rate": 100.0}).failed


def test_disturbed_rounds_are_judged_by_cpu_time(short):
    slow = {"rate": 10.0, "cpu_us": 100.0}

    assert not judged(short, slow, {"rate": 100.0, "cpu_us": 80.0}, others_cpu=0.9).failed
    assert judged(short, slow, {"rate": 100.0, "cpu_us": 20.0}, others_cpu=0.9).failed


def test_disturbed_rounds_without_cpu_times_fail_nothing(short):
    assert not judged(short, {"rate": 1.0}, {"rate": 100.0}, others_cpu=0.9).failed


def test_tables_show_what_is_absent(short):
    report = importlib.import_module("report")

    assert report.markdown(["a", "b"], [["1", report.shown(None)]]) == "| a | b |\n| --- | --- |\n| 1 | - |"
    assert [report.shown(value) for value in (12345.6, 12.34, 0.1234)] == ["12,346", "12.3", "0.123"]
