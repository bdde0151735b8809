"""The verifier's working day: commit a seed, prepare what to ask, draw the plan, probe, attest.

Effects come in through `Surroundings` (chain, gateway) and `Transport` (the road to providers). Times are unix
seconds of the wall clock; a verifier whose clock is off by more than a slot measures the wrong slots, which its
`doctor` and the others' majority show.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from contracts.signing import Signer
from contracts.types import HardwareClass, ProviderRecord, Timing
from rewards.verifier.attestation import Shown, attest, check_days
from rewards.verifier.capacity import burst_slots, expected_rate
from rewards.verifier.challenge import Challenge, Pool, choose, ordinary
from rewards.verifier.equality import LENGTH
from rewards.verifier.plan import PlannedProbe, commitment, draw_plan, epoch_seed
from rewards.verifier.probe import ProbeResult, Transport, Verdict, probe
from rewards.verifier.prompts import USUAL, Mix
from rewards.verifier.store import Measurement, MeasurementStore

log = structlog.get_logger("verifier")

_LEAD_S = 10.0
_REFRESH_S = 5.0
_MOST_AT_ONCE = 256


class TicketRefused(Exception):
    """The gateway gave no ticket for a probe: out of balance, unknown provider, or itself down."""


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model a provider offers: the name customers use and the digest of its weights."""

    id: str
    weights_digest: bytes


class Surroundings(Protocol):
    """What the verifier needs of the chain and of a gateway.

    Every method may raise OSError or TimeoutError and is then tried again.
    """

    timing: Timing
    separator: bytes
    gap_slots: int

    async def providers(self) -> Sequence[ProviderRecord]:
        """Return the active providers as of a final block."""

    async def model_of(self, provider: ProviderRecord) -> OfferedModel | None:
        """Return a chat model the provider offers, from its last readable offer; None when it never showed one."""

    async def reachable(self, provider: ProviderRecord) -> bool:
        """Say whether the provider shows its offer at this moment."""

    async def commit_seed(self, epoch: int, commitment: bytes) -> None:
        """Put the commitment on chain unless it stands there; returns quietly when the epoch has begun."""

    async def ticket(
        self, provider: str, model: str, body: bytes, max_output_tokens: int, request_digest: bytes
    ) -> dict[str, Any]:
        """Buy a ticket for a direct call with this body, in all its fields like a relayed one; raises TicketRefused."""

    async def hand_in(self, result: ProbeResult) -> None:
        """Give the provider's receipt to the gateway, so that it is paid."""


class PoolMaker(Protocol):
    """Make the requests of an epoch whose answers are known; raises OSError when the reference cannot be run."""

    async def make(self, seed: bytes) -> Pool: ...


@dataclass(frozen=True, slots=True)
class Bursts:
    """How many bursts an epoch has, of how many requests, and the size of the weights that providers run."""

    an_epoch: int
    requests: int
    weights_bytes: int


@dataclass
class Verifier:
    """One verifier. `pools` makes an epoch's requests with known answers, None: nothing is asked but ordinary ones.

    `own` are wordings that only this verifier knows, `mix` how long customers' jobs are (`rewards.verifier.prompts`).
    """

    signer: Signer
    master: bytes
    store: MeasurementStore
    surroundings: Surroundings
    transport: Transport
    pools: PoolMaker | None = None
    own: Sequence[str] = ()
    bursts: Bursts | None = None
    mix: Mix = USUAL
    now: Callable[[], float] = time.time
    _pools: dict[int, Pool] = field(default_factory=dict, init=False, repr=False)
    _plans: dict[tuple[int, str], tuple[PlannedProbe, ...]] = field(default_factory=dict, init=False, repr=False)
    _gate: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_MOST_AT_ONCE), init=False, repr=False, compare=False
    )

    async def run(self) -> None:
        """Commit and probe until cancelled; an error of the surroundings is logged and tried again, never the end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forever("commit", self._commit))
            if self.pools is not None:
                group.create_task(self._forever("prepare", self._prepare))
            if self.bursts is not None:
                group.create_task(self._forever("burst", self._burst))
            group.create_task(self._probe_all(group))

    def attestation(self, epoch: int) -> dict[str, Any] | None:
        """Return what this verifier attests of an ended epoch; None while it runs.

        The first call after the end settles it: the document is kept, later calls return the same, and measurements
        that come later are left out. Raises OSError when it cannot be kept; then nothing was shown.
        """
        if self.now() < self.surroundings.timing.epoch_end(epoch) or epoch < 0:
            return None
        return self.store.attested(epoch, lambda: self._attest(epoch))

    def _attest(self, epoch: int) -> dict[str, Any]:
        separator, slots = self.surroundings.separator, self.surroundings.timing.slots_per_epoch
        seen = self.store.read(epoch)
        before = self.store.read(epoch - 1) if epoch else ()
        days, canaries = attest(self.signer, separator, epoch, slots, seen, before)
        bursts, slow = self.store.bursts(epoch), self.store.slow_epochs(epoch - 1) if epoch else {}
        checks, samples = check_days(self.signer, separator, epoch, seen, self.store.pool(epoch), bursts, slow)
        for one in samples:
            self.store.blobs.put((one.seal()[0],))
        return Shown(self.signer.address, epoch_seed(self.master, epoch), days, canaries, checks).document(epoch)

    async def prepare(self, epoch: int) -> None:
        """Have the requests of an epoch ready, read back or made; made ones are on disk before any is asked."""
        if epoch in self._pools or self.pools is None:
            return
        pool = self.store.pool(epoch)
        if pool is None:
            pool = await self.pools.make(epoch_seed(self.master, epoch))
            self.store.keep_pool(epoch, pool)
        self._pools[epoch] = pool

    async def _prepare(self) -> None:
        for epoch in (max(0, self._epoch()), max(0, self._epoch() + 1)):
            await self.prepare(epoch)
        self._pools = {epoch: pool for epoch, pool in self._pools.items() if epoch >= self._epoch() - 1}

    async def _commit(self) -> None:
        upcoming = max(0, self._epoch() + 1)
        await self.surroundings.commit_seed(upcoming, commitment(epoch_seed(self.master, upcoming)))

    async def _forever(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (OSError, TimeoutError) as error:
                log.warning("trying again", what=what, error=str(error) or type(error).__name__)
            await asyncio.sleep(min(_REFRESH_S, self.surroundings.timing.slot_s))

    async def _probe_all(self, group: asyncio.TaskGroup) -> None:
        """Keep the plan of the running epoch current and start each probe at its moment."""
        started: set[tuple[int, str, int]] = set()
        records: dict[str, ProviderRecord] = {}
        refreshed = float("-inf")
        while True:
            epoch = self._epoch()
            if self.now() - refreshed > _REFRESH_S:
                try:
                    records = {record.provider: record for record in await self.surroundings.providers()}
                    refreshed = self.now()
                except (OSError, TimeoutError) as error:
                    log.warning("the list of providers is not to be had", error=str(error) or type(error).__name__)
            for each in (epoch, epoch + 1):
                for planned in self._due(each, records):
                    key = (each, planned.provider, planned.slot)
                    if key not in started:
                        started.add(key)
                        group.create_task(self._one(each, planned, records[planned.provider]))
            started = {key for key in started if key[0] >= epoch - 1}
            self._plans = {key: plan for key, plan in self._plans.items() if key[0] >= epoch}
            await asyncio.sleep(_LEAD_S / 4)

    def _due(self, epoch: int, records: Mapping[str, ProviderRecord]) -> list[PlannedProbe]:
        timing, now = self.surroundings.timing, self.now()
        if epoch < 0 or now + _LEAD_S < timing.epoch_start(epoch):
            return []
        due: list[PlannedProbe] = []
        for provider in records:
            plan = self._plan(epoch, provider)
            first = bisect_left(plan, now, key=lambda planned: self._moment(epoch, planned))
            due += itertools.takewhile(lambda planned: self._moment(epoch, planned) <= now + _LEAD_S, plan[first:])
        return due

    def _plan(self, epoch: int, provider: str) -> tuple[PlannedProbe, ...]:
        """Return the plan for one provider, drawn once: a provider's plan does not depend on the others."""
        plan = self._plans.get((epoch, provider))
        if plan is None:
            timing, gap_slots = self.surroundings.timing, self.surroundings.gap_slots
            seed = epoch_seed(self.master, epoch)
            plan = draw_plan(seed, (provider,), timing.slots_per_epoch, timing.slot_s * 1000, gap_slots)
            self._plans[epoch, provider] = plan
        return plan

    def _moment(self, epoch: int, planned: PlannedProbe) -> float:
        timing = self.surroundings.timing
        return timing.epoch_start(epoch) + planned.slot * timing.slot_s + planned.offset_ms / 1000

    def _epoch(self) -> int:
        timing = self.surroundings.timing
        return timing.epoch_of_slot(timing.slot_at(self.now()))

    async def _one(self, epoch: int, planned: PlannedProbe, record: ProviderRecord) -> None:
        """Make one planned probe and record what it came to; whatever goes wrong here, the other probes go on."""
        try:
            measurement = await self._measure(epoch, planned, record)
        except Exception:
            log.exception("a probe failed by a fault of this verifier", provider=planned.provider, slot=planned.slot)
            measurement = Measurement(planned.provider, planned.slot, Verdict.UNASKED, None, None)
        try:
            if not await asyncio.to_thread(self.store.append, epoch, measurement):
                log.warning("a measurement came after the attestation", provider=planned.provider, epoch=epoch)
        except Exception:
            log.exception("a measurement could not be kept", provider=planned.provider, slot=planned.slot)

    async def _measure(self, epoch: int, planned: PlannedProbe, record: ProviderRecord) -> Measurement:
        """Ask, once more after a failure."""
        verdict, result, challenge = Verdict.UNASKED, None, None
        for again in (False, True):
            verdict, result, challenge = await self._attempt(epoch, planned, record, again)
            if verdict.up is not False:
                break
        if result is None or challenge is None or not verdict.up:
            return Measurement(planned.provider, planned.slot, verdict, None, None, again=again)
        text = result.text[:LENGTH].encode(errors="replace").decode()  # a stranger's text may hold half a character
        answer = text if challenge.prompt is not None else ""
        judged = challenge.passed(result.text)
        return Measurement(
            planned.provider, planned.slot, verdict, result.ttft_ms, judged, challenge.prompt, answer, again
        )

    async def _attempt(
        self, epoch: int, planned: PlannedProbe, record: ProviderRecord, again: bool
    ) -> tuple[Verdict, ProbeResult | None, Challenge | None]:
        """Wait for the moment, buy a ticket, ask: a ticket bought ahead would show by the time it has left.

        Where there is no ticket to be had, a provider that does not even show its offer is down; otherwise there is no
        evidence against it.
        """
        challenge: Challenge | None = None
        salt = hashlib.sha256(planned.salt).digest() if again else planned.salt
        await asyncio.sleep(max(0.0, self._moment(epoch, planned) - self.now()))
        try:
            model = await self.surroundings.model_of(record)
            if model is None:
                raise TicketRefused(f"{planned.provider} has shown no offer")
            challenge = self._challenge(epoch, planned, salt, model)
            request_digest = hashlib.sha256(salt + challenge.body).digest()
            ticket = await self.surroundings.ticket(
                planned.provider, model.id, challenge.body, challenge.max_output_tokens, request_digest
            )
        except (OSError, TimeoutError, TicketRefused) as error:
            log.info("no ticket for a probe", provider=planned.provider, error=str(error) or type(error).__name__)
            shown = await self.surroundings.reachable(record)
            return (Verdict.UNASKED if shown else Verdict.UNREACHABLE), None, None
        async with self._gate:
            result = await self._ask(record, ticket, salt, challenge)
        return result.verdict, result, challenge

    async def _ask(
        self, record: ProviderRecord, ticket: dict[str, Any], salt: bytes, challenge: Challenge
    ) -> ProbeResult:
        """Send one request with its ticket and hand its receipt in."""
        result = await probe(
            self.transport,
            record.endpoint,
            record.signer,
            self.surroundings.separator,
            ticket,
            salt,
            challenge.body,
            self._timeout_s(),
        )
        if result.receipt is not None:
            try:
                await self.surroundings.hand_in(result)
            except (OSError, TimeoutError) as error:
                log.info("a receipt was not handed in", provider=record.provider, error=str(error))
        return result

    async def _burst(self) -> None:
        """Wait for the next drawn moment and load every provider at once, so that hardware cannot serve two in turn."""
        timing, bursts = self.surroundings.timing, self.bursts
        assert bursts is not None
        epoch = max(0, self._epoch())
        moment, epoch = min(
            (timing.epoch_start(each) + slot * timing.slot_s, each)
            for each in (epoch, epoch + 1)
            for slot in burst_slots(epoch_seed(self.master, each), timing.slots_per_epoch, bursts.an_epoch)
            if timing.epoch_start(each) + slot * timing.slot_s > self.now()
        )
        await asyncio.sleep(max(0.0, moment - self.now()))
        records = await self.surroundings.providers()
        salt = hashlib.sha256(b"burst" + epoch_seed(self.master, epoch) + int(moment).to_bytes(8)).digest()
        rates = await asyncio.gather(*[self._load(record, salt) for record in records])
        for record, rate in zip(records, rates, strict=True):
            if rate is not None:
                wanted = expected_rate(
                    HardwareClass(record.hardware_class), record.units, bursts.weights_bytes, bursts.requests
                )
                await asyncio.to_thread(self.store.add_burst, epoch, record.provider, rate, wanted)

    async def _load(self, record: ProviderRecord, salt: bytes) -> int | None:
        """Send a provider a burst; returns tokens a second, None unless all of it was served."""
        assert self.bursts is not None
        salts = [hashlib.sha256(salt + bytes.fromhex(record.provider[2:]) + bytes((n,))).digest()
                 for n in range(self.bursts.requests)]  # fmt: skip
        begun = time.perf_counter()
        try:
            model = await self.surroundings.model_of(record)
            if model is None:
                return None
            results = await asyncio.gather(*[self._buy_and_ask(record, model, each) for each in salts])
        except (OSError, TimeoutError, TicketRefused):
            return None
        taken_ms = max(1, round((time.perf_counter() - begun) * 1000))
        if not all(result.receipt for result in results):
            return None
        tokens = sum(result.receipt["receipt"]["outputTokens"] for result in results if result.receipt)
        return int(tokens * 1000 // taken_ms)

    async def _buy_and_ask(self, record: ProviderRecord, model: OfferedModel, salt: bytes) -> ProbeResult:
        asked = ordinary(salt, model.id, self.mix, self.own)
        digest = hashlib.sha256(salt + asked.body).digest()
        ticket = await self.surroundings.ticket(record.provider, model.id, asked.body, asked.max_output_tokens, digest)
        return await self._ask(record, ticket, salt, asked)

    def _challenge(self, epoch: int, planned: PlannedProbe, salt: bytes, model: OfferedModel) -> Challenge:
        """Choose what to ask; a second try asks something else, so that a request of the pool is asked once."""
        if salt != planned.salt:
            return ordinary(salt, model.id, self.mix, self.own)
        pool = self._pools.get(epoch)
        known = pool if pool is not None and pool.weights == model.weights_digest else None
        return choose(known, planned, epoch_seed(self.master, epoch), model.id, self.mix, self.own)

    def _timeout_s(self) -> float:
        return min(max(self.surroundings.timing.slot_s / 3, 5.0), 20.0)
