"""One deployment for all contract tests, made by the deployment script itself; every test starts from the same block.

After every test the books of every contract are compared with the tokens it holds.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from brownie import accounts, project, web3
from web3.exceptions import TransactionNotFound

from tests.contracts.support.market import Market
from tests.contracts.support.plain import Known, make_plain

ROOT = Path(__file__).resolve().parent.parent.parent
DEVNET = ROOT / "contracts" / "deployments" / "devnet-parameters.json"


def patient(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `ask`, asked again for some seconds where the devnet does not know a transaction yet."""

    def answer(transaction: Any) -> Any:
        for _ in range(200):
            try:
                return ask(transaction)
            except TransactionNotFound:
                time.sleep(0.02)
        return ask(transaction)

    return answer


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """Wait for transactions that are sent and not to be had yet.

    The devnet counts a nonce a moment before it answers for the transaction; brownie takes that for a replacement.
    """
    for name in ("get_transaction", "get_transaction_receipt"):
        setattr(web3.eth, name, patient(getattr(web3.eth, name)))


@pytest.fixture(scope="session")
def known(patience: None) -> Known:
    """Make brownie plain, and return who remembers the contracts that are there before the first test."""
    return make_plain()


@pytest.fixture(scope="session")
def deploy_script() -> ModuleType:
    """Return scripts/deploy.py as a module."""
    spec = importlib.util.spec_from_file_location("deploy_script", ROOT / "scripts" / "deploy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def built() -> Any:
    """Return the compiled project, by contract name."""
    return project.get_loaded_projects()[0]


@pytest.fixture(scope="session")
def deployment(known: Known, deploy_script: ModuleType, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Deploy with the devnet's parameters and let everybody move in; the clock is not open."""
    out = tmp_path_factory.mktemp("deployment") / "devnet.json"
    record = deploy_script.deploy(DEVNET, out, dry_run=False, say=lambda line: None)
    kinds = deploy_script.CONTRACTS
    contracts = {name: built[kind].at(record["contracts"][name]) for name, kind in kinds.items()}
    market = Market(contracts, record["parameters"])
    market.keep_time_itself()
    market.settle_in()
    market.remember()
    known.remember()
    return market


@pytest.fixture
def unopened(deployment: Market) -> Iterator[Market]:
    """Give a test the market as it was settled, before the clock is opened, and check the books afterwards."""
    deployment.rewind()
    yield deployment
    deployment.check_books()


@pytest.fixture
def market(unopened: Market) -> Market:
    """Give a test the market in the first seconds of epoch 0."""
    unopened.open_clock()
    return unopened


@pytest.fixture
def as_court(market: Market) -> Iterator[Any]:
    """Let a test act as the court, which is a contract. What it took is passed on: the court itself keeps nothing."""
    court = accounts.at(market.court.address, force=True)
    yield court
    rest = market.stake_token.balanceOf(court) - market.court.totalBonds() - market.court.totalHarmed()
    market.stake_token.transfer(market.stranger, rest, {"from": court})


@pytest.fixture
def as_ledger(market: Market) -> Iterator[Any]:
    """Let a test act as the ledger, which is a contract, with tokens to move; the rest is evened out at the end."""
    ledger = accounts.at(market.ledger.address, force=True)
    booked = market.payment_token.balanceOf(ledger)
    market.payment_token.mint(ledger, booked, {"from": ledger})
    yield ledger
    market.payment_token.transfer(market.stranger, market.payment_token.balanceOf(ledger) - booked, {"from": ledger})


@pytest.fixture
def as_staking(market: Market) -> Any:
    """Let a test act as the staking contract."""
    return accounts.at(market.staking.address, force=True)


@pytest.fixture
def as_challenges(market: Market) -> Any:
    """Let a test act as the challenge court."""
    return accounts.at(market.challenges.address, force=True)
