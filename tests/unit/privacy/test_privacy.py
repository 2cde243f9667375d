"""Handing out, erasing and letting go, over a product without HTTP: what is left in the files afterwards is looked for in the files."""

from __future__ import annotations

import io
import json
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localmind.accounts.acting import acting
from localmind.accounts.model import Principal, Role, UserId
from localmind.catalog.retention import Rules
from localmind.errors import Conflict, Forbidden, InvalidInput, NotFound
from localmind.ids import stable_id
from localmind.ingest.sources import NewText
from localmind.model import PERSONAL, JobStatus, Mode, SourceId, TenantId
from localmind.operations.maintenance_mode import MaintenanceMode
from localmind.privacy import erasure, tenants
from localmind.privacy.consent import Consents
from localmind.privacy.retention import Retention
from localmind.settings import Settings
from localmind.wiring import LocalMind, build
from localmind.wiring.upkeep import delete_tenant, erase_person, export_person

PASSWORD = "correct horse battery"
SECRET = "zanzibarite"
"""A word of which no trace may be left."""

TEAM = {"auth": "required", "secret_key": "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf", "password_memory_kib": 8, "password_rounds": 1}

Make = Callable[..., Principal]


def settings_in(folder: Path) -> Settings:
    return Settings(_env_file=None, data_dir=folder, seed_guides=False, web=False, log_level="ERROR", **TEAM)


def opened(settings: Settings) -> LocalMind:
    mind = build(settings)
    mind.open()
    return mind


@pytest.fixture(scope="module")
def mind(tmp_path_factory: pytest.TempPathFactory, new_data_dir: Callable[[Path], Path]) -> Iterator[LocalMind]:
    """For tests that leave it open; each has a tenant of its own."""
    mind = opened(settings_in(new_data_dir(tmp_path_factory.mktemp("privacy") / "lm")))
    yield mind
    mind.close()


@pytest.fixture
def own(tmp_path: Path, new_data_dir: Callable[[Path], Path]) -> Iterator[LocalMind]:
    """For tests that close it."""
    mind = opened(settings_in(new_data_dir(tmp_path / "lm")))
    yield mind
    mind.close()


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def make(mind: LocalMind, tenant: str) -> Make:
    return lambda email, other=None: owner(mind, email, other or tenant)


def owner(mind: LocalMind, email: str, tenant: str) -> Principal:
    """Somebody whose address no other test has."""
    user = mind.accounts.members.create_user(email.replace("@", f"@{stable_id(tenant)}."), PASSWORD, Role.OWNER, tenant=tenant)
    return Principal(user.tenant, user.user_id, Role.OWNER)


def works(mind: LocalMind, who: Principal, space: TenantId | None = None) -> SourceId:
    """What somebody leaves behind: a document with the secret word, a conversation about it, searches."""
    space = space or who.tenant
    with acting(principal=who, address="203.0.113.9"):
        accepted = mind.sources.add_texts(space, [NewText(f"The {SECRET}", f"# {SECRET}\n\nThe {SECRET} mine lies at Kivu lake.")])[0]
        wait(mind, space, accepted.job_id)
        mind.chat.answer(space, f"Where is the {SECRET} mine?")
        mind.audit.searched(space, SECRET, mode="text", hits=1, sources=[accepted.source_id])
    mind.audit.flush()
    return accepted.source_id


def wait(mind: LocalMind, space: TenantId, job_id: str | None) -> None:
    deadline = time.monotonic() + 60
    while mind.catalog.jobs.get(space, job_id).status not in (JobStatus.SUCCEEDED, JobStatus.FAILED):  # type: ignore[arg-type]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert mind.catalog.jobs.get(space, job_id).status is JobStatus.SUCCEEDED  # type: ignore[arg-type]


def until_gone(mind: LocalMind, space: TenantId) -> None:
    deadline = time.monotonic() + 60
    while mind.catalog.sources.ids(space):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def unpacked(pieces: Iterator[bytes]) -> tuple[dict[str, bytes], list[int]]:
    sizes, whole = [], io.BytesIO()
    for piece in pieces:
        sizes.append(len(piece))
        whole.write(piece)
    archive = zipfile.ZipFile(whole)
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}, sizes


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def traces(folder: Path, word: str) -> list[str]:
    """Files below a folder that hold the word, whatever they are."""
    files = [path for path in folder.rglob("*") if path.is_file() and "models" not in path.parts]
    return [str(path.relative_to(folder)) for path in files if word.encode() in path.read_bytes().lower()]


# --- handing out


def test_an_export_has_all_of_a_person_and_nothing_of_others(mind: LocalMind, make: Make) -> None:
    ann, bob = make("ann@example.org"), make("bob@example.org")
    mine = works(mind, ann)
    with acting(principal=bob):
        mind.chat.answer(ann.tenant, "What does Bob ask?")
        mind.sources.add_texts(ann.tenant, [NewText("Bob's", "Bob's text.")])
    assert ann.user_id is not None

    files, _ = unpacked(mind.privacy.exports.of(ann, ann.user_id))

    profile = json.loads(files["profile.json"])
    assert (profile["account"]["email"], profile["membership"]["role"]) == (mind.accounts.members.get(ann, ann.user_id).email, "owner")
    assert [one["id"] for one in lines(files["documents.jsonl"])] == [mine]
    assert SECRET.encode() in files[f"documents/{mine}/text.md"]
    (told,) = lines(files["conversations.jsonl"])
    assert [one["role"] for one in told["messages"]] == ["user", "assistant"] and SECRET in told["messages"][0]["text"]
    assert {one["event"] for one in lines(files["audit.jsonl"])} == {"document_ingested", "chat", "search_performed"}
    assert b"bob" not in b"".join(files.values()).lower()
    assert "hash" not in str(profile)


def test_ones_own_is_for_oneself_and_for_administrators(mind: LocalMind, make: Make) -> None:
    ann, eve = make("ann@example.org"), make("eve@example.org", "Other")
    viewer = Principal(ann.tenant, UserId("someone"), Role.VIEWER)
    assert ann.user_id is not None
    with pytest.raises(Forbidden):
        mind.privacy.exports.of(viewer, ann.user_id)
    with pytest.raises(NotFound):
        mind.privacy.exports.of(eve, ann.user_id)


def test_a_large_file_goes_out_in_pieces(mind: LocalMind, make: Make) -> None:
    ann = make("ann@example.org")
    noise = bytes(i * 7919 % 251 for i in range(300_000)) + b"".join(sha(i) for i in range(60_000))
    with acting(principal=ann):
        mind.sources.upload(ann.tenant, filename="noise.txt", data=io.BytesIO(noise))
    assert ann.user_id is not None
    files, sizes = unpacked(mind.privacy.exports.of(ann, ann.user_id))
    assert any(data == noise for data in files.values())
    assert len(sizes) > 3 and max(sizes) < 1_000_000


def sha(number: int) -> bytes:
    import hashlib

    return hashlib.sha256(str(number).encode()).digest()


# --- erasing


def test_an_erased_person_is_nowhere_and_their_documents_stay_as_nobodys(mind: LocalMind, make: Make) -> None:
    ann, bob = make("ann@example.org"), make("robert@example.org")
    document = works(mind, bob)
    tenant, user_id = bob.tenant, bob.user_id
    assert user_id is not None
    email = mind.accounts.members.get(ann, user_id).email

    mind.privacy.erasures.erase(ann, user_id, documents=False)
    mind.privacy.erasures.finish()

    assert mind.sources.get(tenant, document).title == f"The {SECRET}"
    assert mind.conversations.list(tenant).items == ()
    with pytest.raises(NotFound):
        mind.privacy.exports.of(ann, user_id)
    assert list(mind.catalog.people.documents(tenant, user_id)) == []
    assert mind.catalog.accounts.by_email(email) is None
    by_bob = [one for one in mind.catalog.audit.page(tenant).items if one.event in ("chat", "search_performed")]
    assert len(by_bob) == 2 and all((one.user_id, one.personal) == (None, None) for one in by_bob)
    assert mind.catalog.audit.verify(tenant).flaws == ()
    assert email not in dump(mind)


def dump(mind: LocalMind) -> str:
    """Every row of the catalog."""
    with closing(sqlite3.connect(mind.settings.data_dir / "catalog.db")) as connection:
        return "\n".join(connection.iterdump())


def test_with_their_documents_every_store_is_rid_of_them(mind: LocalMind, make: Make) -> None:
    ann, bob = make("ann@example.org"), make("bob@example.org")
    source = works(mind, bob)
    tenant = bob.tenant
    assert bob.user_id is not None

    mind.privacy.erasures.erase(ann, bob.user_id, documents=True)
    mind.privacy.erasures.finish()
    until_gone(mind, tenant)

    assert mind.search.search(tenant, SECRET, mode=Mode.TEXT, limit=5).hits == ()
    assert (mind.store.vectors.count(tenant), list(mind.store.blobs.keys(tenant))) == (0, [])
    assert mind.graph.count_entities(tenant) == 0
    rows = [line for line in dump(mind).splitlines() if source in line]
    assert rows and all("audit_event" in row or '"job"' in row for row in rows)  # ids, and no text


def test_an_erasure_that_was_cut_off_goes_on_at_the_next_start(own: LocalMind, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = owner(own, "ann@example.org", PERSONAL), owner(own, "bob@example.org", PERSONAL)
    works(own, bob)
    assert bob.user_id is not None
    own.privacy.erasures.erase(ann, bob.user_id, documents=True)  # and killed before finish()
    own.close()

    again = opened(own.settings)
    try:
        until_gone(again, PERSONAL)
        monkeypatch.setattr(erasure, "LINGER_S", -1)
        again.privacy.erasures.finish()
        assert again.catalog.people.erasures(linger_s=0) == []
    finally:
        again.close()


def test_what_a_late_request_wrote_is_erased_too_and_nothing_of_who_came_back(mind: LocalMind, make: Make) -> None:
    ann, bob = make("ann@example.org"), make("bob@example.org")
    assert bob.user_id is not None
    mind.privacy.erasures.erase(ann, bob.user_id, documents=False)
    with acting(principal=bob, address="203.0.113.9"):
        mind.chat.answer(ann.tenant, "Am I still here?")
    mind.audit.flush()
    mind.privacy.erasures.finish()
    assert mind.conversations.list(ann.tenant).items == ()
    assert mind.catalog.audit.page(ann.tenant).items[0].personal is None

    mind.catalog.accounts.join(ann.tenant, bob.user_id, Role.VIEWER)
    with acting(principal=bob):
        mind.chat.answer(ann.tenant, "I am back.")
    mind.privacy.erasures.finish()
    assert len(mind.conversations.list(ann.tenant).items) == 1


def test_the_last_owner_is_not_erased_and_neither_by_somebody_else(mind: LocalMind, make: Make) -> None:
    ann, eve = make("ann@example.org"), make("eve@example.org", "Other")
    assert ann.user_id is not None
    with pytest.raises(Conflict, match="last owner"):
        mind.privacy.erasures.erase(ann, ann.user_id, documents=False)
    with pytest.raises(NotFound):
        mind.privacy.erasures.erase(eve, ann.user_id, documents=False)
    assert mind.accounts.members.get(ann, ann.user_id)


def test_whoever_has_the_machine_exports_and_erases_beside_a_running_service(mind: LocalMind, make: Make) -> None:
    bob = make("bob@example.org")
    works(mind, bob)
    assert bob.user_id is not None
    email = mind.accounts.members.get(bob, bob.user_id).email
    files, _ = unpacked(export_person(mind.settings, email.title(), tenant=None))
    assert lines(files["documents.jsonl"])
    erase_person(mind.settings, email, tenant=None, documents=True)
    mind.privacy.daily.look()  # as the service does every some minutes
    until_gone(mind, bob.tenant)
    with pytest.raises(NotFound):
        list(export_person(mind.settings, email, tenant=None))


# --- a whole tenant


def test_of_a_deleted_tenant_no_file_holds_a_trace(own: LocalMind, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, eve = owner(own, "ann@example.org", PERSONAL), owner(own, "eve@example.org", "Other")
    with acting(principal=ann):
        kept = own.sources.add_texts(PERSONAL, [NewText("Kept", "What stays of the others.")])[0]
    wait(own, PERSONAL, kept.job_id)
    space = own.accounts.spaces.make(eve, "Second", restricted=False)
    works(own, eve)
    works(own, eve, space.id)
    with pytest.raises(Conflict):  # beside a running service
        delete_tenant(own.settings, "Other", report=lambda _: None)
    own.close()
    folder = own.settings.data_dir
    assert {name.split("/")[0] for name in traces(folder, SECRET)} >= {"blobs", "catalog.db"}

    with monkeypatch.context() as cut:  # killed in the middle
        cut.setattr(tenants, "_of_a_partition", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            delete_tenant(own.settings, "Other", report=lambda _: None)
    delete_tenant(own.settings, "Other", report=lambda _: None)

    assert traces(folder, SECRET) == traces(folder, "eve@") == traces(folder, space.id) == []
    assert dump(own).count(eve.tenant) == 1  # that it was deleted is written down, in the first tenant's audit
    again = opened(own.settings)
    try:
        assert again.search.search(PERSONAL, "stays", mode=Mode.TEXT, limit=5).hits
        assert [one.tenant for one in again.catalog.accounts.places(ann.user_id or UserId(""))] == [PERSONAL]
        assert again.catalog.audit.verify(PERSONAL).flaws == ()
    finally:
        again.close()
    with pytest.raises(NotFound):
        delete_tenant(own.settings, "Other", report=lambda _: None)


# --- in time


def test_retention_lets_go_of_what_is_old_in_every_space(mind: LocalMind, make: Make) -> None:
    ann = make("ann@example.org")
    space = mind.accounts.spaces.make(ann, "Second", restricted=False)
    works(mind, ann)
    works(mind, ann, space.id)
    rules = Rules(documents_days=10, conversations_days=10, audit_days=10)
    later = Retention(mind.catalog, mind.sources.delete, now=lambda: time.time() + 11 * 86_400)

    later.apply()
    assert mind.catalog.sources.count(ann.tenant) == 1  # off until somebody sets it
    mind.privacy.retention.set(ann.tenant, rules)
    mind.privacy.retention.apply()
    assert mind.catalog.sources.count(ann.tenant) == 1  # too young

    later.apply()
    assert [mind.catalog.sources.count(one) for one in (ann.tenant, space.id)] == [0, 0]
    assert [mind.conversations.list(one).items for one in (ann.tenant, space.id)] == [(), ()]
    verdict = mind.catalog.audit.verify(ann.tenant)
    assert (verdict.flaws, verdict.rows) == ((), 1)


def test_what_is_used_stays_and_what_is_not_goes(mind: LocalMind, make: Make) -> None:
    ann = make("ann@example.org")
    used, unused = works(mind, ann), mind.sources.add_texts(ann.tenant, [NewText("Unused", "Nobody asks for this.")])[0]
    wait(mind, ann.tenant, unused.job_id)
    with mind.catalog.database.write() as connection:
        connection.exec_driver_sql("UPDATE source SET updated_at = updated_at - 864000 WHERE tenant = ?", (ann.tenant,))
        connection.exec_driver_sql("UPDATE source SET used_at = NULL WHERE id = ?", (unused.source_id,))
    mind.privacy.retention.set(ann.tenant, Rules(unused_days=5))
    mind.privacy.retention.apply()
    assert mind.catalog.sources.count(ann.tenant) == 2  # the rule is new: until now nobody looked
    with mind.catalog.database.write() as connection:
        connection.exec_driver_sql("UPDATE retention SET changed_at = changed_at - 864000 WHERE tenant = ?", (ann.tenant,))
    mind.privacy.retention.apply()
    assert [one.id for one in mind.sources.list(ann.tenant).items] == [used]


def test_upkeep_is_done_once_a_day_by_one_process_and_not_under_maintenance(mind: LocalMind) -> None:
    ran: list[str] = []
    daily = [type(mind.privacy.daily)(mind.catalog, daily=[lambda n=n: ran.append(n)], often=[], is_paused=lambda: paused) for n in "ab"]
    mind.catalog.set_setting("daily", None)
    paused = True
    for one in daily:
        one.look()
    paused = False
    for one in daily * 2:
        one.look()
    assert ran == ["a"]


def test_maintenance_is_seen_by_another_process_within_seconds(mind: LocalMind) -> None:
    now = 0.0
    seen = MaintenanceMode(mind.catalog, clock=lambda: now)
    assert not seen.is_on()
    MaintenanceMode(mind.catalog).turn_on("why")
    assert not seen.is_on()
    now = 3.1
    assert seen.is_on()
    seen.turn_off()
    assert not seen.is_on()


# --- consent


def test_a_consent_is_kept_once_and_only_to_what_is_shown(mind: LocalMind, make: Make) -> None:
    ann = make("ann@example.org")
    consents = Consents(mind.catalog, "We write down what you ask.")
    assert consents.version is not None and ann.user_id is not None
    with pytest.raises(InvalidInput):
        consents.accept(ann, "another")
    for _ in range(2):
        consents.accept(ann, consents.version)
    assert [one.event for one in mind.catalog.audit.page(ann.tenant).items] == ["consent", "member_joined"]
    assert len(mind.catalog.people.facts(ann.tenant, ann.user_id)["consents"]) == 1
