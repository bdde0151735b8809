"""`bonded demo`: the whole marketplace on this machine, from an empty chain to a replayed and settled history."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.output import ExitCode, fail, note, print_facts, print_line

_AHEAD_S = 30
"""Seconds from opening the ledger to its first epoch, for gateway and verifiers to start; more on a slow machine."""
_AHEAD_SHARE = 0.6
"""Of the time that bonds and stakes took, which are about as much work."""

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    help="Run a whole marketplace on this machine and settle two epochs.",
)


@app.callback()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards, until Ctrl-C.")] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where keys, logs, database and evidence go.")] = Path(
        ".bonded/demo"
    ),
) -> None:
    """Run devnet, contracts, four real providers, three verifiers, gateway and two customers; settle two epochs.

    Exits with 0 only if everything happened that should: see the table at the end.
    """
    asyncio.run(_demo(keep, _fresh(folder.resolve())))


def _fresh(folder: Path) -> Path:
    """Empty the folder of an earlier demonstration; refuses to touch any other folder."""
    mark = folder / "made-by-bonded-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        fail(f"{folder} is not empty and was not made by this command", "name an empty or new folder", ExitCode.USAGE)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()
    return folder


async def _demo(keep: bool, folder: Path) -> None:
    from marketplace.demo.scenario import play
    from marketplace.demo.stage import Stage, checkout
    from marketplace.demo.table import addresses, print_outcome

    begun = time.monotonic()

    def say(words: str) -> None:
        note(f"[{time.monotonic() - begun:5.0f} s] {words}")

    root = checkout()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def interrupt() -> None:
        stopped.set()
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, interrupt)
    say("starting a devnet")
    stage = Stage.build(root, folder, say)
    try:
        say("compiling and deploying the contracts with brownie")
        await stage.deploy()
        await stage.fund()
        say("bonds, stakes and deposits; four providers load the model")
        bonding = time.monotonic()
        await asyncio.gather(stage.bond(), stage.supply(), stage.enter())
        ahead_s = max(_AHEAD_S, round(_AHEAD_SHARE * (time.monotonic() - bonding)))
        genesis = await stage.open_ledger(ahead_s)
        say("the ledger is open; starting gateway, settlement and verifiers")
        await stage.operate()
        await stage.keys()
        await stage.wait_for_market(90.0)
        say(f"the market is ready, {genesis - time.time():.0f} s before the first epoch")
        outcome = await play(stage, genesis)
        await print_outcome(stage, outcome)
        print_line(f"All of it happened, in {time.monotonic() - begun:.0f} s.", style="bold green")
        if keep:
            print_facts("Still running; press Ctrl-C to stop", addresses(stage))
            print_facts("Processes", {name: str(pid) for name, pid in stage.processes.addresses().items()})
            with contextlib.suppress(asyncio.CancelledError):
                await stopped.wait()
    finally:
        say("stopping what was started")
        await stage.close()
