"""Every function that changes something × everybody: who may, and with which error all others are refused.

The functions are read from the compiled contracts, so none that is added later can be forgotten. For each of them
`RULES` says who gets through (or is stopped by the token alone, for lack of tokens) and which exact error all others
have. The call is one that works, so who may is tried as well as who may not.
"""

import pytest
from brownie import web3
from eth_utils import function_signature_to_4byte_selector

from tests.contracts.support.act import itself
from tests.contracts.support.acts import acts, compensated
from tests.contracts.support.busy import busy
from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.refusals import decode_error

CONTRACTS = {
    "authority": "Authority",
    "timelock": "Timelock",
    "guardian": "Guardian",
    "payment_token": "DevToken",
    "clock": "EpochClock",
    "ledger": "EpochLedger",
    "staking": "ProviderStaking",
    "delegation": "Delegation",
    "escrow": "JobEscrow",
    "verifiers": "BondedOperators",
    "gateways": "BondedOperators",
    "court": "SlashingCourt",
    "challenges": "ChallengeCourt",
}
# what a token says to whoever has none, or gave no allowance: contracts as callers, mostly
TOKEN_REFUSALS = {"ERC20InsufficientAllowance", "ERC20InsufficientBalance"}
NO_REASON = "a revert without a reason"


def people(m, life):
    """Return everybody: the roles of DESIGN's table of who may do what, and every contract."""
    roles = {
        "stranger": m.stranger,
        "customer": m.alice,
        "second customer": m.bob,
        "session key": life.key,
        "provider": m.small,
        "large provider": m.large,
        "newcomer": m.fresh,
        "delegator": m.dora,
        "verifier": m.verifier_accounts[0],
        "third verifier": m.verifier_accounts[2],
        "gateway": life.gina,
        "former gateway": life.hugo,
        "administrator": m.admin,
        "parameter role": m.parameter_setter,
        "pauser": m.pauser,
        "arbitrator": m.arbitrator,
        "egon": m.egon,
    }
    return roles | {name: itself(getattr(m, name)) for name in CONTRACTS}


# ----------------------------------------------------------------------------------------------------- kinds of rules


def anybody(role, who, m):
    return None


def only(*roles, error):
    """These roles get through; all others have `error`: a name (with the caller as its value), or a function."""
    return lambda role, who, m: None if role in roles else (error(who, m) if callable(error) else (error, who))


def all_but(*roles, error):
    """Everybody gets through but these."""
    return lambda role, who, m: (error(who, m) if callable(error) else (error, who)) if role in roles else None


def first(*rules):
    """The first rule that refuses counts."""
    return lambda role, who, m: next((found for rule in rules if (found := rule(role, who, m))), None)


def exactly(*error):
    return lambda who, m: error


def managed(number):
    """Return the access manager's own refusal for lack of a role in it."""
    return lambda who, m: ("AccessManagerUnauthorizedAccount", who, number)


def scheduled_call(name):
    """Return the access manager's refusal of a call to the clock's setLimits."""
    selector = function_signature_to_4byte_selector("setLimits((uint128,uint128,uint128,uint32,uint32))")
    if name == "AccessManagerUnauthorizedCancel":
        return lambda who, m: (name, who, m.parameter_setter.address.lower(), m.clock.address.lower(), selector)
    return lambda who, m: (name, who, m.clock.address.lower(), selector)


def timelock_role(name):
    return lambda who, m: ("AccessControlUnauthorizedAccount", who, bytes.fromhex(str(getattr(m.timelock, name)())[2:]))


PROVIDERS = ("provider", "large provider", "newcomer")
ADMINISTRATORS = ("administrator", "timelock")
REGISTERED = only(*PROVIDERS, error="NotRegistered")
MEMBERS = {
    "verifiers": only("verifier", "third verifier", error="NotMember"),
    "gateways": only("gateway", error="NotMember"),
}

# ------------------------------------------------------------------------------------------------------------- rules

RESTRICTED = {
    **{f"clock.{name}": ("parameter role", "timelock") for name in ("open", "setRules", "setLimits")},
    "court.release": ("parameter role", "timelock"),
    "guardian.pause": ("pauser",),
    "guardian.unpause": ("pauser",),
    "court.rule": ("arbitrator",),
    **{f"{name}.setAuthority": ("authority",) for name in ("clock", "guardian", "court")},
}
BY_CONTRACTS = {
    **{f"escrow.{name}": ("ledger", "NotLedger") for name in ("charge", "returnCharges", "credit", "settleFund")},
    "delegation.reward": ("ledger", "NotLedger"),
    "delegation.slash": ("staking", "NotStaking"),
    **{f"{name}.slash": ("court", "NotCourt") for name in ("staking", "verifiers", "gateways")},
    "escrow.compensate": ("court", "NotCourt"),
    **{f"court.{name}": ("challenges", "NotChallengeCourt") for name in ("cancel", "punish")},
}
ANYBODYS = (
    *("ledger.fundIncentives", "ledger.submit", "ledger.publishLeaves", "ledger.takeCharges", "ledger.activate"),
    *("ledger.pushCredits", "ledger.pushPools", "ledger.cancel", "ledger.refund", "ledger.claim", "ledger.multicall"),
    *("staking.stakeFor", "staking.measureHardware", "delegation.delegate", "delegation.mature"),
    *("escrow.deposit", "escrow.depositWithPermit", "escrow.fundSla", "escrow.fundSlaStake", "escrow.setCap"),
    "escrow.burnSlaStake",
    *("court.propose", "court.contest", "court.lapse", "court.execute", "court.compensate"),
    *("court.proveReceipts", "court.proveProbeDays"),
    *("challenges.challengeSignatures", "challenges.challengeComputation", "challenges.challengeDuty"),
    *("challenges.challengeVoid", "challenges.challengeEquivocation", "challenges.challengeLeaf"),
    *("challenges.challengeSequence", "challenges.challengeServed"),
    *("payment_token.mint", "payment_token.transfer", "payment_token.approve", "payment_token.transferFrom"),
    *("payment_token.permit", "authority.multicall"),
    *("timelock.onERC721Received", "timelock.onERC1155Received", "timelock.onERC1155BatchReceived"),
)
# what is somebody's own: others have nothing of the kind, and are told so
OWN = {
    "ledger.claimOwed": only("verifier", "administrator", error="NothingToClaim"),
    "staking.register": all_but(*PROVIDERS, error="AlreadyRegistered"),
    "staking.update": REGISTERED,
    "staking.stake": REGISTERED,
    "staking.unbond": first(
        REGISTERED,
        all_but("newcomer", error=exactly("InsufficientStake", 0, STAKE)),
        all_but("large provider", error=lambda who, m: ("WrongLeaf", 3, who)),
    ),
    "staking.rebond": first(REGISTERED, only("provider", error=exactly("InsufficientUnbonding", 0, STAKE))),
    "staking.declareMaintenance": REGISTERED,
    "staking.cancelMaintenance": first(REGISTERED, only("provider", error=exactly("UnknownMaintenance", 0))),
    "staking.withdraw": first(REGISTERED, only("provider", error=exactly("NothingToWithdraw", 0))),
    "staking.unjail": only("provider", error="NotJailed"),
    "delegation.undelegate": only("delegator", error=exactly("InsufficientShares", 0, STAKE)),
    "delegation.withdraw": only("delegator", error=exactly("NothingToWithdraw", 0)),
    "delegation.claimRewards": only("delegator", error="NothingToClaim"),
    "delegation.setCommission": only(*PROVIDERS, error="NotProvider"),
    "escrow.setSession": all_but("egon", error=lambda who, m: ("KeyTaken", who, who)),
    "escrow.setCapBySession": only("session key", error="NoSession"),
    "escrow.requestWithdrawal": only("customer", "second customer", error=exactly("WithdrawalAboveBalance", PAY, 0)),
    "escrow.cancelWithdrawal": only("customer", error="NothingThawing"),
    "escrow.withdraw": only("customer", error="NothingThawing"),
    "escrow.withdrawCompensation": only("compensated", error="NothingToWithdraw"),
    "verifiers.join": all_but("verifier", "third verifier", error="AlreadyBonded"),
    "verifiers.withdraw": only("third verifier", error="NothingToWithdraw"),
    "gateways.join": all_but("gateway", "former gateway", error="AlreadyBonded"),
    "gateways.withdraw": only("former gateway", error="NothingToWithdraw"),
    **{
        f"{name}.{act}": rule
        for name, rule in MEMBERS.items()
        for act in ("setEndpoint", "leave", "commitSeed", "commitDays")
    },
}
GOVERNANCE = {
    **{
        f"authority.{name}": only(*ADMINISTRATORS, error=managed(0))
        for name in (
            *("labelRole", "grantRole", "revokeRole", "setRoleAdmin", "setRoleGuardian", "setGrantDelay"),
            *("setTargetFunctionRole", "setTargetAdminDelay", "setTargetClosed", "updateAuthority"),
        )
    },
    "authority.renounceRole": only("parameter role", error=exactly("AccessManagerBadConfirmation")),
    "authority.schedule": only("parameter role", error=scheduled_call("AccessManagerUnauthorizedCall")),
    "authority.execute": only("parameter role", "timelock", error=scheduled_call("AccessManagerUnauthorizedCall")),
    "authority.cancel": only(
        "parameter role", *ADMINISTRATORS, error=scheduled_call("AccessManagerUnauthorizedCancel")
    ),
    # it asks its caller first, and most of these cannot answer
    "authority.consumeScheduledOp": first(
        only("clock", "court", "guardian", error=exactly(NO_REASON)),
        all_but("court", "guardian", error="AccessManagerUnauthorizedConsume"),
    ),
    "timelock.schedule": only("administrator", error=timelock_role("PROPOSER_ROLE")),
    "timelock.scheduleBatch": only("administrator", error=timelock_role("PROPOSER_ROLE")),
    "timelock.execute": only("administrator", error=timelock_role("EXECUTOR_ROLE")),
    "timelock.executeBatch": only("administrator", error=timelock_role("EXECUTOR_ROLE")),
    "timelock.cancel": only("administrator", error=timelock_role("CANCELLER_ROLE")),
    "timelock.updateDelay": only("timelock", error="TimelockUnauthorizedCaller"),
    "timelock.grantRole": only("timelock", error=timelock_role("DEFAULT_ADMIN_ROLE")),
    "timelock.revokeRole": only("timelock", error=timelock_role("DEFAULT_ADMIN_ROLE")),
    "timelock.renounceRole": only("administrator", error=exactly("AccessControlBadConfirmation")),
}
RULES = {
    **{name: only(*roles, error="AccessManagedUnauthorized") for name, roles in RESTRICTED.items()},
    **{name: only(contract, error=error) for name, (contract, error) in BY_CONTRACTS.items()},
    **dict.fromkeys(ANYBODYS, anybody),
    **OWN,
    **GOVERNANCE,
}

# ------------------------------------------------------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def alive(deployment):
    """Bring the market to life once, with every role an account of its own."""
    deployment.rewind()
    outside = deployment.beginning
    deployment.open_clock()
    life = busy(deployment)
    deployment.separate_roles()
    kept = vars(deployment).copy()
    deployment.remember()
    yield life, kept
    deployment.beginning = outside
    deployment.rewind()


@pytest.fixture
def life(deployment, alive):
    """Give a test the busy market; books are not compared: tests pay contracts unasked."""
    deployment.rewind()
    for name in ("last_report", "arbitrator", "parameter_setter", "pauser"):
        setattr(deployment, name, alive[1][name])
    return alive[0]


def test_every_function_that_changes_something_has_a_rule(built):
    named = {
        f"{name}.{entry['name']}"
        for name, kind in CONTRACTS.items()
        for entry in built[kind].abi
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    }
    assert named == set(RULES)


def outcome(act, arguments, who):
    """Return the error of a simulated call, or None where it goes through."""
    call = {"from": str(who), "to": act.function._address, "data": act.function.encode_input(*arguments)}
    try:
        web3.eth.call(call)
    except ValueError as error:
        data = error.args[0]["data"]
        return (NO_REASON,) if data == "0x" else decode_error(data)
    return None


@pytest.mark.parametrize("name", sorted(RULES))
def test_who_may_gets_through_and_all_others_are_told_why_not(deployment, life, name):
    act, rule = acts(deployment, life)[name], RULES[name]
    everybody = people(deployment, life)
    if name == "escrow.withdrawCompensation":
        everybody["compensated"] = compensated(deployment, life)
        everybody = {r: w for r, w in everybody.items() if r == "compensated" or w != everybody["compensated"]}
    act.before()
    arguments = act.arguments()
    wrong, through = {}, 0
    for role, who in everybody.items():
        expected, found = rule(role, str(who).lower(), deployment), outcome(act, arguments, who)
        if expected is None and act.error is not None:
            right = found is not None and found[0] == act.error
        elif expected is None:
            right = found is None or found[0] in TOKEN_REFUSALS
            through += found is None
        else:
            right = found == expected
        if not right:
            wrong[role] = (found, expected)
    assert not wrong
    assert through or act.error, "nobody at all got through"
    assert outcome(act, arguments, act.sender) is None or act.error
