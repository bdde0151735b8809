"""`bonded delegator`: stake behind a provider, share in its incentive, and stand behind it in a slash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli.chain import (
    FINALITY_DEFAULT,
    RPC_DEFAULT,
    DeploymentOption,
    FinalityOption,
    RpcOption,
    open_chain,
)
from marketplace.cli.deeds import Manner
from marketplace.cli.keys import KeystoreOption
from marketplace.cli.options import Access, with_options
from marketplace.cli.output import (
    ExitCode,
    JsonFlag,
    fail,
    print_facts,
    print_json,
    units,
    whole,
)
from marketplace.cli.pause import readable, refuse_while_paused
from marketplace.cli.payment import Payment

if TYPE_CHECKING:
    from contracts.calls import Call
    from contracts.chain import Chain
    from contracts.delegation import Delegation
    from contracts.types import Checkpoint
    from contracts.views import PositionView

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Stake behind a provider and share in its incentive."
)

ProviderArgument = Annotated[str, typer.Argument(help="The provider's address.")]


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a delegator stands when a command begins: chain, block, its position, and how stake is written."""

    chain: Chain
    at: Checkpoint
    delegation: Delegation
    delegator: str
    provider: str
    position: PositionView
    decimals: int
    symbol: str

    def stake(self, amount: int) -> str:
        """Write an amount of stake tokens."""
        return whole(amount, self.decimals, self.symbol)


Deed = tuple[list[tuple[str, "Call"]], dict[str, Any]]
"""The calls that a command is about, and the numbers to show before they are sent."""


@app.command()
@with_options
def delegate(
    access: Access,
    manner: Manner,
    provider: ProviderArgument,
    amount: Annotated[str, typer.Argument(help="Whole stake tokens, for example 250 or 0.5.")],
) -> None:
    """Stake behind a provider. A slash takes it once the provider's own stake is used up."""

    async def deed(stand: Stand) -> Deed:
        from contracts.staking import Staking

        wanted = units(amount, stand.decimals)
        pool = await stand.delegation.pool(stand.provider, stand.at)
        own = await Staking(stand.chain).provider(stand.provider, stand.at)
        facts = {
            "delegator": stand.delegator,
            "provider": stand.provider,
            "amount": stand.stake(wanted),
            "delegated to it afterwards": stand.stake(pool.delegated + wanted),
            "its own stake": stand.stake(own.stake if own else 0),
            "commission": f"{pool.commission_ppm / 10_000:g} %",
        }
        return [("delegate", stand.delegation.delegate(stand.provider, wanted))], facts

    async def before(stand: Stand) -> list[tuple[str, Call]]:
        from contracts.tokens import Token

        await refuse_while_paused(stand.chain, stand.at)
        wanted, token = units(amount, stand.decimals), Token(stand.chain, "StakeToken")
        held = await token.balance(stand.delegator, stand.at)
        if held < wanted:
            fail(
                f"{stand.delegator} holds {stand.stake(held)}, not {stand.stake(wanted)}",
                "delegate less, or send stake tokens to this address first",
            )
        spender = stand.delegation.address
        if await token.allowance(stand.delegator, spender, stand.at) >= wanted:
            return []
        return [("approve", token.approve(spender, wanted))]

    asyncio.run(_carry_out(access, provider, deed, before, manner))


@app.command()
@with_options
def undelegate(
    access: Access,
    manner: Manner,
    provider: ProviderArgument,
    amount: Annotated[str | None, typer.Argument(help="Whole stake tokens; default: everything.")] = None,
) -> None:
    """Begin to take stake out from behind a provider; it can still be slashed until it is released."""

    async def deed(stand: Stand) -> Deed:
        from contracts.staking import Staking

        held = stand.position
        wanted = held.amount if amount is None else units(amount, stand.decimals)
        shares = shares_for(wanted, held)
        facts = {
            "delegator": stand.delegator,
            "provider": stand.provider,
            "amount": stand.stake(wanted),
            "shares": shares,
            "released after": f"{(await Staking(stand.chain).settings(stand.at)).unbonding_s} s, up to an eighth more",
        }
        return [("undelegate", stand.delegation.undelegate(stand.provider, shares))], facts

    async def before(stand: Stand) -> list[tuple[str, Call]]:
        held = stand.position
        wanted = held.amount if amount is None else units(amount, stand.decimals)
        if not held.shares or wanted > held.amount:
            fail(f"{stand.stake(held.amount)} are delegated to {stand.provider}", "undelegate at most that")
        return []

    asyncio.run(_carry_out(access, provider, deed, before, manner))


@app.command()
@with_options
def withdraw(
    access: Access,
    manner: Manner,
    provider: ProviderArgument,
) -> None:
    """Take out all stake whose release has come."""

    async def deed(stand: Stand) -> Deed:
        facts = {
            "delegator": stand.delegator,
            "provider": stand.provider,
            "amount": stand.stake(stand.position.withdrawable),
        }
        return [("withdraw", stand.delegation.withdraw(stand.provider))], facts

    async def before(stand: Stand) -> list[tuple[str, Call]]:
        if not stand.position.withdrawable:
            when = stand.position.next_release
            fail(
                "nothing can be withdrawn yet",
                f"the next release is at {readable(when)}" if when else "bonded delegator undelegate begins one",
            )
        return []

    asyncio.run(_carry_out(access, provider, deed, before, manner))


@app.command()
@with_options
def claim(
    access: Access,
    manner: Manner,
    provider: ProviderArgument,
) -> None:
    """Take the rewards that activated epochs brought."""

    async def deed(stand: Stand) -> Deed:
        from contracts.tokens import Token

        token = Token(stand.chain, "PaymentToken")
        decimals, symbol = await token.decimals(stand.at), await token.symbol(stand.at)
        facts = {
            "delegator": stand.delegator,
            "provider": stand.provider,
            "rewards": whole(stand.position.rewards, decimals, symbol),
        }
        return [("claim", stand.delegation.claim_rewards(stand.provider))], facts

    async def before(stand: Stand) -> list[tuple[str, Call]]:
        if not stand.position.rewards:
            fail("there are no rewards to claim", "wait until an epoch of this provider is activated")
        return []

    asyncio.run(_carry_out(access, provider, deed, before, manner))


@app.command()
def status(
    provider: ProviderArgument,
    keystore: KeystoreOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show what this key has behind a provider: bonded, on its way out, free, and rewards."""

    async def work() -> dict[str, Any]:
        from contracts.keystore import address_of
        from contracts.tokens import Token

        if keystore is None:
            fail("no key is named", "give --keystore FILE or set BONDED_KEYSTORE", ExitCode.USAGE)
        async with open_chain(rpc, deployment, finality) as chain:
            stand = await _stand(chain, address_of(keystore), provider)
            token = Token(chain, "PaymentToken")
            pool = await stand.delegation.pool(stand.provider, stand.at)
            held = stand.position
            return {
                "delegator": stand.delegator,
                "provider": stand.provider,
                "delegated": stand.stake(held.amount),
                "unbonding": stand.stake(held.unbonding),
                "withdrawable": stand.stake(held.withdrawable),
                "next release": readable(held.next_release) if held.next_release else None,
                "rewards": whole(held.rewards, await token.decimals(stand.at), await token.symbol(stand.at)),
                "pool": stand.stake(pool.delegated),
                "commission": f"{pool.commission_ppm / 10_000:g} %",
            }

    facts = asyncio.run(work())
    if as_json:
        print_json(facts)
    else:
        print_facts("Delegation", {name: "–" if value is None else value for name, value in facts.items()})


def shares_for(amount: int, held: PositionView) -> int:
    """Return the shares that are worth at least `amount`, all of them for everything; rounded up.

    5 shares worth 10 units: 4 units take 2 shares, 3 take 2 as well.
    """
    if amount >= held.amount:
        return held.shares
    return -(-amount * held.shares // held.amount)


async def _stand(chain: Chain, delegator: str, provider: str) -> Stand:
    from contracts.delegation import Delegation
    from contracts.signing import normal_address
    from contracts.tokens import Token

    at = await chain.head()
    token, delegation = Token(chain, "StakeToken"), Delegation(chain)
    name = normal_address(provider)
    position = await delegation.position(name, delegator, at)
    decimals, symbol = await token.decimals(at), await token.symbol(at)
    return Stand(chain, at, delegation, delegator, name, position, decimals, symbol)


async def _carry_out(
    access: Access,
    provider: str,
    deed: Callable[[Stand], Awaitable[Deed]],
    before: Callable[[Stand], Awaitable[list[tuple[str, Call]]]],
    manner: Manner,
) -> None:
    """Check and prepare what a deed needs, unless an earlier run began it, then make it."""
    signer = access.open_key()
    async with access.chain() as chain:
        stand = await _stand(chain, signer.address, provider)
        calls, facts = await deed(stand)
        payment = Payment(chain, signer, access.keystore, calls, manner.intent)
        prepared = [] if await payment.begun(calls[-1][0]) else await before(stand)
        await payment.make([*prepared, *calls], facts, manner)
