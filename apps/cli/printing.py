"""What people see: tables and lines on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from localmind.errors import LocalMindError

if TYPE_CHECKING:
    from apps.cli.folders import Plan
    from apps.cli.ingesting import Outcome
    from localmind.evaluation.runs import Difference, Run
    from localmind.operations.estimate import Estimate
    from localmind.settings import Settings

LEFT_OUT_SHOWN = 20
STATUS_STYLES = {
    "ready": "green",
    "succeeded": "green",
    "healthy": "green",
    "partial": "yellow",
    "degraded": "yellow",
    "maintenance": "yellow",
    "failed": "red",
    "cancelled": "red",
    "refused": "red",
    "unhealthy": "red",
}


def stdout() -> Console:
    return Console(highlight=False)


def stderr() -> Console:
    return Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, ensure_ascii=not _speaks_utf8(), indent=2) + "\n")


def print_error(error: LocalMindError) -> None:
    stderr().print(f"[red]{escape(error.message)}[/red]{' ' + escape(error.hint) if error.hint else ''}", soft_wrap=True)


def print_outcomes(outcomes: Sequence[Outcome], plan: Plan) -> None:
    console = stdout()
    for outcome in outcomes:
        if outcome.went_wrong:
            reason, hint = _reason(outcome.error)
            console.print(f"[red]{outcome.status}[/red] {escape(outcome.path)}: {escape(reason)} {escape(hint)}".rstrip(), soft_wrap=True)
        elif outcome.error:
            console.print(f"[yellow]note[/yellow] {escape(outcome.path)}: {escape(' '.join(_reason(outcome.error)))}", soft_wrap=True)
        for note in outcome.notes:
            console.print(f"[yellow]note[/yellow] {escape(outcome.path)}: {escape(note)}", soft_wrap=True)
    for path, reason in plan.left_out[:LEFT_OUT_SHOWN]:
        console.print(f"[yellow]left out[/yellow] {escape(str(path))}: {escape(reason)}", soft_wrap=True)
    if len(plan.left_out) > LEFT_OUT_SHOWN:
        console.print(f"[yellow]left out[/yellow] and {len(plan.left_out) - LEFT_OUT_SHOWN} more; --json lists them")
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in dict.fromkeys(one.status for one in outcomes)}
    told = [f"{count} {status}" for status, count in counts.items()]
    told += [f"{len(plan.left_out)} left out"] * bool(plan.left_out) + [f"{plan.hidden} hidden"] * bool(plan.hidden)
    console.print(", ".join(told) or "Nothing to put in.")


def print_deleted(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        state = _styled("deleted" if outcome.status == "succeeded" else outcome.status)
        stdout().print(f"{outcome.source_id}: {state} {escape(' '.join(_reason(outcome.error)))}".rstrip(), soft_wrap=True)


def print_reingested(outcomes: Sequence[Outcome]) -> None:
    console = stdout()
    for outcome in outcomes:
        console.print(f"{outcome.source_id}: {_styled(outcome.status)} {escape(' '.join(_reason(outcome.error)))}".rstrip(), soft_wrap=True)
    if not outcomes:
        console.print("Nothing is missing.")


def estimate_as_json(found: Estimate, settings: Settings) -> dict[str, Any]:
    spent, later = found.spent, found.later
    has_prices = bool(settings.llm_price_input or settings.llm_price_output)
    return {
        "model": settings.llm_model if settings.has_llm else None,
        "documents": found.documents,
        "chunks": found.chunks,
        "calls": spent.calls,
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "cost": found.cost if has_prices else None,
        "later": {
            "calls": later.calls,
            "prompt_tokens": later.prompt_tokens,
            "completion_tokens": later.completion_tokens,
            "cost": found.later_cost if has_prices else None,
        },
        "failed": [{"path": path, "reason": reason} for path, reason in found.failed],
    }


def print_estimate(told: Mapping[str, Any]) -> None:
    console = stdout()
    for one in told["failed"]:
        console.print(f"[yellow]left out[/yellow] {escape(one['path'])}: {escape(one['reason'])}", soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    for name, key in (("documents", "documents"), ("chunks", "chunks"), ("calls", "calls"), ("tokens in, about", "prompt_tokens")):
        table.add_row(name, f"{told[key]:,}")
    table.add_row("tokens out, about", f"{told['completion_tokens']:,}")
    table.add_row("money, about", "set LLM_PRICE_INPUT and LLM_PRICE_OUTPUT" if told["cost"] is None else f"{told['cost']:,.2f}")
    table.add_row("model", escape(told["model"] or "none is set (LLM_MODEL=mock): nothing is asked, and nothing costs"))
    console.print(table)
    console.print("What was asked about before costs nothing again; answers are taken to have 350 tokens a chunk.")
    later = told["later"]
    money = "" if later["cost"] is None else f", {later['cost']:,.2f} in money"
    tokens = f"{later['prompt_tokens']:,} tokens in and {later['completion_tokens']:,} out{money}"
    console.print(
        f"Not in these figures: the words for themes, and whether two names mean the same. Roughly up to {later['calls']:,} calls, "
        f"{tokens}, by the measure of other documents; more where documents come in many portions, "
        "since themes that changed are asked about again. "
        "A budget holds for these too.",
        soft_wrap=True,
    )


def print_sources(sources: Iterable[Mapping[str, Any]]) -> None:
    table = Table("id", "title", "status", "type", "pages", "chunks", "tags", box=None, pad_edge=False)
    for one in sources:
        counts = _number(one["pages"]), _number(one["chunks"])
        tags = escape(", ".join(one["tags"]))
        table.add_row(one["source_id"], escape(one["title"]), _styled(one["status"]), one["media_type"], *counts, tags)
    stdout().print(table)


def print_jobs(jobs: Iterable[Mapping[str, Any]]) -> None:
    table = Table("id", "kind", "status", "stage", "progress", "source", "error", box=None, pad_edge=False)
    for one in jobs:
        reason = escape(" ".join(_reason(one["error"])).strip())
        progress = f"{one['progress']:.0%}"
        table.add_row(one["job_id"], one["kind"], _styled(one["status"]), one["stage"] or "", progress, one["source_id"] or "", reason)
    stdout().print(table)


def print_hits(found: Mapping[str, Any]) -> None:
    console = stdout()
    for number, hit in enumerate(found["hits"], 1):
        console.print(f"[bold]{number}. {escape(hit['title'])}[/bold]{_page(hit)}  [dim]{hit['score']:.4f} {hit['source_id']}[/dim]")
        console.print(escape(" ".join(hit["text"].split())[:400]) + "\n", soft_wrap=False)
    if not found["hits"]:
        console.print("Nothing found.")
    if found["degraded"]:
        stderr().print(f"[yellow]Could not ask: {', '.join(found['degraded'])}.[/yellow]")


def print_answer(events: Iterator[tuple[str, Any]]) -> None:
    """The answer as it comes, then where it stands."""
    console = stdout()
    for name, data in events:
        if name == "token":
            console.print(escape(data["text"]), end="", soft_wrap=True)
        elif name == "done":
            console.print()
            for one in data["citations"]:
                quote = " ".join(one["quote"].split())
                console.print(f"\n\\[{one['n']}] [bold]{escape(one['title'])}[/bold]{_page(one)}: “{escape(quote[:300])}”", soft_wrap=True)
            console.print(f"\n[dim]Go on with --conversation {data['conversation_id']}[/dim]", soft_wrap=True)


def print_findings(report: Mapping[str, Any]) -> None:
    console = stdout()
    for one in report["findings"]:
        mended = " [green]mended[/green]" if one["fixed"] else ""
        console.print(f"{one['store']}: {one['kind']} {one['id']} of {one['tenant']}{mended}")
    if any((one["store"], one["kind"]) == ("blobs", "missing") for one in report["findings"]):
        console.print("A missing file can't be made again: restore it from a backup, or put the document in anew.")
    checked = ", ".join(f"{count} {name}" for name, count in report["checked"].items())
    console.print(f"{report['count']} differences; looked at {checked}.")


def print_rebuilt(report: Mapping[str, Any]) -> None:
    stdout().print(f"{report['chunks']} chunks of {report['sources']} sources made anew in {report['took_s']:.1f} s.")


def print_moved(report: Mapping[str, Any]) -> None:
    stdout().print(f"Moved and compared: {', '.join(f'{count} {name}' for name, count in report['counts'].items() if count)}.")


def print_user(email: str, role: str, tenant: str, *, is_new: bool) -> None:
    how = "A new account" if is_new else "The account was there, and has the new password"
    print(f"{email} is {role} of the tenant {tenant}. {how}.")


def print_limits(quota: Mapping[str, float], held: Mapping[str, int]) -> None:
    """A line a limit, with what the tenant has of it now."""
    has = {"documents": held["documents"], "storage_mb": round(held["size_bytes"] / 1e6, 1), "chunks": held["chunks"], "jobs": held["jobs"]}
    table = Table("limit", "may have", "has", box=None, pad_edge=False)
    for name, limit in quota.items():
        table.add_row(name, f"{limit:,g}" if limit else "any", f"{has[name]:,}" if name in has else "")
    stdout().print(table)


def print_warning(text: str) -> None:
    stderr().print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)


def print_evaluation(run: Run, differences: Sequence[Difference]) -> None:
    """Means in percent with their 95% intervals, a column a mode; then what changed against the kept run."""
    from localmind.evaluation.runs import summary  # numpy: not for every command

    told = summary(run)
    table = Table("", *told, box=None, pad_edge=False)
    for measure in dict.fromkeys(name for one in told.values() for name in one["measures"]):
        cells = (_interval(one["measures"][measure]) if measure in one["measures"] else "" for one in told.values())
        table.add_row(measure.replace("_", " "), *cells)
    for time in dict.fromkeys(name for one in told.values() for name in one if name.endswith("_ms")):
        table.add_row(
            f"{time.removesuffix('_ms').replace('_', ' ')}, ms", *(f"{one[time]:,.0f}" if time in one else "" for one in told.values())
        )
    console = stdout()
    console.print(table)
    console.print(f"[dim]{next(iter(told.values()))['questions']} questions; shares in percent, with 95% intervals.[/dim]")
    if differences:
        changes = Table("mode", "measure", "change", "95%", "verdict", box=None, pad_edge=False)
        for mode, measure, _, interval in differences:
            verdict, (mean, low, high) = interval.verdict, interval
            style = {"better": "green", "worse": "red"}.get(verdict)
            shown = f"[{style}]{verdict}[/{style}]" if style else verdict
            changes.add_row(mode, measure.replace("_", " "), f"{100 * mean:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}", shown)
        console.print("\nAgainst the kept run:")
        console.print(changes)


@contextmanager
def steps() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a step; call it with the step's name, how much of it is done, and the whole."""
    with Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), console=stderr()) as progress:
        bars: dict[str, TaskID] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=total)
            progress.update(bars[name], completed=done, total=total)

        yield report


def print_status(told: Mapping[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_row("service", f"runs at {told['url']}" if told["running"] else "not running; opened for this command")
    table.add_row("data", escape(told["data_dir"]))
    table.add_row("health", _styled(told["status"]))
    for name, state in told["services"].items():
        table.add_row(f"  {name}", _styled(state))
    for name in ("sources", "chunks", "vectors", "entities"):
        table.add_row(name, f"{told[name]:,}")
    table.add_row("jobs", ", ".join(f"{count:,} {status}" for status, count in told["jobs"].items() if count) or "none")
    if told["disk_bytes"]:
        table.add_row("disk", ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in told["disk_bytes"].items()))
    stdout().print(table)


def print_checks(checks: Iterable[Mapping[str, Any]]) -> None:
    console = stdout()
    for one in checks:
        mark = "[green]ok[/green]  " if one["ok"] else "[red]FAIL[/red]"
        console.print(f"{mark} {one['name']}: {escape(one['detail'])}", soft_wrap=True)
        if one["hint"]:
            console.print(f"     {'→' if _speaks_utf8() else '->'} {escape(one['hint'])}", soft_wrap=True)


def print_verdicts(told: Iterable[Mapping[str, Any]]) -> None:
    console = stdout()
    for one in told:
        mark = "[red]FAIL[/red]" if one["flaws"] else "[green]ok[/green]  "
        console.print(f"{mark} {one['tenant']}: events {one['from']:,} to {one['to']:,}, ending with {one['hash']}", soft_wrap=True)
        for flaw in one["flaws"]:
            console.print(f"     event {flaw['event']:,} {flaw['what']}", soft_wrap=True)


def print_maintenance(told: Mapping[str, Any]) -> None:
    console = stdout()
    if not told["on"]:
        console.print("Maintenance is [green]off[/green].")
        return
    why = f": {escape(told['why'])}" if told["why"] else ""
    console.print(f"Maintenance is [yellow]on[/yellow] since {told['since']}{why}. {told['running_jobs']} jobs still run.", soft_wrap=True)


def _interval(values: Mapping[str, float]) -> str:
    return f"{100 * values['mean']:.1f} [{100 * values['low']:.0f}, {100 * values['high']:.0f}]"


def _reason(error: Mapping[str, Any] | None) -> tuple[str, str]:
    return ("", "") if error is None else (error["message"], error.get("hint") or "")


def _styled(status: str) -> str:
    style = STATUS_STYLES.get(status)
    return f"[{style}]{status}[/{style}]" if style else status


def _page(cited: Mapping[str, Any]) -> str:
    return "" if cited["page"] is None else f", page {cited['page']}"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
