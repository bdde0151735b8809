"""Start and stop an anvil: a chain for one machine, with accounts whose keys everybody knows.

The binary is taken from `BONDED_ANVIL`, else from npm's `node_modules` in this checkout or the working folder, else
from PATH. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from contracts.errors import AnvilMissing, DevnetFailed
from contracts.signing import Signer

MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 31337
_KINDS = {("Linux", "x86_64"): "linux-amd64", ("Linux", "aarch64"): "linux-arm64", ("Darwin", "arm64"): "darwin-arm64"}
_START_S = 20.0
_STOP_S = 5.0


def find_anvil() -> str:
    """Return the path of an anvil; raises AnvilMissing."""
    named = os.environ.get("BONDED_ANVIL")
    if named:
        if os.access(named, os.X_OK):
            return named
        raise AnvilMissing(f"BONDED_ANVIL names {named}, which cannot be executed: correct it or unset it")
    kind = _KINDS.get((platform.system(), platform.machine()), "none")
    for root in (Path(__file__).resolve().parent.parent, Path.cwd()):
        own = root / "node_modules" / "@foundry-rs" / f"anvil-{kind}" / "bin" / "anvil"
        if os.access(own, os.X_OK):
            return str(own)
    found = shutil.which("anvil")
    if found:
        return found
    raise AnvilMissing("there is no anvil: run ./scripts/setup, install Foundry, or name one in BONDED_ANVIL")


def dev_accounts(count: int) -> tuple[Signer, ...]:
    """Return the first accounts of the mnemonic that anvil funds."""
    from eth_account import Account
    from eth_account.hdaccount import ETHEREUM_DEFAULT_PATH, key_from_seed, seed_from_mnemonic

    seed = seed_from_mnemonic(MNEMONIC, "")
    path = ETHEREUM_DEFAULT_PATH.rsplit("/", 1)[0]
    keys = [key_from_seed(seed, f"{path}/{i}") for i in range(count)]
    signers = tuple(Signer(bytes(key)) for key in keys)
    assert all(Account.from_key(key).address.lower() == one.address for key, one in zip(keys, signers, strict=True))
    return signers


@dataclass(slots=True)
class Devnet:
    """A running anvil. Use as a context manager, or call `stop`."""

    url: str
    port: int
    accounts: tuple[Signer, ...]
    process: subprocess.Popen[bytes]
    _said: IO[bytes] = field(repr=False)

    @classmethod
    def start(
        cls,
        *,
        port: int = 0,
        block_time_s: int | None = None,
        accounts: int = 20,
        slots_in_an_epoch: int | None = None,
        state: Path | None = None,
        more: Sequence[str] = (),
    ) -> Devnet:
        """Start an anvil and wait until it answers; raises AnvilMissing or DevnetFailed with what it said.

        `port` 0 takes a free one. Without `block_time_s` every transaction makes a block at once.
        `slots_in_an_epoch`: the `finalized` tag lies twice as many blocks behind the head. `state`: a file the chain
        is kept in over a restart. `more`: further options for anvil.
        """
        binary = find_anvil()
        port = _free_port(port)
        command = [binary, "--host", "127.0.0.1", "--port", str(port), "--mnemonic", MNEMONIC]
        command += ["--accounts", str(accounts), "--chain-id", str(CHAIN_ID), *more]
        if block_time_s is not None:
            command += ["--block-time", str(block_time_s)]
        if slots_in_an_epoch is not None:
            command += ["--slots-in-an-epoch", str(slots_in_an_epoch)]
        if state is not None:
            command += ["--state", str(state)]
        said = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        devnet = cls(f"http://127.0.0.1:{port}", port, dev_accounts(accounts), process, said)
        try:
            devnet._wait()
        except BaseException:
            devnet.stop()
            raise
        return devnet

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    def stop(self) -> None:
        """End the process; harmless when it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._said.close()

    def __enter__(self) -> Devnet:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def rpc(self, method: str, *params: Any) -> Any:
        """Send one JSON-RPC request, synchronously; raises DevnetFailed."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})  # noqa: S310  our own URL
        try:
            with urllib.request.urlopen(request, timeout=10.0) as answer:  # noqa: S310
                raw = json.load(answer)
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise DevnetFailed(f"anvil at {self.url} does not answer {method}: {error}") from error
        if "error" in raw:
            raise DevnetFailed(f"anvil refuses {method}: {raw['error']}")
        return raw["result"]

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            if self.process.poll() is not None:
                self._said.seek(0)
                told = self._said.read().decode(errors="replace")[-1_000:]
                raise DevnetFailed(f"anvil ended with {self.process.returncode} instead of starting: {told}")
            try:
                self.rpc("eth_blockNumber")
                return
            except DevnetFailed:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.03)


def _free_port(wanted: int) -> int:
    """Return the port, or a free one for 0; another server there would answer in the place of ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise DevnetFailed(f"port {wanted} of 127.0.0.1 cannot be had ({error.strerror}): give another") from None
        return int(probe.getsockname()[1])
