"""The faults that mutation testing makes, and the source that holds all of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.mutation.mutants import Mutant, Source
from scripts.mutation.report import Outcomes, name, table
from scripts.mutation.schema import blamed, render, switch, twin_of
from scripts.mutation.tree import numbered

ROOT = Path(__file__).resolve().parents[2]
PATH = "contracts/Purse.sol"
PURSE = b"""// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

contract Purse {
    uint256 internal constant MOST = 100;
    uint256 public sum;
    bool public open = true;
    error Full(uint256 most);

    modifier whenOpen() {
        if (!open) revert Full(0);
        _;
    }

    function put(uint256 amount) external whenOpen returns (uint256 before) {
        before = sum;
        if (amount == 0 || before + amount > MOST) revert Full(MOST);
        for (uint256 i = 0; i < 1; ++i) sum += amount;
        return before;
    }
}
"""


def ask(text: bytes) -> Any:
    """Return what the compiler says of the contract without making code."""
    question = {
        "language": "Solidity",
        "sources": {PATH: {"content": text.decode()}},
        "settings": {"outputSelection": {"*": {"": ["ast"]}}},
    }
    command = [ROOT / "scripts" / "solc", "--standard-json"]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tree() -> Any:
    """Return the purse's syntax tree."""
    return ask(PURSE)["sources"][PATH]["ast"]


@pytest.fixture(scope="module")
def mutants(tree: Any) -> list[Mutant]:
    """Return the purse's mutants with their numbers."""
    purse = tree["nodes"][-1]
    (most,) = (node["id"] for node in purse["nodes"] if node.get("name") == "MOST")
    return numbered(Source("Purse", PATH, PURSE, tree, {most}).mutants())


def of(mutants: list[Mutant], operator: str) -> set[tuple[str, str]]:
    """Return what the mutants of an operator replace, and by what."""
    return {(mutant.original, mutant.text) for mutant in mutants if mutant.operator == operator}


def test_relations_become_their_neighbour_their_opposite_and_one_side_unless_that_is_the_same(
    mutants: list[Mutant],
) -> None:
    assert of(mutants, "relation") == {
        ("amount == 0", "(amount) != (0)"),
        ("amount == 0", "(amount) >= (0)"),
        ("before + amount > MOST", "(before + amount) >= (MOST)"),
        ("before + amount > MOST", "(before + amount) <= (MOST)"),
        ("before + amount > MOST", "(before + amount) != (MOST)"),
        ("i < 1", "(i) <= (1)"),
        ("i < 1", "(i) >= (1)"),
    }


def test_conditions_sums_and_constants_change(mutants: list[Mutant]) -> None:
    both = "amount == 0 || before + amount > MOST"
    assert of(mutants, "and and or") == {(both, "(amount == 0) && (before + amount > MOST)")}
    assert of(mutants, "negation") == {("!open", "open"), (both, f"!({both})")}
    assert of(mutants, "arithmetic") == {
        ("before + amount", "(before) - (amount)"),
        ("sum += amount", "sum -= amount"),
        ("++i", "--i"),
    }
    assert ("MOST", "MOST + 1") in of(mutants, "constant")
    assert ("0", "uint256(1)") in of(mutants, "constant"), "a number takes the type of what it is compared with"
    assert ("1", "uint256(0)") in of(mutants, "constant")


def test_statements_are_left_out_and_modifiers_taken_off(mutants: list[Mutant]) -> None:
    left_out = {original for original, _ in of(mutants, "statement left out")}
    assert left_out == {
        "before = sum;",
        "revert Full(MOST);",
        "revert Full(0);",
        "sum += amount;",
        "return before;",
    }
    assert of(mutants, "modifier taken off") == {("whenOpen", "")}


def test_a_source_with_all_its_mutants_compiles(tree: Any, mutants: list[Mutant]) -> None:
    purse = tree["nodes"][-1]
    (modifier,) = (node for node in purse["nodes"] if node["nodeType"] == "ModifierDefinition")
    (off,) = (mutant for mutant in mutants if mutant.kind == "modifier")
    rendered = render(PURSE, mutants, [(len(PURSE) - 2, twin_of(modifier, PURSE, off.number))])
    errors = [each for each in ask(rendered).get("errors", []) if each["severity"] == "error"]
    assert errors == []
    for mutant in mutants:
        assert switch(mutant.number).encode() in rendered, mutant.described()


def test_without_mutants_the_source_is_what_it_was() -> None:
    assert render(PURSE, []) == PURSE


def test_a_complaint_of_the_compiler_finds_its_mutant(mutants: list[Mutant]) -> None:
    (wrong,) = (mutant for mutant in mutants if mutant.text == "(before) - (amount)")
    rendered = render(PURSE, [mutant for mutant in mutants if mutant.kind != "modifier"])
    at = rendered.index(switch(wrong.number).encode())
    assert blamed(rendered, at) == wrong.number


def test_the_score_counts_killed_of_all_and_of_all_that_are_faults(mutants: list[Mutant], tmp_path: Path) -> None:
    four = mutants[:4]
    outcomes = Outcomes(tmp_path / "outcomes.json", {"seed": 1}, {"Purse": len(mutants)}, {"Purse": 0}, four)
    outcomes.told_by_forge(four[0].number, "forge: test_put")
    outcomes.told_by_forge(four[1].number, None)
    outcomes.told(four[1].number, "brownie: test_put.py::test_put")
    outcomes.told_by_forge(four[2].number, None)
    said = table(Outcomes.load(outcomes.path), {name(four[2]): "nobody can tell"})
    assert f"| Purse | {len(mutants)} | 4 | 1 | 1 | 2 | 1 | 50.0 % | 66.7 % |" in said
    assert f"SURVIVES {four[3].number}" in said
    assert f"equivalent {four[2].number}" in said
