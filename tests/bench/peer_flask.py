"""A peer: profiles with Flask and SQLAlchemy's mapped classes; BENCH_DATABASE names the file.

A session a request over SQLAlchemy's own pool of connections, entity tags by Werkzeug, nothing checked but what has to
be there. A write and its row of history are one transaction.
"""

import os
import time
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from peer_rows import CONNECTIONS, LOCK_TIMEOUT_S, PRAGMAS
from sqlalchemy import JSON, create_engine, event, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

engine = create_engine(
    f"sqlite:///{os.environ['BENCH_DATABASE']}", connect_args={"timeout": LOCK_TIMEOUT_S}, pool_size=CONNECTIONS
)
sessions = sessionmaker(engine)
app = Flask(__name__)
app.json.sort_keys = False


@event.listens_for(engine, "connect")
def _durable(connection: Any, _: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


class Base(DeclarativeBase):
    """What mapped classes have in common."""

    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012  SQLAlchemy's way


class Profile(Base):
    """The row."""

    __tablename__ = "profile"
    slug: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str | None]
    description: Mapped[str | None]
    version: Mapped[int]
    created_at_ms: Mapped[int]
    updated_at_ms: Mapped[int]
    runtime: Mapped[dict[str, Any]]
    policy: Mapped[dict[str, Any]]
    tags: Mapped[list[str]]
    extensions: Mapped[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """It as an answer."""
        return {column.name: getattr(self, column.name) for column in self.__table__.columns}

    def item(self) -> dict[str, Any]:
        """It in a list."""
        return {
            "slug": self.slug,
            "version": self.version,
            "display_name": self.display_name,
            "description": self.description,
            "default_prompt": self.runtime.get("system_prompt"),
            "extensions": self.extensions,
        }


class ProfileRevision(Base):
    """A version of it."""

    __tablename__ = "profile_revision"
    seq: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str]
    version: Mapped[int]
    op: Mapped[str]
    document: Mapped[dict[str, Any]]
    at_ms: Mapped[int]


FIELDS = ("display_name", "description", "runtime", "policy", "tags", "extensions")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _recorded(session: Session, profile: Profile, op: str) -> dict[str, Any]:
    """Commit the profile with its revision; what it is then."""
    session.add(profile)
    document = profile.document()
    at_ms = profile.updated_at_ms
    session.add(ProfileRevision(slug=profile.slug, version=profile.version, op=op, document=document, at_ms=at_ms))
    session.commit()
    return document


@app.get("/profiles")
def list_profiles() -> Response:
    """The first `limit` profiles, or all."""
    limit = request.args.get("limit", type=int)
    with sessions() as session:
        rows = session.scalars(select(Profile).order_by(Profile.slug).limit(limit))
        return jsonify([row.item() for row in rows])


@app.get("/profiles/<slug>")
def read_profile(slug: str) -> Response:
    """One profile, or 304."""
    with sessions() as session:
        profile = session.get(Profile, slug) or abort(404)
        answer = jsonify(profile.document())
        answer.set_etag(str(profile.version))
        return answer.make_conditional(request)


@app.post("/profiles")
def create_profile() -> tuple[Response, int]:
    """Create one."""
    sent = request.get_json()
    if not isinstance(sent.get("slug"), str):
        abort(400)
    now_ms = _now_ms()
    parts = {"runtime": {}, "policy": {}, "tags": [], "extensions": {}}
    parts |= {name: sent[name] for name in FIELDS if name in sent}
    profile = Profile(slug=sent["slug"], version=1, created_at_ms=now_ms, updated_at_ms=now_ms, **parts)
    with sessions() as session:
        return jsonify(_recorded(session, profile, "create")), 201


@app.patch("/profiles/<slug>")
def update_profile(slug: str) -> Response:
    """Change what is sent; the row is locked from before it is read."""
    sent = request.get_json()
    with sessions() as session:
        session.execute(text("BEGIN IMMEDIATE"))
        profile = session.get(Profile, slug) or abort(404)
        for name in FIELDS:
            if name in sent:
                setattr(profile, name, sent[name])
        profile.version += 1
        profile.updated_at_ms = _now_ms()
        return jsonify(_recorded(session, profile, "update"))
