"""What a customer cannot be charged for is left out, the latest first, and nobody else's work with it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from contracts.types import CustomerRecord
from marketplace.affordable import affordable
from rewards.epoch import tally, unit_atto
from rewards.fees import bill
from rewards.gather import chain_part
from rewards.state import GENESIS
from rewards.testing import Network
from rewards.types import Carry

NETWORK = Network(providers=1, customers=2)
PROVIDER = NETWORK.provider_names[0]
ONE, OTHER = NETWORK.customer_names
UNIT = unit_atto(NETWORK.decimals)


def _attempts(*charges: tuple[str, int, int]):  # type: ignore[no-untyped-def]
    return [
        NETWORK.attempt(PROVIDER, customer, slot, job=bytes([number]) * 32, charge_atto=atto)
        for number, (customer, slot, atto) in enumerate(charges)
    ]


def _inputs(balance: int, cap: int):  # type: ignore[no-untyped-def]
    inputs = chain_part(NETWORK.inputs())
    return replace(inputs, customers=tuple(CustomerRecord(name, balance, 0, cap) for name in (ONE, OTHER)))


def test_leaves_out_the_latest_that_does_not_fit_under_the_cap() -> None:
    opening = replace(GENESIS, carries=(Carry(ONE, UNIT // 2),))
    made = _attempts(
        (ONE, 3, 12 * UNIT // 10), (ONE, 1, 12 * UNIT // 10), (OTHER, 2, 3 * UNIT), (ONE, 2, 12 * UNIT // 10)
    )
    kept, refused = affordable(_inputs(10**6, 3), opening, made)
    assert kept == [made[1], made[2], made[3]]
    assert refused == [
        f"job 0x{'00' * 32} costs {12 * UNIT // 10} atto, {ONE} can be charged {11 * UNIT // 10 - 1} more"
    ]


def test_a_stranger_can_be_charged_nothing_and_free_work_always_stays() -> None:
    inputs = replace(_inputs(5, 5), customers=())
    made = _attempts((ONE, 1, 0), (ONE, 2, 2))
    assert affordable(inputs, GENESIS, made)[0] == made[:1]


@given(
    charges=st.lists(
        st.tuples(st.sampled_from([ONE, OTHER]), st.integers(0, 59), st.integers(0, 3 * UNIT)), max_size=12
    ),
    balance=st.integers(0, 6),
    cap=st.integers(0, 6),
    carry=st.integers(1, UNIT - 1),
)
def test_what_is_kept_can_be_billed_and_nothing_more_would_fit(charges, balance, cap, carry) -> None:  # type: ignore[no-untyped-def]
    inputs, opening = _inputs(balance, cap), replace(GENESIS, carries=(Carry(ONE, carry),))
    made = _attempts(*charges)
    kept, refused = affordable(inputs, opening, made)
    assert len(kept) + len(refused) == len(made)
    work = tally(NETWORK.inputs(attempts=kept))
    bills = bill(work, opening.carries, inputs.customers, UNIT)
    assert all(one.amount <= min(balance, cap) for one in bills.charges)
    for one in made:
        if one not in kept:
            customer = one.countersignature.customer
            owed = sum(a.receipt.charge_atto for a in kept if a.countersignature.customer == customer)
            owed += carry if customer == ONE else 0
            assert owed + one.receipt.charge_atto >= (min(balance, cap) + 1) * UNIT
