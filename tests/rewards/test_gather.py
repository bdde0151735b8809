"""Inputs put together are in order and settle, whatever single verifiers hand in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rewards.canonical import build, canonical_json, plain, read_json
from rewards.gather import assemble, chain_part
from rewards.settlement import settle
from rewards.signatures import check_signatures
from rewards.state import GENESIS
from rewards.testing import Network, signer
from rewards.types import ChainInputs, EpochInputs, SignedCanaryDay, SignedProbeDay, SignedRatingDay


@pytest.fixture(scope="module")
def net() -> Network:
    return Network()


@pytest.fixture(scope="module")
def inputs(net: Network) -> EpochInputs:
    return net.inputs(attempts=net.attempts(0, 20), maintenance={net.provider_names[1]: [net.window(0, 3, 5)]})


def _assemble(
    inputs: EpochInputs,
    *,
    days: tuple[SignedProbeDay, ...] = (),
    canaries: tuple[SignedCanaryDay, ...] = (),
    seeds: dict[str, bytes] | None = None,
    ratings: tuple[SignedRatingDay, ...] = (),
) -> EpochInputs:
    made = assemble(
        chain_part(inputs),
        GENESIS,
        attempts=inputs.attempts,
        probe_days=(*inputs.probe_days, *days),
        canary_days=canaries,
        seeds={reveal.verifier: reveal.seed for reveal in inputs.seeds} | (seeds or {}),
        commitments={reveal.verifier: reveal.committed for reveal in inputs.seeds},
        rating_days=ratings,
    )
    settle(made)
    assert check_signatures(made) is None
    return made


def test_the_chain_part_comes_back_and_assembles_to_the_same_inputs(inputs: EpochInputs) -> None:
    chain = build(ChainInputs, read_json(canonical_json(plain(chain_part(inputs)))))
    again = assemble(
        chain,
        GENESIS,
        attempts=reversed(inputs.attempts),
        probe_days=reversed(inputs.probe_days),
        canary_days=(),
        seeds={reveal.verifier: reveal.seed for reveal in inputs.seeds},
        commitments={reveal.verifier: reveal.committed for reveal in inputs.seeds},
    )
    assert again == inputs


def test_days_that_could_not_be_settled_are_left_out(net: Network, inputs: EpochInputs) -> None:
    stranger = signer("stranger").address
    good = net.probe_day(0, net.provider_names[0], 0)
    for day in (
        replace(good, verifier=stranger),
        net.probe_day(0, stranger, 0),
        net.probe_day(0, net.provider_names[0], 1),
        replace(good, day=replace(good.day, up=(1 << 60, 0, 0, 0, 0, 0))),
    ):
        assert _assemble(inputs, days=(day,)) == inputs
    canary = net.canary_day(0, net.provider_names[0], 0, 2, 3)
    assert _assemble(inputs, canaries=(canary,)) == inputs


def test_both_of_two_days_of_one_verifier_for_one_provider_are_left_out(net: Network, inputs: EpochInputs) -> None:
    name = net.provider_names[0]
    made = _assemble(inputs, days=(net.probe_day(0, name, 0, down=range(60)),))
    assert len(made.probe_days) == len(inputs.probe_days) - 1
    assert not [
        day for day in made.probe_days if (day.verifier, day.day.provider) == (net.verifier_keys[0].address, name)
    ]


def test_a_verifier_whose_seed_is_not_the_committed_one_is_left_out(net: Network, inputs: EpochInputs) -> None:
    out = net.verifier_keys[1].address
    made = _assemble(inputs, seeds={out: bytes(32)})
    assert out not in {day.verifier for day in made.probe_days} | {reveal.verifier for reveal in made.seeds}
    assert len(made.seeds) == 2 and len(made.probe_days) == len(inputs.probe_days) - len(net.provider_names)


def test_a_verifier_that_is_not_active_is_left_out(net: Network, inputs: EpochInputs) -> None:
    gone = replace(inputs, verifiers=(replace(inputs.verifiers[0], active=False), *inputs.verifiers[1:]))
    made = _assemble(gone)
    assert {reveal.verifier for reveal in made.seeds} == {one.operator for one in inputs.verifiers[1:]}
    assert {day.verifier for day in made.probe_days} == {one.operator for one in inputs.verifiers[1:]}


def test_ratings_that_could_not_be_settled_are_left_out_and_good_ones_are_kept(
    net: Network, inputs: EpochInputs
) -> None:
    stranger, name = signer("stranger").address, net.provider_names[0]
    good = net.rating_day(name, 0, 3, 2_000_000)
    assert _assemble(inputs, ratings=(good,)).rating_days == (good,)
    for bad in (
        (replace(good, gateway=stranger),),
        (net.rating_day(stranger, 0, 3, 1),),
        (net.rating_day(name, 1, 3, 1),),
        (net.rating_day(name, 0, 0, 0),),
        (net.rating_day(name, 0, 3, 3_000_001),),
        (good, net.rating_day(name, 0, 1, 0)),
    ):
        assert _assemble(inputs, ratings=bad) == inputs
