"""The engine `openai`: any server that speaks the chat completions API of OpenAI.

It needs the package httpx2, which the extra `openai` brings; without it the engine is there and says so when it is to
answer. Keys come from the operator alone and go to the origin that they were configured for and no other.
"""

from collections.abc import Iterator
from typing import Final

from pinocchio_core.plugin import EngineDefinition, EngineFailed, EngineOptions, Handler, hookimpl
from pinocchio_plugins.openai_settings import SCHEMA, Settings, fields_of_request, setting

NAME: Final = "openai"


@hookimpl
def pinocchio_engines() -> Iterator[EngineDefinition]:
    """The one engine of this plugin."""
    yield EngineDefinition(
        NAME,
        build=build,
        settings_schema=SCHEMA,
        display_name="OpenAI-compatible",
        description="Any server that speaks the chat completions API of OpenAI.",
    )


def build(settings: Settings, options: EngineOptions) -> Handler:
    """The engine for these settings, with its own pool of connections.

    Raises:
        EngineFailed: httpx2 is missing, no model is named, or the base URL or the key cannot be used.
    """
    try:
        import httpx2  # noqa: F401  the modules after it may have been imported before

        from pinocchio_plugins.openai_engine import Engine
        from pinocchio_plugins.openai_place import place_of
    except ImportError:
        raise EngineFailed(
            "the engine openai needs the package httpx2, which is not installed",
            next_step="pip install 'pinocchio-webchat[openai]'",
        ) from None
    model = setting(settings, "ai-chat", "ai-engine") or options.model
    if not model:
        raise EngineFailed(
            "no model is named",
            next_step="start the server with --engine-model, or set ai-engine in the section ai-chat",
        )
    return Engine(place_of(settings, options), fields_of_request(settings, model=model), settings)
