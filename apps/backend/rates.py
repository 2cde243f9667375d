"""How often who may ask: sliding windows, kept in this process, or in Redis where several processes answer.

The windows are those of the library `limits` (sliding window counter: two counters a window, whatever the rate). A request counts
for its API key, its user and its tenant, all asked at once; one without an account for the address that it comes from.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import structlog

from localmind.accounts.model import Principal
from localmind.errors import TooManyRequests
from localmind.operations import metrics
from localmind.settings import Settings

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.storage import MemoryStorage

T = TypeVar("T")

WINDOW_S = 60

REDIS_TIMEOUT_S = 0.25
"""A request waits no longer for Redis; then this process counts alone."""

AWAY_S = 5.0
"""Redis is left alone for so long after it did not answer."""

CONNECTIONS = 32

MOST_REFUSED = 10_000

MOST_LOCAL = 5000
"""Windows in this process. The library looks through all of them at each request, so a flood from many addresses must not pile them up."""

CHAT = ("/api/v1/chat", "/api/v1/chat/stream", "/v1/chat/completions")
SOURCES = "/api/v1/sources"

log = structlog.get_logger("localmind.http")


class Bucket(NamedTuple):
    """policy: what the headers call it. key: whose it is. most: requests in WINDOW_S."""

    policy: str
    key: str
    most: int


class Verdict(NamedTuple):
    """bucket: the one that refuses, or that has least left. reset_s: until it has more."""

    allowed: bool
    bucket: Bucket
    left: int
    reset_s: int


class Store(Protocol):
    """Counts in windows."""

    async def hit(self, item: RateLimitItem, *identifiers: str) -> bool: ...
    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> tuple[float, int]: ...


class Buckets:
    """Which ones a request counts in, by the settings. A limit of 0 has none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def of(self, principal: Principal, method: str, path: str) -> list[Bucket]:
        """The narrowest first: it is the one that the headers tell of."""
        settings = self._settings
        user = f"{principal.tenant} {principal.user_id or 'here'}"
        found = []
        if method == "POST" and path in CHAT:
            found.append(Bucket("chat", user, settings.rate_limit_chat))
        elif path.startswith(SOURCES) and method in ("POST", "PUT"):
            found.append(Bucket("upload", user, settings.rate_limit_upload))
        if principal.key_id is not None:
            found.append(Bucket("api-key", principal.key_id, settings.rate_limit_api_key))
        found.append(Bucket("user", user, settings.rate_limit_user))
        found.append(Bucket("tenant", principal.tenant, settings.rate_limit_tenant))
        return [bucket for bucket in found if bucket.most]

    def of_stranger(self, address: str) -> list[Bucket]:
        """Without an account."""
        most = self._settings.rate_limit_address
        return [Bucket("address", network_of(address), most)] if most else []


def network_of(address: str) -> str:
    """Who has one IPv6 address has 2**64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


class Rates:
    """Of one event loop. Redis away is no error: this process counts by itself then."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.buckets = Buckets(settings)
        self._settings, self._clock = settings, clock
        self._refused: dict[Bucket, float] = {}
        self._memory: MemoryStorage
        self._local: Store | None = None
        self._redis: Store | None = None
        self._pool: object = None
        self._away_until = float("-inf")
        self._is_away = False

    async def ask(self, buckets: Sequence[Bucket]) -> Verdict:
        """Count a request in all of them; refused where one is full. buckets: one at least.

        What was refused is refused again without asking, until the time that it was told: a flood costs Redis nothing, and is not
        counted in the wider buckets either.
        """
        now = self._clock()
        for bucket in buckets:
            until = self._refused.get(bucket)
            if until is not None and until > now:
                return _refusal(bucket, math.ceil(until - now))
        allowed, (resets_at, left) = await self._count(buckets)
        if all(allowed):
            return Verdict(True, buckets[0], left, _seconds(resets_at))
        bucket = buckets[allowed.index(False)]
        resets_at, _ = await self._with_store(lambda store: store.get_window_stats(_item(bucket), bucket.policy, bucket.key))
        reset_s = _seconds(resets_at)
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused[bucket] = now + reset_s
        return _refusal(bucket, reset_s)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.disconnect()  # type: ignore[attr-defined]

    async def _count(self, buckets: Sequence[Bucket]) -> tuple[list[bool], tuple[float, int]]:
        async def count(store: Store) -> tuple[list[bool], tuple[float, int]]:
            first = buckets[0]
            if store is self._local:  # nothing to wait for: one after the other is the quicker way
                hits = [await store.hit(_item(each), each.policy, each.key) for each in buckets]
                return hits, await store.get_window_stats(_item(first), first.policy, first.key)
            stats, hits = await asyncio.gather(
                store.get_window_stats(_item(first), first.policy, first.key),
                asyncio.gather(*(store.hit(_item(each), each.policy, each.key) for each in buckets)),
            )
            return hits, (stats[0], max(0, stats[1] - 1))  # it was asked beside the hit: never too many, one too few where it came after

        return await self._with_store(count)

    async def _with_store(self, ask: Callable[[Store], Awaitable[T]]) -> T:
        local = self._local or self._open()
        if self._redis is not None and self._clock() >= self._away_until:
            try:
                found = await ask(self._redis)
            except Exception as error:  # whatever Redis or its client does, requests go on
                self._met(error)
            else:
                if self._is_away:
                    self._is_away = False
                    log.info("rate_limits_shared_again")
                return found
        if len(self._memory.storage) > MOST_LOCAL:
            await self._memory.reset()
        return await ask(local)

    def _met(self, error: Exception) -> None:
        self._away_until = self._clock() + AWAY_S
        if not self._is_away:
            self._is_away = True
            log.warning("rate_limits_local", error_type=type(error).__name__)

    def _open(self) -> Store:
        """At the first question, since the import takes some 50 ms, and the loop has to run."""
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        self._memory = MemoryStorage()
        self._local = local = SlidingWindowCounterRateLimiter(self._memory)
        url = self._settings.redis_url.get_secret_value()
        if url:
            from limits.aio.storage import RedisStorage
            from redis.asyncio import BlockingConnectionPool

            tls = {"ssl_ca_certs": self._settings.tls_ca_file} if self._settings.tls_ca_file and url.startswith("rediss:") else {}
            self._pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=REDIS_TIMEOUT_S,
                socket_timeout=REDIS_TIMEOUT_S,
                socket_connect_timeout=REDIS_TIMEOUT_S,
                **tls,
            )
            shared = RedisStorage(f"async+{url}", implementation="redispy", key_prefix="localmind:rate", connection_pool=self._pool)  # type: ignore[arg-type]
            self._redis = SlidingWindowCounterRateLimiter(shared)
        return local


WHOSE = {
    "address": "one address",
    "api-key": "one API key",
    "tenant": "one tenant",
    "chat": "one user's chats",
    "upload": "one user's uploads",
    "user": "one user",
}


def too_many(verdict: Verdict) -> TooManyRequests:
    return TooManyRequests(
        f"More than {verdict.bucket.most:,} requests in {WINDOW_S} seconds from {WHOSE[verdict.bucket.policy]}.",
        hint=f"Ask again in {verdict.reset_s} seconds.",
        retry_after_s=verdict.reset_s,
    )


def _item(bucket: Bucket) -> RateLimitItem:
    from limits import RateLimitItemPerSecond

    return RateLimitItemPerSecond(bucket.most, WINDOW_S, namespace="")


def _refusal(bucket: Bucket, reset_s: int) -> Verdict:
    metrics.http_refused_total.labels(bucket.policy).inc()
    return Verdict(False, bucket, 0, reset_s)


def _seconds(resets_at: float) -> int:
    return min(WINDOW_S, max(1, math.ceil(resets_at - time.time())))
