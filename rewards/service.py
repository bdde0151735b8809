"""What each service class promises, and what share of a fee goes back when the promise was not kept.

Four classes (docs/protocol.md, section 5.9): economy promises nothing, standard and premium promise the uptime of the
provider that serves, critical that not all of a customer's providers are down at once. Standard looks at the epoch,
premium and critical at the epoch and at the last thirty together (a month, where an epoch is a day), whichever is
worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from contracts.messages import ServiceClass
from rewards.epoch import Work
from rewards.measurement import PPM, Measured
from rewards.types import CriticalState, ServiceDay

TARGETS_PPM = {ServiceClass.STANDARD: 995_000, ServiceClass.PREMIUM: 999_000, ServiceClass.CRITICAL: 999_900}
STEPS = ((900_000, 1_000_000), (950_000, 500_000), (990_000, 250_000))
BELOW_TARGET_PPM = 100_000
WINDOW_EPOCHS = 30


def credit_rate_ppm(uptime_ppm: int, service_class: int = ServiceClass.STANDARD) -> int:
    """Return the share of a fee that goes back at an uptime; nothing for a class without a promise.

    >>> [credit_rate_ppm(uptime) for uptime in (995_000, 994_999, 989_999, 949_999, 899_999)]
    [0, 100000, 250000, 500000, 1000000]
    >>> [credit_rate_ppm(998_000, one) for one in (ServiceClass.ECONOMY, ServiceClass.PREMIUM, ServiceClass.CRITICAL)]
    [0, 100000, 100000]
    """
    target = TARGETS_PPM.get(ServiceClass(service_class))
    if target is None or uptime_ppm >= target:
        return 0
    return next((rate for below, rate in STEPS if uptime_ppm < below), BELOW_TARGET_PPM)


def uptime_ppm(days: Iterable[ServiceDay]) -> int:
    """Return the uptime over several epochs, rounded down; the whole when no slot counted.

    Twenty-nine perfect days of 1,440 slots and one with two slots down: 2 of 43,200 are missing.

    >>> uptime_ppm([ServiceDay(1440, 0)] * 29 + [ServiceDay(1440, 2)])
    999953
    """
    counted = down = 0
    for day in days:
        counted, down = counted + day.counted, down + day.down
    return (counted - down) * PPM // counted if counted else PPM


def rate_over_window_ppm(before: Sequence[ServiceDay], today: ServiceDay, service_class: int) -> int:
    """Return the worse of the epoch's and the window's rate; standard knows the epoch alone.

    Five slots of 1,440 down today (996,527 ppm) and a month that was perfect (999,884): premium misses its target
    today, critical both times.

    >>> month = (ServiceDay(1440, 0),) * 29
    >>> [rate_over_window_ppm(month, ServiceDay(1440, 5), one) for one in (0, 2, 3)]
    [0, 100000, 100000]
    >>> [rate_over_window_ppm((ServiceDay(1440, 60), *month[1:]), ServiceDay(1440, 0), one) for one in (0, 2, 3)]
    [0, 100000, 100000]
    """
    rate = credit_rate_ppm(uptime_ppm((today,)), service_class)
    if service_class == ServiceClass.STANDARD:
        return rate
    return max(rate, credit_rate_ppm(uptime_ppm((*before, today)), service_class))


def remember(before: Sequence[ServiceDay], today: ServiceDay) -> tuple[ServiceDay, ...]:
    """Return what the next epoch needs of the days before it: one less than the window."""
    return (*before, today)[-(WINDOW_EPOCHS - 1) :]


def day_of(one: Measured) -> ServiceDay:
    """Return an epoch of a provider as a line of its memory; nothing counts where nothing was measured."""
    return ServiceDay(one.counted.bit_count(), one.down.bit_count()) if one.measured else ServiceDay(0, 0)


def critical_days(work: Mapping[str, Work], measured: Mapping[str, Measured]) -> dict[str, ServiceDay]:
    """Return, per customer that paid for critical work, the slots in which all of its providers of the epoch were down.

    Slots count that count for all of them. Who was not measured is not down. Provider A down in slots 3 and 4, B in
    slot 4: the customer of both was without service in slot 4 alone; of A alone, in two.
    """
    counted: dict[str, int] = {}
    down: dict[str, int] = {}
    for name, one in work.items():
        for customer, service_class in one.paid_as:
            if service_class == ServiceClass.CRITICAL:
                counted[customer] = counted.get(customer, -1) & measured[name].counted
                down[customer] = down.get(customer, -1) & (measured[name].down if measured[name].measured else 0)
    return {one: ServiceDay(counted[one].bit_count(), (down[one] & counted[one]).bit_count()) for one in counted}


def remember_critical(before: Sequence[CriticalState], today: Mapping[str, ServiceDay]) -> tuple[CriticalState, ...]:
    """Return the customers of class critical with what they met; who met nothing in a whole window is forgotten."""
    past = {one.customer: one.service_days for one in before}
    states = (
        CriticalState(name, remember(past.get(name, ()), today.get(name, ServiceDay(0, 0))))
        for name in sorted(past.keys() | today.keys())
    )
    return tuple(one for one in states if any(day.counted for day in one.service_days))


def owed_back(
    work: Mapping[str, Work],
    measured: Mapping[str, Measured],
    before: Mapping[str, Sequence[ServiceDay]],
    critical: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    """Return what each measured provider owes its customers back, in atto times ppm; nothing where nothing is owed.

    `before`: the days of each provider before this one; `critical`: the rate of each customer of that class. 50 units
    of standard work at 10 % and 30 of premium work at 25 % are 50·100000 + 30·250000 = 12,500,000.
    """
    owed: dict[str, dict[str, int]] = {}
    for name, one in work.items():
        if not measured[name].measured or not one.paid_as:
            continue
        today = day_of(measured[name])
        sold = {kind for _, kind in one.paid_as}
        rates = {kind: rate_over_window_ppm(before.get(name, ()), today, kind) for kind in sold}
        sums: dict[str, int] = {}
        for (customer, kind), atto in one.paid_as.items():
            rate = critical[customer] if kind == ServiceClass.CRITICAL else rates[kind]
            if rate:
                sums[customer] = sums.get(customer, 0) + atto * rate
        if sums:
            owed[name] = sums
    return owed
