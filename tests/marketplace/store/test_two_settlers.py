"""Two settlement processes by mistake: one leads, one stands by, says so, and takes over when the first is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.devnet import Devnet
from contracts.event_types import ReportSubmitted
from contracts.events import fetch, of_type
from contracts.testing import TcpProxy
from marketplace.books import check_books
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from tests.marketplace.store.market import Market, market

ROOT = Path(__file__).resolve().parents[3]
SETTLER = 19


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path, slots_per_epoch=10, lead_s=4) as made:
        for verifier in made.verifiers:
            verifier.now = time.time
        yield made


@dataclass
class Running:
    """A settlement process and what it has said."""

    process: asyncio.subprocess.Process
    log: Path
    port: int

    @property
    def said(self) -> str:
        return self.log.read_text()

    async def kill(self) -> None:
        self.process.kill()
        assert await self.process.wait() == -signal.SIGKILL

    async def stop(self) -> None:
        self.process.terminate()
        assert await asyncio.wait_for(self.process.wait(), 30) == 0, self.said


async def _start(town: Market, url: str, name: str, **more: str) -> Running:
    (town.folder / "deployment.json").write_text(town.chain.deployment.to_json())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("BONDED_")} | {
        "BONDED_DATABASE_URL": url,
        "BONDED_DATA_FOLDER": str(town.folder),
        "BONDED_DEPLOYMENT": str(town.folder / "deployment.json"),
        "BONDED_RPC_URLS": town.devnet.url,
        "BONDED_FINALITY": "0",
        "BONDED_DEVNET": "1",
        "BONDED_EVIDENCE_LISTEN": f"127.0.0.1:{port}",
        "BONDED_TICK_S": "0.1",
        **more,
    }
    log = town.folder / f"{name}.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.marketplace.store.settling",
            str(SETTLER),
            cwd=ROOT,
            env=env,
            stdout=out,
            stderr=out,
        )
    return Running(process, log, port)


async def _until(town: Market, holds: Callable[[], object], what: str | Callable[[], str]) -> None:
    """Mine a block now and then until something holds; says `what` when it does not come."""
    for _ in range(1500):
        town.control.mine()
        found = holds()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(what() if callable(what) else what)


async def test_the_second_stands_by_and_takes_over_when_the_first_is_killed(town: Market, empty_url: str) -> None:
    await town.work(0)
    first = await _start(town, empty_url, "first")
    await _until(town, lambda: "leading" in first.said, "the first does not lead")
    second = await _start(town, empty_url, "second")
    try:
        await _until(town, lambda: "standing by" in second.said, "the second does not say that it stands by")
        steps = EpochSteps(town.database)

        async def has_begun() -> bool:
            return await steps.get(0) is not None

        await _until(town, has_begun, "epoch 0 is not taken up")
        assert "leading" not in second.said
        await first.kill()
        await _until(town, lambda: "leading" in second.said, "the second does not take over")

        async def is_done() -> bool:
            row = await steps.get(0)
            return row is not None and row.step is Step.DONE

        await _until(town, is_done, second.said)
        head = await town.chain.head()
        found = await fetch(town.chain, town.chain.deployment.block, head.number, kinds=[ReportSubmitted])
        submitted = of_type(found, ReportSubmitted)
        assert [event.epoch for event in submitted] == list(range(len(submitted))) != []
        await asyncio.to_thread(_check_evidence, second.port, submitted[0].evidence.hex())
        await second.stop()
    finally:
        for one in (first, second):
            if one.process.returncode is None:
                one.process.kill()
                await one.process.wait()
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []


async def test_goes_on_by_itself_after_database_and_chain_were_away(devnet: Devnet) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bonded-test-"))
    database, proxy = await Database.open("", folder), TcpProxy(devnet.port)
    await proxy.up()
    try:
        async with market(devnet, database, folder, slots_per_epoch=10, lead_s=4) as town:
            for verifier in town.verifiers:
                verifier.now = time.time
            await town.work(0)
            settler = await _start(town, "", "settler", BONDED_RPC_URLS=proxy.url)
            steps = EpochSteps(database)
            try:
                await _until(town, lambda: "leading" in settler.said, "it does not lead")

                async def has_begun() -> bool:
                    return await database.persist(lambda: steps.get(0), "looking") is not None

                await _until(town, has_begun, "epoch 0 is not taken up")
                os.kill(int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
                await proxy.down()
                await asyncio.sleep(1.5)
                await proxy.up()

                async def is_done() -> bool:
                    row = await database.persist(lambda: steps.get(0), "looking")
                    return row is not None and row.step is Step.DONE

                await _until(town, is_done, lambda: settler.said)
                await settler.stop()
            finally:
                if settler.process.returncode is None:
                    settler.process.kill()
                    await settler.process.wait()
            head = await town.chain.head()
            found = await fetch(town.chain, town.chain.deployment.block, head.number, kinds=[ReportSubmitted])
            epochs = [event.epoch for event in of_type(found, ReportSubmitted)]
            assert epochs == list(range(len(epochs))) != []
            lines = await database.persist(lambda: check_books(database, town.chain), "checking")
            assert [line for line in lines if not line.equal] == []
    finally:
        await proxy.down()
        await database.close()
        shutil.rmtree(folder)


def _check_evidence(port: int, manifest: str) -> None:
    """Fetch a bundle by its digest, and be refused what is none."""
    base = f"http://127.0.0.1:{port}/evidence/"
    with urllib.request.urlopen(base + manifest, timeout=5) as answer:
        assert "immutable" in answer.headers["cache-control"]
        files = json.load(answer)["files"]
    for entry in files.values():
        with urllib.request.urlopen(base + entry["sha256"].removeprefix("0x"), timeout=5) as answer:
            assert len(answer.read()) == entry["size"]
    for wrong in ("0" * 64, "..%2f..%2fetc%2fpasswd", manifest.upper(), manifest[:-1]):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(base + wrong, timeout=5)
        assert refused.value.code == 404
