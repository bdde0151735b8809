"""challengeSignatures, ground 1: a day that is no verifier's, or no quorum."""

from dataclasses import replace

import pytest
from eth_account import Account
from eth_utils import keccak

from contracts.types import MeasuredDay
from tests.contracts.ChallengeCourt.attested import (
    FULL,
    malleated,
    measured,
    probe_day,
    sign_day,
    slashed,
    waiting,
    words,
)
from tests.contracts.ChallengeCourt.challenge_acts import DOWN, LEVEL, UP, bad_day, refusal, sustain
from tests.contracts.support.market import VERIFIER_KEYS

GROUND, FUNCTION = 1, "challengeSignatures"
NO_FAULT = ("NoFault", GROUND)


def with_day(one, index, **changes):
    """Return a measured leaf with one day changed after it was signed."""
    days = list(one.days)
    days[index] = replace(days[index], **changes)
    return replace(one, days=tuple(days))


def day_by(market, key, ground=None, epoch=0, provider=None):
    """Return a day signed by a key, which may be anybody's."""
    day = probe_day(provider or market.small, epoch, UP)
    signature = sign_day(ground or market.ground, key, day)
    return MeasuredDay(Account.from_key(key).address.lower(), words(UP), 0, signature)


@pytest.mark.parametrize("state", [waiting, slashed])
@pytest.mark.parametrize("index", [0, 1])
def test_a_day_changed_after_it_was_signed_is_nobodys(market, state, index):
    case = state(market, with_day(bad_day(market), index, up=words(0)), LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


@pytest.mark.parametrize("wrong", ["malleated", "cut", "stretched", "recovery id", "empty", "zeros"])
def test_a_signature_has_one_form(market, wrong):
    one = bad_day(market)
    right = one.days[0].signature
    forms = {
        "malleated": malleated(right),
        "cut": right[:64],
        "stretched": right + b"\x00",
        "recovery id": right[:64] + bytes([right[64] - 27]),
        "empty": b"",
        "zeros": bytes(65),
    }
    case = waiting(market, with_day(one, 0, signature=forms[wrong]), LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


@pytest.mark.parametrize("elsewhere", ["chain", "contract", "epoch", "provider"])
def test_a_day_of_another_chain_contract_epoch_or_provider_is_none_here(market, elsewhere):
    """Replay: the same verifier did sign it, for something else."""
    chain_id, ledger = market.ground
    key = VERIFIER_KEYS[0]
    day = {
        "chain": lambda: day_by(market, key, ground=(chain_id + 1, ledger)),
        "contract": lambda: day_by(market, key, ground=(chain_id, market.staking.address)),
        "epoch": lambda: day_by(market, key, epoch=1),
        "provider": lambda: day_by(market, key, provider=market.large),
    }[elsewhere]()
    others = [other for other in bad_day(market).days if other.verifier != day.verifier]
    days = tuple(sorted((day, *others), key=lambda each: each.verifier))
    case = waiting(market, replace(bad_day(market), days=days), LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


def test_a_day_by_somebody_outside_the_set_is_no_verifiers(market):
    days = (*bad_day(market).days, day_by(market, keccak(text="nobody")))
    one = replace(bad_day(market), days=tuple(sorted(days, key=lambda day: day.verifier)))
    case = waiting(market, one, LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


def test_days_must_ascend_so_that_nobody_counts_twice(market):
    one = bad_day(market)
    for days in (one.days[::-1], (one.days[0], one.days[0])):
        market.rewind()
        market.open_clock()
        case = waiting(market, replace(one, days=days), LEVEL)
        sustain(case, GROUND, FUNCTION, *case.arguments())


def test_a_measurement_needs_a_quorum(market):
    one = bad_day(market, downs={0: DOWN})
    case = waiting(market, one, {"measured": True, "uptime_ppm": 333_333} | LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


def test_without_a_measurement_fewer_days_than_a_quorum_are_no_fault(market):
    case = waiting(market, bad_day(market, downs={0: DOWN}))
    assert refusal(case, FUNCTION, *case.arguments()) == NO_FAULT


def test_more_than_64_days_are_a_fault_because_nothing_can_be_computed_from_them(market):
    """A gas bomb: nobody is asked to check sixty-five signatures."""
    one = bad_day(market)
    days = one.days + (replace(one.days[0], signature=b""),) * 63
    case = waiting(market, replace(one, days=days), LEVEL)
    assert refusal(case, "challengeComputation", *case.arguments()) == ("TooManyDays", 65, 64)
    sustain(case, GROUND, FUNCTION, *case.arguments())


def test_a_verifier_that_joined_after_the_epoch_and_before_the_report_counts(market):
    """Settlement takes whoever is in the set at its checkpoint, so those who signed it did nothing wrong."""
    market.verifiers.leave({"from": market.verifier_accounts[2]})
    market.wait_until(market.clock.epochEnd(0) + 5)
    market.verifiers.join("http://late", {"from": market.verifier_accounts[3]})
    case = waiting(market, bad_day(market, downs={0: DOWN, 1: DOWN, 3: DOWN}), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments()) == NO_FAULT


def test_a_verifier_that_joined_after_the_report_does_not(market):
    case = slashed(market, bad_day(market, downs={0: DOWN, 1: DOWN, 3: DOWN}), LEVEL)
    market.verifiers.leave({"from": market.verifier_accounts[2]})
    market.verifiers.join("http://too-late", {"from": market.verifier_accounts[3]})
    sustain(case, GROUND, FUNCTION, *case.arguments())


@pytest.mark.parametrize("how", ["left", "withdrew", "lost its bond", "lost its bond and joined again"])
def test_nobody_can_undo_a_slash_by_losing_its_membership_afterwards(market, how):
    """A verifier helps the guilty by leaving, or by having itself convicted: it was one when it mattered."""
    one = measured(market, market.small, 0, {0: DOWN, 1: DOWN, 2: DOWN})
    report_case = waiting(market, one, LEVEL)
    market.activate(report_case.report)
    verifier = market.verifier_accounts[2]
    if how in ("left", "withdrew"):
        market.verifiers.leave({"from": verifier})
    else:
        days = probe_day(market.large, 0, FULL), probe_day(market.large, 0, 0)
        shown = [part for day in days for part in (day, sign_day(market.ground, VERIFIER_KEYS[2], day))]
        market.court.proveProbeDays(*shown, {"from": market.stranger})
    if how == "withdrew":
        market.wait(130)
        market.verifiers.withdraw({"from": verifier})
    if how.endswith("again"):
        market.verifiers.join("http://again", {"from": verifier})
    market.propose(report_case.report, market.small, proposer=market.fresh)
    assert refusal(report_case, FUNCTION, *report_case.arguments()) == NO_FAULT
