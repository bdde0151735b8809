"""While the market is paused nothing comes in, and everybody gets out what is theirs."""

import pytest

from tests.contracts.support.acts import acts
from tests.contracts.support.busy import busy
from tests.contracts.support.refusals import refused

ENTRIES = {
    *("ledger.fundIncentives", "ledger.submit", "ledger.publishLeaves", "ledger.takeCharges", "ledger.activate"),
    *("staking.register", "staking.stake", "staking.stakeFor", "staking.rebond", "staking.unjail"),
    *("delegation.delegate", "escrow.deposit", "escrow.depositWithPermit", "escrow.fundSla"),
    *("verifiers.join", "gateways.join", "court.propose", "court.execute"),
}
EXITS = {
    # money that is somebody's own
    *("staking.unbond", "staking.withdraw", "delegation.undelegate", "delegation.withdraw", "delegation.claimRewards"),
    *("escrow.requestWithdrawal", "escrow.cancelWithdrawal", "escrow.withdraw", "escrow.withdrawCompensation"),
    *("ledger.claim", "ledger.claimOwed", "ledger.pushCredits", "ledger.pushPools", "ledger.multicall"),
    *("ledger.cancel", "ledger.refund", "court.compensate", "delegation.mature", "delegation.reward"),
    *("verifiers.leave", "verifiers.withdraw", "gateways.leave", "gateways.withdraw"),
    # what limits how much may be taken, and who may act
    *("escrow.setCap", "escrow.setSession", "escrow.setCapBySession", "staking.update", "delegation.setCommission"),
    *("staking.declareMaintenance", "staking.cancelMaintenance", "staking.measureHardware"),
    *(f"{set_}.{act}" for set_ in ("verifiers", "gateways") for act in ("setEndpoint", "commitSeed", "commitDays")),
    # judgement
    *("court.contest", "court.rule", "court.release", "court.lapse", "court.cancel", "court.punish"),
    *("court.proveReceipts", "court.proveProbeDays", "staking.slash", "delegation.slash"),
    *("verifiers.slash", "gateways.slash"),
    *(
        f"challenges.challenge{ground}"
        for ground in (
            *("Signatures", "Computation", "Duty", "Void"),
            *("Equivocation", "Leaf", "Sequence", "Served"),
        )
    ),
    # the inner calls of all that; the ledger's charge is behind `takeCharges`
    *("escrow.charge", "escrow.returnCharges", "escrow.credit", "escrow.settleFund", "escrow.compensate"),
    *("escrow.fundSlaStake", "escrow.burnSlaStake"),
}
MONEY = ("ledger", "staking", "delegation", "escrow", "verifiers", "gateways", "court", "challenges")
GOVERNED = ("court.setAuthority",)


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


@pytest.fixture
def life(deployment, alive):
    """Give a test the busy market, before anybody paused it. Books are not compared: tests pay contracts unasked."""
    deployment.rewind()
    deployment.last_report = alive[1]
    return alive[0]


def changing_functions(build):
    """Return the names of a contract's functions that change something."""
    return {
        entry["name"]
        for entry in build.abi
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    }


def test_every_function_that_touches_money_is_an_entry_or_an_exit(deployment, built, deploy_script):
    kinds = {getattr(deployment, name).address: name for name in MONEY}
    named = set()
    for name, kind in deploy_script.CONTRACTS.items():
        attribute = kinds.get(deployment.contracts[name].address)
        if attribute:
            named |= {f"{attribute}.{function}" for function in changing_functions(built[kind])}
    assert ENTRIES.isdisjoint(EXITS)
    assert named == ENTRIES | EXITS | set(GOVERNED)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_entry_is_open_before_a_pause_refused_in_it_and_open_again_after_it(deployment, life, name):
    act = acts(deployment, life)[name]
    act.before()
    act.function.call(*act.arguments(), {"from": act.sender})
    deployment.pause(5)
    until = deployment.guardian.pausedUntil()
    assert refused(act.function, *act.arguments(), sender=act.sender) == ("StillPaused", until)
    deployment.wait_until(until)
    act.function(*act.arguments(), {"from": act.sender})


@pytest.mark.parametrize("name", sorted(EXITS))
def test_exit_works_in_the_longest_pause(deployment, life, name):
    act = acts(deployment, life)[name]
    if name.endswith("commitDays"):
        deployment.wait_until(deployment.clock.epochEnd(deployment.clock.currentEpoch()) - 10)
    if name in BEFORE_THE_PAUSE:
        act.before()
        deployment.pause()
    else:
        deployment.pause()
        act.before()
    tx = act.function(*act.arguments(), {"from": act.sender})
    assert tx.status == 1 and deployment.guardian.paused()


# what has to happen before them is an entry, or takes as long as unbonding, which is longer than any pause
BEFORE_THE_PAUSE = {"staking.unbond", "verifiers.withdraw"}


def test_everybody_leaves_a_paused_market_with_all_that_is_theirs(deployment, life):
    """Customers, providers, delegators, operators, all in one pause; each gets the very amount.

    They began to leave before it: no pause is as long as that takes.
    """
    m = deployment
    m.complete(life.partial)
    stake, pay = m.stake_token.balanceOf, m.payment_token.balanceOf

    def gained(token, who, act, *arguments):
        before = token(who)
        m.next_block_at(m.now() + 1)
        act(*arguments, {"from": who})
        return token(who) - before

    # customers, with credits and what a cancelled report had charged
    unpushed = life.unpushed
    m.push(unpushed)
    for customer in (m.alice, m.bob):
        view = m.escrow.customer(customer)
        rest = view["balance"] - view["thawing"]
        if rest:
            m.escrow.requestWithdrawal(rest, {"from": customer})
    for verifier in m.verifier_accounts[:3]:
        m.verifiers.leave({"from": verifier})
    m.gateways.leave({"from": life.gina})
    # what a judgement may still take back stays: ten times the fees of reports whose windows are open
    risk = m.risk(m.small, life.partial, life.settled)
    locked = m.staking.lockedFor(m.small, risk)
    m.staking.unbond(m.staking.provider(m.small)["stake"] - locked, risk, {"from": m.small})
    for provider in (m.large, m.small):
        shares = m.delegation.position(provider, m.dora)["shares"]
        m.delegation.undelegate(provider, shares, {"from": m.dora})
    m.wait(200)
    m.pause()
    for customer in (m.alice, m.bob):
        balance = m.escrow.customer(customer)["balance"]
        assert balance and gained(pay, customer, m.escrow.withdraw) == balance
    assert m.escrow.totalBalances() == 0
    withdrawable = m.staking.withdrawable(m.small)
    assert withdrawable and gained(stake, m.small, m.staking.withdraw) == withdrawable
    assert m.staking.provider(m.small)["stake"] == locked
    for provider in (m.large, m.small):
        due = m.delegation.position(provider, m.dora)["withdrawable"]
        assert due and gained(stake, m.dora, m.delegation.withdraw, provider) == due
    rewards = m.delegation.position(m.large, m.dora)["rewards"]
    assert rewards and gained(pay, m.dora, m.delegation.claimRewards, m.large) == rewards
    for verifier in m.verifier_accounts[:3]:
        assert gained(stake, verifier, m.verifiers.withdraw) == m.verifiers.bond()
    assert gained(stake, life.gina, m.gateways.withdraw) == gained(stake, life.hugo, m.gateways.withdraw)
    assert m.verifiers.totalBonds() == m.gateways.totalBonds() == 0
    fees = pay(m.large)
    m.ledger.claim(*m.claim_arguments(unpushed, m.large), {"from": m.stranger})
    assert pay(m.large) - fees == 25 * 10**6 + 10**6
    assert gained(pay, m.verifier_accounts[0], m.ledger.claimOwed) == 10**6 // 2
    assert m.guardian.paused()
    m.check_books()
