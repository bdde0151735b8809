"""compensate, withdrawCompensation, fundSlaStake and burnSlaStake: the stake token that slashes give to customers."""

from tests.contracts.support.market import BURN_ADDRESS, STAKE
from tests.contracts.support.refusals import refused


def give(market, court, amount):
    market.stake_token.mint(court, amount, {"from": court})
    market.stake_token.approve(market.escrow, amount, {"from": court})


def test_refuses_everybody_but_the_court(market):
    for caller in (market.admin, market.alice, market.ledger):
        found = refused(market.escrow.compensate, [], [], sender=caller)
        assert found == ("NotCourt", str(caller).lower())


def test_refuses_lists_of_different_lengths(market, as_court):
    found = refused(market.escrow.compensate, [market.alice.address], [1, 2], sender=as_court)
    assert found == ("LengthMismatch", 1, 2)
    found = refused(market.escrow.compensate, [market.alice.address], [], sender=as_court)
    assert found == ("LengthMismatch", 1, 0)


def test_refuses_compensation_without_the_tokens_for_it(market, as_court):
    found = refused(market.escrow.compensate, [market.alice.address], [5], sender=as_court)
    assert found == ("ERC20InsufficientAllowance", market.escrow.address.lower(), 0, 5)


def test_refuses_to_pay_what_nobody_has(market):
    found = refused(market.escrow.withdrawCompensation, sender=market.alice)
    assert found == ("NothingToWithdraw", market.alice.address.lower())


def test_adds_up_and_pays_once_at_any_time(market, as_court):
    give(market, as_court, 10 * STAKE)
    people = [market.alice.address, market.bob.address]
    held = market.stake_token.balanceOf(market.escrow)
    tx = market.escrow.compensate(people, [6 * STAKE, 3 * STAKE], {"from": as_court})
    assert [dict(event) for event in tx.events["Compensated"]] == [
        {"customer": market.alice, "amount": 6 * STAKE, "compensationAfter": 6 * STAKE},
        {"customer": market.bob, "amount": 3 * STAKE, "compensationAfter": 3 * STAKE},
    ]
    market.escrow.compensate(people[:1], [STAKE], {"from": as_court})
    assert market.escrow.customer(market.alice)["compensation"] == 7 * STAKE
    assert market.escrow.totalCompensation() == 10 * STAKE
    assert market.stake_token.balanceOf(market.escrow) == held + 10 * STAKE
    balance = market.stake_token.balanceOf(market.alice)
    market.pause()
    tx = market.escrow.withdrawCompensation({"from": market.alice})
    assert tx.return_value == 7 * STAKE
    assert tx.events["CompensationWithdrawn"] == {"customer": market.alice, "amount": 7 * STAKE}
    assert market.stake_token.balanceOf(market.alice) == balance + 7 * STAKE
    assert market.escrow.totalCompensation() == 3 * STAKE
    assert market.escrow.customer(market.bob)["compensation"] == 3 * STAKE
    assert refused(market.escrow.withdrawCompensation, sender=market.alice)[0] == "NothingToWithdraw"


def test_a_weight_too_small_for_a_unit_does_not_hold_up_the_others(market, as_court):
    give(market, as_court, 2)
    tx = market.escrow.compensate([market.alice.address, market.bob.address], [0, 2], {"from": as_court})
    assert [event["amount"] for event in tx.events["Compensated"]] == [0, 2]
    assert market.escrow.customer(market.alice)["compensation"] == 0
    assert market.escrow.customer(market.bob)["compensation"] == 2
    tx = market.escrow.compensate([market.alice.address], [0], {"from": as_court})
    assert "Transfer" not in tx.events


def test_pays_200_customers_in_one_page(market, as_court):
    give(market, as_court, 200)
    people = [f"0x{i + 1:040x}" for i in range(200)]
    tx = market.escrow.compensate(people, [1] * 200, {"from": as_court})
    assert len(tx.events["Compensated"]) == 200 and tx.gas_used < 8_000_000
    assert market.escrow.totalCompensation() == 200


def test_fund_sla_stake_refuses_nothing_and_takes_gifts_in_any_state(market):
    assert refused(market.escrow.fundSlaStake, 0, sender=market.fresh) == ("ZeroAmount",)
    market.pause()
    held, balance = market.stake_token.balanceOf(market.escrow), market.stake_token.balanceOf(market.fresh)
    tx = market.escrow.fundSlaStake(4 * STAKE, {"from": market.fresh})
    assert tx.events["StakeSlaFundChanged"] == {"delta": 4 * STAKE, "fundAfter": 4 * STAKE}
    assert market.escrow.stakeSlaFund() == 4 * STAKE
    assert market.stake_token.balanceOf(market.escrow) == held + 4 * STAKE
    assert market.stake_token.balanceOf(market.fresh) == balance - 4 * STAKE


def test_burn_sla_stake_refuses_when_there_is_nothing(market):
    assert refused(market.escrow.burnSlaStake, sender=market.stranger) == ("ZeroAmount",)


def test_burn_sla_stake_sends_all_of_the_fund_to_the_fire_and_nothing_else(market, as_court):
    """Anybody may, in a pause too; what harmed customers were given stays theirs."""
    give(market, as_court, 3 * STAKE)
    market.escrow.compensate([market.alice], [3 * STAKE], {"from": as_court})
    market.escrow.fundSlaStake(4 * STAKE, {"from": market.fresh})
    market.pause()
    fire, balance = market.stake_token.balanceOf(BURN_ADDRESS), market.stake_token.balanceOf(market.stranger)
    tx = market.escrow.burnSlaStake({"from": market.stranger})
    assert tx.return_value == 4 * STAKE
    assert tx.events["StakeSlaFundChanged"] == {"delta": -4 * STAKE, "fundAfter": 0}
    assert (market.escrow.stakeSlaFund(), market.escrow.totalCompensation()) == (0, 3 * STAKE)
    assert market.stake_token.balanceOf(BURN_ADDRESS) == fire + 4 * STAKE
    assert market.stake_token.balanceOf(market.stranger) == balance
    assert market.stake_token.balanceOf(market.escrow) == 3 * STAKE
