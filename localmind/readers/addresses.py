"""Which addresses may be fetched from: those of the open internet, and those that FETCH_ALLOW names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

PORTS = frozenset({80, 443})
"""Web servers answer here; other ports are other services, which a web page's address should not reach."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Allowed(NamedTuple):
    """What may be fetched besides the open internet. hosts: (name or address, port), at whatever address the name has."""

    hosts: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()

    def host(self, name: str, port: int) -> bool:
        return (name.lower().rstrip("."), port) in self.hosts

    def port(self, name: str, port: int) -> bool:
        return port in PORTS or self.host(name, port)

    def address(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.networks)


def allowed(entries: Iterable[str]) -> Allowed:
    """From FETCH_ALLOW's entries: `wiki.example`, `wiki.example:8080`, `10.1.2.3:8080`, `10.1.0.0/16`. Raises ValueError.

    A host without a port is allowed at PORTS.
    """
    hosts: set[tuple[str, int]] = set()
    networks: list[Network] = []
    for entry in entries:
        if "/" in entry:
            networks.append(ipaddress.ip_network(entry))
            continue
        parts = urlsplit(f"//{entry}")
        if not parts.hostname or parts.netloc != entry or "@" in entry:
            raise ValueError(f"{entry!r} is no host, address or network")
        hosts |= {(parts.hostname.rstrip("."), port) for port in ([parts.port] if parts.port else PORTS)}
    return Allowed(frozenset(hosts), tuple(networks))


def is_public(address: Address) -> bool:
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
