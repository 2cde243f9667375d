"""When certificates end, as the servers show them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from localmind.operations.certificates import Endpoint, endpoints, expiries
from localmind.settings import Settings

NOW = datetime.now(UTC).replace(microsecond=0)


def make_certificate(folder: Path, ends: datetime) -> Path:
    """Signed by itself: key and certificate in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=90))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{ends:%s}.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def serve() -> Iterator[Callable[[Path], int]]:
    """serve(certificate) gives the port of a server with it."""
    with ExitStack() as stack:

        def start(certificate: Path) -> int:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer() -> None:
                with suppress(OSError):
                    plain, _ = listener.accept()
                    with plain, context.wrap_socket(plain, server_side=True) as secured:
                        secured.recv(1)

            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join)
            return int(listener.getsockname()[1])

        yield start


def read(port: int, ca: Path) -> list[float]:
    (metric,) = expiries([Endpoint("neo4j", "127.0.0.1", port)], ca_file=str(ca))
    return [sample.value for sample in metric.samples]


@pytest.mark.parametrize(("days", "expected"), [(20, (NOW + timedelta(days=20)).timestamp()), (-1, 0.0)], ids=["holds", "is over"])
def test_a_certificate_tells_its_end(days: int, expected: float, tmp_path: Path, serve: Callable[[Path], int]) -> None:
    certificate = make_certificate(tmp_path, NOW + timedelta(days=days))
    assert read(serve(certificate), certificate) == [expected]


def test_a_certificate_of_a_stranger_tells_nothing(tmp_path: Path, serve: Callable[[Path], int]) -> None:
    other = make_certificate(tmp_path, NOW + timedelta(days=7))
    assert read(serve(make_certificate(tmp_path, NOW + timedelta(days=20))), other) == []


def test_a_server_that_is_away_tells_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert read(port, make_certificate(tmp_path, NOW + timedelta(days=7))) == []


def test_servers_with_tls_are_asked_and_those_that_the_settings_name() -> None:
    settings = Settings(
        _env_file=None,
        neo4j_uri="bolt+s://graph:7688",
        milvus_uri="http://milvus:19530",
        minio_endpoint="https://minio",
        redis_url=SecretStr("rediss://:secret@redis/0"),
        watched_certificates="notes.example, other.example:8443",  # type: ignore[arg-type]
    )
    assert endpoints(settings) == [
        ("neo4j", "graph", 7688),
        ("minio", "minio", 443),
        ("redis", "redis", 6379),
        ("notes.example", "notes.example", 443),
        ("other.example:8443", "other.example", 8443),
    ]


def test_without_tls_nobody_is_asked() -> None:
    assert list(expiries(endpoints(Settings(_env_file=None)))) == []
