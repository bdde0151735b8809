"""Hundreds of customers of one market: more than fit in one chunk of a report or on one page of the harmed."""

from __future__ import annotations

import time

from contracts.calls import Call
from contracts.escrow import Escrow
from contracts.signing import keccak
from contracts.tokens import Token
from tests.marketplace.store.market import UNIT, Market

DEPOSIT_UNITS = 1_000
PAID_UNITS = 7
_GAS = hex(1_000_000)


def gather_crowd(town: Market, count: int) -> list[str]:
    """Let `count` strangers deposit and set a cap; returns their addresses, ascending."""
    names = sorted("0x" + keccak(f"customer {number}".encode())[12:].hex() for number in range(count))
    escrow, pay = Escrow(town.chain), Token(town.chain, "PaymentToken")
    total = count * DEPOSIT_UNITS
    as_account(town, town.deployer.address, pay.mint(town.deployer.address, total))
    as_account(town, town.deployer.address, pay.approve(escrow.address, total))
    for name in names:
        as_account(town, town.deployer.address, escrow.deposit(name, DEPOSIT_UNITS))
        as_account(town, name, escrow.set_cap(10**8))
    return names


def as_account(town: Market, sender: str, call: Call) -> None:
    """Send a call as any account of the devnet, with or without its key, and check that it was not reverted."""
    rpc = town.devnet.rpc
    rpc("anvil_impersonateAccount", sender)
    rpc("anvil_setBalance", sender, hex(10**20))
    hash_ = rpc("eth_sendTransaction", {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "gas": _GAS})
    while (receipt := rpc("eth_getTransactionReceipt", hash_)) is None:
        time.sleep(0.01)
    assert receipt["status"] == "0x1", f"{call}: {receipt}"


async def all_pay_the_dead(town: Market, names: list[str], epoch: int) -> None:
    """Let everybody of the crowd pay once, in one slot, for work of the provider that is down in all others."""
    slot = epoch * town.timing.slots_per_epoch + 3
    await town.enter([town.attempt(slot, town.dead, name, PAID_UNITS * UNIT) for name in names], slot)
