"""A pytest plugin for brownie's environment: run the collected tests once for each mutant, until one fails.

A test kills a mutant if it fails under it and passes without it. Each mutant is switched on by the devnet's coinbase,
in a market that was deployed without it; one of a constructor that no test kills there gets a deployment of its own.
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
    suite, say = Suite(session), teller(session)
    lives = []
    for mutant in plan:  # most die by the few tests that are about their function
        killer = suite.killer(mutant["number"], lambda item, name=mutant["function"]: is_about(item, name))
        if killer is None:
            lives.append(mutant)
        else:
            say(f"MUTANT {mutant['number']} {killer}")
    for mutant in lives:
        killer = suite.killer(mutant["number"], lambda item, name=mutant["function"]: not is_about(item, name))
        if killer is None and mutant["deploys"]:
            killer = suite.killer_of_deployment(mutant["number"], mutant["function"])
        say(f"MUTANT {mutant['number']} {killer or '-'}")
    for test in suite.aside:
        say(f"ASIDE {test}")
    say("MUTANTS-ENDED")
    return True


class Suite:
    """The collected tests. `aside` are those that fail without a mutant too, of the size of code for instance."""

    def __init__(self, session: Any) -> None:
        self.session, self.items, self.devnet = session, list(session.items), Devnet()
        self.took: dict[str, float] = {}
        self.green: set[str] = set()
        self.aside: set[str] = set()
        self._deploy()

    def _deploy(self) -> None:
        """Deploy without a mutant, by running some test that passes then."""
        self.session._setupstate.teardown_exact(None)
        self.devnet.switch(0)
        if all(self._fails(item) for item in self.items[:10]):
            raise RuntimeError("the suite fails without a mutant: mend it first")

    def killer(self, number: int, chosen: Callable[[Any], bool]) -> str | None:
        """Run chosen tests under a mutant until one fails that passes without it, and return its name; else None."""
        self.devnet.switch(number)
        for item in sorted(filter(chosen, self.items), key=lambda item: self.took.get(item.nodeid, 0)):
            if item.nodeid not in self.aside and self._fails(item) and self._is_green(item):
                return str(item.nodeid)
            self.devnet.switch(number)
        return None

    def killer_of_deployment(self, number: int, function: str) -> str | None:
        """As `killer`, with a deployment that is made under the mutant; only the first test that fails is asked."""
        self.session._setupstate.teardown_exact(None)
        self.devnet.switch(number)
        near = sorted(self.items, key=lambda item: not is_about(item, function))
        suspect = next((item for item in near if item.nodeid not in self.aside and self._fails(item)), None)
        self._deploy()
        return str(suspect.nodeid) if suspect is not None and self._is_green(suspect) else None

    def _fails(self, item: Any) -> bool:
        began = time.perf_counter()
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(int(os.environ["BONDED_SECONDS_PER_MUTANT"]))
        try:
            failed = failure_of(item) is not None
        finally:
            signal.alarm(0)
        self.devnet.check()
        self.took.setdefault(item.nodeid, time.perf_counter() - began)
        return failed

    def _is_green(self, item: Any) -> bool:
        if item.nodeid not in self.green:
            self.devnet.switch(0)
            (self.aside if self._fails(item) else self.green).add(item.nodeid)
        return item.nodeid in self.green


def _too_long(*_: Any) -> None:
    raise TimeoutError("a test did not end under a mutant")


class Anything:
    """Whichever test comes next: what belongs to the whole session stays, everything else is torn down."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def listchain(self) -> list[Any]:
        """Return the collectors that the next test needs for certain."""
        return [self.session]


def failure_of(item: Any) -> str | None:
    """Run a test quietly; returns what failed in set-up, call or tear-down, or None."""
    for report in runtestprotocol(item, log=False, nextitem=Anything(item.session)):
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
