"""Passages that answer a query."""

from __future__ import annotations

from fastapi import APIRouter

from apps.backend.access import Reader
from apps.backend.dependencies import Mind
from apps.backend.schemas.common import problems
from apps.backend.schemas.search import SearchIn, SearchOut
from localmind.model import SourceId
from localmind.operations import metrics

router = APIRouter(prefix="/api/v1/search", tags=["search"])


@router.post("", responses=problems(_400="The query is longer than the tenant may ask."))
def search(mind: Mind, tenant: Reader, body: SearchIn) -> SearchOut:
    """The passages that answer the query best, each with its place in every list."""
    mind.quotas.check_query(tenant, body.query)
    mind.usage.count(tenant, searches=1)
    with metrics.search_duration_seconds.labels(body.mode.value).time():
        found = mind.search.search(
            tenant,
            body.query,
            mode=body.mode,
            limit=body.limit,
            source_ids=None if body.source_ids is None else [SourceId(one) for one in body.source_ids],
            tags=body.tags,
        )
    mind.audit.searched(tenant, body.query, mode=body.mode.value, hits=len(found.hits), sources=[hit.source_id for hit in found.hits])
    return SearchOut.of(found)
