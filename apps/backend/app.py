"""Puts the service together: routes, middleware, and a lifespan that opens the product behind a port that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from apps.backend import bodies, docs, errors, front, patience, processes
from apps.backend.config import get_settings, version
from apps.backend.gate import Gate, PageGate
from apps.backend.maintenance import StopWrites
from apps.backend.middleware import BodyLimit, RequestContext
from apps.backend.patience import Patience
from apps.backend.rates import Rates
from apps.backend.routers import (
    api_keys,
    audit,
    auth,
    chat,
    conversations,
    graph,
    health,
    intake,
    jobs,
    maintenance,
    search,
    single_sign_on,
    sources,
    spaces,
    tenants,
    usage,
)
from apps.backend.security import OriginGuard, allowed
from apps.backend.service import Service, State
from apps.backend.throttle import Throttle
from localmind.accounts.mode import check_secrets, needs_login
from localmind.operations import logs
from localmind.settings import Settings

if TYPE_CHECKING:
    from localmind.wiring import LocalMind

log = structlog.get_logger("localmind.service")

THREADS = 64
"""Plain routes run in these; a chat with a slow LLM holds one for its whole answer."""

ROUTERS = (
    sources,
    intake,
    jobs,
    search,
    chat,
    conversations,
    graph,
    maintenance,
    usage,
    health,
    auth,
    single_sign_on,
    tenants,
    spaces,
    api_keys,
    audit,
)


def create_app(
    settings: Settings | None = None, mind: LocalMind | None = None, *, patient: bool = True, log_to: logs.Target = "stdout"
) -> FastAPI:
    """The app over a product that is opened and closed with it. Without `mind` it is composed from the settings, in the background.

    patient: it waits for servers that can't be reached yet. log_to: standard error where standard output is a command's answer.
    Raises ConfigurationError where logins are needed and SECRET_KEY is weak.
    """
    settings = settings or (mind.settings if mind is not None else get_settings())
    check_secrets(settings)
    rates = Rates(settings) if _has_rates(settings) else None
    app = FastAPI(
        title="Local Mind",
        summary="Documents in, answers with page citations out.",
        description=docs.DESCRIPTION,
        version=version(),
        openapi_tags=docs.TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        middleware=_middleware(settings, rates),
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = Service(settings, mind, patient=patient)
    app.state.rates = rates
    app.state.log_to = log_to
    app.state.has_logins = needs_login(settings)
    errors.install(app)
    docs.install(app)
    for router in _routers(settings):
        app.include_router(router)
    app.state.routes = [route for router in _routers(settings) for route in router.routes if isinstance(route, APIRoute)]
    app.state.front = front.Front(app.router.default, enabled=_has_pages(settings))
    app.router.default = app.state.front  # the last resort: a mount at / would hide the API's own 405
    return app


def _routers(settings: Settings) -> list[APIRouter]:
    asks_cypher = settings.cypher_queries and settings.neo4j_uri and not needs_login(settings)
    return [*(module.router for module in ROUTERS), *([graph.cypher] if asks_cypher else [])]


def _has_rates(settings: Settings) -> bool:
    return needs_login(settings) if settings.rate_limits == "auto" else settings.rate_limits == "on"


def _middleware(settings: Settings, rates: Rates | None) -> list[Middleware]:
    """Outermost first. CORS stands before the guard, which answers what it refuses to a page that may read it."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "RateLimit", "RateLimit-Policy", "Retry-After"],
    )
    proxies = Middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    return [
        *([proxies] if settings.trusted_proxies else []),
        Middleware(RequestContext),
        *([cors] if settings.cors_origins else []),
        Middleware(OriginGuard, allowed=allowed(settings)),
        Middleware(Patience, limit_of=patience.limits(settings), stall_s=settings.request_timeout_s),
        Middleware(Gate, rates=rates),
        Middleware(Throttle, rates=rates),
        Middleware(StopWrites),
        Middleware(BodyLimit, limit_of=bodies.limits(settings.max_upload_bytes)),
    ]


def _has_pages(settings: Settings) -> bool:
    """A page's later calls have to meet the process that drew it, and several processes on one port take turns."""
    return settings.web and not processes.is_one_of_several()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    logs.configure(service.settings.log_level, target=app.state.log_to)
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    service.start()
    async with AsyncExitStack() as pages:
        opening = asyncio.create_task(_open_pages(app, service, pages)) if _has_pages(service.settings) else None
        yield
        if opening is not None:
            opening.cancel()
    await asyncio.to_thread(service.close)
    if app.state.rates is not None:
        await app.state.rates.close()


async def _open_pages(app: FastAPI, service: Service, stack: AsyncExitStack) -> None:
    """Puts the web page up once the product is open. NiceGUI takes over a second to import, so it waits its turn."""
    await asyncio.to_thread(service.wait)
    if service.state is not State.READY:
        return
    pages = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    try:
        await asyncio.to_thread(front.mount_pages, pages, service.mind)
        await stack.enter_async_context(pages.router.lifespan_context(pages))
    except Exception:
        # The API is worth keeping without its page; the log and the page's address tell what happened.
        log.exception("pages_failed")
        app.state.front.give_up()
    else:
        app.state.front.show(PageGate(pages))
