"""Send what moves money: show the numbers, ask, send each call once, show the transactions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketplace.cli.chain import open_sender
from marketplace.cli.deeds import DeedCounter, Manner, key_of
from marketplace.cli.output import confirm, note, print_facts, print_json, print_line, working

if TYPE_CHECKING:
    from contracts.calls import Call
    from contracts.chain import Chain
    from contracts.signing import Signer

Calls = Sequence[tuple[str, "Call"]]
_MOST_WAIT_S = 120.0


class Payment:
    """One deed of a command. `about` are the calls that make it what it is; others prepare or complete it.

    Outbox and count of deeds lie beside the keystore, so that the same command again never pays twice.
    """

    def __init__(self, chain: Chain, signer: Signer, keystore: Path | None, about: Calls, intent: str | None) -> None:
        self._chain = chain
        self._signer = signer
        self._folder = keystore.parent if keystore else Path.home() / ".bonded"
        key = f"{chain.key}/{signer.address}/{key_of([call for _, call in about])}"
        self._counter = DeedCounter(self._folder / "deeds.json", key)
        self._pinned = intent is not None
        self._name = intent or f"{key}/{self._counter.number}"

    async def begun(self, step: str) -> bool:
        """Say whether an earlier run stored this step: then it is done or on its way, and must not be judged anew."""
        from contracts.file_outbox import FileOutbox

        outbox = FileOutbox.open(self._folder, sender=self._signer.address, chain_key=self._chain.key)
        try:
            return await outbox.get(f"{self._name}:{step}") is not None
        finally:
            await outbox.close()

    async def make(self, calls: Calls, facts: dict[str, Any], manner: Manner) -> None:
        """Show the numbers, ask, then send the calls in order. A dry run simulates the first and sends none."""
        if not manner.as_json:
            print_facts("This would be sent" if manner.dry_run else "This will be sent", facts)
        if manner.dry_run:
            await self._rehearse(calls, facts, manner)
            return
        confirm("Go on?", manner.yes, manner.as_json)
        with nullcontext() if self._pinned else self._counter.turn():
            await self._send(calls, facts, manner)

    async def _rehearse(self, calls: Calls, facts: dict[str, Any], manner: Manner) -> None:
        async with open_sender(self._chain, self._signer, self._folder) as sender:
            first = await sender.simulate(calls[0][1])
        if manner.as_json:
            planned = [str(call) for _, call in calls]
            print_json({"would_send": planned, "gas": first.gas, "fee_wei": first.fee_wei, **facts})
            return
        for _, call in calls:
            print_line(f"  {call}")

    async def _send(self, calls: Calls, facts: dict[str, Any], manner: Manner) -> None:
        done: dict[str, str] = {}
        before: list[str] = []
        async with open_sender(self._chain, self._signer, self._folder) as sender:
            for step, call in calls:
                with working(step, quiet=manner.as_json):
                    outcome = await sender.submit(f"{self._name}:{step}", call, timeout_s=_MOST_WAIT_S)
                done[step] = "0x" + outcome.hash.hex()
                if not outcome.sent:
                    before.append(step)
                    note(f"{step}: sent by an earlier run, not again")
        if manner.as_json:
            print_json({"transactions": done, "sent_before": before, **facts})
        else:
            print_facts("Done", done)


async def pay(
    chain: Chain, signer: Signer, keystore: Path | None, calls: Calls, facts: dict[str, Any], manner: Manner
) -> None:
    """Show the numbers, ask, then send the calls in order; the last one is what the command is about."""
    await Payment(chain, signer, keystore, calls[-1:], manner.intent).make(calls, facts, manner)
