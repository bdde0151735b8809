"""Send what a provider command decided on: numbers first, a question, then one idempotent intent per step.

A command that is broken off and run again goes on with the same intents instead of paying twice: each deed keeps its
number until its result was shown. `--intent NAME` pins a name, for scripts that must be able to repeat themselves
for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketplace.cli.deeds import DeedCounter, Manner, key_of
from marketplace.cli.output import confirm, note, print_facts, print_json, working
from marketplace.cli.provider.session import Session

if TYPE_CHECKING:
    from contracts.calls import Call
    from contracts.chain import Chain
    from contracts.signing import Signer


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of a deed: what people call it, and the call."""

    title: str
    call: Call


async def carry_out(
    session: Session,
    chain: Chain,
    signer: Signer,
    deed: str,
    numbers: dict[str, Any],
    steps: Sequence[Step],
    manner: Manner,
    question: str,
) -> list[dict[str, Any]]:
    """Show the numbers, ask, send the steps in order and return what became of each.

    A dry run simulates the first step and lists the others: they may depend on the first having happened.
    """
    from contracts.transactions import Until

    async with session.sender(chain, signer) as sender:
        if manner.dry_run:
            simulated = await sender.simulate(steps[0].call)
            planned: list[dict[str, Any]] = [{"step": step.title, "call": str(step.call)} for step in steps]
            planned[0] |= {"gas": simulated.gas, "fee_wei": simulated.fee_wei}
            _show(deed, numbers, {"dry_run": True, "steps": planned}, manner.as_json)
            return planned
        if not manner.as_json:
            print_facts(deed, numbers)
        confirm(question, manner.yes, manner.as_json)
        key = f"{chain.chain_id}/{signer.address}/{key_of([steps[-1].call])}"
        counter = DeedCounter(session.state_folder / "deeds.json", key)
        name = manner.intent or f"provider/{counter.key}/{counter.number}"
        done = []
        with counter.turn() if manner.intent is None else nullcontext():
            for step in steps:
                with working(step.title, quiet=manner.as_json):
                    outcome = await sender.submit(f"{name}/{step.call.function}", step.call, until=Until.MINED)
                if not outcome.sent:
                    note(f"{step.title}: sent by an earlier run, not again")
                done.append(
                    {
                        "step": step.title,
                        "transaction": "0x" + outcome.hash.hex(),
                        "block": outcome.block_number,
                        "gas_used": outcome.gas_used,
                        "fee_wei": outcome.fee_wei,
                        "sent_by_this_run": outcome.sent,
                    }
                )
            _show("", {} if not manner.as_json else numbers, {"steps": done}, manner.as_json)
    return done


def _show(deed: str, numbers: dict[str, Any], outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(numbers | outcome)
        return
    if numbers:
        print_facts(deed, numbers)
    for step in outcome["steps"]:
        print_facts("", step)
