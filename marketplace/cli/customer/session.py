"""`bonded customer session set|revoke`: let a second key sign in, so that the one with the money stays locked away."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from marketplace.cli.deeds import Manner
from marketplace.cli.options import Access, with_options
from marketplace.cli.output import fail, units, whole
from marketplace.cli.pause import readable
from marketplace.cli.payment import pay

session = typer.Typer(no_args_is_help=True, help="A second key that may sign in for you, until a time you set.")
KeyArgument = Annotated[str, typer.Argument(help="The address of the session key.")]
_DAY_S = 86_400


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    app.add_typer(session, name="session")


@session.command("set")
@with_options
def set_(
    access: Access,
    manner: Manner,
    key: KeyArgument,
    days: Annotated[float, typer.Option("--days", min=0.001, max=89.9, help="For how long.")] = 30.0,
    most_cap: Annotated[
        str | None, typer.Option("--most-cap", help="Up to which cap per epoch it may go; default: none of its own.")
    ] = None,
) -> None:
    """Let a key sign in for you and set your cap; it can move no money. API keys it makes are yours and stay."""

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.signing import normal_address
        from contracts.tokens import Token

        signer, name = access.open_key(), normal_address(key)
        if name == signer.address:
            fail("the session key is the customer's own", "make another key and give its address")
        async with access.chain() as chain:
            escrow, token, head = Escrow(chain), Token(chain, "PaymentToken"), await chain.head()
            decimals = await token.decimals(head)
            most = units(most_cap, decimals) if most_cap is not None and most_cap.strip() != "0" else 0
            expires_at = head.time + round(days * _DAY_S)
            facts: dict[str, Any] = {
                "customer": signer.address,
                "session key": name,
                "until": readable(expires_at),
                "may set the cap up to": whole(most, decimals, await token.symbol(head)),
            }
            steps = [("session", escrow.set_session(name, expires_at, most))]
            await pay(chain, signer, access.keystore, steps, facts, manner)

    asyncio.run(work())


@session.command()
@with_options
def revoke(
    access: Access,
    manner: Manner,
    key: KeyArgument,
) -> None:
    """End a session key at once; gateways turn it away within a minute."""

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.signing import normal_address

        signer, name = access.open_key(), normal_address(key)
        async with access.chain() as chain:
            escrow = Escrow(chain)
            known = await escrow.session_of(name, await chain.head())
            if known is None or known.customer != signer.address:
                fail(f"{name} is no session key of {signer.address}", "it expired, was revoked, or is somebody else's")
            facts = {"customer": signer.address, "session key": name}
            steps = [("revoke", escrow.set_session(name, 0, 0))]
            await pay(chain, signer, access.keystore, steps, facts, manner)

    asyncio.run(work())
