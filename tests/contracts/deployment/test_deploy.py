"""scripts/deploy.py: parameters, order, read-back, roles, dry run."""

import json
from pathlib import Path

import pytest
from brownie import accounts, web3

ROOT = Path(__file__).resolve().parents[3]
DEPLOYMENTS = ROOT / "contracts" / "deployments"
DEVNET, PRODUCTION = "devnet-parameters.json", "production-parameters.json"
ADMIN, PARAMETERS, GUARDIAN, ARBITRATOR = range(4)


def changed(tmp_path, source, changes):
    """Write a parameter file like `source` with some values changed, given by dotted names."""
    parameters = json.loads((DEPLOYMENTS / source).read_text())
    for name, value in changes.items():
        *groups, last = name.split(".")
        place = parameters
        for group in groups:
            place = place[group]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    path = tmp_path / source
    path.write_text(json.dumps(parameters))
    return path


def filled(market):
    """Return what the production parameters leave open."""
    return {
        "stake_token.address": market.stake_token.address,
        "payment_token.address": market.payment_token.address,
        "governance.proposers": [market.bob.address],
        "governance.guardian": market.dora.address,
        "governance.arbitrator": market.egon.address,
        "treasury": market.alice.address,
    }


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["stake_token", "governance.guardian", "governance.arbitrator", "treasury"])
def test_refuses_production_parameters_that_are_left_open(market, deploy_script, tmp_path, name):
    path = changed(tmp_path, PRODUCTION, filled(market) | {name: None})
    with pytest.raises(deploy_script.DeploymentError, match=rf"leaves? {name} open: write it there before deploying"):
        deploy_script.read_parameters(path)


def test_refuses_the_production_parameters_as_they_are_committed(deploy_script):
    with pytest.raises(deploy_script.DeploymentError, match=r"production-parameters\.json leaves stake_token open"):
        deploy_script.read_parameters(DEPLOYMENTS / PRODUCTION)


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("escrow.thaw_seconds", 71, 72),
        ("staking.unbonding_seconds", 111, 112),
        ("verifiers.unbonding_seconds", 111, 112),
        ("verifiers.quorum", 1, 2),
        ("limits.most_charged", 999_999_999_999_999, 1_000_000_000_000_000),
    ],
)
def test_refuses_parameters_that_do_not_fit_together(deploy_script, tmp_path, name, value, least):
    path = changed(tmp_path, DEVNET, {name: value})
    with pytest.raises(deploy_script.DeploymentError, match=rf"{name}.* is {value}, but must be at least {least} "):
        deploy_script.read_parameters(path)


def test_refuses_a_longest_pause_that_unbonding_does_not_outlast(deploy_script, tmp_path):
    path = changed(tmp_path, DEVNET, {"governance.most_pause_seconds": 39})
    with pytest.raises(deploy_script.DeploymentError, match=r"staking\.unbonding_seconds is 120, but .* at least 121 "):
        deploy_script.read_parameters(path)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("court.margin_seconds", ..., "court leaves margin_seconds open"),
        ("clock", ..., "leaves clock open"),
        ("clock.slot_second", 1, "clock names slot_second, which nothing reads"),
        ("ledger", {}, "names ledger, which nothing reads"),
        ("governance.owner", "deployer", "governance names owner, which nothing reads"),
        ("clock.slot_seconds", 1.5, r"clock\.slot_seconds is 1\.5, but must be a whole number"),
        ("clock.slot_seconds", "60", r"clock\.slot_seconds is '60', but must be a whole number"),
        ("clock.slot_seconds", True, r"clock\.slot_seconds is True, but must be a whole number"),
        ("court.least_bond", -1, r"court\.least_bond is -1, but must be a whole number"),
        ("governance.timelock_seconds", None, r"governance\.timelock_seconds is None, but must be a whole number"),
        ("rules.treasury_ppm", 20_001, "The four shares of rules sum to 1000001 ppm"),
        ("governance.administrator", "0x" + 40 * "1", "administrator is .* but must be deployer or timelock"),
        ("governance.proposers", [], "without any, nothing could ever pass the timelock"),
        ("governance.executors", None, "without any, nothing could ever pass the timelock"),
        ("governance.proposers", ["deployer", "deployer"], "names somebody twice"),
        ("governance.proposers", ["anybody"], r"governance\.proposers is 'anybody', which is not an address"),
        ("governance.guardian", "0x" + 40 * "0", r"governance\.guardian is '0x0+', which is not an address"),
        ("governance.arbitrator", "0x123", r"governance\.arbitrator is '0x123', which is not an address"),
        ("treasury", "0xF39fd6e51aad88F6F4ce6aB8827279cffFb92266", "whose checksum is wrong"),
        ("payment_token", {"deploy": {"name": "Dollar"}}, "deploy leaves decimals open"),
    ],
)
def test_refuses_nonsense_with_a_sentence(deploy_script, tmp_path, name, value, sentence):
    path = changed(tmp_path, DEVNET, {name: value})
    with pytest.raises(deploy_script.DeploymentError, match=sentence):
        deploy_script.read_parameters(path)


def test_refuses_a_file_that_is_no_json(deploy_script, tmp_path):
    path = tmp_path / "parameters.json"
    path.write_text("{")
    with pytest.raises(deploy_script.DeploymentError, match=r"parameters\.json cannot be read as JSON"):
        deploy_script.read_parameters(path)


def test_refuses_a_token_at_whose_address_there_is_no_contract(market, deploy_script, tmp_path):
    path = changed(tmp_path, PRODUCTION, filled(market) | {"stake_token.address": market.bob.address})
    block = web3.eth.block_number
    with pytest.raises(deploy_script.DeploymentError, match="there is no contract on chain"):
        deploy_script.deploy(path, tmp_path / "out.json", dry_run=False, say=lambda line: None)
    assert web3.eth.block_number == block


def test_stops_at_the_first_contract_that_refuses_its_parameters_and_says_which(market, deploy_script, tmp_path):
    path = changed(tmp_path, DEVNET, {"rules.probe_gap_slots": 61})
    with pytest.raises(deploy_script.DeploymentError, match=r"EpochClock refused its parameters: .*OutOfBounds"):
        deploy_script.deploy(path, tmp_path / "out.json", dry_run=False, say=lambda line: None)
    assert not (tmp_path / "out.json").exists()


# -------------------------------------------------------------------------------------------------------- deployment


def test_a_dry_run_sends_nothing_and_writes_nothing(market, deploy_script, tmp_path):
    block, said, out = web3.eth.block_number, [], tmp_path / "out.json"
    record = deploy_script.deploy(DEPLOYMENTS / DEVNET, out, dry_run=True, say=said.append)
    assert web3.eth.block_number == block and not out.exists()
    assert all(any(address in line.lower() for line in said) for address in record["contracts"].values())
    assert sum(line.startswith("role ") for line in said) == 6


def test_a_dry_run_predicts_what_a_deployment_does(market, deploy_script, tmp_path):
    predicted = deploy_script.deploy(DEPLOYMENTS / DEVNET, None, dry_run=True, say=lambda line: None)
    done = deploy_script.deploy(DEPLOYMENTS / DEVNET, tmp_path / "out.json", dry_run=False, say=lambda line: None)
    assert done == predicted


def test_writes_what_it_deployed(market, deploy_script, tmp_path):
    out = tmp_path / "nested" / "out.json"
    first = web3.eth.block_number + 1
    record = deploy_script.deploy(DEPLOYMENTS / DEVNET, out, dry_run=False, say=lambda line: None)
    written = json.loads(out.read_text())
    assert written == record
    assert (written["chain_id"], written["block"]) == (web3.eth.chain_id, first)
    assert written["parameters"] == json.loads((DEPLOYMENTS / DEVNET).read_text())
    assert list(written["contracts"]) == list(deploy_script.CONTRACTS)
    assert all(len(web3.eth.get_code(web3.to_checksum_address(a))) > 0 for a in written["contracts"].values())
    assert all(address == address.lower() for address in written["contracts"].values())


def test_deploys_the_production_parameters_and_gives_every_role_away(market, deploy_script, built, tmp_path):
    path = changed(tmp_path, PRODUCTION, filled(market))
    said = []
    record = deploy_script.deploy(path, tmp_path / "out.json", dry_run=False, say=said.append)
    assert record["contracts"]["StakeToken"] == market.stake_token.address.lower()
    assert not any("DevToken" in line for line in said)
    at = {name: built[kind].at(record["contracts"][name]) for name, kind in deploy_script.CONTRACTS.items()}
    day = 86_400
    assert (at["EpochClock"].epochSeconds(), at["EpochClock"].settlementSeconds()) == (day, 2 * day + 7_200)
    assert at["EpochLedger"].treasury() == market.alice and at["EpochClock"].genesis() == 0
    assert (at["Timelock"].getMinDelay(), at["Timelock"].ownDelay()) == (2 * day, 7 * day)
    authority, timelock = at["Authority"], at["Timelock"]
    assert authority.hasRole(ADMIN, timelock) == (True, 5 * day)
    assert authority.hasRole(PARAMETERS, timelock) == (True, 0)
    assert authority.hasRole(GUARDIAN, market.dora) == (True, 0)
    assert authority.hasRole(ARBITRATOR, market.egon) == (True, 0)
    assert all(authority.hasRole(role, market.admin) == (False, 0) for role in range(4)), "the deployer keeps nothing"
    assert timelock.hasRole(timelock.PROPOSER_ROLE(), market.bob)
    assert timelock.hasRole(timelock.EXECUTOR_ROLE(), "0x" + 40 * "0"), "anybody carries out what has waited"
    for role in (timelock.DEFAULT_ADMIN_ROLE(), timelock.PROPOSER_ROLE(), timelock.CANCELLER_ROLE()):
        assert not timelock.hasRole(role, market.admin)


def test_opens_the_clock_when_the_parameters_say_so(market, deploy_script, built, tmp_path):
    path = changed(tmp_path, PRODUCTION, filled(market) | {"open_after_seconds": 3600})
    record = deploy_script.deploy(path, tmp_path / "out.json", dry_run=False, say=lambda line: None)
    clock = built.EpochClock.at(record["contracts"]["EpochClock"])
    assert 3500 < clock.genesis() - market.now() <= 3600, "opened by the deployer before it gave its roles away"


# ------------------------------------------------------------------------------------------------------ verification


def addresses(market):
    return {name: contract.address for name, contract in market.contracts.items()}


def test_verification_names_the_first_link_that_differs(unopened, deploy_script, tmp_path):
    """On the market before anything else happened to its getters that count: a fresh deployment."""
    market, at = unopened, addresses(unopened)
    crossed = at | {"JobEscrow": market.staking.address}
    with pytest.raises(deploy_script.DeploymentError, match=r"EpochLedger\.escrow reads"):
        deploy_script.verify(market.parameters, crossed, market.contracts, market.admin.address)


def constant_getters(build, own_state):
    """Return the getters without arguments whose answer is decided at deployment."""
    return {
        entry["name"]
        for entry in build.abi
        if entry["type"] == "function" and entry["stateMutability"] == "view" and not entry["inputs"]
    } - own_state


STATE = {
    "EpochClock": {"currentEpoch", "mostPerProviderBits", "isConsumingScheduledOp"},
    "EpochLedger": {"books", "domainSeparator"},
    "ProviderStaking": {"totalStake", "totalUnbonding", "totalMatured"},
    "Delegation": {"totalUnbonding", "totalMatured", "totalRewards"},
    "JobEscrow": {"customerCount", "totalBalances", "totalCompensation", "slaFund", "stakeSlaFund"},
    "BondedOperators": {"members"},
    "SlashingCourt": {"totalBonds", "totalHarmed", "breaker", "isConsumingScheduledOp"},
    "Guardian": {"requireOpen", "isConsumingScheduledOp"},
    "Timelock": {"ownDelay", "PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE", "DEFAULT_ADMIN_ROLE"},
}


def test_verification_reads_every_getter_that_a_parameter_decides(market, deploy_script, built):
    """A parameter or link that is added to a contract has to be added to the verification too."""
    expected = deploy_script.expectations(market.parameters, addresses(market), market.admin.address)
    for name, kind in deploy_script.CONTRACTS.items():
        if kind in ("Authority", "DevToken"):
            continue
        assert set(expected[name]) >= constant_getters(built[kind], STATE.get(kind, set())), name


def test_verification_of_roles_finds_whoever_holds_one_too_many(market, deploy_script, tmp_path):
    parameters, at, first = market.parameters, addresses(market), 0
    arguments = (parameters, at, market.contracts, market.admin.address, first)
    assert deploy_script.verify_roles(*arguments) == 6 + 7 + 4
    market.authority.grantRole(GUARDIAN, market.bob, 0, {"from": market.admin})
    with pytest.raises(deploy_script.DeploymentError, match="Authority: holders of roles reads"):
        deploy_script.verify_roles(*arguments)
    market.authority.revokeRole(GUARDIAN, market.bob, {"from": market.admin})
    assert deploy_script.verify_roles(*arguments) == 6 + 7 + 4
    itself = accounts.at(market.timelock.address, force=True)
    market.timelock.grantRole(market.timelock.PROPOSER_ROLE(), market.bob, {"from": itself})
    with pytest.raises(deploy_script.DeploymentError, match="Timelock: holders of roles reads"):
        deploy_script.verify_roles(*arguments)


def test_verification_of_roles_finds_a_function_of_the_wrong_role(market, deploy_script):
    parameters, at, first = market.parameters, addresses(market), 0
    selectors = [market.clock.setRules.signature]
    market.authority.setTargetFunctionRole(market.clock, selectors, GUARDIAN, {"from": market.admin})
    with pytest.raises(deploy_script.DeploymentError, match=r"role of EpochClock\.setRules reads 2, expected 1"):
        deploy_script.verify_roles(parameters, at, market.contracts, market.admin.address, first)
