"""Split what an epoch's work costs: charges, parts of providers, verifiers, treasury and SLA fund, and credits.

Every split names where its remainder goes and asserts that the parts sum to the whole. Amounts are payment-token
units unless the name says atto. Formulas: docs/protocol.md, sections 5.3 and 5.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.types import Charge, Credit, CustomerRecord, Payee, RulesRecord
from rewards.epoch import Work
from rewards.errors import ChargeAboveEscrow
from rewards.measurement import PPM
from rewards.penalty import share_ppm
from rewards.types import Carry


@dataclass(frozen=True, slots=True)
class Bills:
    """What customers pay for the epoch and what stays below one unit for the next."""

    charges: tuple[Charge, ...]
    carries: tuple[Carry, ...]
    total: int


def bill(
    work: Mapping[str, Work], opening: tuple[Carry, ...], customers: tuple[CustomerRecord, ...], unit_atto: int
) -> Bills:
    """Turn atto owed into units charged: `charge = owed // unit`, the remainder is carried.

    Six decimals (unit 10^12): a carry of 700,000,000,000 and new work of 2,500,000,000,000 atto make a charge of 3
    units and a carry of 200,000,000,000. Raises ChargeAboveEscrow for the first customer whose balance or cap does
    not suffice.
    """
    owed = {carry.customer: carry.atto for carry in opening}
    for one in work.values():
        for customer, atto in one.paid_by.items():
            owed[customer] = owed.get(customer, 0) + atto
    escrow = {record.customer: record for record in customers}
    charges, carries = [], []
    for customer in sorted(owed):
        units, rest = divmod(owed[customer], unit_atto)
        if units:
            record = escrow[customer]
            if units > record.balance or units > record.cap:
                raise ChargeAboveEscrow(customer, units, record.balance, record.cap)
            charges.append(Charge(customer, units))
        if rest:
            carries.append(Carry(customer, rest))
    total = sum(charge.amount for charge in charges)
    assert total * unit_atto + sum(carry.atto for carry in carries) == sum(owed.values())
    return Bills(tuple(charges), tuple(carries), total)


@dataclass(frozen=True, slots=True)
class Parts:
    """How the total of an epoch falls apart; `gross` and `provider` per provider, before credits."""

    gross: dict[str, int]
    provider: dict[str, int]
    payees: tuple[Payee, ...]
    verifier_fees: int
    treasury: int
    sla_fund_in: int


def divide(work: Mapping[str, Work], total: int, rules: RulesRecord, verifiers: tuple[str, ...]) -> Parts:
    """Split the total by work done, then by the rules' shares; all dust goes to the SLA fund.

    `verifiers`: those whose days were valid, ascending. Total 1,001 over two providers with equal work at 94/2/2/2:
    gross 500 each, providers 470 each, verifiers and treasury 10 each per provider, SLA fund 1,001 - 940 - 20 - 20 =
    21.
    """
    all_atto = sum(one.charge_atto for one in work.values())
    gross = {name: total * one.charge_atto // all_atto if all_atto else 0 for name, one in work.items()}
    provider = {name: share_ppm(amount, rules.provider_ppm) for name, amount in gross.items()}
    pool = sum(share_ppm(amount, rules.verifier_ppm) for amount in gross.values())
    treasury = sum(share_ppm(amount, rules.treasury_ppm) for amount in gross.values())
    each = pool // len(verifiers) if verifiers else 0
    payees = tuple(Payee(verifier, each) for verifier in verifiers) if each else ()
    verifier_fees = each * len(payees)
    sla_fund_in = total - sum(provider.values()) - verifier_fees - treasury
    assert sla_fund_in >= 0
    return Parts(gross, provider, payees, verifier_fees, treasury, sla_fund_in)


@dataclass(frozen=True, slots=True)
class Credits:
    """SLA credits and who bears them: `from_fees` per provider, `from_fund` in all."""

    credits: tuple[Credit, ...]
    from_fees: dict[str, int]
    from_fund: int
    total: int


def credit(owed: Mapping[str, Mapping[str, int]], fees: Mapping[str, int], fund: int, unit_atto: int) -> Credits:
    """Give customers back what providers owe them for a service level that was missed.

    `owed`: per provider and customer, in atto times ppm (`rewards.service.owed_back`); a credit is that over
    `10^6 · unit`, rounded down. The provider's fees of the epoch bear it as far as they reach, spread over its
    customers in ascending order by cumulated shares; the fund bears the rest, shrunk pro rata (rounded down) when it is
    short. Paid 50 and 50 units at 100 % with fees of 94 and a fund of 4: fees bear 47 and 47, the fund owes 3 and 3 but
    holds 4, so 3·4 // 6 = 2 each: credits of 49 and 49.
    """
    wanted: list[tuple[str, str, int, int]] = []
    from_fees: dict[str, int] = {}
    for provider in sorted(owed):
        amounts = {one: owed[provider][one] // (PPM * unit_atto) for one in sorted(owed[provider])}
        due = sum(amounts.values())
        borne = min(due, fees[provider])
        from_fees[provider] = borne
        reached, given = 0, 0
        for customer, amount in amounts.items():
            if not amount:
                continue
            reached += amount
            share = reached * borne // due - given
            given += share
            wanted.append((customer, provider, share, amount - share))
        assert given == borne
    short = sum(rest for *_, rest in wanted)
    available = min(short, fund)
    made = [
        (customer, provider, share, rest * available // short if short else 0)
        for customer, provider, share, rest in wanted
    ]
    credits = tuple(sorted(
        (Credit(customer, provider, share + rest) for customer, provider, share, rest in made if share + rest),
        key=lambda one: (one.customer, one.provider),
    ))  # fmt: skip
    from_fund = sum(rest for *_, rest in made)
    total = sum(one.amount for one in credits)
    assert total == sum(from_fees.values()) + from_fund and from_fund <= fund
    return Credits(credits, from_fees, from_fund, total)
