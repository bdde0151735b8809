"""`bonded customer`: deposit, keys, batches, usage, receipts, withdraw.

Money goes through the chain, the rest through the gateway.
"""

from __future__ import annotations

import typer

from marketplace.cli.customer import account, batch, money, session

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Buy inference: deposit, keys, batches, usage, receipts, withdraw.",
)
for _module in (money, session, account, batch):
    _module.add_to(app)
