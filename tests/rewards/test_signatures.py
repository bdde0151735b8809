"""Every kind of wrong signature is found and named by its line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.messages import Status
from contracts.signing import keccak
from contracts.types import ProviderStatus
from rewards.settlement import settle
from rewards.signatures import check_signatures
from rewards.testing import Network, signer
from rewards.types import Attempt, EpochInputs


@pytest.fixture(scope="module")
def net() -> Network:
    return Network(providers=3)


@pytest.fixture(scope="module")
def inputs(net: Network) -> EpochInputs:
    return net.inputs(
        attempts=net.attempts(0, 30, failing=net.provider_names[:1]),
        canary_days=[net.canary_day(0, net.provider_names[0], 0, 5, 5)],
        rating_days=[net.rating_day(net.provider_names[0], 0, 2, 750_000)],
    )


def _with(inputs: EpochInputs, index: int, changed: Attempt) -> EpochInputs:
    return replace(inputs, attempts=(*inputs.attempts[:index], changed, *inputs.attempts[index + 1 :]))


def _signed_index(inputs: EpochInputs) -> int:
    return next(index for index, one in enumerate(inputs.attempts) if one.provider_signature)


def _flip(signature: bytes) -> bytes:
    return bytes([signature[0] ^ 1]) + signature[1:]


@pytest.mark.parametrize("processes", [1, 2])
def test_honest_inputs_differ_in_nothing_and_progress_reaches_the_end(inputs: EpochInputs, processes: int) -> None:
    seen: list[tuple[int, int]] = []
    assert check_signatures(inputs, processes, lambda done, all_: seen.append((done, all_))) is None
    assert seen[-1] == (30 + 9 + 1, 30 + 9 + 1)


def test_a_receipt_changed_after_countersigning_is_named(inputs: EpochInputs) -> None:
    index = _signed_index(inputs)
    one = inputs.attempts[index]
    found = check_signatures(_with(inputs, index, replace(one, receipt=replace(one.receipt, charge_atto=1))))
    assert found is not None and found.where == f"attempts.jsonl, line {index + 1}, countersignature.receipt"


@pytest.mark.parametrize("field", ["provider_signature", "gateway_signature"])
def test_a_flipped_signature_is_named(inputs: EpochInputs, field: str) -> None:
    index = _signed_index(inputs)
    one = inputs.attempts[index]
    found = check_signatures(_with(inputs, index, replace(one, **{field: _flip(getattr(one, field))})))
    assert found is not None and found.where == f"attempts.jsonl, line {index + 1}, {field}"
    expected = one.gateway if field == "gateway_signature" else "0x"
    assert found.ours.startswith(expected) and found.theirs != found.ours


def test_a_receipt_by_another_key_than_the_registered_one_is_named(net: Network) -> None:
    one = net.attempt(net.provider_names[0], net.customer_names[0], 3, job=b"\x01" * 32)
    other = net.hot_keys[net.provider_names[1]]
    forged = replace(one, provider_signature=other.sign(one.receipt.digest(net.separator)))
    found = check_signatures(net.inputs(attempts=[forged]))
    assert found is not None and (found.ours, found.theirs) == (
        net.hot_keys[net.provider_names[0]].address, other.address,
    )  # fmt: skip


def test_a_gateway_without_a_bond_is_named(net: Network) -> None:
    stranger = signer("stranger")
    one = net.attempt(net.provider_names[0], net.customer_names[0], 3, job=b"\x01" * 32)
    forged = replace(
        one, gateway=stranger.address, gateway_signature=stranger.sign(one.countersignature.digest(net.separator))
    )
    found = check_signatures(net.inputs(attempts=[forged]))
    assert found is not None and (found.ours, found.theirs) == ("an active gateway", stranger.address)


def test_a_signature_from_another_chain_is_worth_nothing(net: Network) -> None:
    other = Network(providers=3, chain_id=1)
    one = other.attempt(net.provider_names[0], net.customer_names[0], 3, job=b"\x01" * 32)
    found = check_signatures(net.inputs(attempts=[one]))
    assert found is not None and found.where.endswith("gateway_signature")


def test_a_failure_that_only_the_gateway_signed_is_enough(net: Network) -> None:
    one = net.attempt(
        net.provider_names[0], net.customer_names[0], 3, job=b"\x01" * 32, status=Status.TIMEOUT, signed=False
    )
    assert check_signatures(net.inputs(attempts=[one])) is None


def test_a_malformed_signature_is_nobodys(net: Network) -> None:
    one = net.attempt(net.provider_names[0], net.customer_names[0], 3, job=b"\x01" * 32)
    found = check_signatures(net.inputs(attempts=[replace(one, gateway_signature=b"\x00" * 64)]))
    assert found is not None and "65 bytes" in found.theirs


@pytest.mark.parametrize("name", ["probe_days", "canary_days"])
def test_a_day_changed_after_signing_is_named(inputs: EpochInputs, name: str) -> None:
    days = getattr(inputs, name)
    change = {"histogram": 1} if name == "probe_days" else {"passed": 0}
    forged = replace(days[0], day=replace(days[0].day, **change))
    found = check_signatures(replace(inputs, **{name: (forged, *days[1:])}))
    kind = "probe day" if name == "probe_days" else "canary day"
    assert found is not None and found.where.startswith(f"attestations.jsonl, {kind} of {days[0].day.provider}")
    assert found.ours == days[0].verifier


def test_a_verifier_that_is_not_active_is_named(inputs: EpochInputs) -> None:
    gone = replace(inputs.verifiers[1], active=False)
    found = check_signatures(replace(inputs, verifiers=(inputs.verifiers[0], gone, inputs.verifiers[2])))
    assert found is not None and found.theirs == gone.operator


def test_a_seed_that_is_not_the_committed_one_is_named(inputs: EpochInputs) -> None:
    forged = replace(inputs.seeds[1], seed=b"\x00" * 32)
    found = check_signatures(replace(inputs, seeds=(inputs.seeds[0], forged, inputs.seeds[2])))
    assert found is not None and found.where == f"attestations.jsonl, seed of {forged.verifier}"
    assert found.ours == "0x" + keccak(bytes(32)).hex() and found.theirs == "0x" + forged.committed.hex()


def test_a_verifier_whose_days_are_used_must_reveal(inputs: EpochInputs) -> None:
    found = check_signatures(replace(inputs, seeds=inputs.seeds[1:]))
    assert found is not None and (found.ours, found.theirs) == ("a revealed seed", "nothing")


def test_a_verifier_that_committed_to_nothing_can_still_attest(inputs: EpochInputs) -> None:
    open_seed = replace(inputs.seeds[0], committed=bytes(32))
    assert check_signatures(replace(inputs, seeds=(open_seed, *inputs.seeds[1:]))) is None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["provider_signature", "gateway_signature"]), st.integers(0, 10**6), st.integers(0, 65 * 8 - 1))
def test_one_bit_flipped_anywhere_in_a_signature_is_named_by_its_line(
    inputs: EpochInputs, field: str, which: int, bit: int
) -> None:
    signed = [index for index, one in enumerate(inputs.attempts) if getattr(one, field)]
    index = signed[which % len(signed)]
    one = inputs.attempts[index]
    good = getattr(one, field)
    bad = good[: bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1 :]
    found = check_signatures(_with(inputs, index, replace(one, **{field: bad})))
    assert found is not None and found.where == f"attempts.jsonl, line {index + 1}, {field}"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["receipt", "countersignature"]), st.data())
def test_any_number_changed_in_a_signed_attempt_is_named_by_its_line(
    inputs: EpochInputs, part: str, data: st.DataObject
) -> None:
    index = data.draw(st.sampled_from([i for i, one in enumerate(inputs.attempts) if one.provider_signature]))
    one = inputs.attempts[index]
    message = getattr(one, part)
    numbers = [name for name in message.attributes() if isinstance(getattr(message, name), int)]
    name = data.draw(st.sampled_from(numbers))
    changed = replace(message, **{name: getattr(message, name) + 1})
    found = check_signatures(_with(inputs, index, replace(one, **{part: changed})))
    assert found is not None and found.where.startswith(f"attempts.jsonl, line {index + 1}, ")


def test_the_first_of_several_differences_is_returned_whatever_the_processes(net: Network) -> None:
    attempts = list(net.inputs(attempts=net.attempts(0, 4_100, seed=3)).attempts)
    for index in (4_050, 2_500, 2_100):
        attempts[index] = replace(attempts[index], gateway_signature=_flip(attempts[index].gateway_signature))
    forged = net.inputs(attempts=attempts)
    for processes in (1, 2):
        found = check_signatures(forged, processes)
        assert found is not None and found.where == "attempts.jsonl, line 2101, gateway_signature"


def test_a_jailed_providers_receipts_are_still_its_own(net: Network) -> None:
    other = Network(providers=3)
    one = other.attempt(other.provider_names[0], other.customer_names[0], 3, job=b"\x01" * 32)
    other.change(other.provider_names[0], status=ProviderStatus.JAILED)
    assert check_signatures(other.inputs(attempts=[one])) is None


def test_a_key_replaced_in_the_epoch_is_good_until_its_checkpoint_and_no_longer() -> None:
    net = Network(providers=3)
    name, old, fresh = net.provider_names[0], net.hot_keys[net.provider_names[0]], signer("fresh hot key")
    opening = settle(net.inputs()).closing
    early = net.attempt(name, net.customer_names[0], 61, job=b"\x01" * 32)
    net.hot_keys[name] = fresh
    net.change(name, signer=fresh.address)
    late = net.attempt(name, net.customer_names[0], 62, job=b"\x02" * 32)
    inputs = net.inputs(1, attempts=[early, late], opening=opening)
    assert check_signatures(inputs) is None
    after = net.inputs(2, attempts=[early, late], opening=settle(inputs).closing)
    found = check_signatures(after)
    assert found is not None and (found.ours, found.theirs) == (fresh.address, old.address)


def test_a_rating_day_changed_after_signing_or_of_a_gateway_that_left_is_named(inputs: EpochInputs) -> None:
    [day] = inputs.rating_days
    forged = replace(day, day=replace(day.day, sum_ppm=0))
    found = check_signatures(replace(inputs, rating_days=(forged,)))
    assert found is not None and found.where.startswith(f"attestations.jsonl, rating day of {day.day.provider}")
    gone = tuple(replace(record, active=False) for record in inputs.gateways)
    without = replace(inputs, attempts=(), gateways=gone)
    found = check_signatures(without)
    assert found is not None and (found.ours, found.theirs) == ("an active gateway", day.gateway)
