import threading

import pytest

from pinocchio_core.web.counting import Counts, Family, Times, TimesFamily, TimesOfThreads, single
from pinocchio_core.web.exposition import text_of


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_counts_of_all_threads_come_together():
    counts = Counts()

    def work():
        for _ in range(1_000):
            counts.add("create")
            counts.add("delete", by=2)

    in_threads(4, work)
    assert counts.total() == {("create",): 4_000, ("delete",): 8_000}


@pytest.mark.parametrize("kind", [Times, TimesOfThreads])
def test_times_of_all_threads_come_together_in_their_buckets(kind):
    times = kind((0.5, 1.0))

    def work():
        for seconds in (0.25, 0.5, 0.75, 2.0):
            times.observe(seconds, "echo")

    in_threads(4, work)
    assert times.total() == {("echo",): [8, 4, 4, 14.0]}


def test_a_scrape_adds_the_buckets_up_and_keeps_labels_apart_from_the_format():
    families = [
        Family("counter", "writes", "Writes.", [(('a"b\n',), 2)], labels=("op",)),
        single("gauge", "open", "Open.", 1),
        TimesFamily("took_seconds", "Took.", [(("x",), [1.0, 2.0, 3.0, 9.5])], labels=("engine",), bounds_s=(0.5, 1.0)),
    ]
    assert text_of(families).decode().splitlines() == [
        "# HELP writes_total Writes.",
        "# TYPE writes_total counter",
        r'writes_total{op="a\"b\n"} 2.0',
        "# HELP open Open.",
        "# TYPE open gauge",
        "open 1.0",
        "# HELP took_seconds Took.",
        "# TYPE took_seconds histogram",
        'took_seconds_bucket{engine="x",le="0.5"} 1.0',
        'took_seconds_bucket{engine="x",le="1.0"} 3.0',
        'took_seconds_bucket{engine="x",le="+Inf"} 6.0',
        'took_seconds_count{engine="x"} 6.0',
        'took_seconds_sum{engine="x"} 9.5',
    ]
