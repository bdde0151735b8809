"""Read the chain: one connection over one or more RPC endpoints, everything at a `Checkpoint`.

A checkpoint is a block by number and hash. Reads name the hash, and the endpoint that answers has to hold that block on
its chain in the same request, so two reads at one checkpoint never mix two states of the chain.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from contracts.calls import View
from contracts.codec import DecodingError
from contracts.deployment import Deployment
from contracts.endpoints import Endpoints, EndpointStatus, NotHere
from contracts.errors import BadArgument, ChainUnavailable, CheckpointGone, NoContract, RpcRefused
from contracts.revert import refusal
from contracts.rpc import Endpoint, Request
from contracts.types import Checkpoint

T = TypeVar("T")

_VIEWS_PER_REQUEST = 100
_FIRST_WAIT_S = 0.25
_MOST_WAIT_S = 8.0


@dataclass(frozen=True, slots=True)
class Finality:
    """When a block counts as final: the chain's `finalized` tag, or so many blocks on top of it."""

    blocks: int | None

    @classmethod
    def finalized(cls) -> Finality:
        """Trust the chain's own `finalized` tag."""
        return cls(None)

    @classmethod
    def depth(cls, blocks: int) -> Finality:
        """Count blocks; depth 0 is the head."""
        if blocks < 0:
            raise BadArgument(f"finality is a number of blocks from 0 on, not {blocks}")
        return cls(blocks)

    @classmethod
    def parse(cls, text: str) -> Finality:
        """Read `finalized` or a number of blocks from a setting; raises BadArgument."""
        if text == "finalized":
            return cls(None)
        if not re.fullmatch(r"[0-9]{1,6}", text):
            raise BadArgument(f"finality is the word finalized or a number of blocks, not {text!r}")
        return cls(int(text))

    def __str__(self) -> str:
        return "finalized" if self.blocks is None else str(self.blocks)


class Chain:
    """A connection to the chain of a deployment."""

    def __init__(self, endpoints: Endpoints, deployment: Deployment, finality: Finality) -> None:
        self._endpoints = endpoints
        self.deployment = deployment
        self.chain_id = deployment.chain_id
        self.finality = finality

    @classmethod
    async def connect(
        cls,
        urls: Sequence[str],
        deployment: Deployment,
        *,
        finality: Finality | None = None,
        timeout_s: float = 10.0,
        most_lag_blocks: int = 3,
    ) -> Chain:
        """Connect, and check that every endpoint that answers serves the deployment's chain.

        Raises WrongChain, or ChainUnavailable with the reason of each endpoint when none answers.
        """
        endpoints = Endpoints(urls, deployment.chain_id, timeout_s, most_lag_blocks)
        try:
            await endpoints.connect()
        except BaseException:
            await endpoints.close()
            raise
        return cls(endpoints, deployment, finality or Finality.finalized())

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoints.close()

    async def __aenter__(self) -> Chain:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def key(self) -> str:
        """Return chain id and genesis hash: two devnets of one chain id differ in it."""
        return f"{self.chain_id}:{self._endpoints.genesis}"

    def endpoints(self) -> tuple[EndpointStatus, ...]:
        """Return every endpoint as last seen."""
        return self._endpoints.status()

    # ------------------------------------------------------------------------------------------------------ blocks

    async def head(self) -> Checkpoint:
        """Return the newest block."""
        return _checkpoint(await self.request("eth_getBlockByNumber", ["latest", False]))

    async def checkpoint(self, finality: Finality | None = None) -> Checkpoint:
        """Return the newest final block by the given rule or the connection's own."""
        blocks = (finality or self.finality).blocks
        if blocks is None:
            return _checkpoint(await self.request("eth_getBlockByNumber", ["finalized", False]))
        if blocks == 0:
            return await self.head()
        head = int(await self.request("eth_blockNumber", []), 16)
        found = await self.block(max(0, head - blocks))
        if found is None:
            raise ChainUnavailable(tuple((one.url, "its head went back") for one in self.endpoints()))
        return found

    async def block(self, number_or_hash: int | bytes) -> Checkpoint | None:
        """Return a block by number or hash, None when the chain has no such block."""
        if isinstance(number_or_hash, bytes):
            raw = await self.request("eth_getBlockByHash", ["0x" + number_or_hash.hex(), False])
        else:
            raw = await self.request("eth_getBlockByNumber", [hex(number_or_hash), False])
        return None if raw is None else _checkpoint(raw)

    async def block_at(self, time: int, least: int = 0) -> Checkpoint | None:
        """Return the last block whose time is at most `time`, from block `least` on; None when all are later."""
        low, best = least, None
        high = int(await self.request("eth_blockNumber", []), 16)
        while low <= high:
            middle = (low + high) // 2
            block = await self.block(middle)
            if block is None or block.time > time:
                high = middle - 1
            else:
                low, best = middle + 1, block
        return best

    async def time(self) -> int:
        """Return the unix time of the newest block."""
        return (await self.head()).time

    async def wait_until_up(self, most_s: float = 60.0) -> Checkpoint:
        """Wait until an endpoint answers, asking after 0.25, 0.5 … 8 s; raises ChainUnavailable after `most_s`."""
        loop = asyncio.get_running_loop()
        deadline, wait_s = loop.time() + most_s, _FIRST_WAIT_S
        while True:
            try:
                return await self.head()
            except ChainUnavailable:
                left_s = deadline - loop.time()
                if left_s <= 0:
                    raise
                await asyncio.sleep(min(wait_s, left_s))
                wait_s = min(2 * wait_s, _MOST_WAIT_S)

    # ------------------------------------------------------------------------------------------------------- reads

    async def read(self, view: View[T], at: Checkpoint) -> T:
        """Read one view at a checkpoint; raises CheckpointGone, ContractRefused, NoContract, ChainUnavailable."""
        (answer,) = await self.batch_at([_eth_call(view, at)], at)
        return _decoded(view, answer)

    async def read_many(self, views: Sequence[View[Any]], at: Checkpoint) -> list[Any]:
        """Read many views at one checkpoint, a hundred to an HTTP request."""
        results: list[Any] = []
        for start in range(0, len(views), _VIEWS_PER_REQUEST):
            part = views[start : start + _VIEWS_PER_REQUEST]
            answers = await self.batch_at([_eth_call(view, at) for view in part], at)
            results += [_decoded(view, answer) for view, answer in zip(part, answers, strict=True)]
        return results

    async def batch_at(self, requests: Sequence[Request], at: Checkpoint) -> list[Any]:
        """Answer a batch by an endpoint on whose chain the checkpoint lies; raises CheckpointGone if there is none."""
        witness: Request = ("eth_getBlockByNumber", [hex(at.number), False])

        async def question(endpoint: Endpoint) -> list[Any]:
            answers = await endpoint.batch([witness, *requests])
            block = answers[0]
            if not isinstance(block, dict) or block.get("hash") != "0x" + at.hash.hex():
                raise NotHere
            return answers[1:]

        try:
            return await self._endpoints.ask(question)
        except NotHere:
            raise CheckpointGone(at.number, at.hash) from None

    async def balance(self, address: str, at: Checkpoint | None = None) -> int:
        """Return the native currency of an address in wei, at the head unless a checkpoint is given."""
        return int(await self._account("eth_getBalance", address, at), 16)

    async def nonce(self, address: str, at: Checkpoint | None = None) -> int:
        """Return how many transactions of an address are mined, at the head unless a checkpoint is given."""
        return int(await self._account("eth_getTransactionCount", address, at), 16)

    async def receipts(self, hashes: Sequence[bytes]) -> list[dict[str, Any] | None]:
        """Return raw receipts in order, None for each transaction that is not on the chain."""
        answers = await self.batch([("eth_getTransactionReceipt", ["0x" + one.hex()]) for one in hashes])
        return [answer if isinstance(answer, dict) else None for answer in answers]

    async def logs(
        self, from_block: int, to_block: int, addresses: Sequence[str], topics: Sequence[Any] = ()
    ) -> list[dict[str, Any]]:
        """Return raw logs; raises RpcRefused when the node finds the range too large."""
        wanted = {"fromBlock": hex(from_block), "toBlock": hex(to_block), "address": list(addresses)}
        if topics:
            wanted["topics"] = list(topics)
        found: list[dict[str, Any]] = await self.request("eth_getLogs", [wanted])
        return found

    # --------------------------------------------------------------------------------------------------------- raw

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """Send one JSON-RPC request with fail-over; raises RpcRefused or ChainUnavailable."""
        return await self._endpoints.request(method, params)

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Send one batch with fail-over; an RpcRefused stands in the place of a refused result."""
        return await self._endpoints.batch(requests)

    async def send_raw(self, raw: bytes) -> bytes:
        """Broadcast signed bytes and return their hash. `contracts.transactions` alone calls this."""
        return bytes.fromhex(str(await self.request("eth_sendRawTransaction", ["0x" + raw.hex()]))[2:])

    async def _account(self, method: str, address: str, at: Checkpoint | None) -> str:
        if at is None:
            return str(await self.request(method, [address, "latest"]))
        answer = (await self.batch_at([(method, [address, block_id(at)])], at))[0]
        if isinstance(answer, RpcRefused):
            raise answer
        return str(answer)


def block_id(at: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint as JSON-RPC names it (EIP-1898)."""
    return {"blockHash": "0x" + at.hash.hex(), "requireCanonical": True}


def _checkpoint(raw: Any) -> Checkpoint:
    return Checkpoint(int(raw["number"], 16), bytes.fromhex(raw["hash"][2:]), int(raw["timestamp"], 16))


def _eth_call(view: View[Any], at: Checkpoint) -> Request:
    return ("eth_call", [{"to": view.to, "data": "0x" + view.data.hex()}, block_id(at)])


def _decoded(view: View[T], answer: Any) -> T:
    if isinstance(answer, RpcRefused):
        raise refusal(answer, view.contract, f"{view.contract}.{view.function}") or answer
    data = bytes.fromhex(str(answer)[2:])
    if not data:
        raise NoContract(view.contract, view.to)
    try:
        return view.decode(data)
    except DecodingError as error:
        raise NoContract(f"{view.contract} with a function {view.function} ({error})", view.to) from error
