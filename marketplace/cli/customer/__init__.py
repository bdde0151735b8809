"""`bonded customer`: deposit, keys, usage, receipts, withdraw.

Money goes through the chain, the rest through the gateway.
"""

from __future__ import annotations

import typer

from marketplace.cli.customer import account, money, session

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Buy inference: deposit, keys, usage, receipts, withdraw.",
)
for _module in (money, session, account):
    _module.add_to(app)
