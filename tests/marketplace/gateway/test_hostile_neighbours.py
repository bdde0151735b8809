"""What hostile providers do to one customer's requests is no other customer's business."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import openai

from marketplace.accounts import Account, _Purse
from marketplace.caps import Cap
from marketplace.gateway.inference import Bounds
from marketplace.gateway.testing_faults import BEHAVIOURS
from tests.marketplace.gateway.conftest import CUSTOMER, DEPOSIT_ATTO, KEY, QUICK, Town

MODEL = "mock-model"
OTHER, OTHER_KEY = "0x" + "d0" * 20, "sk-bonded-other"
HELLO = [{"role": "user", "content": "Say hello."}]
ROUNDS = 30


async def suffer(client: openai.AsyncOpenAI, model: str, stream: bool) -> None:
    """Ask a hostile provider and take whatever comes."""
    try:
        answer = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=3, stream=stream)
        if stream:
            async for _ in answer:
                pass
    except (openai.APIError, ValueError):
        pass


async def test_every_kind_of_hostile_provider_at_once_leaves_another_customer_untouched(tmp_path: Path) -> None:
    town = Town(tmp_path, QUICK, Bounds())
    town.books._keys[hashlib.sha256(OTHER_KEY.encode()).digest()] = Account(OTHER, 2, "other")
    town.books._purses[OTHER] = _Purse(put_in=DEPOSIT_ATTO, caps=(Cap(DEPOSIT_ATTO, 0),))
    await town.start()
    try:
        honest = await town.add()
        hostile = [name for name in BEHAVIOURS if name != "ok"]
        for behaviour in hostile:
            await town.add(model=f"bad-{behaviour}", behaviour=behaviour)
        attacked = town.client(KEY)
        attacks = [
            asyncio.create_task(suffer(attacked, f"bad-{behaviour}", stream))
            for behaviour in hostile
            for stream in (False, True)
        ]
        heard = []
        for number in range(ROUNDS):
            stream = await town.client(OTHER_KEY).chat.completions.create(
                model=MODEL, messages=HELLO, max_tokens=3, stream=number % 2 == 0
            )
            if number % 2:
                heard.append(stream.choices[0].message.content)
            else:
                heard.append("".join([chunk.choices[0].delta.content or "" async for chunk in stream]).strip())
        await asyncio.gather(*attacks)
        await town.settled()
        assert heard == ["word0 word1 word2"] * ROUNDS
        own = [attempt for attempt in town.books.posted if attempt.countersignature.customer == OTHER]
        assert len(own) == ROUNDS and {attempt.receipt.provider for attempt in own} == {honest.owner}
        balance = town.books.balance(OTHER)
        assert balance.held_atto == 0
        assert balance.uncharged_atto == sum(attempt.receipt.charge_atto for attempt in own)
        recorded = [attempt for attempt in town.books.recorded if attempt.countersignature.customer != CUSTOMER]
        assert recorded == []
    finally:
        await town.stop()
