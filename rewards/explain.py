"""Say how a provider's or customer's numbers came about: one line per rule, with the numbers it turned on."""

from __future__ import annotations

from dataclasses import dataclass

from rewards.epoch import Work
from rewards.fees import Bills, Credits
from rewards.honesty import Checked
from rewards.measurement import Measured
from rewards.penalty import Outage, multiplier_ppm
from rewards.score import COMPONENTS
from rewards.tenure import tenure_ppm
from rewards.types import Line


@dataclass(frozen=True, slots=True)
class Explained:
    """Everything about one provider's epoch that an explanation mentions; `score_before` is None for a newcomer."""

    provider: str
    measured: Measured
    work: Work
    checked: Checked
    score_before: int | None
    components: tuple[int, ...]
    score_ppm: int
    gross: int
    part: int
    credited_all: int
    credited: int
    fees: int
    scarcity_ppm: int
    clean_epochs: int
    availability: int
    work_incentive: int
    stake: int
    delegated: int
    commission_ppm: int
    pool: int
    median_ppm: int
    outage: Outage
    level: int
    strikes: int
    standing: int
    awaited: int
    missing: int


def provider_lines(one: Explained) -> list[Line]:
    """Return the lines of one provider in the order of the computation: measurement, score, money, penalty."""
    measured, work = one.measured, one.work
    lines = [
        _line(
            one.provider,
            "uptime = up slots / counted slots" if measured.measured else "not measured: every slot counts as up",
            counted_slots=measured.counted.bit_count(),
            down_slots=measured.down.bit_count(),
            void_slots=measured.void.bit_count(),
            uptime_ppm=measured.uptime_ppm,
        ),
        _line(
            one.provider, "latency = bucket in which 95 % of the probes are reached",
            probes=sum(measured.counts), ttft_p95_bucket=measured.ttft_p95_bucket,
        ),
        _line(one.provider, "success = served / (served + failed)", served=work.served, failed=work.failed),
        _line(
            one.provider, "verification = canaries and compared answers passed / asked",
            asked=one.checked.asked, passed=one.checked.passed,
        ),
        Line(
            one.provider,
            "score = weighted components with the prior",
            (
                *((f"{name}_ppm", value) for name, value in zip(COMPONENTS, one.components, strict=True)),
                *((("before_ppm", one.score_before),) if one.score_before is not None else ()),
                ("score_ppm", one.score_ppm),
            ),
        ),
        _line(
            one.provider, "fees = provider's share of gross - credits",
            charged_atto=work.charge_atto, gross=one.gross, part=one.part, credited=one.credited, fees=one.fees,
        ),
        _line(
            one.provider, "incentive = availability + work - delegators' part",
            multiplier_ppm=multiplier_ppm(measured.uptime_ppm) if measured.measured else 0,
            scarcity_ppm=one.scarcity_ppm, tenure_ppm=tenure_ppm(one.clean_epochs),
            availability=one.availability, work=one.work_incentive, to_delegators=one.pool,
            incentive=one.availability + one.work_incentive - one.pool,
        ),
    ]  # fmt: skip
    if one.credited_all:
        lines.append(
            _line(
                one.provider, "credit: below the service level",
                uptime_ppm=measured.uptime_ppm, credits=one.credited_all, from_fees=one.credited,
            )
        )  # fmt: skip
    if one.awaited or one.missing:
        lines.append(_line(one.provider, "receipts named and not there", awaited=one.awaited, missing=one.missing))
    if one.delegated:
        lines.append(
            _line(
                one.provider, "delegators' part = by stake, less commission",
                stake=one.stake, delegated=one.delegated, commission_ppm=one.commission_ppm, to_delegators=one.pool,
            )
        )  # fmt: skip
    lines += [_line(one.provider, rule, **numbers) for rule, numbers in one.checked.findings]
    if one.level or one.outage.standing_slots or one.standing:
        lines.append(
            _line(
                one.provider, "penalty = worst of uptime level, outage level and what was served",
                median_ppm=one.median_ppm, outage_slots=one.outage.longest_slots, slash_level=one.level,
                strikes=one.strikes, standing=one.standing,
            )
        )  # fmt: skip
    return lines


def customer_lines(bills: Bills, credits: Credits) -> list[Line]:
    """Return what each customer pays, carries and gets back."""
    carried = {carry.customer: carry.atto for carry in bills.carries}
    paid = {charge.customer: charge.amount for charge in bills.charges}
    back: dict[str, int] = {}
    for one in credits.credits:
        back[one.customer] = back.get(one.customer, 0) + one.amount
    return [
        _line(
            customer, "charge = atto owed / one unit, the remainder is carried",
            charge=paid.get(customer, 0), carried_atto=carried.get(customer, 0), credited=back.get(customer, 0),
        )
        for customer in sorted(paid.keys() | carried.keys() | back.keys())
    ]  # fmt: skip


def _line(subject: str, rule: str, **numbers: int) -> Line:
    return Line(subject, rule, tuple(numbers.items()))
