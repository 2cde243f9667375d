"""Every Prometheus metric of the product. Labels are bounded: route templates, modes, stages, error classes; never an id."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
"""Of our own, so that a test or an embedding program can't collide with ours."""

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SLOW_S = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)

http_requests_total = Counter("http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
http_request_duration_seconds = Histogram(
    "http_request_duration_seconds", "Time to the end of the answer.", ["method", "route"], buckets=_FAST_S, registry=REGISTRY
)
http_refused_total = Counter("http_refused", "Requests refused by a rate limit.", ["policy"], registry=REGISTRY)
search_duration_seconds = Histogram("search_duration_seconds", "Time of a search.", ["mode"], buckets=_FAST_S, registry=REGISTRY)
ingestion_duration_seconds = Histogram(
    "ingestion_duration_seconds", "Time of an ingest job, from its first stage to its end.", ["kind"], buckets=_SLOW_S, registry=REGISTRY
)
ingestion_failures_total = Counter("ingestion_failures", "Ingest jobs that failed.", ["error_type"], registry=REGISTRY)
llm_extraction_duration_seconds = Histogram(
    "llm_extraction_duration_seconds", "Time of an LLM's extraction of one chunk.", buckets=_SLOW_S, registry=REGISTRY
)
chunks_created_total = Counter("chunks_created", "Chunks written.", registry=REGISTRY)
community_summaries_total = Counter("community_summaries", "Communities that an LLM was asked about.", ["outcome"], registry=REGISTRY)
# Gauges are set at the scrape by the process that answers it: of several processes' values the newest is the right one.
jobs = Gauge("jobs", "Jobs by state, as of this scrape.", ["status"], registry=REGISTRY, multiprocess_mode="mostrecent")
neo4j_is_healthy = Gauge(
    "neo4j_is_healthy",
    "1 when the graph answers, be it Neo4j or the one in the catalog.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
milvus_is_healthy = Gauge(
    "milvus_is_healthy", "1 when the vectors answer, be it Milvus or LanceDB.", registry=REGISTRY, multiprocess_mode="mostrecent"
)
