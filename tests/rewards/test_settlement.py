"""Whole epochs: conservation on random ones, and each guard against punishing the innocent on small ones."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from contracts.leaves import harm_root
from contracts.measured import measured_root
from contracts.types import Credit, Harm, Harmed, Pool, ProviderStatus
from rewards.rules import rules_version
from rewards.settlement import settle
from rewards.state import GENESIS, state_digest
from rewards.testing import Network
from rewards.types import EpochInputs, Settlement
from tests.rewards.leaf import leaf_of

UNIT = 10**12
DAY = 1440


def _check_books(inputs: EpochInputs, settled: Settlement) -> None:
    """Conservation: charges = parts, state carries on exactly, leaves grow by what the totals say."""
    totals, opening, closing = settled.report.totals, inputs.opening, settled.closing
    assert totals.charged + totals.credits_from_fund == (
        totals.provider_fees + totals.verifier_fees + totals.treasury + totals.sla_fund_in + totals.credits
    )
    report = settled.report
    assert sum(one.amount for one in report.charges) == totals.charged
    assert sum(one.amount for one in report.credits) == totals.credits
    assert sum(one.amount for one in report.payees) == totals.verifier_fees
    assert closing.sla_fund == opening.sla_fund + totals.sla_fund_in - totals.credits_from_fund >= 0
    before = {state.provider: state for state in opening.providers}
    fees = sum(
        s.cumulative_fees - (before[s.provider].cumulative_fees if s.provider in before else 0)
        for s in closing.providers
    )
    gained = sum(
        s.cumulative_incentive - (before[s.provider].cumulative_incentive if s.provider in before else 0)
        for s in closing.providers
    )
    assert (fees, gained) == (totals.provider_fees, totals.incentive)
    assert sum(one.amount for one in report.pools) == totals.pools
    assert totals.incentive + totals.pools <= min(inputs.rules.incentive_per_epoch, inputs.incentive_fund)
    moved = (*report.charges, *report.credits, *report.pools, *report.payees)
    assert all(one.amount > 0 for one in moved)
    owed = sum(one.receipt.charge_atto for one in inputs.attempts) + sum(carry.atto for carry in opening.carries)
    assert totals.charged * UNIT + sum(carry.atto for carry in closing.carries) == owed
    for leaf, state in zip(report.leaves, closing.providers, strict=True):
        assert (leaf.provider, leaf.cumulative_fees) == (state.provider, state.cumulative_fees)
        assert 0 <= leaf.score_ppm <= 10**6 and leaf.strikes == len(state.strike_epochs)
        assert leaf.standing == state.standing <= 2 and (leaf.measured or not leaf.slash_level)
    _check_openings(inputs, settled)
    for rows in (report.leaves, report.charges, report.credits, report.pools, report.payees, report.harms):
        keys = [(getattr(one, "customer", ""), getattr(one, "provider", getattr(one, "verifier", ""))) for one in rows]
        assert keys == sorted(set(keys))
    assert report.state == state_digest(closing) and report.rules == rules_version(inputs)
    assert (report.checkpoint_block, report.checkpoint_hash) == (inputs.checkpoint.number, inputs.checkpoint.hash)
    assert report.previous == opening.report


def _check_openings(inputs: EpochInputs, settled: Settlement) -> None:
    """What opens the report's roots is there: the measured of every leaf, the harmed of every harm."""
    report = settled.report
    assert [one.provider for one in settled.measured] == [leaf.provider for leaf in report.leaves]
    expected = measured_root(inputs.chain_id, inputs.epoch_ledger, inputs.epoch, settled.measured)
    assert report.measurements == expected
    assert report.harms == tuple(Harm(one.provider, harm_root(one)) for one in settled.harmed)
    paid = {one.receipt.provider for one in inputs.attempts if one.receipt.charge_atto}
    slashed = {leaf.provider for leaf in report.leaves if leaf.slash_level >= 2}
    assert {one.provider for one in settled.harmed} == slashed & paid


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 4), st.integers(0, 4))
def test_conservation_holds_over_random_epochs(seed: int, providers: int, customers: int, verifiers: int) -> None:
    rng = random.Random(seed)
    net = Network(providers=providers, customers=customers, verifiers=verifiers, slots=30)
    opening = GENESIS
    for epoch in range(3):
        failing = [name for name in net.provider_names if rng.random() < 0.2]
        down = {
            name: [slot for slot in range(30) if rng.random() < rng.choice((0.0, 0.02, 0.9))]
            for name in net.provider_names
        }
        canaries = [
            net.canary_day(verifier, name, epoch, 3, rng.choice((3, 3, 2)))
            for verifier in range(verifiers)
            for name in net.provider_names
            if rng.random() < 0.5
        ]
        if rng.random() < 0.3:
            net.change(rng.choice(net.provider_names), stake=rng.randrange(10**21))
        for name in net.provider_names:
            net.change(name, delegated=rng.choice((0, 1, 10**20, 10**23)), commission_ppm=rng.randrange(10**6 + 1))
        resting = {name: [net.window(epoch, 3, rng.randrange(4, 40))] for name in net.provider_names[::3]}
        inputs = net.inputs(
            epoch,
            attempts=net.attempts(epoch, rng.randrange(0, 60), rng.randrange(2**32), failing),
            probe_days=[day for day in net.probe_days(epoch, down) if rng.random() < 0.9],
            canary_days=canaries,
            maintenance=resting,
            opening=opening,
        )
        settled = settle(inputs)
        _check_books(inputs, settled)
        opening = replace(settled.closing, report=bytes([epoch + 1]) * 32)


def test_an_epoch_in_which_nothing_happened_settles_to_nothing() -> None:
    net = Network(providers=0, customers=0, verifiers=0)
    inputs = net.inputs()
    settled = settle(inputs)
    _check_books(inputs, settled)
    assert settled.report.leaves == () and settled.report.totals.charged == 0


def test_the_same_inputs_give_the_same_settlement() -> None:
    net = Network(slots=DAY)
    inputs = net.inputs(attempts=net.attempts(0, 200))
    again = Network(slots=DAY).inputs(attempts=list(reversed(net.attempts(0, 200))))
    assert settle(inputs) == settle(again)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, (1 << 30) - 1), min_size=2, max_size=2),
    st.sampled_from([0, (1 << 30) - 1]),
)
def test_a_minority_of_verifiers_cannot_move_a_slot(liars: list[int], truth: int) -> None:
    net = Network(providers=5, verifiers=5, slots=30, quorum=3)
    name = net.provider_names[0]

    def day(verifier: int, up: int) -> object:
        return net.probe_day(verifier, name, 0, [slot for slot in range(30) if not up >> slot & 1])

    others = [one for one in net.probe_days(0) if one.day.provider != name]
    honest = [day(2, truth), day(3, truth), day(4, truth)]
    lied = settle(net.inputs(probe_days=[*others, *honest, day(0, liars[0]), day(1, liars[1])]))  # type: ignore[list-item]
    agreed = settle(net.inputs(probe_days=[*others, *honest, day(0, truth), day(1, truth)]))  # type: ignore[list-item]
    assert lied.report.leaves == agreed.report.leaves


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_a_provider_that_was_up_in_all_slots_is_never_slashed(seed: int) -> None:
    rng = random.Random(seed)
    net = Network(providers=6, slots=30)
    name, opening = net.provider_names[0], GENESIS
    for epoch in range(4):
        down = {
            other: [slot for slot in range(30) if rng.random() < rng.choice((0.0, 0.5, 1.0))]
            for other in net.provider_names[1:]
        }
        settled = settle(
            net.inputs(
                epoch, probe_days=net.probe_days(epoch, down), attempts=net.attempts(epoch, 20, seed), opening=opening
            )
        )
        leaf = leaf_of(settled, name)
        assert (leaf.uptime_ppm, leaf.slash_level, leaf.strikes) == (10**6, 0, 0)
        opening = settled.closing


def test_a_jailed_provider_keeps_its_leaf_and_its_earnings() -> None:
    net = Network(providers=4)
    name = net.provider_names[0]
    first = settle(net.inputs(attempts=net.attempts(0, 50)))
    net.change(name, status=ProviderStatus.REMOVED)
    second = settle(net.inputs(1, opening=first.closing))
    assert leaf_of(second, name).cumulative_fees == leaf_of(first, name).cumulative_fees > 0


def test_customers_of_a_dead_provider_get_everything_back() -> None:
    net = Network(providers=8, slots=DAY)
    name, (one, other) = net.provider_names[0], net.customer_names
    good = net.provider_names[1]
    attempts = [
        net.attempt(name, one, 0, job=b"\x01" * 32, charge_atto=1_000 * UNIT),
        net.attempt(name, other, 0, job=b"\x02" * 32, charge_atto=500 * UNIT + UNIT // 2),
        net.attempt(good, other, 0, job=b"\x03" * 32, charge_atto=2_000 * UNIT),
    ]
    inputs = net.inputs(attempts=attempts, probe_days=net.probe_days(0, {name: range(1, 1440)}))
    settled = settle(inputs)
    _check_books(inputs, settled)
    totals = settled.report.totals
    assert totals.charged == 3_500 and totals.sla_fund_in == 73
    # The dead one earned 94 % of 1500 = 1410 of the 1500 it owes back; the fund's 73 stand in for the missing 90.
    assert {credit.provider for credit in settled.report.credits} == {name}
    assert settled.report.credits == tuple(
        sorted((Credit(one, name, 940 + 48), Credit(other, name, 470 + 24)), key=lambda credit: credit.customer)
    )
    assert (totals.credits, totals.credits_from_fund) == (1_482, 72)
    leaf = leaf_of(settled, name)
    assert (leaf.cumulative_fees, leaf.slash_level) == (0, 4)
    weights = tuple({one: 1_000, other: 501}[customer] for customer in sorted((one, other)))
    harmed = Harmed(name, tuple(sorted((one, other))), weights)
    assert settled.harmed == (harmed,) and settled.report.harms == (Harm(name, harm_root(harmed)),)


def test_nobody_is_harmed_by_a_strike_or_where_nobody_paid() -> None:
    net = Network(providers=8, slots=DAY)
    struck, dead, *_ = net.provider_names
    paid = net.attempt(struck, net.customer_names[0], 0, job=b"\x01" * 32, charge_atto=UNIT)
    days = net.probe_days(0, {struck: range(45), dead: range(1440)})
    settled = settle(net.inputs(attempts=[paid], probe_days=days))
    assert (leaf_of(settled, struck).slash_level, leaf_of(settled, dead).slash_level) == (1, 4)
    assert settled.harmed == () and settled.report.harms == ()


def test_delegators_share_in_the_incentive_and_the_provider_keeps_its_commission() -> None:
    net = Network(providers=2)
    name, other = net.provider_names
    net.change(name, stake=200 * 10**18, delegated=600 * 10**18, commission_ppm=100_000)
    settled = settle(net.inputs())
    _check_books(net.inputs(), settled)
    # 40 % of a budget of 1,000,000 for two equal providers: 200,000 each, of which 600/800 less a tenth are the pool's.
    assert settled.report.pools == (Pool(name, 135_000),)
    assert (leaf_of(settled, name).cumulative_incentive, leaf_of(settled, other).cumulative_incentive) == (
        65_000,
        200_000,
    )
    assert (settled.report.totals.incentive, settled.report.totals.pools) == (265_000, 135_000)


def test_delegation_counts_up_to_sixteen_times_the_stake_and_not_without_one() -> None:
    net = Network(providers=2)
    name = net.provider_names[0]
    stake = net.records[name].stake
    pools = []
    for delegated in (16 * stake, 1_000 * stake):
        net.change(name, delegated=delegated)
        pools.append(settle(net.inputs()).report.pools)
    assert pools == [(Pool(name, 200_000 * 16 // 17),)] * 2
    net.change(name, commission_ppm=10**6)
    assert settle(net.inputs()).report.pools == ()
    net.change(name, stake=0, commission_ppm=0)
    assert settle(net.inputs()).report.pools == ()


def test_what_is_delegated_raises_the_cap_of_the_work_incentive() -> None:
    net = Network(providers=1)
    (name,) = net.provider_names
    work = [net.attempt(name, net.customer_names[0], 0, job=b"\x01" * 32, charge_atto=10**6 * UNIT)]
    net.change(name, stake=10**17, required_stake=10**17)

    def gained(delegated: int) -> int:
        net.change(name, delegated=delegated)
        totals = settle(net.inputs(attempts=work)).report.totals
        return totals.incentive + totals.pools - 400_000

    # A tenth of a tenth of a token at 1,000,000 units each; 80 % of the take of 60,000 is the most.
    assert [gained(0), gained(10**17), gained(16 * 10**17)] == [10_000, 20_000, 48_000]


def test_three_strikes_put_a_provider_on_probation_and_two_good_epochs_lift_it() -> None:
    net = Network(providers=8, slots=DAY)
    name, opening, seen = net.provider_names[0], GENESIS, []
    for epoch, down in enumerate((44, 0, 44, 44, 0, 0, 44, 0, 44)):
        inputs = net.inputs(epoch, probe_days=net.probe_days(epoch, {name: range(down)}), opening=opening)
        settled = settle(inputs)
        _check_books(inputs, settled)
        seen.append((leaf_of(settled, name).strikes, leaf_of(settled, name).standing))
        opening = replace(settled.closing, report=bytes([epoch + 1]) * 32)
    assert seen == [(1, 0), (1, 0), (2, 0), (3, 2), (3, 1), (3, 0), (3, 2), (3, 1), (3, 2)]


def test_an_epoch_that_is_not_measured_does_not_lift_a_standing() -> None:
    net = Network(providers=8, slots=DAY)
    name = net.provider_names[0]
    days = net.probe_days(0, {name: range(1440)})
    opening = settle(net.inputs(probe_days=days)).closing
    assert all(state.standing == 0 for state in opening.providers)
    low = tuple(replace(one, standing=2) if one.provider == name else one for one in opening.providers)
    opening = replace(opening, providers=low, report=b"\x01" * 32)
    unseen = [day for day in net.probe_days(1) if day.day.provider != name]
    assert leaf_of(settle(net.inputs(1, probe_days=unseen, opening=opening)), name).standing == 2
    assert leaf_of(settle(net.inputs(1, opening=opening)), name).standing == 1


def test_a_failed_canary_costs_the_availability_incentive_and_the_score() -> None:
    net = Network(providers=4)
    name, other = net.provider_names[:2]
    settled = settle(net.inputs(canary_days=[net.canary_day(0, name, 0, 9, 8), net.canary_day(0, other, 0, 9, 9)]))
    assert leaf_of(settled, name).cumulative_incentive == 0 < leaf_of(settled, other).cumulative_incentive
    assert leaf_of(settled, name).verification_ppm == 888_888
    assert leaf_of(settled, name).score_ppm < leaf_of(settled, other).score_ppm


def test_a_slow_provider_scores_below_a_fast_one() -> None:
    net = Network(providers=4, slots=DAY)
    slow = net.provider_names[0]
    days = [
        net.probe_day(v, name, 0, counts=[0] * 12 + [40] if name == slow else None)
        for v in range(3)
        for name in net.provider_names
    ]
    settled = settle(net.inputs(probe_days=days))
    leaf = leaf_of(settled, slow)
    assert leaf.ttft_p95_bucket == 12 and leaf.score_ppm < 850_000
    assert all(other.score_ppm == 10**6 for other in settled.report.leaves if other.provider != slow)


def test_every_provider_and_every_charged_customer_is_explained() -> None:
    net = Network(providers=8, slots=DAY)
    dead, backed = net.provider_names[:2]
    net.change(backed, delegated=10**18)
    settled = settle(net.inputs(attempts=net.attempts(0, 100), probe_days=net.probe_days(0, {dead: range(1440)})))
    subjects = {line.subject for line in settled.lines}
    assert subjects == set(net.provider_names) | set(net.customer_names)
    rules = {line.rule: dict(line.numbers) for line in settled.lines if line.subject == dead}
    penalty = next(numbers for rule, numbers in rules.items() if rule.startswith("penalty"))
    assert penalty["slash_level"] == 4 and penalty["median_ppm"] == 10**6
    behind = next(
        dict(line.numbers) for line in settled.lines if line.subject == backed and line.rule.startswith("delegators")
    )
    assert behind["delegated"] == 10**18 and behind["to_delegators"] == settled.report.totals.pools
    money = next(numbers for rule, numbers in rules.items() if rule.startswith("fees"))
    assert money["part"] - money["credited"] == money["fees"] == leaf_of(settled, dead).cumulative_fees


def test_the_rules_version_turns_on_every_parameter() -> None:
    inputs = Network().inputs()
    versions = {rules_version(inputs)}
    for changed in (
        replace(inputs, quorum=3),
        replace(inputs, decimals=7),
        replace(inputs, stake_decimals=6),
        replace(inputs, chain_id=1),
        replace(inputs, rules=replace(inputs.rules, stake_rate=7)),
        replace(inputs, timing=replace(inputs.timing, slot_s=7)),
    ):
        versions.add(rules_version(changed))
    assert len(versions) == 7


def test_ratings_are_a_twentieth_of_the_score_and_without_any_nothing_changes() -> None:
    net = Network(providers=3, customers=2, verifiers=2)
    one, two, _ = net.provider_names
    plain = settle(net.inputs())
    rated = settle(net.inputs(rating_days=[net.rating_day(one, 0, 20, 0), net.rating_day(two, 0, 20, 20 * 10**6)]))
    before, after = ({leaf.provider: leaf.score_ppm for leaf in made.report.leaves} for made in (plain, rated))
    # the median of the two is 0: one has (20·0 + 20·0) / 40, two (20·0 + 20·10^6) / 40, the third the prior alone
    assert [before[name] - after[name] for name in net.provider_names] == [50_000, 25_000, 50_000]
    assert plain.report.totals == rated.report.totals
    states = {state.provider: state for state in rated.closing.providers}
    assert (states[one].observations[4], states[two].smoothed[4]) == (20_000, 10**6)


def test_a_customers_word_counts_less_than_what_was_measured() -> None:
    net = Network(providers=5, customers=2, verifiers=2)
    loved, hated, *_ = net.provider_names
    days = [net.rating_day(loved, 0, 10_000, 10_000 * 10**6), net.rating_day(hated, 0, 10_000, 0)]
    made = settle(net.inputs(probe_days=net.probe_days(0, {loved: range(30)}), rating_days=days))
    scores = {leaf.provider: leaf.score_ppm for leaf in made.report.leaves}
    assert scores[loved] < scores[hated]
