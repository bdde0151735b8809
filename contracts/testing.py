"""Doubles and tools for tests against a real chain: deploy, bend an anvil, break a connection, try an outbox.

Shipped with the package so that every part of the project tests against the same real contracts. Synchronous where a
fixture wants it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.codec import constructor_data
from contracts.deployment import Deployment
from contracts.devnet import Devnet
from contracts.errors import BadDeployment
from contracts.signing import Signer

_ROOT = Path(__file__).resolve().parent.parent


def deploy(devnet: Devnet, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Deployment:
    """Deploy the whole of the contracts from the devnet's first account, by the plan of `scripts/deploy.py`.

    Parameters are those of `devnet-parameters.json`, with single values replaced: `{"escrow": {"thaw_seconds": 200}}`.
    The epoch clock stays closed: send `Epochs.open` from the first account. Works in a checkout only.
    """
    parameters: dict[str, Any] = json.loads((_ROOT / "contracts/deployments/devnet-parameters.json").read_text())
    for group, values in (changes or {}).items():
        parameters[group] |= values
    deployer = devnet.accounts[0].address
    nonce = int(devnet.rpc("eth_getTransactionCount", deployer, "latest"), 16)
    first_block = int(devnet.rpc("eth_blockNumber"), 16) + 1
    at, steps = _script().plan(parameters, deployer, nonce)
    hashes = []
    for number, (_, contract, arguments) in enumerate(steps):
        data = constructor_data(contract, [_lower(value) for value in arguments])
        transaction = {"from": deployer, "data": "0x" + data.hex(), "nonce": hex(nonce + number), "gas": hex(8_000_000)}
        hashes.append(devnet.rpc("eth_sendTransaction", transaction))
    AnvilControl(devnet).mine_pending()
    for (name, _, _), hash_ in zip(steps, hashes, strict=True):
        receipt = devnet.rpc("eth_getTransactionReceipt", hash_)
        if receipt is None or receipt["status"] != "0x1" or receipt["contractAddress"].lower() != at[name].lower():
            raise BadDeployment(f"{name} was not deployed where it was planned: {receipt}")
    return Deployment(
        int(devnet.rpc("eth_chainId"), 16),
        first_block,
        {name: address.lower() for name, address in at.items()},
        parameters,
    )


class AnvilControl:
    """What only a devnet does: mine at will, reorganise, drop transactions, move the clock, raise fees."""

    def __init__(self, devnet: Devnet) -> None:
        self._rpc = devnet.rpc

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks."""
        self._rpc("anvil_mine", hex(blocks))

    def mine_pending(self) -> None:
        """Mine until no transaction waits."""
        while int(self._rpc("txpool_status")["pending"], 16):
            self.mine()

    def automine(self, on: bool) -> None:
        """Let every transaction make a block, or none."""
        self._rpc("evm_setAutomine", on)

    def reorganise(self, depth: int) -> None:
        """Replace the last blocks by empty ones; their transactions are gone and not in the pool either."""
        self._rpc("anvil_reorg", depth, [])

    def drop(self, hash_: bytes) -> None:
        """Lose a transaction from the pool."""
        self._rpc("anvil_dropTransaction", "0x" + hash_.hex())

    def pass_time(self, seconds: int) -> None:
        """Move the clock and mine a block at the new time."""
        self._rpc("evm_increaseTime", hex(seconds))
        self.mine()

    def base_fee(self, wei: int) -> None:
        """Set the base fee of the next block."""
        self._rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))

    def give(self, address: str, wei: int) -> None:
        """Set an address's native balance."""
        self._rpc("anvil_setBalance", address, hex(wei))

    def mined_count(self, address: str) -> int:
        """Return how many transactions of an address are mined."""
        return int(self._rpc("eth_getTransactionCount", address, "latest"), 16)

    def send_foreign(self, signer: Signer, nonce: int, *, to: str, tip_wei: int = 3 * 10**9) -> bytes:
        """Send one wei with a signer's key past its outbox, as another wallet would; returns the hash."""
        from eth_account import Account

        signed = Account.sign_transaction(
            {
                "chainId": int(self._rpc("eth_chainId"), 16),
                "nonce": nonce,
                "to": bytes.fromhex(to[2:]),
                "value": 1,
                "gas": 21_000,
                "maxFeePerGas": 100 * 10**9,
                "maxPriorityFeePerGas": tip_wei,
                "type": 2,
            },
            signer.secret(),
        )
        return bytes.fromhex(self._rpc("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())[2:])


class TcpProxy:
    """A TCP relay in front of a server that can be taken down and brought back on the same port."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """Return the address to give out instead of the server's."""
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Accept connections, on the port of the first time."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            for one in (writer, back):
                one.transport.abort()
                self._open.discard(one)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) and value.startswith("0x") else value


def _script() -> Any:
    path = _ROOT / "scripts" / "deploy.py"
    spec = importlib.util.spec_from_file_location("bonded_deploy_plan", path)
    if spec is None or spec.loader is None or not path.exists():
        raise BadDeployment(f"{path} is missing: contracts are deployed for tests from a checkout of the source only")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
