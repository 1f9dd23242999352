"""Chatting with real servers: events while the engine works, clients that go, servers that die."""

import json
import signal
import socket

import pytest

CONVERSATIONS = "/api/chat/conversations"
ENDLESS = {"echo": {"say": "again ", "repeat": 1000, "pause-ms": 20}}
"""Settings of an engine that takes much longer than anyone waits."""


@pytest.fixture
def talk():
    """Send a chat request and get the open socket, to read the events as they come."""
    opened = []

    def send(server, document):
        body = json.dumps({"profile": "agent", "stream": True} | document).encode()
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        opened.append(connection)
        head = (
            f"POST /chat HTTP/1.1\r\nHost:[::1]\r\nContent-Type:application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        return connection

    yield send
    for connection in opened:
        connection.close()


def read_until(connection, words):
    received = b""
    while words not in received:
        data = connection.recv(65536)
        assert data, received
        received += data
    return received


def status_of(server, conv_id):
    answer = server.request("GET", f"{CONVERSATIONS}/{conv_id}")
    return answer.status == 200 and [turn["status"] for turn in answer.json["turns"]]


def test_events_come_while_the_engine_works_and_a_client_that_goes_ends_it(serving, talk, until, tmp_path):
    with serving(tmp_path) as server:
        connection = talk(server, {"prompt": "hello", "conv_id": "c", "overrides": {"step_settings_patch": ENDLESS}})
        read_until(connection, b"event: delta")
        assert status_of(server, "c") == ["running"]
        connection.close()
        until(lambda: status_of(server, "c") == ["cancelled"])
        assert server.request("POST", "/chat", {"prompt": "next", "conv_id": "c"}).status == 200
        kept = server.request("GET", f"{CONVERSATIONS}/c").json["turns"]
        assert [turn["blocks"][0]["text"] for turn in kept] == ["hello", "next"]


def test_a_client_that_waits_for_a_whole_answer_and_goes_ends_its_turn(serving, talk, until, tmp_path):
    with serving(tmp_path) as server:
        settings = {"step_settings_patch": ENDLESS}
        connection = talk(server, {"prompt": "hello", "conv_id": "c", "stream": False, "overrides": settings})
        until(lambda: status_of(server, "c") == ["running"])
        connection.close()
        until(lambda: status_of(server, "c") == ["cancelled"])


def test_many_more_streams_than_threads_and_other_requests_go_on(serving, talk, until, tmp_path):
    with serving(tmp_path, "--threads", 4) as server:
        endless = {"prompt": "hello", "overrides": {"step_settings_patch": ENDLESS}}
        connections = [talk(server, endless | {"conv_id": f"c-{number}"}) for number in range(50)]
        for connection in connections:
            read_until(connection, b"event: delta")
        assert server.request("GET", "/api/chat/profiles/agent").status == 200
        assert server.request("POST", "/chat", {"prompt": "whole"}).status == 200
        for connection in connections:
            connection.close()
        until(lambda: all(status_of(server, f"c-{number}") == ["cancelled"] for number in range(50)))


def test_turns_beyond_the_bounds_are_refused_before_anything_is_sent(serving, talk, until, problem, tmp_path):
    endless = {"prompt": "hello", "overrides": {"step_settings_patch": ENDLESS}}
    with serving(tmp_path, "--threads", 2, "--turns-at-once", 2) as server:
        whole = talk(server, endless | {"conv_id": "whole", "stream": False})
        until(lambda: status_of(server, "whole") == ["running"])
        refused = server.request("POST", "/chat", {"prompt": "whole too"})
        assert "1 chat turns that are answered whole" in problem(refused, 503, "overloaded")["detail"]
        read_until(talk(server, endless), b"event: delta")
        refused = server.request("POST", "/chat", {"prompt": "x", "stream": True})
        assert problem(refused, 503, "overloaded")["next_step"].startswith("try again in 1 s; --turns-at-once")
        assert refused.headers["Retry-After"] == "1"
        whole.close()
        until(lambda: server.request("POST", "/chat", {"prompt": "whole too"}).status == 200)


def test_a_queue_that_is_full_is_said_before_anything_is_sent(serving, talk, until, problem, tmp_path):
    endless = {"prompt": "hello", "conv_id": "c", "overrides": {"step_settings_patch": ENDLESS}}
    with serving(tmp_path) as server:
        read_until(talk(server, endless), b"event: delta")
        for _ in range(8):
            read_until(talk(server, endless), b"\r\n\r\n")
        refused = server.request("POST", "/chat", {"prompt": "x", "conv_id": "c", "stream": True})
        problem(refused, 429, "conversation busy")
        assert refused.headers["Retry-After"] == "2"
        assert server.stop() == 0
        assert server.log.splitlines()[-1].endswith("stopped")
    with serving(tmp_path) as server:
        assert set(status_of(server, "c")) == {"cancelled"}


def test_conversations_outlive_servers_and_a_turn_of_one_that_was_killed_is_no_obstacle(serving, talk, tmp_path):
    with serving(tmp_path) as server:
        connection = talk(server, {"prompt": "hello", "conv_id": "c", "overrides": {"step_settings_patch": ENDLESS}})
        read_until(connection, b"event: delta")
        server.signal(signal.SIGKILL)
        server.wait()
    assert (tmp_path / "data/profiles.turns.db").stat().st_mode & 0o777 == 0o600
    with serving(tmp_path) as server:
        assert status_of(server, "c") == ["running"]
        assert server.request("POST", "/chat", {"prompt": "next", "conv_id": "c"}).status == 200
        assert status_of(server, "c") == ["failed", "completed"]


def test_turns_of_one_conversation_on_two_servers_do_not_overlap(serving, talk, until, tmp_path):
    with serving(tmp_path) as one, serving(tmp_path) as two:
        settings = {"echo": {"say": "a b c d", "pause-ms": 50}}
        connection = talk(one, {"prompt": "hello", "conv_id": "c", "overrides": {"step_settings_patch": settings}})
        read_until(connection, b"event: delta")
        assert two.request("POST", "/chat", {"prompt": "next", "conv_id": "c"}).status == 200
        first, second = one.request("GET", f"{CONVERSATIONS}/c").json["turns"]
        assert first["ended_at_ms"] <= second["started_at_ms"]
        assert b'"reply":"a b c d"' in read_until(connection, b"event: done")


def test_a_server_that_stops_finishes_its_turns(serving, talk, tmp_path):
    with serving(tmp_path) as server:
        settings = {"echo": {"say": "a b c d", "pause-ms": 50}}
        connection = talk(server, {"prompt": "hello", "conv_id": "c", "overrides": {"step_settings_patch": settings}})
        read_until(connection, b"event: delta")
        server.signal(signal.SIGTERM)
        assert b'"reply":"a b c d"' in read_until(connection, b"event: done")
        assert server.wait() == 0


def test_where_conversations_are_kept_can_be_said(serving, run, tmp_path):
    with serving(tmp_path, "--turns-db", tmp_path / "elsewhere/turns.db") as server:
        assert server.request("POST", "/chat", {"prompt": "hello"}).status == 200
    assert (tmp_path / "elsewhere/turns.db").exists()
    assert not (tmp_path / "data/profiles.turns.db").exists()
    done = run(tmp_path, "web-chat", "--turns-db", tmp_path / "data/profiles.db", PINOCCHIO_ADDR="127.0.0.1:0")
    assert done.returncode == 1
    assert "is a database of another kind" in done.stderr


def test_an_engine_that_is_not_there_is_said_at_the_start(run, tmp_path):
    done = run(tmp_path, "web-chat", "--engine", "gone", PINOCCHIO_ADDR="127.0.0.1:0")
    assert (done.returncode, 'unknown engine "gone"' in done.stderr) == (2, True)


def test_chats_go_on_where_the_file_of_conversations_was_removed_before_the_first(serving, tmp_path):
    with serving(tmp_path) as server:
        assert server.request("GET", "/healthz").status == 200
        files = sorted(tmp_path.glob("**/*.turns.db*"))
        assert files
        for file in files:
            file.unlink()
        assert server.request("POST", "/chat", {"prompt": "x"}).status == 503
        for _ in range(2):
            assert server.request("POST", "/chat", {"prompt": "x"}).status == 200
    with serving(tmp_path) as server:
        assert len(server.request("GET", CONVERSATIONS).json) == 2
