"""The WSGI app: wiring, nothing else."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import falcon
import msgspec
from msgspec import Struct

from pinocchio_core.host.host import Host
from pinocchio_core.service.access.sites import Sites
from pinocchio_core.service.changes.following import Follower
from pinocchio_core.service.chats.chat import ChatService
from pinocchio_core.service.chats.conversations import ConversationService
from pinocchio_core.service.chats.engines import EngineChoice
from pinocchio_core.service.chats.turn_requests import TurnRules
from pinocchio_core.service.defaults import DefaultService
from pinocchio_core.service.history import HistoryService
from pinocchio_core.service.labels import LabelService
from pinocchio_core.service.operator import OperatorConfigs
from pinocchio_core.service.profiles import ProfileService
from pinocchio_core.service.registries import RegistryService
from pinocchio_core.service.resolving import ResolveService
from pinocchio_core.service.upkeep.health import RowHealth
from pinocchio_core.service.writing.batch import BatchService
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.conversations import ConversationStore
from pinocchio_core.store.tables.feed import ChangeFeed
from pinocchio_core.web import errors
from pinocchio_core.web.access import OpenAccess, TokenAccess
from pinocchio_core.web.browsers import Browsers, CrossOrigin
from pinocchio_core.web.components import AccessLog, RequestTrace
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources.batch import BatchResource
from pinocchio_core.web.resources.changes import ChangesResource
from pinocchio_core.web.resources.chat import ChatResource, ConversationsResource
from pinocchio_core.web.resources.defaults import CurrentResource, DefaultResource
from pinocchio_core.web.resources.discovery import FixedJsonResource, OpenApiResource
from pinocchio_core.web.resources.labels import LabelsResource
from pinocchio_core.web.resources.operations import HealthResource, MetricsResource, ReadyResource
from pinocchio_core.web.resources.profiles import ProfilesResource
from pinocchio_core.web.resources.registries import RegistriesResource
from pinocchio_core.web.resources.resolution import ResolutionResource
from pinocchio_core.web.resources.revisions import RevisionsResource
from pinocchio_core.web.turn_metrics import TurnMetrics

if TYPE_CHECKING:
    from pinocchio_core.service.access.tokens import TokenFile
    from pinocchio_core.service.changes.webhooks import Webhooks
    from pinocchio_core.service.upkeep.scheduled import ScheduledBackups

App = falcon.App[falcon.Request, falcon.Response]


class Parts(Struct, frozen=True, kw_only=True):
    """What an app is made of."""

    store: Store
    host: Host
    health: RowHealth
    backups: "ScheduledBackups | None"
    follower: Follower
    webhooks: "Webhooks | None"
    operator: OperatorConfigs
    conversations: ConversationStore
    engine: EngineChoice
    turns: TurnRules
    reasons: Sequence[Callable[[], Sequence[str]]]
    """Each says what of something is not as it should be, though everything is served."""
    sites: Sites
    tokens: "TokenFile | None"
    """`None` to let everybody in."""


def create_app(parts: Parts, *, default_registry: str, version: str, root: str = "", access_log: bool = False) -> App:
    """The app over an open store and a started host; every route is under the prefix `root`."""
    store, host, health, backups = parts.store, parts.host, parts.health, parts.backups
    turns = TurnMetrics(parts.turns.admission, parts.conversations)
    metrics = Metrics(store.database, turns, version=version, webhooks=parts.webhooks)
    app: App = falcon.App(middleware=_components(parts, metrics, root=root, access_log=access_log))
    app.req_options.strip_url_path_trailing_slash = True
    app.resp_options.secure_cookies_by_default = False
    errors.install(app)

    service = ProfileService(store, health, default_registry=default_registry)
    writes = ProfileWrites(store, host, health, default_registry=default_registry)
    profiles = ProfilesResource(service, writes, metrics, root=root)
    defaults = DefaultService(store, default_registry=default_registry)
    registries = RegistriesResource(RegistryService(store, default_registry=default_registry), metrics, root=root)
    plugins = FixedJsonResource(msgspec.json.encode(host.documents()))

    app.add_route(f"{root}/api/chat/profiles", profiles, suffix="collection")
    app.add_route(f"{root}/api/chat/profiles/{{slug}}", profiles)
    app.add_route(f"{root}/api/chat/profiles/{{slug}}/default", DefaultResource(writes, metrics))
    app.add_route(f"{root}/api/chat/batch", BatchResource(BatchService(writes), metrics))
    _route_history(app, store, writes, metrics, root=root)
    resolving = ResolveService(store, host, parts.operator, default_registry=default_registry)
    _route_chats(app, parts, resolving, defaults, turns, root=root)
    app.add_route(f"{root}/api/chat/changes", ChangesResource(ChangeFeed(store.database), parts.follower))
    app.add_route(f"{root}/api/chat/schemas/engines", FixedJsonResource(host.catalog.engines_json()))
    app.add_route(f"{root}/api/chat/profiles/{{slug}}/resolve", ResolutionResource(resolving))
    app.add_route(f"{root}/api/chat/profile", CurrentResource(defaults))
    app.add_route(f"{root}/api/chat/registries", registries, suffix="collection")
    app.add_route(f"{root}/api/chat/registries/{{slug}}", registries)
    app.add_route(f"{root}/api/chat/schemas/middlewares", FixedJsonResource(host.catalog.middlewares_json()))
    app.add_route(f"{root}/api/chat/schemas/extensions", FixedJsonResource(host.catalog.extensions_json()))
    app.add_route(f"{root}/api/chat/plugins", plugins)
    app.add_route(f"{root}/healthz", HealthResource())
    app.add_route(f"{root}/readyz", ReadyResource(store, host, health.findings, backups, parts.reasons))
    app.add_route(f"{root}/metrics", MetricsResource(metrics, host, health.findings, backups, parts.follower))
    app.add_route(f"{root}/openapi.json", OpenApiResource(version=version, root=root))
    return app


def _route_chats(
    app: App, parts: Parts, resolving: ResolveService, defaults: DefaultService, turns: TurnMetrics, *, root: str
) -> None:
    chats = ChatService(
        resolving,
        defaults,
        parts.conversations,
        parts.host,
        choice=parts.engine,
        rules=parts.turns,
        observe=turns.observe,
    )
    chat = ChatResource(chats, default_registry=defaults.default_registry)
    app.add_route(f"{root}/chat", chat)
    app.add_route(f"{root}/chat/{{slug}}", chat)
    conversations = ConversationsResource(ConversationService(parts.conversations))
    app.add_route(f"{root}/api/chat/conversations", conversations)
    app.add_route(f"{root}/api/chat/conversations/{{conv_id}}", conversations, suffix="one")


def _route_history(app: App, store: Store, writes: ProfileWrites, metrics: Metrics, *, root: str) -> None:
    one, default_registry = f"{root}/api/chat/profiles/{{slug}}", writes.default_registry
    labels = LabelsResource(LabelService(store, writes.stacks, default_registry=default_registry), metrics)
    app.add_route(f"{one}/labels", labels, suffix="collection")
    app.add_route(f"{one}/labels/{{label}}", labels, suffix="one")
    revisions = RevisionsResource(HistoryService(store, default_registry=default_registry), writes, metrics, root=root)
    app.add_route(f"{one}/revisions", revisions, suffix="collection")
    app.add_route(f"{one}/revisions/{{version}}", revisions, suffix="one")
    app.add_route(f"{one}/revisions/{{version}}/restore", revisions, suffix="restore")
    app.add_route(f"{one}/diff", revisions, suffix="diff")


def _components(parts: Parts, metrics: Metrics, *, root: str, access_log: bool) -> list[Any]:
    """What happens around every request, the outermost first."""
    return [
        *([AccessLog()] if access_log else []),
        RequestTrace(metrics),
        *([CrossOrigin(parts.sites)] if parts.sites.origins else []),
        Browsers(parts.sites),
        TokenAccess(parts.tokens, root=root) if parts.tokens is not None else OpenAccess(),
    ]
