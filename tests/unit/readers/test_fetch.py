from __future__ import annotations

import gzip
import ipaddress
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from localmind.errors import InvalidInput, TooLarge
from localmind.readers.addresses import Allowed, allowed, is_public
from localmind.readers.fetch import Fetched, Manners, check_url, fetch
from localmind.settings import Settings


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/page":
            self._answer(200, b"<html><body>Hello</body></html>", **{"Content-Type": "text/html; charset=utf-8"})
        elif path == "/named":
            self._answer(200, b"x", **{"Content-Disposition": "attachment; filename*=UTF-8''%C3%BC..%2F..%2Freport.pdf"})
        elif path == "/hop":
            self._answer(302, b"", Location="/page")
        elif path == "/loop":
            self._answer(302, b"", Location="/loop")
        elif path == "/file":
            self._answer(302, b"", Location="file:///etc/passwd")
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            while not self.server.stopped.is_set():  # type: ignore[attr-defined]
                self.wfile.write(bytes(65_536))
        elif path == "/slow":
            self.server.stopped.wait(10)  # type: ignore[attr-defined]
        elif path == "/packed":
            self._answer(200, gzip.compress(bytes(20_000_000)), **{"Content-Encoding": "gzip"})
        elif path == "/robots.txt":
            self._answer(*self.server.robots)  # type: ignore[attr-defined]
        elif path == "/picture":
            self._answer(200, b"\x89PNG", **{"Content-Type": "image/png"})
        elif path == "/elsewhere":
            self._answer(302, b"", Location=self.path.partition("?")[2])
        elif path == "/host":
            self._answer(200, self.headers["Host"].encode())
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client hangs up on an endless answer, as it should
            super().handle()


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    server.robots = (404, b"")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site(server: ThreadingHTTPServer) -> str:
    server.robots = (404, b"")  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{server.server_port}"


class Anywhere(Allowed):
    """Every address and port."""

    def host(self, name: str, port: int) -> bool:
        return True


NEARBY = Manners(Anywhere())


def get(url: str, *, max_bytes: int = 1_000_000, timeout_s: float = 5, manners: Manners = NEARBY) -> Fetched:
    return fetch(url, max_bytes=max_bytes, timeout_s=timeout_s, manners=manners)


def test_a_page_is_fetched_with_its_type_and_name(site: str) -> None:
    fetched = get(f"{site}/page")
    assert fetched.data == b"<html><body>Hello</body></html>"
    assert (fetched.filename, fetched.media_type_hint, fetched.final_url) == ("page", "text/html", f"{site}/page")


def test_redirects_are_followed_and_the_last_address_is_told(site: str) -> None:
    assert get(f"{site}/hop").final_url == f"{site}/page"


def test_the_server_sees_the_name_that_was_asked_for(site: str) -> None:
    port = site.rpartition(":")[2]
    assert get(f"http://localhost:{port}/host").data.decode() == f"localhost:{port}"


def test_a_name_given_by_the_server_holds_no_path(site: str) -> None:
    assert get(f"{site}/named").filename == "report.pdf"


@pytest.mark.parametrize(("path", "what"), [("/loop", "more than 5 times"), ("/file", "Only http and https"), ("/missing", "status 404")])
def test_what_leads_nowhere_says_so(site: str, path: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what) as caught:
        get(site + path)
    assert caught.value.hint


@pytest.mark.parametrize("path", ["/endless", "/packed"])
def test_too_large_an_answer_is_dropped_early(site: str, path: str) -> None:
    with pytest.raises(TooLarge, match="MAX_UPLOAD_MB"):
        get(site + path)


def test_the_time_is_bounded_as_a_whole(site: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidInput, match=r"within 0\.3 s"):
        get(f"{site}/slow", timeout_s=0.3)
    assert time.monotonic() - began < 3


def test_nobody_there_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(InvalidInput, match="can't be fetched"):
            get(f"http://127.0.0.1:{taken.getsockname()[1]}/")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fd00:ec2::254]", "[fe80::1]", "[64:ff9b::7f00:1]"),
        *("169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.100.100.200", "[2002:7f00:1::]", "[::127.0.0.1]"),
    ],
)
def test_private_addresses_are_refused_in_every_notation(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"private network|not known|no web address"):
        fetch(f"http://{host}/", max_bytes=1000, timeout_s=5)


def resolver(*answers: list[str]) -> Callable[[str, int], Awaitable[list[str]]]:
    """Gives one answer after the other, and the last one ever after: what an attacker's name server does."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(site: str) -> None:
    """The first answer is allowed, the next one is not: whoever resolves again to connect ends up there."""
    port = int(site.rpartition(":")[2])
    manners = Manners(AnyPort(*allowed(["127.0.0.1/32"])), False, resolver(["127.0.0.1"], ["127.0.0.2"]))
    assert get(f"http://rebound.example:{port}/host", manners=manners).data == f"rebound.example:{port}".encode()
    with pytest.raises(InvalidInput, match="private network"):
        get(f"http://rebound.example:{port}/host", manners=manners)


class AnyPort(Allowed):
    """The test's server has no port of a web server."""

    def port(self, name: str, port: int) -> bool:
        return True


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.8", "::1", "169.254.169.254"])
def test_a_name_with_one_private_address_is_refused(inside: str) -> None:
    with pytest.raises(InvalidInput, match="private network"):
        get("http://mixed.example/", manners=Manners(resolve=resolver(["93.184.216.34", inside])))


def test_a_redirect_into_the_private_network_is_refused(site: str) -> None:
    port = int(site.rpartition(":")[2])
    manners = Manners(allowed([f"127.0.0.1:{port}"]), False)
    assert get(f"{site}/page", manners=manners).data
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.2 is on this machine or in a private"):
        get(f"{site}/elsewhere?http://127.0.0.2/page", manners=manners)
    with pytest.raises(InvalidInput, match="only web servers at 80 and 443"):
        get(f"{site}/elsewhere?http://127.0.0.1:{port + 1}/page", manners=manners)


@pytest.mark.parametrize("port", [22, 25, 3306, 6379, 8000, 9200])
def test_ports_of_other_services_are_refused(port: int) -> None:
    with pytest.raises(InvalidInput, match=f"at port {port}") as caught:
        get(f"http://8.8.8.8:{port}/", manners=Manners())
    assert "FETCH_ALLOW" in (caught.value.hint or "")


def test_what_fetch_allow_names_may_be_fetched_from_and_nothing_beside_it() -> None:
    rules = allowed(["wiki.example", "Git.example:8080", "10.1.2.3:8080", "10.2.0.0/16"])
    assert rules.host("WIKI.example.", 80) and rules.host("git.example", 8080) and rules.port("10.1.2.3", 8080)
    assert not rules.host("wiki.example", 8080) and not rules.host("git.example", 80) and not rules.port("10.2.1.1", 8080)
    assert rules.address(ipaddress.ip_address("10.2.1.1"))
    assert not rules.address(ipaddress.ip_address("10.3.1.1"))


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "http://wiki.example", "user@wiki.example", "wiki.example:port", ":80", "a/b"])
def test_fetch_allow_is_checked_at_the_start(entry: str) -> None:
    with pytest.raises(ValidationError, match="fetch_allow"):
        Settings(_env_file=None, fetch_allow=entry)


def test_a_site_that_asks_programs_to_stay_away_is_left_alone(site: str, server: ThreadingHTTPServer) -> None:
    server.robots = (200, b"User-agent: *\nDisallow: /page\n")  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match=r"asks programs not to fetch .*/page \(robots\.txt\)") as caught:
        get(f"{site}/page")
    assert "FETCH_ROBOTS" in (caught.value.hint or "")
    with pytest.raises(InvalidInput, match=r"robots\.txt"):
        get(f"{site}/hop")
    assert get(f"{site}/host").data
    assert get(f"{site}/page", manners=Manners(Anywhere(), heeds_robots=False)).data


@pytest.mark.parametrize(("answer", "may"), [((404, b""), True), ((403, b""), True), ((500, b""), False), ((200, bytes(600_000)), False)])
def test_a_robots_file_that_can_not_be_had(site: str, server: ThreadingHTTPServer, answer: tuple[int, bytes], may: bool) -> None:
    server.robots = answer  # type: ignore[attr-defined]
    if may:
        assert get(f"{site}/page").data
    else:
        with pytest.raises(InvalidInput, match="robots"):
            get(f"{site}/page")


def test_a_picture_is_not_downloaded(site: str) -> None:
    with pytest.raises(InvalidInput, match="calls it image/png"):
        get(f"{site}/picture")


def test_a_proxy_of_the_environment_is_not_used(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(f"{site}/page").data


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "224.0.0.1",
        "255.255.255.255",
        "2002:7f00:1::",
        "fec0::1",
        "2001:db8::1",
        "::",
        "240.0.0.1",
        "100.64.0.1",
        "::7f00:1",
        "64:ff9b:1::1",
        "ff02::1",
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "ftp://example.org/x", "file:///etc/passwd", "http://", "http://user:pw@example.org/", "javascript:alert(1)"),
        *("http://exa mple.org/", "http://example.org/" + "x" * 5000, "http://[::1", "http://\x00/"),
    ],
)
def test_what_is_no_web_address_is_refused_without_the_network(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_url(url)
    assert caught.value.hint
