"""CVE-2026-42208: what a stranger writes into a key, a name or a query never becomes SQL."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from sqlalchemy import func, select

from marketplace.models import api_keys, batches, files
from tests.marketplace.batches.shop import CHAT, Buyer, Shop, chat

SPELLS = (
    "' OR '1'='1",
    "sk-bonded-' OR 1=1 --",
    "sk-bonded-x'; DROP TABLE api_keys; --",
    "sk-bonded-x') UNION SELECT 1, 'customer', 'x' --",
    "sk-bonded-$$; SELECT pg_sleep(9)--",
    "sk-bonded-%27%20OR%201=1",
)


async def count(shop: Shop, table: Any) -> int:
    async with shop.database.begin() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


@pytest.mark.parametrize("spell", SPELLS)
async def test_cve_2026_42208_a_key_that_is_sql_is_a_wrong_key(shop: Shop, buyer: Buyer, spell: str) -> None:
    keys = await count(shop, api_keys)
    async with httpx2.AsyncClient(base_url=shop.url, trust_env=False) as client:
        for method, path in (("POST", CHAT), ("GET", "/v1/files"), ("GET", "/v1/batches"), ("GET", "/v1/models")):
            answer = await client.request(method, path, headers={"authorization": f"Bearer {spell}"})
            assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
    assert await count(shop, api_keys) == keys > 0
    assert [file.id async for file in buyer.api.files.list()] == []


@pytest.mark.parametrize("spell", ["x' OR '1'='1", "file-1'; DELETE FROM files; --", "file-1\\"])
async def test_cve_2026_42208_a_name_that_is_sql_names_nothing(shop: Shop, buyer: Buyer, spell: str) -> None:
    own = await buyer.upload([chat(1)])
    other = await shop.customer()
    hidden = await other.upload([chat(2)])
    for asking in (
        buyer.api.files.retrieve(spell),
        buyer.api.files.delete(spell),
        buyer.api.batches.retrieve(spell),
        buyer.api.batches.create(input_file_id=spell, endpoint="/v1/completions", completion_window="24h"),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            await asking
        assert refused.value.status_code in (400, 404)
    for query in ({"after": spell}, {"purpose": spell}, {"order": spell}, {"limit": spell}):
        try:
            listed = [file.id async for file in buyer.api.files.list(extra_query=query)]
        except openai.APIStatusError as error:
            assert error.status_code in (400, 404)
        else:
            assert set(listed) <= {own.id} and hidden.id not in listed
    assert await count(shop, files) == 2


async def test_cve_2026_42208_what_a_batch_says_of_itself_is_kept_as_text(shop: Shop, buyer: Buyer) -> None:
    spell = "'); DROP TABLE batches; --"
    await shop.add()
    shop.work()
    line = chat(1) | {"custom_id": spell}
    made = await buyer.submit([line], metadata={"note": spell})
    done = await buyer.ended(made.id)
    assert done.status == "completed" and done.metadata == {"note": spell}
    assert list(await buyer.lines(done.output_file_id)) == [spell]
    assert await count(shop, batches) == 1
