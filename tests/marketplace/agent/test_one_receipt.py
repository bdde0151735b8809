"""A provider signs one receipt for one (job, attempt), whatever a gateway sends it and whatever happens to its machine.

Two that differ cost it a quarter of its stake and its place for ever, and a gateway could sign two tickets for a pair.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack

import pytest

from contracts.messages import Status
from marketplace.agent.used import UsedTickets
from tests.marketplace.agent.harness import GATEWAY, chat, header_receipt, make_call, start_agent, write_provider_file

DAY_S = 86_400
STATUTE_DAYS = 28
DEAF = 'kind = "openai"\nbase_url = "http://127.0.0.1:1/v1"'


def deaf_agent(stack: AsyncExitStack, path, gateway):
    """An agent whose engine is not there: it accepts a ticket and answers 502 with a receipt."""
    return start_agent(stack, path, {GATEWAY.address: gateway.url})


async def test_two_tickets_with_one_job_and_attempt_get_one_receipt_also_after_a_restart(tmp_path, gateway):
    path = write_provider_file(tmp_path, DEAF)
    async with AsyncExitStack() as stack:
        agent = await deaf_agent(stack, path, gateway)
        first = make_call(agent.offer, chat())
        answer = await agent.post(first)
        receipt, _ = header_receipt(answer)
        assert (answer.status_code, receipt.status) == (502, Status.PROVIDER_ERROR)
        second = make_call(
            agent.offer,
            first.body,
            job=first.ticket.job,
            max_output_tokens=63,
            request_digest=first.ticket.request_digest,
        )
        second.salt = first.salt
        refused = await agent.post(second)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "ticket_used")
        assert "x-bonded-receipt" not in refused.headers
    async with AsyncExitStack() as stack:
        agent = await deaf_agent(stack, path, gateway)
        for call in (first, second):
            refused = await agent.post(call)
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "ticket_used")
            assert "x-bonded-receipt" not in refused.headers
        other = make_call(agent.offer, first.body, job=first.ticket.job, attempt=1)
        assert (await agent.post(other)).status_code == 502, "another attempt of the job is another pair"


async def test_a_pair_is_refused_on_every_day_of_the_statute_and_after_each_restart(tmp_path):
    now = 20_000 * DAY_S + DAY_S - 1.0
    pair = (b"j" * 32, 0)
    used = UsedTickets(tmp_path, now)
    assert used.add(pair, now)
    for day in range(1, STATUTE_DAYS + 2):
        used.add((b"another", day), now + day * DAY_S)
        assert not used.add(pair, now + day * DAY_S), f"day {day}"
        used.close()
        used = UsedTickets(tmp_path, now + day * DAY_S)
        assert pair in used, f"day {day}, after a restart"
    used.close()


async def test_a_pair_is_on_the_disk_before_its_receipt_leaves(tmp_path, gateway, monkeypatch):
    forced = asyncio.Event()
    async with AsyncExitStack() as stack:
        agent = await deaf_agent(stack, write_provider_file(tmp_path, DEAF), gateway)
        real = agent.parts.used.kept

        async def slow() -> None:
            await forced.wait()
            await real()

        monkeypatch.setattr(agent.parts.used, "kept", slow)
        waiting = asyncio.create_task(agent.post(make_call(agent.offer, chat())))
        done, _ = await asyncio.wait({waiting}, timeout=0.5)
        assert not done and not agent.parts.journal.open, "no receipt exists while the pair is only in memory"
        forced.set()
        assert header_receipt(await waiting)[0].status == Status.PROVIDER_ERROR


async def test_a_pair_that_the_disk_does_not_take_gets_no_receipt_and_no_clean_end(tmp_path, gateway, monkeypatch):
    async with AsyncExitStack() as stack:
        agent = await deaf_agent(stack, write_provider_file(tmp_path, DEAF), gateway)

        async def broken() -> None:
            raise OSError(5, "the disk is gone")

        monkeypatch.setattr(agent.parts.used, "kept", broken)
        answer = await agent.post(make_call(agent.offer, chat()))
        assert answer.status_code == 500 and "x-bonded-receipt" not in answer.headers
        assert not agent.parts.journal.open and not gateway.posted


async def test_kept_forces_the_file_of_the_day_and_is_shared(tmp_path, monkeypatch):
    forced = []
    real = os.fsync
    used = UsedTickets(tmp_path, time.time())
    monkeypatch.setattr(os, "fsync", lambda file: (forced.append(os.readlink(f"/proc/self/fd/{file}")), real(file)))
    used.add((b"a" * 32, 0), time.time())
    used.add((b"b" * 32, 0), time.time())
    await asyncio.gather(used.kept(), used.kept(), used.kept())
    assert len(forced) == 1 and forced[0].endswith(".used")
    await used.kept()
    assert len(forced) == 1, "what is on the disk is not forced again"
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(5, "gone")))
    used.add((b"c" * 32, 0), time.time())
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await used.kept()
    monkeypatch.undo()
    await used.kept()
    used.close()
