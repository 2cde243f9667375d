"""What every LLM adapter does, over the real protocols."""

from __future__ import annotations

import contextlib
import traceback

import pytest

from localmind.errors import ConfigurationError, LLMUnavailable
from localmind.llm.port import Turn
from localmind.model import Usage
from tests.llm_server import Drop, Failure, HalfJson, Hang, Huge, LLMServer, Page, rate_limited

TURNS = [Turn("system", "Be short."), Turn("user", "What is the capital of France?")]


def test_the_whole_conversation_is_sent_and_the_answer_comes_with_its_usage(adapter, path, connect, llm_server):
    llm_server.reply("Paris it is.", path=path)
    llm = connect(adapter, llm_server)

    completion = llm.complete([*TURNS, Turn("assistant", "Which one?"), Turn("user", "Today's.")], max_tokens=77)

    assert completion == ("Paris it is.", Usage(prompt_tokens=11, completion_tokens=3))
    request = llm_server.requests[-1]
    assert request.system == "Be short."
    assert [text for role, text in request.turns if role != "system"] == [TURNS[1].content, "Which one?", "Today's."]
    assert (request.body["model"], request.body["max_tokens"]) == ("scripted", 77)


def test_half_a_surrogate_pair_does_not_stop_a_call(adapter, path, connect, llm_server):
    connect(adapter, llm_server).complete([Turn("user", "What is \ud83d?")], max_tokens=5)

    assert llm_server.requests[-1].user == "What is ??"


def test_a_stream_gives_pieces_as_they_come_and_then_the_usage(adapter, path, connect, llm_server):
    llm_server.reply("Paris, on the Seine.", path=path)

    *pieces, usage = connect(adapter, llm_server).stream(TURNS, max_tokens=50)

    assert len(pieces) == 4 and "".join(pieces) == "Paris, on the Seine."
    assert usage == Usage(prompt_tokens=8, completion_tokens=4)


def test_a_first_piece_is_there_before_the_last_is_made(adapter, path, connect, llm_server):
    llm_server.reply(Hang("end", after=3), path=path)

    with contextlib.closing(connect(adapter, llm_server).stream(TURNS, max_tokens=50)) as stream:
        assert next(stream).strip()
        llm_server.release()
        assert "end" in "".join(piece for piece in stream if isinstance(piece, str))


def test_closing_the_stream_ends_the_call(adapter, path, connect, llm_server):
    llm_server.reply(Hang("never", after=3), path=path)
    stream = connect(adapter, llm_server).stream(TURNS, max_tokens=50)
    next(stream)

    stream.close()

    assert list(stream) == []


@pytest.mark.parametrize(
    "trouble",
    [Failure(500), Failure(503), Failure(408), Drop(), HalfJson(), Page(), Page(status=502), rate_limited()],
    ids=str,
)
def test_trouble_that_passes_is_tried_again(trouble, adapter, path, connect, llm_server, clock):
    llm_server.reply(trouble, trouble, "Paris.", path=path)

    assert connect(adapter, llm_server).complete(TURNS, max_tokens=50).text == "Paris."
    assert clock.waits == [0.5, 1.0]


def test_trouble_that_stays_is_an_llm_that_is_away(adapter, path, connect, llm_server):
    llm_server.always(Failure(500, "out of memory"), path=path)

    with pytest.raises(LLMUnavailable, match="out of memory") as caught:
        connect(adapter, llm_server).complete(TURNS, max_tokens=50)

    assert caught.value.retryable
    assert len(llm_server.requests) == 3


def test_it_waits_as_long_as_the_server_asks(adapter, path, connect, llm_server, clock):
    llm_server.reply(rate_limited(retry_after=7), "Paris.", path=path)

    assert connect(adapter, llm_server).complete(TURNS, max_tokens=50).text == "Paris."
    assert clock.waits == [7.0]


def test_it_does_not_wait_for_minutes(adapter, path, connect, llm_server, clock):
    llm_server.always(rate_limited(retry_after=600), path=path)

    with pytest.raises(LLMUnavailable, match="600 s"):
        connect(adapter, llm_server).complete(TURNS, max_tokens=50)

    assert clock.waits == []


def test_a_server_that_is_silent_is_given_up_in_time(adapter, path, connect, llm_server):
    llm_server.reply(Hang(), path=path)

    with pytest.raises(LLMUnavailable, match=r"did not answer within 0\.3 s.*LLM_TIMEOUT_S"):
        connect(adapter, llm_server, timeout_s=0.3, attempts=1).complete(TURNS, max_tokens=50)


def test_an_answer_of_40_mb_is_not_read_to_its_end(adapter, path, connect, llm_server):
    llm_server.reply(Huge(40_000_000), path=path)

    with pytest.raises(LLMUnavailable, match="8,000,000 bytes"):
        connect(adapter, llm_server, attempts=1).complete(TURNS, max_tokens=50)


def test_a_server_that_is_not_there_is_named_without_its_password(adapter, connect):
    password = "-".join(["hunter", "2"])
    llm = connect(adapter, f"http://me:{password}@127.0.0.1:9/v1")

    with pytest.raises(LLMUnavailable, match=r"http://127\.0\.0\.1:9/v1 can't be reached") as caught:
        llm.complete(TURNS, max_tokens=50)

    assert password not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("trouble", "hint"),
    [
        (Failure(401, "Incorrect API key provided: key-1", "invalid_api_key"), "LLM_API_KEY"),
        (Failure(403, "key-1 may not"), "LLM_API_KEY"),
        (Failure(404, "no such model", "model_not_found"), "LLM_MODEL"),
        (Failure(400, "prompt of key-1 is too long: 9000 tokens"), "CONTEXT_WINDOW"),
        (Failure(402, "pay"), "credit"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Failure) else "",
)
def test_a_setting_to_mend_is_named_at_once_and_the_key_is_never_shown(trouble, hint, adapter, path, connect, llm_server, caplog):
    caplog.set_level("DEBUG")
    llm_server.always(trouble, path=path)

    with pytest.raises(ConfigurationError, match=hint) as caught:
        connect(adapter, llm_server).complete(TURNS, max_tokens=50)

    assert len(llm_server.requests) == 1
    assert "key-1" not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_streams_fail_like_calls(adapter, path, connect, llm_server):
    llm = connect(adapter, llm_server)

    llm_server.reply(Failure(401), path=path)
    with pytest.raises(ConfigurationError):
        list(llm.stream(TURNS, max_tokens=50))

    llm_server.reply(Failure(500), "Paris.", path=path)
    assert "Paris." in list(llm.stream(TURNS, max_tokens=50))

    llm_server.reply(Page(), path=path)
    with pytest.raises(LLMUnavailable):
        list(llm.stream(TURNS, max_tokens=50))


def test_a_stream_that_breaks_off_says_so_after_what_came(adapter, path, connect, llm_server):
    llm_server.reply(Drop(after=3), path=path)
    pieces = []

    with pytest.raises(LLMUnavailable):
        pieces.extend(connect(adapter, llm_server).stream(TURNS, max_tokens=50))

    assert len(llm_server.requests) == 1


def test_after_five_failures_nobody_is_asked_for_thirty_seconds(adapter, path, connect, llm_server, clock):
    llm_server.always(Failure(500), path=path)
    llm = connect(adapter, llm_server, attempts=1)
    for _ in range(5):
        with pytest.raises(LLMUnavailable):
            llm.complete(TURNS, max_tokens=50)

    clock.now += 12
    with pytest.raises(LLMUnavailable, match="tried again in 18 s"):
        llm.complete(TURNS, max_tokens=50)
    assert len(llm_server.requests) == 5

    clock.now += 18
    llm_server.always("Paris.", path=path)
    assert llm.complete(TURNS, max_tokens=50).text == "Paris."
    assert llm.complete(TURNS, max_tokens=50).text == "Paris."


def test_rate_limits_leave_the_circuit_closed(adapter, path, connect, llm_server):
    llm_server.reply(*[rate_limited()] * 9, "Paris.", path=path)
    llm = connect(adapter, llm_server)
    for _ in range(3):
        with pytest.raises(LLMUnavailable):
            llm.complete(TURNS, max_tokens=50)

    assert llm.complete(TURNS, max_tokens=50).text == "Paris."


def test_it_can_be_closed_twice_and_used_again(adapter, path, connect):
    with LLMServer() as server:
        llm = connect(adapter, server)
        llm.complete(TURNS, max_tokens=5)
        llm.close()
        llm.close()
        assert llm.complete(TURNS, max_tokens=5).text


def test_an_answer_that_somebody_waits_for_has_its_own_time_and_one_attempt(adapter, path, connect, llm_server, clock):
    llm_server.always(Hang(), path=path)

    with pytest.raises(LLMUnavailable, match=r"within 0\.2 s"):
        connect(adapter, llm_server).complete(TURNS, max_tokens=50, timeout_s=0.2)

    assert len(llm_server.requests) == 1
    assert clock.waits == []


def test_a_page_that_is_not_there_is_an_address_to_mend(adapter, path, connect, llm_server):
    llm_server.always(Page("<h1>404 page not found</h1>", status=404), path=path)

    with pytest.raises(ConfigurationError, match=r"not the address of an LLM's API.*LLM_BASE_URL"):
        connect(adapter, llm_server).complete(TURNS, max_tokens=50)
