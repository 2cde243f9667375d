"""Tenants that hold the same documents, and one secret word each: what the isolation suites walk through."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.accounts.model import Role
from localmind.catalog.account_tables import api_key, membership, space, space_member
from localmind.catalog.tables import chunk, evidence, mention, metadata
from localmind.settings import Settings
from tests.unit.backend.asking import HANDBOOK, wait_until_ready

SECRET_KEY = "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf"
PASSWORD = "correct horse battery"
SETTLE_S = 60.0

Headers = Mapping[str, str]

SAME = {
    "Handbook": HANDBOOK,
    "Piers": "# Piers\n\nA pier stands on piles. Steel piles rust where the tide rises and falls.\n",
}
SECRET = """# Harbour plan

The {word} Harbour Authority ({short}HA) opens the harbour in May with the Tidewater Consortium. The Tidewater Consortium pays the
{short}HA for four cranes. The {word} Harbour Authority has a harbour with four cranes.
"""
QUESTION = "When does the harbour open, and how many cranes does it have?"
"""Finds the secret document without naming its word."""

VOLATILE = frozenset({"last_used_at", "last_login_at", "lease_until", "owner", "used_at"})
JOURNALS = frozenset({"session", "refresh_token", "api_key", "community_state", "usage", "audit_event", "audit_chain", "audit_person"})
"""What tells of the asking itself: a refused login is an event of the tenant that it was meant for."""


@dataclass(frozen=True)
class Holding:
    """What one space holds, by id. space: None for a tenant's default one. marks: strings that stand in nobody else's data."""

    name: str
    word: str
    tenant: str
    partition: str
    headers: Headers
    sources: tuple[str, ...]
    secret: str
    entities: tuple[str, str]
    community: str
    conversation: str
    jobs: tuple[str, ...]
    failed_job: str
    key: str
    invitation: str
    user: str
    cursors: Mapping[str, str]
    marks: frozenset[str]

    @property
    def space(self) -> str | None:
        return None if self.partition == self.tenant else self.partition


@dataclass
class Asker:
    """Somebody, with what they show to be let in. is_known: it holds. home: what they may see, where there is something."""

    name: str
    email: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_known: bool = True
    home: Holding | None = None


class World:
    """A service with logins: Acme with two closed spaces, Bolt with its default one, and people of every kind."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.mind = client.app.state.service.mind  # type: ignore[attr-defined]
        self.calls = 0
        self._people: dict[str, str] = {}
        for tenant in ("acme", "bolt"):
            self.add_user("owner", tenant, Role.OWNER)
        self.acme, self.bolt = (self.tenant_of(name) for name in ("acme", "bolt"))
        self.research, self.sales = (
            self.hold("acme", word, name) for word, name in (("Quokkaplinth", "Research"), ("Wombateave", "Sales"))
        )
        self.other = self.hold("bolt", "Numbatgable", None)
        for holding in (self.research, self.sales, self.other):
            self.mind.communities.update(holding.partition)
        self.mind.keeper.close()  # else a space's communities change by themselves some seconds later
        self.victims = [self._with_community(self.research), self._with_community(self.other)]
        self.research, self.other = self.victims
        self.outsiders = {self.research.name: self._outsiders_of_research(), self.other.name: self._outsiders_of_bolt()}
        self.insiders = self._insiders_of_research()

    # --- people

    def add_user(self, name: str, tenant: str, role: Role) -> str:
        """Their id. `name@tenant.example` becomes a member with that role."""
        made = self.mind.accounts.members.create_user(f"{name}@{tenant}.example", PASSWORD, role, tenant=tenant.title())
        return str(made.user_id)

    def headers(self, email: str) -> dict[str, str]:
        """Of a login of that person, as long as it holds."""
        if email not in self._people:
            answer = self.client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            self._people[email] = answer.json()["access_token"]
        return {"Authorization": f"Bearer {self._people[email]}"}

    def forget(self, email: str) -> None:
        self._people.pop(email, None)

    def tenant_of(self, name: str) -> str:
        return str(self.ok("GET", "/api/v1/auth/me", self.headers(f"owner@{name}.example"))["tenant"]["id"])

    def key(self, headers: Headers, **body: Any) -> dict[str, Any]:
        return self.ok("POST", "/api/v1/api-keys", headers, json={"name": "A key", "scopes": ["write"], **body})

    # --- what is held

    def hold(self, tenant: str, word: str, space_name: str | None) -> Holding:
        boss = self.headers(f"owner@{tenant}.example")
        partition = self.tenant_of(tenant)
        if space_name is not None:
            partition = self.ok("POST", "/api/v1/spaces", boss, json={"name": f"{space_name} {word}", "restricted": True})["id"]
            boss = {**boss, "X-Space": partition}
        accepted = [self.put(boss, title, text) for title, text in SAME.items()]
        file = {"file": ("notes.md", b"# Notes\n\nThe tide table hangs in the pier's office.\n", "text/markdown")}
        accepted += self.ok("POST", "/api/v1/sources/upload", boss, files=file)["sources"]
        accepted.append(self.put(boss, f"Plan of {word}", SECRET.format(word=word, short=word[0]), tags=[f"tag-{word}"]))
        failed = self.ok("POST", "/api/v1/sources/url", boss, json={"url": "http://127.0.0.1:9/"})
        self.settle()
        user = self.add_user(word, tenant, Role.VIEWER)
        if space_name is not None:
            self.ok("PUT", f"/api/v1/spaces/{partition}/members/{user}", boss, json={"role": "editor"})
        key = self.key(boss, name=f"Key of {word}", scopes=["admin"], **({"spaces": [partition]} if space_name is not None else {}))
        invited = self.ok("POST", "/api/v1/users", boss, json={"email": f"invited-{word}@{tenant}.example"})
        chat = self.ok("POST", "/api/v1/chat", boss, json={"message": QUESTION})
        assert word in chat["answer"], chat
        entity = self.ok("GET", f"/api/v1/graph/entities?q={word} harbour authority", boss)["items"][0]["id"]
        related = self.ok("GET", f"/api/v1/graph/entities/{entity}/neighbors", boss)["items"]
        sources = tuple(each["source_id"] for each in accepted)
        jobs = tuple(each["job_id"] for each in accepted)
        chunks = [c["chunk_id"] for id_ in sources for c in self.ok("GET", f"/api/v1/sources/{id_}/chunks", boss)["items"]]
        everything = self.ok("GET", "/api/v1/graph/entities?limit=200", boss)["items"]
        cursors = {path: self.ok("GET", f"{path}?limit=1", boss)["next_cursor"] for path in PAGED}
        marks = {word, *sources, *jobs, *chunks, failed["source_id"], failed["job_id"], chat["conversation_id"], user, invited["id"]}
        marks |= {key["id"], key["prefix"], invited["email"], partition, *(each["id"] for each in everything)}
        return Holding(
            name=f"{tenant} {space_name}",
            word=word,
            tenant=self.tenant_of(tenant),
            partition=partition,
            headers=boss,
            sources=sources,
            secret=sources[-1],
            entities=(entity, related[0]["entity"]["id"]),
            community="",
            conversation=chat["conversation_id"],
            jobs=jobs,
            failed_job=failed["job_id"],
            key=key["id"],
            invitation=invited["id"],
            user=user,
            cursors=cursors,
            marks=frozenset(marks),
        )

    def put(self, headers: Headers, title: str, text: str, **more: Any) -> dict[str, Any]:
        return self.ok("POST", "/api/v1/sources/text", headers, json={"title": title, "text": text, **more})

    def settle(self) -> None:
        """Until no job waits or runs."""
        end = time.monotonic() + SETTLE_S
        while any(self.mind.catalog.jobs.counts()[status] for status in ("queued", "running")):
            assert time.monotonic() < end, "jobs do not end"
            time.sleep(0.02)

    def _with_community(self, held: Holding) -> Holding:
        found = self.ok("GET", "/api/v1/graph/communities", held.headers)["items"]
        values = {**held.__dict__, "community": found[0]["id"], "marks": held.marks | {each["id"] for each in found}}
        return Holding(**values)

    # --- asking

    def ok(self, method: str, url: str, headers: Headers, **kwargs: Any) -> dict[str, Any]:
        answer = self.client.request(method, url, headers=dict(headers), **kwargs)
        assert answer.is_success, (method, url, answer.status_code, answer.text)
        return dict(answer.json())

    def _outsiders_of_research(self) -> list[Asker]:
        """Of Acme's research: another tenant's people, the other space's, and those who had a way in."""
        head = self.member("head", self.sales, "admin")
        both = self.member("both", self.sales, "editor", self.research, "editor")
        both_key = self.key(both, spaces=[self.sales.partition])
        dropped = self.member("dropped", self.research, "editor")
        path = f"/api/v1/spaces/{self.research.partition}/members/{self._id(dropped)}"
        self.ok_empty("DELETE", path, self.research.headers)
        self.add_user("passer", "acme", Role.VIEWER)
        key = self.key(head, spaces=[self.sales.partition])
        sales = {"X-Space": self.sales.partition}
        return [
            *self._nobodies("acme", self.research),
            Asker("another space's head", "head@acme.example", {**head, **sales}, home=self.sales),
            Asker("a key of that space", None, {"X-API-Key": key["key"]}, home=self.sales),
            Asker("a member's key that is limited to the other space", None, {"X-API-Key": both_key["key"]}, home=self.sales),
            Asker("somebody who was taken out of the space", "dropped@acme.example", dropped),
            Asker("a member of the tenant alone", "passer@acme.example", self.headers("passer@acme.example")),
            *self._of_tenant("bolt", self.other),
        ]

    def _outsiders_of_bolt(self) -> list[Asker]:
        """Of Bolt's default space: Acme's people, and those who had a way in."""
        return [*self._nobodies("bolt", None), *self._of_tenant("acme", self.sales)]

    def _of_tenant(self, tenant: str, home: Holding) -> list[Asker]:
        boss = self.headers(f"owner@{tenant}.example")
        self.add_user("viewer", tenant, Role.VIEWER)
        there = {} if home.space is None else {"X-Space": home.space}
        return [
            Asker(f"the owner of {tenant}", f"owner@{tenant}.example", {**boss, **there}, home=home),
            Asker(f"a viewer of {tenant}", f"viewer@{tenant}.example", self.headers(f"viewer@{tenant}.example")),
            Asker(f"an administrator's key of {tenant}", None, {"X-API-Key": self.key(boss, scopes=["admin"])["key"], **there}, home=home),
        ]

    def _nobodies(self, tenant: str, held: Holding | None) -> list[Asker]:
        """Whose credentials are none, or hold no more."""
        boss = self.headers(f"owner@{tenant}.example")
        gone = self.add_user("gone", tenant, Role.EDITOR)
        token = self.headers(f"gone@{tenant}.example")
        of_gone = self.key(token)
        if held is not None:
            self.ok("PUT", f"/api/v1/spaces/{held.partition}/members/{gone}", held.headers, json={"role": "editor"})
        self.ok("PATCH", f"/api/v1/users/{gone}", boss, json={"disabled": True})
        expired, deleted = self.key(boss), self.key(boss)
        self.ok_empty("DELETE", f"/api/v1/api-keys/{deleted['id']}", boss)
        with self.mind.catalog.database.write() as connection:
            connection.execute(sa.update(api_key).where(api_key.c.id == expired["id"]).values(expires_at=time.time() - 1))
        self.add_user("leaver", tenant, Role.EDITOR)
        left = self.headers(f"leaver@{tenant}.example")
        self.ok_empty("POST", "/api/v1/auth/logout", left)
        shown = {
            "nobody": {},
            "a made-up token": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
            "a made-up key": {"X-API-Key": "lm_abcdefgh_0000000000000000000000000000000000000000000"},
            "a disabled user": token,
            "a disabled user's key": {"X-API-Key": of_gone["key"]},
            "an expired key": {"X-API-Key": expired["key"]},
            "a deleted key": {"X-API-Key": deleted["key"]},
            "somebody who logged out": left,
        }
        return [Asker(name, None, headers, is_known=False) for name, headers in shown.items()]

    def _insiders_of_research(self) -> list[Asker]:
        """Who may read there and no more."""
        there = {"X-Space": self.research.partition}
        reader = self.member("reader", self.research, "viewer")
        editor = self.member("writer", self.research, "editor")
        key = self.key(editor, scopes=["read"], spaces=[self.research.partition])
        return [
            Asker("a viewer", "reader@acme.example", {**reader, **there}, home=self.research),
            Asker("an editor's key for reading", None, {"X-API-Key": key["key"]}, home=self.research),
        ]

    def member(self, name: str, *places: Any) -> dict[str, str]:
        """Somebody of Acme, with roles in these spaces: (holding, role, ...)."""
        user = self.add_user(name, "acme", Role.VIEWER if name == "reader" else Role.EDITOR)
        for held, role in zip(places[::2], places[1::2], strict=True):
            self.ok("PUT", f"/api/v1/spaces/{held.partition}/members/{user}", held.headers, json={"role": role})
        return self.headers(f"{name}@acme.example")

    def _id(self, headers: Headers) -> str:
        return str(self.ok("GET", "/api/v1/auth/me", headers)["user_id"])

    def ok_empty(self, method: str, url: str, headers: Headers) -> None:
        answer = self.client.request(method, url, headers=dict(headers))
        assert answer.is_success, (method, url, answer.status_code, answer.text)

    # --- what must not change

    def state(self, held: Holding) -> dict[str, tuple[int, str]]:
        """(rows, checksum) of each table, index and store of a holding, and what its owner finds."""
        partition = held.partition
        with self.mind.catalog.database.read() as connection:
            rows = {
                name: connection.execute(sa.select(table).where(table.c.tenant == partition)).all()
                for name, table in metadata.tables.items()
                if "tenant" in table.c and name not in JOURNALS
            }
            ours = sa.select(chunk.c.pk).where(chunk.c.tenant == partition)
            for table in (mention, evidence):
                rows[table.name] = connection.execute(sa.select(table).where(table.c.chunk_pk.in_(ours))).all()
            rows["api_key"] = connection.execute(sa.select(api_key).where(api_key.c.id == held.key)).all()
            rows["membership"] = connection.execute(sa.select(membership).where(membership.c.user_id == held.user)).all()
            rows["space"] = connection.execute(sa.select(space).where(space.c.id == partition)).all()
            rows["space_member"] = connection.execute(sa.select(space_member).where(space_member.c.space_id == partition)).all()
        found = {name: _summed([_kept(row) for row in each]) for name, each in rows.items()}
        vectors, blobs = self.mind.store.vectors, self.mind.store.blobs
        keys = sorted(key for batch in vectors.keys(partition) for key in batch)
        found["vectors"] = _summed([(key, vectors.get(partition, [key.chunk_id])[key.chunk_id].tobytes()) for key in keys])
        found["blobs"] = _summed([(key, hashlib.sha256(blobs.read(partition, key)).hexdigest()) for key in blobs.keys(partition)])
        hits = self.mind.search.search(partition, QUESTION, limit=20).hits
        found["search"] = _summed([(hit.chunk_id, hit.text) for hit in hits])
        return found


PAGED = ("/api/v1/sources", "/api/v1/jobs", "/api/v1/graph/entities")
"""Lists whose cursor another tenant tries."""


def _kept(row: Any) -> Any:
    return [(name, value) for name, value in row._mapping.items() if name not in VOLATILE]


def _summed(rows: list[Any]) -> tuple[int, str]:
    return len(rows), hashlib.sha256("\n".join(sorted(map(repr, rows))).encode()).hexdigest()


@contextmanager
def running(folder: Path, model_cache: Path, **changes: Any) -> Iterator[TestClient]:
    """A service with logins over embedded engines, asked over ASGI."""
    folder.mkdir(parents=True)
    (folder / "models").symlink_to(model_cache, target_is_directory=True)
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        seed_guides=False,
        log_level="ERROR",
        auth="required",
        secret_key=SECRET_KEY,
        password_memory_kib=8,
        password_rounds=1,
        rate_limits="off",
        google_client_id="walk.apps.googleusercontent.com",
        **changes,
    )
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


def text_of(kwargs: Mapping[str, Any]) -> str:
    """All that a request says, to tell an echo from a leak."""
    return json.dumps({name: value for name, value in kwargs.items() if name in ("json", "params")}, ensure_ascii=False)
