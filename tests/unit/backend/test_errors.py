"""Every error of the library becomes a problem with a status of its own."""

from __future__ import annotations

import errno
import inspect

import pytest

from apps.backend import errors as problems
from localmind import errors


def families() -> list[type[errors.LocalMindError]]:
    return [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.LocalMindError)]


@pytest.mark.parametrize("cls", families(), ids=lambda cls: cls.__name__)
def test_a_problem_says_what_happened_and_the_way_out(cls: type[errors.LocalMindError]) -> None:
    problem = problems.from_error(cls("It broke.", hint="Mend it."))
    body = problem.body("r1")
    assert body["type"] == f"urn:localmind:error:{body['error_type']}"
    assert body["detail"] == "It broke. Mend it."
    assert body["hint"] == "Mend it."
    assert 400 <= body["status"] <= 599
    assert body["request_id"] == "r1"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("x"), 404),
        (errors.BadCursor("x"), 400),
        (errors.TooLarge("x"), 413),
        (errors.UnsupportedType("x"), 415),
        (errors.Encrypted("x"), 400),
        (errors.DataDirInUse("x"), 503),
        (errors.Conflict("x"), 409),
        (errors.DiskFull("x"), 507),
        (errors.StoreUnavailable("x"), 503),
        (errors.LLMUnavailable("x"), 503),
    ],
)
def test_statuses(error: errors.LocalMindError, status: int) -> None:
    assert problems.from_error(error).status == status


def test_nothing_that_a_caller_can_provoke_is_a_500() -> None:
    mapped = {cls.__name__: problems.from_error(cls("x")).status for cls in families() if cls is not errors.LocalMindError}
    assert [name for name, status in mapped.items() if status == 500] == []


def test_a_full_disk_behind_a_framework_error_is_told_as_such() -> None:
    problem = problems.from_cause(OSError(errno.ENOSPC, "No space left on device"))
    assert problem is not None and problem.status == 507


def test_a_lone_surrogate_in_a_detail_can_be_sent() -> None:
    response = problems.from_error(errors.NotFound("no \ud800")).response({"state": {"request_id": "r1"}})
    assert b"\\ud800" in response.body
