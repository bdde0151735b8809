"""What a class should reach, and how many bad epochs make a case."""

from pathlib import Path

import pytest

from contracts.messages import Domain
from contracts.signing import Signer
from contracts.types import HardwareClass
from rewards.verifier.attestation import Shown, check_days
from rewards.verifier.capacity import BYTES_PER_S, burst_slots, capacity_ppm, expected_rate, slow_epochs
from rewards.verifier.probe import Verdict
from rewards.verifier.store import Measurement, MeasurementStore

SEPARATOR = Domain(31337, "0x" + "ee" * 20).separator()
VERIFIER, A = Signer(b"\x03" * 32), "0x" + "01" * 20


def test_two_t4_with_eight_gigabytes_should_reach_twenty_tokens_a_second():
    assert expected_rate(HardwareClass.T4, 2, 8 * 10**9, 8) == 20
    assert capacity_ppm([15, 14, 30], 20) == 750_000


def test_a_small_model_is_expected_to_do_no_more_than_its_requests_can_carry():
    assert expected_rate(HardwareClass.H100, 8, 10**8, 4) == 240
    assert expected_rate(HardwareClass.CPU, 1, 10**15, 4) == 1


def test_every_class_of_the_contract_has_a_bandwidth_and_dearer_ones_have_more():
    assert list(BYTES_PER_S) == list(HardwareClass)
    assert sorted(BYTES_PER_S.values()) == list(BYTES_PER_S.values())


@pytest.mark.parametrize(
    ("before", "bursts", "capacity", "after"), [(2, 3, 499_999, 3), (2, 3, 500_000, 0), (2, 0, 0, 0)]
)
def test_only_a_measured_epoch_below_half_goes_on_counting(before: int, bursts: int, capacity: int, after: int):
    assert slow_epochs(before, bursts, capacity) == after


def test_bursts_fall_in_slots_that_only_the_seed_tells():
    drawn = burst_slots(b"seed", 60, 3)
    assert drawn == burst_slots(b"seed", 60, 3) != burst_slots(b"other", 60, 3)
    assert len(set(drawn)) == 3 and list(drawn) == sorted(drawn) and max(drawn) < 60
    assert burst_slots(b"seed", 2, 9) == (0, 1)


def test_hardware_that_is_registered_twice_is_slow_for_both_and_the_count_goes_on_over_epochs(tmp_path: Path):
    store, seen = MeasurementStore(tmp_path), [Measurement(A, 1, Verdict.SERVED, 9, None)]
    for epoch in range(3):
        store.add_burst(epoch, A, 9, 20)  # alone it would do 18 of the 20 expected: loaded twice it does 9
        slow = store.slow_epochs(epoch - 1) if epoch else {}
        days, _ = check_days(VERIFIER, SEPARATOR, epoch, seen, None, store.bursts(epoch), slow)
        (signed,) = days
        assert (signed.day.capacity_ppm, signed.day.slow_epochs) == (450_000, epoch + 1)
        store.attested(epoch, lambda: Shown(VERIFIER.address, bytes(32), (), (), days).document(epoch))  # noqa: B023
    store.add_burst(2, A, 99, 20)
    assert store.bursts(2) == {A: [(9, 20)]}
