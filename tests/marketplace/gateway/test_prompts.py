"""What the gateway remembers of prompts: blocks of long ones, sessions, and nothing across customers."""

from __future__ import annotations

import orjson
import pytest

from marketplace.gateway.errors import ApiError
from marketplace.gateway.inquiry import CHAT, COMPLETIONS, EMBEDDINGS, Inquiry, read_inquiry
from marketplace.gateway.prompts import BLOCK_CHARS, BLOCKS_MOST

TEXT = "".join(f"{number} green bottles hanging on the wall. " for number in range(400))


def chat(*texts: str, customer: str = "0xA", headers: dict[bytes, bytes] | None = None, **more: object) -> Inquiry:
    messages = [{"role": "user" if at % 2 == 0 else "assistant", "content": text} for at, text in enumerate(texts)]
    return read_inquiry(CHAT, orjson.dumps({"model": "m", "messages": messages, **more}), customer, headers or {})


def test_a_conversation_that_goes_on_has_the_blocks_that_it_had() -> None:
    before, after = chat(TEXT), chat(TEXT, "And then?", "None.")
    assert len(before.blocks) == (len(TEXT) + 5) // BLOCK_CHARS
    assert after.blocks[: len(before.blocks)] == before.blocks


def test_another_word_at_the_beginning_changes_every_block_and_one_at_the_end_the_last() -> None:
    plain = chat(TEXT).blocks
    assert not set(plain) & set(chat("!" + TEXT).blocks)
    middle = TEXT[: 3 * BLOCK_CHARS] + "!" + TEXT[3 * BLOCK_CHARS :]
    assert chat(middle).blocks[:3] == plain[:3] and not set(chat(middle).blocks[3:]) & set(plain)


def test_tools_stand_before_the_messages_and_roles_count() -> None:
    assert not set(chat(TEXT).blocks) & set(chat(TEXT, tools=[{"type": "function"}]).blocks)
    assert chat("", TEXT).blocks != chat(TEXT, "").blocks


def test_one_customers_prompt_says_nothing_about_anothers() -> None:
    assert not set(chat(TEXT).blocks) & set(chat(TEXT, customer="0xB").blocks)
    assert chat(TEXT, user="u").session != chat(TEXT, user="u", customer="0xB").session


def test_short_prompts_embeddings_and_readers_without_a_customer_have_no_blocks() -> None:
    assert chat("Hello").blocks == ()
    assert chat(TEXT, customer="").blocks == ()
    body = orjson.dumps({"model": "m", "input": TEXT})
    assert read_inquiry(EMBEDDINGS, body, "0xA").blocks == ()


def test_a_prompt_of_text_and_one_of_token_numbers_have_blocks() -> None:
    for prompt in (TEXT, list(range(5_000))):
        body = orjson.dumps({"model": "m", "prompt": prompt})
        assert len(read_inquiry(COMPLETIONS, body, "0xA").blocks) >= 2


def test_the_blocks_of_one_prompt_are_bounded() -> None:
    assert len(chat("x" * (BLOCK_CHARS * (BLOCKS_MOST + 5))).blocks) == BLOCKS_MOST


def test_a_session_is_what_header_key_or_user_say_and_how_the_prompt_begins() -> None:
    assert chat("Hello").session == ""
    named = {chat("Hello", user="u").session, chat("Hello", prompt_cache_key="u").session}
    assert named == {chat("Hello", headers={b"x-session": b"u"}).session} and "" not in named
    assert chat("Hello", "there", "again", user="u").session in named
    assert chat("Another", user="u").session not in named


@pytest.mark.parametrize("region", [b"eu/west", b"-eu", b"e u", b"eu--west"])
def test_a_region_that_is_no_name_is_refused(region: bytes) -> None:
    with pytest.raises(ApiError, match="name of a region"):
        chat("Hello", headers={b"x-bonded-region": region})


def test_a_region_is_read_in_small_letters() -> None:
    assert chat("Hello", headers={b"x-bonded-region": b"EU-West"}).region == "eu-west"
