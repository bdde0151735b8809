"""Whoever has nothing but the events knows every balance, position, stage and book of every contract."""

import random

import pytest
from brownie.exceptions import VirtualMachineError

from tests.contracts.support.act import itself, tried
from tests.contracts.support.acts import acts
from tests.contracts.support.busy import busy
from tests.contracts.support.logs import read
from tests.contracts.support.market import JAIL, NOTHING, PAY, REMOVAL, STAKE
from tests.contracts.support.rebuilt_judgement import agree
from tests.contracts.support.reports import make_leaf

# never emitted: the domain is immutable, and no court takes a gateway's bond
NEVER = {("EpochLedger", "EIP712DomainChanged"), ("Gateways", "Slashed")}
NEVER |= {(token, "EIP712DomainChanged") for token in ("StakeToken", "PaymentToken")}
# of governance, which has tests of its own; nobody's money follows from them
GOVERNANCE = {"Authority", "Timelock"}


def wholly_slashed(m):
    """Let the court take all that provider and delegators have, from unbonding pools too."""
    court = itself(m.court)
    tried(m.staking.slash, m.small, 10**24, NOTHING, court)


def jailed(m):
    tried(m.staking.slash, m.large, STAKE, JAIL, itself(m.court))


def removed(m):
    tried(m.staking.slash, m.fresh, 0, REMOVAL, itself(m.court))


FORCED = (wholly_slashed, jailed, removed)


@pytest.fixture(scope="module")
def alive(deployment):
    """Bring the market to life once; every test of the module starts from there."""
    deployment.rewind()
    outside = deployment.beginning
    deployment.open_clock()
    life = busy(deployment)
    last = deployment.last_report
    deployment.remember()
    yield life, last
    deployment.beginning = outside
    deployment.rewind()


@pytest.fixture(scope="module")
def seen():
    """Collect which events came, over the tests of the module."""
    return set()


def test_a_market_in_the_middle_of_its_life_is_what_its_events_say(deployment, alive, seen):
    deployment.rewind()
    assert agree(deployment) > 200
    seen |= {(log.contract, log.event) for log in read(deployment)}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_done_in_whatever_order_storage_is_what_the_events_say(deployment, alive, seen, seed):
    """Every act of every contract, and three blows, in a random order; some are refused after what came before."""
    rng, m, (life, last) = random.Random(seed), deployment, alive
    m.rewind()
    m.last_report = last
    # without an authority nobody could rule any more; what contracts alone may call, they call themselves
    contracts = {contract.address for contract in m.contracts.values()}
    every = [
        act
        for name, act in acts(m, life).items()
        if not name.startswith(("authority.", "timelock.")) and str(act.sender) not in contracts
    ]
    rng.shuffle(every)
    done = 0
    for number, act in enumerate(every):
        try:
            act.before()
            done += tried(act.function, *act.arguments(), act.sender)
        except (VirtualMachineError, ValueError, AssertionError):
            continue  # what has to happen before was refused, or found another state
        if number in (30, 60, 90):
            FORCED[number // 30 - 1](m)
            agree(m)
    agree(m)
    seen |= {(log.contract, log.event) for log in read(m)}
    assert done > 35, "of about a hundred; after a removal or a cancelled report much is refused"


@pytest.mark.parametrize(
    "name",
    ["ledger.refund", "staking.measureHardware", "court.rule", "verifiers.setEndpoint", "verifiers.commitDays"],
)
def test_after_an_act_that_a_random_order_seldom_reaches_storage_is_what_the_events_say(deployment, alive, seen, name):
    life, deployment.last_report = busy_again(deployment, alive)
    act = acts(deployment, life)[name]
    act.before()
    act.function(*act.arguments(), {"from": act.sender})
    agree(deployment)
    seen |= {(log.contract, log.event) for log in read(deployment)}


def test_after_exits_that_a_slash_voids_and_a_slash_that_is_cut_storage_is_what_the_events_say(deployment, alive, seen):
    m = deployment
    life, m.last_report = busy_again(m, alive)
    m.activate(life.waiting)
    m.complete(life.partial)
    m.activate(life.partial)
    last = m.settle([make_leaf(m.small, 24 * PAY, PAY, level=4), make_leaf(m.large, 31 * PAY, PAY), make_leaf(m.fresh)])
    for report in (life.waiting, life.partial, last):
        m.propose(report, m.small)
    m.staking.unbond(5 * STAKE, m.risk(m.small, last), {"from": m.small})
    wholly_slashed(m)
    agree(m)
    seen |= {(log.contract, log.event) for log in read(m)}


def busy_again(market, alive):
    """Go back to where the market came to life; returns its life and its last report."""
    market.rewind()
    return alive


def test_every_event_of_every_contract_came(deployment, seen):
    missing = {
        f"{name}.{entry['name']}"
        for name, contract in deployment.contracts.items()
        for entry in contract.abi
        if entry["type"] == "event" and name not in GOVERNANCE
        if (name, entry["name"]) not in NEVER | seen
    }
    assert missing == set()
