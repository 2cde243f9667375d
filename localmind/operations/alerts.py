"""Prometheus' alert rules and the table of them in the documentation, made from infrastructure/prometheus/alerts.toml."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = Path("infrastructure/prometheus/alerts.toml")
RULES = Path("infrastructure/prometheus/rules/localmind.yml")
TABLE = Path("docs/alerts.md")

INTERVAL = "5s"
"""Rules are looked at as often as the backend is scraped: a server that is gone shall be told within a minute."""

_MADE = f"Made from {SOURCE} by scripts/alerts.py."


@dataclass(frozen=True, slots=True)
class Alert:
    """value: PromQL that gives a number. above or below: the threshold of each severity. hold: for how long, as Prometheus writes it.

    page: in docs/runbook/, without .md. series, quantile: what gives the value in a test, as the file explains them.
    """

    name: str
    summary: str
    value: str
    hold: str
    page: str
    unit: str = ""
    above: Mapping[str, float] = field(default_factory=dict)
    below: Mapping[str, float] = field(default_factory=dict)
    series: tuple[Mapping[str, Any], ...] = ()
    quantile: str = ""

    @property
    def thresholds(self) -> Mapping[str, float]:
        return self.above or self.below

    @property
    def sign(self) -> str:
        return ">" if self.above else "<"


def load(root: Path = ROOT) -> list[Alert]:
    """In the file's order. Raises TypeError for a key that is missing or unknown."""
    told = tomllib.loads((root / SOURCE).read_text())
    return [_alert(dict(each), told["words"]) for each in told["alert"]]


def _alert(told: dict[str, Any], words: Mapping[str, str]) -> Alert:
    value = re.sub(r"\$(\w+)", lambda found: words[found[1]], told.pop("value"))
    hold, series, quantile = told.pop("for"), tuple(told.pop("test", ())), told.pop("test_quantile", "")
    return Alert(value=" ".join(value.split()), hold=hold, series=series, quantile=quantile, **told)


def rules(alerts: list[Alert]) -> str:
    """The rule file, one rule for each severity of an alert. YAML takes JSON's strings."""
    lines = [f"# {_MADE} Don't edit.", "groups:", "  - name: localmind", f"    interval: {INTERVAL}", "    rules:"]
    for alert in alerts:
        for severity, threshold in alert.thresholds.items():
            unit = f" {alert.unit}" if alert.unit else ""
            told = f"{{{{ printf `%.4g` $value }}}}{unit}, {alert.sign} {threshold:g}{unit} for {alert.hold}"
            lines += [
                f"      - alert: {alert.name}",
                f"        expr: {json.dumps(f'{alert.value} {alert.sign} {threshold:g}')}",
                f"        for: {alert.hold}",
                f"        labels: {{severity: {severity}}}",
                "        annotations:",
                f"          summary: {json.dumps(alert.summary)}",
                f"          value: {json.dumps(told)}",
                f"          runbook: docs/runbook/{alert.page}.md",
            ]
    return "\n".join(lines) + "\n"


def table(alerts: list[Alert]) -> str:
    """The page docs/alerts.md."""
    lines = [
        "# The alerts",
        "",
        f"{_MADE} Each names its page: how to check, how to mend, and how to know that it is well again.",
        "A critical one wakes somebody, a warning waits for the morning.",
        "",
        "| alert | when | warning | critical | for | page |",
        "|---|---|---|---|---|---|",
    ]
    for alert in alerts:
        levels = [_level(alert, severity) for severity in ("warning", "critical")]
        cells = [alert.name, alert.summary, *levels, alert.hold, f"[{alert.page}](runbook/{alert.page}.md)"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _level(alert: Alert, severity: str) -> str:
    if severity not in alert.thresholds:
        return ""
    if not alert.unit:
        return "yes"
    return f"{alert.sign} {alert.thresholds[severity]:g} {alert.unit}"


def write(root: Path = ROOT, *, check: bool = False) -> list[Path]:
    """Make both files anew, or only look (check); those that differed."""
    alerts = load(root)
    stale = []
    for path, text in ((RULES, rules(alerts)), (TABLE, table(alerts))):
        if not (root / path).exists() or (root / path).read_text() != text:
            stale.append(path)
            if not check:
                (root / path).write_text(text)
    return stale
