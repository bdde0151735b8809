"""Whoever else breaks, what is a customer's own can be taken out (audit finding: funds stuck behind a module)."""

from brownie import accounts, web3

from tests.contracts.adversarial_tokens.alone import escrow_with
from tests.contracts.support.market import PAY, STAKE, rpc
from tests.contracts.support.refusals import refused

STUMBLE = "0xfe"  # the opcode that always fails


def test_withdrawals_ask_no_other_contract_of_the_market(market, as_court):
    market.stake_token.mint(as_court, STAKE, {"from": as_court})
    market.stake_token.approve(market.escrow, STAKE, {"from": as_court})
    market.escrow.compensate([market.alice.address], [STAKE], {"from": as_court})
    others = ("EpochClock", "EpochLedger", "Guardian", "SlashingCourt", "ChallengeCourt", "Authority", "Timelock")
    codes = {name: web3.eth.get_code(market.contracts[name].address).hex() for name in others}
    for name in others:
        rpc("anvil_setCode", market.contracts[name].address, STUMBLE)
    try:
        market.escrow.requestWithdrawal(1000 * PAY, {"from": market.alice})
        market.escrow.cancelWithdrawal({"from": market.alice})
        market.escrow.requestWithdrawal(1000 * PAY, {"from": market.alice})
        market.wait(130)
        assert market.escrow.withdraw({"from": market.alice}).return_value == 1000 * PAY
        assert market.escrow.withdrawCompensation({"from": market.alice}).return_value == STAKE
    finally:
        for name, code in codes.items():
            rpc("anvil_setCode", market.contracts[name].address, "0x" + code.removeprefix("0x"))


def test_a_customer_whom_the_token_bans_holds_up_nobody_else(market, built, deploy_script):
    token = built.PickyToken.deploy({"from": market.admin})
    escrow = escrow_with(market, built, deploy_script, token)
    people = sorted((market.alice, market.bob), key=lambda who: int(who.address, 16))
    for who in people:
        token.mint(who, PAY, {"from": who})
        token.approve(escrow, PAY, {"from": who})
        escrow.deposit(who, PAY, {"from": who})
        escrow.setCap(PAY, {"from": who})
        escrow.requestWithdrawal(PAY, {"from": who})
    token.ban(market.alice, {"from": market.admin})
    ledger = accounts.at(escrow.epochLedger(), force=True)
    escrow.charge(0, [(who.address, 10) for who in people], {"from": ledger})
    token.approve(escrow, 4, {"from": ledger})
    escrow.credit([(who.address, market.small, 2) for who in people], {"from": ledger})
    market.wait(130)
    assert refused(escrow.withdraw, sender=market.alice) == ("Banned", market.alice.address.lower())
    assert escrow.withdraw({"from": market.bob}).return_value == PAY - 10
    assert escrow.customer(market.alice)["balance"] == PAY - 8, "it waits for her"
    assert escrow.totalBalances() == token.balanceOf(escrow) == PAY - 6
