"""An escrow with a token of one's choice, beside the market: a real ledger of its own vouches for it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from brownie import web3

from tests.contracts.support.market import Market

THAW_S = 130


def next_address(deploy_script: ModuleType, sender: Any, ahead: int = 0) -> str:
    """Return where the contract of the sender's next transaction but `ahead` will stand."""
    nonce = web3.eth.get_transaction_count(sender.address)
    return str(deploy_script.created_address(sender.address, nonce + ahead))


def ledger_for(market: Market, built: Any, payment_token: Any, escrow: Any, clock: Any = None) -> Any:
    """Deploy a ledger that knows this token and this escrow, and the market's other contracts."""
    links = (escrow, market.verifiers, market.delegation, market.admin, market.challenges, market.guardian)
    return built.EpochLedger.deploy(clock or market.clock, payment_token, *links, {"from": market.admin})


def escrow_with(
    market: Market, built: Any, deploy_script: ModuleType, payment_token: Any, stake_token: Any = None
) -> Any:
    """Deploy an escrow of its own with these tokens; the stake token is the market's unless another is named."""
    at = next_address(deploy_script, market.admin, ahead=1)
    ledger = ledger_for(market, built, payment_token, at)
    links = (market.clock, ledger, market.court, market.guardian)
    sender = {"from": market.admin}
    escrow = built.JobEscrow.deploy(payment_token, stake_token or market.stake_token, *links, (THAW_S,), sender)
    assert escrow == at
    return escrow
