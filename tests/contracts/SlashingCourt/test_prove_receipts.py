"""proveReceipts: two receipts for one attempt cost a quarter and the place in the market, at once."""

import pytest
from brownie import accounts
from eth_abi import encode
from eth_utils import keccak

from tests.contracts.ChallengeCourt.attested import malleated, receipt, sign_receipt, signer_key
from tests.contracts.SlashingCourt.acts import DAY, EXECUTED, NOBODY, Purses, opened, shares
from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

AMOUNT = 50 * STAKE
REMOVED = 3


def shown(market, a, b, keys=None, grounds=None):
    """Return the arguments: both receipts with their signatures."""
    key_a, key_b = keys or [signer_key(market.small)] * 2
    ground_a, ground_b = grounds or [market.ground] * 2
    return a, sign_receipt(ground_a, key_a, a), b, sign_receipt(ground_b, key_b, b)


def pair(market, slot=3, later=4, **fields):
    return shown(market, receipt(market.small, slot, **fields), receipt(market.small, later, **fields))


def prove(market, arguments, by=None):
    return market.court.proveReceipts(*arguments, {"from": by or market.stranger})


def refusal(market, arguments):
    return refused(market.court.proveReceipts, *arguments, sender=market.stranger)


def attempt_key(provider, job, attempt):
    return keccak(encode(["uint8", "address", "bytes32", "uint32"], [9, provider.address, job, attempt]))


def epoch_key(provider, epoch):
    return keccak(encode(["uint8", "address", "uint64"], [9, provider.address, epoch]))


@pytest.mark.parametrize(
    "other", [{"job": keccak(text="another")}, {"attempt": 1}, {"requestDigest": keccak(text="another")}]
)
def test_refuses_receipts_of_two_attempts(market, other):
    a, b = receipt(market.small, 3), receipt(market.small, 3, **other)
    assert refusal(market, shown(market, a, b)) == ("NotEquivocal",)


def test_refuses_receipts_of_two_providers(market):
    a, b = receipt(market.small, 3), receipt(market.large, 3)
    assert refusal(market, shown(market, a, b, [signer_key(market.small), signer_key(market.large)])) == (
        "NotEquivocal",
    )


def test_refuses_one_receipt_shown_twice(market):
    one = receipt(market.small, 3)
    assert refusal(market, shown(market, one, one)) == ("NotEquivocal",)


def test_refuses_one_receipt_with_the_other_form_of_its_signature(market):
    one = receipt(market.small, 3)
    signature = sign_receipt(market.ground, signer_key(market.small), one)
    assert refusal(market, (one, signature, one, malleated(signature))) == ("NotEquivocal",)


@pytest.mark.parametrize("which", [0, 1])
def test_refuses_a_signature_by_anybody_but_the_provider(market, which):
    for stranger in (keccak(text="nobody"), signer_key(market.large)):
        keys = [signer_key(market.small)] * 2
        keys[which] = stranger
        a, b = receipt(market.small, 3), receipt(market.small, 4)
        signer = accounts.add(stranger).address.lower()
        assert refusal(market, shown(market, a, b, keys)) == ("WrongSigner", signer, market.small.address.lower())


@pytest.mark.parametrize("which", [1, 3])
def test_refuses_signatures_that_are_none(market, which):
    """Malleated, cut, stretched, of an impossible recovery id, empty, and zeros: one receipt has one signature."""
    arguments = list(pair(market))
    right = arguments[which]
    for wrong in (malleated(right), right[:64], right + b"\x00", right[:64] + b"\x00", b"", bytes(65)):
        arguments[which] = wrong
        assert refusal(market, arguments) == ("WrongSigner", NOBODY, market.small.address.lower())


def test_refuses_a_provider_that_is_nobody(market):
    a, b = receipt(NOBODY, 3), receipt(NOBODY, 4)
    assert refusal(market, (a, bytes(65), b, bytes(65))) == ("WrongSigner", NOBODY, NOBODY)


@pytest.mark.parametrize("change", ["chain", "contract"])
def test_refuses_receipts_of_another_chain_or_deployment(market, change):
    """Replay: the same words signed for another chain id or another ledger are somebody else's signature here."""
    chain_id, ledger = market.ground
    elsewhere = {"chain": (chain_id + 1, ledger), "contract": (chain_id, market.escrow.address)}[change]
    a, b = receipt(market.small, 3), receipt(market.small, 4)
    found = refusal(market, shown(market, a, b, grounds=[market.ground, elsewhere]))
    assert found[0] == "WrongSigner" and found[2] == market.small.address.lower()


def test_refuses_out_of_statute_counted_from_the_earlier_slot_and_not_a_second_before(market):
    """A receipt of an old attempt cannot be made an offence by leading the provider to sign another one later."""
    begins = market.clock.genesis() + 3
    deadline = begins + 28 * DAY
    market.wait_until(deadline)
    recent = market.now() - market.clock.genesis()
    arguments = pair(market, 3, recent)
    market.court.proveReceipts.call(*arguments, {"from": market.stranger})
    market.wait_until(deadline + 1)
    assert refusal(market, arguments) == ("OutOfStatute", deadline, deadline + 1)
    swapped = arguments[2:] + arguments[:2]
    assert refusal(market, swapped) == ("OutOfStatute", deadline, deadline + 1)


def test_refuses_an_attempt_a_second_time(market):
    prove(market, pair(market))
    key = attempt_key(market.small, keccak(text="job"), 0)
    assert refusal(market, pair(market)) == ("AlreadyPunished", key)
    assert refusal(market, pair(market, 3, 5)) == ("AlreadyPunished", key), "a third receipt of it is nothing new"
    assert refusal(market, pair(market, 100, 200)) == ("AlreadyPunished", key), "nor in another epoch"


def test_refuses_a_second_attempt_of_one_epoch(market):
    """A provider whose program signs everything twice loses a quarter for the day, not all it has within minutes."""
    prove(market, pair(market))
    other = pair(market, 50, 59, job=keccak(text="another"))
    assert refusal(market, other) == ("AlreadyPunished", epoch_key(market.small, 0))


def test_punishes_again_for_another_epoch(market):
    prove(market, pair(market))
    tx = prove(market, pair(market, 61, 60, job=keccak(text="another")))
    assert tx.return_value == 2 and tx.events["SlashExecuted"]["taken"] == AMOUNT
    assert market.staking.provider(market.small)["stake"] == 200 * STAKE


def test_takes_a_quarter_gives_a_fifth_of_it_to_the_prover_and_removes_the_provider(market):
    arguments = pair(market)
    purses = Purses(market, market.stranger, market.small, market.court)
    tx = prove(market, arguments)
    to_prover, burned = shares(AMOUNT, 200_000, 300_000)
    assert tx.return_value == 1
    assert purses.moved() == {str(market.stranger): to_prover, "fire": burned, "fund": AMOUNT - to_prover - burned}
    assert dict(tx.events["SlashExecuted"]) == {
        "id": 1,
        "provider": market.small,
        "taken": AMOUNT,
        "toHarmed": 0,
        "toProver": to_prover,
        "toSlaFund": AMOUNT - to_prover - burned,
        "burned": burned,
    }
    assert dict(tx.events["ReceiptsEquivocated"]) == {
        "id": 1,
        "provider": market.small,
        "job": "0x" + keccak(text="job").hex(),
        "attempt": 0,
        "prover": market.stranger,
    }
    proposed = tx.events["SlashProposed"]
    assert (proposed["code"], proposed["amount"], proposed["bond"], proposed["queued"]) == (9, AMOUNT, 0, False)
    assert "Removed" in tx.events and market.staking.provider(market.small)["status"] == REMOVED
    slash = market.court.slash(1)
    assert (slash["stage"], slash["code"], slash["epoch"]) == (EXECUTED, 9, 0)
    assert slash["taken"] == slash["amount"] == AMOUNT and slash["proposer"] == market.stranger
    assert market.court.slashOf(market.small, 0) == 0, "a leaf of that epoch can still open a slash of its own"


def test_reports_the_epoch_of_the_earlier_slot(market):
    prove(market, pair(market, 130, 119))
    assert market.court.slash(1)["epoch"] == 1


def test_is_possible_while_the_market_is_paused(market):
    market.pause()
    prove(market, pair(market))
    assert market.staking.provider(market.small)["status"] == REMOVED


def test_a_key_that_the_provider_named_before_still_speaks_for_it(market):
    """Double signing is not undone by a new key: one receipt by the old, one by the new."""
    view = market.staking.provider(market.small)
    fresh_key = keccak(text="the next signer")
    signer = accounts.add(fresh_key).address
    market.staking.update(signer, view["offerDigest"], view["region"], view["endpoint"], {"from": market.small})
    a, b = receipt(market.small, 3), receipt(market.small, 4)
    prove(market, shown(market, a, b, [signer_key(market.small), fresh_key]))
    assert market.court.slash(1)["taken"] == AMOUNT


def test_reaches_what_is_unbonding(market):
    market.staking.unbond(300 * STAKE, market.risk(market.small), {"from": market.small})
    tx = prove(market, pair(market))
    assert tx.events["SlashExecuted"]["taken"] == AMOUNT
    assert market.staking.provider(market.small)["unbonding"] == 250 * STAKE


def test_takes_what_is_left_beside_a_slash_for_another_cause(market):
    """Two causes, one provider: the outage takes its tenth, the receipts their quarter, of the requirement each."""
    slash_id = opened(market, 5)
    prove(market, pair(market))
    assert market.execute(slash_id).return_value == 20 * STAKE
    assert market.staking.provider(market.small)["stake"] == (300 - 50 - 20) * STAKE
    assert market.staking.provider(market.small)["status"] == REMOVED, "jail does not undo a removal"


def test_a_provider_that_shows_itself_loses_all_the_same(market):
    purses = Purses(market, market.small)
    prove(market, pair(market), by=market.small)
    assert purses.moved()[str(market.small)] == AMOUNT // 5
    assert market.staking.provider(market.small)["stake"] == 250 * STAKE


def test_a_prover_earns_by_what_the_provider_itself_lost_and_nothing_by_its_delegators(market):
    """Otherwise a provider without stake of its own shows itself, and its delegators pay it."""
    market.staking.stake(9_100 * STAKE, {"from": market.large})
    market.delegation.delegate(market.small, 100 * STAKE, {"from": market.dora})
    market.staking.unbond(290 * STAKE, market.risk(market.small), {"from": market.small})
    market.wait(140)
    purses = Purses(market, market.stranger)
    tx = prove(market, pair(market, 200, 201))
    own = 10 * STAKE
    event = tx.events["SlashExecuted"]
    assert (event["taken"], event["toProver"], event["burned"]) == (AMOUNT, own // 5, AMOUNT * 3 // 10)
    assert event["toSlaFund"] == AMOUNT - own // 5 - AMOUNT * 3 // 10
    assert purses.moved()[str(market.stranger)] == own // 5
    assert market.delegation.totalDelegated() == 60 * STAKE


def test_the_breaker_counts_what_two_receipts_cost_not_what_was_asked(market):
    """Large hardware without stake is registered by anybody: its receipts must not queue everybody's slashes."""
    market.register(market.fresh, 5, 10_000)
    key = signer_key(market.fresh)
    tx = prove(market, shown(market, receipt(market.fresh, 3), receipt(market.fresh, 4), [key, key]))
    assert tx.events["SlashExecuted"]["taken"] == 0
    assert market.court.slash(tx.return_value)["amount"] > 900 * STAKE
    assert market.court.breaker()[0] == 0
    prove(market, pair(market))
    assert market.court.breaker()[0] == AMOUNT
