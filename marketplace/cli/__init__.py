"""The command `bonded`: one group per person, each imported only when it is called.

A group is a module `marketplace.cli.<name>` that exports a `typer.Typer` called `app`. A group without a module is not
listed.
Exit codes are those of `marketplace.cli.output.ExitCode`. Set BONDED_DEBUG=1 to see a traceback behind an error.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperGroup

GROUPS = {
    "provider": "Sell inference: keys, stake, serve, earn.",
    "customer": "Buy inference: deposit, keys, usage, receipts, withdraw.",
    "delegator": "Stake behind a provider and share in its incentive.",
    "verifier": "Measure providers and sign what was seen.",
    "auditor": "Read the history from the chain and replay any epoch to the wei.",
    "operator": "Run gateway, clock, indexer and settlement.",
    "demo": "Run a whole marketplace on this machine and settle two epochs.",
}
_MODULE = "marketplace.cli."
_INTERRUPTED = 130


class _LazyGroups(TyperGroup):
    """List the groups by name and import one only when it is invoked: `bonded --help` must not pay for web3."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in GROUPS if find_spec(_MODULE + name) is not None]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, GROUPS[name]) for name in self.list_commands(ctx)])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = typer.main.get_command(importlib.import_module(_MODULE + cmd_name).app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_LazyGroups,
    name="bonded",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the chain, 4 unreachable, 5 a check failed, "
    "130 interrupted.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bonded {version('bonded-compute')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_show_version, help="Show the version."),
) -> None:
    """A compute marketplace for AI inference in which everybody who can do harm has posted a bond."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    Errors are printed as a sentence and what to do, never as a traceback.
    """
    command = typer.main.get_command(app)
    try:
        outcome = command.main(args=list(arguments), prog_name="bonded", standalone_mode=False)
    except BaseException as error:
        if os.environ.get("BONDED_DEBUG") == "1" and not isinstance(error, typer.Abort):
            raise
        from marketplace.cli.output import report_error

        return report_error(error, as_json="--json" in arguments)
    if outcome == _INTERRUPTED:
        # the library turns Ctrl-C into this exit code without a word
        from marketplace.cli.output import report_error

        return report_error(KeyboardInterrupt(), as_json="--json" in arguments)
    return outcome if isinstance(outcome, int) else 0


def main() -> None:
    """Run the command line of this process; the console script's entry."""
    sys.exit(run(sys.argv[1:]))
