"""`localmind ...`: each command parses, calls the service and prints. Heavy imports wait for the command that needs them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.cli import admin, audit, maintenance, privacy
from apps.cli.exits import MEANING, Exit, exit_of
from apps.cli.quiet import quiet
from localmind.errors import LocalMindError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from apps.cli.client import Api
    from localmind.settings import Settings

app = typer.Typer(
    name="localmind",
    help="Documents in, answers with page citations out.",
    epilog=MEANING,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

app.add_typer(admin.app, name="admin")
app.add_typer(audit.app, name="audit")
app.add_typer(maintenance.app, name="maintenance")
app.add_typer(privacy.app, name="privacy")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="Most lines.")]
Modes = Annotated[str, typer.Option("--mode", "-m", help="hybrid, vector, text, graph or global.")]
SERVERS = "servers"
OnlySources = Annotated[list[str] | None, typer.Option("--source", help="Only this source's id; may be repeated.")]
OnlyTags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="Only sources with this tag; may be repeated.")]


def run() -> None:
    """The entry point. An error that is ours is a line in red, never a traceback."""
    try:
        app()
    except LocalMindError as error:
        from apps.cli.printing import print_error

        print_error(error)
        sys.exit(exit_of(error))
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; else HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on; else PORT.")] = None,
) -> None:
    """Start the service with its web page."""
    from apps.cli.serving import serve as serve_until_stopped

    raise typer.Exit(serve_until_stopped(_settings(host=host, port=port)))


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(exists=True, readable=True, help="Files and folders; folders with all below them.")],
    tags: Annotated[list[str] | None, typer.Option("--tag", "-t", help="A tag for all of them; may be repeated.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they can be searched.")] = True,
    as_json: AsJson = False,
) -> None:
    """Put files in. A file that was put in before and has changed becomes a new version."""
    from apps.cli import folders, ingesting, printing

    settings = _settings()
    plan = folders.plan(paths, max_bytes=settings.max_upload_bytes)
    outcomes: list[ingesting.Outcome] = []
    if plan.files:
        with _connected(settings) as api:
            outcomes = ingesting.ingest(api, plan.files, tags=tags or [], wait=wait, console=printing.stderr())
    if as_json:
        left_out = [{"path": str(path), "reason": reason} for path, reason in plan.left_out]
        printing.print_json({"files": ingesting.as_json(outcomes), "left_out": left_out, "hidden": plan.hidden})
    else:
        printing.print_outcomes(outcomes, plan)
    named_but_left_out = any(path in paths for path, _ in plan.left_out)
    if named_but_left_out or any(outcome.went_wrong for outcome in outcomes):
        raise typer.Exit(Exit.FAILED)


@app.command()
def estimate(
    paths: Annotated[list[Path], typer.Argument(exists=True, readable=True, help="Files and folders; folders with all below them.")],
    as_json: AsJson = False,
) -> None:
    """Say what the LLM would cost for files: documents, chunks, calls, tokens and money. Reads them, stores and asks nothing."""
    from apps.cli import folders, printing
    from localmind.wiring.upkeep import estimate as estimate_files

    quiet()
    settings = _settings()
    plan = folders.plan(paths, max_bytes=settings.max_upload_bytes)
    with printing.steps() as steps:
        found = estimate_files(settings, plan.files, report=lambda done, total: steps("files", done, total))
    told = printing.estimate_as_json(found, settings)
    printing.print_json(told) if as_json else printing.print_estimate(told)


@app.command()
def reingest(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of sources; with --missing all that miss something where none is named.")
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Only ask the LLM about chunks that have nothing of its.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done.")] = True,
    as_json: AsJson = False,
) -> None:
    """Read sources anew, or go on with entities that the LLM left out, after an outage or a budget."""
    from apps.cli import ingesting, printing
    from localmind.errors import InvalidInput

    if not ids and not missing:
        raise InvalidInput("No source is named.", hint="Give ids (`localmind sources` lists them), or --missing.")
    with _connected() as api:
        outcomes = ingesting.reingest(api, ids or [], missing=missing, wait=wait)
    printing.print_json(ingesting.as_json(outcomes)) if as_json else printing.print_reingested(outcomes)
    wrong = [outcome for outcome in outcomes if outcome.went_wrong]
    if wrong:
        raise typer.Exit(Exit.NOT_FOUND if all(outcome.is_missing for outcome in wrong) else Exit.FAILED)


@app.command()
def sources(
    status: Annotated[str | None, typer.Option(help="queued, processing, ready, partial or failed.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", "-t", help="Only with this tag.")] = None,
    query: Annotated[str | None, typer.Option("--query", "-q", help="Part of the title.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List sources, newest first."""
    from apps.cli import printing

    with _connected() as api:
        found = list(api.items("/api/v1/sources", limit=limit, status=status, tag=tag, q=query))
    printing.print_json(found) if as_json else printing.print_sources(found)


@app.command()
def jobs(
    status: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first, with what went wrong."""
    from apps.cli import printing

    with _connected() as api:
        found = list(api.items("/api/v1/jobs", limit=limit, status=status))
    printing.print_json(found) if as_json else printing.print_jobs(found)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    mode: Modes = "hybrid",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="Most hits.")] = 10,
    sources: OnlySources = None,
    tags: OnlyTags = None,
    as_json: AsJson = False,
) -> None:
    """Find passages."""
    from apps.cli import printing

    with _connected() as api:
        found = api.post("/api/v1/search", {"query": query, "mode": mode, "limit": limit, "source_ids": sources, "tags": tags})
    printing.print_json(found) if as_json else printing.print_hits(found)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    conversation: Annotated[str | None, typer.Option("--conversation", "-c", help="Id of the conversation that this goes on with.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", "-m", help="As of search; else what suits the question.")] = None,
    sources: OnlySources = None,
    tags: OnlyTags = None,
    as_json: AsJson = False,
) -> None:
    """Ask, and see where the answer stands."""
    from apps.cli import printing

    body = {"message": question, "conversation_id": conversation, "mode": mode, "source_ids": sources, "tags": tags}
    with _connected() as api:
        if as_json:
            printing.print_json(api.post("/api/v1/chat", body))
        else:
            printing.print_answer(api.events("POST", "/api/v1/chat/stream", body))


@app.command("eval")
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="Questions with their evidence, one JSON object a line.")],
    modes: Annotated[list[str] | None, typer.Option("--mode", "-m", help="A search mode; may be repeated.")] = None,
    answers: Annotated[bool, typer.Option("--answers/--no-answers", help="Ask for answers too, and look at their citations.")] = True,
    save: Annotated[Path | None, typer.Option(help="Keep this run in a file.")] = None,
    compare: Annotated[Path | None, typer.Option(help="Say what is better or worse than in a kept run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well the base answers: recall, MRR, citation precision, latency, per mode, with 95% intervals."""
    from apps.cli import evaluating, printing
    from localmind.evaluation import dataset as datasets
    from localmind.evaluation import runs

    chosen = evaluating.modes_of(modes or ())
    cases = datasets.load(dataset)
    before = runs.load(compare) if compare else None
    with _connected() as api, printing.steps() as steps:
        run = evaluating.evaluate(api, cases, chosen, dataset=dataset.name, with_answers=answers, report=steps, warn=printing.print_warning)
    if save:
        runs.save(run, save)
    differences = runs.compare(before, run) if before else []
    printing.print_json(evaluating.as_json(run, differences)) if as_json else printing.print_evaluation(run, differences)


@app.command()
def delete(
    ids: Annotated[list[str], typer.Argument(help="Ids of sources.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every store has forgotten them.")] = True,
    as_json: AsJson = False,
) -> None:
    """Delete sources from every store."""
    from apps.cli import ingesting, printing

    with _connected() as api:
        outcomes = [ingesting.delete(api, source_id, wait=wait) for source_id in ids]
    printing.print_json(ingesting.as_json(outcomes)) if as_json else printing.print_deleted(outcomes)
    wrong = [outcome for outcome in outcomes if outcome.went_wrong]
    if wrong:
        raise typer.Exit(Exit.NOT_FOUND if all(outcome.is_missing for outcome in wrong) else Exit.FAILED)


@app.command()
def reconcile(
    check: Annotated[bool, typer.Option("--check", help="Only report; exit with 1 where something is found.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare catalog, files, vectors and graph, and put right what differs."""
    from apps.cli import printing

    with _connected() as api:
        report = api.post("/api/v1/maintenance/reconcile", {"check": check})
    printing.print_json(report) if as_json else printing.print_findings(report)
    if not report["clean"]:
        raise typer.Exit(Exit.FAILED)


@app.command()
def rebuild(as_json: AsJson = False) -> None:
    """Make vectors, text index and graph anew from the catalog."""
    from apps.cli import printing

    with _connected() as api, printing.stderr().status("Rebuilding ..."):
        report = api.post("/api/v1/maintenance/rebuild")
    printing.print_json(report) if as_json else printing.print_rebuilt(report)


@app.command()
def reembed(as_json: AsJson = False) -> None:
    """Make all vectors anew with the embedding model of the settings. Stop the service first."""
    from apps.cli import printing
    from localmind.wiring.upkeep import reembed as make_vectors

    quiet()
    with printing.steps() as steps:
        report = make_vectors(_settings(), report=lambda done, total: steps("chunks", done, total))
    printing.print_json(asdict(report)) if as_json else printing.print_rebuilt(asdict(report))


@app.command()
def migrate(
    origin: Annotated[str, typer.Option("--from", help="A data directory, or the word servers.")],
    to: Annotated[str, typer.Option("--to", help="A data directory, or the word servers.")],
    as_json: AsJson = False,
) -> None:
    """Move everything from the embedded engines to the servers of the settings, or back. Nothing is embedded or extracted again.

    Stop the service first. Can be cut off and run again.
    """
    from apps.cli import printing
    from localmind.errors import InvalidInput
    from localmind.wiring.upkeep import move_between

    if origin == to:
        raise InvalidInput("--from and --to name the same place.", hint="localmind migrate --from ~/.localmind --to servers")
    places = [None if place == SERVERS else Path(place) for place in (origin, to)]
    quiet()
    with printing.steps() as steps:
        report = move_between(_settings(), *places, report=steps)
    printing.print_json(asdict(report)) if as_json else printing.print_moved(asdict(report))


@app.command()
def status(as_json: AsJson = False) -> None:
    """What is in the stores, and whether the service runs."""
    from apps.cli import printing
    from apps.cli.client import find

    settings = _settings()
    running = find(settings)
    with _connected(settings) as api:
        stats: dict[str, Any] = api.get("/api/v1/stats")
        health = api.health()
    told = {"running": running is not None, "url": running.url if running else None, "data_dir": str(settings.data_dir), **stats, **health}
    printing.print_json(told) if as_json else printing.print_status(told)


@app.command()
def doctor(
    before_start: Annotated[
        bool, typer.Option("--before-start", help="Only what can be told before the servers run: room, settings, keys and passwords.")
    ] = False,
    published: Annotated[str, typer.Option(help="With --before-start: ADDRESS:PORT that has to be free or this service's.")] = "",
    password: Annotated[
        list[str] | None, typer.Option(help="With --before-start: a variable of the environment whose password is judged too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, settings, disk, model and engines; say how to mend what is wrong. Works while the service is down."""
    from apps.cli import diagnosis, printing

    checks = diagnosis.examine_before_start(published=published, passwords=password or ()) if before_start else diagnosis.examine()
    printing.print_json(checks) if as_json else printing.print_checks(checks)
    if not all(check["ok"] for check in checks):
        raise typer.Exit(Exit.FAILED)


def _settings(**given: Any) -> Settings:
    from apps.backend.config import get_settings

    return get_settings().model_copy(update={name: value for name, value in given.items() if value is not None})


def _connected(settings: Settings | None = None) -> AbstractContextManager[Api]:
    from apps.cli.client import connect

    return connect(settings or _settings())
