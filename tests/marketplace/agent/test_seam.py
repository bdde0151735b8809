"""What the doctor says of engines that go on with a broken answer well, badly, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from marketplace.agent.doctor import Verdict, _break
from marketplace.agent.engines.base import CHAT, COMPLETIONS
from marketplace.agent.errors import EngineFailed

WORDS = [f"{number} " for number in range(8)]


class Engine:
    """An engine that counts; `behind` says what it gives when it is asked to go on behind so many words."""

    def __init__(self, behind: Any) -> None:
        self.behind = behind

    def stream(self, route: str, request: dict[str, Any]) -> AsyncIterator[bytes]:
        return events(route, WORDS)

    def resume(self, route: str, request: dict[str, Any], delivered: Sequence[str]) -> AsyncIterator[bytes]:
        return events(route, self.behind(len(delivered)))


async def events(route: str, words: Sequence[str]) -> AsyncIterator[bytes]:
    for word in words:
        yield orjson.dumps({"choices": [{"delta": {"content": word}} if route == CHAT else {"text": word}]})


@pytest.mark.parametrize("route", [CHAT, COMPLETIONS])
async def test_an_engine_that_goes_on_is_good(route: str) -> None:
    finding = await _break(Engine(lambda at: WORDS[at:]), route, "m", "m")
    assert finding.verdict is Verdict.GOOD


@pytest.mark.parametrize(
    "behind",
    [lambda at: WORDS, lambda at: WORDS[at - 1 :], lambda at: WORDS[at + 1 :], lambda at: []],
    ids=["begins anew", "repeats", "drops", "says nothing"],
)
async def test_an_engine_that_loses_or_repeats_is_told_to_leave_it(behind: Any) -> None:
    finding = await _break(Engine(behind), CHAT, "m", "m")
    assert finding.verdict is Verdict.FAILED
    assert '"continue" out of features' in finding.mend


async def test_an_engine_that_refuses_is_told_to_leave_it() -> None:
    def refuse(at: int) -> Sequence[str]:
        raise EngineFailed("not me")

    finding = await _break(Engine(refuse), CHAT, "m", "m")
    assert finding.verdict is Verdict.FAILED and "not me" in finding.found
