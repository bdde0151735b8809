"""Leave out work that a customer's escrow or cap does not cover: one debt must not hold up everybody's epoch.

The gateway holds no more than both allow, and a lowered cap counts from the epoch after the next, so that it knows of
it in time. So this is for what should not happen: epochs shorter than the longest answer, a settlement that is late by
more than the thaw. The customer stays in debt for it in the gateway's ledger, where it lessens what can be spent.
"""

from __future__ import annotations

from collections.abc import Iterable

from rewards.epoch import unit_atto
from rewards.types import Attempt, ChainInputs, EpochState


def affordable(
    inputs: ChainInputs, opening: EpochState, attempts: Iterable[Attempt]
) -> tuple[list[Attempt], list[str]]:
    """Return the attempts that can be charged, and why the others cannot; the earlier of a customer's come first.

    Unit 10^12, a cap of 3 units, a carry of half a unit: of three attempts of 1.2 units each, two make 2.9 units owed,
    all three 4.1, so the third is left out.
    """
    unit = unit_atto(inputs.decimals)
    room = {one.customer: (min(one.balance, one.cap) + 1) * unit - 1 for one in inputs.customers}
    for carry in opening.carries:
        room[carry.customer] = room.get(carry.customer, 0) - carry.atto
    everything = list(attempts)
    refused: dict[int, str] = {}
    order = sorted(
        range(len(everything)),
        key=lambda index: (everything[index].countersignature.slot, everything[index].receipt.job),
    )
    for index in order:
        charge, customer = everything[index].receipt.charge_atto, everything[index].countersignature.customer
        left = room.get(customer, 0)
        if charge > max(left, 0):
            job = everything[index].receipt.job.hex()
            refused[index] = f"job 0x{job} costs {charge} atto, {customer} can be charged {max(left, 0)} more"
        else:
            room[customer] = left - charge
    kept = [one for index, one in enumerate(everything) if index not in refused]
    return kept, [refused[index] for index in sorted(refused)]
