"""`bonded provider`: sell inference, from the first key to the last claim."""

from __future__ import annotations

import typer

from marketplace.cli.provider import dashboard, earning, keys, running, setting_up, staking, standing, terms, why_not

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Sell inference: keys, stake, serve, earn.")
app.add_typer(keys.app, name="keys")
for _module in (setting_up, staking, terms, running, standing, dashboard, earning, why_not):
    _module.add_to(app)
