"""Know the market in the background: who is registered, where, on which terms.

Every few seconds: the chain is read at one checkpoint; a provider whose endpoint or offer digest is new is asked for
its offer through the checked client; the offer's bytes must hash to the digest on chain. What can be matched goes
into the scheduler's market. When the chain cannot be read, everything stays as it was. When an agent cannot be
reached, its last offer stays as long as the chain still names that offer; whether it serves is the breaker's
business.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from contracts.types import HardwareClass, ProviderRecord, ProviderStatus
from marketplace.errors import BondedError
from marketplace.gateway.addresses import AddressRefused, parse_endpoint
from marketplace.gateway.connection import Limits, UpstreamFailed
from marketplace.gateway.continuation import CONTINUE, kin
from marketplace.gateway.lanes import Lane
from marketplace.gateway.offers import OFFER_BYTES_MOST, BadOffer, Offer, OfferedModel, read_offer
from marketplace.gateway.reading import Reading, Source
from marketplace.gateway.tickets import Terms
from marketplace.gateway.upstream import Upstream
from scheduler.state import MarketState
from scheduler.types import Offer as MarketOffer

NEW_SCORE_PPM = 900_000
"""What a provider without a report is taken for; twenty attempts of its own outweigh it."""
_FETCHES_AT_ONCE = 16
_OFFER_LIMITS = Limits(first_byte_s=5.0, gap_s=5.0, total_s=10.0, body_bytes=OFFER_BYTES_MOST)
_RETRY_FIRST_S = 2.0
_RETRY_MOST_S = 60.0
_HARDWARE = {HardwareClass.RTX4090: "4090"}
STANDING_WEIGHT_PPM = (1_000_000, 500_000, 250_000)
"""Routing weight by standing: whole, half, a quarter."""


class OfferUnavailable(BondedError):
    """A provider's offer could not be fetched, or is not the one on chain; the provider is not matched until it is."""


@dataclass(slots=True)
class Entry:
    """What is known of one provider. `problem` says why it is not matched, "" if it is."""

    record: ProviderRecord
    score_ppm: int | None = None
    standing: int = 0
    offer: Offer | None = None
    offer_digest: bytes = b""
    offer_endpoint: str = ""
    problem: str = ""
    retry_at: float = 0.0
    retry_s: float = _RETRY_FIRST_S


class Directory:
    """The directory of one gateway; `refresh` once before serving, then `run` in the background."""

    def __init__(
        self,
        source: Source,
        upstream: Upstream,
        market: MarketState,
        devnet: bool = False,
        every_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._upstream = upstream
        self._market = market
        self._devnet = devnet
        self._every_s = every_s
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._offered: dict[tuple[str, str], MarketOffer] = {}
        self._contexts: dict[str, int] = {}
        self._models: list[dict[str, Any]] = []
        self._read_at: float | None = None
        self.reading: Reading | None = None
        self._log = structlog.get_logger("directory")

    # what others ask

    def lane(self, provider: str, model: str) -> Lane | None:
        """Return how a provider is reached for a model, None if it is not matched for it."""
        return self._lanes.get((provider, model))

    def longest_context(self, model: str) -> int:
        """Return the longest context offered for a model, 0 if nobody offers it."""
        return self._contexts.get(model, 0)

    def models(self) -> list[dict[str, Any]]:
        """Return the data of `/v1/models`."""
        return self._models

    @property
    def provider_count(self) -> int:
        """Count the providers that may be matched."""
        return sum(not entry.problem for entry in self._entries.values())

    def paused_until(self) -> int:
        """Return when the guardian's pause ends (unix time), 0 when the market was not paused at the last reading."""
        return 0 if self.reading is None else self.reading.paused_until

    def age_s(self) -> float:
        """Return the seconds since the chain was last read, infinity before the first time."""
        return float("inf") if self._read_at is None else self._clock() - self._read_at

    def provider_of(self, address: str) -> str | None:
        """Return the registered provider whose owner or present hot key this is, None for anybody else."""
        if address in self._entries:
            return address
        return next((name for name, entry in self._entries.items() if entry.record.signer == address), None)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return every registered provider for the public pages; amounts in token units."""
        return [
            {
                "provider": provider,
                "endpoint": entry.record.endpoint,
                "status": ProviderStatus(entry.record.status).name.lower(),
                "hardware_class": HardwareClass(entry.record.hardware_class).name,
                "units": entry.record.units,
                "stake": entry.record.stake,
                "required_stake": entry.record.required_stake,
                "delegated": entry.record.delegated,
                "commission_ppm": entry.record.commission_ppm,
                "score_ppm": entry.score_ppm,
                "standing": entry.standing,
                "region": entry.offer.region if entry.offer else "",
                "matched": not entry.problem,
                "problem": entry.problem,
                "models": [
                    {
                        "id": model.id,
                        "context_length": model.context_length,
                        "slots": model.slots,
                        "features": sorted(model.features),
                        "price_in_atto": model.price_in_atto,
                        "price_cached_atto": model.price_cached_atto,
                        "price_out_atto": model.price_out_atto,
                    }
                    for model in (entry.offer.models if entry.offer else ())
                ],
            }
            for provider, entry in sorted(self._entries.items())
        ]

    # how it is kept

    async def run(self) -> None:
        """Refresh for ever; a failure is logged and changes nothing."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.refresh()
            except Exception as error:
                self._log.warning("chain not read", error=str(error), age_s=round(self.age_s(), 1))

    async def refresh(self) -> None:
        """Read the chain, fetch the offers that are missing, and tell the market.

        Raises what the chain's reader raises.
        """
        reading = await self._source.read()
        now = self._clock()
        entries: dict[str, Entry] = {}
        for record in reading.providers:
            entry = self._entries.get(record.provider) or Entry(record)
            if (record.endpoint, record.offer_digest) != (entry.record.endpoint, entry.record.offer_digest):
                entry.retry_at, entry.retry_s = 0.0, _RETRY_FIRST_S
            entry.record = record
            entry.score_ppm = reading.scores.get(record.provider)
            entry.standing = reading.standings.get(record.provider, 0)
            entries[record.provider] = entry
        due = [entry for entry in entries.values() if self._wants_offer(entry, now)]
        if due:
            turn = asyncio.Semaphore(_FETCHES_AT_ONCE)
            await asyncio.gather(*[self._fetch(entry, turn) for entry in due])
        self.reading, self._read_at = reading, self._clock()
        self._entries = entries
        self._apply(reading)

    def _wants_offer(self, entry: Entry, now: float) -> bool:
        current = entry.offer is not None and entry.offer_digest == entry.record.offer_digest
        return entry.record.status == ProviderStatus.ACTIVE and not current and now >= entry.retry_at

    async def _fetch(self, entry: Entry, turn: asyncio.Semaphore) -> None:
        record = entry.record
        async with turn:
            try:
                body = await self._get_offer(record)
                digest = hashlib.sha256(body).digest()
                if digest != record.offer_digest:
                    raise OfferUnavailable("its offer is not the one registered on chain")
                entry.offer = read_offer(body, record.provider)
                entry.offer_digest = digest
                entry.problem = ""
            except (AddressRefused, UpstreamFailed, BadOffer, OfferUnavailable) as error:
                if str(error) != entry.problem:
                    self._log.warning("offer not usable", provider=record.provider, reason=str(error))
                entry.problem = str(error)
                entry.retry_at = self._clock() + entry.retry_s
                entry.retry_s = min(_RETRY_MOST_S, 2 * entry.retry_s)

    async def _get_offer(self, record: ProviderRecord) -> bytes:
        endpoint = parse_endpoint(record.endpoint, self._devnet)
        request = (
            f"GET /bonded/offer HTTP/1.1\r\nhost: {endpoint.authority}\r\naccept: application/json\r\n"
            "accept-encoding: identity\r\nuser-agent: bonded-gateway\r\n\r\n"
        )
        connection = await self._upstream.send(endpoint, request.encode(), _OFFER_LIMITS)
        try:
            body = await connection.read_all(OFFER_BYTES_MOST)
            if connection.status != 200:
                raise OfferUnavailable(f"its agent answered the request for its offer with status {connection.status}")
            return body
        finally:
            connection.finish()

    def _apply(self, reading: Reading) -> None:
        """Put what may be matched into the market and take out the rest, in one go."""
        now_ms = self._clock() * 1000.0
        lanes: dict[tuple[str, str], Lane] = {}
        offers: dict[tuple[str, str], MarketOffer] = {}
        for provider, entry in self._entries.items():
            entry.problem = _problem(entry, self._devnet)
            if entry.problem or entry.offer is None:
                continue
            for model in entry.offer.models:
                key = (provider, model.id)
                lanes[key] = self._lane(entry, model)
                offers[key] = _market_offer(entry, entry.offer, model, reading)
        for key, offer in offers.items():
            if self._offered.get(key) != offer:
                self._market.put_offer(offer, now_ms)
        for provider, name in self._offered.keys() - offers.keys():
            self._market.remove_offer(provider, name, now_ms)
        self._market.rebalance(now_ms)
        self._lanes, self._offered = lanes, offers
        self._contexts = {}
        for lane in lanes.values():
            self._contexts[lane.model] = max(lane.context_length, self._contexts.get(lane.model, 0))
        self._models = _models(offers)

    def _lane(self, entry: Entry, model: OfferedModel) -> Lane:
        record = entry.record
        lane = Lane(
            provider=record.provider,
            model=model.id,
            endpoint=parse_endpoint(record.endpoint, self._devnet),
            signers=frozenset((record.signer,)),
            terms=Terms(
                record.provider,
                model.weights_digest,
                model.price_in_atto,
                model.price_cached_atto,
                model.price_out_atto,
            ),
            context_length=model.context_length,
            slots=model.slots,
            family=kin(model.weights_digest, model.template_digest),
        )
        before = self._lanes.get((record.provider, model.id))
        return before if before == lane else lane


def _problem(entry: Entry, devnet: bool) -> str:
    """Say why a provider is not matched, "" if it is."""
    record = entry.record
    if record.status != ProviderStatus.ACTIVE:
        return f"it is {ProviderStatus(record.status).name.lower()}"
    if record.stake < record.required_stake:
        return f"its stake {record.stake} is below the required {record.required_stake}"
    if entry.offer is None or entry.offer_digest != record.offer_digest:
        return entry.problem or "its offer was not fetched yet"
    try:
        parse_endpoint(record.endpoint, devnet)
    except AddressRefused as refused:
        return str(refused)
    return ""


def _market_offer(entry: Entry, offer: Offer, model: OfferedModel, reading: Reading) -> MarketOffer:
    record = entry.record
    hardware = HardwareClass(record.hardware_class)
    return MarketOffer(
        provider=record.provider,
        model=model.id,
        context_length=model.context_length,
        features=_features(model),
        region=offer.region,
        hardware_class=_HARDWARE.get(hardware, hardware.name),
        units=record.units,
        price_in_atto=model.price_in_atto,
        price_cached_atto=model.price_cached_atto,
        price_out_atto=model.price_out_atto,
        slots=model.slots,
        score_ppm=NEW_SCORE_PPM if entry.score_ppm is None else entry.score_ppm,
        stake_free_atto=reading.stake_atto(record.stake),
        weight_ppm=STANDING_WEIGHT_PPM[entry.standing],
        active_params_m=model.params_m,
    )


def _features(model: OfferedModel) -> frozenset[str]:
    """Return what is offered, and with whom the answers may be shared; too long a name to be one of the offer's own."""
    if CONTINUE not in model.features:
        return model.features
    return model.features | {kin(model.weights_digest, model.template_digest)}


def _models(offers: dict[tuple[str, str], MarketOffer]) -> list[dict[str, Any]]:
    """Return one line per model: the longest context and the lowest prices offered."""
    lines: dict[str, dict[str, Any]] = {}
    for (_, name), offer in sorted(offers.items()):
        line = lines.setdefault(
            name,
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "bonded",
                "context_length": 0,
                "providers": 0,
                "features": [],
                "price_in_atto": str(offer.price_in_atto),
                "price_out_atto": str(offer.price_out_atto),
            },
        )
        line["providers"] += 1
        line["context_length"] = max(line["context_length"], offer.context_length)
        line["features"] = sorted(
            {*line["features"], *(one for one in offer.features if not one.startswith("continue:"))}
        )
        line["price_in_atto"] = str(min(int(line["price_in_atto"]), offer.price_in_atto))
        line["price_out_atto"] = str(min(int(line["price_out_atto"]), offer.price_out_atto))
    return list(lines.values())
