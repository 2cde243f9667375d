"""Communities of a whole product: found after documents came, brought up to date, and gone with them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from localmind.communities import keeper
from localmind.ingest.budget import Budget, Limits
from localmind.llm.metering import Prices
from localmind.llm.openai import OpenAILLM
from localmind.model import PERSONAL, Community, Mode, SourceId, TenantId
from localmind.settings import Settings
from localmind.wiring import build
from tests.llm_server import Failure, LLMServer
from tests.unit.ingest.conftest import Desk

SOUP = """# Leek soup

The Leek Soup needs Vegetable Stock and Floury Potatoes. Vegetable Stock comes from the Copper Kettle.

The Copper Kettle stands beside the Floury Potatoes. Leek Soup simmers in the Copper Kettle for twenty minutes.
"""
PUMP = """# Harbour pump

The Harbour Pump lifts water over the North Dyke. The North Dyke protects Easthaven from the Grey Sea.

Easthaven pays for the Harbour Pump. The Grey Sea reached the Harbour Pump in 1998, and the North Dyke broke.
"""
LEASE = """# Lease

The Mill Lane Lease was signed by Orla Byrne and the Corn Exchange. Orla Byrne rents Mill Lane Four.

The Corn Exchange owns Mill Lane Four. Under the Mill Lane Lease the Corn Exchange repairs the roof of Mill Lane Four.
"""


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper leaves the tests alone."""
    monkeypatch.setattr(keeper, "SETTLE_S", 3600.0)


def themes(desk: Desk, level: int | None = None) -> list[Community]:
    return list(desk.mind.catalog.communities.page(PERSONAL, level=level, limit=50, cursor=None).items)


def names(community: Community) -> set[str]:
    return {entity.name for entity in community.entities}


def theme_of(desk: Desk, name: str) -> Community:
    return next(one for one in themes(desk) if name in names(one))


def test_themes_are_found_and_their_summaries_stand_in_the_sources(desk: Desk) -> None:
    for text in (SOUP, PUMP, LEASE):
        desk.put(text)
    report = desk.mind.communities.update(PERSONAL)

    assert report is not None and report.is_anew and report.communities == len(themes(desk)) >= 3
    soup = theme_of(desk, "Leek Soup")
    assert not names(soup) & {"Harbour Pump", "Orla Byrne"}
    assert any(name in soup.title for name in ("Leek Soup", "Copper Kettle", "Vegetable Stock", "Floury Potatoes"))
    assert soup.sources and soup.made_by == ""
    chunks = desk.mind.catalog.chunks.visible(PERSONAL, [quote.chunk_id for quote in soup.sources])
    for quote in soup.sources:
        assert chunks[quote.chunk_id].chunk.text[quote.start : quote.end] in soup.summary


def test_nothing_is_done_where_nothing_changed(desk: Desk) -> None:
    desk.put(SOUP)
    desk.mind.communities.update(PERSONAL)
    before = themes(desk)
    report = desk.mind.communities.update(PERSONAL)

    assert report is not None and (report.entities, report.described) == (0, 0)
    assert themes(desk) == before


@pytest.mark.parametrize("small", [0, 1000], ids=["around the change", "all anew"])
def test_a_new_document_leaves_the_other_themes_as_they_are(desk: Desk, monkeypatch: pytest.MonkeyPatch, small: int) -> None:
    monkeypatch.setattr("localmind.communities.upkeep.SMALL", small)
    monkeypatch.setattr("localmind.communities.upkeep.MOVED_SHARE", 10.0)
    desk.put(SOUP, name="soup.md")
    desk.put(PUMP, name="pump.md")
    desk.mind.communities.update(PERSONAL)
    before = {one.id: one for one in themes(desk)}
    desk.put(LEASE, name="lease.md")
    report = desk.mind.communities.update(PERSONAL)

    assert report is not None and report.is_anew is (small > 0)
    after = {one.id: one for one in themes(desk)}
    assert {id_: after[id_] for id_ in before} == before  # updated_at as well: nobody wrote them again
    assert after.keys() - before.keys() == {theme_of(desk, "Orla Byrne").id}


@pytest.mark.parametrize("small", [0, 1000], ids=["around the change", "all anew"])
def test_a_theme_goes_with_its_document(desk: Desk, monkeypatch: pytest.MonkeyPatch, small: int) -> None:
    monkeypatch.setattr("localmind.communities.upkeep.SMALL", small)
    monkeypatch.setattr("localmind.communities.upkeep.MOVED_SHARE", 10.0)
    desk.put(SOUP, name="soup.md")
    pump = desk.put(PUMP, name="pump.md")
    desk.mind.communities.update(PERSONAL)
    assert desk.end_of(desk.mind.sources.delete(PERSONAL, pump.source_id)).status == "succeeded"

    assert "Harbour Pump" not in desk.mind.chat.answer(PERSONAL, "What are the main themes?").answer  # not even before the update
    report = desk.mind.communities.update(PERSONAL)
    assert report is not None and report.gone > 0
    assert not any("Harbour Pump" in names(one) or "Harbour" in one.summary for one in themes(desk))
    alive = {one.id for one in themes(desk)}
    assert {member.community for batch in desk.mind.catalog.communities.members(PERSONAL) for member in batch} <= {*alive, None}


def test_what_a_kill_left_half_done_is_finished_by_the_next_update(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (SOUP, PUMP):
        desk.put(text)
    table = desk.mind.catalog.communities
    with monkeypatch.context() as broken:
        broken.setattr(table, "place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            desk.mind.communities.update(PERSONAL)
    left = {one.id for one in themes(desk)}
    desk.mind.communities.update(PERSONAL)

    assert {one.id for one in themes(desk)} == left  # the same ids: nothing is described, or paid for, under another name
    assert desk.mind.communities.update(PERSONAL).entities == 0  # type: ignore[union-attr]


def test_one_process_at_a_time_works_on_a_tenant(desk: Desk) -> None:
    table = desk.mind.catalog.communities
    assert table.take(PERSONAL, "another", lease_s=60)
    assert desk.mind.communities.update(PERSONAL) is None
    table.release(PERSONAL, "another")
    assert desk.mind.communities.update(PERSONAL) is not None


def test_the_lease_of_a_process_that_was_killed_ends(desk: Desk) -> None:
    assert desk.mind.catalog.communities.take(PERSONAL, "killed", lease_s=-1)
    assert desk.mind.communities.update(PERSONAL) is not None


def test_a_rebuild_finds_them_anew_with_vectors(desk: Desk) -> None:
    desk.put(SOUP)
    desk.mind.communities.update(PERSONAL)
    before = {one.id for one in themes(desk)}
    desk.mind.maintenance.rebuild()

    assert {one.id for one in themes(desk)} == before
    assert all(kept.has_vector for kept in desk.mind.catalog.communities.kept(PERSONAL))


def test_only_what_reads_otherwise_than_before_is_embedded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put(SOUP)
    desk.put(PUMP)
    desk.mind.communities.update(PERSONAL)
    table, embedded = desk.mind.catalog.communities, []
    before = {one.id: one.vector for one in table.vectors(PERSONAL)}
    embed = desk.mind.embedder.embed_documents
    monkeypatch.setattr(desk.mind.embedder, "embed_documents", lambda texts: (embedded.extend(texts), embed(texts))[1])

    desk.mind.communities.remake(PERSONAL)
    assert embedded == [] and {one.id: one.vector for one in table.vectors(PERSONAL)} == before

    table.forget_vectors(PERSONAL)
    desk.mind.communities.update(PERSONAL)
    assert len(embedded) == len(before) and all(one.vector for one in table.vectors(PERSONAL))

    desk.put(LEASE)
    desk.mind.communities.update(PERSONAL)
    assert len(embedded) < len(before) + len(themes(desk)) and any("Orla Byrne" in text for text in embedded)


def test_the_keeper_looks_once_things_have_settled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SETTLE_S", 0.0)
    monkeypatch.setattr(keeper, "SHARE", 0)
    desk.put(SOUP)
    deadline = time.monotonic() + 30
    while not themes(desk):
        assert time.monotonic() < deadline
        desk.mind.keeper.look()
    assert theme_of(desk, "Leek Soup")


# --- global search and chat


@pytest.fixture
def filled(desk: Desk) -> dict[str, SourceId]:
    found = {name: desk.put(text, name=f"{name}.md").source_id for name, text in (("soup", SOUP), ("pump", PUMP), ("lease", LEASE))}
    desk.mind.communities.update(PERSONAL)
    return found


def test_a_question_about_the_whole_is_answered_theme_by_theme(desk: Desk, filled: dict[str, SourceId]) -> None:
    answer = desk.mind.chat.answer(PERSONAL, "What are the main themes of my documents?")

    assert answer.answer.startswith("The main themes of your documents:")
    assert {citation.source_id for citation in answer.citations} == set(filled.values())
    for citation in answer.citations:
        assert f"[{citation.n}]" in answer.answer
        text = desk.mind.sources.document(PERSONAL, citation.source_id).text
        assert text[citation.start : citation.end] == citation.quote


def test_an_explicit_mode_wins(desk: Desk, filled: dict[str, SourceId]) -> None:
    question = "What are the main themes of my documents?"
    assert "main themes of your" not in desk.mind.chat.answer(PERSONAL, question, mode=Mode.HYBRID).answer
    asked = desk.mind.chat.answer(PERSONAL, "What protects Easthaven from the sea?", mode=Mode.GLOBAL)
    assert asked.answer.startswith("What your documents say about this")
    assert asked.citations[0].source_id == filled["pump"]


def test_global_search_gives_passages_of_the_closest_themes(desk: Desk, filled: dict[str, SourceId]) -> None:
    hits = desk.mind.search.search(PERSONAL, "floods, dykes and pumps", mode=Mode.GLOBAL).hits

    assert hits[0].source_id == filled["pump"]
    assert len({hit.chunk_id for hit in hits}) == len(hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_another_tenant_sees_nothing(desk: Desk, filled: dict[str, SourceId]) -> None:
    other = TenantId("other")
    assert desk.mind.search.search(other, "What are the main themes?", mode=Mode.GLOBAL).hits == ()
    assert desk.mind.search.search(other, "floods and pumps", mode=Mode.GLOBAL).hits == ()
    assert desk.mind.catalog.communities.some(other, [one.id for one in themes(desk)]) == []
    assert desk.mind.catalog.communities.page(other, level=None, limit=9, cursor=None).items == ()


def test_a_filter_holds(desk: Desk, filled: dict[str, SourceId]) -> None:
    answer = desk.mind.chat.answer(PERSONAL, "What are the main themes?", source_ids=[filled["lease"]])

    assert {citation.source_id for citation in answer.citations} == {filled["lease"]}
    assert desk.mind.search.search(PERSONAL, "anything", mode=Mode.GLOBAL, source_ids=[]).hits == ()


def test_without_themes_global_says_so_and_an_unset_mode_searches(desk: Desk) -> None:
    assert "No themes" in desk.mind.chat.answer(PERSONAL, "What are the main themes?", mode=Mode.GLOBAL).answer
    assert "No themes" not in desk.mind.chat.answer(PERSONAL, "What are the main themes?").answer


# --- with an LLM


@pytest.fixture
def with_llm(settings: Settings, llm_server: LLMServer) -> Any:
    llm_server.always({"entities": [], "relations": []})
    desk = Desk(settings)
    desk.mind.open()
    upkeep = desk.mind.communities
    upkeep._llm = OpenAILLM(llm_server.base_url, "", "scripted", timeout_s=5, attempts=1)
    upkeep._made_by = "scripted"
    yield desk
    desk.mind.close()


def written(server: LLMServer) -> int:
    return sum("one theme of a person's own documents" in request.system for request in server.requests)


def test_an_llm_writes_title_and_summary_once(with_llm: Desk, llm_server: LLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.communities.upkeep.LLM_LEAST", 3)
    llm_server.always({"title": "Coastal defence.", "summary": "The pump and the dyke keep the sea out [1]."})
    with_llm.put(PUMP)
    report = with_llm.mind.communities.update(PERSONAL)

    assert report is not None and report.calls == written(llm_server) >= 1
    assert report.spent.calls == report.calls and report.spent.prompt_tokens > 0
    theme = theme_of(with_llm, "Harbour Pump")
    assert (theme.title, theme.summary, theme.made_by) == ("Coastal defence", "The pump and the dyke keep the sea out.", "scripted")
    assert theme.sources
    assert "Harbour Pump" in llm_server.requests[-1].user

    calls = written(llm_server)
    with_llm.put(LEASE)
    with_llm.mind.communities.update(PERSONAL)
    assert theme_of(with_llm, "Harbour Pump").title == "Coastal defence"
    assert written(llm_server) - calls == sum("Orla Byrne" in names(one) for one in themes(with_llm))  # the new one alone


@pytest.mark.parametrize("answer", ["I can't do that.", '{"title": ""', Failure(500)], ids=["prose", "half", "error"])
def test_without_a_usable_answer_the_words_of_the_sources_stay(
    with_llm: Desk, llm_server: LLMServer, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.setattr("localmind.communities.upkeep.LLM_LEAST", 3)
    llm_server.always(answer)
    with_llm.put(PUMP)
    with_llm.mind.communities.update(PERSONAL)
    theme = theme_of(with_llm, "Harbour Pump")
    assert theme.made_by == "" and theme.title and theme.summary

    llm_server.always({"title": "Coastal defence", "summary": "Pump and dyke."})
    with_llm.mind.communities.update(PERSONAL)  # nothing changed but that the model answers
    assert theme_of(with_llm, "Harbour Pump").title == "Coastal defence"


def test_what_the_llm_costs_is_written_down_and_held_against_the_budget(
    with_llm: Desk, llm_server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localmind.communities.upkeep.LLM_LEAST", 3)
    llm_server.always({"title": "Coastal defence", "summary": "Pump and dyke."})
    upkeep = with_llm.mind.communities
    upkeep._budget = Budget(with_llm.mind.catalog.spending, Limits(tokens=1), Prices(), model="scripted")
    with_llm.put(PUMP)
    report = upkeep.update(PERSONAL)
    assert report is not None and (report.calls, written(llm_server)) == (0, 0)
    assert theme_of(with_llm, "Harbour Pump").made_by == ""

    upkeep._budget = Budget(with_llm.mind.catalog.spending, Limits(tokens=1_000_000), Prices(), model="scripted")
    report = upkeep.update(PERSONAL)
    assert report is not None and report.calls == written(llm_server) >= 1
    bill = upkeep._budget.account(PERSONAL).bill
    assert (bill.spent.calls, bill.spent.prompt_tokens) == (report.calls, report.spent.prompt_tokens)


def test_a_server_that_counts_no_tokens_is_not_free(with_llm: Desk, llm_server: LLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.communities.upkeep.LLM_LEAST", 3)
    monkeypatch.setattr("tests.llm_server._usage", lambda *_: (0, 0))
    llm_server.always({"title": "Coastal defence", "summary": "Pump and dyke."})
    with_llm.put(PUMP)
    report = with_llm.mind.communities.update(PERSONAL)
    assert report is not None and report.spent.prompt_tokens > 100 * report.calls > 0


def test_an_llm_answers_from_themes_and_passages(settings: Settings, llm_server: LLMServer) -> None:
    changed = settings.model_copy(update={"llm_base_url": llm_server.base_url, "llm_model": "scripted"})
    llm_server.always({"entities": [], "relations": []})
    mind = build(settings)
    mind.open()
    desk = Desk.__new__(Desk)
    desk.settings, desk.mind = settings, mind
    desk.put(SOUP), desk.put(PUMP)
    mind.communities.update(PERSONAL)
    mind.close()

    mind = build(changed)
    mind.open()
    llm_server.always("Soup [1] and floods [2].")
    answer = mind.chat.answer(PERSONAL, "What are the main themes?")
    asked = llm_server.requests[-1].user
    mind.close()
    assert answer.answer == "Soup [1] and floods [2]."
    assert len(answer.citations) == 2
    assert "Theme: " in asked and "<themes-" in asked
