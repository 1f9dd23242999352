"""What a server says when it starts."""

import logging

from pinocchio_core.bootstrap import Program, version
from pinocchio_core.host.records import PluginStatus
from pinocchio_core.settings import Address, ServerSettings
from pinocchio_core.store.layouts.opening import journal_mode
from pinocchio_core.store.sqlite.library import library_text
from pinocchio_core.store.store import Store

log = logging.getLogger("pinocchio")


def announce(program: Program, settings: ServerSettings, address: Address) -> None:
    """Say where it is served, where the database is and how it is kept, and which plugins are active."""
    registries = Store(program.store.database).registries.all()
    count = sum(row.profile_count for row in registries)
    opened = "created" if program.created else f"opened, {count} profiles in {len(registries)} registries"
    writable = "read-only" if program.store.database.read_only else "writable"
    mode = journal_mode(program.store.database)
    records = program.host.records
    active = [record.source for record in records if record.status is PluginStatus.ACTIVE]
    lines = [
        f"Pinocchio {version()} serves {address.url(settings.root)}",
        f"database {settings.dsn}: {opened}, journal mode {mode}, {writable}, {library_text()}",
        f"plugins {', '.join(active) or 'none'}",
        *(program.sources.lines() if program.sources else ()),
        _access(program, settings),
    ]
    for line in lines:
        log.info(line)
    if settings.access.insecure:
        log.warning("whoever reaches this server may read and change everything: --insecure-no-auth")
    for notice in program.notices:
        log.warning(notice)
    for record in records:
        if record.status is not PluginStatus.ACTIVE:
            log.warning("plugin %s", record.line())


def _access(program: Program, settings: ServerSettings) -> str:
    """Who may come in."""
    if program.tokens is not None:
        return f"access with {program.tokens.count} tokens of {program.tokens.path}"
    return f"access for everybody{'' if settings.access.insecure else ' on this machine'}, without tokens"
