"""Requests go to the provider that holds their prompt, and to regions where their customer allows them to be served."""

from __future__ import annotations

import openai
import pytest

MODEL = "mock-model"
LONG = "".join(f"{number} green bottles hanging on the wall. " for number in range(300))


async def ask(town, text: str, headers: dict[str, str] | None = None, stream: bool = False) -> None:
    answer = await town.client().chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": text}],
        max_tokens=4,
        stream=stream,
        extra_headers=headers,
    )
    if stream:
        async for _ in answer:
            pass
    await town.settled()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_goes_on_where_it_began(town, stream: bool) -> None:
    providers = [await town.add() for _ in range(4)]
    for number in range(6):
        await ask(town, LONG + "And another. " * number, stream=stream)
    assert sorted(len(one.bodies) for one in providers) == [0, 0, 0, 6]


async def test_a_session_goes_on_where_it_began(town) -> None:
    providers = [await town.add() for _ in range(4)]
    for _ in range(6):
        await ask(town, "Hello", {"x-session": "mine"})
    assert sorted(len(one.bodies) for one in providers) == [0, 0, 0, 6]


async def test_short_prompts_without_a_session_are_spread(town) -> None:
    providers = [await town.add() for _ in range(4)]
    for number in range(12):
        await ask(town, f"Hello {number}")
    assert sum(bool(one.bodies) for one in providers) > 1


async def test_a_request_is_served_only_in_the_region_that_it_names(town) -> None:
    west, elsewhere = await town.add(region="eu-west"), await town.add(region="us")
    for _ in range(5):
        await ask(town, "Hello", {"x-bonded-region": "eu"})
    assert (len(west.bodies), len(elsewhere.bodies)) == (5, 0)
    with pytest.raises(openai.APIStatusError) as refused:
        await ask(town, "Hello", {"x-bonded-region": "asia"})
    assert "asia" in str(refused.value) and refused.value.status_code in (404, 502, 503)
    with pytest.raises(openai.BadRequestError, match="name of a region"):
        await ask(town, "Hello", {"x-bonded-region": "eu/../us"})
