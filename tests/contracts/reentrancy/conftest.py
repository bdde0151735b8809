"""The whole market once more, on tokens that call back in the middle of every transfer."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from brownie import accounts

from tests.contracts.conftest import DEVNET
from tests.contracts.support.market import Market


@pytest.fixture(scope="session")
def deployment(deploy_script: ModuleType, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Deploy with the devnet's parameters, but with reentrant tokens, and let everybody move in."""
    folder = tmp_path_factory.mktemp("reentrant")
    sender = {"from": accounts[9]}
    tokens = {
        "stake_token": built.ReentrantToken.deploy("Reentrant Stake", "RSTK", 18, sender),
        "payment_token": built.ReentrantToken.deploy("Reentrant Dollar", "RUSD", 6, sender),
    }
    parameters = json.loads(DEVNET.read_text()) | {name: {"address": at.address} for name, at in tokens.items()}
    path = folder / "parameters.json"
    path.write_text(json.dumps(parameters))
    record = deploy_script.deploy(path, folder / "deployment.json", dry_run=False, say=lambda line: None)
    kinds = deploy_script.CONTRACTS | {"StakeToken": "ReentrantToken", "PaymentToken": "ReentrantToken"}
    contracts = {name: built[kind].at(record["contracts"][name]) for name, kind in kinds.items()}
    market = Market(contracts, record["parameters"])
    market.settle_in()
    market.remember()
    return market
