"""Starting a devnet: found, up, keyed and gone again, or told why not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from contracts.devnet import CHAIN_ID, Devnet, dev_accounts, find_anvil
from contracts.errors import AnvilMissing, DevnetFailed

pytestmark = pytest.mark.chain


def test_a_named_anvil_that_cannot_run_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BONDED_ANVIL", str(tmp_path / "anvil"))
    with pytest.raises(AnvilMissing, match="correct it or unset it"):
        find_anvil()
    (tmp_path / "anvil").write_text("#!/bin/sh\necho broken chain >&2\nexit 3\n")
    (tmp_path / "anvil").chmod(0o755)
    with pytest.raises(DevnetFailed, match="ended with 3 instead of starting: broken chain"):
        Devnet.start()


def test_a_port_in_use_is_told() -> None:
    with Devnet.start() as first, pytest.raises(DevnetFailed, match="cannot be had"):
        Devnet.start(port=first.port)


def test_an_anvil_is_found_on_path_when_nothing_else_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = find_anvil()
    monkeypatch.delenv("BONDED_ANVIL", raising=False)
    monkeypatch.setattr("contracts.devnet.platform.machine", lambda: "a machine npm has no anvil for")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnvilMissing, match=r"scripts/setup"):
        find_anvil()
    (tmp_path / "anvil").symlink_to(real)
    assert find_anvil() == str(tmp_path / "anvil")


def test_starts_with_its_accounts_funded_and_stops() -> None:
    devnet = Devnet.start(accounts=4)
    assert int(devnet.rpc("eth_chainId"), 16) == CHAIN_ID
    assert [one.lower() for one in devnet.rpc("eth_accounts")] == [one.address for one in devnet.accounts]
    assert dev_accounts(1)[0].address == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    os.kill(devnet.pid, 0)
    devnet.stop()
    devnet.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(devnet.pid, 0)
    with pytest.raises(DevnetFailed, match="does not answer"):
        devnet.rpc("eth_blockNumber")


def test_a_chain_kept_in_a_file_goes_on_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "chain.json"
    with Devnet.start(state=state) as devnet:
        devnet.rpc("anvil_mine", hex(5))
        head = devnet.rpc("eth_getBlockByNumber", "latest", False)["hash"]
        genesis = devnet.rpc("eth_getBlockByNumber", "0x0", False)["hash"]
    with Devnet.start(state=state) as again:
        assert again.rpc("eth_getBlockByNumber", "0x5", False)["hash"] == head
        assert again.rpc("eth_getBlockByNumber", "0x0", False)["hash"] == genesis


def test_makes_blocks_by_the_clock_and_ends_finality_where_told() -> None:
    with Devnet.start(block_time_s=1, slots_in_an_epoch=1) as devnet:
        while int(devnet.rpc("eth_blockNumber"), 16) < 3:
            time.sleep(0.1)
        head = int(devnet.rpc("eth_blockNumber"), 16)
        final = int(devnet.rpc("eth_getBlockByNumber", "finalized", False)["number"], 16)
        assert final in (head - 2, head - 1)
