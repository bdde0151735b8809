"""Bills, parts and credits: worked numbers, and that the parts sum to the whole on random epochs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.types import Charge, Credit, CustomerRecord
from rewards.epoch import Work
from rewards.errors import ChargeAboveEscrow
from rewards.fees import bill, credit, divide
from rewards.incentive import incentives, stake_cap
from rewards.testing import RULES
from rewards.types import Carry

UNIT = 10**12
A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
P, Q = "0x" + "11" * 20, "0x" + "22" * 20

works = st.dictionaries(
    st.sampled_from([f"0x{index:040x}" for index in range(1, 9)]),
    st.dictionaries(st.sampled_from([A, B]), st.integers(1, 10**16), max_size=2),
    max_size=8,
)


def _work(raw: dict[str, dict[str, int]]) -> dict[str, Work]:
    return {name: Work(charge_atto=sum(paid.values()), paid_by=dict(paid)) for name, paid in raw.items()}


def _owed(work: dict[str, Work], rates: dict[str, int]) -> dict[str, dict[str, int]]:
    return {name: {one: atto * rates[name] for one, atto in work[name].paid_by.items()} for name in rates}


def _escrow(*customers: str, balance: int = 10**30, cap: int = 10**30) -> tuple[CustomerRecord, ...]:
    return tuple(CustomerRecord(one, balance, 0, cap) for one in customers)


def test_a_charge_above_the_balance_or_the_cap_names_the_customer() -> None:
    work = _work({P: {A: 5 * UNIT}})
    for records in (_escrow(A, balance=4), _escrow(A, cap=4)):
        with pytest.raises(ChargeAboveEscrow, match=f"{A} owes 5 units"):
            bill(work, (), records, UNIT)
    assert bill(work, (), _escrow(A, balance=5, cap=5), UNIT).total == 5


def test_a_remainder_is_carried_and_paid_once_it_makes_a_unit() -> None:
    bills = bill(_work({P: {A: 2_500_000_000_000}}), (Carry(A, 700_000_000_000),), _escrow(A), UNIT)
    assert bills.charges == (Charge(A, 3),) and bills.carries == (Carry(A, 200_000_000_000),)
    bills = bill(_work({P: {A: 1}}), (Carry(A, UNIT - 1),), _escrow(A), UNIT)
    assert bills.charges == (Charge(A, 1),) and bills.carries == ()


def test_carries_of_customers_who_did_nothing_stay() -> None:
    assert bill({}, (Carry(A, 5),), (), UNIT).carries == (Carry(A, 5),)


@given(st.lists(works, min_size=1, max_size=6), st.sampled_from([1, 10**6, UNIT]))
def test_charges_over_many_epochs_are_the_work_less_one_remainder(epochs: list, unit: int) -> None:  # type: ignore[type-arg]
    carries: tuple[Carry, ...] = ()
    charged = {A: 0, B: 0}
    for raw in epochs:
        bills = bill(_work(raw), carries, _escrow(A, B), unit)
        carries = bills.carries
        for one in bills.charges:
            charged[one.customer] += one.amount
    for customer in (A, B):
        owed = sum(paid.get(customer, 0) for raw in epochs for paid in raw.values())
        rest = sum(carry.atto for carry in carries if carry.customer == customer)
        assert charged[customer] * unit + rest == owed and 0 <= rest < unit


def test_the_worked_split_of_the_docstring_holds() -> None:
    parts = divide(_work({P: {A: UNIT}, Q: {B: UNIT}}), 1_001, RULES, ())
    assert parts.gross == {P: 500, Q: 500} and parts.provider == {P: 470, Q: 470}
    assert parts.treasury == 20 and parts.sla_fund_in == 1_001 - 940 - 20 and parts.payees == ()
    paid = divide(_work({P: {A: UNIT}, Q: {B: UNIT}}), 1_001, RULES, (A, B))
    assert [one.amount for one in paid.payees] == [10, 10] and paid.sla_fund_in == 21


def test_what_verifiers_cannot_share_equally_goes_to_the_fund() -> None:
    parts = divide(_work({P: {A: UNIT}}), 1_000, RULES, (A, B, P))
    assert [one.amount for one in parts.payees] == [6, 6, 6] and parts.verifier_fees == 18
    assert parts.sla_fund_in == 1_000 - 940 - 18 - 20


def test_a_share_too_small_for_every_verifier_pays_none() -> None:
    parts = divide(_work({P: {A: UNIT}}), 100, RULES, (A, B, P))
    assert parts.payees == () and parts.verifier_fees == 0 and parts.sla_fund_in == 100 - 94 - 2


def test_an_epoch_without_work_has_no_parts() -> None:
    parts = divide(_work({P: {}}), 0, RULES, (A,))
    assert parts.gross == {P: 0} and parts.sla_fund_in == 0 and parts.payees == ()


@given(works, st.integers(0, 10**15), st.integers(0, 940_000), st.integers(0, 5))
def test_the_parts_sum_to_the_whole(raw: dict, total: int, provider_ppm: int, verifiers: int) -> None:  # type: ignore[type-arg]
    work = _work(raw)
    total = total if sum(one.charge_atto for one in work.values()) else 0
    rules = replace(RULES, provider_ppm=provider_ppm, sla_fund_ppm=960_000 - provider_ppm)
    parts = divide(work, total, rules, tuple(f"0x{index:040x}" for index in range(verifiers)))
    assert sum(parts.provider.values()) + parts.verifier_fees + parts.treasury + parts.sla_fund_in == total
    assert sum(one.amount for one in parts.payees) == parts.verifier_fees
    assert 0 <= total - sum(parts.gross.values()) <= len(raw)


def test_fees_bear_a_credit_before_the_fund_does() -> None:
    work = _work({P: {A: 100 * UNIT}})
    found = credit(_owed(work, {P: 500_000}), {P: 94}, 1_000, UNIT)
    assert found.credits == (Credit(A, P, 50),) and found.from_fees == {P: 50} and found.from_fund == 0
    found = credit(_owed(work, {P: 1_000_000}), {P: 94}, 1_000, UNIT)
    assert found.credits == (Credit(A, P, 100),) and found.from_fees == {P: 94} and found.from_fund == 6


def test_a_short_fund_shrinks_its_parts_pro_rata_rounded_down() -> None:
    work = _work({P: {A: 50 * UNIT, B: 50 * UNIT}})
    found = credit(_owed(work, {P: 1_000_000}), {P: 94}, 4, UNIT)
    assert [one.amount for one in found.credits] == [49, 49] and found.from_fund == 4
    found = credit(_owed(work, {P: 1_000_000}), {P: 94}, 5, UNIT)
    assert [one.amount for one in found.credits] == [49, 49] and found.from_fund == 4
    found = credit(_owed(work, {P: 1_000_000}), {P: 94}, 0, UNIT)
    assert [one.amount for one in found.credits] == [47, 47] and found.from_fund == 0


def test_credits_stand_in_ascending_order_and_none_is_empty() -> None:
    work = _work({Q: {A: 10 * UNIT, B: UNIT // 2}, P: {B: 10 * UNIT, A: 10 * UNIT}})
    found = credit(_owed(work, {P: 100_000, Q: 100_000}), {P: 18, Q: 9}, 0, UNIT)
    assert [(one.customer, one.provider, one.amount) for one in found.credits] == [(A, P, 1), (A, Q, 1), (B, P, 1)]


@given(
    works,
    st.dictionaries(st.integers(1, 8), st.sampled_from([0, 100_000, 250_000, 500_000, 1_000_000])),
    st.integers(0, 10**6),
    st.integers(0, 1_000_000),
)
def test_credits_are_borne_in_full_by_fees_and_fund(raw: dict, rates: dict, fund: int, share: int) -> None:  # type: ignore[type-arg]
    work = _work(raw)
    chosen = {name: rates.get(int(name, 16), 0) for name in work}
    fees = {name: one.charge_atto * share // (10**6 * UNIT) for name, one in work.items()}
    found = credit(_owed(work, chosen), fees, fund, UNIT)
    assert sum(one.amount for one in found.credits) == sum(found.from_fees.values()) + found.from_fund
    assert found.from_fund <= fund
    assert all(found.from_fees.get(name, 0) <= fees[name] for name in work)
    for one in found.credits:
        assert 0 < one.amount <= work[one.provider].paid_by[one.customer] // UNIT


def test_the_worked_incentives_of_the_docstring_hold() -> None:
    shares = incentives(1_000, {P: 2, Q: 1}, {P: 900, Q: 100}, {P: 10**9, Q: 10**9}, 60)
    assert shares.availability == {P: 266, Q: 133} and shares.work == {P: 43, Q: 4}


def test_stake_caps_the_work_part_and_nobody_gets_what_another_may_not() -> None:
    shares = incentives(1_000, {}, {P: 900, Q: 100}, {P: 7, Q: 10**9}, 10**9)
    assert shares.work == {P: 7, Q: 60} and shares.availability == {}


def test_a_tenth_of_the_stakes_worth_is_the_cap() -> None:
    assert stake_cap(200 * 10**18, 1_500_000, 18) == 30_000_000


@given(
    st.integers(0, 10**12),
    st.dictionaries(st.sampled_from([A, B, P]), st.integers(0, 10**9)),
    st.dictionaries(st.sampled_from([A, B, P]), st.integers(0, 10**12)),
    st.integers(0, 10**12),
)
def test_incentives_stay_within_the_budget_and_the_take(budget: int, weights: dict, gross: dict, take: int) -> None:  # type: ignore[type-arg]
    shares = incentives(budget, weights, gross, dict.fromkeys(gross, 10**18), take)
    assert shares.total() <= budget
    assert sum(shares.work.values()) * 100 <= take * 80
    assert sum(shares.availability.values()) * 100 <= budget * 40
