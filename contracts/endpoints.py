"""Choose among the RPC endpoints of one chain, and turn to another when one fails or lags.

The endpoint in use stays in use while it answers and its head is at most `most_lag_blocks` behind the freshest; then
the freshest takes over. An endpoint that failed rests, twice as long each time up to half a minute, and is used again
once its chain id and genesis block are those of the chain. Nothing is polled without other traffic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from contracts.errors import ChainUnavailable, RpcRefused, WrongChain
from contracts.rpc import Endpoint, EndpointFailed, Request

T = TypeVar("T")

_SURVEY_S = 2.0
_FIRST_REST_S = 0.5
_MOST_REST_S = 30.0


class NotHere(Exception):
    """Raised by what is asked of an endpoint that works but lacks a block: the next one is asked."""


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """An endpoint as last seen; `reason` says why it is not used, `head` is None until it answered once."""

    url: str
    up: bool
    head: int | None
    reason: str


@dataclass(slots=True)
class _Seat:
    endpoint: Endpoint
    head: int | None = None
    reason: str = "not asked yet"
    verified: bool = False
    foreign: bool = False
    rest_s: float = _FIRST_REST_S
    rests_until: float = 0.0


class Endpoints:
    """The endpoints of one chain behind one `request` and one `batch`."""

    def __init__(self, urls: Sequence[str], chain_id: int, timeout_s: float, most_lag_blocks: int) -> None:
        self._seats = [_Seat(Endpoint(url, timeout_s)) for url in dict.fromkeys(urls)]
        self._chain_id = chain_id
        self._most_lag_blocks = most_lag_blocks
        self._current: _Seat | None = None
        self._surveyed = 0.0
        self.genesis = ""

    async def connect(self) -> None:
        """Ask every endpoint who it is; raises WrongChain if one serves another chain, ChainUnavailable if none can."""
        # one after the other: the first to answer decides which genesis block the others must have
        for seat in self._seats:
            await self._meet(seat, tolerant=False)
        if not any(seat.verified for seat in self._seats):
            raise ChainUnavailable(self._told())
        self._surveyed = time.monotonic()

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """Return one result; raises RpcRefused, or ChainUnavailable when no endpoint answers."""
        return await self.ask(lambda endpoint: endpoint.request(method, params))

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results of one HTTP request, answered by one endpoint; an RpcRefused stands for a refused one."""
        return await self.ask(lambda endpoint: endpoint.batch(requests))

    async def ask(self, question: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Put a question to the best endpoint, and to the next ones while it fails or raises NotHere."""
        lacking: NotHere | None = None
        for seat in await self._order():
            if not seat.verified and not await self._meet(seat, tolerant=True):
                continue
            try:
                answer = await question(seat.endpoint)
            except EndpointFailed as error:
                self._fail(seat, str(error))
            except NotHere as error:
                lacking = error
                self._surveyed = 0.0
            else:
                self._current = seat
                return answer
        if lacking is not None:
            raise lacking
        raise ChainUnavailable(self._told())

    def status(self) -> tuple[EndpointStatus, ...]:
        """Return every endpoint as last seen."""
        return tuple(
            EndpointStatus(seat.endpoint.url, seat.verified and not self._lag(seat), seat.head, self._why(seat))
            for seat in self._seats
        )

    async def close(self) -> None:
        """Close all connections."""
        for seat in self._seats:
            await seat.endpoint.close()

    async def _order(self) -> list[_Seat]:
        """Return the endpoints to try: the one in use, then by freshness, at last those that rest."""
        own = [seat for seat in self._seats if not seat.foreign]
        if len(own) > 1 and time.monotonic() - self._surveyed >= _SURVEY_S:
            await self._survey(own)
        current = self._current
        if current is not None and current.verified and not self._lag(current):
            own.sort(key=lambda seat: seat is not current)
        else:
            own.sort(key=lambda seat: -(seat.head or 0))
        own.sort(key=lambda seat: not seat.verified)
        return own

    async def _survey(self, seats: list[_Seat]) -> None:
        self._surveyed = time.monotonic()
        awake = [seat for seat in seats if seat.verified or seat.rests_until <= self._surveyed]
        await asyncio.gather(*[self._meet(seat, tolerant=True) for seat in awake])

    async def _meet(self, seat: _Seat, *, tolerant: bool) -> bool:
        """Ask an endpoint for chain id, genesis and head; True when it serves this chain."""
        try:
            answers = await seat.endpoint.batch(
                [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False]), ("eth_blockNumber", [])]
            )
            refused = next((one for one in answers if isinstance(one, RpcRefused)), None)
            if refused is not None:
                raise EndpointFailed(str(refused))
            chain_id, genesis, head = int(answers[0], 16), str(answers[1]["hash"]), int(answers[2], 16)
        except EndpointFailed as error:
            self._fail(seat, str(error))
            return False
        except (ValueError, TypeError, KeyError) as error:
            self._fail(seat, f"it answers nonsense: {error!r}")
            return False
        wrong = self._compare(seat.endpoint.url, chain_id, genesis)
        if wrong is not None:
            if not tolerant:
                raise wrong
            seat.foreign, seat.verified, seat.reason = True, False, str(wrong)
            return False
        seat.head, seat.verified, seat.reason = head, True, ""
        seat.rest_s, seat.rests_until = _FIRST_REST_S, 0.0
        return True

    def _compare(self, url: str, chain_id: int, genesis: str) -> WrongChain | None:
        if chain_id != self._chain_id:
            return WrongChain(url, chain_id, self._chain_id)
        self.genesis = self.genesis or genesis
        return None if genesis == self.genesis else WrongChain(url, genesis, self.genesis, "genesis block")

    def _fail(self, seat: _Seat, reason: str) -> None:
        seat.verified, seat.reason = False, reason
        seat.rests_until = time.monotonic() + seat.rest_s
        seat.rest_s = min(2 * seat.rest_s, _MOST_REST_S)

    def _lag(self, seat: _Seat) -> int:
        """Return by how many blocks an endpoint lags if that is too many, else 0."""
        freshest = max((one.head for one in self._seats if one.verified and one.head is not None), default=0)
        behind = freshest - (seat.head or 0)
        return behind if behind > self._most_lag_blocks else 0

    def _why(self, seat: _Seat) -> str:
        behind = self._lag(seat)
        return seat.reason or (f"{behind} blocks behind" if behind else "")

    def _told(self) -> tuple[tuple[str, str], ...]:
        return tuple((seat.endpoint.url, self._why(seat)) for seat in self._seats)
