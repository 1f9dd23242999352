"""Which turns may run, and which wait or are refused."""

import threading

import pytest

from pinocchio_core.errors import ConversationBusy, TooManyTurns, TurnCancelled
from pinocchio_core.service.chats.admission import MAX_WAITING, Admission


def nobody(_):
    """Nobody listens."""


def test_only_so_many_turns_of_a_conversation_wait_and_all_of_them_run():
    admission, ran, waiting = Admission(20, in_threads=1), [], [threading.Event() for _ in range(MAX_WAITING)]

    def turn(number):
        with admission.place_for("c", holds_thread=False).turn(lambda _: waiting[number].set()):
            ran.append(number)

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(MAX_WAITING)]
    with admission.place_for("c", holds_thread=False).turn(nobody):
        for thread in threads:
            thread.start()
        assert all(event.wait(60) for event in waiting)
        with pytest.raises(ConversationBusy):
            admission.place_for("c", holds_thread=False)
        with admission.place_for("d", holds_thread=True).turn(nobody):
            assert ran == []
    for thread in threads:
        thread.join(60)
    assert sorted(ran) == list(range(MAX_WAITING))
    assert admission.running_or_waiting == 0


def test_only_so_many_turns_have_a_place():
    admission = Admission(2, in_threads=2)
    first, _ = admission.place_for("a", holds_thread=False), admission.place_for("a", holds_thread=True)
    with pytest.raises(TooManyTurns, match="2 chat turns run or wait already"):
        admission.place_for("c", holds_thread=False)
    first.leave()
    first.leave()
    assert admission.running_or_waiting == 1
    with admission.place_for("c", holds_thread=False).turn(nobody):
        assert admission.running_or_waiting == 2


def test_the_end_of_all_turns_is_waited_for_and_not_for_ever():
    admission, ending = Admission(9, in_threads=1), threading.Event()
    assert admission.wait_until_empty(0)
    place = admission.place_for("a", holds_thread=False)
    assert not admission.wait_until_empty(0)

    def leave():
        ending.wait(60)
        place.leave()

    thread = threading.Thread(target=leave)
    thread.start()
    ending.set()
    assert admission.wait_until_empty(60)
    thread.join(60)


def test_turns_that_hold_threads_have_a_bound_of_their_own_whether_they_run_or_wait():
    admission = Admission(9, in_threads=2)
    for _ in range(2):
        admission.place_for("a", holds_thread=True)
    with pytest.raises(TooManyTurns, match="2 chat turns that are answered whole run or wait already"):
        admission.place_for("b", holds_thread=True)
    with admission.place_for("b", holds_thread=False).turn(nobody):
        pass


def test_who_goes_while_waiting_leaves_the_place_to_others():
    def gone(_):
        raise TurnCancelled

    admission = Admission(2, in_threads=2)
    with admission.place_for("c", holds_thread=True).turn(nobody):
        for _ in range(2):
            with pytest.raises(TurnCancelled), admission.place_for("c", holds_thread=True).turn(gone):
                pass
    with admission.place_for("c", holds_thread=True).turn(nobody):
        pass
