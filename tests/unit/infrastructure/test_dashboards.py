"""The dashboards are what their source says, what Grafana can find, and PromQL that parses. tests/stack has them asked of a Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from localmind.operations import alerts

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "infrastructure" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for board in BOARDS.values() for panel in panels(board) for target in panel["targets"]]


def test_there_is_a_dashboard_for_each_question() -> None:
    assert set(BOARDS) == {"overview", "ingestion", "search", "llm", "stores", "tenants"}


def test_they_are_what_their_source_says() -> None:
    pytest.importorskip("grafana_foundation_sdk")
    command = [sys.executable, str(ROOT / "scripts" / "dashboards.py"), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ids_are_unique_and_panels_lie_beside_each_other() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    for name, board in BOARDS.items():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids)), name
        cells = [(x, y) for panel in board["panels"] for x, y in _cells(panel["gridPos"])]
        assert len(cells) == len(set(cells)), f"{name}: panels lie on each other"
        assert max(x for x, _ in cells) < 24, name


def _cells(place: dict[str, int]) -> list[tuple[int, int]]:
    left, top = place.get("x", 0), place.get("y", 0)
    return [(x, y) for x in range(left, left + place["w"]) for y in range(top, top + place["h"])]


def test_the_answers_of_a_panel_can_be_told_apart() -> None:
    for board in BOARDS.values():
        for panel in panels(board):
            letters = [target["refId"] for target in panel["targets"]]
            assert all(letters) and len(letters) == len(set(letters)), panel["title"]


def test_grafana_is_told_where_they_are_and_whom_they_ask() -> None:
    sources = yaml.safe_load((FOLDER / "provisioning/datasources/localmind.yaml").read_text())["datasources"]
    assert {source["uid"] for source in sources} >= {"prometheus", "loki"}
    asked = {panel["datasource"]["uid"] for board in BOARDS.values() for panel in panels(board)}
    assert asked == {"prometheus"}
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/localmind.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana-dashboards" and not provider["allowUiUpdates"]


def test_the_overview_holds_what_was_promised_against_what_is() -> None:
    steps = {
        panel["title"]: {step["value"] for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ())}
        for panel in panels(BOARDS["overview"])
    }
    assert 0.995 in steps["Availability"] and 0.0 in steps["Error budget left"]
    assert [0.5 in steps["P50 of the last hour"], 2.0 in steps["P95 of the last hour"], 5.0 in steps["P99 of the last hour"]] == [True] * 3
    assert 10.0 in steps["Documents a minute, at best"]


def test_every_alert_that_counts_something_has_a_panel_with_its_thresholds() -> None:
    shown = {
        re.sub(r"^\((.*)\) or vector\(0\)$", r"\1", panel["targets"][0]["expr"]): panel
        for board in BOARDS.values()
        for panel in panels(board)
    }
    for alert in alerts.load():
        if set(alert.thresholds.values()) == {1} or alert.name == "RestoreDrillDue":
            continue  # something is well or not: the panels of all services show it
        if alert.name == "BackupOld":
            continue  # beside the restore drill, in one panel
        steps = {step["value"] for step in shown[alert.value]["fieldConfig"]["defaults"]["thresholds"]["steps"]}
        assert steps >= set(alert.thresholds.values()), alert.name
        assert f"{alert.page}.md" in shown[alert.value]["description"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_every_query_parses(tmp_path: Path) -> None:
    told = [re.sub(r"\$__\w+", "5m", expression) for expression in expressions()]
    rules = {"groups": [{"name": "panels", "rules": [{"record": f"panel:{n}", "expr": one} for n, one in enumerate(told)]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(told)} rules found" in done.stdout
