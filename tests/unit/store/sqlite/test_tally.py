import threading

import pytest

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.sqlite.gate import WriteGate


def test_writers_that_waited_and_those_that_gave_up_are_counted(tmp_path):
    first, second = (WriteGate(tmp_path / "lock", timeout_ms=60_000) for _ in range(2))
    hurried = WriteGate(tmp_path / "lock", timeout_ms=5)

    def write():
        with second.hold():
            pass

    waiting = threading.Thread(target=write)
    with first.hold():
        waiting.start()
        with pytest.raises(StoreUnavailable), hurried.hold():
            pytest.fail("both hold the gate")
    waiting.join()
    assert (first.waits, first.timeouts) == (0, 0)
    assert (hurried.waits, hurried.timeouts) == (0, 1)
    assert second.timeouts == 0
    for gate in (first, second, hurried):
        gate.close()


def test_a_checkpoint_is_counted_and_timed(store, add):
    add("x")
    assert store.database.checkpoint(wait_ms=1000)
    tally = store.database.tally
    assert (tally.checkpoints, tally.checkpoints_blocked) == (1, 0)
    assert tally.checkpoint_s > 0
