"""The guides are the product's first sources: what they name must exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from apps.cli.main import app
from localmind.chat.sentences import Kind, split
from localmind.settings import Settings

DOCS = Path(__file__).parents[3] / "docs"
GUIDES = sorted([*(DOCS / "guides").glob("*.md"), *(DOCS / "runbook").glob("*.md")])

OTHER_NAMES = {
    "OLLAMA_CONTEXT_LENGTH",
    "SOURCE_ID",
    "JOB_ID",
    "CONVERSATION_ID",
    "ENTITY_ID",
    "SPACE_ID",
    "USER_ID",
    "TENANT_ID",
    "ID_1",
    "ID_2",
    "MILVUS_HOST",
    "PROMETHEUS_MULTIPROC_DIR",
    "README",
    "HTTP",
    "PART_OF",
    "COMPOSE_PROFILES",
    "CONTAINERD_NAMESPACE",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    *re.findall(r"\$\{(\w+)", (DOCS.parent / "infrastructure/nerdctl/compose.yaml").read_text()),
}
"""Settings of other programs and of the compose file, and placeholders of the examples."""


@pytest.fixture(params=GUIDES, ids=lambda path: path.stem)
def guide(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text(encoding="utf-8")


def test_every_setting_that_a_guide_names_exists(guide: str) -> None:
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", guide)) - OTHER_NAMES
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_every_command_that_a_guide_names_exists_with_its_options(guide: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"^(?:time )?localmind [^\n]+|`localmind [^`]+`", guide, flags=re.MULTILINE):
        name, below = re.search(r"localmind (\w+)(?: ([a-z-]+))?", line).groups()  # type: ignore[union-attr]
        assert name in commands, line
        command = commands[name]
        if hasattr(command, "commands"):  # a group, such as `admin`
            assert below in command.commands, line
            command = command.commands[below]
        options = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", line)) <= options, line


def test_a_guide_begins_with_its_title_and_has_sentences_to_quote(guide: str) -> None:
    assert re.match(r"# \S[^\n]+\n\n", guide)
    assert sum(piece.kind in (Kind.PROSE, Kind.ITEM) for piece in split(guide)) >= 8


def test_a_runbook_page_goes_from_symptom_to_cure() -> None:
    for path in (DOCS / "runbook").glob("*.md"):
        headings = re.findall(r"^## (.+)$", path.read_text(), flags=re.MULTILINE)
        assert headings[:2] == ["Symptom", "How to check"], path.name
        assert headings[-1] == "How to know that it is well again", path.name
