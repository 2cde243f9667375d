"""Random sequences of what two tenants do with the same documents: no answer ever holds anything of the other's, nor counts it.

ISOLATION_SEQUENCES: how many. A failing one is told by hypothesis, made as short as it can be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localmind.accounts.model import Role
from localmind.ids import random_id
from localmind.model import Mode
from tests.security.world import PASSWORD, QUESTION, SAME, SECRET, World, running

SEQUENCES = int(os.environ.get("ISOLATION_SEQUENCES", "8"))
STEPS = 14

DOCUMENTS = tuple(SAME.values())
QUERIES = (QUESTION, "How long does the soup simmer?", "piles of steel", "harbour authority")
LIST = {"limit": 200}

tenants = st.integers(0, 1)
documents = st.integers(0, len(DOCUMENTS))
"""The last one is the tenant's own, with its word."""
places = st.integers(0, 7)
steps = st.one_of(
    st.tuples(st.just("put"), tenants, documents),
    st.tuples(st.just("change"), tenants, places, documents),
    st.tuples(st.just("delete"), tenants, places),
    st.tuples(st.just("search"), tenants, st.sampled_from(list(Mode)), st.integers(0, len(QUERIES))),
    st.tuples(st.just("graph"), tenants, places),
    st.tuples(st.just("chat"), tenants, st.sampled_from(QUERIES), st.booleans()),
    st.tuples(st.just("steal"), tenants, places),
    st.tuples(st.just("count"), tenants),
)

done = {"sequences": 0, "steps": 0, "calls": 0}


class Side:
    """One tenant, and what it must find: sources that it has by id, and every id that it ever got."""

    def __init__(self, service: Service, name: str) -> None:
        self.name, self.word = name, f"{name}{random_id()[-6:]}".replace("0", "o")
        self.email = f"{self.word}@nowhere.example"
        service.mind.accounts.members.create_user(self.email, PASSWORD, Role.OWNER, tenant=f"Tenant {self.word}")
        self.sources: list[str] = []
        self.conversations: list[str] = []
        self.ids: set[str] = {self.word}
        self.headers = service.headers(self.email)

    def text(self, document: int) -> str:
        return DOCUMENTS[document] if document < len(DOCUMENTS) else SECRET.format(word=self.word.title(), short="X")


class Service(World):
    """The world's ways to ask, without its people."""

    def __init__(self, client: TestClient) -> None:
        self.client, self.mind = client, client.app.state.service.mind  # type: ignore[attr-defined]
        self.calls, self._people = 0, {}
        self.mind.keeper.close()


class Play:
    """The two sides of one sequence. Each answer is looked at as it comes."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sides = (Side(service, "quokka"), Side(service, "numbat"))

    def ask(self, side: Side, method: str, path: str, **kwargs: Any) -> Response:
        answer = self.service.client.request(method, f"/api/v1{path}", headers=side.headers, **kwargs)
        done["calls"] += 1
        told, asked = answer.text.lower(), (path + str(kwargs)).lower()
        other = self.sides[side is self.sides[0]]
        assert answer.status_code < 500, (method, path, answer.text)
        assert {id_ for id_ in other.ids if id_ in told and id_ not in asked} == set(), (side.name, method, path, kwargs, answer.text)
        return answer

    def put(self, who: int, document: int) -> None:
        side = self.sides[who]
        accepted = self.ask(side, "POST", "/sources/text", json={"title": "A document", "text": side.text(document)}).json()
        assert accepted["duplicate"] == (accepted["source_id"] in side.sources)
        if not accepted["duplicate"]:
            side.sources.append(accepted["source_id"])
        side.ids |= {accepted["source_id"]} | ({accepted["job_id"]} if accepted["job_id"] else set())

    def change(self, who: int, place: int, document: int) -> None:
        side = self.sides[who]
        if side.sources:
            id_ = side.sources[place % len(side.sources)]
            answer = self.ask(
                side, "PUT", f"/sources/{id_}", json={"title": "Another", "text": side.text(document) + f"\n\nNote {place}.\n"}
            )
            assert answer.status_code == 202, answer.text

    def delete(self, who: int, place: int) -> None:
        side = self.sides[who]
        if side.sources:
            id_ = side.sources.pop(place % len(side.sources))
            assert self.ask(side, "DELETE", f"/sources/{id_}").status_code == 202

    def search(self, who: int, mode: Mode, query: int) -> None:
        """The last query is the other's word, which nobody finds here."""
        side, other = self.sides[who], self.sides[1 - who]
        asked = {"query": QUERIES[query] if query < len(QUERIES) else other.word, "mode": mode.value, "limit": 50}
        hits = self.ask(side, "POST", "/search", json=asked).json()["hits"]
        assert {hit["source_id"] for hit in hits} <= set(side.sources)
        assert not any(other.word in hit["text"].lower() for hit in hits)
        side.ids |= {hit["chunk_id"] for hit in hits}

    def graph(self, who: int, place: int) -> None:
        side = self.sides[who]
        found = self.ask(side, "GET", "/graph/entities", params=LIST).json()["items"]
        side.ids |= {each["id"] for each in found}
        if found:
            id_ = found[place % len(found)]["id"]
            for path in ("", "/neighbors", "/mentions"):
                self.ask(side, "GET", f"/graph/entities/{id_}{path}")
            self.ask(side, "GET", "/graph/subgraph", params={"center": id_})
            self.ask(side, "GET", "/graph/path", params={"source": id_, "target": found[0]["id"]})

    def chat(self, who: int, question: str, goes_on: bool) -> None:
        side = self.sides[who]
        body = {"message": question} | ({"conversation_id": side.conversations[-1]} if goes_on and side.conversations else {})
        answer = self.ask(side, "POST", "/chat", json=body).json()
        assert {each["source_id"] for each in answer["citations"]} <= set(side.sources)
        side.conversations.append(answer["conversation_id"])
        side.ids.add(answer["conversation_id"])
        self.ask(side, "GET", f"/conversations/{answer['conversation_id']}")

    def steal(self, who: int, place: int) -> None:
        """What the other has, or had, is not there; nor can it be changed."""
        side, other = self.sides[who], self.sides[1 - who]
        for id_ in (other.sources + sorted(other.ids - {other.word}))[place : place + 2]:
            for path in ("sources", "jobs", "conversations", "graph/entities"):
                assert self.ask(side, "GET", f"/{path}/{id_}").status_code == 404
            assert self.ask(side, "DELETE", f"/sources/{id_}").status_code == 404
            assert self.ask(side, "PUT", f"/sources/{id_}", json={"title": "Taken", "text": "Taken over."}).status_code == 404
            hits = self.ask(side, "POST", "/search", json={"query": QUESTION, "source_ids": [id_]}).json()["hits"]
            assert hits == []

    def count(self, who: int) -> None:
        """Counts are those of the tenant's own documents."""
        side = self.sides[who]
        self.service.settle()
        listed = self.ask(side, "GET", "/sources", params=LIST).json()["items"]
        assert {each["source_id"] for each in listed} == set(side.sources)
        stats = self.ask(side, "GET", "/stats").json()
        assert stats["sources"] == len(side.sources)
        assert stats["chunks"] == stats["vectors"] == sum(each["chunks"] for each in listed)
        assert stats["disk_bytes"] == {}, "it would grow with the other's"
        jobs = self.ask(side, "GET", "/jobs", params=LIST).json()["items"]
        assert sum(stats["jobs"].values()) == len(jobs)
        assert self.ask(side, "GET", "/usage").json()["calls"] == 0
        entities = self.ask(side, "GET", "/graph/entities", params=LIST).json()["items"]
        assert stats["entities"] == len(entities)
        for entity in entities[:10]:
            told = self.ask(side, "GET", f"/graph/entities/{entity['id']}/mentions", params=LIST).json()["items"]
            assert len({each["chunk_id"] for each in told}) == entity["mentions"]
            assert {each["source_id"] for each in told} <= set(side.sources)
        side.ids |= {each["id"] for each in entities} | {each["job_id"] for each in jobs}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("sequences") / "lm", model_cache, web=False) as client:
        yield Service(client)


@pytest.mark.timeout(120 + SEQUENCES * 20)
def test_no_sequence_shows_one_tenant_anything_of_the_other(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    @settings(max_examples=SEQUENCES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, min_size=STEPS // 2, max_size=STEPS if SEQUENCES < 100 else 4 * STEPS))
    def play(sequence: list[tuple[Any, ...]]) -> None:
        game = Play(service)
        for who in (0, 1):  # both have the same, and a word of their own, whatever follows
            game.put(who, 0)
            game.put(who, len(DOCUMENTS))
        for what, *how in sequence:
            getattr(game, what)(*how)
            done["steps"] += 1
        for who in (0, 1):
            game.count(who)
            game.steal(who, 0)
        done["sequences"] += 1

    play()
    with capsys.disabled():
        print(f"\nisolation: {done['sequences']:,} sequences, {done['steps']:,} steps, {done['calls']:,} calls")
