"""Doubles and tools for tests against a real chain: deploy, bend an anvil, break a connection, try an outbox.

Shipped with the package so that every part of the project tests against the same real contracts. Synchronous where a
fixture wants it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.codec import constructor_data, function
from contracts.deployment import Deployment
from contracts.devnet import Devnet
from contracts.errors import BadDeployment
from contracts.signing import Signer

_MOST_GAS = 10_000_000
_ROOT = Path(__file__).resolve().parent.parent


def deploy(devnet: Devnet, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Deployment:
    """Deploy the whole of the contracts from the devnet's first account, by the plan of `scripts/deploy.py`.

    Parameters are those of `devnet-parameters.json`, with single values replaced: `{"escrow": {"thaw_seconds": 200}}`.
    Roles are given out as there. The epoch clock stays closed: send `Clock.open` from the first account. Works in a
    checkout only.
    """
    parameters: dict[str, Any] = json.loads((_ROOT / "contracts/deployments/devnet-parameters.json").read_text())
    for group, values in (changes or {}).items():
        parameters[group] |= values
    deployer = devnet.accounts[0].address
    nonce = int(devnet.rpc("eth_getTransactionCount", deployer, "latest"), 16)
    first_block = int(devnet.rpc("eth_blockNumber"), 16) + 1
    script = _script()
    planned, steps = script.plan(parameters, deployer, nonce)
    at = {name: address.lower() for name, address in planned.items()}
    sent = [constructor_data(contract, [_lower(value) for value in arguments]) for _, contract, arguments in steps]
    receipts = _send_all(devnet, [(None, data) for data in sent])
    for (name, _, _), receipt in zip(steps, receipts, strict=True):
        if receipt is None or receipt["status"] != "0x1" or receipt["contractAddress"].lower() != at[name]:
            raise BadDeployment(f"{name} was not deployed where it was planned: {receipt}")
    roles = [(at["Authority"], data) for data in _role_calls(script, parameters, at, deployer)]
    if any(receipt is None or receipt["status"] != "0x1" for receipt in _send_all(devnet, roles)):
        raise BadDeployment("the roles of the deployment could not be given out")
    return Deployment(int(devnet.rpc("eth_chainId"), 16), first_block, at, parameters)


def _role_calls(script: Any, parameters: Mapping[str, Any], at: Mapping[str, str], deployer: str) -> list[bytes]:
    """Return the calls of the Authority by which `scripts/deploy.py` gives out the roles."""
    calls = []
    for role, functions in script.RESTRICTED.items():
        for name, restricted in functions:
            selector = function(name, restricted).selector
            calls.append(function("Authority", "setTargetFunctionRole").encode((at[name], [selector], role)))
    held = script.grants(parameters, at, deployer)
    for (role, account), delay in held.items():
        if (role, account) != (script.ADMIN, deployer):
            calls.append(function("Authority", "grantRole").encode((role, account, delay)))
    if (script.ADMIN, deployer) not in held:
        calls.append(function("Authority", "renounceRole").encode((script.ADMIN, deployer)))
    return calls


def _send_all(devnet: Devnet, calls: Sequence[tuple[str | None, bytes]]) -> list[Any]:
    """Send calls (or creations, to nobody) from the first account, mine them, and return their receipts."""
    sender = devnet.accounts[0].address
    nonce = int(devnet.rpc("eth_getTransactionCount", sender, "latest"), 16)
    hashes = []
    for number, (to, data) in enumerate(calls):
        transaction = {"from": sender, "data": "0x" + data.hex(), "nonce": hex(nonce + number), "gas": hex(_MOST_GAS)}
        hashes.append(devnet.rpc("eth_sendTransaction", transaction | ({"to": to} if to else {})))
    AnvilControl(devnet).mine_pending()
    return [devnet.rpc("eth_getTransactionReceipt", hash_) for hash_ in hashes]


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
