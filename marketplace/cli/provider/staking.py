"""`bonded provider register|update|stake|unbond|rebond|withdraw|unjail`: the bond and what is registered beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli.options import with_options
from marketplace.cli.output import fail, print_json, print_line, units, whole
from marketplace.cli.pause import refuse_while_paused
from marketplace.cli.provider.sending import Manner, Step, carry_out
from marketplace.cli.provider.session import (
    ProviderAccess,
    Session,
    run,
)

if TYPE_CHECKING:
    from contracts.chain import Chain
    from contracts.types import Checkpoint

AmountArgument = Annotated[str, typer.Argument(help="Whole stake tokens, for example 250 or 0.5.")]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    for command in (register, update, stake, unbond, rebond, withdraw, unjail):
        app.command()(command)


@with_options
def register(
    access: ProviderAccess,
    manner: Manner,
) -> None:
    """Register the provider file on chain: signer, endpoint, hardware, offer digest."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking
        from marketplace.agent.offer import make_offer

        file, owner = session.file, session.open_owner()
        signer = session.signer_address()
        if signer == owner.address:
            fail("the signer is the owner's own key", "make another: bonded provider keys new signer")
        offer = make_offer(file)
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            await refuse_while_paused(chain, at)
            if await staking.provider(owner.address, at) is not None:
                fail(f"{owner.address} is registered", "bonded provider update changes signer, endpoint and offer")
            required = await staking.required_stake(int(file.hardware_class), file.units, at)
            numbers = await _described(chain, at, session, signer, offer.digest) | {
                "required stake": await _stake_tokens(chain, at, required)
            }
            call = staking.register(
                signer, int(file.hardware_class), file.units, offer.digest, file.region, file.endpoint
            )
            await carry_out(
                session, chain, owner, "register", numbers, [Step("register", call)], manner, "Register this provider?"
            )

    run(work)


@with_options
def update(
    access: ProviderAccess,
    manner: Manner,
) -> None:
    """Put the provider file's signer, endpoint, region and offer digest on chain in place of the registered ones."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking
        from marketplace.agent.offer import make_offer

        file, owner = session.file, session.open_owner()
        signer, offer = session.signer_address(), make_offer(file)
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            known = await staking.provider(owner.address, at)
            if known is None:
                fail(f"{owner.address} is not registered", "bonded provider register")
            fixed = (known.hardware_class, known.units)
            if fixed != (int(file.hardware_class), file.units):
                fail(
                    f"registered are hardware class {fixed[0]} and {fixed[1]} unit(s), the file says otherwise",
                    "hardware cannot be changed: it decides the required stake. Correct the file",
                )
            if (known.signer, known.offer_digest, known.region, known.endpoint) == (
                signer,
                offer.digest,
                file.region,
                file.endpoint,
            ):
                print_json({"steps": []}) if manner.as_json else print_line(
                    "the chain says what the file says: nothing to do"
                )
                return
            numbers = await _described(chain, at, session, signer, offer.digest)
            call = staking.update(signer, offer.digest, file.region, file.endpoint)
            await carry_out(
                session, chain, owner, "update", numbers, [Step("update", call)], manner, "Put this on chain?"
            )

    run(work)


@with_options
def stake(
    access: ProviderAccess,
    manner: Manner,
    amount: AmountArgument,
) -> None:
    """Bond stake tokens; the token is approved for exactly this amount first, where it is not yet."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking
        from contracts.tokens import Token

        owner = session.open_owner()
        async with session.chain() as chain:
            staking, token, at = Staking(chain), Token(chain, "StakeToken"), await chain.head()
            await refuse_while_paused(chain, at)
            known = await staking.provider(owner.address, at)
            if known is None:
                fail(f"{owner.address} is not registered", "bonded provider register")
            decimals = await token.decimals(at)
            wanted = units(amount, decimals)
            balance = await token.balance(owner.address, at)
            spender = chain.deployment.address("ProviderStaking")
            allowed = await token.allowance(owner.address, spender, at)
            if balance < wanted:
                fail(
                    f"{owner.address} holds {whole(balance, decimals)} stake tokens, not {whole(wanted, decimals)}",
                    "send it stake tokens",
                )
            steps = [] if allowed >= wanted else [Step("approve the stake token", token.approve(spender, wanted))]
            steps.append(Step("stake", staking.stake(wanted)))
            numbers = {
                "provider": owner.address,
                "amount": whole(wanted, decimals),
                "stake before": whole(known.stake, decimals),
                "stake after": whole(known.stake + wanted, decimals),
                "required stake": whole(known.required_stake, decimals),
                "balance after": whole(balance - wanted, decimals),
            }
            await carry_out(session, chain, owner, "stake", numbers, steps, manner, f"Bond {whole(wanted, decimals)}?")

    run(work)


@with_options
def unbond(
    access: ProviderAccess,
    manner: Manner,
    amount: AmountArgument,
) -> None:
    """Begin to take stake out; it can still be slashed until it is released.

    Ten times the fees that may still be taken back stay locked: leaves and proofs that show them are read from the
    chain's events.
    """
    session = access.load()

    async def work() -> None:
        from contracts.fees_at_risk import gather
        from contracts.staking import Staking
        from contracts.tokens import Token

        owner = session.open_owner()
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            known = await staking.provider(owner.address, at)
            decimals = await Token(chain, "StakeToken").decimals(at)
            wanted = units(amount, decimals)
            if known is None or known.stake < wanted:
                fail(f"the stake is {whole(known.stake if known else 0, decimals)}", "unbond at most that")
            left = known.stake - wanted
            risk = await gather(chain, owner.address, at)
            locked = await staking.locked_for(owner.address, risk, at)
            if left < locked:
                fail(
                    f"{whole(locked, decimals)} of the stake answer for fees that may still be taken back, "
                    f"{whole(left, decimals)} would be left",
                    f"unbond at most {whole(max(0, known.stake - locked), decimals)}, or wait for the reports to close",
                )
            numbers = {
                "provider": owner.address,
                "amount": whole(wanted, decimals),
                "stake after": whole(left, decimals),
                "locked for fees at risk": whole(locked, decimals),
                "required stake": whole(known.required_stake, decimals),
                "released after": f"{(await staking.settings(at)).unbonding_s} s",
                "still matched": "yes"
                if left >= known.required_stake
                else "no: the stake falls below what is required",
            }
            step = Step("unbond", staking.unbond(wanted, risk))
            await carry_out(session, chain, owner, "unbond", numbers, [step], manner, "Begin to unbond?")

    run(work)


@with_options
def rebond(
    access: ProviderAccess,
    manner: Manner,
    amount: AmountArgument,
) -> None:
    """Take stake back that is on its way out, newest unbonds first."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking
        from contracts.tokens import Token

        owner = session.open_owner()
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            await refuse_while_paused(chain, at)
            known = await staking.provider(owner.address, at)
            decimals = await Token(chain, "StakeToken").decimals(at)
            wanted = units(amount, decimals)
            leaving = sum(one.amount for one in await staking.unbonds(owner.address, at) if not one.matured)
            if known is None or leaving < wanted:
                fail(f"{whole(leaving, decimals)} are unbonding", "rebond at most that; what has matured is withdrawn")
            numbers = {
                "provider": owner.address,
                "amount": whole(wanted, decimals),
                "still unbonding": whole(leaving - wanted, decimals),
                "stake after": whole(known.stake + wanted, decimals),
                "required stake": whole(known.required_stake, decimals),
            }
            step = Step("rebond", staking.rebond(wanted))
            await carry_out(session, chain, owner, "rebond", numbers, [step], manner, "Rebond?")

    run(work)


@with_options
def withdraw(
    access: ProviderAccess,
    manner: Manner,
) -> None:
    """Take out all stake whose unbonding is over."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking
        from contracts.tokens import Token

        owner = session.open_owner()
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            free = await staking.withdrawable(owner.address, at)
            decimals = await Token(chain, "StakeToken").decimals(at)
            if not free:
                waiting = [unbond for unbond in await staking.unbonds(owner.address, at) if not unbond.matured]
                when = min((unbond.release_at for unbond in waiting), default=None)
                fail(
                    "nothing can be withdrawn yet",
                    f"the next unbond is released in {when - at.time} s"
                    if when
                    else "bonded provider unbond begins one",
                )
            numbers = {"provider": owner.address, "amount": whole(free, decimals)}
            step = Step("withdraw", staking.withdraw())
            await carry_out(session, chain, owner, "withdraw", numbers, [step], manner, "Withdraw?")

    run(work)


@with_options
def unjail(
    access: ProviderAccess,
    manner: Manner,
) -> None:
    """Return to work after a jail: with the required stake, and wrong hardware measured anew by a quorum."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking
        from contracts.types import ProviderStatus

        owner = session.open_owner()
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            await refuse_while_paused(chain, at)
            known = await staking.provider(owner.address, at)
            if known is None or known.status != ProviderStatus.JAILED:
                fail(f"{owner.address} is not jailed", "bonded provider status shows where it stands")
            numbers = {
                "provider": owner.address,
                "stake": await _stake_tokens(chain, at, known.stake),
                "required stake": await _stake_tokens(chain, at, known.required_stake),
            }
            since = await staking.measure_from(owner.address, at)
            if since:
                numbers["measured in epoch, if jailed for its hardware"] = f"{since} or later"
            step = Step("unjail", staking.unjail())
            await carry_out(session, chain, owner, "unjail", numbers, [step], manner, "Return to work?")

    run(work)


async def _described(
    chain: Chain, at: Checkpoint, session: Session, signer: str, offer_digest: bytes
) -> dict[str, Any]:
    file = session.file
    return {
        "provider": file.owner,
        "signer": signer,
        "endpoint": file.endpoint,
        "region": file.region,
        "hardware": f"{file.units} × {file.hardware_class.name}",
        "models": ", ".join(model.id for model in file.models),
        "offer digest": "0x" + offer_digest.hex(),
    }


async def _stake_tokens(chain: Chain, at: Checkpoint, amount: int) -> str:
    from contracts.tokens import Token

    token = Token(chain, "StakeToken")
    return whole(amount, await token.decimals(at), await token.symbol(at))
