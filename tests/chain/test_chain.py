"""The connection: reads at one block, fail-over, and refusals that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.chain import Chain, Finality
from contracts.deployment import Deployment
from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.errors import (
    BadArgument,
    ChainUnavailable,
    CheckpointGone,
    ContractRefused,
    NoContract,
    RpcRefused,
    WrongChain,
)
from contracts.staking import Staking
from contracts.testing import AnvilControl, TcpProxy
from contracts.types import Checkpoint

from .world import World

pytestmark = pytest.mark.chain
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def proxies(devnet: Devnet) -> AsyncIterator[list[TcpProxy]]:
    both = [TcpProxy(devnet.port), TcpProxy(devnet.port)]
    for proxy in both:
        await proxy.up()
    yield both
    for proxy in both:
        await proxy.down()


async def test_refuses_a_node_of_another_chain(devnet: Devnet) -> None:
    with pytest.raises(WrongChain, match="has chain id 31337, the deployment is on 1") as caught:
        await Chain.connect([devnet.url], Deployment.bare(1))
    assert (caught.value.found, caught.value.expected) == (31337, 1)


async def test_refuses_two_devnets_of_one_chain_id(devnet: Devnet) -> None:
    with (
        Devnet.start(more=["--timestamp", "1700000000"]) as other,
        pytest.raises(WrongChain, match="has genesis block"),
    ):
        await Chain.connect([devnet.url, other.url], Deployment.bare(31337))


async def test_says_what_it_tried_when_nothing_answers() -> None:
    with pytest.raises(ChainUnavailable, match=NOWHERE) as caught:
        await Chain.connect([NOWHERE], Deployment.bare(31337))
    assert [url for url, _ in caught.value.tried] == [NOWHERE]
    with pytest.raises(ChainUnavailable, match="no RPC endpoint was given"):
        await Chain.connect([], Deployment.bare(31337))


async def test_connects_while_one_of_two_endpoints_is_down(devnet: Devnet) -> None:
    async with await Chain.connect([NOWHERE, devnet.url], Deployment.bare(31337)) as chain:
        assert (await chain.head()).number == 0
        down, up = chain.endpoints()
        assert not down.up and down.reason
        assert up.up and up.head == 0


async def test_turns_to_the_other_endpoint_and_back(
    proxies: list[TcpProxy], deployment: Deployment, devnet: Devnet
) -> None:
    async with await Chain.connect([proxy.url for proxy in proxies], deployment, timeout_s=2) as chain:
        await proxies[0].down()
        assert (await chain.head()).number > 0
        assert [one.up for one in chain.endpoints()] == [False, True]

        await proxies[1].down()
        with pytest.raises(ChainUnavailable) as caught:
            await chain.head()
        assert [url for url, _ in caught.value.tried] == [proxy.url for proxy in proxies]

        await proxies[0].up()
        assert (await chain.wait_until_up(20)).number > 0
        assert chain.endpoints()[0].up


async def test_waits_no_longer_than_it_was_told(proxies: list[TcpProxy], deployment: Deployment) -> None:
    async with await Chain.connect([proxies[0].url], deployment) as chain:
        await proxies[0].down()
        with pytest.raises(ChainUnavailable):
            await asyncio.wait_for(chain.wait_until_up(0.3), 30)


async def test_a_restarted_node_of_another_chain_is_not_used_again(deployment: Deployment, devnet: Devnet) -> None:
    proxy = TcpProxy(devnet.port)
    await proxy.up()
    try:
        async with await Chain.connect([proxy.url], deployment) as chain:
            await chain.head()
            await proxy.down()
            with pytest.raises(ChainUnavailable):
                await chain.head()
            with Devnet.start(more=["--timestamp", "1700000000"]) as other:
                proxy._target_port = other.port
                await proxy.up()
                with pytest.raises(ChainUnavailable, match="has genesis block"):
                    await chain.head()
    finally:
        await proxy.down()


async def test_leaves_an_endpoint_that_lags_behind(devnet: Devnet, deployment: Deployment) -> None:
    """Both nodes hold the same blocks; then only one goes on."""
    state = devnet.rpc("anvil_dumpState")
    genesis = devnet.rpc("eth_getBlockByNumber", "0x0", False)
    with Devnet.start(more=["--timestamp", str(int(genesis["timestamp"], 16))]) as stale:
        if stale.rpc("eth_getBlockByNumber", "0x0", False)["hash"] != genesis["hash"]:
            pytest.fail("two anvils of one genesis time differ in their genesis block")
        stale.rpc("anvil_loadState", state)
        async with await Chain.connect([stale.url, devnet.url], deployment, most_lag_blocks=3) as chain:
            chain._endpoints._surveyed = 0.0
            AnvilControl(devnet).mine(10)
            assert await chain.head() == await _head_of(devnet, deployment)
            behind, ahead = chain.endpoints()
            assert not behind.up and "blocks behind" in behind.reason
            assert ahead.up


async def _head_of(devnet: Devnet, deployment: Deployment) -> Checkpoint:
    async with await Chain.connect([devnet.url], deployment) as chain:
        return await chain.head()


async def test_says_that_a_checkpoint_was_reorganised_away(chain: Chain, control: AnvilControl) -> None:
    at = await chain.head()
    control.reorganise(1)
    with pytest.raises(CheckpointGone, match=f"block {at.number}"):
        await Epochs(chain).progress(at)
    with pytest.raises(CheckpointGone):
        await chain.balance(control_address(chain), at)


def control_address(chain: Chain) -> str:
    return chain.deployment.address("EpochLedger")


async def test_says_that_no_contract_is_there(devnet: Devnet, deployment: Deployment) -> None:
    moved = Deployment(31337, 0, {**deployment.contracts, "EpochLedger": "0x" + "12" * 20})
    async with await Chain.connect([devnet.url], moved) as chain:
        with pytest.raises(NoContract, match=f"no EpochLedger at 0x{'12' * 20}"):
            await Epochs(chain).progress(await chain.head())


async def test_names_the_error_with_which_a_read_is_refused(chain: Chain) -> None:
    with pytest.raises(ContractRefused) as caught:
        await Staking(chain).required_stake(9, 1, await chain.head())
    assert (caught.value.error_name, caught.value.arguments) == (
        "UnknownHardwareClass",
        {"hardwareClass": 9, "most": 5},
    )
    assert (
        str(caught.value) == "ProviderStaking.requiredStake is refused: UnknownHardwareClass(hardwareClass=9, most=5)"
    )


async def test_tells_a_nodes_own_refusal_from_a_contracts(chain: Chain) -> None:
    with pytest.raises(RpcRefused, match="eth_nothing: the node answers -32601"):
        await chain.request("eth_nothing", [])


async def test_a_wrapper_without_a_chain_makes_calls_but_does_not_read(deployment: Deployment) -> None:
    epochs = Epochs(deployment)
    assert str(epochs.fund_incentives(5)) == "EpochLedger.fundIncentives(amount=5)"
    with pytest.raises(BadArgument, match="bind it to a Chain"):
        await epochs.progress(Checkpoint(0, bytes(32), 0))


async def test_reads_the_past_as_it_was(world: World, control: AnvilControl) -> None:
    call, to = world.mint(1)
    before = await world.chain.head()
    await world.do(world.devnet.accounts[1], call)
    after = await world.chain.head()
    assert await world.payment.balance(to, before) == 0
    assert await world.payment.balance(to, after) == 1
    assert await world.chain.nonce(world.devnet.accounts[1].address, before) == 0
    assert await world.chain.nonce(world.devnet.accounts[1].address, after) == 1


async def test_reads_many_views_in_order_over_several_requests(world: World) -> None:
    at = await world.chain.head()
    views = [world.payment.balance_view("0x" + i.to_bytes(20).hex()) for i in range(1, 251)]
    assert await world.chain.read_many(views, at) == [0] * 250
    names = [world.payment.view("symbol", to=str), world.stake.view("symbol", to=str)] * 70
    assert await world.chain.read_many(list(names), at) == ["DUSD", "DSTK"] * 70


async def test_counts_blocks_or_trusts_the_finalized_tag(chain: Chain, control: AnvilControl) -> None:
    control.mine(80)
    head = await chain.head()
    assert await chain.checkpoint(Finality.depth(0)) == head
    assert (await chain.checkpoint(Finality.depth(3))).number == head.number - 3
    assert (await chain.checkpoint(Finality.depth(10_000))).number == 0
    assert (await chain.checkpoint(Finality.finalized())).number == head.number - 64
    assert await chain.block(head.hash) == head == await chain.block(head.number)
    assert await chain.block(b"\x01" * 32) is None and await chain.block(10**6) is None


@pytest.mark.parametrize("text", ["", "final", "-1", "1.5", "9999999"])
def test_refuses_a_finality_that_is_neither_tag_nor_depth(text: str) -> None:
    with pytest.raises(BadArgument, match="finality is"):
        Finality.parse(text)
    assert Finality.parse("finalized") == Finality.finalized()
    assert Finality.parse("12") == Finality.depth(12)


async def test_finds_the_last_block_of_a_time(chain: Chain, control: AnvilControl) -> None:
    for _ in range(6):
        control.pass_time(10)
    head = await chain.head()
    blocks = [await chain.block(number) for number in range(head.number + 1)]
    for block in blocks[-5:]:
        assert block is not None
        assert await chain.block_at(block.time) == block
        assert await chain.block_at(block.time + 9) in blocks
        found = await chain.block_at(block.time - 1)
        assert found is not None and found.number == block.number - 1
    assert await chain.block_at(0) is None
    assert await chain.block_at(head.time + 99) == head
