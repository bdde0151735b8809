"""`bonded customer deposit|cap|withdraw`: what goes through the chain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.deeds import Manner
from marketplace.cli.options import Access, with_options
from marketplace.cli.output import ExitCode, fail, units, whole
from marketplace.cli.pause import refuse_while_paused
from marketplace.cli.payment import Payment

if TYPE_CHECKING:
    from contracts.calls import Call
    from contracts.views import CustomerView


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    app.command()(deposit)
    app.command("cap")(set_cap)
    app.command()(withdraw)


@with_options
def deposit(
    access: Access,
    manner: Manner,
    amount: Annotated[str, typer.Argument(help="Whole payment tokens, for example 10 or 0.5.")],
    cap: Annotated[
        str | None,
        typer.Option("--cap", help="Most whole tokens a gateway may charge per epoch; default: at least the deposit."),
    ] = None,
) -> None:
    """Put payment tokens into escrow and set the most that may be charged per epoch."""

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.tokens import Token

        signer = access.open_key()
        async with access.chain() as chain:
            head = await chain.head()
            token, escrow = Token(chain, "PaymentToken"), Escrow(chain)
            decimals, symbol = await token.decimals(head), await token.symbol(head)
            wanted = units(amount, decimals)
            about: list[tuple[str, Call]] = [("deposit", escrow.deposit(signer.address, wanted))]
            payment = Payment(chain, signer, access.keystore, about, manner.intent)
            begun = await payment.begun("deposit")
            if not begun:
                await refuse_while_paused(chain, head)
            held, view = await token.balance(signer.address, head), await escrow.customer(signer.address, head)
            if held < wanted and not begun:
                fail(
                    f"{signer.address} holds {whole(held, decimals, symbol)}, the deposit is {whole(wanted, decimals)}",
                    "deposit less, or send tokens to this address first",
                )
            standing = view.cap_next if view.cap_next_from else view.cap
            most = units(cap, decimals) if cap else max(wanted, standing)
            facts = {
                "customer": signer.address,
                "deposit": whole(wanted, decimals, symbol),
                "in escrow afterwards": whole(view.balance + (0 if begun else wanted), decimals, symbol),
                "most per epoch": whole(most, decimals, symbol),
            }
            calls = list(about)
            spender = chain.deployment.address("JobEscrow")
            if not begun and await token.allowance(signer.address, spender, head) < wanted:
                calls.insert(0, ("approve", token.approve(spender, wanted)))
            if most != standing:
                calls.append(("cap", escrow.set_cap(most)))
            await payment.make(calls, facts, manner)

    asyncio.run(work())


@with_options
def set_cap(
    access: Access,
    manner: Manner,
    amount: Annotated[str, typer.Argument(help="Whole payment tokens per epoch; 0 lets nothing be charged.")],
) -> None:
    """Set the most a gateway may charge per epoch; a lowering counts from the epoch after the next."""

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.tokens import Token

        signer = access.open_key()
        async with access.chain() as chain:
            token = Token(chain, "PaymentToken")
            head = await chain.head()
            decimals = await token.decimals(head)
            most = 0 if amount.strip() == "0" else units(amount, decimals)
            facts = {"customer": signer.address, "most per epoch": whole(most, decimals, await token.symbol(head))}
            calls = [("cap", Escrow(chain).set_cap(most))]
            payment = Payment(chain, signer, access.keystore, calls, manner.intent)
            await payment.make(calls, facts, manner)

    asyncio.run(work())


@with_options
def withdraw(
    access: Access,
    manner: Manner,
    amount: Annotated[str | None, typer.Argument(help="Whole payment tokens to start thawing.")] = None,
    compensation: Annotated[
        bool, typer.Option("--compensation", help="Take compensation from slashes (stake tokens); needs no thaw.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the thaw under way; the money can be spent again.")] = (
        False
    ),
) -> None:
    """Start thawing AMOUNT; without one, take out what has thawed (or, with --compensation, what slashes brought)."""
    if (amount is not None) + compensation + cancel > 1:
        fail("AMOUNT, --compensation and --cancel are three different deeds", "give one of them", ExitCode.USAGE)

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.tokens import Token

        signer = access.open_key()
        async with access.chain() as chain:
            head = await chain.head()
            escrow, token = Escrow(chain), Token(chain, "PaymentToken")
            decimals, symbol = await token.decimals(head), await token.symbol(head)
            view = await escrow.customer(signer.address, head)
            facts = {"customer": signer.address, "in escrow": whole(view.balance, decimals, symbol)}
            call: tuple[str, Call]
            if compensation:
                stake = Token(chain, "StakeToken")
                held = whole(view.compensation, await stake.decimals(head), await stake.symbol(head))
                call, facts["compensation"] = ("compensation", escrow.withdraw_compensation()), held
            elif cancel:
                call, facts["stops thawing"] = (
                    ("cancel", escrow.cancel_withdrawal()),
                    whole(view.thawing, decimals, symbol),
                )
            elif amount is not None:
                wanted = units(amount, decimals)
                call, facts["starts thawing"] = (
                    ("thaw", escrow.request_withdrawal(wanted)),
                    whole(wanted, decimals, symbol),
                )
                facts["free after"] = f"{await escrow.thaw_s(head)} s"
            else:
                call, facts["withdraws"] = ("withdraw", escrow.withdraw()), whole(view.thawing, decimals, symbol)
            payment = Payment(chain, signer, access.keystore, [call], manner.intent)
            if not await payment.begun(call[0]):
                _check(call[0], view, head.time, units(amount, decimals) if amount else 0, decimals, symbol)
            await payment.make([call], facts, manner)

    asyncio.run(work())


def _check(deed: str, view: CustomerView, now: int, wanted: int, decimals: int, symbol: str) -> None:
    """Fail with what to do instead when the contract would refuse."""
    if deed == "compensation" and not view.compensation:
        fail("there is no compensation to take", "see `bonded customer balance`")
    if deed == "thaw" and wanted > view.balance - view.thawing:
        fail(
            f"only {whole(view.balance - view.thawing, decimals, symbol)} can start thawing",
            "ask for less, or stop the thaw under way with --cancel",
        )
    if deed in ("withdraw", "cancel") and not view.thawing:
        fail("nothing is thawing", "start with `bonded customer withdraw AMOUNT`")
    if deed == "withdraw" and now < view.thawed_at:
        fail(f"it is still thawing for {view.thawed_at - now} s", "run this again then")
