"""cancel and punish: what the challenge court does on a proof, and nobody else."""

import pytest

from tests.contracts.SlashingCourt.acts import (
    BOND,
    CANCELLED,
    EXECUTED,
    NOBODY,
    Purses,
    bond_events,
    contest,
    contested,
    opened,
    settled,
    shares,
    stage,
)
from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

TENTH, WHOLE = 100_000, 1_000_000
PART = 500 * STAKE
"""A tenth of a verifier's bond."""


def punish(market, as_challenges, signers, ppm=TENTH, vindicated=None, lost=8 * STAKE, prover=None):
    return market.court.punish(
        0, signers, ppm, vindicated or market.small, lost, prover or market.bob, {"from": as_challenges}
    )


def test_cancel_refuses_everybody_else(market):
    slash_id = opened(market)
    for person in (market.admin, market.stranger, market.small):
        found = refused(market.court.cancel, slash_id, market.bob, sender=person)
        assert found == ("NotChallengeCourt", person.address.lower())


def test_punish_refuses_everybody_else(market):
    settled(market, 4)
    for person in (market.admin, market.stranger, market.small):
        arguments = (0, market.signers(), TENTH, market.small, 0, market.bob)
        assert refused(market.court.punish, *arguments, sender=person) == (
            "NotChallengeCourt",
            person.address.lower(),
        )


def test_cancel_refuses_what_is_unknown_done_or_cancelled(market, as_challenges):
    def refusal(slash_id):
        return refused(market.court.cancel, slash_id, market.bob, sender=as_challenges)

    assert refusal(1) == ("UnknownSlash", 1)
    first = opened(market)
    market.court.cancel(first, market.bob, {"from": as_challenges})
    assert refusal(first) == ("WrongStage", first, CANCELLED)
    second = opened(market)
    market.execute(second)
    assert refusal(second) == ("WrongStage", second, EXECUTED)


@pytest.mark.parametrize("at", ["open", "contested", "upheld", "queued"])
def test_cancel_gives_half_of_the_proposers_bond_to_the_prover(market, as_challenges, at):
    slash_id = opened(market, 6, market.large) if at == "queued" else opened(market)
    if at in ("contested", "upheld"):
        contest(market, slash_id, market.small)
    if at == "upheld":
        market.court.rule(slash_id, True, [], {"from": market.admin})
    purses = Purses(market, market.bob, market.fresh, market.small)
    tx = market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    moved = {str(market.bob): BOND // 2, "fire": BOND // 2, "bonds": -BOND}
    settled_bonds = [(market.fresh, 0, market.bob, BOND // 2, BOND // 2)]
    if at == "contested":
        moved |= {str(market.small): BOND, "bonds": -2 * BOND}
        settled_bonds.append((market.small, BOND, NOBODY, 0, 0))
    assert purses.moved() == moved and bond_events(tx) == settled_bonds
    assert dict(tx.events["SlashCancelled"]) == {"id": slash_id, "by": market.challenges}
    assert stage(market, slash_id) == CANCELLED and market.court.totalBonds() == 0
    market.wait(6)
    assert refused(market.court.execute, slash_id, sender=market.stranger) == ("WrongStage", slash_id, CANCELLED)


@pytest.mark.parametrize("was_contested", [False, True])
def test_cancel_without_a_prover_gives_every_bond_back(market, as_challenges, was_contested):
    """Nobody was wrong: a receipt had been kept back."""
    slash_id = contested(market) if was_contested else opened(market)
    purses = Purses(market, market.fresh, market.small)
    tx = market.court.cancel(slash_id, NOBODY, {"from": as_challenges})
    back = [market.fresh, market.small] if was_contested else [market.fresh]
    assert purses.moved() == {str(one): BOND for one in back} | {"bonds": -BOND * len(back)}
    assert bond_events(tx) == [(one, BOND, NOBODY, 0, 0) for one in back]


def test_punish_makes_the_vindicated_whole_first(market, as_challenges):
    settled(market, 4)
    purses = Purses(market, market.small, market.bob)
    tx = punish(market, as_challenges, market.signers())
    rest = 2 * PART - 8 * STAKE
    to_prover, burned = shares(rest, 200_000, 300_000)
    assert purses.moved() == {
        str(market.small): 8 * STAKE,
        str(market.bob): to_prover,
        "fire": burned,
        "fund": rest - to_prover - burned,
        "verifiers": -2 * PART,
    }
    assert [(e["verifier"], e["epoch"], e["taken"]) for e in tx.events["VerifierSlashed"]] == [
        (signer, 0, PART) for signer in market.signers()
    ]
    assert dict(tx.events["VerifierSlashSplit"]) == {
        "epoch": 0,
        "vindicated": market.small,
        "toVindicated": 8 * STAKE,
        "prover": market.bob,
        "toProver": to_prover,
        "toSlaFund": rest - to_prover - burned,
        "burned": burned,
    }


def test_punish_gives_all_to_the_vindicated_where_it_lost_more(market, as_challenges):
    settled(market, 4)
    purses = Purses(market, market.small, market.bob)
    punish(market, as_challenges, market.signers(), lost=10_000 * STAKE)
    assert purses.moved() == {str(market.small): 2 * PART, "verifiers": -2 * PART}


def test_punish_leaves_nobodys_part_to_the_sla_fund(market, as_challenges):
    settled(market, 4)
    purses = Purses(market)
    punish(market, as_challenges, market.signers(), lost=0, prover=NOBODY)
    (burned,) = shares(2 * PART, 300_000)
    assert purses.moved() == {"fire": burned, "fund": 2 * PART - burned, "verifiers": -2 * PART}


def test_punish_passes_over_those_who_were_punished_for_this_report(market, as_challenges):
    settled(market, 4)
    first, second = market.signers()
    punish(market, as_challenges, [first])
    purses = Purses(market, market.small)
    tx = punish(market, as_challenges, [first, second])
    assert tx.events["VerifierSlashed"]["verifier"] == second
    assert purses.moved()["verifiers"] == -PART
    tx = punish(market, as_challenges, [first, second])
    assert "VerifierSlashed" not in tx.events and "VerifierSlashSplit" not in tx.events


def test_punish_takes_again_for_another_report(market, as_challenges):
    settled(market, 4)
    settled(market, 4)
    punish(market, as_challenges, market.signers())
    purses = Purses(market)
    signers = market.signers()
    market.court.punish(1, signers, TENTH, market.small, 0, market.bob, {"from": as_challenges})
    assert purses.moved()["verifiers"] == -2 * (PART * 9 // 10), "a tenth of what is left"


def test_punish_passes_over_those_who_have_no_bond(market, as_challenges):
    """A signer whose bond is gone keeps nobody else from paying."""
    settled(market, 4)
    first, second = market.signers()
    punish(market, as_challenges, [first], ppm=WHOLE)
    purses = Purses(market)
    tx = punish(market, as_challenges, [first, market.stranger, second])
    assert tx.events["VerifierSlashed"]["verifier"] == second and purses.moved()["verifiers"] == -PART


def test_the_whole_bond_is_taken_once_for_two_days_about_one_provider(market, as_challenges):
    settled(market, 4)
    first, _ = market.signers()
    verifier = next(one for one in market.verifier_accounts if one.address == first)
    punish(market, as_challenges, [first], ppm=WHOLE)
    market.verifiers.join("http://again", {"from": verifier})
    purses = Purses(market)
    punish(market, as_challenges, [first], ppm=WHOLE)
    assert purses.moved() == {}
    punish(market, as_challenges, [first], ppm=WHOLE, vindicated=market.large)
    assert purses.moved()["verifiers"] == -10 * PART, "another provider is another offence"


def test_both_are_possible_while_the_market_is_paused(market, as_challenges):
    slash_id = contested(market)
    market.pause()
    punish(market, as_challenges, market.signers())
    market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    assert stage(market, slash_id) == CANCELLED
