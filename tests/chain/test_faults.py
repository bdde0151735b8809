"""What can happen to a transaction on its way, and that the deed is done once nevertheless."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from contracts.chain import Chain, Finality
from contracts.deployment import Deployment
from contracts.errors import ContractRefused, FeeCapReached, IntentDropped
from contracts.escrow import Escrow
from contracts.fees import GWEI, FeePolicy
from contracts.file_outbox import FileOutbox
from contracts.outbox import IntentState
from contracts.testing import TcpProxy
from contracts.transactions import Sender, Until

from .crashes import Crash, CrashingChain, CrashingOutbox, Fuse
from .world import World

pytestmark = pytest.mark.chain
CHILD = """
import asyncio, sys
from contracts.chain import Chain, Finality
from contracts.deployment import Deployment
from contracts.devnet import dev_accounts
from contracts.file_outbox import FileOutbox
from contracts.tokens import Token
from contracts.transactions import Sender

async def main():
    url, deployment, folder, to = sys.argv[1:]
    async with await Chain.connect([url], Deployment.read(deployment), finality=Finality.depth(2)) as chain:
        signer = dev_accounts(2)[1]
        outbox = FileOutbox.open(folder, sender=signer.address, chain_key=chain.key)
        sender = Sender(chain, signer, outbox, poll_s=0.02)
        await sender.submit("m", Token(chain, "PaymentToken").mint(to, 1))

asyncio.run(main())
"""


# ------------------------------------------------------------------------------------------------------------ crashes


async def test_a_crash_between_any_two_steps_neither_loses_nor_doubles_the_deed(world: World) -> None:
    """Dies at boundary 1, 2, 3 … of a submission until one gets through; each time another sender takes over."""
    signer = world.devnet.accounts[1]
    died: set[str] = set()
    for number in range(1, 200):
        call, to = world.mint(number)
        fuse = Fuse(number)
        outbox = CrashingOutbox(world.outbox(signer), fuse)
        chain = CrashingChain(world.chain, fuse)
        sender = Sender(chain, signer, outbox, finality=Finality.depth(0), poll_s=0.02)  # type: ignore[arg-type]
        try:
            await sender.submit(to, call, until=Until.FINAL, timeout_s=20)
            crashed = False
        except Crash as crash:
            died.add(str(crash))
            crashed = True
        await world.restart(signer)
        survivor = world.sender(signer, finality=Finality.depth(0))
        outcome = await survivor.submit(to, call, until=Until.FINAL, timeout_s=20)
        assert outcome.final
        assert await world.minted(to) == 1, f"after {fuse.passed[-1]}"
        assert world.control.mined_count(signer.address) == number, f"after {fuse.passed[-1]}"
        if not crashed:
            break
    steps = ("outbox.prepare", "outbox.signed", "send", "outbox.broadcast", "outbox.final")
    assert died >= {f"{side} {step}" for step in steps for side in ("before", "after")}


async def test_a_process_killed_while_it_waits_is_succeeded_by_another(
    world: World, deployment: Deployment, tmp_path: Path
) -> None:
    signer = world.devnet.accounts[1]
    call, to = world.mint(1)
    deployment.write(tmp_path / "deployment.json")
    world.control.automine(False)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, world.devnet.url, str(tmp_path / "deployment.json"), str(tmp_path), to
    )
    while int(world.devnet.rpc("txpool_status")["pending"], 16) == 0:
        assert child.returncode is None
        await asyncio.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()

    outbox = FileOutbox.open(tmp_path, sender=signer.address, chain_key=world.chain.key)
    row = await outbox.get("m")
    assert row is not None and row.state in (IntentState.SIGNED, IntentState.BROADCAST)
    world.control.automine(True)
    world.control.mine()
    outcome = await world.sender(signer, outbox=outbox).submit("m", call, timeout_s=20)
    assert outcome.hash == row.transactions[0].hash and not outcome.sent
    assert await world.minted(to) == 1 and world.control.mined_count(signer.address) == 1
    await outbox.close()


# --------------------------------------------------------------------------------------------------- reorganisations


@pytest.mark.parametrize("depth", [1, 10])
async def test_after_a_reorganisation_the_same_bytes_are_sent_again(world: World, depth: int) -> None:
    signer = world.devnet.accounts[1]
    sender = world.sender(signer, finality=Finality.depth(40))
    call, to = world.mint(1)
    first = await sender.submit("m", call, timeout_s=20)
    world.control.mine(depth - 1)
    world.control.automine(False)
    world.control.reorganise(depth)
    assert await world.chain.receipts([first.hash]) == [None] and await world.minted(to) == 0
    assert int(world.devnet.rpc("txpool_status")["pending"], 16) == 0

    (row,) = await sender.reconcile()
    assert (row.state, row.inclusion, len(row.transactions)) == ("broadcast", None, 1)
    world.control.mine()
    again = await sender.submit("m", call, timeout_s=20)
    assert again.hash == first.hash and again.block_hash != first.block_hash
    assert await world.minted(to) == 1 and world.control.mined_count(signer.address) == 1

    world.control.mine(45)
    assert (await sender.submit("m", call, until=Until.FINAL, timeout_s=20)).final


async def test_a_reorganisation_deeper_than_finality_is_taken_up_too(world: World) -> None:
    signer = world.devnet.accounts[1]
    sender = world.sender(signer, finality=Finality.depth(2))
    deeds = [world.mint(number) for number in range(3)]
    for call, to in deeds:
        await sender.submit(to, call, timeout_s=20)
    world.control.mine(5)
    hashes = [(await sender.submit(to, call, until=Until.FINAL, timeout_s=20)).hash for call, to in deeds]
    world.control.reorganise(8)
    assert world.control.mined_count(signer.address) == 0

    call, to = world.mint(99)
    await sender.submit(to, call, timeout_s=20)
    assert [(await sender.submit(to, call, timeout_s=20)).hash for call, to in deeds] == hashes
    assert [await world.minted(to) for _, to in (*deeds, (call, to))] == [1] * 4
    assert world.control.mined_count(signer.address) == 4


async def test_a_replaced_transaction_that_was_mined_is_the_one_sent_again(world: World) -> None:
    signer = world.devnet.accounts[1]
    sender = world.sender(signer, finality=Finality.depth(40), fees=FeePolicy(bump_after_blocks=1))
    call, to = world.mint(1)
    world.control.automine(False)
    waiting = asyncio.create_task(sender.submit("m", call, timeout_s=20))
    old = await _newest(world, signer.address)
    world.control.drop(old.hash)
    world.control.mine()
    while (new := await _newest(world, signer.address)) == old:
        await asyncio.sleep(0.01)
    world.control.drop(new.hash)
    world.devnet.rpc("eth_sendRawTransaction", "0x" + old.raw.hex())
    world.control.mine()
    assert (await waiting).hash == old.hash
    world.control.reorganise(1)
    await sender.reconcile()
    assert world.devnet.rpc("eth_getTransactionByHash", "0x" + old.hash.hex()) is not None
    world.control.mine()
    assert (await sender.submit("m", call, timeout_s=20)).hash in (old.hash, new.hash)
    assert await world.minted(to) == 1 and world.control.mined_count(signer.address) == 1


# -------------------------------------------------------------------------------------------------- lost, stuck, taken


async def test_a_transaction_lost_from_the_pool_is_sent_again(world: World) -> None:
    signer = world.devnet.accounts[1]
    world.control.automine(False)
    call, to = world.mint(1)
    waiting = asyncio.create_task(world.sender(signer).submit("m", call, timeout_s=20))
    sent = await _newest(world, signer.address)
    world.control.drop(sent.hash)
    world.control.mine()
    while int(world.devnet.rpc("txpool_status")["pending"], 16) == 0:
        await asyncio.sleep(0.01)
    world.control.mine()
    assert (await waiting).hash == sent.hash
    assert await world.minted(to) == 1 and len((await _row(world, signer.address)).transactions) == 1


async def test_a_stuck_transaction_is_replaced_by_an_eighth_more_until_it_is_taken(world: World) -> None:
    signer = world.devnet.accounts[1]
    world.control.automine(False)
    policy = FeePolicy(most_fee_wei=500 * GWEI, bump_after_blocks=2)
    call, to = world.mint(1)
    waiting = asyncio.create_task(world.sender(signer, fees=policy).submit("m", call, timeout_s=30))
    first = await _newest(world, signer.address)
    price = first.most_fee_wei * 5
    for _ in range(40):
        world.control.base_fee(price)
        world.control.mine()
        await asyncio.sleep(0.08)
        if waiting.done():
            break
    outcome = await waiting
    row = await _row(world, signer.address)
    assert len(row.transactions) > 1 and outcome.hash == row.transactions[-1].hash != first.hash
    for before, after in zip(row.transactions, row.transactions[1:], strict=False):
        assert 8 * after.most_fee_wei >= 9 * before.most_fee_wei and 8 * after.tip_wei >= 9 * before.tip_wei
        assert after.most_fee_wei <= policy.most_fee_wei and after.nonce == before.nonce
    assert await world.minted(to) == 1 and world.control.mined_count(signer.address) == 1


async def test_fees_above_the_cap_are_told_and_the_intent_waits_on(world: World) -> None:
    signer = world.devnet.accounts[1]
    world.control.automine(False)
    policy = FeePolicy(most_fee_wei=5 * GWEI, bump_after_blocks=1)
    sender = world.sender(signer, fees=policy)
    call, to = world.mint(1)
    waiting = asyncio.create_task(sender.submit("m", call, timeout_s=30))
    await _newest(world, signer.address)
    for _ in range(12):
        world.control.base_fee(50 * GWEI)
        world.control.mine()
        await asyncio.sleep(0.08)
        if waiting.done():
            break
    with pytest.raises(FeeCapReached, match="raise it or wait") as caught:
        await waiting
    assert caught.value.most_wei == 5 * GWEI < caught.value.needed_wei
    row = await _row(world, signer.address)
    assert row.state is IntentState.BROADCAST and all(one.most_fee_wei <= 5 * GWEI for one in row.transactions)

    again = asyncio.create_task(sender.submit("m", call, timeout_s=30))
    for _ in range(60):
        world.control.base_fee(1 * GWEI)
        world.control.mine()
        await asyncio.sleep(0.05)
        if again.done():
            break
    assert (await again).hash in {one.hash for one in row.transactions}
    assert await world.minted(to) == 1


async def test_fees_above_the_cap_from_the_beginning_store_nothing(world: World) -> None:
    signer = world.devnet.accounts[1]
    world.control.base_fee(50 * GWEI)
    world.control.mine()
    with pytest.raises(FeeCapReached):
        await world.sender(signer, fees=FeePolicy(most_fee_wei=5 * GWEI)).submit("m", world.mint(1)[0])
    assert await world.outbox(signer).get("m") is None


async def test_a_nonce_taken_by_another_wallet_is_replaced_only_when_that_is_final(world: World) -> None:
    signer = world.devnet.accounts[1]
    world.control.automine(False)
    sender = world.sender(signer, finality=Finality.depth(3), fees=FeePolicy(bump_after_blocks=100))
    call, to = world.mint(1)
    waiting = asyncio.create_task(sender.submit("m", call, timeout_s=30))
    lost = await _newest(world, signer.address)
    world.control.drop(lost.hash)
    world.control.send_foreign(signer, lost.nonce, to=world.devnet.accounts[5].address)
    world.control.mine()
    assert world.control.mined_count(signer.address) == 1
    for _ in range(2):
        await asyncio.sleep(0.1)
        assert (await _row(world, signer.address)).nonce == lost.nonce
        world.control.mine()
    await asyncio.sleep(0.1)
    assert (await _row(world, signer.address)).nonce == lost.nonce
    world.control.mine()
    while (await _row(world, signer.address)).nonce == lost.nonce:
        await asyncio.sleep(0.01)
    while int(world.devnet.rpc("txpool_status")["pending"], 16) == 0:
        await asyncio.sleep(0.01)
    world.control.mine()
    outcome = await waiting
    row = await _row(world, signer.address)
    assert outcome.hash == row.transactions[1].hash != lost.hash and row.replaced == (lost,)
    assert row.nonce == lost.nonce + 1
    assert await world.minted(to) == 1 and world.control.mined_count(signer.address) == 2


async def test_a_taken_nonce_that_was_reorganised_back_is_used_after_all(world: World) -> None:
    signer = world.devnet.accounts[1]
    world.control.automine(False)
    sender = world.sender(signer, finality=Finality.depth(10), fees=FeePolicy(bump_after_blocks=100))
    call, to = world.mint(1)
    waiting = asyncio.create_task(sender.submit("m", call, timeout_s=30))
    ours = await _newest(world, signer.address)
    world.control.drop(ours.hash)
    world.control.send_foreign(signer, ours.nonce, to=world.devnet.accounts[5].address)
    world.control.mine()
    await asyncio.sleep(0.1)
    world.control.reorganise(1)
    while int(world.devnet.rpc("txpool_status")["pending"], 16) == 0:
        await asyncio.sleep(0.01)
    world.control.mine()
    assert (await waiting).hash == ours.hash
    assert await world.minted(to) == 1 and world.control.mined_count(signer.address) == 1


async def test_a_deed_that_became_impossible_when_its_nonce_was_taken_is_given_up(world: World) -> None:
    signer = world.devnet.accounts[1]
    escrow = Escrow(world.chain)
    await world.do(signer, world.payment.mint(signer.address, 9))
    await world.do(signer, world.payment.approve(escrow.address, 9))
    await world.do(signer, escrow.deposit(signer.address, 9))
    world.control.automine(False)
    sender = world.sender(signer, finality=Finality.depth(1), fees=FeePolicy(bump_after_blocks=100))
    waiting = asyncio.create_task(sender.submit("w", escrow.request_withdrawal(9), timeout_s=30))
    while (row := await world.outbox(signer).get("w")) is None or row.state is not IntentState.BROADCAST:
        await asyncio.sleep(0.01)
    world.control.drop(row.transactions[0].hash)
    # the other wallet does the very thing, past the outbox
    call = escrow.request_withdrawal(9)
    world.devnet.rpc(
        "eth_sendTransaction",
        {"from": signer.address, "to": call.to, "data": "0x" + call.data.hex(), "nonce": hex(row.nonce)},
    )
    world.control.mine(2)
    with pytest.raises(IntentDropped, match="WithdrawalAboveBalance") as caught:
        await waiting
    assert isinstance(caught.value.__cause__, ContractRefused)
    assert world.control.mined_count(signer.address) == 4
    assert await world.outbox(signer).open_intents() == []
    with pytest.raises(IntentDropped):
        await sender.submit("w", call)


# ------------------------------------------------------------------------------------------------------- the RPC down


async def test_a_stored_intent_outlives_a_chain_that_is_down(world: World, deployment: Deployment) -> None:
    signer = world.devnet.accounts[1]
    proxy = TcpProxy(world.devnet.port)
    await proxy.up()
    world.control.automine(False)
    async with await Chain.connect([proxy.url], deployment, finality=Finality.depth(2), timeout_s=2) as chain:
        sender = world.sender(signer, chain=chain)
        call, to = world.mint(1)
        waiting = asyncio.create_task(sender.submit("m", call, timeout_s=60))
        await _newest(world, signer.address)
        await proxy.down()
        world.control.mine()
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await proxy.up()
        outcome = await waiting
        assert outcome.sent and await world.minted(to) == 1
    await proxy.down()


async def test_what_could_not_be_sent_is_sent_when_the_chain_is_back(world: World, deployment: Deployment) -> None:
    """The chain goes away between signing and sending."""
    signer = world.devnet.accounts[1]
    proxy = TcpProxy(world.devnet.port)
    await proxy.up()
    async with await Chain.connect([proxy.url], deployment, finality=Finality.depth(2), timeout_s=2) as chain:
        inner = world.outbox(signer)

        class CutBeforeSending:
            def __getattr__(self, name: str) -> object:
                return getattr(inner, name)

            async def signed(self, intent_id: str, transaction: object) -> object:
                await proxy.down()
                return await inner.signed(intent_id, transaction)  # type: ignore[arg-type]

        sender = world.sender(signer, chain=chain, outbox=CutBeforeSending())  # type: ignore[arg-type]
        call, to = world.mint(1)
        waiting = asyncio.create_task(sender.submit("m", call, timeout_s=60))
        await asyncio.sleep(0.4)
        assert not waiting.done() and await world.minted(to) == 0
        assert (await _row(world, signer.address)).state is IntentState.SIGNED
        await proxy.up()
        await waiting
        assert await world.minted(to) == 1 and world.control.mined_count(signer.address) == 1
    await proxy.down()


async def test_a_running_reconciler_sends_again_without_being_asked(world: World) -> None:
    signer = world.devnet.accounts[1]
    sender = world.sender(signer, finality=Finality.depth(40))
    call, to = world.mint(1)
    await sender.submit("m", call, timeout_s=20)
    running = asyncio.create_task(sender.run())
    try:
        world.control.reorganise(1)
        while await world.minted(to) == 0:
            await asyncio.sleep(0.02)
    finally:
        running.cancel()
    assert world.control.mined_count(signer.address) == 1


async def _row(world: World, address: str):  # type: ignore[no-untyped-def]
    row = await world._outboxes[address].get("m")
    assert row is not None
    return row


async def _newest(world: World, address: str):  # type: ignore[no-untyped-def]
    """Wait until the intent `m` is sent, and return its transaction."""
    while True:
        row = await world._outboxes[address].get("m")
        if row is not None and row.state is IntentState.BROADCAST:
            return row.transactions[-1]
        await asyncio.sleep(0.01)
