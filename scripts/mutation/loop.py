"""A pytest plugin for brownie's environment: run the collected tests once for each mutant, until one fails.

The tests run once without a mutant first: all must pass. Each mutant is switched on by the devnet's coinbase, in a
market that was deployed without it; one of a constructor that no test kills there gets a deployment of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _pytest.runner import runtestprotocol
from brownie import web3
from hypothesis import HealthCheck, Phase, settings

from scripts.mutation.schema import coinbase

# returns the coinbase it runs under: COINBASE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
ASK_COINBASE = "0x415f5260205ff3"


def pytest_runtestloop(session: Any) -> bool:
    """Run the plan that BONDED_MUTANTS names instead of each test once."""
    plan = json.loads(Path(os.environ["BONDED_MUTANTS"]).read_text())
    settings.register_profile(
        "mutation", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), max_examples=10,
    )  # fmt: skip
    settings.load_profile("mutation")
    devnet, say = Devnet(), teller(session)
    items = list(session.items)
    took: dict[str, float] = {}
    for item in items:
        began = time.perf_counter()
        failure = failure_of(item, items[0])
        took[item.nodeid] = time.perf_counter() - began
        if failure:
            say(f"NOT-GREEN {item.nodeid} {failure}")
            return True
    say(f"GREEN {len(items)} tests in {sum(took.values()):.0f} s")
    for mutant in plan:
        devnet.switch(mutant["number"])
        near = sorted(items, key=lambda item: (not is_about(item, mutant["function"]), took[item.nodeid]))
        killer = first_failing(near)
        if killer is None and mutant["deploys"]:
            session._setupstate.teardown_exact(None)
            killer = first_failing(near)
            session._setupstate.teardown_exact(None)
        devnet.check()
        say(f"MUTANT {mutant['number']} {killer or '-'}")
    say("MUTANTS-ENDED")
    return True


def first_failing(items: list[Any]) -> str | None:
    """Run tests until one fails and return its name, or None."""
    limit = int(os.environ["BONDED_SECONDS_PER_MUTANT"])
    signal.signal(signal.SIGALRM, _too_long)
    for item in items:
        signal.alarm(limit)
        try:
            failure = failure_of(item, items[0])
        finally:
            signal.alarm(0)
        if failure:
            return str(item.nodeid)
    return None


def _too_long(*_: Any) -> None:
    raise TimeoutError("a test did not end under a mutant")


def failure_of(item: Any, following: Any) -> str | None:
    """Run a test quietly; returns what failed in set-up, call or tear-down, or None."""
    for report in runtestprotocol(item, log=False, nextitem=following):
        if report.failed:
            return str(report.longrepr)
    return None


def is_about(item: Any, function: str) -> bool:
    """Whether a test's file bears the name of the function."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", function.strip("_")).lower()
    return words in item.path.stem


def teller(session: Any) -> Callable[[str], None]:
    """Return what tells a line to the process that started this one; pytest would keep it until its end."""
    capture = session.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", flush=True)

    return say


class Devnet:
    """The devnet's coinbase. The devnet forgets it whenever it goes back to a snapshot, so it is said again then."""

    def __init__(self) -> None:
        self.number = 0
        self.ask = web3.provider.make_request
        web3.provider.make_request = self._make_request

    def _make_request(self, method: str, parameters: Any) -> Any:
        answer = self.ask(method, parameters)
        if method == "evm_revert":
            self.ask("anvil_setCoinbase", [coinbase(self.number)])
        return answer

    def switch(self, number: int) -> None:
        """Turn a mutant on."""
        self.number = number
        self.ask("anvil_setCoinbase", [coinbase(number)])
        self.check()

    def check(self) -> None:
        """Make sure that calls see the mutant's coinbase."""
        seen = self.ask("eth_call", [{"data": ASK_COINBASE}, "latest"])["result"]
        if int(seen, 16) != int(coinbase(self.number), 16):
            raise RuntimeError(f"the devnet's coinbase is {seen}, not that of mutant {self.number}")
