"""The gate: one writer at a time, and nobody waits for the dead."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pinocchio_core.errors import StoreUnavailable
from pinocchio_core.store.sqlite.gate import WriteGate

COUNT = """
import sys
from pathlib import Path
from pinocchio_core.store.sqlite.gate import WriteGate
gate, counter = WriteGate(Path(sys.argv[1]), timeout_ms=60_000), Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(300):
    with gate.hold():
        counter.write_text(str(int(counter.read_text()) + 1))
gate.close()
"""
HOLD = """
import sys
from pathlib import Path
from pinocchio_core.store.sqlite.gate import WriteGate
with WriteGate(Path(sys.argv[1]), timeout_ms=60_000).hold():
    print("held", flush=True)
    sys.stdin.readline()
"""


def start(program: str, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline(), "it did not start"
    return process


def test_processes_that_count_under_the_gate_lose_no_count(tmp_path: Path) -> None:
    gate, counter = tmp_path / "a.lock", tmp_path / "counter"
    counter.write_text("0")
    processes = [start(COUNT, gate, counter) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert counter.read_text() == "600"


def test_threads_that_count_under_the_gate_lose_no_count(tmp_path: Path) -> None:
    gate, counter = WriteGate(tmp_path / "a.lock", timeout_ms=60_000), tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(50):
            with gate.hold():
                counter.write_text(str(int(counter.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    gate.close()
    assert counter.read_text() == "200"


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    process = start(HOLD, path)
    with process:
        mine = WriteGate(path, timeout_ms=50)
        with (
            pytest.raises(StoreUnavailable, match="another process did not end its write within the busy timeout"),
            mine.hold(),
        ):
            pytest.fail("two held the gate")
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        with mine.hold():
            pass
        mine.close()


def test_a_waiting_thread_gives_up_at_the_busy_timeout(tmp_path: Path) -> None:
    gate = WriteGate(tmp_path / "a.lock", timeout_ms=50)
    reasons: list[str] = []

    def wait() -> None:
        with pytest.raises(StoreUnavailable) as caught, gate.hold():
            pass
        reasons.append(caught.value.reason)

    with gate.hold():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(30)
    gate.close()
    assert reasons == ["another write of this server did not end within the busy timeout"]


def test_the_gate_opens_again_after_an_exception(tmp_path: Path) -> None:
    gate = WriteGate(tmp_path / "a.lock", timeout_ms=50)
    with pytest.raises(RuntimeError, match="boom"), gate.hold():
        raise RuntimeError("boom")
    with gate.hold():
        pass
    gate.close()


def test_the_file_that_is_locked_is_for_its_owner_alone(tmp_path: Path) -> None:
    gate = WriteGate(tmp_path / "a.lock", timeout_ms=50)
    gate.close()
    assert (tmp_path / "a.lock").stat().st_mode & 0o077 == 0


def test_a_database_in_memory_needs_no_file() -> None:
    gate = WriteGate(None, timeout_ms=50)
    with gate.hold():
        pass
    gate.close()
