from __future__ import annotations

import gzip
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from localmind.errors import InvalidInput, TooLarge
from localmind.readers import fetch as fetching
from localmind.readers.fetch import Fetched, check_url, fetch, is_public


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
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def get(url: str, *, max_bytes: int = 1_000_000, timeout_s: float = 5) -> Fetched:
    return fetch(url, max_bytes=max_bytes, timeout_s=timeout_s, allow_private=True)


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
        *("169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.100.100.200"),
    ],
)
def test_private_addresses_are_refused_in_every_notation(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"private network|not known|no web address"):
        fetch(f"http://{host}/", max_bytes=1000, timeout_s=5)


def test_a_redirect_into_the_private_network_is_refused(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(site.rpartition(":")[2])
    monkeypatch.setattr(fetching, "is_public", lambda address: address != ipaddress.ip_address("127.0.0.2"))
    monkeypatch.setattr(Site, "do_GET", lambda self: self._answer(302, b"", Location=f"http://127.0.0.2:{port}/page"))
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.2 is on this machine or in a private"):
        fetch(f"{site}/", max_bytes=1000, timeout_s=5)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255", "2002:7f00:1::", "fec0::1", "2001:db8::1", "::", "240.0.0.1"])
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
