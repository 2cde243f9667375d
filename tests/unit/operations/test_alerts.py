"""The alerts: made from one file, each with its page, and each fires and clears at its threshold, as promtool finds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from localmind.operations import alerts, metrics
from localmind.operations.alerts import ROOT, Alert
from localmind.operations.figures import services
from localmind.operations.machine import Machine

ALERTS = alerts.load()
NEED = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")

STEP_S = 30
BUCKETS_S = (0.5, 2, 5, 10)


def test_rules_and_table_are_what_the_file_says() -> None:
    assert alerts.write(check=True) == [], "run `python scripts/alerts.py`"


def test_a_threshold_that_is_changed_by_hand_is_found_out(tmp_path: Path) -> None:
    for path in (alerts.SOURCE, alerts.RULES, alerts.TABLE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    rules = tmp_path / alerts.RULES
    rules.write_text(rules.read_text().replace("> 80", "> 90"))
    assert alerts.write(tmp_path, check=True) == [alerts.RULES]
    alerts.write(tmp_path)
    assert alerts.write(tmp_path, check=True) == []


def test_thresholds_are_those_that_were_promised() -> None:
    promised = {
        "ErrorRateHigh": (1, 5),
        "LatencyHigh": (2, 5),
        "IngestionFailing": (5, 20),
        "CPUHigh": (80, 95),
        "MemoryHigh": (85, 95),
        "JobBacklog": (50, 200),
    }
    told = {alert.name: (alert.above["warning"], alert.above["critical"]) for alert in ALERTS if alert.name in promised}
    assert told == promised
    holds = {alert.name: alert.hold for alert in ALERTS}
    assert holds["Neo4jUnhealthy"] == holds["MilvusUnhealthy"] == "30s"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_page_that_knows_it(alert: Alert) -> None:
    page = (ROOT / "docs" / "runbook" / f"{alert.page}.md").read_text()
    symptom, _, rest = page.partition("## How to check")
    assert alert.name in symptom, "the page's symptom names the alert"
    headings = re.findall(r"^## (.+)$", rest, flags=re.MULTILINE)
    assert any(re.match("How to mend|What do I do", heading) for heading in headings)
    assert headings[-1] == "How to know that it is well again"


def test_every_metric_that_an_alert_reads_is_told(tmp_path: Path) -> None:
    """By the names of the code; those that only a running service has are asked for in tests/stack/test_alerts.py."""
    told = {sample.name for metric in metrics.REGISTRY.collect() for sample in metric.samples}
    told |= {f"{metric.name}{end}" for metric in metrics.REGISTRY.collect() for end in ("_total", "_bucket", "_count")}
    for collector in (Machine(tmp_path), services({"neo4j": True, "milvus": True}, ready=True)):
        told |= {sample.name for metric in collector.collect() for sample in metric.samples}
    source = (ROOT / "localmind" / "operations").glob("*.py")
    told |= set(re.findall(r'GaugeMetricFamily\(\s*"(\w+)"', "".join(path.read_text() for path in source))) | {"up"}
    for alert in ALERTS:
        read = set(re.findall(r"\b([a-z]\w*_[a-z]\w*|up)\b(?=[{\[)])", re.sub(r'"[^"]*"', '""', alert.value)))
        assert read and read <= told, alert.name


# --- with Prometheus' own tool


def promtool(*arguments: str, folder: Path = ROOT) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@NEED
def test_promtool_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "rules", str(alerts.RULES))
    promtool("check", "config", "infrastructure/prometheus/prometheus.yml")


@NEED
def test_every_alert_fires_and_clears_at_its_threshold(tmp_path: Path) -> None:
    """2% beside it. A file for each, since the tool asks all rules of a file for every test of it."""
    promtool("test", "rules", *(write_cases(tmp_path, alert) for alert in ALERTS), folder=tmp_path)


@NEED
def test_promtool_finds_a_threshold_that_is_wrong(tmp_path: Path) -> None:
    """The test above would be worth nothing if it could not fail."""
    cpu = next(alert for alert in ALERTS if alert.name == "CPUHigh")
    cases = write_cases(tmp_path, cpu)
    rules = tmp_path / "CPUHigh.yml"
    rules.write_text(rules.read_text().replace("> 80", "> 90"))
    with pytest.raises(AssertionError, match="CPUHigh"):
        promtool("test", "rules", cases, folder=tmp_path)


def write_cases(folder: Path, alert: Alert) -> str:
    """The name of a file of tests beside the alert's rules."""
    (folder / f"{alert.name}.yml").write_text(alerts.rules([alert]))
    tests = [case(alert, severity) for severity in alert.thresholds]
    told = {"rule_files": [f"{alert.name}.yml"], "evaluation_interval": f"{STEP_S}s", "tests": tests}
    (folder / f"{alert.name}-tests.yml").write_text(json.dumps(told))
    return f"{alert.name}-tests.yml"


def case(alert: Alert, severity: str) -> dict[str, Any]:
    """As long well, then ill, then well again as the alert's memory is, and half of that more."""
    threshold = alert.thresholds[severity]
    side = 1 if alert.above else -1
    well, ill = threshold * (1 - 0.02 * side), threshold * (1 + 0.02 * side) or 1.0
    hold_s = seconds(alert.hold)
    phase = -(-(hold_s + max(map(seconds, re.findall(r"\[(\w+)\]", alert.value)), default=0) + 120) // STEP_S)
    values = [well] * phase + [ill] * phase + [well] * phase
    expression = f'count(ALERTS{{alertname="{alert.name}",severity="{severity}",alertstate="firing"}})'
    moments = {phase: False, phase + hold_s // STEP_S - 1: False, 2 * phase - 1: True, 3 * phase - 1: False}
    return {
        "name": f"{alert.name} {severity}",
        "interval": f"{STEP_S}s",
        "input_series": list(series(alert, values)),
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": f"{step * STEP_S}s",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
            for step, fires in moments.items()
        ],
    }


def series(alert: Alert, values: list[float]) -> Any:
    for told in alert.series:
        level, growth = told.get("level", (0, 0)), told.get("per_minute", (0, 0))
        grown = accumulate((growth[0] + growth[1] * value) * STEP_S / 60 for value in values)
        points = [level[0] + level[1] * value + total for value, total in zip(values, grown, strict=True)]
        yield {"series": told["series"], "values": written(points)}
    if alert.quantile:
        for place, bound in enumerate([*map(str, BUCKETS_S), "+Inf"]):
            points = list(accumulate(cumulative(value)[place] * STEP_S / 60 for value in values))
            yield {"series": alert.quantile.replace("$le", bound), "values": written(points)}


def written(points: list[float]) -> str:
    return " ".join(f"{point:.6f}" for point in points)


def cumulative(p95: float) -> list[float]:
    """Of 100 requests, how many lie in each bucket or a lower one, so that Prometheus' 95th percentile is that."""
    upper = next(place for place, bound in enumerate(BUCKETS_S) if p95 <= bound)
    lowest, highest = BUCKETS_S[upper - 1], BUCKETS_S[upper]
    share = (p95 - lowest) / (highest - lowest)
    below = 95 - 5 * share / (1 - share)
    return [below] * upper + [100.0] * (len(BUCKETS_S) + 1 - upper)


def seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]
