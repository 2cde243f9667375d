"""Every Prometheus metric that is counted where something happens. Labels are bounded: route templates, modes, stages, error classes,
the one model that is set; never an id. What is read when somebody asks stands in figures.py and machine.py.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()
"""Of our own, so that a test or an embedding program can't collide with ours."""

# 0.5, 2 and 5 s are what latency is held against: a quantile is exact at a bucket's bound, and guessed between two.
_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
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
llm_requests_total = Counter("llm_requests", "Calls of the LLM, those that failed too.", ["model"], registry=REGISTRY)
llm_errors_total = Counter("llm_errors", "Calls of the LLM that gave no answer.", ["model", "error_type"], registry=REGISTRY)
llm_request_duration_seconds = Histogram(
    "llm_request_duration_seconds", "Time of a call of the LLM, retries included.", ["model"], buckets=_SLOW_S, registry=REGISTRY
)
llm_tokens_total = Counter("llm_tokens", "Tokens of the LLM: prompt or completion.", ["model", "kind"], registry=REGISTRY)
llm_cost_total = Counter("llm_cost", "What the LLM cost, by the prices of the settings.", ["model"], registry=REGISTRY)
embedded_texts_total = Counter("embedded_texts", "Texts embedded: document or query.", ["kind"], registry=REGISTRY)
embedding_duration_seconds = Histogram(
    "embedding_duration_seconds", "Time of a call of the embedding model.", ["kind"], buckets=_FAST_S, registry=REGISTRY
)
chunks_created_total = Counter("chunks_created", "Chunks written.", registry=REGISTRY)
community_summaries_total = Counter("community_summaries", "Communities that an LLM was asked about.", ["outcome"], registry=REGISTRY)
