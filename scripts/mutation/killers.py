"""Run the suites against one mutant after the other, the cheap suite first.

A mutant is killed by the first test that fails under it. What cannot be told from a failing test (a tool that does not
start, a devnet that is gone) is an error and kills nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable

from scripts.mutation.mutants import Mutant
from scripts.mutation.schema import coinbase
from scripts.mutation.tree import AT, HOME, environment

FAILED = re.compile(r"\[FAIL.*?\b(\w+)\([^()\n]*\) \((?:runs|gas)", re.DOTALL)
SECONDS_PER_MUTANT = 300
FEW_DRAWS = {
    "FOUNDRY_FUZZ_RUNS": "24",
    "FOUNDRY_INVARIANT_RUNS": "2",
    "FOUNDRY_INVARIANT_DEPTH": "32",
    "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
}


class NotGreen(Exception):
    """The suite fails without a mutant: mend it first, or the mutants would be killed by nothing."""


# --------------------------------------------------------------------------------------------------------------- forge


def build() -> str:
    """Compile the copy for forge; returns what the compiler said if it failed, else nothing."""
    done = subprocess.run(["scripts/forge", "build"], cwd=AT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def by_forge(number: int) -> str | None:
    """Run the invariants' suite, with few draws, under a mutant; returns the test that failed, or None."""
    command = ["scripts/forge", "test", "--fail-fast", "--block-coinbase", coinbase(number)]
    with tempfile.TemporaryDirectory() as failures:  # or the next mutant would be tried with what killed this one
        persist = {f"FOUNDRY_{kind}_FAILURE_PERSIST_DIR": failures for kind in ("FUZZ", "INVARIANT")}
        few = environment(**FEW_DRAWS, **persist)
        try:
            done = subprocess.run(command, cwd=AT, capture_output=True, text=True, env=few, timeout=SECONDS_PER_MUTANT)
        except subprocess.TimeoutExpired:
            return "forge: no end"
    failed = FAILED.search(done.stdout)
    if failed:
        return f"forge: {failed[1]}"
    if done.returncode != 0:
        raise RuntimeError(f"forge ended with {done.returncode} and no failing test:\n{done.stdout}{done.stderr}")
    return None


# ------------------------------------------------------------------------------------------------------------- brownie


def by_brownie(mutants: Iterable[Mutant], folders: list[str], told: Callable[[int, str | None], None]) -> None:
    """Run folders of contract tests in one brownie, once for each mutant until a test fails.

    `told(number, test)` is called for each as it is known, with None for a survivor.
    """
    plan = HOME / f"plan-{os.getpid()}.json"
    plan.write_text(json.dumps([{"number": m.number, "deploys": m.deploys, "function": m.function} for m in mutants]))
    added = {
        "PYTHONPATH": str(AT),
        "PYTEST_PLUGINS": "scripts.mutation.loop",
        "BONDED_MUTANTS": str(plan),
        "BONDED_SECONDS_PER_MUTANT": str(SECONDS_PER_MUTANT),
    }
    command = ["scripts/brownie", "test", *folders, "--disable-warnings"]
    with subprocess.Popen(
        command, cwd=AT, env=environment(**added), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        said, ended = [], False
        for line in running.stdout:
            said.append(line)
            word, _, rest = line.strip().partition(" ")
            if word == "MUTANT":
                number, _, test = rest.partition(" ")
                told(int(number), f"brownie: {test}" if test != "-" else None)
            elif word == "ASIDE":
                print(f"kills nothing, for it fails without a mutant too: {rest}", flush=True)
            ended |= word == "MUTANTS-ENDED"
    if not ended:
        raise RuntimeError("brownie ended before the last mutant:\n" + "".join(said[-60:]))
