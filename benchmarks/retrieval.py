"""How well each search mode finds the passages that a question needs, and how fast: asked through the REST API, without an LLM.

    .venv/bin/python benchmarks/retrieval.py --data FOLDER/hotpotqa FOLDER/twowiki --folder /tmp/retrieval-bench

FOLDER/hotpotqa holds passages.jsonl ({"id","title","text"}) and questions.jsonl ({"id","question","gold":[ids]}). Passages are put in
as texts with the id as uri; hits are mapped to passages by uri, each counted once. The service runs in this process behind its ASGI
app. 95% intervals by bootstrap over the questions. --half 0 and --half 1 ask every other question, so that settings are chosen on one
half and reported on the other; --lower asks in lower case. A second run on the same folder asks without ingesting.

--triples benchmarks/llm_triples.jsonl compares extraction with and without an LLM, which a scripted server plays with the recorded answers:
over the recorded passages alone, and over all, where what has no record keeps its keyphrases in both. Asked are the questions whose every
needed passage is recorded.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the LLM is played by the tests' server

from apps.backend.app import create_app
from localmind.evaluation.statistics import Interval, bootstrap, paired, percentile
from localmind.settings import Settings
from tests.llm_server import LLMServer, Request

MODES = ("vector", "text", "graph", "hybrid")
MEASURES = ("R@2", "R@5", "R@10", "all@5", "MRR")
BATCH = 200
START_S = 300  # the model is built at the first start
PATIENCE_S = 3600
_SHOWN = re.compile(r"--- (?P<mark>PASSAGE \w+) ---\n(?P<text>.*)\n--- END OF (?P=mark) ---", re.DOTALL)


class Question(NamedTuple):
    text: str
    gold: frozenset[str]


class Answers(NamedTuple):
    """By mode: rows of measures in MEASURES' order, one a question, in percent; milliseconds of each search as the caller waits."""

    measured: dict[str, list[tuple[float, ...]]]
    waited_ms: dict[str, list[float]]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@contextmanager
def service(folder: Path, models: Path, **more: Any) -> Iterator[TestClient]:
    folder.mkdir(parents=True, exist_ok=True)
    models.mkdir(parents=True, exist_ok=True)
    if not (folder / "models").exists():
        (folder / "models").symlink_to(models.resolve(), target_is_directory=True)
    given = {"llm_model": "mock", "data_dir": folder, "seed_guides": False, "web": False, "log_level": "ERROR"} | more
    settings = Settings(_env_file=None, **given)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        until = time.monotonic() + START_S
        while client.get("/readyz").status_code != 200:
            if time.monotonic() > until:
                raise SystemExit("The service does not start.")
            time.sleep(0.1)
        yield client


def ingest_once(client: TestClient, passages: Sequence[dict[str, Any]]) -> None:
    if not client.get("/api/v1/sources?limit=1").json()["items"]:
        ingest(client, passages)


def ingest(client: TestClient, passages: Sequence[dict[str, Any]]) -> None:
    jobs = []
    for at in range(0, len(passages), BATCH):
        texts = [{"title": item["title"], "text": item["text"], "uri": item["id"]} for item in passages[at : at + BATCH]]
        reply = client.post(
            "/api/v1/sources/bulk", content="\n".join(map(json.dumps, texts)), headers={"Content-Type": "application/x-ndjson"}
        )
        reply.raise_for_status()
        jobs += [source["job_id"] for source in reply.json()["sources"] if source["job_id"]]
    until = time.monotonic() + PATIENCE_S
    for job in jobs:
        while (status := client.get(f"/api/v1/jobs/{job}").json()["status"]) in ("queued", "running"):
            if time.monotonic() > until:
                raise SystemExit("The ingest takes too long.")
            time.sleep(0.2)
        if status != "succeeded":
            raise SystemExit(f"Job {job} ended as {status}.")


@contextmanager
def recorded_llm(passages: Sequence[dict[str, Any]], recorded: Mapping[str, dict[str, Any]]) -> Iterator[LLMServer]:
    """Answers with what is recorded of the passage, or of the part of it that it is shown; of others with what can't be read."""
    known = [(" ".join(item["text"].split()), recorded[item["id"]]) for item in passages if item["id"] in recorded]

    def answer(request: Request) -> str | dict[str, Any]:
        shown = _SHOWN.search(request.user)
        part = " ".join(shown["text"].split()) if shown else ""
        for text, record in known if part else ():
            if part in text:
                names = {item["name"] for item in record["entities"] if text.startswith(part) or item["name"].lower() in part.lower()}
                return {
                    "entities": [item for item in record["entities"] if item["name"] in names],
                    "relations": [item for item in record["relations"] if {item["source"], item["target"]} <= names],
                }
        return "I can't say."

    with LLMServer() as server:
        server.always(answer)
        yield server


def search(client: TestClient, text: str, mode: str) -> list[str]:
    """The uris of the hits, each once, best first."""
    reply = client.post("/api/v1/search", json={"query": text, "mode": mode, "limit": 10})
    reply.raise_for_status()
    return list(dict.fromkeys(hit["uri"] for hit in reply.json()["hits"]))


def measure(found: Sequence[str], gold: frozenset[str]) -> tuple[float, ...]:
    recall = [100 * len(gold.intersection(found[:k])) / len(gold) for k in (2, 5, 10)]
    first = next((rank for rank, uri in enumerate(found, start=1) if uri in gold), None)
    return (*recall, 100.0 * (recall[1] == 100), 100 / first if first else 0.0)


def ask(client: TestClient, asked: Sequence[Question]) -> Answers:
    """Mode after mode: more questions than the service remembers embeddings of lie between two askings of one."""
    answers = Answers({mode: [] for mode in MODES}, {mode: [] for mode in MODES})
    search(client, "warm", "hybrid")
    for mode in MODES:
        for n, question in enumerate(asked):
            # Other spaces, another key of the service's memory: each mode embeds each question itself.
            text = question.text + " " * (1 + MODES.index(mode))
            begun = time.perf_counter()
            found = search(client, text, mode)
            answers.waited_ms[mode].append((time.perf_counter() - begun) * 1000)
            answers.measured[mode].append(measure(found, asked[n].gold))
    return answers


def shown(interval: Interval) -> str:
    return f"{interval.mean:.1f} ({interval.low:.1f} to {interval.high:.1f})"


def table(name: str, answers: Answers, *, without: Answers | None = None) -> None:
    print(f"\n| {name} | " + " | ".join(MEASURES) + " | p50 ms | p95 ms |")
    print("|---" * (len(MEASURES) + 3) + "|")
    for mode in MODES:
        columns = [shown(bootstrap(column)) for column in zip(*answers.measured[mode], strict=True)]
        waited = answers.waited_ms[mode]
        print(f"| {mode} | " + " | ".join(columns) + f" | {percentile(waited, 50):.1f} | {percentile(waited, 95):.1f} |")
    for mode in ("graph", "hybrid"):
        pairs = zip(zip(*answers.measured["vector"], strict=True), zip(*answers.measured[mode], strict=True), strict=True)
        print(f"| {mode} - vector | " + " | ".join(shown(paired(before, after)) for before, after in pairs) + " | | |")
    for mode in ("graph", "hybrid") if without else ():
        pairs = zip(zip(*without.measured[mode], strict=True), zip(*answers.measured[mode], strict=True), strict=True)
        print(f"| {mode} - {mode} without | " + " | ".join(shown(paired(before, after)) for before, after in pairs) + " | | |")


def compare(data: Path, folder: Path, models: Path, triples: Path, asked: Sequence[Question]) -> None:
    """The same passages without an LLM and with its recorded answers."""
    passages, recorded = lines(data / "passages.jsonl"), {item["id"]: item for item in lines(triples)}
    asked = [question for question in asked if question.gold <= recorded.keys()]
    for name, some in (("recorded", [item for item in passages if item["id"] in recorded]), ("all", passages)):
        told = f"{data.name}, {len(asked)} questions, {len(some)} passages"
        with service(folder / f"{data.name}-{name}-mock", models) as client:
            ingest_once(client, some)
            without = ask(client, asked)
        table(f"{told}, without", without)
        with (
            recorded_llm(some, recorded) as llm,
            service(
                folder / f"{data.name}-{name}-llm", models, llm_model="recorded", llm_base_url=llm.base_url, extraction_chunks_per_call=1
            ) as client,
        ):
            ingest_once(client, some)
            table(f"{told}, LLM", ask(client, asked), without=without)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the services' data lie; made when it is not there")
    parser.add_argument("--models", type=Path, help="folder of built models; default: in --folder")
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--triples", type=Path, help="recorded extractions of some of the passages: with an LLM and without")
    parser.add_argument("--lower", action="store_true", help="ask in lower case")
    given = parser.parse_args()
    for data in given.data:
        asked = [Question(item["question"], frozenset(item["gold"])) for item in lines(data / "questions.jsonl")]
        asked = asked if given.half is None else asked[given.half :: 2]
        if given.lower:
            asked = [question._replace(text=question.text.lower()) for question in asked]
        models = given.models or given.folder / "models"
        if given.triples:
            compare(data, given.folder, models, given.triples, asked)
            continue
        with service(given.folder / data.name, models) as client:
            ingest_once(client, lines(data / "passages.jsonl"))
            table(f"{data.name}, {len(asked)} questions", ask(client, asked))


if __name__ == "__main__":
    main()
