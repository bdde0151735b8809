"""The outbox in a file: one process at a time, nothing lost, nothing half done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import OutboxDamaged, OutboxLocked, OutboxMisused
from contracts.file_outbox import FileOutbox
from contracts.outbox import Draft, Outbox, SignedTransaction
from contracts.testing_outbox import OutboxConformance

SENDER = "0x" + "5e" * 20
CHAIN_KEY = "31337:0x" + "ab" * 32
DRAFT = Draft("one", "0x" + "11" * 20, b"\x01\x02", 0, "EpochLedger.claimOwed", 90_000)


def opened(folder: Path) -> FileOutbox:
    return FileOutbox.open(folder, sender=SENDER, chain_key=CHAIN_KEY)


class TestFileOutbox(OutboxConformance):
    """Everything an outbox must do."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make(self) -> Outbox:
        return opened(self.folder)

    async def reopen(self, outbox: Outbox) -> Outbox:
        await outbox.close()
        return opened(self.folder)


async def test_a_second_process_on_the_same_key_is_refused(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    code = (
        "import sys; from contracts.file_outbox import FileOutbox; from contracts.errors import OutboxLocked\n"
        "try: FileOutbox.open(sys.argv[1], sender=sys.argv[2], chain_key=sys.argv[3])\n"
        "except OutboxLocked as error: print(error); sys.exit(7)"
    )
    second = [sys.executable, "-c", code, str(tmp_path), SENDER, CHAIN_KEY]
    refused = await asyncio.to_thread(subprocess.run, second, check=False, capture_output=True, text=True)
    assert refused.returncode == 7, refused.stderr
    assert "is in use by another process" in refused.stdout
    await outbox.close()
    assert (await asyncio.to_thread(subprocess.run, second, check=False)).returncode == 0


async def test_a_second_outbox_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    with pytest.raises(OutboxLocked, match="stop the other first"):
        opened(tmp_path)
    other_chain = FileOutbox.open(tmp_path, sender=SENDER, chain_key="31337:0x" + "cd" * 32)
    other_key = FileOutbox.open(tmp_path, sender="0x" + "5f" * 20, chain_key=CHAIN_KEY)
    for one in (outbox, other_chain, other_key):
        await one.close()


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_a_line_cut_short_by_a_crash_never_happened(tmp_path: Path, cut: int) -> None:
    outbox = opened(tmp_path)
    await outbox.prepare(DRAFT, 4)
    before = outbox.path.stat().st_size
    await outbox.signed("one", SignedTransaction(4, b"\x07" * 32, b"raw", 9, 1))
    await outbox.close()
    with outbox.path.open("r+b") as file:
        file.truncate(before + cut)
    again = opened(tmp_path)
    found = await again.get("one")
    assert found is not None and (found.state, found.nonce, found.transactions) == ("prepared", 4, ())
    assert again.path.stat().st_size == before
    await again.signed("one", SignedTransaction(4, b"\x07" * 32, b"raw", 9, 1))
    await again.close()
    assert (await opened(tmp_path).get("one")) == await again.get("one")


@pytest.mark.parametrize(
    "line",
    ["not json", "[]", '{"step":"fly","intent":"one"}', '{"step":"signed","intent":"nobody","transaction":{}}', "{}"],
)
async def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, line: str) -> None:
    outbox = opened(tmp_path)
    await outbox.prepare(DRAFT, 0)
    await outbox.close()
    with outbox.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(OutboxDamaged, match="line 3"):
        opened(tmp_path)


async def test_a_file_of_another_key_is_refused(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    await outbox.close()
    outbox.path.rename(outbox.path.with_name(outbox.path.name.replace("5e5e", "5f5e", 1)))
    with pytest.raises(OutboxDamaged, match="it belongs to"):
        FileOutbox.open(tmp_path, sender="0x5f" + "5e" * 19, chain_key=CHAIN_KEY)


async def test_a_closed_outbox_takes_nothing_more(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    await outbox.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await outbox.prepare(DRAFT, 0)
    assert await outbox.get("one") is None


async def test_keeps_its_file_from_other_users(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutboxMisused, match="there is no intent two"):
        await outbox.signed("two", SignedTransaction(0, b"", b"", 1, 1))
    await outbox.close()
