"""Settle an epoch: from inputs that anybody can gather to a report that anybody can recompute.

`settle` is a pure function of integers (docs/protocol.md, section 5). It measures, scores, splits the money, credits
the customers, shares out incentives between providers and their delegators, counts strikes, and puts a leaf, a closing
state and explanation lines together.
Each step is a function of its own module; this one holds their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.leaves import harm_root
from contracts.measured import measured_root
from contracts.messages import ServiceClass
from contracts.types import Harm, Harmed, Leaf, Pool, ProviderRecord, Report, Totals
from rewards.epoch import Work, check_inputs, records, tally, unit_atto
from rewards.explain import Explained, customer_lines, provider_lines
from rewards.fees import Credits, Parts, bill, credit, divide
from rewards.honesty import NOTHING, Checked, check
from rewards.incentive import Incentives, backing, delegators_part, incentives, stake_cap, weight
from rewards.measured import measure
from rewards.measurement import PPM, Measured, is_active
from rewards.missing import follow
from rewards.penalty import (
    Outage,
    multiplier_ppm,
    outage,
    standing_after,
    strikes_after,
    uptime_level,
)
from rewards.rules import rules_version
from rewards.scarcity import scarcity_after
from rewards.score import Memory, Observed, latency_ppm, lower_median, medians, step
from rewards.service import critical_days, day_of, owed_back, rate_over_window_ppm, remember, remember_critical
from rewards.state import state_digest
from rewards.tenure import clean_after, tenure_ppm
from rewards.types import (
    CriticalState,
    EpochInputs,
    EpochState,
    Missing,
    ProviderState,
    ServiceDay,
    Settlement,
)

HARM_LEVEL = 2
"""Least slash level that takes something from a provider, so that its customers may be compensated."""


def settle(inputs: EpochInputs) -> Settlement:
    """Compute the report of an epoch, the closing state and the explanation; raises InputsRefused.

    The report's `evidence` and the closing state's `report` are zero: they are known once the bundle is written
    (`rewards.evidence`).
    """
    check_inputs(inputs)
    work = tally(inputs)
    market = measure(inputs, work)
    measured = market.of
    checked = check(inputs, work)
    canaries = {name: (one.asked, one.passed) for name, one in checked.items()}
    ratings = _ratings(inputs)
    observed = {
        name: observe(inputs, measured[name], work[name], canaries.get(name, (0, 0)), ratings.get(name, (0, 0)))
        for name in work
    }
    scored = _score(inputs, observed)

    unit = unit_atto(inputs.decimals)
    bills = bill(work, inputs.opening.carries, inputs.customers, unit)
    verifiers = tuple(sorted({day.verifier for day in inputs.probe_days}))
    parts = divide(work, bills.total, inputs.rules, verifiers)
    before = {state.provider: state for state in inputs.opening.providers}
    fund = inputs.opening.sla_fund + parts.sla_fund_in
    critical = critical_days(work, measured)
    owed = owed_back(work, measured, _days_before(before), _critical_rates(inputs.opening.critical, critical))
    credits = credit(owed, parts.provider, fund, unit)
    credited = Counter[str]()
    for one in credits.credits:
        credited[one.provider] += one.amount
    scarcity = scarcity_after(
        inputs.opening.scarcity, inputs.providers, measured, {name: one.served_slots for name, one in work.items()}
    )
    shares = _incentives(inputs, measured, canaries, parts, bills.total)
    penalties = _penalties(inputs, measured, checked)

    leaves, states, harmed, pools, lines, missing = [], [], [], [], [], []
    for record in inputs.providers:
        name = record.provider
        penalty, (memory, components) = penalties[name], scored[name]
        past = before.get(name)
        fees = parts.provider[name] - credits.from_fees.get(name, 0)
        whole = shares.availability.get(name, 0) + shares.work.get(name, 0)
        pool = delegators_part(whole, record.stake, record.delegated, record.commission_ppm)
        incentive = whole - pool
        if pool:
            pools.append(Pool(name, pool))
        if penalty.level >= HARM_LEVEL and work[name].paid_by:
            harmed.append(_harmed(name, work[name], unit))
        receipts = follow(past.unnamed if past else (), past.awaited if past else (), work[name].jobs, work[name].named)
        missing += [Missing(name, job) for job in receipts.missing]
        state = ProviderState(
            provider=name,
            cumulative_fees=(past.cumulative_fees if past else 0) + fees,
            cumulative_incentive=(past.cumulative_incentive if past else 0) + incentive,
            smoothed=memory.means,
            observations=memory.weights,
            score_ppm=memory.score_ppm,
            strike_epochs=penalty.strike_epochs,
            standing=penalty.standing,
            down_run_slots=penalty.outage.standing_slots,
            active=is_active(record),
            signer=record.signer,
            clean_epochs=clean_after(past.clean_epochs if past else 0, penalty.level, measured[name].measured),
            service_days=remember(past.service_days if past else (), day_of(measured[name])),
            unnamed=receipts.unnamed,
            awaited=receipts.awaited,
        )
        states.append(state)
        leaves.append(
            Leaf(
                provider=name,
                cumulative_fees=state.cumulative_fees,
                cumulative_incentive=state.cumulative_incentive,
                uptime_ppm=measured[name].uptime_ppm,
                success_ppm=observed[name].values[1],
                verification_ppm=observed[name].values[3],
                score_ppm=memory.score_ppm,
                ttft_p95_bucket=measured[name].ttft_p95_bucket,
                strikes=len(penalty.strike_epochs),
                standing=penalty.standing,
                slash_level=penalty.level,
                measured=measured[name].measured,
            )
        )
        lines += provider_lines(
            Explained(
                provider=name,
                measured=measured[name],
                work=work[name],
                checked=checked.get(name, NOTHING),
                score_before=past.score_ppm if past else None,
                components=components,
                score_ppm=memory.score_ppm,
                gross=parts.gross[name],
                part=parts.provider[name],
                credited_all=credited[name],
                credited=credits.from_fees.get(name, 0),
                fees=fees,
                scarcity_ppm=_scarcity_of(inputs, record),
                clean_epochs=past.clean_epochs if past else 0,
                availability=shares.availability.get(name, 0),
                work_incentive=shares.work.get(name, 0),
                stake=record.stake,
                delegated=backing(record.stake, record.delegated),
                commission_ppm=record.commission_ppm,
                pool=pool,
                median_ppm=penalty.median_ppm,
                outage=penalty.outage,
                level=penalty.level,
                strikes=len(penalty.strike_epochs),
                standing=penalty.standing,
                awaited=len(receipts.awaited),
                missing=len(receipts.missing),
            )
        )
    lines += customer_lines(bills, credits)
    totals = _totals(bills.total, parts, credits, shares, sum(pool.amount for pool in pools))
    closing = EpochState(
        epoch=inputs.epoch,
        providers=tuple(states),
        carries=bills.carries,
        sla_fund=fund - credits.from_fund,
        report=bytes(32),
        scarcity=scarcity,
        critical=remember_critical(inputs.opening.critical, critical),
    )
    report = Report(
        epoch=inputs.epoch,
        previous=inputs.opening.report,
        evidence=bytes(32),
        state=state_digest(closing, inputs.rules_number),
        rules=rules_version(inputs),
        checkpoint_block=inputs.checkpoint.number,
        checkpoint_hash=inputs.checkpoint.hash,
        totals=totals,
        leaves=tuple(leaves),
        measurements=measured_root(inputs.chain_id, inputs.epoch_ledger, inputs.epoch, market.leaves),
        charges=bills.charges,
        credits=credits.credits,
        pools=tuple(pools),
        payees=parts.payees,
        harms=tuple(Harm(one.provider, harm_root(one)) for one in harmed),
    )
    return Settlement(report, closing, tuple(harmed), market.leaves, tuple(lines), tuple(missing))


def observe(
    inputs: EpochInputs, measured: Measured, work: Work, canaries: tuple[int, int], ratings: tuple[int, int] = (0, 0)
) -> Observed:
    """Express an epoch as the five components of the score with their numbers of observations.

    `canaries`: asked and passed; `ratings`: customers who rated, and the sum of what they gave in ppm.
    """
    asked, passed = canaries
    customers, sum_ppm = ratings
    tried = work.served + work.failed
    probes = sum(measured.counts)
    values = (
        measured.uptime_ppm,
        work.served * PPM // tried if tried else PPM,
        latency_ppm(measured.ttft_p95_bucket, inputs.rules.ttft_target_ms) if probes else PPM,
        passed * PPM // asked if asked else PPM,
        sum_ppm // customers if customers else PPM,
    )
    slots = measured.counted.bit_count() if measured.measured else 0
    failed = measured.down != 0 or work.failed > 0 or passed < asked
    return Observed(values, (slots, tried, probes, asked, customers), failed)


def _ratings(inputs: EpochInputs) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = {}
    for signed in inputs.rating_days:
        customers, sum_ppm = sums.get(signed.day.provider, (0, 0))
        sums[signed.day.provider] = (customers + signed.day.customers, sum_ppm + signed.day.sum_ppm)
    return sums


def _score(inputs: EpochInputs, observed: dict[str, Observed]) -> dict[str, tuple[Memory, tuple[int, ...]]]:
    median = medians(list(observed.values()))
    before = {
        state.provider: Memory(state.smoothed, state.observations, state.score_ppm)
        for state in inputs.opening.providers
    }
    return {name: step(before.get(name), one, median) for name, one in observed.items()}


def _incentives(
    inputs: EpochInputs,
    measured: dict[str, Measured],
    canaries: dict[str, tuple[int, int]],
    parts: Parts,
    total: int,
) -> Incentives:
    weights, caps = {}, {}
    clean = {state.provider: state.clean_epochs for state in inputs.opening.providers}
    for name, record in records(inputs).items():
        asked, passed = canaries.get(name, (0, 0))
        if measured[name].measured and passed == asked:
            quality, tenure = multiplier_ppm(measured[name].uptime_ppm), tenure_ppm(clean.get(name, 0))
            weights[name] = weight(record.weight, quality, _scarcity_of(inputs, record), tenure)
        stake = record.stake + backing(record.stake, record.delegated)
        caps[name] = stake_cap(stake, inputs.rules.stake_rate, inputs.stake_decimals)
    budget = min(inputs.rules.incentive_per_epoch, inputs.incentive_fund)
    return incentives(budget, weights, parts.gross, caps, total - sum(parts.provider.values()))


def _scarcity_of(inputs: EpochInputs, record: ProviderRecord) -> int:
    """Return the multiplier of a provider's class as the epoch before left it, so that it is known beforehand."""
    kinds = (one.ppm for one in inputs.opening.scarcity if one.hardware_class == record.hardware_class)
    return next(kinds, PPM)


def _days_before(before: Mapping[str, ProviderState]) -> dict[str, tuple[ServiceDay, ...]]:
    return {name: state.service_days for name, state in before.items()}


def _critical_rates(before: Sequence[CriticalState], today: Mapping[str, ServiceDay]) -> dict[str, int]:
    past = {one.customer: one.service_days for one in before}
    critical = ServiceClass.CRITICAL
    return {name: rate_over_window_ppm(past.get(name, ()), day, critical) for name, day in today.items()}


@dataclass(frozen=True, slots=True)
class _Penalty:
    median_ppm: int
    outage: Outage
    level: int
    strike_epochs: tuple[int, ...]
    standing: int


def _penalties(inputs: EpochInputs, measured: dict[str, Measured], checked: dict[str, Checked]) -> dict[str, _Penalty]:
    """Find the slash level of every provider: the highest of its uptime, its outage and what a quorum found it serves.

    One that was not measured has none.
    """
    median = lower_median((one.uptime_ppm for one in measured.values() if one.measured), PPM)
    before = {state.provider: state for state in inputs.opening.providers}
    timing = inputs.timing
    result = {}
    for name, one in measured.items():
        past = before.get(name)
        run = outage(one.down, one.counted, timing.slots_per_epoch, timing.slot_s, past.down_run_slots if past else 0)
        served = checked.get(name, NOTHING).level if one.measured else 0
        level = max(run.level, uptime_level(one.uptime_ppm, median), served)
        strikes = strikes_after(past.strike_epochs if past else (), inputs.epoch, level)
        standing = standing_after(past.standing if past else 0, len(strikes), level, one.measured)
        result[name] = _Penalty(median, run, level, strikes, standing)
    return result


def _harmed(provider: str, work: Work, unit: int) -> Harmed:
    """Weigh who paid a provider by what it paid, rounded up to units, so that nobody weighs nothing: 1.2 units → 2."""
    customers = tuple(sorted(work.paid_by))
    return Harmed(provider, customers, tuple(-(-work.paid_by[one] // unit) for one in customers))


def _totals(charged: int, parts: Parts, credits: Credits, shares: Incentives, pools: int) -> Totals:
    totals = Totals(
        charged=charged,
        provider_fees=sum(parts.provider.values()) - sum(credits.from_fees.values()),
        verifier_fees=parts.verifier_fees,
        treasury=parts.treasury,
        sla_fund_in=parts.sla_fund_in,
        credits=credits.total,
        credits_from_fund=credits.from_fund,
        incentive=shares.total() - pools,
        pools=pools,
    )
    assert totals.charged + totals.credits_from_fund == (
        totals.provider_fees + totals.verifier_fees + totals.treasury + totals.sla_fund_in + totals.credits
    )
    return totals
