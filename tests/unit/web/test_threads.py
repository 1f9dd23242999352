import logging
import threading
from queue import SimpleQueue

import pytest

from pinocchio_core.web.threads import Threads

DEADLINE_S = 60


class Task:
    """What a connection is to these threads."""

    def __init__(self, work=lambda: None):
        self.work = work
        self.served, self.cancelled = threading.Event(), threading.Event()

    def service(self):
        self.work()
        self.served.set()

    def cancel(self):
        self.cancelled.set()


@pytest.fixture
def threads():
    made = Threads()
    made.set_thread_count(2)
    yield made
    made.shutdown(timeout=DEADLINE_S)


def test_tasks_are_served_by_so_many_threads_at_a_time(threads):
    began, go_on = SimpleQueue(), threading.Event()

    def work():
        began.put(threading.current_thread().name)
        assert go_on.wait(DEADLINE_S)

    tasks = [Task(work) for _ in range(3)]
    for task in tasks:
        threads.add_task(task)
    assert {began.get(timeout=DEADLINE_S), began.get(timeout=DEADLINE_S)} == {"waitress-0", "waitress-1"}
    assert began.empty()
    go_on.set()
    assert all(task.served.wait(DEADLINE_S) for task in tasks)


def test_a_task_that_fails_is_logged_and_costs_no_thread(threads, caplog):
    def fail():
        raise KeyError("gone")

    for _ in range(4):
        threads.add_task(Task(fail))
    last = Task()
    threads.add_task(last)
    assert last.served.wait(DEADLINE_S)
    assert not threads.shutdown(timeout=DEADLINE_S)
    assert [record.exc_info[0] for record in caplog.records] == [KeyError] * 4


def test_a_shutdown_cancels_what_was_not_begun_and_does_not_wait_for_ever(threads, caplog):
    began, go_on = SimpleQueue(), threading.Event()

    def hang():
        began.put(None)
        assert go_on.wait(DEADLINE_S)

    hanging, waiting = [Task(hang), Task(hang)], [Task(), Task()]
    for task in hanging:
        threads.add_task(task)
    for _ in hanging:
        began.get(timeout=DEADLINE_S)
    for task in waiting:
        threads.add_task(task)
    caplog.set_level(logging.WARNING)
    assert threads.shutdown(timeout=0)
    assert "2 thread(s) still running" in caplog.text
    assert all(task.cancelled.is_set() and not task.served.is_set() for task in waiting)
    assert not threads.shutdown(timeout=0)
    go_on.set()
    assert all(task.served.wait(DEADLINE_S) for task in hanging)
