"""What verifiers ask: shaped like customers' requests, canaries judged only by their sure beginning."""

import hashlib
import json

import pytest

from rewards.verifier.challenge import Challenge, answer_text, canaries, choose, ordinary


def sse(*texts: str) -> bytes:
    events = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


class Parrot:
    """A reference that answers with the prompt itself, so that expected answers differ between canaries."""

    async def answer(self, body: bytes) -> str:
        return json.loads(body)["messages"][0]["content"]


def test_a_canary_and_an_ordinary_probe_have_the_same_keys_but_for_the_seed_that_customers_also_send():
    salt = hashlib.sha256(b"salt").digest()
    body = json.loads(ordinary("m", salt).body)
    assert set(body) == {"model", "messages", "max_tokens", "temperature", "stream"}
    assert body["stream"] is True
    assert 2 <= body["max_tokens"] <= 6


async def test_canaries_are_greedy_seeded_and_carry_the_reference_answer():
    pool = await canaries("m", b"secret", 5, Parrot())
    for challenge in pool:
        body = json.loads(challenge.body)
        assert body["temperature"] == 0
        assert isinstance(body["seed"], int)
        assert challenge.expected == body["messages"][0]["content"]
        assert challenge.max_output_tokens == body["max_tokens"]
    assert len({challenge.body for challenge in pool}) == 5


def test_an_answer_that_begins_otherwise_fails_and_a_late_difference_does_not():
    challenge = Challenge(b"{}", 6, "The moons of Jupiter are many")
    assert challenge.passed("The moons of Saturn are many") is True
    assert challenge.passed("A moon") is False
    assert challenge.passed("The m") is False
    assert challenge.passed("") is None
    assert ordinary("m", bytes(32)).passed("anything") is None


async def test_choosing_by_salt_takes_the_canary_it_points_to_and_falls_back_without_a_pool():
    pool = await canaries("m", b"secret", 4, Parrot())
    salt = hashlib.sha256(b"x").digest()
    assert choose(pool, salt, "m", canary=True) in pool
    assert choose((), salt, "m", canary=True) == ordinary("m", salt)
    assert choose(pool, salt, "m", canary=False) == ordinary("m", salt)


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
