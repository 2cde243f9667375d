"""The workflows name what exists, pin what is other people's, and may do no more than they must."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
GATE = (ROOT / ".ci" / "run").read_text()

PINNED = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
PATHS = re.compile(r"(?<![\w./-])(?:scripts|infrastructure|requirements|tests|docs|\.ci|\.github)/[\w./-]+")
UNTRUSTED = re.compile(r"\$\{\{[^}]*\b(?:github\.event\.|inputs\.|github\.head_ref)[^}]*\}\}")
"""What a stranger may choose: bound to an environment variable it is data, in a script's text it is code."""


def load(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield f"{path.stem}.{name}", job


def scripts() -> str:
    return "\n".join(step["run"] for _, job in jobs() for step in job.get("steps", ()) if "run" in step)


def targets(text: str) -> set[str]:
    return set(re.findall(r"^\s*make ([a-z-]+)", text, flags=re.MULTILINE))


def test_there_is_a_workflow_for_each_purpose() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "nightly", "promote", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_other_peoples_actions_are_pinned_to_a_commit(path: Path) -> None:
    used = re.findall(r"uses: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert used
    for each in used:
        assert each.startswith("./.github/workflows/") or PINNED.fullmatch(each), each


def test_an_action_has_one_pin() -> None:
    pins = {each for path in WORKFLOWS for each in re.findall(r"uses: (.+@.+)$", path.read_text(), flags=re.MULTILINE)}
    names = [each.split("@")[0] for each in pins]
    assert len(names) == len(set(names)), sorted(pins)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_until_a_job_says_more(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}


def test_every_job_ends_some_time_and_leaves_no_credentials() -> None:
    for name, job in jobs():
        assert "uses" in job or 0 < job["timeout-minutes"] <= 180, name
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


def test_make_targets_and_files_that_are_named_exist() -> None:
    for target in targets(scripts()):
        assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE), target
    named = {one.rstrip("/.") for path in WORKFLOWS for one in PATHS.findall(path.read_text())}
    assert ".ci/run" in named and "infrastructure/nerdctl/images/Containerfile" in named
    assert sorted(one for one in named if not (ROOT / one).exists()) == []


def test_what_ci_asks_for_early_is_what_the_gate_asks_for() -> None:
    assert re.search(r"^\.ci/run$", scripts(), flags=re.MULTILINE)
    ci = "\n".join(step.get("run", "") for job in load(ROOT / ".github/workflows/ci.yml")["jobs"].values() for step in job["steps"])
    assert {"lint", "types", "test"} <= targets(GATE)
    assert targets(ci) - {"audit"} <= targets(GATE)


def test_nothing_that_a_stranger_chose_becomes_code() -> None:
    for name, job in jobs():
        for step in job.get("steps", ()):
            assert not UNTRUSTED.search(step.get("run", "")), name


def test_an_image_gets_its_name_after_it_was_scanned_and_signed() -> None:
    steps = load(ROOT / ".github/workflows/release.yml")["jobs"]["image"]["steps"]
    told = [f"{step.get('uses', '')} {step.get('run', '')}" for step in steps]
    order = [
        next(at for at, text in enumerate(told) if word in text)
        for word in ("release_notes", "build-push", "trivy", "cosign sign", "imagetools create")
    ]
    assert order == sorted(order)


def test_pre_commit_runs_what_exists() -> None:
    hooks = [hook for repo in load(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} >= {"ruff-check", "ruff-format", "secrets", "dashboards"}
    for hook in hooks:
        assert hook["language"] == "system" and hook["entry"].startswith(".venv/bin/")
        for script in re.findall(r"scripts/\S+", hook["entry"]):
            assert (ROOT / script).exists(), script


def test_release_notes_are_the_changelogs_section() -> None:
    notes_of = runpy.run_path(str(ROOT / "scripts" / "release_notes.py"))["notes_of"]
    sections = ("[Unreleased]\n", "[1.2.3] - 2026-01-31\n\n### Added\n- Two.\n", "[1.2.2] - 2026-01-01\n- One.\n", "[1.2.1] - 2026-01-01\n")
    changelog = "# Changelog\n\n" + "\n".join(f"## {section}" for section in sections)
    assert notes_of("1.2.3", changelog) == "### Added\n- Two."
    assert notes_of("1.2.2", changelog) == "- One."
    assert notes_of("1.2.1", changelog) is None and notes_of("1.2", changelog) is None and notes_of("1.2.4", changelog) is None


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on PATH; ci.yml runs it")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(["actionlint", "-no-color"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
