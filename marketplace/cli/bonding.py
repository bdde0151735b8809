"""The walk of a bond: post it and enter a set, leave, take it back. Verifiers and gateways walk alike.

Both sets are instances of one contract; `Walker` says which one and how whoever is in it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from marketplace.cli.deeds import Manner
from marketplace.cli.options import Access
from marketplace.cli.output import fail, print_json, print_line, whole
from marketplace.cli.pause import readable, refuse_while_paused
from marketplace.cli.payment import Payment, pay

if TYPE_CHECKING:
    from contracts.calls import Call


@dataclass(frozen=True, slots=True)
class Walker:
    """Whose bond it is: the set, what its members are called, and by whom."""

    set: Literal["Verifiers", "Gateways"]
    called: str
    access: Access


async def join(walker: Walker, endpoint: str, manner: Manner) -> None:
    """Post the bond and enter the set; says so when the key is in it already."""
    from contracts.operators import Operators
    from contracts.tokens import Token

    signer = walker.access.open_key()
    async with walker.access.chain() as chain:
        head = await chain.head()
        operators, token = Operators(chain, walker.set), Token(chain, "StakeToken")
        about: list[tuple[str, Call]] = [("join", operators.join(endpoint))]
        payment = Payment(chain, signer, walker.access.keystore, about, manner.intent)
        begun = await payment.begun("join")
        if not begun and await operators.is_member(signer.address, head):
            facts: dict[str, Any] = {walker.called: signer.address, "member": True}
            print_json(facts) if manner.as_json else print_line(f"this key is a {walker.called} already")
            return
        bond = (await operators.settings(head)).bond
        decimals, symbol = await token.decimals(head), await token.symbol(head)
        calls = list(about)
        if not begun:
            await refuse_while_paused(chain, head)
            held = await token.balance(signer.address, head)
            if held < bond:
                fail(
                    f"the bond is {whole(bond, decimals, symbol)}, {signer.address} holds {whole(held, decimals)}",
                    "send stake tokens to this address first",
                )
            if await token.allowance(signer.address, operators.address, head) < bond:
                calls.insert(0, ("approve", token.approve(operators.address, bond)))
        facts = {walker.called: signer.address, "bond": whole(bond, decimals, symbol), "endpoint": endpoint}
        await payment.make(calls, facts, manner)


async def leave(walker: Walker, manner: Manner) -> None:
    """Leave the set at once; the bond begins to unbond."""
    from contracts.operators import Operators

    signer = walker.access.open_key()
    async with walker.access.chain() as chain:
        operators = Operators(chain, walker.set)
        head = await chain.head()
        free_at = head.time + (await operators.settings(head)).unbonding_s
        facts = {walker.called: signer.address, "bond free after": readable(free_at)}
        await _pay(walker, signer, chain, ("leave", operators.leave()), facts, manner)


async def withdraw(walker: Walker, manner: Manner) -> None:
    """Take the bond back after the unbonding time."""
    from contracts.operators import Operators
    from contracts.tokens import Token

    signer = walker.access.open_key()
    async with walker.access.chain() as chain:
        operators, token, head = Operators(chain, walker.set), Token(chain, "StakeToken"), await chain.head()
        member = await operators.member(signer.address, head)
        bond = whole(member.bond if member else 0, await token.decimals(head), await token.symbol(head))
        facts = {walker.called: signer.address, "bond": bond}
        await _pay(walker, signer, chain, ("withdraw", operators.withdraw()), facts, manner)


async def _pay(
    walker: Walker, signer: Any, chain: Any, step: tuple[str, Call], facts: dict[str, Any], manner: Manner
) -> None:
    await pay(chain, signer, walker.access.keystore, [step], facts, manner)
