"""What every group prints: tables for people, JSON for programs, errors as one sentence and what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent and its effect; send nothing.")]
YesFlag = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money moves.")]


class ExitCode(IntEnum):
    """What a command's exit code means; documented on the root's help page."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED_BY_CHAIN = 3
    UNREACHABLE = 4
    CHECK_FAILED = 5
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A command cannot go on: one clear sentence, what to do about it, and the exit code."""

    def __init__(self, message: str, mend: str = "", code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.mend = mend
        self.exit_code = code


def fail(message: str, mend: str = "", code: int = ExitCode.FAILED) -> NoReturn:
    """End the command with one sentence, what to do, and an exit code."""
    raise CommandFailed(message, mend, code)


def report_error(error: BaseException, as_json: bool = False) -> int:
    """Print an error for whoever typed the command and return the exit code it means."""
    code, message, mend = _explain(error)
    if code == ExitCode.USAGE and not message:
        return code
    if as_json:
        sys.stdout.write(json.dumps({"error": {"message": message, "mend": mend, "code": int(code)}}) + "\n")
        return code
    from rich.markup import escape

    errors = _console(stderr=True)
    errors.print(f"[bold red]error[/] {escape(message)}", soft_wrap=True, highlight=False)
    if mend:
        errors.print(f"[bold]to do[/] {escape(mend)}", soft_wrap=True, highlight=False)
    return code


def _explain(error: BaseException) -> tuple[int, str, str]:
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return ExitCode.INTERRUPTED, "interrupted", "run the same command again: it goes on where it was"
    if hasattr(error, "format_message"):
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(error.format_message() + "\n")
            return ExitCode.USAGE, "", ""
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "bonded"
        return ExitCode.USAGE, error.format_message(), f"{where} --help shows what it takes"
    message = str(error) or type(error).__name__
    code = getattr(error, "exit_code", None)
    mend = str(getattr(error, "mend", "") or "")
    if code is not None:
        return int(code), message, mend
    return _classify(error, message, mend)


def _classify(error: BaseException, message: str, mend: str) -> tuple[int, str, str]:
    """Give errors of libraries and of `contracts` their exit code without importing what raised them."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"ContractRefused", "TransactionReverted", "IntentDropped"}:
        return ExitCode.REFUSED_BY_CHAIN, message, mend
    if names & {"ChainUnavailable", "ConnectError", "ConnectionError", "TransportError", "TimeoutError"}:
        mend = mend or "check that it runs and that the address is right, then run this again"
        return ExitCode.UNREACHABLE, message, mend
    if names & {"BondedError", "ContractsError", "RewardsError", "SchedulerError"}:
        return ExitCode.FAILED, message, mend
    if isinstance(error, OSError):
        return ExitCode.FAILED, message, mend
    return (
        ExitCode.FAILED,
        f"{type(error).__name__}: {message}",
        mend or "set BONDED_DEBUG=1 and run it again to see where",
    )


def plain(value: Any) -> Any:
    """Turn dataclasses, bytes, tuples and enums into what JSON knows; integers stay integers of any size."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, IntEnum):
        return int(value)
    return value


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[str] = ()) -> None:
    """Print a table; columns named in `numbers` are aligned to the right.

    Cells are shown as they are, never as markup.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row])
    _console().print(table)


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Print one thing as names and values below each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False
    )
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name), value if isinstance(value, Text) else Text(str(value)))
    _console().print(table)


def print_line(text: str, style: str = "") -> None:
    """Print one line for people, as it is."""
    _console().print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Tell people how things go on standard error, so that standard output stays the answer."""
    _console(stderr=True).print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def working(text: str, quiet: bool = False) -> Iterator[None]:
    """Show that something takes its time; silent with --json."""
    if quiet:
        yield
        return
    with _console(stderr=True).status(text):
        yield


def confirm(question: str, yes: bool, as_json: bool = False) -> None:
    """Ask before money moves; `--yes` answers. Without a terminal nobody can answer, so that is wrong usage."""
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        fail(
            "this moves money and nobody is there to ask", "give --yes, or --dry-run to see the numbers", ExitCode.USAGE
        )
    if not typer.confirm(question):
        fail("not confirmed: nothing was sent", "", ExitCode.FAILED)


def whole(units: int, decimals: int, symbol: str = "") -> str:
    """Write token units as whole tokens without losing a digit: 1500000 with 6 decimals is `1.5`."""
    sign, magnitude = ("-", -units) if units < 0 else ("", units)
    integral, fraction = divmod(magnitude, 10**decimals)
    digits = f"{fraction:0{decimals}d}".rstrip("0") if decimals else ""
    text = f"{sign}{integral:,}" + (f".{digits}" if digits else "")
    return f"{text} {symbol}" if symbol else text


def units(text: str, decimals: int) -> int:
    """Read whole tokens written by a person into token units, exactly; refuses more digits than the token has."""
    from decimal import Decimal, InvalidOperation

    try:
        value = Decimal(text.replace("_", "").replace(",", ""))
        scaled = value.scaleb(decimals)
    except InvalidOperation:
        fail(f"{text!r} is not an amount", "write it like 250 or 0.5", ExitCode.USAGE)
    if not value.is_finite() or value <= 0:
        fail(f"{text!r} is not an amount above zero", "write it like 250 or 0.5", ExitCode.USAGE)
    if scaled != int(scaled):
        fail(f"{text} has more digits than the token's {decimals} decimals", "round it", ExitCode.USAGE)
    return int(scaled)


class StepProgress:
    """A progress bar on standard error for `progress(step, done, all)`; `all` is 0 where nobody knows."""

    def __init__(self, what: str, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.fields[what]}"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=quiet,
        )
        self._task = self._bar.add_task("starting", total=None, what=what)

    def __enter__(self) -> StepProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, step: str, done: int, everything: int) -> None:
        self._bar.update(self._task, description=step, completed=done, total=everything or None)


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    file = sys.stderr if stderr else sys.stdout
    # piped into a file or a test, lines must not be cut at eighty columns
    return Console(file=file, width=None if file.isatty() else 200)
