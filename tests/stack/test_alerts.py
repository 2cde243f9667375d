"""The alerts with the real Prometheus and Alertmanager over a fleet on the real servers: Neo4j goes away, and somebody is woken in time."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from localmind.operations import alerts
from tests.stack.fleet import Fleet, eventually
from tests.stack.test_faults import fleet, wires  # noqa: F401 - fixtures
from tests.stack.test_fleet import servers  # noqa: F401 - a fixture
from tests.stack.watchers import Watchers, Webhook
from tests.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

VISIBLE_S, WOKEN_S = 10, 60

LATER = {"llm", "certificate", "reconcile", "ingestion_failures"}
"""Beginnings of metrics that a fleet without a language model, TLS, a nightly check and a failure does not have."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture
def watchers(tmp_path: Path, fleet: Fleet, webhook: Webhook) -> Iterator[Watchers]:  # noqa: F811
    if shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None:
        reason = "Prometheus or Alertmanager is not installed: scripts/stack prepare --install"
        pytest.fail(reason) if os.environ.get("STACK") else pytest.skip(reason)
    targets = {"backend": f"127.0.0.1:{fleet.port}", "worker": f"127.0.0.1:{fleet.metrics_port}"}
    with Watchers(tmp_path, targets, webhook) as watchers:
        yield watchers


def test_a_stopped_neo4j_is_told_and_its_end_too(
    fleet: Fleet,  # noqa: F811
    wires: Mapping[str, TcpProxy],  # noqa: F811
    watchers: Watchers,
    webhook: Webhook,
) -> None:
    fleet.wait_for(fleet.put_in("Boiler manual", "The boiler has to be descaled every 90 days."))
    fleet.post("/api/v1/search", {"query": "boiler"})
    eventually(lambda: len(watchers.query("up == 1")) == 2, "Prometheus does not reach backend and worker", 60)
    eventually(lambda: bool(watchers.query("neo4j_is_healthy == 1")), "Neo4j is not well to begin with", 60)

    stopped = time.monotonic()
    wires["neo4j"].shut()
    # Each process of the backend asks by itself: four answers in a row come from both.
    eventually(lambda: {fleet.get("/health")["services"]["neo4j"] for _ in range(4)} == {"unhealthy"}, "/health does not tell", 30)
    visible_s = time.monotonic() - stopped
    notice = webhook.wait_for("Neo4jUnhealthy", "firing", 90)
    woken_s = notice.at - stopped

    mended = time.monotonic()
    wires["neo4j"].open()
    cleared_s = webhook.wait_for("Neo4jUnhealthy", "resolved", 120).at - mended
    print(f"a stopped Neo4j: in /health after {visible_s:.1f} s, alert after {woken_s:.1f} s, cleared {cleared_s:.1f} s after it is back")

    assert visible_s < VISIBLE_S and woken_s < WOKEN_S
    assert notice.annotations["runbook"] == "docs/runbook/neo4j-unhealthy.md"
    assert {one.name for one in webhook.notices} == {"Neo4jUnhealthy"}, "nothing else woke anybody"
    there = watchers.metric_names()
    read = {name for alert in alerts.load() for name in re.findall(r"\b[a-z]+_[a-z_]+(?=[{\[)])", re.sub(r'"[^"]*"', '""', alert.value))}
    assert {name for name in read if not any(name.startswith(begin) for begin in LATER)} <= there
