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

    def __init__(self, market, built, deploy_script, unbonding=(82, 82)):
        deployer, sender = market.admin, {"from": market.admin}
        nonce = web3.eth.get_transaction_count(deployer.address)
        at = [deploy_script.created_address(deployer.address, nonce + i) for i in range(8)]
        self.ledger, self.staking, self.delegation, self.escrow, self.verifiers, self.court, self.challenges = at[:7]
        self.market, self.built, self.sender = market, built, sender
        stake, pay, clock, guardian = market.stake_token, market.payment_token, market.clock, market.guardian
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
        return market.stake_token, *addresses, market.authority, market.guardian, config

    def refused(self, *config):
        return deployment_refused(self.built.SlashingCourt, *self.arguments(config), sender=self.market.admin)

    def deploy(self):
        return self.built.SlashingCourt.deploy(*self.arguments(), self.sender)


@pytest.mark.parametrize(("unbonding", "name"), [((81, 82), "staking"), ((82, 81), "verifiers")])
def test_refuses_to_judge_whoever_may_be_gone(market, built, deploy_script, unbonding, name):
    """Epoch 60, activation 4, challenge 6, arbitration 6, margin 6: 82 seconds are needed, 81 are refused."""
    found = Beside(market, built, deploy_script, unbonding).refused(6, 6, 6, LEAST)
    assert found == ("OutOfBounds", f"{name}.unbondingSeconds", 81, 82, 2**64 - 1)


def test_takes_exactly_the_time_that_is_needed(market, built, deploy_script):
    beside = Beside(market, built, deploy_script)
    assert beside.deploy() == beside.court


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
