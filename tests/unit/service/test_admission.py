"""Which turns may run, and which wait or are refused."""

import threading
from contextlib import ExitStack

import pytest

from pinocchio_core.errors import ConversationBusy, Overloaded, TurnCancelled
from pinocchio_core.service.admission import MAX_WAITING, Admission


def nobody(_):
    """Nobody listens."""


def test_only_so_many_turns_of_a_conversation_wait_and_all_of_them_run():
    admission, ran, waiting = Admission(2), [], [threading.Event() for _ in range(MAX_WAITING)]

    def turn(number):
        with admission.turn_of("c", lambda _: waiting[number].set()):
            ran.append(number)

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(MAX_WAITING)]
    with admission.turn_of("c", nobody):
        for thread in threads:
            thread.start()
        assert all(event.wait(60) for event in waiting)
        with pytest.raises(ConversationBusy), admission.turn_of("c", nobody):
            pass
        with admission.turn_of("d", nobody):
            assert ran == []
    for thread in threads:
        thread.join(60)
    assert sorted(ran) == list(range(MAX_WAITING))


def test_only_so_many_turns_run_at_one_time():
    admission = Admission(2)
    with ExitStack() as running:
        running.enter_context(admission.turn_of("a", nobody))
        running.enter_context(admission.turn_of("b", nobody))
        with pytest.raises(Overloaded), admission.turn_of("c", nobody):
            pass
    with admission.turn_of("c", nobody):
        pass


def test_who_goes_while_waiting_leaves_the_place_to_others():
    def gone(_):
        raise TurnCancelled

    admission = Admission(1)
    with admission.turn_of("c", nobody):
        for _ in range(2):
            with pytest.raises(TurnCancelled), admission.turn_of("c", gone):
                pass
    with admission.turn_of("c", nobody):
        pass
