"""The reward arithmetic exists twice: `settle` in Python and `sql/settlement.sql` in PostgreSQL agree to the unit.

A thousand random epochs always, twenty thousand with BONDED_LONG=1. Rows of both sides are compared as sets, so
whatever one side says and the other does not is named, with the seed that draws the epoch again.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contracts.types import ProviderStatus
from marketplace.embedded import Embedded
from rewards.blobs import FolderStore
from rewards.epoch import unit_atto
from rewards.evidence import read_bundle
from rewards.incentive import stake_cap
from rewards.measurement import join_words
from rewards.service import uptime_ppm
from rewards.settlement import settle
from rewards.testing import Network
from rewards.types import RULES_NUMBER, EpochInputs, Settlement

from .random_epochs import random_epoch

SQL = Path(__file__).parent / "sql"
GOLDEN = Path(__file__).parents[1] / "golden"
BATCH = 1_000
EPOCHS = 20_000 if os.environ.get("BONDED_LONG") == "1" else BATCH

Rows = dict[str, list[tuple[Any, ...]]]
ANSWERS = {
    "said_customers": "epoch, customer, charge, carry_atto",
    "said_credits": "epoch, customer, provider, amount",
    "said_providers": "epoch, provider, is_measured, uptime_ppm, success_ppm, verification_ppm, gross, to_provider, "
    "credited, availability, work, pool, cumulative_fees, cumulative_incentive",
    "said_payees": "epoch, verifier, amount",
    "said_totals": "epoch, charged, provider_fees, verifier_fees, treasury, sla_fund_in, credits, credits_from_fund, "
    "incentive, pools, sla_fund_after",
    "said_scarcity": "epoch, hardware_class, ppm",
}
TABLES = ("epochs", "providers", "windows", "attempts", "carries", "probe_days", "canary_days")
BEFORE = ("days_before", "scarcity_before")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL of this module alone; its folder must be open to the user that it runs as when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="bonded-test-"))
    folder.chmod(0o755)
    joined = Embedded.join(folder / "postgres")
    yield joined.url
    joined.leave()
    shutil.rmtree(folder)


def _given(epochs: Sequence[EpochInputs]) -> Rows:
    """Return the raw inputs as the rows of `inputs.sql`; an epoch is told by its place."""
    rows: Rows = {name: [] for name in (*TABLES, *BEFORE)}
    for number, one in enumerate(epochs):
        rules, timing, opening = one.rules, one.timing, one.opening
        rows["epochs"].append(
            (
                number, timing.epoch_start(one.epoch), timing.slot_s, timing.slots_per_epoch, one.quorum,
                unit_atto(one.decimals), 10**one.stake_decimals,
                rules.provider_ppm, rules.verifier_ppm, rules.treasury_ppm,
                rules.incentive_per_epoch, one.incentive_fund, rules.stake_rate, opening.sla_fund,
            )
        )  # fmt: skip
        before = {state.provider: state for state in opening.providers}
        for record in one.providers:
            past = before.get(record.provider)
            rows["providers"].append(
                (
                    number, record.provider, int(record.status), bool(past and past.active), record.registered_at,
                    record.stake, record.required_stake, record.delegated, record.commission_ppm, record.weight,
                    int(record.hardware_class), past.clean_epochs if past else 0,
                    past.cumulative_fees if past else 0, past.cumulative_incentive if past else 0,
                )
            )  # fmt: skip
        for provider, windows in one.maintenance:
            rows["windows"] += [(number, provider, window.starts_at, window.ends_at) for window in windows]
        first, slots = one.epoch * timing.slots_per_epoch, timing.slots_per_epoch
        for attempt in one.attempts:
            receipt, counter = attempt.receipt, attempt.countersignature
            placed = (number, receipt.provider, counter.customer, counter.slot - first)
            rows["attempts"].append((*placed, int(receipt.status), counter.service_class, receipt.charge_atto))
        remembered = [(state.provider, state.service_days) for state in opening.providers]
        remembered += [(state.customer, state.service_days) for state in opening.critical]
        rows["days_before"] += [(number, who, day.counted, day.down) for who, days in remembered for day in days]
        rows["scarcity_before"] += [(number, kind.hardware_class, kind.ppm) for kind in opening.scarcity]
        rows["carries"] += [(number, carry.customer, carry.atto) for carry in opening.carries]
        for signed in one.probe_days:
            up = format(join_words(signed.day.up), f"0{slots}b")[::-1]
            rows["probe_days"].append((number, signed.day.provider, signed.verifier, up))
        for canary in one.canary_days:
            day = canary.day
            rows["canary_days"].append((number, day.provider, canary.verifier, day.asked, day.passed))
    return rows


def _by_sql(server: str, epochs: Sequence[EpochInputs]) -> Rows:
    """Let PostgreSQL settle the epochs in one transaction that leaves nothing behind; return its answers."""
    with psycopg.connect(server) as connection:
        connection.execute((SQL / "inputs.sql").read_bytes())
        for table, rows in _given(epochs).items():
            with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:  # type: ignore[arg-type]
                for row in rows:
                    copy.write_row(row)
        connection.execute((SQL / "settlement.sql").read_bytes())
        said: Rows = {}
        for table, columns in ANSWERS.items():
            found = connection.execute(f"SELECT {columns} FROM {table}").fetchall()  # type: ignore[arg-type]
            said[table] = [tuple(one if isinstance(one, (str, bool)) else int(one) for one in row) for row in found]
        connection.rollback()
    return said


def _by_settle(settled: Sequence[Settlement]) -> Rows:
    """Return what `settle` says in the same rows."""
    said: Rows = {name: [] for name in ANSWERS}
    for number, one in enumerate(settled):
        report, closing = one.report, one.closing
        charged = {charge.customer: charge.amount for charge in report.charges}
        carried = {carry.customer: carry.atto for carry in closing.carries}
        said["said_customers"] += [
            (number, name, charged.get(name, 0), carried.get(name, 0)) for name in charged.keys() | carried.keys()
        ]
        said["said_credits"] += [(number, c.customer, c.provider, c.amount) for c in report.credits]
        said["said_payees"] += [(number, payee.verifier, payee.amount) for payee in report.payees]
        pools = {pool.provider: pool.amount for pool in report.pools}
        for leaf in report.leaves:
            lines = {line.rule.split()[0]: dict(line.numbers) for line in one.lines if line.subject == leaf.provider}
            money, earned = lines["fees"], lines["incentive"]
            said["said_providers"].append(
                (
                    number, leaf.provider, leaf.measured, leaf.uptime_ppm, leaf.success_ppm, leaf.verification_ppm,
                    money["gross"], money["part"], money["credited"], earned["availability"], earned["work"],
                    pools.get(leaf.provider, 0), leaf.cumulative_fees, leaf.cumulative_incentive,
                )
            )  # fmt: skip
        said["said_scarcity"] += [(number, kind.hardware_class, kind.ppm) for kind in closing.scarcity]
        totals = report.totals
        said["said_totals"].append(
            (
                number, totals.charged, totals.provider_fees, totals.verifier_fees, totals.treasury, totals.sla_fund_in,
                totals.credits, totals.credits_from_fund, totals.incentive, totals.pools, closing.sla_fund,
            )
        )  # fmt: skip
    return said


def _differences(sql: Rows, python: Rows, seeds: Sequence[object]) -> list[str]:
    found = []
    for table, columns in ANSWERS.items():
        ours, theirs = Counter(python[table]), Counter(sql[table])
        for who, rows in (("Python", ours - theirs), ("SQL", theirs - ours)):
            found += [f"seed {seeds[row[0]]}, {table} ({columns}): {who} alone says {row}" for row in sorted(rows)]
    return found


def _short_fund(inputs: EpochInputs, settled: Settlement) -> bool:
    """The fund was spent to less than it takes to give every rest one unit more, and a rate was not met."""
    totals = settled.report.totals
    return totals.credits_from_fund > 0 and settled.closing.sla_fund < len(settled.report.credits)


def _capped(inputs: EpochInputs, settled: Settlement) -> bool:
    earned = {line.subject: dict(line.numbers) for line in settled.lines if line.rule.startswith("incentive")}
    return any(
        (
            cap := stake_cap(
                one.stake + min(one.delegated, 16 * one.stake), inputs.rules.stake_rate, inputs.stake_decimals
            )
        )
        and earned[one.provider]["work"] == cap
        for one in inputs.providers
    )


CORNERS: dict[str, Callable[[EpochInputs, Settlement], bool]] = {
    "no provider at all": lambda i, s: not i.providers,
    "no verifier": lambda i, s: not i.verifiers and bool(i.attempts),
    "no attempt": lambda i, s: not i.attempts and bool(i.providers),
    "work that costs nothing": lambda i, s: bool(i.attempts) and not s.report.totals.charged,
    "owed below a unit": lambda i, s: bool(s.closing.carries) and not s.report.charges,
    "a carry that becomes a charge": lambda i, s: any(
        carry.customer in {charge.customer for charge in s.report.charges} for carry in i.opening.carries
    ),
    "a carry of somebody who is gone": lambda i, s: bool(
        {carry.customer for carry in i.opening.carries} - {one.customer for one in i.customers}
    ),
    "dust for the SLA fund": lambda i, s: i.rules.sla_fund_ppm == 0 and s.report.totals.sla_fund_in > 0,
    "verifiers too many for their fees": lambda i, s: (
        s.report.totals.charged > 0 and bool(i.probe_days) and i.rules.verifier_ppm > 0 and not s.report.payees
    ),
    "credits within the fees": lambda i, s: s.report.totals.credits > 0 == s.report.totals.credits_from_fund,
    "credits that the fund bears": lambda i, s: s.report.totals.credits_from_fund > 0,
    "a fund that is short": _short_fund,
    "a fund that is empty": lambda i, s: s.report.totals.credits > 0 == s.closing.sla_fund,
    "a work incentive at its cap": _capped,
    "no budget": lambda i, s: min(i.rules.incentive_per_epoch, i.incentive_fund) == 0 < s.report.totals.charged,
    "a stake of nothing with somebody behind it": lambda i, s: any(
        not one.stake and one.delegated for one in i.providers
    ),
    "sixteen times the stake": lambda i, s: any(one.delegated == 16 * one.stake > 0 for one in i.providers),
    "more than sixteen times the stake": lambda i, s: any(
        one.delegated > 16 * one.stake > 0 and one.provider in {pool.provider for pool in s.report.pools}
        for one in i.providers
    ),
    "the whole as commission": lambda i, s: any(
        one.delegated and one.commission_ppm == 10**6 and s.report.totals.incentive for one in i.providers
    ),
    "void slots": lambda i, s: any(any(one.void) for one in s.measured),
    "a slot saved by a customer": lambda i, s: any(
        join_words(one.served) & join_words(one.duty) & ~join_words(one.void)
        and any(join_words(one.served) & ~join_words(day.up) for day in one.days)
        for one in s.measured
    ),
    "declared maintenance": lambda i, s: bool(i.maintenance),
    "registered within the epoch": lambda i, s: any(
        one.registered_at > i.timing.epoch_start(i.epoch) for one in i.providers
    ),
    "jailed or removed": lambda i, s: any(one.status != ProviderStatus.ACTIVE for one in i.providers),
    "a promise of a month that was not kept": lambda i, s: any(
        uptime_ppm(one.service_days) < 999_000 <= leaf.uptime_ppm
        and any(credit.provider == leaf.provider for credit in s.report.credits)
        for one in i.opening.providers
        for leaf in s.report.leaves
        if leaf.provider == one.provider
    ),
    "a customer of critical without any provider": lambda i, s: any(
        one.service_days[-1].down for one in s.closing.critical
    ),
    "a class that grew scarcer": lambda i, s: any(
        one.ppm > {kind.hardware_class: kind.ppm for kind in i.opening.scarcity}.get(one.hardware_class, 10**6)
        for one in s.closing.scarcity
    ),
    "long without a strike": lambda i, s: any(one.clean_epochs == 90 for one in i.opening.providers),
    "a failed canary": lambda i, s: any(one.day.passed < one.day.asked for one in i.canary_days),
    "days below a quorum": lambda i, s: any(0 < len(one.days) < i.quorum for one in s.measured),
}


@pytest.mark.timeout(120 * EPOCHS // BATCH)
def test_sql_and_python_agree_to_the_unit_on_random_epochs_and_reach_every_corner(server: str) -> None:
    reached: Counter[str] = Counter()
    for start in range(0, EPOCHS, BATCH):
        seeds = range(start, start + BATCH)
        epochs = [random_epoch(random.Random(seed)) for seed in seeds]
        settled = [settle(inputs) for inputs in epochs]
        found = _differences(_by_sql(server, epochs), _by_settle(settled), seeds)
        assert not found, "\n".join(found[:10])
        for inputs, one in zip(epochs, settled, strict=True):
            reached.update(name for name, holds in CORNERS.items() if holds(inputs, one))
    assert {name: reached[name] for name in CORNERS if reached[name] < 5} == {}


def _edges() -> EpochInputs:
    """An epoch of a thousand slots: for every published edge a provider on it and one a slot below, each paid once."""
    net = Network(providers=70, slots=1_000)
    downs = [share + more for share in (5, 10, 20, 50, 100, 150, 700) for more in (0, 1)]
    down = {name: range(count) for name, count in zip(net.provider_names, downs, strict=False)}
    served = [
        net.attempt(name, net.customer_names[0], 999, job=name[2:].encode()[:32], charge_atto=10**18)
        for name in net.provider_names
    ]
    return net.inputs(attempts=served, probe_days=net.probe_days(0, down))


def _storm(providers: int, gone: int) -> EpochInputs:
    """An epoch in which so many of so many providers are down together for a quarter of it."""
    net = Network(providers=providers, slots=40)
    return net.inputs(probe_days=net.probe_days(0, {name: range(10) for name in net.provider_names[:gone]}))


def test_sql_and_python_agree_at_every_published_edge(server: str) -> None:
    epochs = [_edges(), _storm(10, 3), _storm(13, 4), _storm(20, 6), _storm(3, 1)]
    settled = [settle(inputs) for inputs in epochs]
    assert _differences(_by_sql(server, epochs), _by_settle(settled), ["edges", "3/10", "4/13", "6/20", "1/3"]) == []
    uptimes = {leaf.uptime_ppm for leaf in settled[0].report.leaves}
    assert {995_000, 994_000, 990_000, 950_000, 900_000, 899_000, 850_000, 300_000, 299_000} <= uptimes
    assert [any(one.measured[0].void) for one in settled] == [False, False, True, False, True]


@pytest.mark.parametrize("number", range(2, RULES_NUMBER + 1))
def test_sql_settles_the_golden_epochs_as_committed(server: str, number: int) -> None:
    digest = (GOLDEN / f"rules-{number}.json").read_text().split('"evidence": "0x')[1][:64]
    bundle = read_bundle(FolderStore(GOLDEN / f"rules-{number}"), bytes.fromhex(digest))
    said = _by_sql(server, [bundle.inputs])
    assert _differences(said, _by_settle([settle(bundle.inputs)]), ["golden"]) == []
    leaves = {leaf.provider: (leaf.cumulative_fees, leaf.cumulative_incentive) for leaf in bundle.report.leaves}
    assert {row[1]: row[-2:] for row in said["said_providers"]} == leaves


def test_a_difference_of_one_unit_is_named_with_its_seed(server: str) -> None:
    inputs = random_epoch(random.Random(4))
    said = _by_sql(server, [inputs])
    row = said["said_totals"][0]
    wrong = {**said, "said_totals": [(*row[:4], row[4] + 1, *row[5:])]}
    assert _differences(said, said, [4]) == []
    assert len(_differences(wrong, said, [4])) == 2
    assert _differences(wrong, said, [4])[0].startswith("seed 4, said_totals")
