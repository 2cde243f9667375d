"""Putting in, looking at, replacing and deleting sources over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unit.backend.asking import HANDBOOK, problem_of, wait_for_job

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


def upload(client: TestClient, name: str, data: bytes, **form: Any) -> Any:
    return client.post("/api/v1/sources/upload", files={"file": (name, data)}, data=form)


# --- putting in


def test_an_uploaded_file_becomes_a_source(client: TestClient) -> None:
    answer = upload(client, "notes.md", b"# Notes\n\nCarrots are orange.", tags=["a", "b"], uri="file:///notes.md")
    assert answer.status_code == 202
    accepted = answer.json()["sources"][0]
    assert accepted["status"] == "queued" and accepted["duplicate"] is False
    assert wait_for_job(client, accepted)["status"] == "succeeded"
    source = client.get(f"/api/v1/sources/{accepted['source_id']}").json()
    assert source["status"] == "ready"
    assert source["filename"] == "notes.md" and source["uri"] == "file:///notes.md" and sorted(source["tags"]) == ["a", "b"]
    assert source["created_at"].endswith("Z")


def test_several_files_are_answered_in_their_order(client: TestClient) -> None:
    files = [("file", (f"{n}.txt", f"Text number {n} of several.".encode())) for n in range(3)]
    accepted = client.post("/api/v1/sources/upload", files=files).json()["sources"]
    titles = [client.get(f"/api/v1/sources/{one['source_id']}").json()["filename"] for one in accepted]
    assert titles == ["0.txt", "1.txt", "2.txt"]


def test_the_same_content_again_is_the_same_source(client: TestClient, handbook: dict[str, Any]) -> None:
    again = client.post("/api/v1/sources/text", json={"title": "Handbook", "text": HANDBOOK}).json()
    assert again["source_id"] == handbook["source_id"] and again["duplicate"] is True


def test_lines_of_bulk_are_answered_in_their_order(client: TestClient) -> None:
    lines = [{"title": f"Bulk {n}", "text": f"The bulk text number {n}."} for n in range(5)]
    body = "\n".join(json.dumps(line) for line in lines) + "\n\n"
    accepted = client.post("/api/v1/sources/bulk", content=body).json()["sources"]
    assert [client.get(f"/api/v1/sources/{one['source_id']}").json()["title"] for one in accepted] == [line["title"] for line in lines]


def test_a_name_with_a_path_loses_it(client: TestClient) -> None:
    accepted = upload(client, "../../etc/passwd.txt", b"A file from below.").json()["sources"][0]
    assert client.get(f"/api/v1/sources/{accepted['source_id']}").json()["filename"] == "passwd.txt"


def test_a_file_of_an_unknown_type_is_a_failed_job_that_says_so(client: TestClient) -> None:
    accepted = upload(client, "report.pdf", PNG).json()["sources"][0]
    job = wait_for_job(client, accepted)
    assert job["status"] == "failed"
    assert job["error"]["type"] == "unsupported_type" and "PNG" in job["error"]["message"] and job["error"]["hint"]
    assert client.get(f"/api/v1/sources/{accepted['source_id']}").json()["status"] == "failed"


@pytest.mark.parametrize("name", ["x" * 300 + ".txt", "..", " ", "/"])
def test_a_name_that_can_not_be_used_is_refused(client: TestClient, name: str) -> None:
    assert "name" in problem_of(upload(client, name, b"text"), 400)["detail"]


def test_an_empty_file_is_refused_and_leaves_nothing_behind(client: TestClient) -> None:
    assert "empty" in problem_of(upload(client, "empty.txt", b""), 400)["detail"]
    assert client.post("/api/v1/maintenance/reconcile", json={"check": True}).json()["findings"] == []


def test_a_file_over_the_limit_is_refused_and_the_next_one_works(client: TestClient) -> None:
    problem = problem_of(upload(client, "big.txt", b"x" * 4_000_000), 413)
    assert problem["error_type"] == "too_large" and "MAX_UPLOAD_MB" in problem["detail"]
    problem_of(upload(client, "a bit too big.txt", b"x" * 2_500_000), 413)
    assert upload(client, "next.txt", b"The next upload works.").status_code == 202


def test_one_uri_for_several_files_is_refused(client: TestClient) -> None:
    files = [("file", ("a.txt", b"a")), ("file", ("b.txt", b"b"))]
    assert "one by one" in problem_of(client.post("/api/v1/sources/upload", files=files, data={"uri": "x:y"}), 400)["detail"]


@pytest.mark.parametrize(
    ("kwargs", "status"),
    [
        ({"content": b"no multipart"}, 422),
        ({"content": b"garbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"garbage", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"data": {"file": "not a file"}}, 422),
    ],
)
def test_a_malformed_upload_is_refused(client: TestClient, kwargs: dict[str, Any], status: int) -> None:
    problem_of(client.post("/api/v1/sources/upload", **kwargs), status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"title": "x"}',
        b'{"title": "", "text": "x"}',
        b'{"title": " ", "text": "x"}',
        b'{"title": "x", "text": ""}',
        b'{"title": "x\\u0000", "text": "x"}',
        b'{"title": "\\ud800", "text": "x"}',
        b'{"title": "x", "text": "\\ud800"}',
        b'{"title": "x", "text": "a\\u0000b"}',
        b'{"title": "x", "text": 7}',
        b'{"title": "x", "text": "x", "tags": "kitchen"}',
        b'{"title": "x", "text": "x", "tags": [""]}',
        b'{"title": "x", "text": "x", "tagz": ["kitchen"]}',
        b'{"title": "' + b"x" * 501 + b'", "text": "x"}',
        b'{"title": "x", "text": "x", "uri": "' + b"x" * 2001 + b'"}',
    ],
)
def test_a_malformed_text_is_refused_with_its_fields(client: TestClient, body: bytes) -> None:
    problem = problem_of(client.post("/api/v1/sources/text", content=body, headers={"Content-Type": "application/json"}), 422)
    assert problem["error_type"] == "malformed_request"
    assert all(entry["field"] and entry["message"] for entry in problem["errors"])


@pytest.mark.parametrize("body", [b'{"title": "\xff", "text": "x"}', b"[" * 100_000])
def test_what_is_no_json_at_all_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/v1/sources/text", content=body, headers={"Content-Type": "application/json"})
    problem_of(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_a_blank_text_is_refused(client: TestClient) -> None:
    assert problem_of(client.post("/api/v1/sources/text", json={"title": "Blank", "text": "  \n "}), 400)["hint"]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (b'{"title": "Good", "text": "A good line."}\n{"title": "x"}\n', "line 2.text"),
        (b'\n\n{"title": "x", "text": "x"', "line 3"),
        (b'{"title": "\\ud800", "text": "x"}', "line 1"),
        (b'{"title": "\xff", "text": "x"}', "line 1"),
        (b"", "body"),
        (b"\n \n", "body"),
    ],
)
def test_a_bad_line_of_bulk_is_named_and_nothing_is_taken(client: TestClient, lines: bytes, named: str) -> None:
    before = client.get("/api/v1/stats").json()["sources"]
    problem = problem_of(client.post("/api/v1/sources/bulk", content=lines), 422)
    assert named in problem["errors"][0]["field"]
    assert client.get("/api/v1/stats").json()["sources"] == before


def test_bulk_takes_a_line_in_pieces(client: TestClient) -> None:
    body = json.dumps({"title": "Pieces", "text": "word " * 5_000}).encode()
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    assert client.post("/api/v1/sources/bulk", content=pieces).status_code == 202


def test_bulk_has_a_bound(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.backend.bodies.MAX_BULK_LINES", 2)
    body = b'{"title": "x", "text": "x"}\n' * 3
    assert "several requests" in problem_of(client.post("/api/v1/sources/bulk", content=body), 422)["detail"]


@pytest.mark.parametrize("url", ["not a url", "file:///etc/passwd", "ftp://localhost/x", "http://", ""])
def test_only_web_addresses_are_fetched(client: TestClient, url: str) -> None:
    problem_of(client.post("/api/v1/sources/url", json={"url": url}), 422)


def test_a_url_that_can_not_be_reached_is_a_failed_job(client: TestClient, closed_port: int) -> None:
    accepted = client.post("/api/v1/sources/url", json={"url": f"http://127.0.0.1:{closed_port}/page.html"}).json()
    job = client.get(f"/api/v1/jobs/{accepted['job_id']}").json()
    assert job["kind"] == "ingest"


# --- looking at


def test_a_source_is_listed_and_found_by_title_tag_and_status(client: TestClient, handbook: dict[str, Any]) -> None:
    for filters in ({"q": "handb"}, {"tag": "kitchen"}, {"status": "ready", "q": "Handbook"}):
        found = client.get("/api/v1/sources", params=filters).json()
        assert handbook["source_id"] in [source["source_id"] for source in found["items"]], filters
    assert client.get("/api/v1/sources", params={"tag": "no such tag"}).json() == {"items": [], "next_cursor": None}


def test_lists_go_page_by_page(client: TestClient, handbook: dict[str, Any]) -> None:
    whole = [source["source_id"] for source in client.get("/api/v1/sources", params={"limit": 200}).json()["items"]]
    paged: list[str] = []
    cursor = None
    while True:
        page = client.get("/api/v1/sources", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["items"]) <= 3
        paged += [source["source_id"] for source in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert paged == whole and len(set(whole)) == len(whole)


def test_chunks_stand_in_the_text_where_they_say(client: TestClient, handbook: dict[str, Any]) -> None:
    text = client.get(f"/api/v1/sources/{handbook['source_id']}/text").json()
    chunks = client.get(f"/api/v1/sources/{handbook['source_id']}/chunks").json()["items"]
    assert chunks and all(text["text"][chunk["start"] : chunk["end"]] == chunk["text"] for chunk in chunks)
    assert [chunk["ordinal"] for chunk in chunks] == sorted(chunk["ordinal"] for chunk in chunks)


def test_content_is_the_original_file(client: TestClient) -> None:
    data = "Grüße aus der Küche.".encode()
    accepted = upload(client, "Grüße.txt", data).json()["sources"][0]
    wait_for_job(client, accepted)
    answer = client.get(f"/api/v1/sources/{accepted['source_id']}/content")
    assert answer.content == data
    assert answer.headers["content-disposition"] == "inline; filename*=utf-8''Gr%C3%BC%C3%9Fe.txt"
    assert answer.headers["x-content-type-options"] == "nosniff"
    part = client.get(f"/api/v1/sources/{accepted['source_id']}/content", headers={"Range": "bytes=0-2"})
    assert part.status_code == 206 and part.content == data[:3]


def test_a_range_outside_of_the_file_is_refused(client: TestClient, handbook: dict[str, Any]) -> None:
    answer = client.get(f"/api/v1/sources/{handbook['source_id']}/content", headers={"Range": "bytes=999999-"})
    assert answer.status_code == 416


def test_a_page_that_was_put_in_can_not_run_scripts_on_our_origin(client: TestClient) -> None:
    html = b"<!doctype html><html><body><script>alert(1)</script><p>A page that was put in.</p></body></html>"
    accepted = upload(client, "page.html", html).json()["sources"][0]
    wait_for_job(client, accepted)
    answer = client.get(f"/api/v1/sources/{accepted['source_id']}/content")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox;") and "allow-scripts" not in policy and "default-src 'none'" in policy


@pytest.mark.parametrize("name", ['a"b\r\nX-Evil: 1.txt', "a\\b;c.txt", "semi;colon=1.txt"])
def test_a_name_can_not_write_headers(client: TestClient, name: str) -> None:
    accepted = upload(client, name, f"The file {name!r}.".encode()).json()["sources"][0]
    answer = client.get(f"/api/v1/sources/{accepted['source_id']}/content")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    assert answer.headers["content-disposition"].count("filename") == 1


# --- changing


def test_a_put_is_a_new_version_of_the_same_source(client: TestClient) -> None:
    first = client.post("/api/v1/sources/text", json={"title": "Plan", "text": "The plan is to plant beans."}).json()
    wait_for_job(client, first)
    second = client.put(f"/api/v1/sources/{first['source_id']}", json={"text": "The plan is to plant pumpkins."})
    assert second.status_code == 202 and second.json()["source_id"] == first["source_id"]
    assert wait_for_job(client, second.json())["status"] == "succeeded"
    assert "pumpkins" in client.get(f"/api/v1/sources/{first['source_id']}/text").json()["text"]
    third = client.put(f"/api/v1/sources/{first['source_id']}", files={"file": ("plan.md", b"The plan is to plant nothing.")})
    assert third.status_code == 202
    assert wait_for_job(client, third.json())["status"] == "succeeded"
    source = client.get(f"/api/v1/sources/{first['source_id']}").json()
    assert source["version"] == 3 and source["filename"] == "plan.md"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"json": {}},
        {"json": {"text": ""}},
        {"content": b"{"},
        {"content": b""},
        {"files": {"wrong": ("x.txt", b"x")}},
        {"data": {"file": "x"}},
        {"files": [("file", ("a.txt", b"a")), ("file", ("b.txt", b"b"))]},
    ],
)
def test_a_malformed_put_is_refused(client: TestClient, handbook: dict[str, Any], kwargs: dict[str, Any]) -> None:
    answer = client.put(f"/api/v1/sources/{handbook['source_id']}", **kwargs)
    assert answer.status_code in (400, 422)
    problem_of(answer, answer.status_code)


def test_a_deleted_source_is_gone_at_once(client: TestClient) -> None:
    accepted = client.post("/api/v1/sources/text", json={"title": "Short-lived", "text": "Gone soon: the aubergine."}).json()
    wait_for_job(client, accepted)
    deleted = client.delete(f"/api/v1/sources/{accepted['source_id']}")
    assert deleted.status_code == 202 and deleted.json()["status"] == "deleting"
    problem_of(client.get(f"/api/v1/sources/{accepted['source_id']}"), 404)
    assert wait_for_job(client, deleted.json())["status"] == "succeeded"
    hits = client.post("/api/v1/search", json={"query": "aubergine"}).json()["hits"]
    assert accepted["source_id"] not in [hit["source_id"] for hit in hits]


def test_a_source_can_be_read_anew(client: TestClient, handbook: dict[str, Any]) -> None:
    accepted = client.post(f"/api/v1/sources/{handbook['source_id']}/reingest")
    assert accepted.status_code == 202
    assert wait_for_job(client, accepted.json())["status"] == "succeeded"


# --- asking wrongly

UNKNOWN = ["nothing", "x" * 500, "%00", "..%2f..%2fetc", "%ff", "%F0%9F%8D%9E", "a b", "A", "'; DROP TABLE source; --"]


@pytest.mark.parametrize("source_id", UNKNOWN)
@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("GET", "/chunks"), ("GET", "/text"), ("GET", "/content"), ("DELETE", ""), ("POST", "/reingest")]
)
def test_an_unknown_source_is_not_found(client: TestClient, method: str, rest: str, source_id: str) -> None:
    problem_of(client.request(method, f"/api/v1/sources/{source_id}{rest}"), 404)


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "ten"},
        {"limit": 10**30},
        {"status": "finished"},
        {"q": "a\0b"},
        {"q": "x" * 501},
        {"cursor": "x" * 513},
    ],
)
def test_wrong_filters_are_refused(client: TestClient, params: dict[str, Any]) -> None:
    assert problem_of(client.get("/api/v1/sources", params=params), 422)["errors"][0]["field"] == f"query.{next(iter(params))}"


@pytest.mark.parametrize("cursor", ["nonsense", "%00", "AAAA", "eyJ9", "ÿ", "!"])
@pytest.mark.parametrize("path", ["sources", "jobs", "conversations", "graph/entities"])
def test_a_cursor_that_is_not_ours_is_refused(client: TestClient, path: str, cursor: str) -> None:
    assert problem_of(client.get(f"/api/v1/{path}?cursor={cursor}"), 400)["error_type"] == "bad_cursor"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/v1/none", 404), ("PATCH", "/api/v1/sources", 405), ("GET", "/api/v1/search", 405)]
)
def test_the_routers_own_refusals_are_problems(client: TestClient, method: str, path: str, status: int) -> None:
    problem_of(client.request(method, path), status)


def test_a_tag_given_twice_counts_once_also_for_what_is_there_already(client: TestClient) -> None:
    body = {"title": "T", "text": "Words.", "uri": "note:twice", "tags": ["a", "a"]}
    for text in ("Words.", "Other words."):
        answer = client.post("/api/v1/sources/text", json=body | {"text": text})
        assert answer.status_code == 202, answer.text
    assert client.get(f"/api/v1/sources/{answer.json()['source_id']}").json()["tags"] == ["a"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/sources/abc", "DELETE, GET, PUT"),
        ("/api/v1/sources/upload", "POST"),
        ("/api/v1/conversations/abc", "DELETE, GET, PATCH"),
    ],
)
def test_a_method_that_is_not_there_is_told_all_that_are(client: TestClient, path: str, allowed: str) -> None:
    answer = client.options(path)
    problem_of(answer, 405)
    assert answer.headers["allow"] == allowed


def test_a_body_that_is_no_text_is_malformed(client: TestClient) -> None:
    answer = client.post("/api/v1/search", content=b"\xff\x02", headers={"Content-Type": "application/json"})
    assert problem_of(answer, 422)["errors"] == [{"field": "body", "message": "can't be parsed"}]
