"""Every route, asked by everybody to whom an answer does not belong: nobody learns anything, and nothing changes.

ISOLATION_ROUTES, part of a route's name, narrows it down while something is being looked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from httpx import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from apps.backend.access import NOTHING, declared
from apps.backend.app import create_app
from localmind.settings import Settings
from tests.security.calls import NOT_WALKED, TABLE, Ask
from tests.security.world import Asker, Holding, World, running, text_of

REFUSALS = frozenset({401, 403, 404})
IN_A_SPACE = frozenset({"viewer", "editor", "admin"})
"""What routes need that read a space; those of accounts do not look at X-Space."""

ROUTES = sorted(route for route in TABLE if os.environ.get("ISOLATION_ROUTES", "") in route)
PLACES = ("own", "header", "query")

READERS_MAY = frozenset({"POST /api/v1/search", "POST /api/v1/chat", "POST /api/v1/chat/stream", "POST /api/v1/api-keys"})
"""What is no GET and yet open to who may only read: a key of theirs reads no more than they do."""

SAYS_NOTHING = frozenset({"/api/v1/usage", "/api/v1/stats", "/api/v1/tenants", "/livez", "/readyz", "/health", "/metrics"}) | frozenset(
    f"/api/v1/tenants/{{tenant_id}}/{name}" for name in ("limits", "login-rule", "retention")
)
"""Read routes in whose answers not even the owner finds anything that is theirs alone."""

PAGES = ("/", "/?c={0.conversation}", "/sources/{0.secret}", "/sources/{0.secret}?page=1", "/sources/{0.secret}/pages/1.png")
OPEN_FILES = ("/web/style.css", "/login", "/join")
"""What is needed to log in."""
PAGE_FILES = (*OPEN_FILES, "/_nicegui/none", "/_nicegui_ws/socket.io/?EIO=4&transport=polling")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("isolation") / "lm", model_cache) as client:
        yield World(client)


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """An app with every route that a setting can put up."""
    folder = tmp_path_factory.mktemp("every")
    return create_app(Settings(_env_file=None, data_dir=folder, web=False, cypher_queries=True, neo4j_uri="bolt://127.0.0.1:1"))


# --- the walk is complete


def test_every_route_is_in_the_walk(every: FastAPI) -> None:
    routes = {f"{method} {route.path}" for route in declared(every) for method in route.methods - {"HEAD"}}
    assert routes - set(TABLE) - set(NOT_WALKED) == set(), "a new route: say in tests/security/calls.py how the walk calls it"
    assert (set(TABLE) | set(NOT_WALKED)) - routes == set(), "a route that is gone"


def test_nothing_else_answers(every: FastAPI) -> None:
    """What is no route of the API: the document, and the files of its page. The web page is asked below."""
    others = [route for route in every.routes if not isinstance(route, APIRoute) and getattr(route, "path", None)]
    assert {route.path for route in others} == {"/openapi.json", "/docs/static"}  # type: ignore[attr-defined]
    assert not any(isinstance(route, WebSocketRoute) for route in every.routes)


# --- the walk


@pytest.mark.parametrize("route", ROUTES)
def test_who_does_not_belong_learns_and_changes_nothing(world: World, route: str) -> None:
    for held in world.victims:
        world.settle()
        before = world.state(held)
        for asker in world.outsiders[held.name]:
            for ask in TABLE[route](held, asker):
                for place in PLACES if asker.is_known and needs(world, route) in IN_A_SPACE else PLACES[:1]:
                    answer = send(world, route, asker, ask, held, place)
                    check(world, answer, route, asker, ask, held, place)
        assert world.state(held) == before, held.name


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.startswith("GET") and "/auth/" not in route])
def test_who_may_only_read_changes_nothing(world: World, route: str) -> None:
    if route in READERS_MAY:
        return
    world.settle()
    before = world.state(world.research)
    for asker in world.insiders:
        for ask in TABLE[route](world.research, asker):
            answer = send(world, route, asker, ask, world.research, "own")
            assert answer.status_code in REFUSALS, (asker.name, answer.text)
    assert world.state(world.research) == before


def test_a_page_and_its_socket_show_nothing_without_a_login(world: World) -> None:
    for held in world.victims:
        for path in (*(page.format(held) for page in PAGES), *PAGE_FILES):
            answer = world.client.get(path, follow_redirects=False)
            world.calls += 1
            assert answer.status_code in (*REFUSALS, 302, 303, 307) or path in OPEN_FILES, path
            assert leaked(answer, held, asked=path) == set()
    for path in ("/_nicegui_ws/socket.io/?EIO=4&transport=websocket", "/", "/api/v1/jobs"):
        with pytest.raises(WebSocketDisconnect), world.client.websocket_connect(path) as socket:
            socket.receive_text()
        world.calls += 1


def test_no_answer_to_another_is_served_from_a_cache(world: World) -> None:
    """The owner's answer comes first, the other's after it, word for word the same question."""
    path, body = "/api/v1/search", {"query": "harbour cranes", "limit": 50}
    for held in world.victims:
        assert held.word in world.client.post(path, json=body, headers=fresh(world, held)).text
        for asker in world.outsiders[held.name]:
            answer = world.client.post(path, json=body, headers=asker.headers)
            world.calls += 1
            assert leaked(answer, held) == set(), asker.name


# --- the walk is a walk: the same calls, by who may


def test_the_owner_is_answered_and_finds_what_is_theirs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    held, order = world.research, {"GET": 0, "POST": 1, "PUT": 2, "PATCH": 3, "DELETE": 4}
    walked = world.calls
    seen = set()
    routes = [route for route in ROUTES if "/auth/" not in route and needs(world, route) != "operator"]
    for route in sorted(routes, key=lambda route: (order[route.split()[0]], route.count("spaces/{space_id}"), route)):
        owner = Asker("the owner", "owner@acme.example", fresh(world, held), home=held)
        for ask in TABLE[route](held, owner):
            answer = send(world, route, owner, ask, held, "own")
            assert answer.status_code not in (401, 403, 405, 422) and answer.status_code < 500, (route, ask, answer.text)
            assert answer.status_code != 404 or route.startswith("DELETE") or "path" in route, (route, ask, answer.text)
            if leaked(answer, held):
                seen.add(route)
    silent = {route for route in routes if route.startswith("GET") or route in READERS_MAY} - seen
    assert silent <= {f"GET {path}" for path in SAYS_NOTHING} | {"POST /api/v1/api-keys"}, silent
    askers = {asker.name for held in world.victims for asker in world.outsiders[held.name]}
    with capsys.disabled():
        print(f"\nisolation: {len(ROUTES)} routes, {len(askers)} kinds of askers, {walked:,} calls")


# --- what the tests stand on


def needs(world: World, route: str) -> str | None:
    app = world.client.app
    assert isinstance(app, FastAPI)
    method, path = route.split()
    return next(each.needs for each in declared(app) if each.path == path and method in each.methods)


def send(world: World, route: str, asker: Asker, ask: Ask, held: Holding, place: str) -> Response:
    """place: where the asker says which space they mean: their own, or the other's, in the header or the query."""
    kwargs = dict(ask.kwargs)
    headers = {**asker.headers, **kwargs.pop("headers", {})}
    if place != "own":
        headers.pop("X-Space", None)
    if place == "header":
        headers["X-Space"] = held.partition
    if place == "query":
        kwargs["params"] = {**kwargs.get("params", {}), "space": held.partition}
    answer = world.client.request(route.split()[0], ask.url, headers=headers, **kwargs)
    world.calls += 1
    world.client.cookies.clear()
    if asker.email is not None and "/auth/log" in ask.url:
        world.forget(asker.email)
        asker.headers = {**asker.headers, **world.headers(asker.email)}
    return answer


def check(world: World, answer: Response, route: str, asker: Asker, ask: Ask, held: Holding, place: str) -> None:
    told = (asker.name, route, place, ask, answer.status_code, answer.text[:2000])
    needed = needs(world, route)
    assert answer.status_code < 500, told
    if not asker.is_known and needed != NOTHING:
        assert answer.status_code == 401, told
    if ask.is_theirs or place != "own":
        assert answer.status_code in REFUSALS, told
    assert leaked(answer, held, asked=ask.url + text_of(ask.kwargs) + (held.partition if place != "own" else "")) == set(), told


def leaked(answer: Response, held: Holding, *, asked: str = "") -> set[str]:
    """What of the holding's own stands in the answer and stood not in the question."""
    told, asked = (answer.text + str(dict(answer.headers))).lower(), asked.lower()
    return {mark for mark in held.marks if mark.lower() in told and mark.lower() not in asked}


def fresh(world: World, held: Holding) -> dict[str, Any]:
    """Headers of the holding's owner, of a new login."""
    email = f"owner@{held.name.split()[0]}.example"
    world.forget(email)
    return {**world.headers(email), **({} if held.space is None else {"X-Space": held.space})}
