"""`bonded verifier join|leave|withdraw|claim|status`: the bond, the set of verifiers, and what is owed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from marketplace.cli import bonding
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
    print_line,
    whole,
)
from marketplace.cli.payment import Payment


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    for command in (join, leave, withdraw, claim, status):
        app.command()(command)


@with_options
def join(
    access: Access,
    manner: Manner,
    endpoint: Annotated[str, typer.Argument(help="The URL at which others fetch this verifier's attestations.")],
) -> None:
    """Post the bond and enter the set of verifiers."""

    walker = bonding.Walker("Verifiers", "verifier", access)
    asyncio.run(bonding.join(walker, endpoint, manner))


@with_options
def leave(
    access: Access,
    manner: Manner,
) -> None:
    """Leave the set at once; the bond can be withdrawn after the unbonding time."""
    walker = bonding.Walker("Verifiers", "verifier", access)
    asyncio.run(bonding.leave(walker, manner))


@with_options
def withdraw(
    access: Access,
    manner: Manner,
) -> None:
    """Take the bond back after leaving."""
    walker = bonding.Walker("Verifiers", "verifier", access)
    asyncio.run(bonding.withdraw(walker, manner))


@with_options
def claim(
    access: Access,
    manner: Manner,
) -> None:
    """Take the verifier fees that activated epochs brought; a running verifier does it by itself."""

    async def work() -> None:
        from contracts.epochs import Epochs
        from contracts.tokens import Token

        signer = access.open_key()
        async with access.chain() as chain:
            head = await chain.head()
            token, epochs = Token(chain, "PaymentToken"), Epochs(chain)
            owed = await epochs.owed(signer.address, head)
            payment = Payment(chain, signer, access.keystore, [("claim", epochs.claim_owed())], manner.intent)
            if not owed and not await payment.begun("claim"):
                _say(manner.as_json, {"verifier": signer.address, "owed": 0}, "nothing is owed")
                return
            facts = {
                "verifier": signer.address,
                "owed": whole(owed, await token.decimals(head), await token.symbol(head)),
            }
            await payment.make([("claim", epochs.claim_owed())], facts, manner)

    asyncio.run(work())


def status(
    keystore: KeystoreOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show membership, bond, what is owed and the seed commitments of this epoch and the next."""

    async def work() -> None:
        from contracts.epochs import Epochs
        from contracts.keystore import address_of
        from contracts.operators import Operators
        from contracts.tokens import Token

        if keystore is None:
            fail("no key is named", "give --keystore FILE or set BONDED_KEYSTORE", ExitCode.USAGE)
        address = address_of(keystore)
        async with open_chain(rpc, deployment, finality) as chain:
            head = await chain.head()
            operators, epochs = Operators(chain, "Verifiers"), Epochs(chain)
            stake, pay = Token(chain, "StakeToken"), Token(chain, "PaymentToken")
            member = await operators.member(address, head)
            bond, owed = (member.bond if member else 0), await epochs.owed(address, head)
            running = await epochs.clock.current_epoch(head)
            facts = {
                "verifier": address,
                "member": bool(member and member.active),
                "bond": whole(bond, await stake.decimals(head), await stake.symbol(head)),
                "endpoint": member.endpoint if member else "",
                "owed": whole(owed, await pay.decimals(head), await pay.symbol(head)),
                "epoch": running,
                "seed committed": (await operators.seed_commitment(address, running, head)) != bytes(32),
                "next seed committed": (await operators.seed_commitment(address, running + 1, head)) != bytes(32),
            }
        _say(as_json, facts, "")

    asyncio.run(work())


def _say(as_json: bool, facts: dict[str, Any], words: str) -> None:
    if as_json:
        print_json(facts)
    elif words:
        print_line(words)
    else:
        print_facts("Verifier", facts)
