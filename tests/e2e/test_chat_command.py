"""`pinocchio chat`, with a server and alone."""

import subprocess

import pytest

PROFILES = "/api/chat/profiles"


@pytest.fixture
def chat(pinocchio, environment, tmp_path):
    """`chat("hello\\n", "--profile", …)`: the command with these lines as its input."""

    def run(lines, *options, **variables):
        return subprocess.run(
            [pinocchio, "chat", *map(str, options)],
            cwd=tmp_path,
            env=environment(tmp_path, **variables),
            input=lines,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_alone_it_answers_each_line_and_the_conversation_can_go_on(chat, tmp_path):
    where = ("--profile-registry-db", tmp_path / "profiles.db")
    done = chat("one\ntwo\n", "--profile", "agent", *where)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("echo")] == ["echo: one", "echo: two"]
    conv_id = done.stderr.split("conversation ")[1].strip()
    assert chat("three\n\nnever\n", "--conv", conv_id, *where).stdout.startswith("echo: three")


def test_with_a_server_it_is_that_servers_conversation(chat, serving, tmp_path):
    with serving(tmp_path, "--root", "/sub") as server:
        url = f"http://127.0.0.1:{server.port}/sub"
        done = chat("hello\n", "--server", url, "--conv", "mine", "--profile", "agent")
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "echo: hello")
        (turn,) = server.request("GET", "/sub/api/chat/conversations/mine").json["turns"]
        assert turn["profile"] == "agent"


def test_what_a_model_says_cannot_steer_the_terminal(chat, serving, tmp_path):
    with serving(tmp_path) as server:
        settings = {"step_settings_patch": {"echo": {"say": "a\x1b[2Jb"}}}
        assert server.request("POST", PROFILES, {"slug": "odd", "runtime": settings}).status == 201
        done = chat("hello\n", "--server", f"http://127.0.0.1:{server.port}", "--profile", "odd")
        assert done.stdout == "a\ufffd[2Jb\n"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--profile", "nope"), 1, "nope"),
        (("--server", "http://127.0.0.1:9"), 1, "does not answer"),
        (("--server", "ftp://x"), 2, "is no http URL"),
        (("--engine", "gone"), 2, 'unknown engine "gone"'),
    ],
)
def test_what_goes_wrong_is_one_clear_message(chat, options, code, said):
    done = chat("hello\n", *options)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr
