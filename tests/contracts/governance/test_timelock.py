"""Who may change what, and how long everybody knows it before: 48 hours for parameters, 7 days for roles."""

import pytest
from brownie import accounts

from tests.contracts.support.refusals import deployment_refused, refused

HOUR, DAY = 3600, 86_400
PARAMETERS_DELAY, ROLE_DELAY = 48 * HOUR, 7 * DAY
NONE = b"\x00" * 32
GENEROUS = (2 * 10**12, 10**10, 10**11, 3_000_000, 300_000)
ADMIN, PARAMETERS, GUARDIAN, ARBITRATOR = range(4)


@pytest.fixture
def proposer():
    return accounts[10]


def call(contract, function, *arguments):
    """Return an operation of the timelock: target, value, data, predecessor, salt."""
    return contract.address, 0, getattr(contract, function).encode_input(*arguments), NONE, NONE


def state_bitmap(*states):
    """Encode the states that OpenZeppelin says it had expected."""
    return sum(1 << state for state in states).to_bytes(32, "big")


def pass_timelock(market, governance, proposer, operation, delay):
    """Schedule an operation, wait, and let a stranger carry it out."""
    governance.timelock.schedule(*operation, delay, {"from": proposer})
    market.wait(delay)
    return governance.timelock.execute(*operation, {"from": market.stranger})


# ------------------------------------------------------------------------------------------------------- parameters


def test_a_parameter_waits_forty_eight_hours(market, governance, proposer):
    timelock, operation = governance.timelock, call(governance.clock, "setLimits", GENEROUS)
    assert timelock.getMinDelay() == PARAMETERS_DELAY
    error = refused(timelock.schedule, *operation, PARAMETERS_DELAY - 1, sender=proposer)
    assert error == ("TimelockInsufficientDelay", PARAMETERS_DELAY - 1, PARAMETERS_DELAY)

    scheduled = timelock.schedule(*operation, PARAMETERS_DELAY, {"from": proposer})
    market.wait_until(scheduled.timestamp + PARAMETERS_DELAY - 1)
    error = refused(timelock.execute, *operation, sender=market.stranger)
    assert error == ("TimelockUnexpectedOperationState", bytes(timelock.hashOperation(*operation)), state_bitmap(2))
    assert tuple(governance.clock.limits()) != GENEROUS

    market.wait_until(scheduled.timestamp + PARAMETERS_DELAY)
    tx = timelock.execute(*operation, {"from": market.stranger})
    assert tuple(governance.clock.limits()) == GENEROUS
    assert tx.events["LimitsSet"]["limits"] == GENEROUS


def test_new_rules_wait_forty_eight_hours_and_then_for_the_next_epoch(market, governance, proposer):
    opened = call(governance.clock, "open", market.now() + 3 * DAY)
    pass_timelock(market, governance, proposer, opened, PARAMETERS_DELAY)
    market.wait_until(governance.clock.genesis() + 5)
    rules = (900_000, 50_000, 25_000, 25_000, 10**9, 10**6, 2_000, 1)
    before = tuple(governance.clock.rules())
    pass_timelock(market, governance, proposer, call(governance.clock, "setRules", rules), PARAMETERS_DELAY)
    running = governance.clock.currentEpoch()
    assert tuple(governance.clock.rulesFor(running)) == before
    assert tuple(governance.clock.rulesFor(running + 1)) == rules


def test_nobody_but_a_proposer_schedules_and_nobody_but_it_cancels(market, governance, proposer):
    timelock, operation = governance.timelock, call(governance.clock, "setLimits", GENEROUS)
    for who in (market.stranger, market.admin, accounts[11], accounts[12]):
        error = refused(timelock.schedule, *operation, PARAMETERS_DELAY, sender=who)
        assert error == ("AccessControlUnauthorizedAccount", str(who).lower(), bytes(timelock.PROPOSER_ROLE()))
    timelock.schedule(*operation, PARAMETERS_DELAY, {"from": proposer})
    name = timelock.hashOperation(*operation)
    for who in (market.stranger, market.admin, accounts[11]):
        error = refused(timelock.cancel, name, sender=who)
        assert error == ("AccessControlUnauthorizedAccount", str(who).lower(), bytes(timelock.CANCELLER_ROLE()))
    timelock.cancel(name, {"from": proposer})
    market.wait(PARAMETERS_DELAY)
    error = refused(timelock.execute, *operation, sender=market.stranger)
    assert error == ("TimelockUnexpectedOperationState", bytes(name), state_bitmap(2))


def test_the_deployer_keeps_no_permission(governance, market, deploy_script):
    contracts = governance.contracts
    arguments = {
        "open": [market.now() + DAY],
        "setRules": [tuple(governance.clock.rules())],
        "setLimits": [GENEROUS],
        "release": [1],
        "pause": [60],
        "unpause": [],
        "rule": [1, False, []],
    }
    tried = 0
    for functions in deploy_script.RESTRICTED.values():
        for name, function in functions:
            act = getattr(contracts[name], function)
            error = refused(act, *arguments[function], sender=market.admin)
            assert error == ("AccessManagedUnauthorized", market.admin.address.lower()), function
            tried += 1
    assert tried == len(arguments)
    assert all(governance.authority.hasRole(role, market.admin) == (False, 0) for role in range(4))


# ------------------------------------------------------------------------------------------------------------ roles


def test_a_role_waits_seven_days(market, governance, proposer):
    """48 hours to announce it to the access manager, 5 days until that lets it happen; both may run at once."""
    authority, timelock = governance.authority, governance.timelock
    data = authority.grantRole.encode_input(GUARDIAN, market.bob, 0)
    announce = call(authority, "schedule", authority, data, 0)
    carry_out = call(authority, "execute", authority, data)
    begun = timelock.schedule(*announce, PARAMETERS_DELAY, {"from": proposer}).timestamp
    timelock.schedule(*carry_out, PARAMETERS_DELAY, {"from": proposer})

    market.wait_until(begun + PARAMETERS_DELAY - 1)
    assert refused(timelock.execute, *announce, sender=market.bob)[0] == "TimelockUnexpectedOperationState"
    market.next_block_at(begun + PARAMETERS_DELAY)
    timelock.execute(*announce, {"from": market.bob})
    market.wait_until(begun + ROLE_DELAY - 1)
    operation = authority.hashOperation(timelock, authority, data)
    assert refused(timelock.execute, *carry_out, sender=market.bob) == ("AccessManagerNotReady", bytes(operation))
    assert authority.hasRole(GUARDIAN, market.bob) == (False, 0)
    market.next_block_at(begun + ROLE_DELAY)
    timelock.execute(*carry_out, {"from": market.bob})
    assert authority.hasRole(GUARDIAN, market.bob) == (True, 0)


@pytest.mark.parametrize("shortcut", ["grantRole", "setTargetFunctionRole", "updateAuthority", "setTargetClosed"])
def test_what_only_the_administrator_may_do_cannot_be_done_after_forty_eight_hours(
    market, governance, proposer, shortcut
):
    authority = governance.authority
    arguments = {
        "grantRole": [ADMIN, market.bob.address, 0],
        "setTargetFunctionRole": [governance.clock.address, [governance.clock.setRules.signature], GUARDIAN],
        "updateAuthority": [governance.clock.address, market.bob.address],
        "setTargetClosed": [governance.guardian.address, True],
    }[shortcut]
    operation = call(authority, shortcut, *arguments)
    governance.timelock.schedule(*operation, PARAMETERS_DELAY, {"from": proposer})
    market.wait(PARAMETERS_DELAY)
    name = authority.hashOperation(governance.timelock, authority, operation[2])
    error = refused(governance.timelock.execute, *operation, sender=market.bob)
    assert error == ("AccessManagerNotScheduled", bytes(name))


def test_who_may_propose_changes_only_after_seven_days(market, governance, proposer):
    timelock = governance.timelock
    assert timelock.ownDelay() == ROLE_DELAY
    operation = call(timelock, "grantRole", timelock.PROPOSER_ROLE(), market.bob)
    short = ("TimelockInsufficientDelay", ROLE_DELAY - 1, ROLE_DELAY)
    assert refused(timelock.schedule, *operation, ROLE_DELAY - 1, sender=proposer) == short
    harmless = call(governance.clock, "setLimits", GENEROUS)
    batch = ([harmless[0], operation[0]], [0, 0], [harmless[2], operation[2]], NONE, NONE)
    assert refused(timelock.scheduleBatch, *batch, ROLE_DELAY - 1, sender=proposer) == short
    pass_timelock(market, governance, proposer, operation, ROLE_DELAY)
    assert timelock.hasRole(timelock.PROPOSER_ROLE(), market.bob)


def test_a_batch_waits_and_then_happens_as_a_whole(market, governance, proposer):
    timelock = governance.timelock
    changes = [call(governance.clock, "setLimits", GENEROUS), call(timelock, "updateDelay", 3 * DAY)]
    batch = ([c[0] for c in changes], [0, 0], [c[2] for c in changes], NONE, NONE)
    timelock.scheduleBatch(*batch, ROLE_DELAY, {"from": proposer})
    market.wait(ROLE_DELAY)
    timelock.executeBatch(*batch, {"from": market.stranger})
    assert tuple(governance.clock.limits()) == GENEROUS
    assert (timelock.getMinDelay(), timelock.leastDelay()) == (3 * DAY, PARAMETERS_DELAY)


@pytest.mark.parametrize("delay", [0, PARAMETERS_DELAY - 1, 14 * DAY + 1])
def test_the_timelock_never_becomes_faster_than_it_was_deployed(market, governance, proposer, delay):
    operation = call(governance.timelock, "updateDelay", delay)
    governance.timelock.schedule(*operation, ROLE_DELAY, {"from": proposer})
    market.wait(ROLE_DELAY)
    error = refused(governance.timelock.execute, *operation, sender=market.stranger)
    assert error == ("OutOfBounds", "newDelay", delay, PARAMETERS_DELAY, 14 * DAY)


def test_nobody_sets_the_delay_directly(market, governance, proposer):
    for who in (proposer, market.admin, market.stranger):
        error = refused(governance.timelock.updateDelay, 3 * DAY, sender=who)
        assert error == ("TimelockUnauthorizedCaller", str(who).lower())


def test_a_timelock_slower_than_two_weeks_cannot_be_deployed(market, built):
    error = deployment_refused(built.Timelock, 14 * DAY + 1, [market.bob], [market.bob], sender=market.admin)
    assert error == ("OutOfBounds", "minDelay", 14 * DAY + 1, 0, 14 * DAY)


# ----------------------------------------------------------------------------------------------------------- bounds


def replaced(values, place, value):
    """Return a tuple with one value replaced."""
    return (*values[:place], value, *values[place + 1 :])


RULES = (940_000, 20_000, 20_000, 20_000, 10**9, 10**6, 2_000, 1)
LIMITS = (10**12, 10**10, 10**11, 3_000_000, 300_000)


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ((799_999, 100_000, 100_000, 1), ("OutOfBounds", "providerPpm", 799_999, 800_000, 1_000_000)),
        ((1_000_001, 0, 0, 0), ("OutOfBounds", "providerPpm", 1_000_001, 800_000, 1_000_000)),
        ((899_999, 100_001, 0, 0), ("OutOfBounds", "verifierPpm", 100_001, 0, 100_000)),
        ((899_999, 0, 100_001, 0), ("OutOfBounds", "slaFundPpm", 100_001, 0, 100_000)),
        ((899_999, 0, 0, 100_001), ("OutOfBounds", "treasuryPpm", 100_001, 0, 100_000)),
        ((900_000, 0, 0, 99_999), ("WrongShares", 999_999, 1_000_000)),
    ],
)
def test_not_even_the_timelock_sets_shares_outside_their_bounds(governance, market, rules, error):
    timelock = accounts.at(governance.timelock.address, force=True)
    assert refused(governance.clock.setRules, (*rules, *RULES[4:]), sender=timelock) == error


@pytest.mark.parametrize(
    ("place", "name", "value", "least", "most"),
    [
        (5, "stakeRate", 10**27 + 1, 0, 10**27),
        (6, "ttftTargetMs", 49, 50, 60_000),
        (6, "ttftTargetMs", 60_001, 50, 60_000),
        (7, "probeGapSlots", 0, 1, 1_440),
        (7, "probeGapSlots", 1_441, 1, 1_440),
    ],
)
def test_not_even_the_timelock_sets_rules_outside_their_bounds(governance, market, place, name, value, least, most):
    timelock = accounts.at(governance.timelock.address, force=True)
    error = refused(governance.clock.setRules, replaced(RULES, place, value), sender=timelock)
    assert error == ("OutOfBounds", name, value, least, most)


@pytest.mark.parametrize(
    ("place", "name", "value", "least", "most"),
    [
        (0, "mostCharged", 0, 1, 2**96 - 1),
        (0, "mostCharged", 2**96, 1, 2**96 - 1),
        (1, "growthFloor", 0, 1, 2**96 - 1),
        (1, "growthFloor", 2**96, 1, 2**96 - 1),
        (2, "mostPerProvider", 0, 1, 2**96 - 1),
        (2, "mostPerProvider", 2**96, 1, 2**96 - 1),
        (3, "mostGrowthPpm", 999_999, 1_000_000, 100_000_000),
        (3, "mostGrowthPpm", 100_000_001, 1_000_000, 100_000_000),
        (4, "mostSlashedPpm", 999, 1_000, 1_000_000),
        (4, "mostSlashedPpm", 1_000_001, 1_000, 1_000_000),
    ],
)
def test_not_even_the_timelock_sets_limits_outside_their_bounds(governance, market, place, name, value, least, most):
    timelock = accounts.at(governance.timelock.address, force=True)
    error = refused(governance.clock.setLimits, replaced(LIMITS, place, value), sender=timelock)
    assert error == ("OutOfBounds", name, value, least, most)
