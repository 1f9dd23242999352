"""Real servers with a file of tokens, over the wire: several workers, the chat command, and raw requests."""

import json
import socket
import subprocess
from contextlib import closing

import pytest

PROFILES = "/api/chat/profiles"


@pytest.fixture
def give(run, tmp_path):
    """Make a token: `give("ann", "admin")`."""

    def create(name, role, *more):
        made = run(tmp_path, "tokens", "create", name, "--role", role, *more, "--file", tmp_path / "tokens")
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    return create


def test_every_worker_notices_a_token_that_is_given_and_taken(serving, run, give, until, tmp_path):
    ann = {"authorization": f"Bearer {give('ann', 'admin')}"}
    with serving(tmp_path, "--workers", 2, "--auth-tokens", tmp_path / "tokens", "--addr", ":0") as server:
        bob = {"authorization": f"Bearer {give('bob', 'reader')}"}
        assert "access with 1 tokens of" in server.log
        until(lambda: all(server.request("GET", PROFILES, **bob).status == 200 for _ in range(10)))
        run(tmp_path, "tokens", "revoke", "bob", "--file", tmp_path / "tokens")
        # a worker that has noticed before the other refuses too many attempts with 429
        until(lambda: all(server.request("GET", PROFILES, **bob).status in (401, 429) for _ in range(10)))
        assert server.request("GET", PROFILES, **ann).status == 200


def test_chat_sends_the_token_of_a_file_or_a_variable(serving, pinocchio, environment, give, tmp_path):
    token, wrong = tmp_path / "token", tmp_path / "wrong"
    token.write_text(give("ann", "reader") + "\n")
    wrong.write_text("wrong")

    def say(server, *options, **variables):
        return subprocess.run(
            [pinocchio, "chat", "--server", server.url, *map(str, options)],
            cwd=tmp_path,
            env=environment(tmp_path, **variables),
            input="hello\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with serving(tmp_path, "--auth-tokens", tmp_path / "tokens") as server:
        refused = say(server, "--token-file", wrong, PINOCCHIO_TOKEN=token.read_text())
        by_file, by_variable = say(server, "--token-file", token), say(server, PINOCCHIO_TOKEN=token.read_text())

    assert (refused.returncode, by_file.returncode, by_variable.returncode) == (1, 0, 0)
    assert "a valid token is needed here" in refused.stderr
    assert "hello" in by_file.stdout
    assert "hello" in by_variable.stdout


def test_a_token_that_cannot_be_sent_is_said(run, tmp_path):
    odd = tmp_path / "odd"
    odd.write_text("two\nlines")
    for file, reason in ((tmp_path / "gone", "--token-file"), (odd, "the token has characters that no token has")):
        refused = run(tmp_path, "chat", "--server", "http://127.0.0.1:1", "--token-file", file)
        assert refused.returncode == 2
        assert reason in refused.stderr


def raw(server, *lines):
    """The status of an answer to a request as it is written here."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=60)) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])


def test_requests_that_no_client_writes(serving, give, tmp_path):
    token = give("ann", "admin")
    may = f"Authorization: Bearer {token}"
    with serving(tmp_path, "--auth-tokens", tmp_path / "tokens") as server:
        get, host = f"GET {PROFILES} HTTP/1.1", "Host: localhost"
        assert raw(server, get, host, may) == 200
        assert raw(server, get, host, may, may) == 401
        assert raw(server, get, host, "Authorization: Bearer") == 401
        assert raw(server, get, host, f"Authorization: Bearer {token}\xff") == 401
        assert raw(server, get, host, f"Authorization: Bearer {'x' * 20_000}") == 401
        assert raw(server, get, host, f"Authorization: Bearer {'x' * 40_000}") == 431
        assert raw(server, get, may) == 421
        assert raw(server, get, "Host:", may) == 421
        assert raw(server, get, host, "Host: evil.example", may) == 421
        assert raw(server, get, "Host: user@localhost", may) == 421
        assert raw(server, get, "Host: LOCALHOST.:80", may) == 200
        assert raw(server, f"GET {PROFILES} HTTP/1.0", may) == 421
        assert raw(server, "OPTIONS * HTTP/1.1", host) in (400, 404)
    assert token not in server.log


def test_a_list_of_tokens_is_read_by_people_and_programs(run, give, tmp_path):
    give("ann", "admin")
    give("ci", "editor", "--registry", "Team", "--registry", "default", "--expires", "1d")
    listed = json.loads(run(tmp_path, "tokens", "list", "--json", "--file", tmp_path / "tokens").stdout)

    assert [(row["name"], row["role"], row["registries"], row["expired"]) for row in listed] == [
        ("ann", "admin", None, False),
        ("ci", "editor", ["team", "default"], False),
    ]
    assert all("sha256" not in row for row in listed)
    twice = run(tmp_path, "tokens", "create", "ann", "--role", "reader", "--file", tmp_path / "tokens")
    assert (twice.returncode, twice.stdout) == (2, "")
