"""A web page or file by its address, without becoming a door into the network that the service stands in."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from localmind.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5
MAX_URL_CHARS = 4000
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_DISPOSITION = re.compile(r"""filename\*=(?:UTF-8|utf-8)''([^;\s]+)|filename="([^"]+)"|filename=([^;\s"]+)""")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Fetched:
    """data: the body. media_type_hint: what the server says it is, None where it does not say; content decides."""

    data: bytes
    filename: str
    media_type_hint: str | None
    final_url: str


def check_url(url: str) -> None:
    """Raises InvalidInput for an address that `fetch` would refuse without asking the network."""
    import httpx

    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise InvalidInput("This is no web address.", hint="Give one like https://example.org/page.") from error
    _check(parsed)


def fetch(url: str, *, max_bytes: int, timeout_s: float, allow_private: bool = False) -> Fetched:
    """Follows at most MAX_REDIRECTS redirects. Not to be called on an event loop's thread.

    Every address on the way is resolved here, checked, and then connected to as it was checked, so that a name can't point elsewhere
    a moment later. Proxies are not used: they would resolve the name themselves.
    allow_private: for tests against a server on this machine.
    Raises InvalidInput (bad or forbidden address, an answer that is no success, no answer within timeout_s), TooLarge.
    """
    check_url(url)
    return asyncio.run(_fetch_in_time(url.strip(), max_bytes, timeout_s, allow_private=allow_private))


async def _fetch_in_time(url: str, max_bytes: int, timeout_s: float, *, allow_private: bool) -> Fetched:
    import httpx

    try:
        # One limit for all: a server that sends a byte a second would pass any limit on a single wait.
        async with asyncio.timeout(timeout_s):
            return await _fetch(httpx.URL(url), max_bytes, allow_private=allow_private)
    except TimeoutError as error:
        raise InvalidInput(
            f"{url} did not answer within {timeout_s:g} s.", hint="Try again later, or download it and put in the file."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        raise InvalidInput(f"{url} can't be fetched: {reason}.", hint="Open it in a browser to see whether it works.") from error


async def _fetch(url: httpx.URL, max_bytes: int, *, allow_private: bool) -> Fetched:
    import httpx

    async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=None) as client:  # noqa: S113 bounded by the caller
        for _ in range(MAX_REDIRECTS + 1):
            _check(url)
            address = await _resolve(url, allow_private=allow_private)
            request = client.build_request(
                "GET",
                url.copy_with(host=str(address)),
                headers={"Host": url.netloc.decode("ascii"), "User-Agent": "LocalMind", "Accept": "*/*", "Accept-Encoding": "identity"},
                extensions={"sni_hostname": url.host},
            )
            response = await client.send(request, stream=True)
            try:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = url.join(response.headers["location"])
                    continue
                if not response.is_success:
                    raise InvalidInput(
                        f"{url} answered with status {response.status_code}.",
                        hint="Check the address; pages behind a login can't be fetched.",
                    )
                data = await _body(response, url, max_bytes)
                content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                return Fetched(data, _filename(response, url), content_type or None, str(url))
            finally:
                await response.aclose()
    raise InvalidInput(f"{url} redirects more than {MAX_REDIRECTS} times.", hint="Give the address of the page itself.")


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


async def _resolve(url: httpx.URL, *, allow_private: bool) -> _Address:
    """The address to connect to. Raises InvalidInput when the name has any address that is not public."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise InvalidInput(f"The host {url.host} is not known.", hint="Check the address and the network.") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not allow_private and not all(map(is_public, addresses)):
        raise InvalidInput(
            f"The host {url.host} is on this machine or in a private network, which is not fetched from.", hint="Put in the file instead."
        )
    return addresses[0]


def is_public(address: _Address) -> bool:
    """Whether an address is one of the open internet, also behind the ways of writing an IPv4 address in IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


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


def _filename(response: httpx.Response, url: httpx.URL) -> str:
    """The name that the server gives, else the address's last part, else the host's name."""
    given = _DISPOSITION.search(response.headers.get("content-disposition", ""))
    name = unquote(given[1]) if given and given[1] else (given[2] or given[3] if given else "")
    name = PurePosixPath((name or unquote(url.path)).replace("\\", "/")).name
    return name[:200] or url.host
