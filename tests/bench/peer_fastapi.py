"""A peer: profiles with FastAPI and SQLModel, as the tutorials of both show it; BENCH_DATABASE names the file.

One table model, models of what is sent and answered, a session a request, `def` endpoints in FastAPI's threads,
SQLAlchemy's own pool of connections. A write and its row of history are one transaction.
"""

import os
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from peer_rows import CONNECTIONS, LOCK_TIMEOUT_S, PRAGMAS
from sqlalchemy import event, text
from sqlmodel import JSON, Field, Session, SQLModel, create_engine, select

engine = create_engine(
    f"sqlite:///{os.environ['BENCH_DATABASE']}",
    connect_args={"check_same_thread": False, "timeout": LOCK_TIMEOUT_S},
    pool_size=CONNECTIONS,
)
app = FastAPI()


@event.listens_for(engine, "connect")
def _durable(connection: Any, _: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


class ProfileBase(SQLModel):
    """What a client may say."""

    display_name: str | None = None
    description: str | None = None
    runtime: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    policy: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    tags: list[str] = Field(default_factory=list, sa_type=JSON)
    extensions: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class Profile(ProfileBase, table=True):
    """The row."""

    slug: str = Field(primary_key=True)
    version: int = 1
    created_at_ms: int
    updated_at_ms: int

    @property
    def default_prompt(self) -> str | None:
        """What lists show of the runtime."""
        return self.runtime.get("system_prompt")


class ProfileRevision(SQLModel, table=True):
    """A version of it."""

    __tablename__ = "profile_revision"
    seq: int | None = Field(default=None, primary_key=True)
    slug: str
    version: int
    op: str
    document: dict[str, Any] = Field(sa_type=JSON)
    at_ms: int


class ProfileCreate(ProfileBase):
    """The body of POST."""

    slug: str


class ProfileUpdate(SQLModel):
    """The body of PATCH."""

    display_name: str | None = None
    description: str | None = None
    runtime: dict[str, Any] | None = None
    policy: dict[str, Any] | None = None
    tags: list[str] | None = None
    extensions: dict[str, Any] | None = None


class ProfilePublic(ProfileBase):
    """The answer."""

    slug: str
    version: int
    created_at_ms: int
    updated_at_ms: int


class ProfileItem(SQLModel):
    """The answer in lists."""

    slug: str
    version: int
    display_name: str | None
    description: str | None
    default_prompt: str | None
    extensions: dict[str, Any]


def _session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(_session)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _recorded(session: Session, profile: Profile, op: str) -> Profile:
    """Commit the profile with its revision."""
    session.add(profile)
    document = profile.model_dump()
    at_ms = profile.updated_at_ms
    session.add(ProfileRevision(slug=profile.slug, version=profile.version, op=op, document=document, at_ms=at_ms))
    session.commit()
    session.refresh(profile)
    return profile


@app.get("/profiles", response_model=list[ProfileItem])
def list_profiles(session: SessionDep, limit: Annotated[int | None, Query(ge=1, le=1000)] = None) -> Any:
    """The first `limit` profiles, or all."""
    return session.exec(select(Profile).order_by(Profile.slug).limit(limit)).all()


@app.get("/profiles/{slug}", response_model=ProfilePublic)
def read_profile(slug: str, session: SessionDep) -> Any:
    """One profile."""
    profile = session.get(Profile, slug)
    if profile is None:
        raise HTTPException(404, "profile not found")
    return profile


@app.post("/profiles", response_model=ProfilePublic, status_code=201)
def create_profile(sent: ProfileCreate, session: SessionDep) -> Any:
    """Create one."""
    now_ms = _now_ms()
    profile = Profile.model_validate(sent, update={"created_at_ms": now_ms, "updated_at_ms": now_ms})
    return _recorded(session, profile, "create")


@app.patch("/profiles/{slug}", response_model=ProfilePublic)
def update_profile(slug: str, sent: ProfileUpdate, session: SessionDep) -> Any:
    """Change what is sent; the row is locked from before it is read."""
    session.exec(text("BEGIN IMMEDIATE"))
    profile = read_profile(slug, session)
    profile.sqlmodel_update(sent.model_dump(exclude_unset=True))
    profile.version += 1
    profile.updated_at_ms = _now_ms()
    return _recorded(session, profile, "update")
