"""The root command: what it lists, how it fails, what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from contracts.errors import BadAddress
from marketplace import cli
from marketplace.cli import output
from marketplace.cli.output import CommandFailed, ExitCode, report_error


def test_an_unknown_group_is_wrong_usage_and_says_where_help_is(capsys):
    assert cli.run(["nonsense"]) == ExitCode.USAGE
    assert "bonded --help" in capsys.readouterr().err


def test_errors_are_one_json_object_when_json_was_asked_for(capsys):
    assert cli.run(["nonsense", "--json"]) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"]["code"] == 2


def test_a_group_without_a_module_is_not_listed_and_cannot_be_called(monkeypatch, capsys):
    monkeypatch.setitem(cli.GROUPS, "ghost", "Nobody home.")
    assert cli.run(["--help"]) == 0
    assert "ghost" not in capsys.readouterr().out
    assert cli.run(["ghost"]) == ExitCode.USAGE


def test_help_lists_the_groups_that_exist(capsys):
    assert cli.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "provider" in out and "Sell inference" in out


def test_help_imports_neither_web3_nor_a_database_nor_a_group():
    code = (
        "import sys; from marketplace import cli; cli.run(['--help']); "
        "print([m for m in ('web3','sqlalchemy','fastapi','marketplace.cli.provider','rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_failure_prints_the_sentence_what_to_do_and_no_traceback(capsys):
    code = report_error(CommandFailed("the stake is short by 5", "bonded provider stake 5", ExitCode.CHECK_FAILED))
    err = capsys.readouterr().err
    assert code == 5
    assert "the stake is short by 5" in err and "bonded provider stake 5" in err and "Traceback" not in err


def test_errors_carry_text_that_looks_like_markup_unharmed(capsys):
    report_error(CommandFailed("models[0] is [red]", ""))
    assert "models[0] is [red]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadAddress("x"), ExitCode.FAILED),
        (ConnectionRefusedError("no"), ExitCode.UNREACHABLE),
        (TimeoutError("late"), ExitCode.UNREACHABLE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (typer.Abort(), ExitCode.INTERRUPTED),
        (ZeroDivisionError("division by zero"), ExitCode.FAILED),
    ],
)
def test_every_error_has_its_exit_code(error, code, capsys):
    assert report_error(error) == code


def test_a_traceback_is_shown_only_when_asked_for(monkeypatch):
    monkeypatch.setenv("BONDED_DEBUG", "1")
    with pytest.raises(Exception, match="nonsense"):
        cli.run(["nonsense"])


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [("250", 6, 250_000_000), ("0.000001", 6, 1), ("1,000.5", 18, 1_000_500_000_000_000_000_000)],
)
def test_amounts_are_read_exactly(text, decimals, expected):
    assert output.units(text, decimals) == expected


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "ten", "0.0000001"])
def test_amounts_that_are_not_exact_or_not_positive_are_refused(text):
    with pytest.raises(CommandFailed) as caught:
        output.units(text, 6)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(1_500_000, 6, "1.5"), (0, 6, "0"), (-1, 6, "-0.000001"), (12_345, 0, "12,345"), (10**21, 18, "1,000")],
)
def test_amounts_are_written_without_losing_a_digit(amount, decimals, text):
    assert output.whole(amount, decimals) == text


def test_money_does_not_move_without_an_answer(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(CommandFailed) as caught:
        output.confirm("really?", yes=False)
    assert caught.value.exit_code == ExitCode.USAGE
    output.confirm("really?", yes=True)
