"""What verifiers ask: shaped like customers' requests, canaries judged only by their sure beginning."""

import hashlib
import json

import pytest

from rewards.verifier.challenge import Challenge, Pool, Wanted, answer_text, choose, make_pool, ordinary
from rewards.verifier.plan import PlannedProbe
from rewards.verifier.prompts import LEAST_OUTPUT, MOST_OUTPUT, USUAL


def sse(*texts: str) -> bytes:
    events = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


class Parrot:
    """A reference that answers with the prompt itself, so that expected answers differ between canaries."""

    async def answer(self, body: bytes) -> str:
        return json.loads(body)["messages"][0]["content"]


def planned(turn: int, canary: bool, provider: str = "0x" + "11" * 20) -> PlannedProbe:
    return PlannedProbe(provider, turn, 0, canary, hashlib.sha256(bytes((turn, canary))).digest(), turn)


async def pool_of(seed: bytes = b"seed", own: tuple[str, ...] = ()) -> Pool:
    return await make_pool(b"\x06" * 32, "m", seed, Parrot(), Wanted(greedy=5, sampled=7, answers=3), USUAL, own)


async def test_a_greedy_request_differs_from_all_others_by_a_seed_alone_which_customers_send_too():
    pool = await pool_of()
    usual = {"model", "messages", "max_tokens", "temperature", "stream"}
    for body in (ordinary(b"salt", "m").body, *(one.body for one in pool.sampled)):
        assert set(json.loads(body)) == usual and json.loads(body)["temperature"] > 0
    for one in pool.greedy:
        assert set(json.loads(one.body)) == usual | {"seed"} and json.loads(one.body)["temperature"] == 0
    assert all(json.loads(one.body)["max_tokens"] == one.max_output_tokens for one in (*pool.greedy, *pool.sampled))


async def test_a_pool_holds_the_reference_s_answers_and_no_request_twice():
    pool = await pool_of()
    assert [len(one.answers) for one in pool.sampled] == [3] * 7
    for one in pool.sampled:
        assert set(one.answers) == {json.loads(one.body)["messages"][0]["content"]}
    assert len({one.body for one in (*pool.greedy, *pool.sampled)}) == 12


async def test_another_epoch_asks_nothing_that_an_epoch_before_asked():
    one, other = await pool_of(b"one"), await pool_of(b"other")
    assert not {a.body for a in (*one.greedy, *one.sampled)} & {b.body for b in (*other.greedy, *other.sampled)}


async def test_a_verifier_s_own_wordings_are_all_it_uses():
    pool = await pool_of(own=("Only I ask this.",))
    asked = {json.loads(one.body)["messages"][0]["content"] for one in (*pool.greedy, *pool.sampled)}
    assert asked == {"Only I ask this."}


def test_an_answer_that_begins_otherwise_fails_and_a_late_difference_does_not():
    challenge = Challenge(b"{}", 6, "The moons of Jupiter are many")
    assert challenge.passed("The moons of Saturn are many") is True
    assert challenge.passed("A moon") is False
    assert challenge.passed("The m") is False
    assert challenge.passed("") is None
    assert ordinary(bytes(32), "m").passed("anything") is None


async def test_each_request_of_a_pool_is_asked_once_in_an_order_of_the_provider_s_own_then_only_ordinary_ones():
    pool = await pool_of()
    for canary, known in ((True, [one.body for one in pool.greedy]), (False, [one.body for one in pool.sampled])):
        asked = [choose(pool, planned(turn, canary), b"seed", "m") for turn in range(9)]
        assert sorted(one.body for one in asked[: len(known)]) == sorted(known)
        assert all(one.expected is None and one.prompt is None for one in asked[len(known) :])
        others = [choose(pool, planned(turn, canary, "0x" + "22" * 20), b"seed", "m") for turn in range(9)]
        assert [one.body for one in others[: len(known)]] != [one.body for one in asked[: len(known)]]


async def test_a_sampled_request_names_its_place_in_the_pool_and_a_greedy_one_its_answer():
    pool = await pool_of()
    sampled, greedy = (choose(pool, planned(0, canary), b"seed", "m") for canary in (False, True))
    assert sampled.prompt is not None and pool.sampled[sampled.prompt].body == sampled.body
    assert greedy.prompt is None and greedy.expected in {one.answer for one in pool.greedy}


def test_without_a_pool_every_request_is_ordinary_and_its_own():
    bodies = {choose(None, planned(turn, canary), b"seed", "m").body for turn in range(9) for canary in (True, False)}
    assert len(bodies) == 18


def test_requests_are_as_long_as_the_mix_says_within_what_a_verifier_pays_for():
    short = [json.loads(ordinary(bytes((n,)), "m", ((5, 1),)).body) for n in range(20)]
    long = [json.loads(ordinary(bytes((n,)), "m", ((120, 4_000),)).body) for n in range(20)]
    assert {body["max_tokens"] for body in short} == {LEAST_OUTPUT}
    assert {body["max_tokens"] for body in long} == {MOST_OUTPUT}
    lengths = [[len(body["messages"][0]["content"]) for body in bodies] for bodies in (short, long)]
    assert max(lengths[0]) < 120 < 400 < min(lengths[1])


def test_the_text_of_a_stream_leaves_out_the_receipt_and_refuses_garbage():
    stream = sse("Hel", "lo").replace(
        b"data: [DONE]", b'data: {"object":"bonded.receipt","receipt":{}}\n\ndata: [DONE]'
    )
    assert answer_text(stream) == "Hello"
    with pytest.raises(ValueError, match="Expecting"):
        answer_text(b"data: not json\n\n")


@pytest.mark.parametrize(
    "event",
    [
        b"[]",
        b"7",
        b'{"choices":null}',
        b'{"choices":[null]}',
        b'{"choices":[{"delta":null}]}',
        b'{"choices":[{"delta":{"content":7}}]}',
        b"[" * 200_000,
    ],
)
def test_json_that_is_no_chat_event_is_a_value_error_whatever_its_shape(event: bytes):
    with pytest.raises(ValueError, match=r"chat event|too deep"):
        answer_text(b"data: " + event + b"\n\ndata: [DONE]\n\n")
