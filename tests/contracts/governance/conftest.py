"""A second set of contracts beside the market's, deployed as production is: nobody acts without delay."""

import json
from pathlib import Path

import pytest
from brownie import accounts

from tests.contracts.support.market import Market

PRODUCTION = Path(__file__).resolve().parents[3] / "contracts" / "deployments" / "production-parameters.json"


@pytest.fixture(scope="module")
def governed(deployment, deploy_script, built, tmp_path_factory):
    """Deploy the production parameters; every test of the module starts from the block after it.

    Proposer, guardian and arbitrator are accounts 10, 11 and 12; anybody may execute what has waited.
    """
    deployment.rewind()
    outside = deployment.beginning
    parameters = json.loads(PRODUCTION.read_text())
    parameters["stake_token"]["address"] = deployment.stake_token.address
    parameters["payment_token"]["address"] = deployment.payment_token.address
    parameters["treasury"] = accounts[13].address
    parameters["governance"] |= {
        "proposers": [accounts[10].address],
        "guardian": accounts[11].address,
        "arbitrator": accounts[12].address,
    }
    folder = tmp_path_factory.mktemp("governed")
    (folder / "parameters.json").write_text(json.dumps(parameters))
    record = deploy_script.deploy(folder / "parameters.json", folder / "out.json", dry_run=False, say=lambda line: None)
    contracts = {name: built[kind].at(record["contracts"][name]) for name, kind in deploy_script.CONTRACTS.items()}
    deployment.remember()
    yield Market(contracts, record["parameters"])
    deployment.beginning = outside
    deployment.rewind()


@pytest.fixture
def governance(market, governed):
    """Give a test the governed set, fresh; `market` takes the chain back to where it was."""
    return governed
