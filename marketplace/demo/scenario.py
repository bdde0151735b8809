"""The demonstration's play: two epochs of real traffic, one provider dies, one breaks a stream; then all is checked.

Each check raises DemoFailed with what was expected and what was found, so an exit code of zero means that all of it
happened: streamed requests matched and served, both epochs settled on chain, the dead provider slashed, its customers
credited, rewards claimed, both epochs replayed equal, and a flipped byte refused by name.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import openai

from contracts.clock import Clock
from contracts.court import Court
from contracts.delegation import Delegation
from contracts.epochs import Epochs
from contracts.history import read_history, read_signed
from contracts.types import SlashStage
from marketplace.demo.cast import MODEL, Person
from marketplace.demo.processes import DemoFailed, bonded, run
from marketplace.demo.stage import Stage, fetch, read_text
from marketplace.demo.traffic import Tally, customer, long_streams

EPOCHS = 2
LEAST_REQUESTS = 60
_REPLAY_DIFFERENT = 5


@dataclass
class Outcome:
    """What the play came to, for the table at its end."""

    tallies: list[Tally] = field(default_factory=list)
    continued_streams: int = 0
    broken_streams: int = 0
    replays: list[dict[str, object]] = field(default_factory=list)
    tampered: str = ""
    books: dict[str, object] = field(default_factory=dict)
    delegated: int = 0


async def play(stage: Stage, genesis: int) -> Outcome:
    """Run the two epochs and check everything; the stage is set and the clock opened."""
    outcome = Outcome(tallies=[Tally(person.name) for person in stage.cast.customers])
    timing = await Clock(stage.open_chain).timing(await stage.open_chain.head())
    length = timing.slot_s * timing.slots_per_epoch
    await asyncio.sleep(max(0.0, genesis - time.time()))
    stage.say(f"epoch 0 runs for {length} s: customers send, verifiers probe")
    clock = asyncio.get_running_loop().time
    end = clock() + genesis + EPOCHS * length - time.time()
    try:
        await _run_epochs(stage, genesis, length, end, outcome)
    except ExceptionGroup as failures:
        raise _first(failures) from failures
    _check_traffic(outcome)
    await _wait_for_settlement(stage)
    await _claim(stage, outcome)
    await _replay(stage, outcome)
    await _tamper(stage, outcome)
    await _check_books(stage, outcome)
    return outcome


async def _run_epochs(stage: Stage, genesis: int, length: int, end: float, outcome: Outcome) -> None:
    """Send the traffic of both epochs; meanwhile one provider dies and one breaks a stream."""
    async with asyncio.TaskGroup() as group:
        for index, (person, tally) in enumerate(zip(stage.cast.customers, outcome.tallies, strict=True)):
            group.create_task(customer(_client(stage, person), tally, MODEL, end - 4, 2.6, index))
        group.create_task(_kill_for_good(stage, genesis))
        group.create_task(_break_a_stream(stage, genesis + length * 0.6, outcome))
        group.create_task(_report(stage, outcome, end))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure of a group, however deep it lies."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _client(stage: Stage, person: Person) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{stage.cast.gateway.url}/v1", api_key=person.api_key, timeout=60.0)


def _named(stage: Stage, name: str) -> Person:
    return next(person for person in stage.cast.providers if person.name == name)


async def _served(stage: Stage, provider: str) -> int:
    """Count the receipts of both customers from one provider."""
    found = 0
    for person in stage.cast.customers:
        rows = (await stage.ask(person, "/api/receipts?limit=500"))["receipts"]
        found += sum(row["provider"] == provider and row["status"] == "served" for row in rows)
    return found


async def _kill_for_good(stage: Stage, genesis: int) -> None:
    """Kill one provider in the first epoch, once customers have paid it for something."""
    doomed = _named(stage, "doomed")
    await asyncio.sleep(max(0.0, genesis + 8 - time.time()))

    async def wanting() -> str:
        return "" if await _served(stage, doomed.address) >= 1 else "it has served nobody"

    await stage.until(wanting, 30.0, "the doomed provider was given no work")
    stage.processes.kill(doomed.name)
    stage.say(f"provider doomed is killed for good at slot {time.time() - genesis:.0f}")


async def _break_a_stream(stage: Stage, moment: float, outcome: Outcome) -> None:
    """Kill a provider while it streams to customers, restart it, and see what they noticed.

    Another provider goes on with each answer; where nobody can, the customer gets an explicit error.
    """
    phoenix = _named(stage, "phoenix")
    await asyncio.sleep(max(0.0, moment - time.time()))
    client = _client(stage, stage.cast.customers[0])
    for _ in range(4):
        streams = asyncio.create_task(long_streams(client, MODEL, 4))
        if await _busy_for_a_while(phoenix, streams):
            before = await _continued(stage)
            stage.processes.kill(phoenix.name)
            stage.say("provider phoenix is killed while it streams")
            ends = await streams
            outcome.broken_streams += sum(end not in ("complete", "silent") for end in ends)
            outcome.continued_streams += await _continued(stage) - before
            if "silent" in ends:
                raise DemoFailed("a broken stream was closed cleanly: the customer could not tell that it was cut")
            stage.start_provider(phoenix)
            await stage.processes.wait_for(phoenix.name, f"{phoenix.url}/health", 60.0)
            stage.say("provider phoenix is back")
            if outcome.continued_streams or outcome.broken_streams:
                return
        else:
            await streams
    raise DemoFailed("no stream was open at provider phoenix when it was killed")


async def _continued(stage: Stage) -> int:
    """Count, at the gateway, how often a provider went on with an answer that had broken at another."""
    name = "bonded_gateway_streams_continued_total"
    lines = (await asyncio.to_thread(read_text, f"{stage.cast.gateway.url}/metrics")).splitlines()
    return int(sum(float(line.split()[1]) for line in lines if line.split()[:1] == [name]))


async def _busy_for_a_while(person: Person, streams: asyncio.Task[list[str]]) -> bool:
    """Wait until the provider has run something through several looks, longer than a probe lasts.

    False if it never does.
    """
    looks = 0
    while not streams.done():
        running = (await asyncio.to_thread(fetch, f"{person.url}/health"))["in_flight"]
        looks = looks + 1 if running else 0
        if looks >= 5:
            return True
        await asyncio.sleep(0.15)
    return False


async def _report(stage: Stage, outcome: Outcome, end: float) -> None:
    clock = asyncio.get_running_loop().time
    while (left := end - clock()) > 0:
        stage.processes.check()
        sent = sum(tally.sent for tally in outcome.tallies)
        answered = sum(tally.answered for tally in outcome.tallies)
        stage.say(f"{left:4.0f} s of traffic left: {sent} requests sent, {answered} answered")
        await asyncio.sleep(min(10.0, left))


def _check_traffic(outcome: Outcome) -> None:
    sent = sum(tally.sent for tally in outcome.tallies)
    answered = sum(tally.answered for tally in outcome.tallies)
    silent = sum(tally.silent for tally in outcome.tallies)
    streamed = sum(tally.streamed for tally in outcome.tallies)
    if sent < LEAST_REQUESTS or not 0 < streamed < sent:
        raise DemoFailed(
            f"{sent} requests were sent ({streamed} streamed), at least {LEAST_REQUESTS} of both kinds are wanted"
        )
    if silent:
        raise DemoFailed(f"{silent} streams ended without finish_reason and without an error")
    if answered < sent * 0.8:
        errors = sorted({error for tally in outcome.tallies for error in tally.errors})
        raise DemoFailed(f"only {answered} of {sent} requests were answered\n" + "\n".join(errors[:8]))


async def _wait_for_settlement(stage: Stage) -> None:
    """Wait until both epochs are activated and every slash that they opened is executed."""
    epochs, court = Epochs(stage.open_chain), Court(stage.open_chain)
    told = -1
    doomed = _named(stage, "doomed").address

    async def wanting() -> str:
        nonlocal told
        head = await stage.open_chain.head()
        progress = await epochs.progress(head)
        if progress.next_activation > told + 1:
            told = progress.next_activation - 1
            stage.say(f"epoch {told} is settled, signed by the verifiers and active on chain")
        if progress.next_activation < EPOCHS:
            return f"{progress.next_epoch} reports submitted, {progress.next_activation} active"
        slashes = [slash for slash in await court.slashes(head) if slash.provider == doomed]
        if not any(slash.stage is SlashStage.EXECUTED for slash in slashes):
            return f"{len(slashes)} slashes proposed against the dead provider, none executed"
        if not any(slash.harmed_given for slash in slashes):
            return "the slash is executed, its customers are not compensated yet"
        return ""

    await stage.until(wanting, 120.0, "the epochs were not settled")
    stage.say("the dead provider is slashed")


async def _claim(stage: Stage, outcome: Outcome) -> None:
    """Claim what providers earned, see that verifiers did, and take the customers' compensation."""

    async def provider(person: Person) -> None:
        config = str(person.folder / "provider.toml")
        await stage.command(person, "provider", "claim", "--config", config, "--yes")

    await asyncio.gather(*[provider(person) for person in stage.cast.providers])
    await stage.until(lambda: _unpaid_verifiers(stage), 60.0, "the verifiers did not claim their fees")
    await stage.until(lambda: _unclaimed(stage), 60.0, "the providers' claims did not become final")
    harmed: list[Person] = []

    async def uncompensated() -> str:
        harmed[:] = [person for person in stage.cast.customers if await _compensation(stage, person)]
        return "" if harmed else "nobody was compensated from the slash of the dead provider"

    await stage.until(uncompensated, 30.0, "the customers of the dead provider got nothing")
    for person in harmed:
        await stage.command(person, "customer", "withdraw", "--compensation", *person.options(), "--yes")
    stage.say(f"rewards are claimed; {' and '.join(person.name for person in harmed)} took compensation from the slash")
    await _claim_delegation(stage, outcome)


async def _claim_delegation(stage: Stage, outcome: Outcome) -> None:
    """Let the delegator take its part of the incentive."""
    dora, steady = stage.cast.delegator, stage.cast.providers[0]
    delegation, head = Delegation(stage.open_chain), await stage.open_chain.head()
    position = await delegation.position(steady.address, dora.address, head)
    if not position.rewards:
        raise DemoFailed(f"the delegator behind {steady.name} earned nothing")
    await stage.command(dora, "delegator", "claim", steady.address, *dora.options(), "--yes")
    outcome.delegated = position.rewards
    stage.say(f"{dora.name} claimed her part of {steady.name}'s incentive")


async def _unclaimed(stage: Stage) -> str:
    """Name the providers that served through both epochs and of whose claims an auditor sees nothing."""
    history = await stage.command(stage.cast.deployer, "auditor", "history")
    earned = {claim["provider"] for claim in history["claims"]}
    return ", ".join(p.name for p in stage.cast.providers if p.name != "doomed" and p.address not in earned)


async def _unpaid_verifiers(stage: Stage) -> str:
    """Name the verifiers that have claimed nothing yet; a running verifier claims by itself."""
    history = await read_history(stage.open_chain, await stage.open_chain.head())
    paid = {claim.payee for claim in history.owed_claims}
    return ", ".join(person.name for person in stage.cast.verifiers if person.address not in paid)


async def _compensation(stage: Stage, person: Person) -> int:
    return int((await stage.ask(person, "/api/balance"))["compensation_units"])


async def _replay(stage: Stage, outcome: Outcome) -> None:
    """Replay both epochs as an auditor would, from chain and evidence server alone."""
    evidence = f"http://127.0.0.1:{stage.cast.evidence_port}"
    answer = await stage.command(
        stage.cast.deployer, "auditor", "replay", "0", "1", "--evidence", evidence, accept=(0, 5)
    )
    outcome.replays = answer["replays"]
    different = [row for row in outcome.replays if not row["equal"]]
    if different or len(outcome.replays) != EPOCHS:
        raise DemoFailed(f"the replay is not equal: {json.dumps(answer)}")
    stage.say("both epochs replay equal to the unit")


async def _tamper(stage: Stage, outcome: Outcome) -> None:
    """Flip one byte in a copy of the evidence; the replay must refuse it and name the file."""
    copy = stage.folder / "tampered-evidence"
    shutil.copytree(stage.evidence, copy)
    signed = await read_signed(stage.open_chain, 0, await stage.open_chain.head())
    name = "attempts.jsonl"
    _flip(copy, signed.evidence.hex(), name)
    command = bonded("auditor", "replay", "0", "--evidence", str(copy), "--json")
    status, out, err = await run(command, stage.env, 60.0, accept=range(256))
    if status != _REPLAY_DIFFERENT or name not in out:
        raise DemoFailed(f"a flipped byte in {name} was not refused by name (status {status})\n{out}{err}")
    outcome.tampered = str(json.loads(out)["replays"][0]["words"])
    stage.say(f"one byte of {name} flipped: the replay refuses and names it")


def _flip(folder: Path, manifest: str, name: str) -> None:
    files = json.loads((folder / manifest).read_bytes())["files"]
    path = folder / files[name]["sha256"].removeprefix("0x")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


async def _check_books(stage: Stage, outcome: Outcome) -> None:
    """Hold the ledger against the chain, as the operator would."""
    outcome.books = await stage.command(stage.cast.settler, "operator", "check")
    stage.say("the books agree: ledger = escrow on chain, leaves = funds")
