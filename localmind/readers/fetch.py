"""A web page or file by its address, without becoming a door into the network that the service stands in."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from localmind.errors import InvalidInput, TooLarge
from localmind.readers import robots
from localmind.readers.addresses import Address, Allowed

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
MAX_URL_CHARS = 4000
TIMEOUT_S = 60.0
"""For a page with its redirects and robots.txt, as the product asks for it."""
USER_AGENT = "LocalMind"
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_NO_DOCUMENTS = frozenset({"image", "audio", "video", "font"})
_DISPOSITION = re.compile(r"""filename\*=(?:UTF-8|utf-8)''([^;\s]+)|filename="([^"]+)"|filename=([^;\s"]+)""")


@dataclass(frozen=True, slots=True)
class Fetched:
    """data: the body. media_type_hint: what the server says it is, None where it does not say; content decides."""

    data: bytes
    filename: str
    media_type_hint: str | None
    final_url: str


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host's name."""


async def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver. Raises OSError, UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class Manners(NamedTuple):
    """allowed: what may be fetched besides the open internet. heeds_robots: whether a site's robots.txt is asked first."""

    allowed: Allowed = Allowed()
    heeds_robots: bool = True
    resolve: Resolve = resolve


CAREFUL = Manners()


def check_url(url: str) -> None:
    """Raises InvalidInput for an address that `fetch` would refuse without asking the network."""
    import httpx

    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise InvalidInput("This is no web address.", hint="Give one like https://example.org/page.") from error
    _check(parsed)


def fetch(url: str, *, max_bytes: int, timeout_s: float, manners: Manners = CAREFUL) -> Fetched:
    """Follows at most MAX_REDIRECTS redirects. Not to be called on an event loop's thread.

    Every address on the way is resolved here once, checked, and then connected to as it was checked, so that a name can't point
    elsewhere a moment later. Proxies are not used: they would resolve the name themselves.
    Raises InvalidInput (bad or forbidden address, an answer that is no success or no document, no answer within timeout_s), TooLarge.
    """
    check_url(url)
    return asyncio.run(_fetch_in_time(url.strip(), max_bytes, timeout_s, manners))


async def _fetch_in_time(url: str, max_bytes: int, timeout_s: float, manners: Manners) -> Fetched:
    import httpx

    try:
        # One limit for all: a server that sends a byte a second would pass any limit on a single wait.
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=None) as client,  # noqa: S113 bounded by the caller
        ):
            return await _Visit(client, manners).page(httpx.URL(url), max_bytes)
    except TimeoutError as error:
        raise InvalidInput(
            f"{url} did not answer within {timeout_s:g} s.", hint="Try again later, or download it and put in the file."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        raise InvalidInput(f"{url} can't be fetched: {reason}.", hint="Open it in a browser to see whether it works.") from error


class _Answer(NamedTuple):
    url: httpx.URL
    status: int
    headers: httpx.Headers
    data: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class _Visit:
    """One fetch, with the redirects and robots.txt that belong to it."""

    client: httpx.AsyncClient
    manners: Manners
    known: dict[str, list[robots.Rule]] = field(default_factory=dict)
    """robots.txt's rules by the site's origin."""

    async def page(self, url: httpx.URL, max_bytes: int) -> Fetched:
        answer = await self._follow(url, max_bytes, heeds_robots=self.manners.heeds_robots)
        if not answer.is_success:
            raise InvalidInput(
                f"{answer.url} answered with status {answer.status}.", hint="Check the address; pages behind a login can't be fetched."
            )
        return Fetched(answer.data, _filename(answer), _content_type(answer.headers) or None, str(answer.url))

    async def _follow(self, url: httpx.URL, max_bytes: int, *, heeds_robots: bool) -> _Answer:
        for _ in range(MAX_REDIRECTS + 1):
            _check(url)
            if heeds_robots:
                await self._heed_robots(url)
            response = await self._ask(url)
            try:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = url.join(response.headers["location"])
                    continue
                if response.is_success:
                    _check_type(url, response.headers)
                data = await _body(response, url, max_bytes) if response.is_success else b""
                return _Answer(url, response.status_code, response.headers, data)
            finally:
                await response.aclose()
        raise InvalidInput(f"{url} redirects more than {MAX_REDIRECTS} times.", hint="Give the address of the page itself.")

    async def _ask(self, url: httpx.URL) -> httpx.Response:
        """The answer's begin, from the address that was checked."""
        address = await self._resolve(url)
        request = self.client.build_request(
            "GET",
            url.copy_with(host=str(address)),
            headers={"Host": url.netloc.decode("ascii"), "User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            extensions={"sni_hostname": url.host},
        )
        return await self.client.send(request, stream=True)

    async def _resolve(self, url: httpx.URL) -> Address:
        """The address to connect to. Raises InvalidInput for another port, and for a name with any address that is not public."""
        allowed, port = self.manners.allowed, _port(url)
        if not allowed.port(url.host, port):
            raise InvalidInput(
                f"{url} is at port {port}; only web servers at 80 and 443 are asked.",
                hint=f"Put in the file instead, or name {url.host}:{port} in FETCH_ALLOW.",
            )
        try:
            addresses = [ipaddress.ip_address(one) for one in await self.manners.resolve(url.host, port)]
        except (OSError, UnicodeError) as error:
            raise InvalidInput(f"The host {url.host} is not known.", hint="Check the address and the network.") from error
        if not allowed.host(url.host, port) and not all(map(allowed.address, addresses)):
            raise InvalidInput(
                f"The host {url.host} is on this machine or in a private network, which is not fetched from.",
                hint="Put in the file instead, or name the host in FETCH_ALLOW.",
            )
        return addresses[0]

    async def _heed_robots(self, url: httpx.URL) -> None:
        """Raises InvalidInput where the site asks programs to leave this address alone."""
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin not in self.known:
            self.known[origin] = await self._robots(url.join("/robots.txt"))
        if not robots.may_fetch(self.known[origin], url.raw_path.decode("ascii")):
            raise InvalidInput(
                f"{url.host} asks programs not to fetch {url} (robots.txt).",
                hint="Open it in a browser, save it and put in the file; or set FETCH_ROBOTS=false where you have the right to.",
            )

    async def _robots(self, url: httpx.URL) -> list[robots.Rule]:
        """RFC 9309, 2.3.1: without a file all is allowed; a server that fails to say allows nothing."""
        try:
            answer = await self._follow(url, robots.MAX_BYTES, heeds_robots=False)
        except TooLarge as error:
            raise InvalidInput(
                f"{url} is too large to be understood.", hint="Put in the file instead, or set FETCH_ROBOTS=false."
            ) from error
        if answer.is_success:
            return robots.rules(answer.data.decode("utf-8", "replace"))
        return [robots.Rule("/", allows=False)] if answer.status >= 500 else []


def _check(url: httpx.URL) -> None:
    if url.scheme not in ("http", "https"):
        raise InvalidInput(
            f"Only http and https addresses are fetched, not {url.scheme or 'one without a scheme'}.", hint="Put in the file instead."
        )
    if not url.host or "%" in url.host or " " in url.host:
        raise InvalidInput("The address names no host.", hint="Give one like https://example.org/page.")
    if url.userinfo:
        raise InvalidInput("The address holds a user name or password.", hint="Leave it out: it would be kept with the source.")
    if len(str(url)) > MAX_URL_CHARS:
        raise InvalidInput(f"The address is longer than {MAX_URL_CHARS} characters.", hint="Give a shorter one.")


def _check_type(url: httpx.URL, headers: httpx.Headers) -> None:
    """What a server calls a picture or a film is not downloaded; about anything else the content decides."""
    kind = _content_type(headers)
    if kind.partition("/")[0] in _NO_DOCUMENTS:
        raise InvalidInput(f"{url} is no document: the server calls it {kind[:80]}.", hint="Give the address of a page or a document.")


def _content_type(headers: httpx.Headers) -> str:
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


async def _body(response: httpx.Response, url: httpx.URL, max_bytes: int) -> bytes:
    too_large = TooLarge(
        f"{url} is larger than {max_bytes // 1_000_000} MB (MAX_UPLOAD_MB).", hint="Put in a smaller file, or raise MAX_UPLOAD_MB."
    )
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise too_large
    data = bytearray()
    # In small pieces: a server may compress though it was asked not to, and then a piece unfolds.
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) > max_bytes:
            raise too_large
    return bytes(data)


def _filename(answer: _Answer) -> str:
    """The name that the server gives, else the address's last part, else the host's name."""
    given = _DISPOSITION.search(answer.headers.get("content-disposition", ""))
    name = unquote(given[1]) if given and given[1] else (given[2] or given[3] if given else "")
    name = PurePosixPath((name or unquote(answer.url.path)).replace("\\", "/")).name
    return name[:200] or answer.url.host
