"""A verifier through a short epoch against real sockets: one agent serves, one is gone, one is out of tickets."""

import asyncio
import contextlib
import time
from pathlib import Path

from contracts.messages import Domain
from contracts.signing import Signer
from contracts.types import Timing
from rewards.measurement import join_words, unpack_histogram
from rewards.verifier.attestation import read_document
from rewards.verifier.challenge import Challenge
from rewards.verifier.plan import commitment, epoch_seed
from rewards.verifier.service import TicketRefused, Verifier
from rewards.verifier.store import MeasurementStore
from rewards.verifier.testing import HonestAgent, MemorySurroundings, SocketTransport, record

SEPARATOR = Domain(31337, "0x" + "ee" * 20).separator()
UP, GONE, POOR = (Signer(bytes((n,)) * 32) for n in (1, 2, 3))
VERIFIER = Signer(b"\x04" * 32)
MASTER = b"\x05" * 32


class Surroundings(MemorySurroundings):
    """Refuses tickets for one provider."""

    async def ticket(self, provider: str, model: str, max_output_tokens: int, request_digest: bytes):
        if provider == POOR.address:
            raise TicketRefused("balance too low")
        return await super().ticket(provider, model, max_output_tokens, request_digest)


async def test_an_epoch_is_committed_probed_and_attested(tmp_path: Path):
    timing = Timing(genesis=int(time.time()) + 2, slot_s=1, slots_per_epoch=5)
    agent = HonestAgent(UP, SEPARATOR, "Hello there, traveller")
    pool = (Challenge(b'{"model":"m","messages":[]}', 4, "Hello there, friend"),)
    async with agent.serving() as endpoint:
        surroundings = Surroundings(
            timing,
            SEPARATOR,
            1,
            [record(UP, endpoint), record(GONE, "http://127.0.0.1:1"), record(POOR, endpoint)],
            Signer(b"\x09" * 32),
        )
        verifier = Verifier(
            VERIFIER, MASTER, MeasurementStore(tmp_path), surroundings, SocketTransport(), {b"\x06" * 32: pool}
        )
        task = asyncio.create_task(verifier.run())
        try:
            assert verifier.attestation(0) is None
            while (shown := verifier.attestation(0)) is None or len(verifier.store.read(0)) < 15:
                await asyncio.sleep(0.1)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    seed, days, canaries = read_document(shown, VERIFIER.address, 0, SEPARATOR)
    assert surroundings.committed[0] == commitment(seed) == commitment(epoch_seed(MASTER, 0))
    by_provider = {signed.day.provider: signed.day for signed in days}
    assert set(by_provider) == {UP.address, GONE.address}
    assert join_words(by_provider[UP.address].up) == 0b11111
    assert sum(unpack_histogram(by_provider[UP.address].histogram)) == 5
    assert join_words(by_provider[GONE.address].up) == 0
    assert len(surroundings.handed_in) == 5
    asked_canaries = sum(1 for body in agent.asked if body == {"model": "m", "messages": []})
    assert [(signed.day.asked, signed.day.passed) for signed in canaries] == (
        [(asked_canaries, asked_canaries)] if asked_canaries else []
    )


async def test_without_a_ticket_only_a_provider_out_of_reach_is_down(tmp_path: Path):
    timing = Timing(genesis=int(time.time()) + 1, slot_s=1, slots_per_epoch=3)
    surroundings = Surroundings(timing, SEPARATOR, 1, [record(POOR, "http://127.0.0.1:1")], Signer(b"\x09" * 32))
    surroundings.out_of_reach.add(POOR.address)
    verifier = Verifier(VERIFIER, MASTER, MeasurementStore(tmp_path), surroundings, SocketTransport(), {})
    task = asyncio.create_task(verifier.run())
    try:
        while len(verifier.store.read(0)) < 3:
            await asyncio.sleep(0.1)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert {m.verdict.value for m in verifier.store.read(0)} == {"unreachable"}
