"""What cannot be settled is refused, and the refusal names the offender."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.messages import Status
from contracts.types import ProviderStatus
from rewards.epoch import canonical, check_inputs, tally
from rewards.errors import (
    BadAttempt,
    BadOpening,
    BadParameters,
    ChargeAboveEscrow,
    InputsRefused,
    NotBonded,
    OutOfOrder,
    OutsideEpoch,
    UnknownCustomer,
    UnknownProvider,
)
from rewards.settlement import settle
from rewards.state import GENESIS
from rewards.testing import Network, signer
from rewards.types import Carry, EpochInputs

JOB = bytes(31) + b"\x07"
STRANGER = signer("stranger").address


@pytest.fixture(scope="module")
def net() -> Network:
    return Network()


def _changed(net: Network, **receipt: object) -> EpochInputs:
    """One attempt, fields of its receipt changed after signing: signatures are checked elsewhere."""
    one = net.attempt(net.provider_names[0], net.customer_names[0], 5, job=JOB, charge_atto=10**12)
    return net.inputs(attempts=[replace(one, receipt=replace(one.receipt, **receipt))])  # type: ignore[arg-type]


def test_an_attempt_outside_the_epoch_is_refused(net: Network) -> None:
    for slot in (-1, 60):
        one = net.attempt(net.provider_names[0], net.customer_names[0], 5, job=JOB)
        one = replace(one, countersignature=replace(one.countersignature, slot=slot))
        with pytest.raises(
            OutsideEpoch, match=rf"job 0x{JOB.hex()} \(gateway's slot\) lies at {slot}, outside 0 to 59"
        ):
            settle(net.inputs(attempts=[one]))


def test_the_same_job_and_attempt_twice_is_refused(net: Network) -> None:
    one = net.attempt(net.provider_names[0], net.customer_names[0], 5, job=JOB)
    other = net.attempt(net.provider_names[1], net.customer_names[0], 6, job=JOB)
    with pytest.raises(OutOfOrder, match=f"attempts: attempt 0 of job 0x{JOB.hex()}"):
        settle(net.inputs(attempts=[one, other]))
    second = net.attempt(net.provider_names[1], net.customer_names[0], 6, job=JOB, attempt=1)
    settle(net.inputs(attempts=[one, second]))


@pytest.mark.parametrize("status", [Status.IDLE, Status.PROVIDER_ERROR, Status.TIMEOUT])
def test_a_charge_for_what_failed_is_refused(net: Network, status: Status) -> None:
    with pytest.raises(BadAttempt, match=f"{JOB.hex()}: it ended as {status.name.lower()} and is charged"):
        settle(_changed(net, status=status))


def test_a_charge_that_the_provider_never_signed_is_refused(net: Network) -> None:
    one = net.attempt(net.provider_names[0], net.customer_names[0], 5, job=JOB, charge_atto=5)
    with pytest.raises(BadAttempt, match="the provider signed nothing"):
        settle(net.inputs(attempts=[replace(one, provider_signature=b"")]))
    unsigned = net.attempt(net.provider_names[0], net.customer_names[0], 5, job=JOB, status=Status.SERVED, signed=False)
    with pytest.raises(BadAttempt, match="the provider signed nothing"):
        settle(net.inputs(attempts=[unsigned]))


def test_more_cached_than_input_tokens_and_unknown_statuses_are_refused(net: Network) -> None:
    with pytest.raises(BadAttempt, match="121 cached of 120 input tokens"):
        settle(_changed(net, cached_tokens=121))
    with pytest.raises(BadAttempt, match="status 5 has no meaning"):
        settle(_changed(net, status=5))


def test_strangers_are_named(net: Network) -> None:
    with pytest.raises(UnknownProvider, match=STRANGER):
        settle(_changed(net, provider=STRANGER))
    one = net.attempt(net.provider_names[0], STRANGER, 5, job=JOB, charge_atto=10**12)
    with pytest.raises(UnknownCustomer, match=STRANGER):
        settle(net.inputs(attempts=[one]))
    with pytest.raises(NotBonded, match=f"{STRANGER} is not an active gateway"):
        settle(net.inputs(attempts=[replace(one, gateway=STRANGER)]))
    day = net.probe_day(0, net.provider_names[0], 0)
    with pytest.raises(NotBonded, match=f"{STRANGER} is not an active verifier"):
        settle(net.inputs(probe_days=[replace(day, verifier=STRANGER)]))
    with pytest.raises(UnknownProvider, match="probe day"):
        settle(net.inputs(probe_days=[replace(day, day=replace(day.day, provider=STRANGER))]))
    with pytest.raises(UnknownProvider, match="maintenance"):
        settle(net.inputs(maintenance={STRANGER: [net.window(0, 1, 2)]}))


def test_an_operator_that_is_no_longer_active_counts_as_a_stranger(net: Network) -> None:
    inputs = net.inputs()
    gone = (replace(inputs.verifiers[0], active=False), *inputs.verifiers[1:])
    with pytest.raises(NotBonded, match=gone[0].operator):
        settle(replace(inputs, verifiers=gone))


def test_a_charge_above_the_cap_or_the_escrow_names_the_customer(net: Network) -> None:
    one = net.attempt(net.provider_names[0], net.customer_names[0], 5, job=JOB, charge_atto=9 * 10**12)
    with pytest.raises(ChargeAboveEscrow, match=f"{net.customer_names[0]} owes 9 units"):
        settle(net.inputs(attempts=[one], cap=8))
    with pytest.raises(ChargeAboveEscrow, match="balance 8"):
        settle(net.inputs(attempts=[one], balance=8))


def test_days_of_another_epoch_or_beyond_its_end_are_refused(net: Network) -> None:
    name = net.provider_names[0]
    with pytest.raises(OutsideEpoch, match=r"\(epoch\) lies at 1, outside 0 to 0"):
        settle(net.inputs(probe_days=[net.probe_day(0, name, 1)]))
    day = net.probe_day(0, name, 0)
    beyond = replace(day, day=replace(day.day, up=(1 << 60, 0, 0, 0, 0, 0)))
    with pytest.raises(OutsideEpoch, match=r"\(bit\) lies at 60, outside 0 to 59"):
        settle(net.inputs(probe_days=[beyond]))
    with pytest.raises(OutsideEpoch, match=r"\(passed\) lies at 3, outside 0 to 2"):
        settle(net.inputs(canary_days=[net.canary_day(0, name, 0, 2, 3)]))


def test_a_verifier_with_two_days_for_one_provider_is_refused(net: Network) -> None:
    name = net.provider_names[0]
    with pytest.raises(OutOfOrder, match=f"probe_days: {name} by {net.verifier_keys[0].address}"):
        settle(net.inputs(probe_days=[net.probe_day(0, name, 0), net.probe_day(0, name, 0, down=[3])]))


@pytest.mark.parametrize("name", ["providers", "verifiers", "customers", "probe_days", "seeds", "attempts"])
def test_an_unordered_list_is_refused_and_canonical_mends_it(net: Network, name: str) -> None:
    inputs = net.inputs(attempts=net.attempts(0, 5))
    turned = replace(inputs, **{name: tuple(reversed(getattr(inputs, name)))})
    with pytest.raises(OutOfOrder, match=f"^{name}: "):
        settle(turned)
    assert canonical(turned) == inputs


def test_an_opening_state_of_another_epoch_is_refused(net: Network) -> None:
    with pytest.raises(BadOpening, match="closed epoch -1"):
        settle(net.inputs(epoch=1))
    with pytest.raises(BadOpening, match="genesis state"):
        settle(net.inputs(opening=replace(GENESIS, sla_fund=1)))
    opening = settle(net.inputs()).closing
    for carry in (0, 10**12):
        with pytest.raises(BadOpening, match=f"carries {carry} atto"):
            settle(net.inputs(epoch=1, opening=replace(opening, carries=(Carry(STRANGER, carry),))))
    with pytest.raises(BadOpening, match="cannot owe"):
        settle(net.inputs(epoch=1, opening=replace(opening, sla_fund=-1)))
    foreign = replace(opening.providers[0], provider="0x" + "0" * 40)
    with pytest.raises(UnknownProvider, match="opening state"):
        settle(net.inputs(epoch=1, opening=replace(opening, providers=(foreign, *opening.providers[1:]))))


def test_parameters_without_sense_are_refused(net: Network) -> None:
    inputs = net.inputs()
    for changed in (
        replace(inputs, rules=replace(inputs.rules, treasury_ppm=1)),
        replace(inputs, rules=replace(inputs.rules, ttft_target_ms=0)),
        replace(inputs, timing=replace(inputs.timing, slots_per_epoch=1_537)),
        replace(inputs, decimals=19),
        replace(inputs, quorum=0),
    ):
        with pytest.raises(BadParameters):
            settle(changed)


def test_every_refusal_is_of_one_family() -> None:
    assert issubclass(ChargeAboveEscrow, InputsRefused) and issubclass(OutOfOrder, InputsRefused)


def test_attempts_are_counted_by_how_they_ended(net: Network) -> None:
    provider, customer = net.provider_names[0], net.customer_names[0]
    ends = [Status.SERVED, Status.SERVED, Status.IDLE, Status.CUSTOMER_ABORT, Status.PROVIDER_ERROR, Status.TIMEOUT]
    made = [
        net.attempt(provider, customer, index, job=bytes([index]) * 32, status=status)
        for index, status in enumerate(ends)
    ]
    work = tally(net.inputs(attempts=made))[provider]
    assert (work.served, work.failed, work.served_slots) == (2, 2, 0b11)


def test_a_jailed_provider_is_known_but_not_measured(net: Network) -> None:
    other = Network()
    other.change(other.provider_names[0], status=ProviderStatus.JAILED)
    inputs = other.inputs(probe_days=other.probe_days(0, {other.provider_names[0]: range(60)}))
    check_inputs(inputs)
    leaf = settle(inputs).report.leaves[0]
    assert (leaf.uptime_ppm, leaf.slash_level) == (1_000_000, 0)


def test_ratings_that_nobody_could_have_given_are_refused_by_name(net: Network) -> None:
    name, stranger = net.provider_names[0], net.customer_names[0]
    day = net.rating_day(name, 0, 2, 1_000_000)
    with pytest.raises(NotBonded, match=f"rating day of {name}"):
        settle(net.inputs(rating_days=[replace(day, gateway=stranger)]))
    with pytest.raises(UnknownProvider, match="rating day"):
        settle(net.inputs(rating_days=[net.rating_day(stranger, 0, 2, 0)]))
    with pytest.raises(OutsideEpoch, match=r"\(epoch\) lies at 1"):
        settle(net.inputs(rating_days=[net.rating_day(name, 1, 2, 0)]))
    with pytest.raises(OutsideEpoch, match=r"\(customers\) lies at 0"):
        settle(net.inputs(rating_days=[net.rating_day(name, 0, 0, 0)]))
    with pytest.raises(OutsideEpoch, match=r"\(sum\) lies at 2000001"):
        settle(net.inputs(rating_days=[net.rating_day(name, 0, 2, 2_000_001)]))
    with pytest.raises(OutOfOrder, match="rating_days"):
        settle(net.inputs(rating_days=[day, net.rating_day(name, 0, 1, 0)]))
