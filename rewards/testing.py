"""Build epochs with real keys and real signatures, for tests and benchmarks.

`Network` holds the keys of a small market; its methods sign what providers, gateways and verifiers would sign.
`inputs` puts an epoch together in canonical order. Keys are derived from names, so the same calls give the same
bytes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from contracts.messages import (
    ZERO32,
    CanaryDay,
    Countersignature,
    Domain,
    ProbeDay,
    RatingDay,
    Receipt,
    ServiceClass,
    Status,
)
from contracts.signing import Signer, keccak
from contracts.types import (
    Checkpoint,
    CustomerRecord,
    HardwareClass,
    OperatorRecord,
    ProviderRecord,
    ProviderStatus,
    RulesRecord,
    Timing,
    Window,
)
from rewards.epoch import canonical
from rewards.measurement import pack_histogram, split_words
from rewards.state import GENESIS
from rewards.types import Attempt, EpochInputs, EpochState, SeedReveal, SignedCanaryDay, SignedProbeDay, SignedRatingDay

GENESIS_TIME = 1_760_000_000
LEDGER = "0x" + "1e" * 20
STAKE = 200 * 10**18
RULES = RulesRecord(
    provider_ppm=940_000,
    verifier_ppm=20_000,
    sla_fund_ppm=20_000,
    treasury_ppm=20_000,
    incentive_per_epoch=1_000_000,
    stake_rate=1_000_000,
    ttft_target_ms=1_000,
    probe_gap_slots=5,
)


def signer(name: str) -> Signer:
    """Return the key that belongs to a name, always the same."""
    return Signer(keccak(b"bonded test key " + name.encode()))


@dataclass
class Network:
    """A market of `providers`, `customers`, `verifiers` and one gateway, with all their keys.

    Six-decimals payment token, slots of a minute, `slots` of them to an epoch. `records` may be replaced to jail,
    unbond or re-register somebody.
    """

    providers: int = 4
    customers: int = 2
    verifiers: int = 3
    slots: int = 60
    slot_s: int = 60
    quorum: int = 2
    decimals: int = 6
    rules: RulesRecord = RULES
    incentive_fund: int = 10_000_000
    chain_id: int = 31_337
    epoch_ledger: str = LEDGER
    genesis: int = GENESIS_TIME
    records: dict[str, ProviderRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Derive all keys and register everybody before genesis."""
        self.separator = Domain(self.chain_id, self.epoch_ledger).separator()
        self.timing = Timing(self.genesis, self.slot_s, self.slots)
        self.gateway = signer("gateway")
        self.verifier_keys = sorted((signer(f"verifier {i}") for i in range(self.verifiers)), key=lambda k: k.address)
        self.customer_names = sorted(signer(f"customer {i}").address for i in range(self.customers))
        self.hot_keys: dict[str, Signer] = {}
        for index in range(self.providers):
            name, hot = signer(f"provider {index}").address, signer(f"provider {index} hot")
            self.hot_keys[name] = hot
            self.records[name] = ProviderRecord(
                provider=name,
                signer=hot.address,
                endpoint=f"http://127.0.0.1:{9000 + index}",
                hardware_class=HardwareClass.CPU,
                units=1,
                weight=1,
                offer_digest=keccak(name.encode()),
                status=ProviderStatus.ACTIVE,
                registered_at=self.genesis - 3600,
                stake=STAKE,
                required_stake=STAKE,
                delegated=0,
                commission_ppm=0,
            )
        self.provider_names = sorted(self.records)

    def attempt(
        self,
        provider: str,
        customer: str,
        slot: int,
        *,
        job: bytes,
        attempt: int = 0,
        charge_atto: int = 0,
        status: Status = Status.SERVED,
        signed: bool = True,
        taken: bytes = ZERO32,
        service_class: ServiceClass = ServiceClass.STANDARD,
    ) -> Attempt:
        """Sign one attempt; `slot` is absolute. With `signed` False the provider signs nothing (a failure).

        `taken`: the earlier job that the receipt names as handed over.
        """
        receipt = Receipt(
            job=job,
            attempt=attempt,
            provider=provider,
            model=keccak(b"weights"),
            slot=slot,
            input_tokens=120 if signed else 0,
            cached_tokens=20 if signed else 0,
            output_tokens=80 if signed else 0,
            ttft_ms=150,
            itl_us=9_000,
            charge_atto=charge_atto,
            request_digest=keccak(b"request" + job),
            response_digest=keccak(b"response" + job),
            status=status,
            taken=taken,
        )
        counter = Countersignature(receipt.struct_hash(), customer, slot, 160, 9_100, service_class)
        return Attempt(
            receipt=receipt,
            provider_signature=self.hot_keys[provider].sign(receipt.digest(self.separator)) if signed else b"",
            countersignature=counter,
            gateway=self.gateway.address,
            gateway_signature=self.gateway.sign(counter.digest(self.separator)),
        )

    def attempts(
        self, epoch: int, count: int, seed: int = 0, failing: Iterable[str] = (), most_atto: int = 10**13
    ) -> tuple[Attempt, ...]:
        """Sign `count` random attempts over the epoch; those at a provider in `failing` end as errors nobody signed.

        Each receipt names the job before it at its provider, the first of them none.
        """
        rng = random.Random(seed)
        before: dict[str, bytes] = {}
        first, broken = epoch * self.slots, set(failing)
        made = []
        for _ in range(count):
            provider = rng.choice(self.provider_names)
            failed = provider in broken
            customer, slot, job = rng.choice(self.customer_names), first + rng.randrange(self.slots), rng.randbytes(32)
            made.append(
                self.attempt(
                    provider,
                    customer,
                    slot,
                    job=job,
                    charge_atto=0 if failed else rng.randrange(10**9, most_atto),
                    status=Status.PROVIDER_ERROR if failed else Status.SERVED,
                    signed=not failed,
                    taken=ZERO32 if failed else before.get(provider, ZERO32),
                )
            )
            before[provider] = job
        return tuple(made)

    def probe_day(
        self, verifier: int, provider: str, epoch: int, down: Iterable[int] = (), counts: Sequence[int] | None = None
    ) -> SignedProbeDay:
        """Sign a day in which the slots `down` (from the epoch's first) are 0; `counts` are histogram counters."""
        up = (1 << self.slots) - 1
        for slot in down:
            up &= ~(1 << slot)
        histogram = pack_histogram(counts if counts is not None else (0, 0, 0, 0, 10, 2))
        key, day = self.verifier_keys[verifier], ProbeDay(provider, epoch, split_words(up), histogram)
        return SignedProbeDay(key.address, day, key.sign(day.digest(self.separator)))

    def probe_days(self, epoch: int, down: Mapping[str, Iterable[int]] | None = None) -> tuple[SignedProbeDay, ...]:
        """Let all verifiers see the same: `down` slots per provider, up otherwise."""
        gone = {name: tuple(slots) for name, slots in (down or {}).items()}
        return tuple(
            self.probe_day(verifier, name, epoch, gone.get(name, ()))
            for verifier in range(self.verifiers)
            for name in self.provider_names
        )

    def canary_day(self, verifier: int, provider: str, epoch: int, asked: int, passed: int) -> SignedCanaryDay:
        """Sign a count of canaries."""
        key, day = self.verifier_keys[verifier], CanaryDay(provider, epoch, asked, passed)
        return SignedCanaryDay(key.address, day, key.sign(day.digest(self.separator)))

    def rating_day(self, provider: str, epoch: int, customers: int, sum_ppm: int) -> SignedRatingDay:
        """Sign what the gateway's customers thought of a provider."""
        day = RatingDay(provider, epoch, customers, sum_ppm)
        return SignedRatingDay(self.gateway.address, day, self.gateway.sign(day.digest(self.separator)))

    def seeds(self, epoch: int) -> tuple[SeedReveal, ...]:
        """Reveal the seed of every verifier."""
        made = []
        for key in self.verifier_keys:
            seed = keccak(key.address.encode() + epoch.to_bytes(8))
            made.append(SeedReveal(key.address, seed, keccak(seed)))
        return tuple(made)

    def inputs(
        self,
        epoch: int = 0,
        *,
        attempts: Iterable[Attempt] = (),
        probe_days: Iterable[SignedProbeDay] | None = None,
        canary_days: Iterable[SignedCanaryDay] = (),
        rating_days: Iterable[SignedRatingDay] = (),
        opening: EpochState = GENESIS,
        balance: int = 10**12,
        cap: int = 10**12,
        maintenance: Mapping[str, Sequence[Window]] | None = None,
    ) -> EpochInputs:
        """Put an epoch together; without `probe_days` all verifiers saw everybody up all the time."""
        return canonical(
            EpochInputs(
                epoch=epoch,
                chain_id=self.chain_id,
                epoch_ledger=self.epoch_ledger,
                timing=self.timing,
                checkpoint=Checkpoint(1_000 + epoch, keccak(b"block %d" % epoch), self.timing.epoch_end(epoch) + 10),
                decimals=self.decimals,
                stake_decimals=18,
                quorum=self.quorum,
                rules=self.rules,
                incentive_fund=self.incentive_fund,
                providers=tuple(self.records.values()),
                verifiers=tuple(
                    OperatorRecord(key.address, "http://127.0.0.1:1", 5_000 * 10**18, True)
                    for key in self.verifier_keys
                ),
                gateways=(OperatorRecord(self.gateway.address, "http://127.0.0.1:2", 5_000 * 10**18, True),),
                customers=tuple(CustomerRecord(name, balance, 0, cap) for name in self.customer_names),
                maintenance=tuple((name, tuple(windows)) for name, windows in (maintenance or {}).items()),
                probe_days=tuple(self.probe_days(epoch) if probe_days is None else probe_days),
                canary_days=tuple(canary_days),
                seeds=self.seeds(epoch),
                attempts=tuple(attempts),
                opening=opening,
                rating_days=tuple(rating_days),
            )
        )

    def window(self, epoch: int, first: int, end: int) -> Window:
        """Return the window over slots `first` to `end` (not included) of an epoch."""
        start = self.timing.epoch_start(epoch)
        return Window(start + first * self.slot_s, start + end * self.slot_s)

    def change(self, provider: str, **changes: object) -> None:
        """Replace fields of one provider's record, like `status` or `stake`."""
        self.records[provider] = replace(self.records[provider], **changes)  # type: ignore[arg-type]
