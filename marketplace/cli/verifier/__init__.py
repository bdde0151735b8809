"""`bonded verifier`: bond, probe providers, sign what was seen, and sign reports that recompute."""

from __future__ import annotations

import typer

from marketplace.cli.verifier import membership, running

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measure providers and sign what was seen.")
for _module in (membership, running):
    _module.add_to(app)
