"""Until when the certificates hold that this service meets: those of its servers, and others that the settings name."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from localmind.settings import Settings

TIMEOUT_S = 2.0

EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""

log = structlog.get_logger(__name__)


class Endpoint(NamedTuple):
    """What answers with TLS. name: neo4j, milvus, minio, redis, or host:port as the settings name it."""

    name: str
    host: str
    port: int


def endpoints(settings: Settings) -> list[Endpoint]:
    """PostgreSQL is not among them: it speaks another protocol before TLS."""
    addresses = (
        ("neo4j", settings.neo4j_uri, 7687),
        ("milvus", settings.milvus_uri, 19530),
        ("minio", settings.minio_endpoint, 443),
        ("redis", settings.redis_url.get_secret_value(), 6379),
    )
    found = []
    for name, address, port in addresses:
        parts = urlsplit(address)
        if parts.scheme in ("https", "rediss", "bolt+s", "neo4j+s") and parts.hostname:
            found.append(Endpoint(name, parts.hostname, parts.port or port))
    for named in settings.watched_certificates:
        parts = urlsplit(f"//{named}")
        found.append(Endpoint(named, parts.hostname or named, parts.port or 443))
    return found


def expiries(endpoints: Iterable[Endpoint], *, ca_file: str = "") -> Iterator[Metric]:
    """Seconds since 1970; 0 for a certificate that is over. One that can't be read is left out: whoever needs it says so already."""
    asked = list(endpoints)
    if not asked:
        return
    told = GaugeMetricFamily("certificate_expiry_timestamp_seconds", "When the certificate ends; 0: it has.", labels=["server"])
    context = ssl.create_default_context(cafile=ca_file or None)
    context.check_hostname = False  # here only the date is asked for
    with ThreadPoolExecutor(len(asked)) as threads:
        for endpoint, expiry in zip(asked, threads.map(lambda each: _expiry(each, context), asked), strict=True):
            if expiry is not None:
                told.add_metric([endpoint.name], expiry)
    yield told


def _expiry(endpoint: Endpoint, context: ssl.SSLContext) -> float | None:
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as secured,
        ):
            certificate = secured.getpeercert()
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == EXPIRED:
            return 0.0
        log.warning("certificate_not_read", server=endpoint.name, error=error.verify_message)
        return None
    except OSError as error:
        log.warning("certificate_not_read", server=endpoint.name, error_type=type(error).__name__)
        return None
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"]))) if certificate else None
