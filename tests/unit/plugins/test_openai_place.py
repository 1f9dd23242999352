"""What an engine needs before it can answer: httpx2, a model, a place, a key that can be sent."""

import subprocess
import sys

import pytest

from pinocchio_core.plugin import EngineFailed, EngineOptions
from pinocchio_plugins import openai, openai_engine


def fails(**options: str | None) -> EngineFailed:
    with pytest.raises(EngineFailed) as raised:
        openai.build({}, EngineOptions(**{"model": "small", **options}))
    return raised.value


@pytest.mark.parametrize("key", ["sk\nx", "sk-\x7f", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_not_repeated(key: str) -> None:
    failure = fails(api_key=key)
    assert str(failure) == "the API key has characters that no HTTP header can have"
    assert key not in repr(failure)
    assert "PINOCCHIO_ENGINE_API_KEY" in failure.next_step


def test_a_model_is_needed() -> None:
    assert "--engine-model" in fails(model=None).next_step


def test_the_default_place_is_that_of_openai() -> None:
    with pytest.raises(EngineFailed) as raised:
        openai.build({"openai-chat": {"openai-base-url": "https://example.com"}}, EngineOptions(model="small"))
    assert str(raised.value) == "the operator does not allow engines to use https://example.com"
    assert callable(
        openai.build({"openai-chat": {"openai-base-url": "HTTPS://API.openai.com:443"}}, EngineOptions(model="x"))
    )


@pytest.mark.parametrize(
    "url", ["ftp://x/v1", "v1", "http://", "http://a:b@x/", "http://x/?a=b", "http://x/#a", "http://x:port/"]
)
def test_base_urls_that_are_none(url: str) -> None:
    with pytest.raises(EngineFailed, match="the base URL "):
        openai.build({}, EngineOptions(base_url=url, model="small"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("-1", 0),
        ("1e99", 86400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("nan", None),
        ("x", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert openai_engine.retry_after(value) == seconds
    assert openai_engine.retry_after(None) is None


def test_waits_before_further_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_engine, "BACKOFF_S", (0.0, 0.0))
    assert [openai_engine.wait_before(attempt, 3) for attempt in range(3)] == [3, 3, None]
    assert openai_engine.wait_before(0, None) == 0
    assert openai_engine.wait_before(0, 10) == 10
    assert openai_engine.wait_before(0, 11) is None


def test_without_httpx2_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    failure = fails()
    assert "httpx2" in str(failure)
    assert failure.next_step == "pip install 'pinocchio-webchat[openai]'"


def test_without_httpx2_the_engine_is_still_declared() -> None:
    code = (
        "import sys; sys.modules['httpx2'] = None; from pinocchio_plugins import openai;"
        "print(*(engine.name for engine in openai.pinocchio_engines()), 'httpcore2' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["openai", "False"]
