"""Service classes: what each promises, what a month remembers, and who a critical customer depends on."""

from __future__ import annotations

import doctest
from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import ServiceClass
from rewards import incentive, missing, scarcity, service, tenure
from rewards.service import TARGETS_PPM, WINDOW_EPOCHS, credit_rate_ppm, remember, uptime_ppm
from rewards.settlement import settle
from rewards.testing import Network
from rewards.types import EpochState, ServiceDay, Settlement

UNIT = 10**12


@pytest.mark.parametrize("module", [incentive, missing, scarcity, service, tenure], ids=lambda one: one.__name__)
def test_the_worked_examples_in_the_docstrings_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0


@pytest.mark.parametrize(
    ("uptime", "rate"),
    [
        (1_000_000, 0), (995_000, 0), (994_999, 100_000), (990_000, 100_000), (989_999, 250_000), (950_000, 250_000),
        (949_999, 500_000), (900_000, 500_000), (899_999, 1_000_000), (0, 1_000_000),
    ],
)  # fmt: skip
def test_the_credit_steps_stand_where_the_page_says(uptime: int, rate: int) -> None:
    assert credit_rate_ppm(uptime) == rate


@given(st.integers(0, 999_999), st.sampled_from(list(ServiceClass)))
def test_more_uptime_never_costs_more_and_a_stricter_class_never_gives_less(uptime: int, kind: ServiceClass) -> None:
    assert credit_rate_ppm(uptime, kind) >= credit_rate_ppm(uptime + 1, kind)
    rates = [credit_rate_ppm(uptime, one) for one in sorted(TARGETS_PPM, key=lambda one: TARGETS_PPM[one])]
    assert rates == sorted(rates) and credit_rate_ppm(uptime, ServiceClass.ECONOMY) == 0


@given(st.lists(st.tuples(st.integers(0, 1440), st.integers(0, 1440)), max_size=70))
def test_a_month_is_the_last_thirty_epochs(raw: list[tuple[int, int]]) -> None:
    days = [ServiceDay(counted, min(down, counted)) for counted, down in raw]
    kept: tuple[ServiceDay, ...] = ()
    for day in days:
        kept = remember(kept, day)
    assert kept == tuple(days[-(WINDOW_EPOCHS - 1) :])
    assert 0 <= uptime_ppm(days) <= 10**6


def _settled(
    down: dict[int, range], sold: dict[int, list[ServiceClass]], opening: EpochState | None = None
) -> Settlement:
    """Settle an epoch of a thousand slots in which one customer paid ten units at every provider for every class."""
    net = Network(providers=8, customers=1, slots=1_000)
    names, epoch = net.provider_names, 0 if opening is None else opening.epoch + 1
    attempts = [
        net.attempt(
            names[index],
            net.customer_names[0],
            epoch * 1_000 + 999,
            job=bytes([index, kind]) * 16,
            charge_atto=10 * UNIT,
            service_class=kind,
        )
        for index, kinds in sold.items()
        for kind in kinds
    ]
    given = {} if opening is None else {"opening": replace(opening, report=b"\x01" * 32)}
    days = net.probe_days(epoch, {names[index]: slots for index, slots in down.items()})
    return settle(net.inputs(epoch, attempts=attempts, probe_days=days, **given))


def _credits(settled: Settlement) -> list[int]:
    return [credit.amount for credit in settled.report.credits]


def test_each_class_gives_back_what_it_promised_at_the_same_uptime() -> None:
    four_of_a_thousand = {0: range(4)}
    for kind, due in (
        (ServiceClass.ECONOMY, []),
        (ServiceClass.STANDARD, []),
        (ServiceClass.PREMIUM, [1]),
        (ServiceClass.CRITICAL, [1]),
    ):
        assert _credits(_settled(four_of_a_thousand, {0: [kind]})) == due
    dead = {0: range(999)}
    assert _credits(_settled(dead, {0: [ServiceClass.ECONOMY]})) == []
    assert sum(_credits(_settled(dead, {0: [ServiceClass.STANDARD]}))) == 10, "9 from the fees, 1 from the fund"


def test_a_critical_customer_of_two_providers_loses_nothing_while_one_of_them_is_up() -> None:
    both = {0: [ServiceClass.CRITICAL], 1: [ServiceClass.CRITICAL]}
    assert _credits(_settled({0: range(300)}, both)) == []
    assert _credits(_settled({0: range(300), 1: range(300, 600)}, both)) == []
    # at once in 20 of 1,000 slots: 98 %, a quarter of 10 units each
    assert _credits(_settled({0: range(300), 1: range(280, 600)}, both)) == [2, 2]
    assert _credits(_settled({0: range(20)}, {0: [ServiceClass.CRITICAL]})) == [2], (
        "of one provider alone it is all of it"
    )


def test_a_bad_day_is_remembered_for_a_month_by_premium_and_critical_but_not_by_standard() -> None:
    kinds = [ServiceClass.STANDARD, ServiceClass.PREMIUM, ServiceClass.CRITICAL]
    for kind in kinds:
        settled = _settled({0: range(40)}, {0: [kind]})
        paid = []
        for _ in range(WINDOW_EPOCHS):
            settled = _settled({}, {0: [kind]}, settled.closing)
            paid.append(sum(_credits(settled)))
        remembered = 0 if kind == ServiceClass.STANDARD else WINDOW_EPOCHS - 1
        assert [bool(amount) for amount in paid] == [True] * remembered + [False] * (WINDOW_EPOCHS - remembered)


def test_a_critical_customer_that_buys_no_more_is_forgotten_after_a_month() -> None:
    settled = _settled({}, {0: [ServiceClass.CRITICAL]})
    assert [one.customer for one in settled.closing.critical]
    for _ in range(WINDOW_EPOCHS - 2):
        settled = _settled({}, {}, settled.closing)
        assert settled.closing.critical
    assert not _settled({}, {}, settled.closing).closing.critical
