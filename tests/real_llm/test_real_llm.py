"""Chats with a real model."""

import json
import socket

import pytest

CONVERSATIONS = "/api/chat/conversations"
PROFILES = "/api/chat/profiles"
SHORT = {"step_settings_patch": {"ai-chat": {"ai-max-response-tokens": 16, "ai-temperature": 0}}}
LONG = {"step_settings_patch": {"ai-chat": {"ai-max-response-tokens": 1500, "ai-temperature": 0}}}
ENDLESS = "Count from one to one thousand, every number in words."


def say(server, prompt, **fields):
    answer = server.request("POST", "/chat", {"prompt": prompt, "profile": "agent", "overrides": SHORT} | fields)
    assert answer.status == 200, answer.body
    return answer.json


def opened(server, prompt, conv_id):
    """The socket of a streamed turn, to read its events as they come."""
    document = {"prompt": prompt, "profile": "agent", "conv_id": conv_id, "stream": True, "overrides": LONG}
    body = json.dumps(document).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = f"POST /chat HTTP/1.1\r\nHost:[::1]\r\nContent-Type:application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    received = b""
    while b"event: delta" not in received:
        data = connection.recv(65536)
        assert data, received
        received += data
    return connection


def turns(server, conv_id):
    return server.request("GET", f"{CONVERSATIONS}/{conv_id}").json["turns"]


def test_a_plain_turn_is_answered_by_the_model(chatting):
    answer = say(chatting, "Say hello.")
    assert answer["reply"].strip()
    assert answer["usage"]["input_tokens"] > 10
    assert 0 < answer["usage"]["output_tokens"] <= 16


def test_the_first_words_arrive_while_the_model_still_works_and_it_stops_when_the_client_goes(
    chatting, model_server, until
):
    connection = opened(chatting, ENDLESS, "c")
    assert model_server.works()
    assert [turn["status"] for turn in turns(chatting, "c")] == ["running"]
    connection.close()
    until(lambda: not model_server.works())
    until(lambda: turns(chatting, "c")[0]["status"] == "cancelled")


def test_a_profile_that_is_switched_in_mid_conversation_is_that_of_the_next_turn(chatting, recorder):
    first = say(chatting, "My name is Ann.", conv_id="c")
    chatting.request("POST", PROFILES, {"slug": "pirate", "runtime": {"system_prompt": "You are a pirate."}})
    document = {"prompt": "What is my name?", "profile": "pirate", "conv_id": "c"}
    second = chatting.request("POST", "/chat", document).json
    assert [turn["profile"] for turn in turns(chatting, "c")] == ["agent", "pirate"]
    assert first["runtime_fingerprint"] != second["runtime_fingerprint"]
    messages = recorder.asked[-1]["messages"]
    assert messages[0] == {"role": "system", "content": "You are a pirate."}
    assert [message["content"] for message in messages[1:]] == ["My name is Ann.", first["reply"], "What is my name?"]


def test_the_prompt_of_a_mode_is_in_what_the_model_gets_and_not_in_what_is_kept(chatting, recorder):
    say(chatting, "Hello.", conv_id="c")
    system, mode, user = recorder.asked[-1]["messages"]
    assert system["content"].startswith("You are a helpful assistant.")
    assert "You are in the mode financial_analyst." in mode["content"]
    assert user["content"] == "Hello."
    assert [block["kind"] for block in turns(chatting, "c")[0]["blocks"]] == ["user", "assistant"]


def test_a_model_server_that_is_killed_is_a_502_and_the_message_is_kept(chatting, model_server, problem):
    model_server.kill()
    answer = chatting.request("POST", "/chat", {"prompt": "Hello?", "profile": "agent", "conv_id": "c"})
    assert problem(answer, 502, "engine failed")["next_step"]
    (turn,) = turns(chatting, "c")
    assert (turn["status"], turn["blocks"]) == ("failed", [{"kind": "user", "text": "Hello?"}])


def test_the_engine_local_needs_nothing_but_its_packages(serving, tmp_path):
    with serving(tmp_path, "--engine", "local") as server:
        answer = say(server, "Say hello.")
        assert answer["reply"].strip()
        assert say(server, "And again.", conv_id=answer["conv_id"])["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("model", ["nowhere.gguf"])
def test_a_model_that_is_not_there_is_said(serving, problem, tmp_path, model):
    with serving(tmp_path, "--engine", "local", "--engine-model", model) as server:
        answer = server.request("POST", "/chat", {"prompt": "Hello?"})
        assert "there is no model at" in problem(answer, 502, "engine failed")["detail"]
