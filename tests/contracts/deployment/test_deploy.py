"""scripts/deploy.py: parameters, order, read-back, dry run."""

import json
from pathlib import Path

import pytest
from brownie import web3

ROOT = Path(__file__).resolve().parents[3]
DEPLOYMENTS = ROOT / "contracts" / "deployments"


def changed(tmp_path, source, changes):
    """Write a parameter file like `source` with some values changed, given by dotted names."""
    parameters = json.loads((DEPLOYMENTS / source).read_text())
    for name, value in changes.items():
        *groups, last = name.split(".")
        place = parameters
        for group in groups:
            place = place[group]
        place[last] = value
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(parameters))
    return path


def filled(market):
    """Return what the production parameters leave open."""
    return {
        "stake_token.address": market.stake_token.address,
        "payment_token.address": market.payment_token.address,
        "administrator": market.bob.address,
        "treasury": market.alice.address,
    }


def test_refuses_production_parameters_that_are_left_open(deploy_script):
    with pytest.raises(deploy_script.DeploymentError, match=r"production-parameters\.json leaves stake_token open"):
        deploy_script.read_parameters(DEPLOYMENTS / "production-parameters.json")


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("escrow.thaw_seconds", 71, 72),
        ("staking.unbonding_seconds", 69, 70),
        ("verifiers.unbonding_seconds", 69, 70),
        ("verifiers.quorum", 1, 2),
    ],
)
def test_refuses_parameters_that_do_not_fit_together(deploy_script, tmp_path, name, value, least):
    path = changed(tmp_path, "devnet-parameters.json", {name: value})
    with pytest.raises(deploy_script.DeploymentError, match=rf"{name}.* is {value}, but must be at least {least} "):
        deploy_script.read_parameters(path)


def test_a_dry_run_sends_nothing_and_writes_nothing(market, deploy_script, tmp_path):
    block, said, out = web3.eth.block_number, [], tmp_path / "out.json"
    record = deploy_script.deploy(DEPLOYMENTS / "devnet-parameters.json", out, dry_run=True, say=said.append)
    assert web3.eth.block_number == block and not out.exists()
    assert all(any(address in line.lower() for line in said) for address in record["contracts"].values())


def test_writes_what_it_deployed(market, deploy_script, tmp_path):
    out = tmp_path / "nested" / "out.json"
    first = web3.eth.block_number + 1
    record = deploy_script.deploy(DEPLOYMENTS / "devnet-parameters.json", out, dry_run=False, say=lambda line: None)
    written = json.loads(out.read_text())
    assert written == record
    assert (written["chain_id"], written["block"]) == (web3.eth.chain_id, first)
    assert written["parameters"] == json.loads((DEPLOYMENTS / "devnet-parameters.json").read_text())
    assert all(len(web3.eth.get_code(web3.to_checksum_address(a))) > 0 for a in written["contracts"].values())
    assert all(address == address.lower() for address in written["contracts"].values())


def test_deploys_the_production_parameters_with_tokens_and_owners_given(market, deploy_script, built, tmp_path):
    path = changed(tmp_path, "production-parameters.json", filled(market))
    said = []
    record = deploy_script.deploy(path, tmp_path / "out.json", dry_run=False, say=said.append)
    assert record["contracts"]["StakeToken"] == market.stake_token.address.lower()
    assert not any("DevToken" in line for line in said)
    ledger = built.EpochLedger.at(record["contracts"]["EpochLedger"])
    assert (ledger.epochSeconds(), ledger.settlementSeconds()) == (86_400, 86_400 + 7_200 + 86_400)
    assert ledger.treasury() == market.alice and ledger.genesis() == 0
    authority = built.Authority.at(record["contracts"]["Authority"])
    assert tuple(authority.hasRole(0, market.bob)) == (True, 0)
    assert tuple(authority.hasRole(0, market.admin)) == (False, 0), "the deployer keeps nothing"


def test_opens_the_clock_when_the_parameters_say_so(market, deploy_script, built, tmp_path):
    path = changed(tmp_path, "devnet-parameters.json", {"open_after_seconds": 60})
    record = deploy_script.deploy(path, tmp_path / "out.json", dry_run=False, say=lambda line: None)
    ledger = built.EpochLedger.at(record["contracts"]["EpochLedger"])
    assert 0 < ledger.genesis() - market.now() <= 60


def test_verification_names_the_first_thing_that_differs(market, deploy_script):
    parameters = json.loads((DEPLOYMENTS / "devnet-parameters.json").read_text())
    deployed = {
        "EpochLedger": market.ledger,
        "ProviderStaking": market.staking,
        "JobEscrow": market.escrow,
        "SlashingCourt": market.court,
        "Authority": market.authority,
        "Verifiers": market.verifiers,
        "Gateways": market.gateways,
    }
    at = {name: contract.address for name, contract in deployed.items()}
    at |= {"StakeToken": market.stake_token.address, "PaymentToken": market.payment_token.address}
    assert deploy_script.verify(parameters, at, deployed, market.admin.address) == 32
    crossed = at | {"JobEscrow": market.staking.address}
    with pytest.raises(deploy_script.DeploymentError, match=r"EpochLedger\.escrow reads"):
        deploy_script.verify(parameters, crossed, deployed, market.admin.address)
