"""A settlement process for tests: the key is a devnet's, the rest comes from the environment as in life.

python -m tests.marketplace.store.settling ACCOUNT
"""

from __future__ import annotations

import asyncio
import sys

from contracts.devnet import dev_accounts
from marketplace.settings import SettlementSettings, load
from marketplace.settlement_process import run_settlement

if __name__ == "__main__":
    number = int(sys.argv[1])
    asyncio.run(run_settlement(load(SettlementSettings), dev_accounts(number + 1)[number]))
