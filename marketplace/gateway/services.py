"""What a running gateway offers to the control API and the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import Chain
from contracts.messages import Domain
from contracts.signing import Signer
from contracts.types import Timing
from marketplace.accounts import Accounts
from marketplace.db import Database
from marketplace.gateway.decisions import DecisionLog
from marketplace.gateway.desk import Desk
from marketplace.gateway.directory import Directory
from marketplace.settings import GatewaySettings
from scheduler.state import MarketState


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one gateway process. `devnet_accounts`: keys that everybody knows, empty outside of a devnet."""

    settings: GatewaySettings
    accounts: Accounts
    directory: Directory
    market: MarketState
    chain: Chain
    database: Database
    domain: Domain
    signer: Signer
    timing: Timing
    desk: Desk
    decisions: DecisionLog
    devnet_accounts: tuple[Signer, ...] = ()
