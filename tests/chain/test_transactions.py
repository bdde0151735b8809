"""Sending: refused before anything is stored, done once whatever happens, and confirmed."""

from __future__ import annotations

import asyncio

import pytest

from contracts.chain import Chain, Finality
from contracts.deployment import Deployment
from contracts.errors import (
    ChainUnavailable,
    ContractRefused,
    ContractsError,
    InsufficientFunds,
    IntentConflict,
    StillWaiting,
    TransactionReverted,
)
from contracts.escrow import Escrow
from contracts.event_types import Approval, Deposited, Transfer
from contracts.file_outbox import FileOutbox
from contracts.operators import Operators
from contracts.signing import Signer
from contracts.testing import TcpProxy
from contracts.transactions import Until

from .world import World

pytestmark = pytest.mark.chain


# ---------------------------------------------------------------------------------------------------------- refused


async def test_a_call_the_contract_refuses_is_not_stored(world: World) -> None:
    signer = world.devnet.accounts[1]
    outbox = world.outbox(signer)
    with pytest.raises(ContractRefused) as caught:
        await world.sender(signer).submit("w", Escrow(world.chain).request_withdrawal(7))
    assert (caught.value.contract, caught.value.error_name) == ("JobEscrow", "WithdrawalAboveBalance")
    assert caught.value.arguments == {"asked": 7, "balance": 0}
    assert str(caught.value) == (
        "JobEscrow.requestWithdrawal(amount=7) is refused: WithdrawalAboveBalance(asked=7, balance=0)"
    )
    assert await outbox.get("w") is None
    assert (await outbox.prepare(_draft(), 0)).nonce == 0


async def test_an_error_from_a_contract_further_down_is_named_too(world: World) -> None:
    signer = world.devnet.accounts[1]
    with pytest.raises(ContractRefused) as caught:
        await world.sender(signer).submit("d", Escrow(world.chain).deposit(signer.address, 5))
    assert caught.value.error_name == "ERC20InsufficientAllowance"
    assert caught.value.arguments == {"spender": Escrow(world.chain).address, "allowance": 0, "needed": 5}


async def test_who_cannot_pay_for_gas_is_told_how_much_is_missing(world: World) -> None:
    poor = Signer(b"\x77" * 32)
    world.control.give(poor.address, 1000)
    call, _ = world.mint(1)
    with pytest.raises(InsufficientFunds, match=f"{poor.address} holds 1000 wei") as caught:
        await world.sender(poor).submit("m", call)
    assert caught.value.needed_wei > 1000
    assert await world.outbox(poor).get("m") is None


async def test_an_id_names_one_deed_for_ever(world: World) -> None:
    signer = world.devnet.accounts[1]
    first, to = world.mint(1)
    other, elsewhere = world.mint(2)
    await world.sender(signer).submit("m", first)
    with pytest.raises(IntentConflict, match="choose a new intent id"):
        await world.sender(signer).submit("m", other)
    assert (await world.minted(to), await world.minted(elsewhere)) == (1, 0)


async def test_an_outbox_of_another_key_is_refused(world: World) -> None:
    one, other = world.devnet.accounts[1:3]
    with pytest.raises(ContractsError, match="this outbox is of"):
        world.sender(one, outbox=world.outbox(other))


async def test_nothing_is_stored_while_the_chain_is_down(world: World, deployment: Deployment) -> None:
    signer = world.devnet.accounts[1]
    proxy = TcpProxy(world.devnet.port)
    await proxy.up()
    async with await Chain.connect([proxy.url], deployment) as chain:
        call, _ = world.mint(1)
        await proxy.down()
        with pytest.raises(ChainUnavailable):
            await world.sender(signer, chain=chain).submit("m", call)
    assert await world.outbox(signer).get("m") is None


# ------------------------------------------------------------------------------------------------------------- done


async def test_a_mined_call_is_returned_with_its_events(world: World) -> None:
    signer = world.devnet.accounts[1]
    escrow = Escrow(world.chain)
    await world.do(signer, world.payment.mint(signer.address, 50))
    approved = await world.do(signer, world.payment.approve(escrow.address, 50))
    assert approved.event(Approval).spender == escrow.address
    done = await world.do(signer, escrow.deposit(signer.address, 30))
    event = done.event(Deposited)
    assert (event.customer, event.from_, event.amount, event.balance_after) == (signer.address,) * 2 + (30, 30)
    assert (event.at.block_number, event.at.block_hash, event.at.tx_hash) == (
        done.block_number,
        done.block_hash,
        done.hash,
    )
    assert event.at.contract_name == "JobEscrow" and done.event(Transfer).at.contract_name == "PaymentToken"
    assert (await escrow.customer(signer.address, await world.chain.head())).balance == 30
    assert done.sent and not done.final and done.gas_used > 21_000 and done.fee_wei > 0
    with pytest.raises(KeyError, match="emitted 0 Joined"):
        from contracts.event_types import Joined

        done.event(Joined)


async def test_the_same_id_is_sent_once_and_gives_the_same_outcome(world: World) -> None:
    signer = world.devnet.accounts[1]
    call, to = world.mint(1)
    first = await world.sender(signer).submit("m", call)
    await world.restart(signer)
    again = await world.sender(signer).submit("m", call)
    assert (again.hash, again.block_number, again.events) == (first.hash, first.block_number, first.events)
    assert first.sent and not again.sent
    assert await world.minted(to) == 1
    assert world.control.mined_count(signer.address) == 1
    assert (await world.sender(signer).outcome("m")) == again
    assert await world.sender(signer).outcome("never") is None


async def test_many_tasks_send_many_deeds_and_each_once(world: World) -> None:
    signer = world.devnet.accounts[1]
    sender = world.sender(signer)
    deeds = [world.mint(i) for i in range(12)] * 2
    outcomes = await asyncio.gather(*[sender.submit(to, call) for call, to in deeds])
    assert len({one.hash for one in outcomes}) == 12
    assert [await world.minted(to) for _, to in deeds] == [1] * 24
    assert world.control.mined_count(signer.address) == 12


async def test_it_waits_for_finality_where_that_is_asked(world: World) -> None:
    signer = world.devnet.accounts[1]
    call, _ = world.mint(1)
    sender = world.sender(signer, finality=Finality.depth(5))
    waiting = asyncio.create_task(sender.submit("m", call, until=Until.FINAL))
    mined = await sender.submit("m", call)
    assert not mined.final
    world.control.mine(4)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    world.control.mine(1)
    final = await asyncio.wait_for(waiting, 20)
    assert final.final and final.hash == mined.hash
    row = await world.outbox(signer).get("m")
    assert row is not None and row.state == "final"


async def test_a_transaction_that_reverts_when_mined_says_why(world: World) -> None:
    """Two withdrawals of all there is pass the simulation each, and only one of them the chain."""
    signer = world.devnet.accounts[1]
    escrow = Escrow(world.chain)
    await world.do(signer, world.payment.mint(signer.address, 9))
    await world.do(signer, world.payment.approve(escrow.address, 9))
    await world.do(signer, escrow.deposit(signer.address, 9))
    world.control.automine(False)
    sender = world.sender(signer, finality=Finality.depth(1))
    both = [asyncio.create_task(sender.submit(name, escrow.request_withdrawal(9), until=Until.FINAL)) for name in "ab"]
    while len(await world.outbox(signer).open_intents()) < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    world.control.mine(3)
    results = await asyncio.wait_for(asyncio.gather(*both, return_exceptions=True), 20)
    (failed,) = [one for one in results if isinstance(one, BaseException)]
    assert isinstance(failed, TransactionReverted) and failed.refused is not None
    assert failed.refused.arguments == {"asked": 18, "balance": 9}
    row = await world.outbox(signer).get(failed.intent_id)
    assert row is not None and row.state == "reverted"
    with pytest.raises(TransactionReverted):
        await sender.submit(failed.intent_id, escrow.request_withdrawal(9))
    assert (await escrow.customer(signer.address, await world.chain.head())).thawing == 9


async def test_a_reverted_transaction_names_the_contracts_error(world: World) -> None:
    signer = world.devnet.accounts[1]
    verifiers = Operators(world.chain, "Verifiers")
    world.control.automine(False)
    sender = world.sender(signer)
    mint = asyncio.create_task(sender.submit("mint", world.stake.mint(signer.address, 1)))
    while not await world.outbox(signer).open_intents():
        await asyncio.sleep(0.01)
    draft = _draft(verifiers.join("http://here").data, verifiers.address, "Verifiers.join")
    await world.outbox(signer).prepare(draft, 0)
    while (await world.outbox(signer).get("x")).state != "broadcast":  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
    world.control.mine()
    await mint
    with pytest.raises(TransactionReverted) as caught:
        await sender.reconcile()
        await sender.outcome("x")
    assert caught.value.refused is not None
    assert caught.value.refused.error_name == "ERC20InsufficientAllowance"


async def test_a_wait_that_is_over_leaves_the_intent_open(world: World) -> None:
    signer = world.devnet.accounts[1]
    world.control.automine(False)
    call, to = world.mint(1)
    with pytest.raises(StillWaiting, match="is broadcast and not done"):
        await world.sender(signer).submit("m", call, timeout_s=0.2)
    world.control.mine()
    outcome = await world.sender(signer).submit("m", call, timeout_s=20)
    assert not outcome.sent and await world.minted(to) == 1


async def test_a_simulation_tells_gas_and_fee_and_sends_nothing(world: World) -> None:
    signer = world.devnet.accounts[1]
    call, to = world.mint(1)
    found = await world.sender(signer).simulate(call)
    assert found.gas > 21_000 and found.fee_wei > 0 and found.nonce == 0
    assert await world.minted(to) == 0 and await world.outbox(signer).open_intents() == []


def _draft(data: bytes = b"", to: str = "0x" + "11" * 20, label: str = "X.y"):  # type: ignore[no-untyped-def]
    from contracts.outbox import Draft

    return Draft("x", to, data, 0, label, 200_000)


def test_keeps_the_file_outbox_behind_the_same_protocol() -> None:
    from contracts.outbox import Outbox

    assert all(hasattr(FileOutbox, name) for name in vars(Outbox) if not name.startswith("_"))
