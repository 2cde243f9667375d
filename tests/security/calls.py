"""How each route is called by somebody to whom what it is asked for does not belong. A test holds it to the application's routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from localmind.model import Mode
from tests.security.world import PASSWORD, QUESTION, Asker, Holding

TEXT = {"title": "A note", "text": "A note of somebody."}
FILE = {"file": ("note.md", b"# A note\n\nOf somebody.\n", "text/markdown")}


class Ask(NamedTuple):
    """kwargs: as httpx takes them. is_theirs: it names what belongs to the holding, so that only a refusal will do."""

    url: str
    kwargs: dict[str, Any]
    is_theirs: bool


def theirs(url: str, **kwargs: Any) -> Ask:
    return Ask(url, kwargs, True)


def general(url: str, **kwargs: Any) -> Ask:
    """Answered from what the asker may see, whatever else it names."""
    return Ask(url, kwargs, False)


Asks = Callable[[Holding, Asker], Sequence[Ask]]
V1 = "/api/v1"
NO_ID = "0197a1b2c3d47e5f8a9b0c1d2e3f4a5b"


def _same(*asks: Ask) -> Asks:
    return lambda held, who: asks


def _source(suffix: str = "", **kwargs: Any) -> Asks:
    return lambda held, who: [theirs(f"{V1}/sources/{id_}{suffix}", **kwargs) for id_ in (held.secret, held.sources[0])]


def _jobs(suffix: str = "") -> Asks:
    return lambda held, who: [theirs(f"{V1}/jobs/{id_}{suffix}") for id_ in (held.jobs[-1], held.failed_job)]


def _conversation(suffix: str = "", **kwargs: Any) -> Asks:
    return lambda held, who: [theirs(f"{V1}/conversations/{held.conversation}{suffix}", **kwargs)]


def _entity(suffix: str = "") -> Asks:
    return lambda held, who: [theirs(f"{V1}/graph/entities/{id_}{suffix}") for id_ in held.entities]


def _key(suffix: str = "", **kwargs: Any) -> Asks:
    return lambda held, who: [theirs(f"{V1}/api-keys/{held.key}{suffix}", **kwargs)]


def _user(**kwargs: Any) -> Asks:
    return lambda held, who: [theirs(f"{V1}/users/{held.user}", **kwargs)]


def _tenant(suffix: str = "", **kwargs: Any) -> Asks:
    """Of the other tenant; a colleague from another space asks of their own, where their role decides."""
    return lambda held, who: [theirs(f"{V1}/tenants/{held.tenant}{suffix}", **kwargs)]


def _space(suffix: str = "", **kwargs: Any) -> Asks:
    return lambda held, who: [theirs(f"{V1}/spaces/{held.partition}{suffix}", **kwargs)]


def _member(**kwargs: Any) -> Asks:
    return lambda held, who: [theirs(f"{V1}/spaces/{held.partition}/members/{held.user}", **kwargs)]


def _list(path: str, **params: str) -> Asks:
    """The whole list, narrowed down, and from a place in the other's list on."""

    def asks(held: Holding, who: Asker) -> list[Ask]:
        found = [general(path), *(general(path, params={name: value.format(held=held)}) for name, value in params.items())]
        return found + ([general(path, params={"cursor": held.cursors[path]})] if path in held.cursors else [])

    return asks


def _search(held: Holding, who: Asker) -> list[Ask]:
    queries = [{"query": QUESTION, "mode": mode.value, "limit": 50} for mode in Mode]
    queries += [{"query": held.word, "mode": mode.value, "limit": 50} for mode in Mode]
    queries += [{"query": QUESTION, "source_ids": list(held.sources)}, {"query": QUESTION, "tags": [f"tag-{held.word}"]}]
    return [general(f"{V1}/search", json=each) for each in queries]


def _chat(path: str) -> Asks:
    def asks(held: Holding, who: Asker) -> list[Ask]:
        bodies = [{"message": QUESTION}, {"message": QUESTION, "mode": "global"}, {"message": QUESTION, "source_ids": list(held.sources)}]
        return [
            *(general(path, json=body) for body in bodies),
            theirs(path, json={"message": "And the cranes?", "conversation_id": held.conversation}),
        ]

    return asks


def _own(who: Asker) -> str:
    """An entity that the asker may name, where there is one."""
    return who.home.entities[0] if who.home is not None else NO_ID


def _log_in(path: str) -> Asks:
    """Into the other's tenant, with what opens one's own."""

    def asks(held: Holding, who: Asker) -> list[Ask]:
        email = who.email or f"{who.name.replace(' ', '-')}@nowhere.example"
        return [theirs(path, json={"email": email, "password": PASSWORD, "tenant": held.tenant})] if _is_foreign(held, who) else []

    return asks


def _is_foreign(held: Holding, who: Asker) -> bool:
    return who.email is None or not who.email.endswith(f"@{held.name.split()[0]}.example")


def _merge(held: Holding, who: Asker) -> list[Ask]:
    pairs = [list(held.entities), [_own(who), held.entities[0]]]
    return [theirs(f"{V1}/graph/entities/merge", json={"ids": pair, "into": held.entities[0]}) for pair in pairs]


def _path(held: Holding, who: Asker) -> list[Ask]:
    one, other = held.entities
    ends = [(one, other), (_own(who), one), (one, _own(who))] if who.home is not held else [(one, other)]
    return [theirs(f"{V1}/graph/path", params={"source": start, "target": end}) for start, end in ends]


TABLE: dict[str, Asks] = {
    # sources
    "GET /api/v1/sources": _list(f"{V1}/sources", tag="tag-{held.word}", q="{held.word}", status="ready"),
    "GET /api/v1/sources/{source_id}": _source(),
    "GET /api/v1/sources/{source_id}/chunks": _source("/chunks"),
    "GET /api/v1/sources/{source_id}/text": _source("/text"),
    "GET /api/v1/sources/{source_id}/content": _source("/content"),
    "POST /api/v1/sources/upload": _same(general(f"{V1}/sources/upload", files=FILE)),
    "POST /api/v1/sources/text": _same(general(f"{V1}/sources/text", json=TEXT)),
    "POST /api/v1/sources/bulk": _same(
        general(f"{V1}/sources/bulk", content=json.dumps(TEXT), headers={"Content-Type": "application/x-ndjson"})
    ),
    "POST /api/v1/sources/url": _same(general(f"{V1}/sources/url", json={"url": "http://127.0.0.1:9/"})),
    "PUT /api/v1/sources/{source_id}": lambda held, who: [
        theirs(f"{V1}/sources/{held.secret}", json={"title": "Taken", "text": "Taken over."}),
        theirs(f"{V1}/sources/{held.sources[0]}", files=FILE),
    ],
    "DELETE /api/v1/sources/{source_id}": _source(),
    "POST /api/v1/sources/reingest": _same(general(f"{V1}/sources/reingest", json={"missing": True})),
    "POST /api/v1/sources/{source_id}/reingest": _source("/reingest"),
    # jobs
    "GET /api/v1/jobs": _list(f"{V1}/jobs", source_id="{held.secret}", status="succeeded"),
    "GET /api/v1/jobs/{job_id}": _jobs(),
    "GET /api/v1/jobs/{job_id}/events": _jobs("/events"),
    "POST /api/v1/jobs/{job_id}/cancel": _jobs("/cancel"),
    "POST /api/v1/jobs/{job_id}/retry": _jobs("/retry"),
    # search and chat
    "POST /api/v1/search": _search,
    "POST /api/v1/chat": _chat(f"{V1}/chat"),
    "POST /api/v1/chat/stream": _chat(f"{V1}/chat/stream"),
    "GET /api/v1/conversations": _list(f"{V1}/conversations"),
    "GET /api/v1/conversations/{conversation_id}": _conversation(),
    "PATCH /api/v1/conversations/{conversation_id}": _conversation(json={"title": "Taken"}),
    "DELETE /api/v1/conversations/{conversation_id}": _conversation(),
    "GET /api/v1/conversations/{conversation_id}/export": lambda held, who: [
        theirs(f"{V1}/conversations/{held.conversation}/export", params={"format": kind}) for kind in ("json", "markdown")
    ],
    # the graph
    "GET /api/v1/graph/entities": _list(f"{V1}/graph/entities", q="{held.word}"),
    "GET /api/v1/graph/entities/{entity_id}": _entity(),
    "GET /api/v1/graph/entities/{entity_id}/neighbors": _entity("/neighbors"),
    "GET /api/v1/graph/entities/{entity_id}/mentions": _entity("/mentions"),
    "POST /api/v1/graph/entities/merge": _merge,
    "POST /api/v1/graph/entities/split": lambda held, who: [
        theirs(f"{V1}/graph/entities/split", json={"id": held.entities[0], "names": [f"{held.word[0]}HA"]})
    ],
    "GET /api/v1/graph/path": _path,
    "GET /api/v1/graph/subgraph": lambda held, who: [
        general(f"{V1}/graph/subgraph"),
        theirs(f"{V1}/graph/subgraph", params={"center": held.entities[0]}),
    ],
    "GET /api/v1/graph/communities": _list(f"{V1}/graph/communities", level="0", parent="{held.community}"),
    "GET /api/v1/graph/communities/{community_id}": lambda held, who: [theirs(f"{V1}/graph/communities/{held.community}")],
    # maintenance
    "GET /api/v1/stats": _same(general(f"{V1}/stats")),
    "GET /api/v1/usage": _same(general(f"{V1}/usage")),
    "POST /api/v1/maintenance/reconcile": _same(theirs(f"{V1}/maintenance/reconcile", json={"check": False})),
    "POST /api/v1/maintenance/rebuild": _same(theirs(f"{V1}/maintenance/rebuild")),
    "GET /api/v1/doctor": _same(theirs(f"{V1}/doctor")),
    # health
    "GET /livez": _same(general("/livez")),
    "GET /readyz": _same(general("/readyz")),
    "GET /health": _same(general("/health")),
    "GET /metrics": _same(general("/metrics")),
    # accounts
    "POST /api/v1/auth/login": _log_in(f"{V1}/auth/login"),
    "POST /api/v1/auth/cookie": _log_in(f"{V1}/auth/cookie"),
    "GET /api/v1/auth/oidc/login": lambda held, who: [general(f"{V1}/auth/oidc/login", params={"tenant": held.tenant})],
    "GET /api/v1/auth/oidc/callback": _same(general(f"{V1}/auth/oidc/callback", params={"state": "made-up", "code": "made-up"})),
    "POST /api/v1/auth/google": lambda held, who: [
        theirs(f"{V1}/auth/google", json={"id_token": "made-up", "tenant": tenant}) for tenant in (None, held.tenant)
    ],
    "GET /api/v1/auth/consent": _same(general(f"{V1}/auth/consent")),
    "POST /api/v1/auth/accept-consent": _same(general(f"{V1}/auth/accept-consent", json={"version": "5f16c8a3e0b1d2f4"})),
    "POST /api/v1/auth/refresh": _same(theirs(f"{V1}/auth/refresh", json={"refresh_token": "lmr_made-up"})),
    "POST /api/v1/auth/accept-invitation": lambda held, who: [
        theirs(f"{V1}/auth/accept-invitation", json={"token": token, "password": PASSWORD}) for token in ("lmi_made-up", held.invitation)
    ],
    "GET /api/v1/auth/me": _same(general(f"{V1}/auth/me")),
    "POST /api/v1/auth/password": _same(
        general(f"{V1}/auth/password", json={"password": "not the password", "new_password": "another long password"})
    ),
    "POST /api/v1/auth/logout": _same(general(f"{V1}/auth/logout")),
    "POST /api/v1/auth/logout-everywhere": _same(general(f"{V1}/auth/logout-everywhere")),
    "GET /api/v1/tenants": _same(general(f"{V1}/tenants")),
    "PATCH /api/v1/tenants/{tenant_id}": _tenant(json={"name": "Taken"}),
    "GET /api/v1/tenants/{tenant_id}/login-rule": _tenant("/login-rule"),
    "PUT /api/v1/tenants/{tenant_id}/login-rule": _tenant("/login-rule", json={"link_by_email": True, "join_domains": []}),
    "GET /api/v1/tenants/{tenant_id}/limits": _tenant("/limits"),
    "PATCH /api/v1/tenants/{tenant_id}/limits": lambda held, who: [theirs(f"{V1}/tenants/{held.tenant}/limits", json={"documents": 1})],
    "GET /api/v1/tenants/{tenant_id}/retention": _tenant("/retention"),
    "PUT /api/v1/tenants/{tenant_id}/retention": _tenant("/retention", json={"documents_days": 1}),
    "GET /api/v1/audit": _list(f"{V1}/audit", user_id="{held.user}", event="document_ingested"),
    "GET /api/v1/users": _list(f"{V1}/users"),
    "POST /api/v1/users": _same(general(f"{V1}/users", json={"email": "friend@nowhere.example", "role": "viewer"})),
    "GET /api/v1/users/invitations": _same(general(f"{V1}/users/invitations")),
    "DELETE /api/v1/users/invitations/{invitation_id}": lambda held, who: [theirs(f"{V1}/users/invitations/{held.invitation}")],
    "GET /api/v1/users/{user_id}": _user(),
    "PATCH /api/v1/users/{user_id}": _user(json={"role": "admin"}),
    "DELETE /api/v1/users/{user_id}": _user(),
    "POST /api/v1/users/{user_id}/export": lambda held, who: [theirs(f"{V1}/users/{held.user}/export")],
    "GET /api/v1/spaces": _same(general(f"{V1}/spaces")),
    "POST /api/v1/spaces": _same(general(f"{V1}/spaces", json={"name": "Mine", "restricted": True})),
    "GET /api/v1/spaces/{space_id}": _space(),
    "PATCH /api/v1/spaces/{space_id}": _space(json={"name": "Taken", "restricted": False}),
    "DELETE /api/v1/spaces/{space_id}": _space(),
    "GET /api/v1/spaces/{space_id}/members": _space("/members"),
    "PUT /api/v1/spaces/{space_id}/members/{user_id}": _member(json={"role": "admin"}),
    "DELETE /api/v1/spaces/{space_id}/members/{user_id}": _member(),
    "GET /api/v1/api-keys": _list(f"{V1}/api-keys"),
    "POST /api/v1/api-keys": lambda held, who: [
        general(f"{V1}/api-keys", json={"name": "Mine", "scopes": ["read"]}),
        theirs(f"{V1}/api-keys", json={"name": "Theirs", "scopes": ["read"], "spaces": [held.partition]}),
    ],
    "GET /api/v1/api-keys/{key_id}": _key(),
    "POST /api/v1/api-keys/{key_id}/rotate": _key("/rotate", json={"overlap_hours": 0}),
    "DELETE /api/v1/api-keys/{key_id}": _key(),
}

NOT_WALKED = {
    "POST /api/v1/graph/cypher": "put up only where nobody logs in, so that there is one tenant",
    "GET /docs": "a page that says the same to everybody",
}
