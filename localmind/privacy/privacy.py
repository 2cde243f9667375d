"""What doors ask of privacy, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localmind.privacy.consent import Consents
from localmind.privacy.erasure import Erasures
from localmind.privacy.export import Exports
from localmind.privacy.retention import Daily, Retention

if TYPE_CHECKING:
    from localmind.accounts.accounts import Accounts
    from localmind.ingest.sources import Sources
    from localmind.ingest.store import Store


@dataclass(frozen=True)
class Privacy:
    exports: Exports
    erasures: Erasures
    retention: Retention
    consents: Consents
    daily: Daily


def build_privacy(store: Store, accounts: Accounts, sources: Sources, *, consent_text: str, is_paused: Callable[[], bool]) -> Privacy:
    catalog = store.catalog
    erasures = Erasures(catalog, accounts.members, sources.delete)
    retention = Retention(catalog, sources.delete)
    return Privacy(
        exports=Exports(catalog, store.blobs),
        erasures=erasures,
        retention=retention,
        consents=Consents(catalog, consent_text),
        daily=Daily(catalog, daily=[retention.apply], often=[erasures.finish], is_paused=is_paused),
    )
