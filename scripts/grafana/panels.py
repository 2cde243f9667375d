"""A few sorts of panels, each with its queries, its unit and where it turns red."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, Row, ThresholdsConfig
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

from localmind.operations import alerts

ALERTS = {alert.name: alert for alert in alerts.load()}
WORDS = tomllib.loads((alerts.ROOT / alerts.SOURCE).read_text("utf-8"))["words"]
ASKED, WAITED = WORDS["asked"], WORDS["waited"]
"""Routes that count for errors, and those that count for latency: the alerts' own."""

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
GREEN, ORANGE, RED = "green", "orange", "red"

Panel = stat.Panel | timeseries.Panel


class Query(NamedTuple):
    """legend: with {{label}} for what tells the series apart; empty for a query that gives one."""

    expr: str
    legend: str = ""


class Limits(NamedTuple):
    """From where on a value is orange or red; below: up to where. None: never."""

    warning: float | None = None
    critical: float | None = None
    below: bool = False


def graph(
    title: str,
    *queries: Query,
    unit: str = "short",
    says: str = "",
    limits: Limits | None = None,
    stacked: bool = False,
    wide: bool = False,
) -> timeseries.Panel:
    """Lines over time; limits are drawn."""
    panel = timeseries.Panel().title(title).datasource(SOURCE).unit(unit).min(0).height(8).span(24 if wide else 8)
    panel = panel.fill_opacity(10).show_points(VisibilityMode.NEVER).line_width(1)
    panel = panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    panel = panel.legend(
        common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(len(queries) > 0)
    )
    if says:
        panel = panel.description(says)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if limits is not None:
        panel = panel.thresholds(_steps(limits)).thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE))
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        panel = panel.with_target(_target(query, letter))
    return panel


def figure(
    title: str, query: Query, *, unit: str = "short", says: str = "", limits: Limits | None = None, decimals: int | None = None
) -> stat.Panel:
    """One number, or one a series, as of now."""
    panel = stat.Panel().title(title).datasource(SOURCE).unit(unit).height(4).span(4)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).graph_mode(BigValueGraphMode.AREA)
    panel = panel.color_mode(BigValueColorMode.VALUE).with_target(_target(query)).thresholds(_steps(limits or Limits()))
    if decimals is not None:
        panel = panel.decimals(decimals)
    return panel.description(says) if says else panel


def alerted(name: str, title: str, *, unit: str = "short", legend: str = "", or_zero: bool = False) -> timeseries.Panel:
    """What an alert looks at, with its thresholds and the way to its page. or_zero: where nothing was counted yet, that is none."""
    alert = ALERTS[name]
    limits = Limits(alert.thresholds.get("warning"), alert.thresholds.get("critical"), below=bool(alert.below))
    says = f"{alert.summary}. The alert {name} looks at this; what to do then: docs/runbook/{alert.page}.md."
    return graph(title, Query(f"({alert.value}) or vector(0)" if or_zero else alert.value, legend), unit=unit, says=says, limits=limits)


def board(name: str, title: str, says: str, rows: Mapping[str, Sequence[Panel]]) -> Dashboard:
    """A dashboard with its rows. Panels count from 1, row after row, so that links to one hold until one is put before it."""
    made = Dashboard(f"Local Mind: {title}").uid(f"localmind-{name}").description(says).tags(["localmind"]).timezone("browser")
    made = made.time("now-3h", "now").refresh("30s").tooltip(DashboardCursorSync.CROSSHAIR).readonly()
    made = made.link(DashboardLink("Local Mind").type(DashboardLinkType.DASHBOARDS).tags(["localmind"]).as_dropdown(True).keep_time(True))
    number = 0
    for row, panels in rows.items():
        number += 1
        made = made.with_row(Row(row).id(number))
        for panel in panels:
            number += 1
            made = made.with_panel(panel.id(number))
    return made


def _target(query: Query, letter: str = "A") -> prometheus.Dataquery:
    """letter: Grafana knows a panel's answers by it. Its page fills it in; who asks for a panel otherwise gets one answer for all."""
    return prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend or "__auto").range()


def _steps(limits: Limits) -> ThresholdsConfig:
    told = [(limits.warning, ORANGE), (limits.critical, RED)]
    bounds = sorted((value, colour) for value, colour in told if value is not None)
    if limits.below:  # a step holds from its value up: what lies under the lowest bound is worst
        values, colours = [value for value, _ in bounds], [colour for _, colour in bounds]
        steps = [Threshold(value=None, color=colours[0] if colours else GREEN)]
        steps += [Threshold(value=value, color=colour) for value, colour in zip(values, [*colours[1:], GREEN], strict=True)]
    else:
        steps = [Threshold(value=None, color=GREEN), *(Threshold(value=value, color=colour) for value, colour in bounds)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
