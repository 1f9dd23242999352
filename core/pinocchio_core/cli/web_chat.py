"""`pinocchio web-chat`: the server."""

import logging
import signal
import socket
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from pinocchio_core.bootstrap import More, assemble
from pinocchio_core.cli import logs
from pinocchio_core.cli.banner import announce
from pinocchio_core.cli.cores import pin, usable_cores
from pinocchio_core.cli.options import (
    default_registry_option,
    engine_options,
    operator_options,
    store_options,
    turns_options,
)
from pinocchio_core.cli.server_options import access_options, backup_options, change_options, source_option
from pinocchio_core.host.host import Host
from pinocchio_core.service.chats.transcripts import HistoryBounds
from pinocchio_core.settings import (
    DEFAULT_ADDRESS,
    DEFAULT_THREADS,
    Address,
    ServerSettings,
    parse_address,
    parse_backups,
    parse_engine,
    parse_registry,
    parse_root,
    parse_store,
    parse_turns,
    parse_webhooks,
    parse_workers,
)
from pinocchio_core.settings.access import parse_access
from pinocchio_core.store.tables.conversations import Retention
from pinocchio_core.web import at_once
from pinocchio_core.web.listening import CONNECTIONS, bind, require_loopback, room_for_connections
from pinocchio_core.web.server import Server

if TYPE_CHECKING:
    from pinocchio_core.cli.workers import Worker

_DESCRIPTORS = 100
"""Needed beside connections: files, sockets, the databases."""
_DESCRIPTORS_OF_A_THREAD = 3
"""A connection to a database has two, one to an engine's provider one."""

log = logging.getLogger("pinocchio")


@click.command("web-chat")
@click.option(
    "--addr",
    envvar="PINOCCHIO_ADDR",
    show_envvar=True,
    default=DEFAULT_ADDRESS,
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; :8080 is every address, [::1]:8080 is IPv6.",
)
@click.option(
    "--root",
    envvar="PINOCCHIO_ROOT",
    show_envvar=True,
    default="",
    metavar="PREFIX",
    help="Serve every route under this URL prefix, for example /pinocchio.",
)
@store_options
@default_registry_option
@source_option
@click.option(
    "--threads",
    envvar="PINOCCHIO_THREADS",
    show_envvar=True,
    default=DEFAULT_THREADS,
    show_default=True,
    type=click.IntRange(1, 256),
    help="How many requests are served at one time.",
)
@click.option(
    "--workers",
    envvar="PINOCCHIO_WORKERS",
    show_envvar=True,
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many server processes share the address and the database.",
)
@click.option(
    "--pin/--no-pin",
    envvar="PINOCCHIO_PIN",
    show_envvar=True,
    default=None,
    help="Keep each server process on one core; done by itself where there are several workers.",
)
@backup_options
@access_options
@operator_options
@engine_options
@turns_options
@change_options
@click.option(
    "--access-log/--no-access-log",
    envvar="PINOCCHIO_ACCESS_LOG",
    show_envvar=True,
    default=False,
    help="A line in the log for each request.",
)
@click.option(
    "--log-format",
    envvar="PINOCCHIO_LOG_FORMAT",
    show_envvar=True,
    default="text",
    show_default=True,
    type=click.Choice(["text", "json"]),
    help="Lines for people, or a JSON object a line.",
)
@click.option(
    "--plugin-errors",
    envvar="PINOCCHIO_PLUGIN_ERRORS",
    show_envvar=True,
    default="strict",
    show_default=True,
    type=click.Choice(["strict", "warn"]),
    help="Whether a broken plugin stops the start, or is left out with a warning.",
)
@click.pass_obj
def web_chat(host: Host, /, **options: Any) -> None:
    """Serve the profiles over HTTP until SIGTERM or SIGINT."""
    settings = _settings(options)
    logs.configure(settings.log_format)
    host.allow_requests_in_hooks(max(1, settings.threads // 2))
    if not (settings.access.tokens or settings.access.insecure):
        require_loopback(settings.address)
    connections = _room(settings)
    cores = usable_cores() if settings.pin else []
    if settings.pin and not cores:
        log.warning("server processes stay on no core of their own: this platform cannot pin")
    if settings.workers == 1:
        if cores:
            pin(cores[0])
        _serve(host, settings, connections)
        return
    sockets = bind(settings.address)

    def work(worker: "Worker") -> None:
        _serve(host, settings, connections, sockets, worker)

    from pinocchio_core.cli.workers import Workers

    Workers(work, sockets, count=settings.workers, cores=cores).run()


def _room(settings: ServerSettings) -> int:
    """How many connections each process holds."""
    threads = settings.threads + settings.turns_at_once
    room = room_for_connections(_DESCRIPTORS + _DESCRIPTORS_OF_A_THREAD * threads)
    if room < CONNECTIONS:
        log.warning("a process holds only %d connections: raise its limit of open files, see ulimit -n", room)
    return room


def _serve(
    host: Host,
    settings: ServerSettings,
    connections: int,
    sockets: list[socket.socket] | None = None,
    worker: "Worker | None" = None,
) -> None:
    """Be a whole server, alone or as one of several workers."""
    strict = settings.plugin_errors == "strict"
    program = assemble(
        host,
        settings.dsn,
        default_registry=settings.default_registry,
        root=settings.root,
        strict=strict,
        more=More(
            schedule=settings.backups,
            access_log=settings.access_log,
            config=settings.config,
            middleware_configs=settings.middleware_configs,
            sources=settings.sources,
            turns=settings.turns,
            retention=settings.retention,
            engine=settings.engine,
            turns_at_once=settings.turns_at_once,
            history=settings.history,
            turns_in_threads=max(1, settings.threads // 2),
            access=settings.access,
            max_listeners=settings.max_listeners,
            webhooks=settings.webhooks,
        ),
    )
    try:
        sockets = sockets or bind(settings.address)
        port = sockets[0].getsockname()[1]
        rule = at_once.rule(settings.root)
        server = Server(program.app, sockets, threads=settings.threads, rule=rule, connections=connections)

        def stop(_: int, __: FrameType | None) -> None:
            server.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if worker is None or worker.announces:
            announce(program, settings, Address(host=settings.address.host, port=port))
        if worker is not None:
            worker.ready(server.stop)
        server.run()
    finally:
        program.close()
    log.info("stopped" if worker is None else f"{worker}: stopped")


def _settings(options: dict[str, Any]) -> ServerSettings:
    dsn = parse_store(options["profile_registry_db"], options["profile_registry_dsn"])
    workers = parse_workers(options["workers"], dsn)
    address = parse_address(options["addr"])
    return ServerSettings(
        address=address,
        root=parse_root(options["root"]),
        dsn=dsn,
        default_registry=parse_registry(options["default_registry"]),
        threads=options["threads"],
        workers=workers,
        pin=workers > 1 if options["pin"] is None else options["pin"],
        backups=parse_backups(
            options["backup_dir"], options["backup_every"], options["backup_keep"], options["backup_max_age"], dsn
        ),
        config=options["config"],
        middleware_configs=options["middleware_configs"],
        sources=options["profile_sources"],
        turns=parse_turns(options["turns_db"]),
        retention=Retention(keep=options["turns_keep"], max_age_s=options["turns_max_age"]),
        turns_at_once=options["turns_at_once"],
        history=HistoryBounds(turns=options["turns_sent"], characters=options["turns_sent_characters"]),
        engine=parse_engine(
            options["engine"],
            options["engine_base_url"],
            options["engine_model"],
            options["engine_api_key_file"],
            options["engine_allow_origin"],
        ),
        access=parse_access(
            address,
            options["auth_tokens"],
            options["allow_hosts"],
            options["cors_origins"],
            insecure=options["insecure_no_auth"],
        ),
        max_listeners=options["max_listeners"],
        webhooks=parse_webhooks(options["webhooks"], dsn),
        log_format=options["log_format"],
        access_log=options["access_log"],
        plugin_errors=options["plugin_errors"],
    )
