"""The engine against a real server that answers as its tests say."""

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pinocchio_core.plugin import (
    Block,
    BlockKind,
    EngineFailed,
    EngineOptions,
    Event,
    ToolDefinition,
    Turn,
    TurnCancelled,
)
from pinocchio_plugins import openai, openai_engine, openai_watch
from pinocchio_plugins.openai_watch import MAX_TEXT_BYTES

KEY = "sk-test-0123456789abcdef"
LONG_S = 30
Script = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    client: tuple[str, int]


@dataclass
class Provider:
    """A server that answers each request by the next script, the last one again and again."""

    scripts: list[Script] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    origin: str = ""

    def answers(self, *scripts: Script) -> None:
        self.scripts = list(scripts)

    def options(self, **changes: Any) -> EngineOptions:
        return EngineOptions(**{"base_url": f"{self.origin}/v1", "model": "small", "api_key": KEY, **changes})


@pytest.fixture
def start() -> Iterator[Callable[[], Provider]]:
    servers = []

    def starting() -> Provider:
        provider = Provider()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                provider.seen.append(Seen(self.path, headers, body, self.client_address))
                script = provider.scripts.pop(0) if len(provider.scripts) > 1 else provider.scripts[0]
                with suppress(ConnectionError):
                    script(self)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        provider.origin = f"http://127.0.0.1:{server.server_port}"
        return provider

    yield starting
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def provider(start: Callable[[], Provider]) -> Provider:
    return start()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_engine, "BACKOFF_S", (0.0, 0.0))


def plain(status: int, document: Any, **headers: str) -> Script:
    def script(handler: BaseHTTPRequestHandler) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        handler.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return script


def begin(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()


def piece(handler: BaseHTTPRequestHandler, data: bytes, *, last: bool = False) -> None:
    sent = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
    handler.wfile.write(sent + b"0\r\n\r\n" if last else sent)


def event(document: Any) -> bytes:
    return b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"model": "small-1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def stream(*documents: Any, done: bool = True) -> Script:
    def script(handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        for document in documents:
            piece(handler, event(document))
        piece(handler, event(b"[DONE]") if done else b"", last=True)

    return script


def says(text: str) -> Script:
    return stream(delta(content=text), delta("stop"))


def until_closed(closed: threading.Event, *documents: Any) -> Script:
    """Sends these, nothing more, and tells when the other side has closed the connection."""

    def script(handler: BaseHTTPRequestHandler) -> None:
        if documents:
            begin(handler)
        for document in documents:
            piece(handler, event(document))
        with suppress(ConnectionError):
            handler.connection.recv(1)
        closed.set()

    return script


def asked(*texts: str, **changes: Any) -> Turn:
    return Turn(blocks=tuple(Block(kind=BlockKind.USER, text=text) for text in texts or ("hi",)), **changes)


def run(provider: Provider, settings: dict[str, Any] | None = None, turn: Turn | None = None, **options: Any) -> Turn:
    return openai.build(settings or {}, provider.options(**options))(turn or asked())


def fails(provider: Provider, settings: dict[str, Any] | None = None, **options: Any) -> EngineFailed:
    with pytest.raises(EngineFailed) as raised:
        run(provider, settings, **options)
    return raised.value


def test_a_stream_becomes_one_block_with_model_and_reason(provider: Provider) -> None:
    provider.answers(
        stream(delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), delta("stop"))
    )
    turn = run(provider)
    assert turn.blocks[0] == Block(kind=BlockKind.USER, text="hi")
    assert turn.blocks[1:] == (
        Block(kind=BlockKind.ASSISTANT, text="Hello", metadata={"model": "small-1", "finish_reason": "stop"}),
    )
    (seen,) = provider.seen
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["user-agent"] == "pinocchio-webchat"
    assert seen.body == {
        "model": "small",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_text_is_emitted_before_the_server_sends_the_rest(provider: Provider) -> None:
    heard = threading.Event()
    events: list[Event] = []

    def script(handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        piece(handler, event(delta(content="first")))
        assert heard.wait(LONG_S)
        piece(handler, event(delta("stop", content=" second")) + event(b"[DONE]"), last=True)

    def emit(event: Event) -> None:
        events.append(event)
        if event.data["text"] == "first":
            heard.set()

    provider.answers(script)
    assert run(provider, turn=asked(emit=emit)).blocks[-1].text == "first second"
    assert [event.data["text"] for event in events if event.data["text"]] == ["first", " second"]
    assert {event.type for event in events} == {"delta"}


def test_a_server_that_lets_wait_is_waited_for_with_empty_deltas(provider: Provider) -> None:
    heard = threading.Event()

    def script(handler: BaseHTTPRequestHandler) -> None:
        assert heard.wait(LONG_S)
        says("at last")(handler)

    provider.answers(script)
    turn = asked(emit=lambda event: heard.set() if event == Event(type="delta", data={"text": ""}) else None)
    assert run(provider, turn=turn).blocks[-1].text == "at last"


def test_tool_calls_are_put_together_from_deltas(provider: Provider) -> None:
    def part(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        name = {"name": more.pop("name")} if more else {}
        return delta(tool_calls=[{"index": index, **more, "function": {**name, "arguments": arguments}}])

    provider.answers(
        stream(
            delta(content="Let me see."),
            part(0, "", id="a", name="add"),
            part(1, '{"of": ', id="b", name="root"),
            part(0, '{"x": 1'),
            part(1, "oops"),
            part(0, "}"),
            delta("tool_calls"),
        )
    )
    tool = ToolDefinition("add", description="Adds.", arguments_schema={"type": "object"}, call=str)
    settings = {"openai-chat": {"openai-parallel-tool-calls": False}}
    turn = run(provider, settings, asked(tools=(tool,)))
    text, add, root = turn.blocks[1:]
    assert text.metadata["finish_reason"] == "tool_calls"
    assert add == Block(kind=BlockKind.TOOL_CALL, tool="add", call_id="a", arguments={"x": 1})
    assert (root.call_id, root.arguments, root.metadata) == ("b", {}, {"invalid_arguments": '{"of": oops'})
    assert provider.seen[0].body["tools"] == [
        {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
    ]
    assert provider.seen[0].body["parallel_tool_calls"] is False
    run(provider, settings, asked())
    assert "parallel_tool_calls" not in provider.seen[1].body


def test_usage_is_added_to_what_is_there(provider: Provider) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3}}
    provider.answers(stream(delta("stop", content="x"), usage))
    turn = run(provider, turn=asked(usage={"input_tokens": 5, "seconds": 1}))
    assert turn.usage == {"input_tokens": 15, "output_tokens": 3, "seconds": 1}


def test_json_instead_of_a_stream_will_do(provider: Provider) -> None:
    call = {"id": "a", "function": {"name": "add", "arguments": {"x": 1}}}
    choice = {"message": {"content": "Hello", "tool_calls": [call]}, "finish_reason": "stop"}
    provider.answers(plain(200, {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}))
    turn = run(provider)
    assert [(block.text, block.arguments) for block in turn.blocks[1:]] == [("Hello", None), ("", {"x": 1})]
    assert turn.blocks[1].metadata["model"] == "small"
    assert turn.usage == {"input_tokens": 1, "output_tokens": 2}


def test_client_settings_become_headers(provider: Provider) -> None:
    provider.answers(says("x"))
    run(provider, {"ai-client": {"organization": "org-1", "user-agent": "me/1"}, "ai-chat": {"ai-engine": "large"}})
    assert provider.seen[0].headers["openai-organization"] == "org-1"
    assert provider.seen[0].headers["user-agent"] == "me/1"
    assert provider.seen[0].body["model"] == "large"


def test_turns_share_connections_and_threads_an_engine(provider: Provider) -> None:
    def script(handler: BaseHTTPRequestHandler) -> None:
        says(handler.headers["content-length"])(handler)

    provider.answers(says("x"))
    engine = openai.build({}, provider.options())
    for _ in range(3):
        engine(asked())
    assert len({seen.client for seen in provider.seen}) == 1
    provider.answers(script)
    turns = [asked("x" * length) for length in range(1, 9)]
    with ThreadPoolExecutor(8) as threads:
        lengths = [int(turn.blocks[-1].text) for turn in threads.map(engine, turns)]
    assert lengths == list(range(lengths[0], lengths[0] + 8))


def test_the_key_goes_to_its_origin_and_no_other(start: Callable[[], Provider]) -> None:
    own, other = start(), start()
    own.answers(says("x"))
    other.answers(says("y"), plain(401, {}))
    here = {"openai-chat": {"openai-base-url": f"{own.origin}/elsewhere/"}}
    there = {"openai-chat": {"openai-base-url": f"{other.origin}/v1"}}
    run(own, here)
    assert own.seen[0].path == "/elsewhere/chat/completions"
    assert own.seen[0].headers["authorization"] == f"Bearer {KEY}"
    run(own, there, allowed_origins=(f"{other.origin}/",))
    assert "authorization" not in other.seen[0].headers
    refused = fails(own, there, allowed_origins=(other.origin,))
    assert "the key is not sent to other origins" in refused.next_step
    assert KEY not in json.dumps([seen.headers for seen in other.seen])


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "https://{host}/v1", "http://localhost:{port}/v1"])
def test_an_origin_that_the_operator_does_not_allow_is_refused(provider: Provider, url: str) -> None:
    host = provider.origin.removeprefix("http://")
    url = url.format(host=host, port=host.partition(":")[2])
    failure = fails(provider, {"openai-chat": {"openai-base-url": url}}, allowed_origins=("http://allowed.example",))
    assert "does not allow" in str(failure)
    assert f"--engine-allow-origin {url.removesuffix('/v1')}," in failure.next_step
    assert provider.seen == []


def test_redirects_are_not_followed(start: Callable[[], Provider]) -> None:
    own, other = start(), start()
    own.answers(plain(307, b"", location=f"{other.origin}/v1/chat/completions"))
    failure = fails(own)
    assert (failure.status, str(failure)) == (307, "the provider answered 307: a redirect, which is not followed")
    assert len(own.seen) == 1
    assert other.seen == []


def test_cookies_are_not_kept(provider: Provider) -> None:
    provider.answers(plain(200, {"choices": [{"message": {"content": "x"}}]}, set_cookie="a=b"))
    engine = openai.build({}, provider.options())
    engine(asked())
    engine(asked())
    assert "cookie" not in provider.seen[1].headers


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_where_to_set_it(provider: Provider, status: int) -> None:
    provider.answers(plain(status, {"error": {"message": "no such key"}}))
    failure = fails(provider)
    assert (failure.status, str(failure)) == (status, f"the provider answered {status}: no such key")
    assert "PINOCCHIO_ENGINE_API_KEY" in failure.next_step
    assert "--engine-api-key-file" in failure.next_step
    assert len(provider.seen) == 1


def test_not_found_names_base_url_and_model(provider: Provider) -> None:
    provider.answers(plain(404, b"<html>nothing here</html>"))
    failure = fails(provider)
    assert (failure.status, str(failure)) == (404, "the provider answered 404: it did not say why")
    assert f"{provider.origin}/v1" in failure.next_step
    assert "model small" in failure.next_step


def test_who_asks_for_a_long_wait_is_not_asked_again(provider: Provider) -> None:
    provider.answers(plain(429, {"error": "slow down"}, retry_after="30"))
    failure = fails(provider)
    assert (failure.status, failure.retry_after_s, len(provider.seen)) == (429, 30, 1)
    assert str(failure) == "the provider answered 429: slow down"


def test_after_three_tries_it_is_over(provider: Provider) -> None:
    provider.answers(plain(429, {}, retry_after="0"))
    failure = fails(provider)
    assert (failure.status, failure.retry_after_s, len(provider.seen)) == (429, 1, 3)


def test_a_failure_that_passes_is_not_noticed(provider: Provider) -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    provider.answers(plain(500, {}), hang_up, says("fine"))
    assert run(provider).blocks[-1].text == "fine"
    assert len(provider.seen) == 3


def test_a_server_that_is_not_there(provider: Provider) -> None:
    failure = fails(provider, base_url="http://127.0.0.1:1/v1")
    assert str(failure).startswith("the provider cannot be reached: ")


@pytest.mark.parametrize("whole", [True, False])
def test_a_stream_that_closes_early_after_text_is_not_tried_again(provider: Provider, whole: bool) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        piece(handler, event(delta(content="x")))
        handler.close_connection = True

    provider.answers(stream(delta(content="x"), done=False) if whole else cut)
    assert str(fails(provider)).startswith("the provider closed early: ")
    assert len(provider.seen) == 1


def test_a_finish_reason_is_end_enough(provider: Provider) -> None:
    def script(handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        piece(handler, event(delta("stop", content="x")))
        handler.close_connection = True

    provider.answers(script)
    assert run(provider).blocks[-1].text == "x"


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"data: {\n\n", b"data: 1\n\n", b"[1]", b"{", b'{"a": 1}', b"\xff\xfe\x00", event(b"[DONE]"), b"ok\n"],
)
def test_garbage_is_called_so(provider: Provider, body: bytes) -> None:
    provider.answers(plain(200, body))
    failure = fails(provider)
    assert "is no answer of the chat completions API" in str(failure)
    assert "base URL" in failure.next_step


@pytest.mark.parametrize("body", [b"", b": ping\n\n"])
def test_an_answer_without_anything_closed_early(provider: Provider, body: bytes) -> None:
    provider.answers(plain(200, body))
    assert "closed early" in str(fails(provider))


def test_an_answer_without_text_and_calls_says_why(provider: Provider) -> None:
    provider.answers(stream(delta("length")))
    assert str(fails(provider)) == "the model answered nothing (finish_reason: length)"


def test_an_error_within_a_stream(provider: Provider) -> None:
    provider.answers(stream(delta(content="x"), {"error": {"message": f"bad {KEY}\x1b[0m", "code": 503}}))
    failure = fails(provider)
    assert str(failure) == "the provider failed while it answered: bad (the key) [0m"
    assert failure.status == 503


def test_text_without_end_is_bounded(provider: Provider) -> None:
    def script(handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        while True:
            piece(handler, event(delta(content="x" * 65536)))

    provider.answers(script)
    assert str(fails(provider)) == f"the answer is longer than {MAX_TEXT_BYTES} bytes"


@pytest.mark.parametrize("filler", [b": ping\n", b"x" * 65536])
def test_a_stream_without_text_and_end_is_bounded(
    provider: Provider, filler: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_watch, "TOTAL", 0.02)

    def script(handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        piece(handler, b"data: ")
        while True:
            piece(handler, filler)

    provider.answers(script)
    told = str(fails(provider, {"ai-client": {"timeout": LONG_S}}))
    assert told in {"the answer took longer than 0.6 s", "the provider sent more than 8388608 bytes in one piece"}


def test_a_silent_server_is_given_up(provider: Provider) -> None:
    closed = threading.Event()
    provider.answers(until_closed(closed))
    failure = fails(provider, {"ai-client": {"timeout": 0.3}})
    assert str(failure) == "the provider sent nothing for 0.3 s"
    assert "timeout" in failure.next_step
    assert closed.wait(LONG_S)
    assert len(provider.seen) == 1


@pytest.mark.parametrize("documents", [(), (delta(content="x"),), (delta(role="assistant"),)])
def test_a_cancelled_turn_closes_the_connection(provider: Provider, documents: tuple[Any, ...]) -> None:
    closed = threading.Event()

    def emit(_: Event) -> None:
        raise TurnCancelled

    provider.answers(until_closed(closed, *documents))
    engine = openai.build({}, provider.options())  # held, so that it is not its end that closes the connection
    with pytest.raises(TurnCancelled):
        engine(asked(emit=emit))
    assert closed.wait(LONG_S)
    assert len(provider.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 500])
def test_the_key_is_in_no_text_and_no_log(provider: Provider, caplog: pytest.LogCaptureFixture, status: int) -> None:
    caplog.set_level(logging.DEBUG)
    provider.answers(plain(status, {"error": {"message": f"{'long ' * 99}Bearer {KEY} \x00{KEY}"}}))
    engine = openai.build({}, provider.options())
    with pytest.raises(EngineFailed) as raised:
        engine(asked())
    failure = raised.value
    told = "".join(traceback.format_exception(failure)) + caplog.text + repr(engine) + str(failure.next_step)
    assert KEY not in told
    assert KEY[:12] not in told
    assert len(str(failure)) <= 550
    assert str(failure).isprintable()


def test_without_a_key_none_is_sent(provider: Provider) -> None:
    provider.answers(says("x"))
    run(provider, api_key=" ")
    assert "authorization" not in provider.seen[0].headers
