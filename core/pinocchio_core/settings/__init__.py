"""What the operator decided: flags and environment variables as one frozen value, read once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs
from msgspec import Struct

from pinocchio_core.domain.slugs import parse_slug, shown
from pinocchio_core.errors import SettingsError
from pinocchio_core.host.discovery import Selection
from pinocchio_core.plugin.types import EngineOptions
from pinocchio_core.service.changes.endpoints import Endpoint, read_endpoints
from pinocchio_core.service.chats.engines import EngineChoice
from pinocchio_core.service.chats.transcripts import HistoryBounds
from pinocchio_core.service.upkeep.schedule import Schedule
from pinocchio_core.store.sqlite.dsn import Dsn, dsn_of_path, parse_dsn
from pinocchio_core.store.tables.conversations import Retention

if TYPE_CHECKING:
    from pinocchio_core.settings.access import Access

LOAD_VARIABLE = "PINOCCHIO_LOAD_PLUGINS"
BLOCK_VARIABLE = "PINOCCHIO_BLOCK_PLUGINS"

KEY_VARIABLE = "PINOCCHIO_ENGINE_API_KEY"

DEFAULT_ADDRESS = "127.0.0.1:8080"
DEFAULT_REGISTRY = "default"
DEFAULT_THREADS = 16


class Address(Struct, frozen=True, kw_only=True):
    """Where to listen; an empty host means every address of the machine."""

    host: str
    port: int

    def url(self, root: str = "") -> str:
        """An URL under which this machine reaches it."""
        host = self.host or "localhost"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{root}"


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Everything `pinocchio web-chat` was told."""

    address: Address
    root: str
    """URL prefix of every route, empty or `/like/this`."""
    dsn: Dsn
    default_registry: str
    threads: int
    workers: int
    """Server processes behind the address; with 1 there is no other process."""
    pin: bool
    """Whether each of them stays on one core."""
    backups: Schedule | None
    """The backups that the server makes by itself."""
    config: Path | None
    """The file of the operator's configs of middlewares."""
    middleware_configs: tuple[str, ...]
    """Further ones, `NAME[#ID].PATH=VALUE`."""
    sources: tuple[Path, ...]
    """Files and folders with registries that are served beside those of the database."""
    turns: Dsn | None
    """The database of conversations; `None` for one beside that of profiles."""
    retention: Retention
    """Of conversations."""
    turns_at_once: int
    """Chat turns that run or wait."""
    history: HistoryBounds
    """How much of a conversation is sent to the engine."""
    engine: EngineChoice
    access: "Access"
    max_listeners: int
    """Clients that may listen to changes as events."""
    webhooks: tuple[Endpoint, ...]
    log_format: Literal["text", "json"]
    access_log: bool
    """Whether each request gets a line in the log."""
    plugin_errors: Literal["strict", "warn"]


def plugin_selection(environment: Mapping[str, str] = os.environ) -> Selection:
    """Which plugins the environment asks for: unset is all, empty is the built-in ones, else a list."""
    load = environment.get(LOAD_VARIABLE)
    return Selection(
        distributions=None if load is None else _listed(load), blocked=_listed(environment.get(BLOCK_VARIABLE, ""))
    )


def parse_address(text: str) -> Address:
    """An address as `HOST:PORT`, `:PORT` or `[IPv6]:PORT`.

    Raises:
        SettingsError: it is none.
    """
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise SettingsError(f"--addr {shown(text)} is no address", next_step="write HOST:PORT, :PORT or [IPv6]:PORT")
    return Address(host=host, port=int(port))


def parse_root(text: str) -> str:
    """An URL prefix with a slash before it and none after; empty for none.

    Raises:
        SettingsError: it could not be the beginning of a path.
    """
    parts = [part for part in text.strip().split("/") if part]
    if any(
        not part.isascii() or not part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in parts
    ):
        raise SettingsError(f"--root {shown(text)} is no URL prefix", next_step="write for example /pinocchio")
    return "".join(f"/{part}" for part in parts)


def parse_registry(text: str) -> str:
    """The slug of the default registry; SettingsError where it is none."""
    try:
        return parse_slug(text, what="registry slug")
    except ValueError as error:
        raise SettingsError(f"--default-registry: {error}", next_step="write for example default") from None


def parse_store(path: str | None, dsn: str | None) -> Dsn:
    """Where the database is: the DSN, else the path, else the user's data directory.

    Raises:
        SettingsError: the DSN or the path is wrong.
    """
    if dsn:
        return parse_dsn(dsn)
    if path is None:
        path = str(platformdirs.user_data_path("pinocchio", appauthor=False) / "profiles.db")
    return dsn_of_path(path)


def parse_workers(count: int, dsn: Dsn) -> int:
    """How many server processes share a database; SettingsError where it is one that only one process can open."""
    if count > 1 and dsn.path is None:
        raise SettingsError(
            "--workers needs a database file: a database in memory belongs to one process",
            next_step="name a file with --profile-registry-db, or leave --workers at 1",
        )
    return count


def parse_engine(
    name: str, base_url: str | None, model: str | None, key_file: Path | None, origins: Sequence[str]
) -> EngineChoice:
    """The engine of profiles that name none; its key is in a file or in the environment.

    Raises:
        SettingsError: the file cannot be read, or something is no URL.
    """
    for option, url in (("--engine-base-url", base_url), *(("--engine-allow-origin", origin) for origin in origins)):
        if url and not url.startswith(("http://", "https://")):
            raise SettingsError(
                f"{option} {shown(url)} is no URL", next_step="write for example http://127.0.0.1:8000/v1"
            )
    key = os.environ.get(KEY_VARIABLE)
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"--engine-api-key-file {key_file} cannot be read", next_step="name a file with the key in it"
            ) from error
    options = EngineOptions(
        base_url=base_url,
        model=model,
        api_key=(key or "").strip() or None,
        allowed_origins=tuple(origin.rstrip("/") for origin in origins),
    )
    return EngineChoice(name=name, options=options)


def conversations_beside(database: Path) -> Path:
    """The database of conversations where none is named: `profiles.turns.db` beside `profiles.db`."""
    return database.with_name(f"{database.stem}.turns.db")


def parse_turns(path: str | None) -> Dsn | None:
    """The database of conversations; SettingsError where the path is none."""
    return None if path is None else dsn_of_path(path)


def parse_backups(
    folder: Path | None, every_s: float | None, keep: int, max_age_s: float | None, dsn: Dsn
) -> Schedule | None:
    """When to make backups; `None` where none are asked for.

    Raises:
        SettingsError: only one half of it is there, or the database is one that cannot be backed up.
    """
    if folder is None and every_s is None:
        return None
    if folder is None or every_s is None:
        raise SettingsError(
            "--backup-dir and --backup-every belong together", next_step="give both, or make backups by command"
        )
    if dsn.path is None or dsn.read_only:
        raise SettingsError(
            "scheduled backups need a database file that can be written", next_step="leave out --backup-every"
        )
    return Schedule(folder=folder.expanduser().absolute(), every_s=every_s, keep=keep, max_age_s=max_age_s)


def parse_webhooks(path: Path | None, dsn: Dsn) -> tuple[Endpoint, ...]:
    """Who is told of changes; SettingsError where the file or something in it is wrong."""
    if path is None:
        return ()
    if dsn.read_only:
        raise SettingsError(
            "--webhooks needs a database that can be written: it keeps how far each is",
            next_step="leave out --webhooks here, and have a server tell them that can write",
        )
    return read_endpoints(path)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
