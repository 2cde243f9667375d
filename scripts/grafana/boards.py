"""The dashboards: what an operator looks at, from the whole to its parts."""

from __future__ import annotations

from collections.abc import Callable

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.panels import ASKED, WAITED, Limits, Query, alerted, board, figure, graph

AVAILABLE = 0.995
"""Share of requests that are not answered 5xx, over 30 days."""

LATENCY_S = {0.5: 0.5, 0.95: 2.0, 0.99: 5.0}
"""Seconds that so large a share of the requests takes at most."""

DOCUMENTS_PER_MINUTE = 10.0

CHATS = 'route=~"/api/v1/chat.*|/v1/chat/completions"'
I = "[$__rate_interval]"  # noqa: E741 - as short as it stands often


def quantile(share: float, metric: str, *, by: str = "", where: str = "", over: str = I) -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{where}}}{over})))"


def errors(over: str) -> str:
    """Share of the requests in that time; 0 where none failed."""
    failed = f'(sum(increase(http_requests_total{{status=~"5..",{ASKED}}}[{over}])) or vector(0))'
    return f"{failed} / sum(increase(http_requests_total{{{ASKED}}}[{over}]))"


def overview() -> Dashboard:
    month = "Over 30 days, or as many as Prometheus keeps."
    promises = [
        figure(
            "Availability",
            Query(f"1 - {errors('30d')}"),
            unit="percentunit",
            decimals=3,
            limits=Limits(None, AVAILABLE, below=True),
            says=f"Requests not answered 5xx: {AVAILABLE:.1%} are promised. {month}",
        ),
        figure(
            "Error budget left",
            Query(f"1 - ({errors('30d')}) / {1 - AVAILABLE:.3f}"),
            unit="percentunit",
            decimals=1,
            limits=Limits(0.25, 0.0, below=True),
            says=f"Of the {1 - AVAILABLE:.1%} that may fail. {month}",
        ),
        *(
            figure(
                f"P{share * 100:.0f} of the last hour",
                Query(quantile(share, "http_request_duration_seconds", where=WAITED, over="[1h]")),
                unit="s",
                limits=Limits(None, most_s),
                says=f"Under {most_s:g} s is promised. Without streams, chat and maintenance.",
            )
            for share, most_s in LATENCY_S.items()
        ),
        figure(
            "Documents a minute, at best",
            Query("max_over_time((60 * sum(rate(ingestion_duration_seconds_count[2m])))[$__range:15s])"),
            decimals=1,
            limits=Limits(None, DOCUMENTS_PER_MINUTE, below=True),
            says=f"Of the two busiest minutes shown; more than {DOCUMENTS_PER_MINUTE:.0f} are promised while documents wait.",
        ),
    ]
    now = [
        figure(
            "Services", Query("min by (service) (service_is_healthy)", "{{service}}"), limits=Limits(None, 1, below=True), says="1: well."
        ),
        figure("Alerts", Query('count(ALERTS{alertstate="firing"}) or vector(0)'), limits=Limits(1, 3), says="That fire now."),
        figure("Jobs that wait", Query("sum(max by (queue, kind) (queue_depth))"), limits=Limits(50, 200)),
        figure("Oldest waits", Query("max(queue_oldest_age_seconds)"), unit="s"),
        figure("Documents", Query('max(stored_items{kind="sources"})')),
        figure(
            "Since the last backup",
            Query("time() - max(backup_last_success_timestamp_seconds)"),
            unit="s",
            limits=Limits(26 * 3600, 50 * 3600),
        ),
    ]
    course = [
        graph(
            "Requests a second",
            Query(f"sum by (status) (rate(http_requests_total{{{ASKED}}}{I}))", "{{status}}"),
            unit="reqps",
            stacked=True,
        ),
        alerted("ErrorRateHigh", "Requests that fail, of those of 5 minutes", unit="percent", or_zero=True),
        graph(
            "How fast the budget burns",
            *(Query(f"({errors(over)}) / {1 - AVAILABLE:.3f}", f"over {over}") for over in ("5m", "1h", "6h")),
            limits=Limits(1, 14.4),
            says="1: it is spent when the 30 days are over. 14.4: in two days.",
        ),
        graph(
            "Time to the answer",
            *(Query(quantile(share, "http_request_duration_seconds", where=WAITED), f"P{share * 100:.0f}") for share in LATENCY_S),
            unit="s",
            limits=Limits(2, 5),
        ),
        graph(
            "Documents a minute",
            Query(f"60 * sum(rate(ingestion_duration_seconds_count{I}))", "indexed"),
            Query(f"60 * (sum(rate(ingestion_failures_total{I})) or vector(0))", "failed"),
        ),
        graph(
            "Searches and questions a second",
            Query(f"sum(rate(search_duration_seconds_count{I}))", "searches"),
            Query(f"sum(rate(http_requests_total{{{CHATS}}}{I})) or vector(0)", "questions"),
            unit="reqps",
        ),
    ]
    return board(
        "overview",
        "Overview",
        "Whether it keeps its promises, and what it does now.",
        {"Promises": promises, "Now": now, "Its course": course},
    )


def ingestion() -> Dashboard:
    queue = [
        alerted("JobBacklog", "Jobs that wait", legend="{{queue}}"),
        graph("They wait since", Query("max by (kind) (queue_oldest_age_seconds)", "{{kind}}"), unit="s"),
        graph("Jobs by state", Query("max by (status) (jobs)", "{{status}}")),
        graph("Worker processes", Query("max by (queue) (workers)", "{{queue}}"), limits=Limits(None, 1, below=True)),
        graph(
            "Documents a minute",
            Query(f"60 * sum by (kind) (rate(ingestion_duration_seconds_count{I}))", "{{kind}}"),
            stacked=True,
            limits=Limits(DOCUMENTS_PER_MINUTE, below=True),
        ),
        alerted("IngestionFailing", "Jobs that fail, of those of 15 minutes", unit="percent", or_zero=True),
    ]
    work = [
        graph(
            "From being put in to being found",
            *(Query(quantile(share, "ingestion_duration_seconds"), f"P{share * 100:.0f}") for share in (0.5, 0.95, 0.99)),
            unit="s",
        ),
        graph("The same, by sort of document, P95", Query(quantile(0.95, "ingestion_duration_seconds", by="kind"), "{{kind}}"), unit="s"),
        graph("Failures an hour", Query("sum by (error_type) (increase(ingestion_failures_total[1h]))", "{{error_type}}")),
        graph("Chunks a second", Query(f"sum(rate(chunks_created_total{I}))", "written")),
        graph("Texts embedded a second", Query(f"sum by (kind) (rate(embedded_texts_total{I}))", "{{kind}}"), stacked=True),
        graph(
            "Time in the embedding model, of a second",
            Query(f"sum by (kind) (rate(embedding_duration_seconds_sum{I}))", "{{kind}}"),
            unit="s",
            stacked=True,
            says="1: one call after the other, all the time.",
        ),
        graph(
            "An LLM's extraction, a chunk",
            *(Query(quantile(share, "llm_extraction_duration_seconds"), f"P{share * 100:.0f}") for share in (0.5, 0.95)),
            unit="s",
        ),
        graph(
            "Uploads a second",
            Query(f'sum by (route) (rate(http_requests_total{{method=~"POST|PUT",route=~"/api/v1/sources.*"}}{I}))', "{{route}}"),
            unit="reqps",
        ),
        graph(
            "Time of an upload, P95",
            Query(
                quantile(0.95, "http_request_duration_seconds", by="route", where='method=~"POST|PUT",route=~"/api/v1/sources.*"'),
                "{{route}}",
            ),
            unit="s",
        ),
    ]
    return board("ingestion", "Ingestion and queue", "How documents come in, and where they wait.", {"Queue": queue, "Work": work})


def search() -> Dashboard:
    searches = [
        graph(
            "Searches a second", Query(f"sum by (mode) (rate(search_duration_seconds_count{I}))", "{{mode}}"), unit="reqps", stacked=True
        ),
        graph(
            "Time of a search",
            *(Query(quantile(share, "search_duration_seconds"), f"P{share * 100:.0f}") for share in LATENCY_S),
            unit="s",
            limits=Limits(2, 5),
        ),
        graph("The same, by mode, P95", Query(quantile(0.95, "search_duration_seconds", by="mode"), "{{mode}}"), unit="s"),
        graph(
            "Embedding a question, P95",
            Query(quantile(0.95, "embedding_duration_seconds", by="kind", where='kind="query"'), "{{kind}}"),
            unit="s",
        ),
        alerted("LatencyHigh", "Time to the answer, P95 of 5 minutes", unit="s"),
        graph(
            "The slowest routes, P95",
            Query(f"topk(5, {quantile(0.95, 'http_request_duration_seconds', by='route', where=ASKED)})", "{{route}}"),
            unit="s",
        ),
    ]
    chat = [
        graph(
            "Questions a second",
            Query(f"sum by (route, status) (rate(http_requests_total{{{CHATS}}}{I}))", "{{route}} {{status}}"),
            unit="reqps",
        ),
        graph(
            "Time to the answer's end",
            *(Query(quantile(share, "http_request_duration_seconds", where=CHATS), f"P{share * 100:.0f}") for share in (0.5, 0.95)),
            unit="s",
            says="A stream's end: as long as the model writes.",
        ),
        graph(
            "Turned away by a limit, a minute", Query(f"60 * (sum by (policy) (rate(http_refused_total{I})) or vector(0))", "{{policy}}")
        ),
    ]
    return board("search", "Search and chat", "How questions are answered.", {"Search": searches, "Chat": chat})


def llm() -> Dashboard:
    calls = [
        graph("Calls a minute", Query(f"60 * sum by (model) (rate(llm_requests_total{I}))", "{{model}}")),
        alerted("LLMFailing", "Calls without an answer, of those of 5 minutes", unit="percent", legend="{{model}}"),
        graph("Errors an hour", Query("sum by (model, error_type) (increase(llm_errors_total[1h]))", "{{model}} {{error_type}}")),
        graph(
            "Time of a call",
            *(
                Query(quantile(share, "llm_request_duration_seconds", by="model"), f"P{share * 100:.0f} {{{{model}}}}")
                for share in (0.5, 0.95)
            ),
            unit="s",
            says="Retries included.",
        ),
        graph(
            "Extraction of a chunk",
            *(Query(quantile(share, "llm_extraction_duration_seconds"), f"P{share * 100:.0f}") for share in (0.5, 0.95)),
            unit="s",
        ),
        graph("Calls at once, on average", Query(f"sum by (model) (rate(llm_request_duration_seconds_sum{I}))", "{{model}}")),
    ]
    money = [
        graph("Tokens a minute", Query(f"60 * sum by (model, kind) (rate(llm_tokens_total{I}))", "{{model}} {{kind}}"), stacked=True),
        graph(
            "Cost an hour",
            Query("sum by (model) (increase(llm_cost_total[1h]))", "{{model}}"),
            says="By LLM_PRICE_INPUT and LLM_PRICE_OUTPUT.",
        ),
        figure("Tokens of 24 hours", Query("sum by (kind) (increase(llm_tokens_total[24h]))", "{{kind}}")),
        figure("Cost of 24 hours", Query("sum(increase(llm_cost_total[24h]))"), decimals=2),
    ]
    return board(
        "llm", "LLM", "What the language model does, how long it takes and what it costs.", {"Calls": calls, "Tokens and money": money}
    )


def stores() -> Dashboard:
    servers = [
        graph(
            "Answers the backend",
            Query("min by (service) (service_is_healthy)", "{{service}}"),
            says="1: well.",
            limits=Limits(None, 1, below=True),
        ),
        graph("Answers Prometheus", Query("min by (job) (up)", "{{job}}"), limits=Limits(None, 1, below=True)),
        graph(
            "Memory of a server",
            Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
            unit="bytes",
            says="Of those that tell it.",
        ),
        graph("Processors a server uses", Query(f"sum by (job) (rate(process_cpu_seconds_total{I}))", "{{job}}")),
        graph("Room that a store takes", Query("max by (store) (store_bytes)", "{{store}}"), unit="bytes", stacked=True),
        graph("What is stored", Query("max by (kind) (stored_items)", "{{kind}}")),
    ]
    machine = [
        alerted("CPUHigh", "Processor", unit="percent", legend="{{job}} {{instance}}"),
        alerted("MemoryHigh", "Memory", unit="percent", legend="{{job}} {{instance}}"),
        alerted("DiskFull", "Free disk", unit="percent", legend="{{job}} {{instance}}"),
    ]
    care = [
        graph(
            "Since the last backup",
            Query("(time() - max(backup_last_success_timestamp_seconds)) / 3600", "backup"),
            Query("(time() - max(restore_drill_last_success_timestamp_seconds)) / 3600", "restore drill"),
            unit="h",
            says="Decades: never marked; `localmind maintenance mark backup` does.",
        ),
        alerted("StoresDiffer", "Differences that the last reconcile left", legend="{{store}}"),
        graph("Since the last reconcile", Query("(time() - max(reconcile_last_run_timestamp_seconds)) / 3600", "hours"), unit="h"),
        alerted("CertificateExpiring", "Certificates end in", unit="d", legend="{{server}}"),
        graph("etcd's database", Query("max by (job) (etcd_mvcc_db_total_size_in_bytes)", "{{job}}"), unit="bytes"),
        graph(
            "Alerts that fire",
            Query('count by (alertname, severity) (ALERTS{alertstate="firing"}) or vector(0)', "{{alertname}} {{severity}}"),
        ),
    ]
    return board(
        "stores",
        "Stores and infrastructure",
        "The servers, the machine, and what nobody misses until it is needed.",
        {"Servers": servers, "Machine": machine, "Care": care},
    )


def tenants() -> Dashboard:
    nobody = "Tenants are told by rank, never by name: 1 is who used most today."
    today = [
        figure("Tenants", Query('max(stored_items{kind="tenants"})')),
        figure("Documents", Query('max(stored_items{kind="sources"})')),
        figure("Chunks", Query('max(stored_items{kind="chunks"})')),
    ]
    used = [graph("Used since midnight UTC", Query("max by (kind) (usage_today)", "{{kind}}"), wide=True)]
    ranks = [
        graph("By rank", Query("max by (kind, rank) (usage_today_by_rank)", "{{kind}} {{rank}}"), says=nobody, wide=True),
        graph(
            "Share of who used most",
            Query('max by (kind) (usage_today_by_rank{rank="1"}) / (max by (kind) (usage_today) > 0)', "{{kind}}"),
            unit="percentunit",
            says=nobody,
        ),
        graph("Turned away by a limit, an hour", Query("sum by (policy) (increase(http_refused_total[1h])) or vector(0)", "{{policy}}")),
        graph(
            "Answers 403 and 429 a minute",
            Query(f'60 * (sum by (status) (rate(http_requests_total{{status=~"403|429"}}{I})) or vector(0))', "{{status}}"),
            says="403: not allowed, or a quota is reached.",
        ),
    ]
    return board("tenants", "Tenants", f"Who uses how much. {nobody}", {"Today": today, "Use": used, "By rank": ranks})


BOARDS: dict[str, Callable[[], Dashboard]] = {
    "overview": overview,
    "ingestion": ingestion,
    "search": search,
    "llm": llm,
    "stores": stores,
    "tenants": tenants,
}
