"""What a verifier sees of chain and gateway.

Providers at a final block, seed commitments, tickets like any customer's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

import httpx2
import structlog

from contracts.chain import Chain
from contracts.errors import ContractRefused, ContractsError
from contracts.messages import Ticket
from contracts.operators import Operators
from contracts.staking import Staking
from contracts.transactions import Sender
from contracts.types import ProviderRecord, ProviderStatus, Timing
from marketplace.gateway.inquiry import CHAT, read_inquiry
from marketplace.verifier.road import CheckedRoad
from rewards.verifier.probe import ProbeResult
from rewards.verifier.service import OfferedModel, TicketRefused

log = structlog.get_logger("verifier")


class ChainAndGateway:
    """The verifier's surroundings on a real chain and with a real gateway.

    It is a customer there, with a key of its own.
    """

    def __init__(
        self,
        chain: Chain,
        sender: Sender,
        timing: Timing,
        gap_slots: int,
        gateway_url: str,
        api_key: str,
        road: CheckedRoad,
    ) -> None:
        self.timing = timing
        self.separator = chain.deployment.domain().separator()
        self.gap_slots = gap_slots
        self._chain = chain
        self._sender = sender
        self._operators = Operators(chain, "Verifiers")
        self._staking = Staking(chain)
        self._road = road
        self._models: dict[bytes, OfferedModel] = {}
        self._committed: set[int] = set()
        self._gateway = httpx2.AsyncClient(
            base_url=gateway_url,
            headers={"authorization": f"Bearer {api_key}"},
            timeout=10.0,
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close the connection to the gateway."""
        await self._gateway.aclose()

    async def providers(self) -> Sequence[ProviderRecord]:
        """Return the active, fully staked providers as of a final block; raises OSError while the chain is away."""
        try:
            records = await self._staking.providers(await self._chain.checkpoint())
        except ContractsError as error:
            raise OSError(str(error)) from error
        return [r for r in records if r.status == ProviderStatus.ACTIVE and r.stake >= r.required_stake]

    async def model_of(self, provider: ProviderRecord) -> OfferedModel | None:
        """Return a chat model of the offer whose digest stands on chain; None when nobody ever showed that offer."""
        if provider.offer_digest not in self._models:
            await self.reachable(provider)
        return self._models.get(provider.offer_digest)

    async def reachable(self, provider: ProviderRecord) -> bool:
        """Fetch the offer; True when it came and is the one on chain."""
        try:
            body = await self._road.offer(provider.endpoint)
        except OSError:
            return False
        if hashlib.sha256(body).digest() != provider.offer_digest:
            return False
        model = _chat_model(body)
        if model is not None:
            self._models[provider.offer_digest] = model
        return True

    async def commit_seed(self, epoch: int, commitment: bytes) -> None:
        """Put the commitment on chain once.

        A commitment that comes too late is refused there, which is no error here.
        """
        if epoch in self._committed:
            return
        try:
            await self._sender.submit(f"seed:{epoch}", self._operators.commit_seed(epoch, commitment), timeout_s=30.0)
        except ContractRefused as error:
            log.info("seed not committed", epoch=epoch, error=str(error))
        except ContractsError as error:
            raise OSError(str(error)) from error
        self._committed.add(epoch)

    async def ticket(
        self, provider: str, model: str, body: bytes, max_output_tokens: int, request_digest: bytes
    ) -> dict[str, Any]:
        """Buy a ticket for a direct call at the gateway, for as many tokens as it would put into one of its own."""
        asked = {
            "provider": provider,
            "model": model,
            "max_input_tokens": read_inquiry(CHAT, body).input_tokens_most,
            "max_output_tokens": max_output_tokens,
            "request_digest": "0x" + request_digest.hex(),
        }
        answer = await self._post("/v1/tickets", {"requests": [asked]})
        if answer.status_code != 200:
            raise TicketRefused(f"the gateway answered {answer.status_code}: {answer.text[:200]}")
        ticket = _ticket(answer.content)
        read = Ticket.from_json(ticket)
        if (read.provider, read.request_digest) != (provider, request_digest):
            raise TicketRefused("the gateway gave a ticket for another request")
        return ticket

    async def hand_in(self, result: ProbeResult) -> None:
        """Hand the provider's receipt to the gateway."""
        if result.receipt is None:
            return
        body = {
            "receipt": result.receipt["receipt"],
            "signature": result.receipt["signature"],
            "ttft_ms": result.ttft_ms,
            "itl_us": result.itl_us,
        }
        answer = await self._post("/v1/receipts", body)
        if answer.status_code != 200:
            raise OSError(f"the gateway answered {answer.status_code} to a receipt: {answer.text[:200]}")

    async def _post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        try:
            return await self._gateway.post(path, json=body)
        except httpx2.HTTPError as error:
            await asyncio.sleep(0.2)
            raise OSError(f"the gateway cannot be reached: {error or type(error).__name__}") from error


def _chat_model(offer: bytes) -> OfferedModel | None:
    """Return the first chat model of an offer, None when it has none or is no offer at all."""
    try:
        for model in json.loads(offer)["models"]:
            if "chat" in model["features"]:
                return OfferedModel(str(model["id"]), bytes.fromhex(str(model["weights_digest"]).removeprefix("0x")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return None


def _ticket(body: bytes) -> dict[str, Any]:
    """Return the one ticket of a gateway's answer; raises TicketRefused when there is none in it."""
    try:
        ticket = json.loads(body)["tickets"][0]
        if "error" in ticket:
            raise TicketRefused(str(ticket["error"]["message"]))
        Ticket.from_json(ticket)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, ContractsError) as error:
        raise TicketRefused(f"the gateway's answer holds no ticket: {body[:200]!r}") from error
    return cast(dict[str, Any], ticket)
