"""The composition root: the one place where settings, host, store, services and app meet.

What few servers need is imported where they need it: files of tokens, of profiles (with the YAML library),
webhooks, backups.
"""

import importlib.metadata
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.host.discovery import BUILT_IN
from pinocchio_core.host.host import Host
from pinocchio_core.plugin.types import StartupInfo
from pinocchio_core.service.changes.endpoints import Endpoint
from pinocchio_core.service.changes.following import Follower
from pinocchio_core.service.chats.admission import DEFAULT_TURNS_AT_ONCE, Admission
from pinocchio_core.service.chats.engines import EngineChoice
from pinocchio_core.service.chats.transcripts import DEFAULT_BOUNDS, HistoryBounds
from pinocchio_core.service.chats.turn_requests import TurnRules
from pinocchio_core.service.checking.validation import Validation
from pinocchio_core.service.operator import OperatorConfigs
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.upkeep.schedule import Schedule
from pinocchio_core.service.writing.seeding import fill
from pinocchio_core.settings import conversations_beside
from pinocchio_core.settings.access import IN_PROCESS, Access
from pinocchio_core.store.layouts.conversations import open_conversations
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import Dsn, dsn_of_path
from pinocchio_core.store.sqlite.files import loose_permissions
from pinocchio_core.store.sqlite.keeper import Keeper
from pinocchio_core.store.sqlite.presence import Presence
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.conversations import FOR_EVER, ConversationStore, Retention
from pinocchio_core.store.tables.feed import ChangeFeed
from pinocchio_core.web.app import App, Parts, create_app
from pinocchio_core.web.resources.changes import change_event, reset_event

if TYPE_CHECKING:
    from pinocchio_core.service.access.tokens import TokenFile
    from pinocchio_core.service.changes.webhooks import Webhooks
    from pinocchio_core.service.files.sources import ProfileSources
    from pinocchio_core.service.upkeep.scheduled import ScheduledBackups

log = logging.getLogger(__name__)

_TURNS_END_S = 2.0
"""How long chat turns that were cut off may take to notice it and be written down."""


class More(Struct, frozen=True, kw_only=True):
    """What a server may be told besides."""

    schedule: Schedule | None = None
    """That of the backups which it makes by itself."""
    access_log: bool = False
    config: Path | None = None
    """The file of the operator's configs of middlewares; see `OperatorConfigs`."""
    middleware_configs: Sequence[str] = ()
    turns: Dsn | None = None
    """The database of conversations; `None` for one beside that of profiles."""
    engine: EngineChoice = field(default_factory=EngineChoice)
    retention: Retention = FOR_EVER
    turns_at_once: int = DEFAULT_TURNS_AT_ONCE
    """Chat turns that run or wait."""
    history: HistoryBounds = DEFAULT_BOUNDS
    """How much of a conversation is sent to the engine."""
    turns_in_threads: int = 8
    """Those of them that hold one of the threads which other requests need."""
    sources: Sequence[Path] = ()
    """Files and folders with registries that are served beside those of the database."""
    access: Access = IN_PROCESS
    max_listeners: int = 500
    """Clients that may listen to changes as events."""
    webhooks: Sequence[Endpoint] = ()


NOTHING_MORE = More()


class Program(Struct, frozen=True, kw_only=True):
    """Everything that a server needs, put together; `close` it at the end."""

    app: App
    host: Host
    store: Store
    health: RowHealth
    follower: Follower
    webhooks: "Webhooks | None"
    conversations: ConversationStore
    sources: "ProfileSources | None"
    tokens: "TokenFile | None"
    """`None` where everybody is let in."""
    created: bool
    """Whether the database is new."""
    notices: Sequence[str]
    """What was repaired while opening it, and who else can get at it."""
    closing: ExitStack
    """What ends it: each thing when those that were begun after it have ended."""

    def close(self) -> None:
        """Let turns whose clients have gone end, stop threads, tell the plugins, then close the databases.

        All of it is done whatever fails of it.
        """
        self.closing.close()


@cache
def version() -> str:
    """The version of the installed distribution, which takes a millisecond to find."""
    try:
        return importlib.metadata.version(BUILT_IN)
    except importlib.metadata.PackageNotFoundError:
        return "0"


def assemble(
    host: Host,
    dsn: Dsn,
    *,
    default_registry: str,
    root: str = "",
    strict: bool = True,
    more: More = NOTHING_MORE,
) -> Program:
    """Open the database, fill it where it is new, tell the plugins, and make the app.

    `strict`: plugins that are at fault stop the start; otherwise the program does without them.

    Raises:
        StartupError: the database or a plugin cannot be used, or a setting is wrong.
    """
    tokens = _tokens(more.access.tokens)
    if strict:
        host.require_sound()
    opened = open_database(dsn)
    presence = _presence(opened.database)
    with ExitStack() as closing:
        if presence:
            closing.callback(presence.close)
        closing.callback(opened.database.close)
        store, sources = _with_sources(opened.database, host, more.sources)
        if sources:
            closing.callback(sources.stop)
        fill(store, host, registry=default_registry, strict=strict)
        turns = more.turns or _turns_beside(dsn, keeps=not opened.database.read_only)
        conversations = open_conversations(turns, clock=store.now_ms)
        closing.callback(conversations.close)
        closing.callback(host.shutdown)
        host.startup(
            StartupInfo(
                version=version(),
                default_registry=default_registry,
                database_path=dsn.path,
                conversations_path=turns.path,
            )
        )
        if strict:
            host.require_sound()
        health = RowHealth(store, Validation(host))
        webhooks = _webhooks(store, more.webhooks)
        parts = Parts(
            store=store,
            host=host,
            health=health,
            backups=_backups(store, more.schedule, host, dsn.path),
            follower=Follower(
                ChangeFeed(store.database), encode=change_event, encode_reset=reset_event, most=more.max_listeners
            ),
            webhooks=webhooks,
            operator=OperatorConfigs(host.catalog, file=more.config, options=more.middleware_configs),
            conversations=conversations,
            engine=more.engine,
            turns=TurnRules(
                admission=Admission(more.turns_at_once, in_threads=more.turns_in_threads),
                history=more.history,
                retention=more.retention,
            ),
            reasons=[each.reasons for each in (sources, tokens, webhooks) if each],
            sites=more.access.sites,
            tokens=tokens,
        )
        app = create_app(
            parts, default_registry=default_registry, version=version(), root=root, access_log=more.access_log
        )
        backups = [more.schedule.folder] if more.schedule else []
        notices = (*opened.notices, *(loose_permissions(dsn.path, *backups) if dsn.path else ()))
        for each in (Keeper(opened.database), health, parts.backups, webhooks, parts.follower):
            if each:
                closing.callback(each.stop)
                each.start()
        if sources:
            sources.start()
        closing.callback(_end_turns, parts.turns.admission)
        return Program(
            app=app,
            host=host,
            store=store,
            health=health,
            follower=parts.follower,
            webhooks=webhooks,
            conversations=conversations,
            sources=sources,
            tokens=tokens,
            created=opened.created,
            notices=notices,
            closing=closing.pop_all(),
        )


def _end_turns(admission: Admission) -> None:
    if not admission.wait_until_empty(_TURNS_END_S):
        log.warning("chat turns still run, %d; they will count as failed", admission.running_or_waiting)


def _with_sources(database: Database, host: Host, paths: Sequence[Path]) -> "tuple[Store, ProfileSources | None]":
    if not paths:
        return Store(database), None
    from pinocchio_core.service.files.sources import ProfileSources
    from pinocchio_core.store.routing import RoutedStore

    sources = ProfileSources(paths, Validation(host), database)
    return RoutedStore(database, sources.find, sources.slugs), sources


def _tokens(path: Path | None) -> "TokenFile | None":
    if path is None:
        return None
    from pinocchio_core.service.access.tokens import TokenFile

    return TokenFile(path)


def _webhooks(store: Store, endpoints: Sequence[Endpoint]) -> "Webhooks | None":
    if not endpoints:
        return None
    from pinocchio_core.service.changes.webhooks import Webhooks

    return Webhooks(store, endpoints)


def _backups(store: Store, schedule: Schedule | None, host: Host, database: Path | None) -> "ScheduledBackups | None":
    if schedule is None or database is None:
        return None
    from pinocchio_core.service.upkeep.scheduled import ScheduledBackups

    plugins = {record.distribution: record.version for record in host.records}
    return ScheduledBackups(store, schedule, database=database, plugins=plugins)


def _turns_beside(dsn: Dsn, *, keeps: bool) -> Dsn:
    """`conversations_beside` the profiles; in memory where these are, or where nothing new is kept."""
    if dsn.path is None or not keeps:
        return dsn_of_path(":memory:")
    return dsn_of_path(str(conversations_beside(dsn.path)))


def _presence(database: Database) -> Presence | None:
    """`None` for a database that cannot be written; after opening, so that a refused file leaves nothing beside it."""
    if database.dsn.path is None or database.read_only:
        return None
    try:
        presence = Presence(database.dsn.path)
    except BaseException:
        database.close()
        raise
    if not database.looks_the_same():
        presence.close()
        database.close()
        raise DatabaseRefused(f"{database.dsn.path} was replaced while it was opened", next_step="start again")
    return presence
