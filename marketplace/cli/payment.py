"""Send what moves money: show the numbers, ask, send each call once under one intent, show the transactions."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketplace.cli.chain import open_sender
from marketplace.cli.output import confirm, print_facts, print_json, print_line

if TYPE_CHECKING:
    from contracts.calls import Call
    from contracts.chain import Chain
    from contracts.signing import Signer


async def pay(
    chain: Chain,
    signer: Signer,
    keystore: Path | None,
    calls: list[tuple[str, Call]],
    facts: dict[str, Any],
    intent: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show the numbers, ask, then send the calls in order under one intent.

    The last one is what the command is about.
    """
    if not as_json:
        print_facts("This will be sent" if not dry_run else "This would be sent", facts)
    if dry_run:
        if as_json:
            print_json({"would_send": [str(call) for _, call in calls], **facts})
        else:
            for _, call in calls:
                print_line(f"  {call}")
        return
    confirm("Go on?", yes, as_json)
    name = intent or uuid.uuid4().hex
    folder = keystore.parent if keystore else Path.home() / ".bonded"
    done: dict[str, str] = {}
    async with open_sender(chain, signer, folder) as sender:
        for step, call in calls:
            outcome = await sender.submit(f"{name}:{step}", call, timeout_s=120.0)
            done[step] = "0x" + outcome.hash.hex()
    if as_json:
        print_json({"transactions": done, **facts})
    else:
        print_facts("Done", {step: transaction for step, transaction in done.items()})
