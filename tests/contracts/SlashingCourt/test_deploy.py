"""The constructor: links, bounds, and the assertion that time reaches whoever begins to leave."""

import pytest
from brownie import web3

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import deployment_refused

LEAST = 10 * STAKE
NOBODY = "0x" + 40 * "0"
NAMES = (
    "stakeToken",
    "staking",
    "escrow",
    "epochLedger",
    "verifiers",
    "challengeCourt",
    "authority",
    "guardian",
)


def others(market):
    """Return the addresses with which the court of this market was deployed."""
    return [
        market.stake_token,
        market.staking,
        market.escrow,
        market.ledger,
        market.verifiers,
        market.challenges,
        market.authority,
        market.guardian,
    ]


@pytest.mark.parametrize("index", range(8))
def test_refuses_the_zero_address(market, built, index):
    arguments = others(market)
    arguments[index] = NOBODY
    found = deployment_refused(built.SlashingCourt, *arguments, (6, 6, 6, LEAST), sender=market.admin)
    assert found == ("ZeroAddress", NAMES[index])


def test_refuses_contracts_that_obey_another_court(market, built):
    found = deployment_refused(built.SlashingCourt, *others(market), (6, 6, 6, LEAST), sender=market.admin)
    assert found[:3] == ("WrongLink", "staking.court", market.court.address.lower())


class Beside:
    """A second market's contracts up to its court, at addresses predicted from the deployer's nonce."""

    def __init__(self, market, built, deploy_script, unbonding=(112, 112), guardian=None):
        deployer, sender = market.admin, {"from": market.admin}
        nonce = web3.eth.get_transaction_count(deployer.address)
        at = [deploy_script.created_address(deployer.address, nonce + i) for i in range(8)]
        self.ledger, self.staking, self.delegation, self.escrow, self.verifiers, self.court, self.challenges = at[:7]
        self.market, self.built, self.sender = market, built, sender
        self.guardian = guardian or market.guardian
        stake, pay, clock, guardian = (
            market.stake_token,
            market.payment_token,
            market.clock,
            guardian or market.guardian,
        )
        built.EpochLedger.deploy(
            clock, pay, self.escrow, self.verifiers, self.delegation, deployer, self.challenges, guardian, sender
        )
        built.ProviderStaking.deploy(
            stake,
            clock,
            self.ledger,
            self.court,
            self.delegation,
            self.verifiers,
            guardian,
            (unbonding[0], 1, 10, 600),
            sender,
        )
        built.Delegation.deploy(stake, pay, clock, self.staking, self.ledger, guardian, sender)
        built.JobEscrow.deploy(pay, stake, clock, self.ledger, self.court, guardian, (130,), sender)
        built.BondedOperators.deploy(stake, clock, self.court, guardian, (1, 3, 3, 2, unbonding[1]), sender)

    def arguments(self, config=(6, 6, 6, LEAST)):
        market = self.market
        addresses = [self.staking, self.escrow, self.ledger, self.verifiers, self.challenges]
        return market.stake_token, *addresses, market.authority, self.guardian, config

    def refused(self, *config):
        return deployment_refused(self.built.SlashingCourt, *self.arguments(config), sender=self.market.admin)

    def deploy(self):
        return self.built.SlashingCourt.deploy(*self.arguments(), self.sender)


@pytest.mark.parametrize(("unbonding", "name"), [((111, 112), "staking"), ((112, 111), "verifiers")])
def test_refuses_to_judge_whoever_may_be_gone(market, built, deploy_script, unbonding, name):
    """Epoch 60, activation 4, challenge 6, arbitration 6, margin 6, pause 30: 112 seconds, and 111 are refused."""
    found = Beside(market, built, deploy_script, unbonding).refused(6, 6, 6, LEAST)
    assert found == ("OutOfBounds", f"{name}.unbondingSeconds", 111, 112, 2**64 - 1)


def test_takes_exactly_the_time_that_is_needed(market, built, deploy_script):
    beside = Beside(market, built, deploy_script)
    assert beside.deploy() == beside.court


def test_the_longest_pause_counts_and_no_second_one_fits_in(market, built, deploy_script):
    """With pauses of seven days unbonding is as much longer; and judgement ends before the guardian may pause again."""
    week, month = 7 * 86_400, 30 * 86_400
    guardian = built.Guardian.deploy(market.authority, week, {"from": market.admin})
    beside = Beside(market, built, deploy_script, (82 + week - 1, 82 + week), guardian)
    found = beside.refused(6, 6, 6, LEAST)
    assert found == ("OutOfBounds", "staking.unbondingSeconds", 81 + week, 82 + week, 2**64 - 1)
    found = beside.refused(14 * 86_400, 9 * 86_400, 6, LEAST)
    assert found == ("OutOfBounds", "reach", 64 + 6 + month, 1, month)


@pytest.mark.parametrize(
    ("index", "name"), list(enumerate(("challengeSeconds", "arbitrationSeconds", "marginSeconds", "leastBond")))
)
def test_refuses_times_and_bonds_outside_their_bounds(market, built, deploy_script, index, name):
    beside = Beside(market, built, deploy_script)
    most = 10**27 if name == "leastBond" else 14 * 24 * 3600
    for value in (0, most + 1):
        config = [6, 6, 6, LEAST]
        config[index] = value
        assert beside.refused(*config) == ("OutOfBounds", name, value, 1, most)
