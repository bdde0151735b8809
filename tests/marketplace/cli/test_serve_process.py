"""`bonded provider serve` as a process of its own on a real chain: drain by SIGTERM, kill -9 and restart, RPC away."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest

from contracts.messages import Status
from contracts.signing import Signer
from marketplace.agent.config import read_provider_file
from marketplace.agent.offer import make_offer
from tests.marketplace.agent.harness import (
    Call,
    RecordingGateway,
    chat,
    check_receipt,
    make_call,
    read_receipt,
    read_stream,
    run_app,
)
from tests.marketplace.cli.provider_chain import Provider, free_port, make_provider, open_market

pytestmark = [pytest.mark.chain, pytest.mark.model]

LONG = chat(stream=True, max_tokens=60, ignore_eos=True)


class Stage:
    """A registered provider, its process, and the gateway that sends it work."""

    def __init__(self, provider: Provider, signer: Signer, recorder: RecordingGateway) -> None:
        self.provider = provider
        self.signer = signer
        self.recorder = recorder
        self.offer = make_offer(read_provider_file(provider.folder / "provider.toml"))
        self.client = httpx2.AsyncClient(timeout=60.0, trust_env=False)
        self.process = None
        self.url = ""

    async def start(self) -> None:
        self.process, ready = await asyncio.to_thread(self.provider.start)
        self.url = ready["listening"]

    async def ended(self) -> int:
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), 30)

    def call(self, request, **fields) -> Call:
        market = self.provider.market
        call = make_call(self.offer, request, owner=self.provider.owner.address, **fields)
        call.signer, call.domain = market.gateway, market.deployment.domain()
        return call

    async def post(self, call: Call) -> httpx2.Response:
        return await self.client.post(self.url + "/v1/chat/completions", content=call.body, headers=call.headers())

    async def busy(self) -> None:
        """Wait until a request is at the engine."""
        while not sum((await self.client.get(self.url + "/health")).json()["in_flight"].values()):
            await asyncio.sleep(0.02)

    async def leave_mid_stream(self, call: Call) -> None:
        async with self.client.stream(
            "POST", self.url + "/v1/chat/completions", content=call.body, headers=call.headers()
        ) as answer:
            seen = b""
            async for chunk in answer.aiter_raw():
                seen += chunk
                if seen.count(b"\n\n") >= 4:
                    return

    async def kill_mid_stream(self, call: Call) -> None:
        async with self.client.stream(
            "POST", self.url + "/v1/chat/completions", content=call.body, headers=call.headers()
        ) as answer:
            async for _ in answer.aiter_raw():
                os.kill(self.process.pid, signal.SIGKILL)


@asynccontextmanager
async def staged(folder, **file):
    async with AsyncExitStack() as stack:
        recorder = RecordingGateway()
        running = await run_app(recorder)
        stack.push_async_callback(running.stop)
        market = await asyncio.to_thread(open_market, folder, running.url)
        stack.callback(market.devnet.stop)
        provider = make_provider(folder, market, **file)
        signer = await asyncio.to_thread(provider.settle_in, free_port())
        stage = Stage(provider, signer, recorder)
        stack.push_async_callback(stage.client.aclose)
        await stage.start()
        stack.callback(lambda: stage.process.kill() or stage.process.wait())
        yield stage


async def test_sigterm_lets_a_stream_finish_refuses_new_work_and_exits_zero(tmp_path):
    slow = 'kind = "testing:slow"\nfirst_token_delay_s = 0.5\ntoken_delay_s = 0.02\nthreads = 1'
    async with staged(tmp_path, engine=slow) as stage:
        call = stage.call(LONG)
        running = asyncio.create_task(stage.post(call))
        await stage.busy()
        stage.process.send_signal(signal.SIGTERM)
        while (await stage.client.get(stage.url + "/health")).json()["status"] != "draining":
            await asyncio.sleep(0.02)
        refused = await stage.post(stage.call(chat()))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        answer = read_stream(200, (await running).content)
        assert answer.done and answer.check(call, stage.signer).output_tokens == 60
        assert await stage.ended() == 0


async def test_sigterm_posts_what_is_open_before_it_exits(tmp_path):
    async with staged(tmp_path) as stage:
        stage.recorder.status = 503
        call = stage.call(LONG)
        await stage.leave_mid_stream(call)
        while not stage.recorder.tries:
            await asyncio.sleep(0.02)
        stage.recorder.status = 200
        stage.process.send_signal(signal.SIGTERM)
        assert await stage.ended() == 0
        assert [read_receipt(one)[0].job for one in stage.recorder.posted] == [call.ticket.job]


async def test_a_second_sigterm_exits_at_once(tmp_path):
    slow = 'kind = "testing:slow"\nfirst_token_delay_s = 600\nthreads = 1'
    async with staged(tmp_path, engine=slow) as stage:
        running = asyncio.create_task(stage.post(stage.call(LONG)))
        await stage.busy()
        stage.process.send_signal(signal.SIGTERM)
        while (await stage.client.get(stage.url + "/health")).json()["status"] != "draining":
            await asyncio.sleep(0.02)
        stage.process.send_signal(signal.SIGTERM)
        assert await stage.ended() == 1
        with pytest.raises(httpx2.HTTPError):
            await running


async def test_after_kill_9_used_tickets_stay_used_and_unposted_receipts_are_posted(tmp_path):
    async with staged(tmp_path) as stage:
        stage.recorder.status = 503
        abandoned, served = stage.call(LONG), stage.call(chat(max_tokens=2))
        await stage.leave_mid_stream(abandoned)
        assert (await stage.post(served)).status_code == 200
        while not stage.recorder.tries:
            await asyncio.sleep(0.02)
        killed = stage.call(LONG)
        with pytest.raises(httpx2.HTTPError):
            await stage.kill_mid_stream(killed)
        assert await stage.ended() == -signal.SIGKILL

        stage.recorder.status = 200
        await stage.start()
        await asyncio.wait_for(stage.recorder.arrived.wait(), 20)
        receipt, signature = read_receipt(stage.recorder.posted[0])
        check_receipt(receipt, signature, abandoned, None, stage.signer)
        assert receipt.status == Status.CUSTOMER_ABORT and receipt.job == abandoned.ticket.job
        for call in (abandoned, served, killed):
            answer = await stage.post(call)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ticket_used")
        assert (await stage.post(stage.call(chat(max_tokens=2)))).status_code == 200


async def test_it_serves_and_restarts_while_the_rpc_is_away(tmp_path):
    async with staged(tmp_path) as stage:
        stage.provider.market.devnet.stop()
        assert (await stage.post(stage.call(chat(max_tokens=2)))).status_code == 200
        stage.process.send_signal(signal.SIGTERM)
        assert await stage.ended() == 0
        await stage.start()
        assert (await stage.post(stage.call(chat(max_tokens=2)))).status_code == 200
        health = (await stage.client.get(stage.url + "/health")).json()
        assert health["chain_reachable"] is False and health["gateways"] == 1


async def test_a_second_agent_on_the_same_state_is_refused(tmp_path):
    async with staged(tmp_path) as stage:
        second, said = await asyncio.to_thread(stage.provider.start)
        assert await asyncio.to_thread(second.wait) == 1
        assert "another agent runs" in said["error"]["message"]
        assert (await stage.client.get(stage.url + "/health")).json()["status"] == "ok"
