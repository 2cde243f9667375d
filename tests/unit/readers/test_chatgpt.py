from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localmind.errors import Broken
from localmind.model import Document, Part
from localmind.readers import chatgpt, chatgpt_export, formats
from localmind.readers.formats import Reading
from localmind.readers.sandbox import Readers

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "chatgpt_export_sample" / "conversations.json"
START = 1_717_401_600.0  # 2024-06-03 08:00 UTC


def message(role: str, text: str | None = None, *, at: float | None = START, **fields: Any) -> dict[str, Any]:
    content = fields.pop("content", {"content_type": "text", "parts": [text]})
    author = {"role": role, "name": fields.pop("name", None), "metadata": {}}
    return {"author": author, "create_time": at, "content": content, "recipient": "all", "metadata": {}, "weight": 1.0, **fields}


def conversation(*messages: dict[str, Any], key: str = "c-1", **fields: Any) -> dict[str, Any]:
    """One branch, below a root and a hidden system message as exports have them."""
    hidden = message("system", "", metadata={"is_visually_hidden_from_conversation": True})
    mapping: dict[str, Any] = {"client-created-root": {"id": "client-created-root", "message": None, "parent": None, "children": []}}
    parent = "client-created-root"
    for number, said in enumerate((hidden, *messages)):
        mapping[f"n{number}"] = {"id": f"n{number}", "message": said, "parent": parent, "children": []}
        mapping[parent]["children"].append(f"n{number}")
        parent = f"n{number}"
    return {
        "title": "Talk",
        "create_time": START,
        "update_time": START,
        "mapping": mapping,
        "current_node": parent,
        "conversation_id": key,
        **fields,
    }


def talk(key: str = "c-1", question: str = "How?", answer: str = "So.") -> dict[str, Any]:
    return conversation(message("user", question), message("assistant", answer, at=START + 60), key=key, title=f"Talk {key}")


@pytest.fixture
def parts_of(tmp_path: Path) -> Callable[..., tuple[list[Part], list[str]]]:
    """(parts, notes) of an export's bytes, read in this process."""

    def parts_of(data: bytes | str, media_type: str = formats.CHATGPT_JSON) -> tuple[list[Part], list[str]]:
        path = tmp_path / "export"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        notes: list[str] = []
        reading = Reading(path, "conversations.json", media_type, lambda done, total: None, time.monotonic() + 60)
        return list(chatgpt_export.parts(reading, notes)), notes

    return parts_of


def ids(parts: list[Part]) -> list[str]:
    return [part.uri for part in parts]


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


# --- the archive


def test_array_wrapped_and_zip_give_the_same_parts(parts_of: Callable[..., Any]) -> None:
    talks = [talk("a"), talk("b")]
    plain = parts_of(json.dumps(talks))
    assert ids(plain[0]) == ["chatgpt:a", "chatgpt:b"]
    assert plain[0][0].title == "Talk a"
    assert parts_of(json.dumps({"version": 2, "conversations": talks}, indent=2)) == plain
    assert parts_of(zipped(**{"export/conversations.json": json.dumps(talks), "user.json": "{}"}), formats.CHATGPT_ZIP) == plain


def test_split_exports_are_read_in_the_order_of_their_numbers(parts_of: Callable[..., Any]) -> None:
    members = {f"conversations-{n:03d}.json": json.dumps([talk(f"c{n}")]) for n in (2, 10, 0, 1)}
    parts, notes = parts_of(zipped(**members), formats.CHATGPT_ZIP)
    assert ids(parts) == ["chatgpt:c0", "chatgpt:c1", "chatgpt:c2", "chatgpt:c10"]
    assert notes == []


def test_a_conversation_in_two_members_comes_once(parts_of: Callable[..., Any]) -> None:
    assert ids(parts_of(json.dumps([talk("a"), talk("a")]))[0]) == ["chatgpt:a"]


def test_a_cut_off_file_gives_what_stands_before_the_cut(parts_of: Callable[..., Any]) -> None:
    text = json.dumps([talk("a"), talk("b"), talk("c")])
    for cut in (text.index('"c"') - 40, len(text) - 1, len(text) - 30):
        parts, notes = parts_of(text[:cut])
        assert ids(parts)[:2] == ["chatgpt:a", "chatgpt:b"]
        assert "damaged or cut off" in notes[0]
        assert "Download the export again" in notes[0]


def test_damage_in_the_middle_costs_one_conversation(parts_of: Callable[..., Any]) -> None:
    text = json.dumps([talk("a"), talk("b"), talk("c"), talk("d")])
    at = text.index('"Talk b"')
    parts, notes = parts_of(text[: at + 100] + "\x00\x00" + text[at + 130 :])
    assert ids(parts) == ["chatgpt:a", "chatgpt:c", "chatgpt:d"]
    assert len(notes) == 1


def test_damage_before_the_first_conversation_is_an_error(parts_of: Callable[..., Any]) -> None:
    with pytest.raises(Broken, match="before its first"):
        parts_of('[{"title": "T", "mapping": {')


def test_a_damaged_member_does_not_cost_the_others(parts_of: Callable[..., Any]) -> None:
    members = {"conversations-000.json": json.dumps([talk("a")])[:-5], "conversations-001.json": json.dumps([talk("b")])}
    parts, notes = parts_of(zipped(**members), formats.CHATGPT_ZIP)
    assert ids(parts) == ["chatgpt:b"]
    assert notes[0].startswith("conversations-000.json is damaged")


def test_conversations_without_a_turn_are_no_source_and_no_error(parts_of: Callable[..., Any]) -> None:
    empty = conversation(message("user", ""), key="empty")
    nothing = {"conversation_id": "x", "mapping": {}, "current_node": None}
    odd = {"conversation_id": "y", "mapping": None, "title": 5}
    assert ids(parts_of(json.dumps([empty, nothing, odd, 7, None, talk("a")]))[0]) == ["chatgpt:a"]


def test_characters_cut_at_a_buffers_end_are_whole(parts_of: Callable[..., Any]) -> None:
    talks = [talk(f"c{n}", question="ü🎃" * 2000) for n in range(60)]
    parts, notes = parts_of(json.dumps(talks, ensure_ascii=False))
    assert (len(parts), notes) == (60, [])
    assert "\\ufffd" not in parts[30].data.decode()


def test_a_large_conversation_is_parsed_in_linear_time(parts_of: Callable[..., Any]) -> None:
    def seconds(messages: int) -> float:
        big = json.dumps([conversation(*(message("user", "word " * 400) for _ in range(messages)))])
        began = time.process_time()
        assert len(parts_of(big)[0]) == 1
        return time.process_time() - began

    assert min(seconds(8000), seconds(8000)) < 10 * max(
        seconds(2000), seconds(2000)
    )  # four times as much; sixteen times as long were it quadratic


# --- one part for one conversation


def test_an_unchanged_conversation_of_a_newer_export_has_equal_bytes() -> None:
    old = talk()
    new = json.loads(json.dumps(talk()))
    new.update(update_time=START + 9999, pinned_time=None, owner="x", memory_scope="global")
    new["mapping"] = dict(reversed(new["mapping"].items()))
    for node in new["mapping"].values():
        if node["message"]:
            node["message"]["metadata"]["request_id"] = "new"
            node["message"]["content"]["new_field"] = 1
    assert chatgpt.normalise(new) == chatgpt.normalise(old)


def test_a_conversation_that_grew_has_other_bytes() -> None:
    grown = conversation(message("user", "How?"), message("assistant", "So."), message("user", "More?"))
    assert chatgpt.normalise(grown) != chatgpt.normalise(conversation(message("user", "How?"), message("assistant", "So.")))


def test_an_older_export_with_id_alone_is_the_same_conversation() -> None:
    older = talk()
    older["id"] = older.pop("conversation_id")
    assert chatgpt.normalise(older) == chatgpt.normalise(talk())


def test_a_part_is_found_out_and_read_from_its_bytes(readers: Readers, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps([talk("a", "What is a \ud83d?", "# Answer\n\nA half.")]))
    found = readers.parts(tmp_path / "c.json", filename="c.json")
    assert found is not None
    (part,) = found
    assert found.notes == ()
    (tmp_path / "part").write_bytes(part.data)
    assert part.media_type == readers.detect(tmp_path / "part", "") == formats.CONVERSATION
    document = readers.read(tmp_path / "part", filename="")
    assert document.text == "User, 2024-06-03 08:00 UTC\n\nWhat is a ?\n\nAssistant, 2024-06-03 08:01 UTC\n\n# Answer\n\nA half."
    assert [(h.level, h.text) for h in document.headings] == [
        (1, "User, 2024-06-03 08:00 UTC"),
        (1, "Assistant, 2024-06-03 08:01 UTC"),
        (2, "Answer"),
    ]


def test_parts_wait_for_whoever_asks_for_them(readers: Readers, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps([talk(f"c{n}", "word " * 2000) for n in range(300)]))
    parts = readers.parts(tmp_path / "c.json", filename="c.json")
    assert parts is not None
    count = 0
    for count, part in enumerate(parts, 1):
        if count == 1:  # a part can be read while the others wait, with one reader allowed
            (tmp_path / "part").write_bytes(part.data)
            assert readers.read(tmp_path / "part", filename="").title == "Talk c0"
    assert count == 300


# --- turns


def said(*messages: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    """Turns, the same before and after normalising."""
    whole = conversation(*messages, **fields)
    found = [(turn.author, turn.text) for turn in chatgpt.turns(whole)]
    assert [(turn.author, turn.text) for turn in chatgpt.turns(json.loads(chatgpt.normalise(whole)))] == found
    return found


def test_only_the_visible_branch_is_read() -> None:
    tree = talk()
    tree["mapping"]["other"] = {"id": "other", "message": message("assistant", "Wrong."), "parent": "n1", "children": []}
    assert [turn.text for turn in chatgpt.turns(tree)] == ["How?", "So."]


@pytest.mark.parametrize("current", [None, "gone", 5])
def test_without_a_current_node_the_newest_leaf_counts(current: object) -> None:
    tree = talk()
    tree["mapping"]["other"] = {"id": "other", "message": message("assistant", "Older.", at=START + 1), "parent": "n1", "children": []}
    tree["current_node"] = current
    assert [turn.text for turn in chatgpt.turns(tree)] == ["How?", "So."]


def test_a_circle_and_a_missing_parent_end_the_walk() -> None:
    tree = talk()
    tree["mapping"]["n0"]["parent"] = "n2"
    assert [turn.text for turn in chatgpt.turns(tree)] == ["How?", "So."]
    tree["mapping"]["n1"]["parent"] = "gone"
    assert [turn.text for turn in chatgpt.turns(tree)] == ["How?", "So."]


def test_hidden_messages_calls_thoughts_and_memory_are_left_out() -> None:
    assert said(
        message("user", "profile", metadata={"is_user_system_message": True}),
        message("user", "Question"),
        message("assistant", content={"content_type": "thoughts", "thoughts": [{"content": "hmm"}]}),
        message("assistant", content={"content_type": "reasoning_recap", "content": "Thought for 6 s"}),
        message("assistant", content={"content_type": "code", "text": "search()"}, recipient="web.run"),
        message("tool", "", name="web.run"),
        message("assistant", "likes tea", recipient="bio"),
        message("assistant", content={"content_type": "model_editable_context", "model_set_context": "x"}),
        message("assistant", "thinking aloud", channel="analysis"),
        message("tool", content={"content_type": "system_error", "name": "e", "text": "failed"}),
        message("assistant", content={"content_type": "brand_new", "text": "?"}),
        message("assistant", "Answer", channel="final"),
    ) == [("User", "Question"), ("Assistant", "Answer")]


def test_what_a_tool_found_stands_in_the_answer_that_followed() -> None:
    assert said(
        message("user", "Sum?", metadata={"attachments": [{"name": "budget.csv"}]}),
        message("assistant", content={"content_type": "code", "text": "print()"}, recipient="python"),
        message("tool", content={"content_type": "execution_output", "text": "42"}, name="python"),
        message("tool", content={"content_type": "tether_quote", "title": "manual.pdf", "text": "Descale."}),
        message("assistant", "It is 42."),
    ) == [("User", "Sum?\n\n[Attached: budget.csv]"), ("Assistant", "Output:\n42\n\nQuoted from manual.pdf:\nDescale.\n\nIt is 42.")]


def test_speech_is_read_from_its_transcription() -> None:
    parts = [{"content_type": "audio_transcription", "text": "How long?", "direction": "in"}, {"content_type": "audio_asset_pointer"}]
    assert said(message("user", content={"content_type": "multimodal_text", "parts": parts})) == [("User", "How long?")]


def test_marks_give_way_to_addresses_or_nothing() -> None:
    mark, unknown = "\ue200cite\ue202turn0search0\ue201", "\ue200cite\ue202turn9\ue201"
    metadata = {"content_references": [{"matched_text": mark, "items": [{"url": "https://example.org/a"}]}]}
    assert said(message("assistant", f"Fact. {mark} Other.{unknown} End.", metadata=metadata)) == [
        ("Assistant", "Fact. (https://example.org/a) Other. End.")
    ]
    old = {"citations": [{"start_ix": 4, "metadata": {"name": "manual.pdf"}}]}
    assert said(message("assistant", "Fact【8†source】. More【9†x】", metadata=old)) == [("Assistant", "Fact (manual.pdf). More")]


def test_a_canvas_is_shown_once_as_it_ended() -> None:
    def call(recipient: str, **arguments: object) -> dict[str, Any]:
        return message("assistant", content={"content_type": "code", "text": json.dumps(arguments)}, recipient=recipient)

    def answer() -> dict[str, Any]:
        return message("tool", "ok", metadata={"canvas": {"textdoc_id": "t1"}})

    turns = said(
        message("user", "Write"),
        call("canmore.create_textdoc", name="Draft", type="document", content="We meet at ten.\nBring tea."),
        answer(),
        message("assistant", "Done."),
        message("user", "Change"),
        call("canmore.update_textdoc", updates=[{"pattern": "at ten", "replacement": r"at \1 nine"}, {"pattern": "(", "replacement": "x"}]),
        answer(),
        message("assistant", "Changed."),
    )
    assert turns[1] == ("Assistant", "Done.")
    assert turns[3] == ("Assistant", "Canvas: Draft\n\nWe meet at \\1 nine.\nBring tea.\n\nChanged.")


def test_an_unnamed_conversation_is_called_by_its_question() -> None:
    unnamed = conversation(message("user", "How do I descale it?\n\nMore."), title=None)
    assert chatgpt.title_of(unnamed, chatgpt.turns(unnamed)) == "How do I descale it?"
    new = conversation(message("user", "word " * 40), title="New chat")
    assert len(chatgpt.title_of(new, chatgpt.turns(new))) <= 80
    assert chatgpt.title_of({"title": "Cut \ud83d"}, []) == "Cut"


@pytest.mark.parametrize("at", [None, "soon", 1e300, float("nan"), -1e11, True])
def test_an_impossible_time_is_left_out(at: Any) -> None:
    (turn,) = chatgpt.turns(conversation(message("user", "Hi", at=at)))
    assert turn.heading in ("User", "User, -1199-02-15 14:13 UTC")


def test_ten_thousand_turns_are_read() -> None:
    assert len(said(*(message("user", f"q{n}") for n in range(10_000)))) == 10_000


@pytest.mark.skipif(not SAMPLE.exists(), reason="the shared sample is not here")
def test_the_shared_sample_reads_as_its_readme_says(readers: Readers, tmp_path: Path) -> None:
    parts = readers.parts(SAMPLE, filename=SAMPLE.name)
    assert parts is not None
    documents: dict[str, Document] = {}
    for part in parts:
        (tmp_path / "part").write_bytes(part.data)
        documents[part.title] = readers.read(tmp_path / "part", filename="")
    text = {title: document.text for title, document in documents.items()}
    assert len(documents) == 12
    assert "306.4 mm" in text["Replacing a bicycle chain"]
    assert "if the chain looks long" not in text["Replacing a bicycle chain"]
    assert "two children" in text["Weekend in Bergen"]
    assert "https://example.org/bergen-aquarium" in text["Weekend in Bergen"]
    assert "89 and 97 are neighbours" not in text["Largest prime gap below 100"]
    assert "at half past nine at the boathouse" in text["Club newsletter draft"]
    assert "Six and a half minutes" in text["Timer for soft eggs"]
    assert "merk dir bitte" in text["Rezept für Kürbissuppe 🎃"]
    assert "User does not like cream" not in text["Rezept für Kürbissuppe 🎃"]
    assert not any("\ue200" in words or "†" in words for words in text.values())
    assert "Sourdough starter schedule" in documents
    assert documents["Sourdough starter schedule"].headings[0].text == "User, 2024-06-03 08:00 UTC"
