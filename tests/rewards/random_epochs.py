"""Random epochs that reach the corners of settlement, built from numbers alone: nobody looks at their signatures."""

from __future__ import annotations

import random
from dataclasses import replace

from contracts.messages import CanaryDay, Countersignature, ProbeDay, Receipt, Status
from contracts.types import (
    Checkpoint,
    CustomerRecord,
    OperatorRecord,
    ProviderRecord,
    ProviderStatus,
    RulesRecord,
    Timing,
    Window,
)
from rewards.epoch import canonical, unit_atto
from rewards.measurement import split_words
from rewards.types import (
    Attempt,
    Carry,
    CriticalState,
    EpochInputs,
    EpochState,
    ProviderState,
    Scarcity,
    ServiceDay,
    SignedCanaryDay,
    SignedProbeDay,
)

EPOCH = 7
LEDGER = "0x" + "1e" * 20
SIGNATURE = b"\x01" * 65
GATEWAY = "0x" + "aa" * 20


def random_epoch(rng: random.Random) -> EpochInputs:
    """Draw an epoch that can be settled; each of its dimensions is drawn from its corners and from in between."""
    slots = rng.choice((1, 5, 40, 100, 100, 100, 260))
    timing = Timing(rng.randrange(10**9), rng.choice((1, 60)), slots)
    decimals = rng.choice((0, 2, 6, 6, 6, 18))
    providers = [_address(rng) for _ in range(rng.choice((0, 1, 3, 6, 8, 9, 9)))]
    customers = [_address(rng) for _ in range(rng.choice((1, 1, 2, 5)))]
    verifiers = [_address(rng) for _ in range(rng.choice((0, 1, 3, 3, 3, 4, 5)))]
    inputs = EpochInputs(
        epoch=EPOCH,
        chain_id=31_337,
        epoch_ledger=LEDGER,
        timing=timing,
        checkpoint=Checkpoint(1, bytes(32), timing.epoch_end(EPOCH)),
        decimals=decimals,
        stake_decimals=rng.choice((0, 18)),
        quorum=rng.choice((1, 2, 2, 2, 3)),
        rules=_rules(rng),
        incentive_fund=_amount(rng),
        providers=tuple(_provider(rng, name, timing) for name in providers),
        verifiers=tuple(OperatorRecord(name, "", 1, True) for name in verifiers),
        gateways=(OperatorRecord(GATEWAY, "", 1, True),),
        customers=tuple(CustomerRecord(name, 1 << 200, 0, 1 << 200) for name in customers),
        maintenance=tuple((name, _windows(rng, timing)) for name in providers if rng.random() < 0.1),
        probe_days=tuple(_probe_days(rng, providers, verifiers, slots)),
        canary_days=tuple(_canary_days(rng, providers, verifiers)),
        seeds=(),
        attempts=tuple(_attempts(rng, providers, customers, slots, unit_atto(decimals))),
        opening=_opening(rng, providers, customers, unit_atto(decimals)),
    )
    return canonical(inputs)


def _address(rng: random.Random) -> str:
    return "0x" + rng.randbytes(20).hex()


def _amount(rng: random.Random) -> int:
    """Return nothing, dust, something or very much."""
    return rng.choice((0, rng.randrange(1, 100), rng.randrange(10**6), rng.randrange(10**12), rng.randrange(1 << 90)))


def _rules(rng: random.Random) -> RulesRecord:
    provider = rng.choice((1_000_000, 940_000, rng.randrange(800_000, 10**6)))
    verifier = rng.randint(0, min(100_000, 10**6 - provider))
    treasury = rng.randint(0, min(100_000, 10**6 - provider - verifier))
    return RulesRecord(
        provider_ppm=provider,
        verifier_ppm=verifier,
        sla_fund_ppm=10**6 - provider - verifier - treasury,
        treasury_ppm=treasury,
        incentive_per_epoch=_amount(rng),
        stake_rate=rng.choice((0, 1, 10**6, rng.randrange(10**18))),
        ttft_target_ms=1_000,
        probe_gap_slots=1,
    )


def _provider(rng: random.Random, name: str, timing: Timing) -> ProviderRecord:
    start, length = timing.epoch_start(EPOCH), timing.slots_per_epoch * timing.slot_s
    stake = rng.choice((0, 1, 200, 200 * 10**18, rng.randrange(1 << 100)))
    delegated = rng.choice(
        (0, 0, 1, 16 * stake, 16 * stake + 1, rng.randrange(20 * stake + 1), rng.randrange(1 << 104))
    )
    return ProviderRecord(
        provider=name,
        signer=name,
        endpoint="",
        hardware_class=rng.randrange(3),
        units=1,
        weight=rng.choice((1, 1, 11, 10_001)),
        offer_digest=bytes(32),
        status=rng.choice((ProviderStatus.ACTIVE,) * 18 + (ProviderStatus.JAILED, ProviderStatus.REMOVED)),
        registered_at=rng.choice((0,) * 12 + (start, start + rng.randrange(length + 2))),
        stake=stake,
        required_stake=rng.choice((0, 0, 0, 0, 0, stake, stake, stake + 1)),
        delegated=delegated,
        commission_ppm=rng.choice((0, 50_000, 10**6, rng.randrange(10**6))),
    )


def _windows(rng: random.Random, timing: Timing) -> tuple[Window, ...]:
    length = timing.slots_per_epoch * timing.slot_s
    ends = sorted(rng.randrange(-length, 2 * length) for _ in range(rng.choice((2, 2, 4))))
    start = timing.epoch_start(EPOCH)
    return tuple(
        Window(max(0, start + low), max(0, start + high)) for low, high in zip(ends[::2], ends[1::2], strict=True)
    )


def _probe_days(rng: random.Random, providers: list[str], verifiers: list[str], slots: int) -> list[SignedProbeDay]:
    days, troubled = [], rng.choice((0.0, 0.3, 0.3, 0.3, 0.7))
    for name in providers:
        truth = _ups(rng, slots, troubled)
        if rng.random() < 0.05:
            continue
        for verifier in verifiers:
            liar = _ups(rng, slots, 1.0)
            seen = rng.choice((truth, truth, truth, truth, liar, truth & ~(1 << rng.randrange(slots))))
            if rng.random() < 0.95:
                day = ProbeDay(name, EPOCH, split_words(seen), 1 << 16 * rng.randrange(16))
                days.append(SignedProbeDay(verifier, day, SIGNATURE))
    return days


def _ups(rng: random.Random, slots: int, troubled: float) -> int:
    """Return a day: perfect, or with that chance dead or with a share of its slots down."""
    share = rng.choice((0.004, 0.01, 0.02, 0.04, 0.08, 0.2, 0.6, 1.0)) if rng.random() < troubled else 0.0
    return sum(1 << slot for slot in range(slots) if rng.random() >= share)


def _canary_days(rng: random.Random, providers: list[str], verifiers: list[str]) -> list[SignedCanaryDay]:
    days = []
    for name in providers:
        for verifier in verifiers:
            if rng.random() < 0.3:
                asked = rng.randrange(5)
                day = CanaryDay(name, EPOCH, asked, asked if rng.random() < 0.8 else rng.randint(0, asked))
                days.append(SignedCanaryDay(verifier, day, SIGNATURE))
    return days


def _attempts(rng: random.Random, providers: list[str], customers: list[str], slots: int, unit: int) -> list[Attempt]:
    if not providers:
        return []
    most = rng.choice((1, unit, 50 * unit, 50 * unit, 10**6 * unit, 10**6 * unit, (1 << 90) * unit))
    few = rng.choice((providers, providers, providers[:1], providers[:2]))
    classes = rng.choice(((0,), (0,), (0,), (2,), (3,), (0, 1, 2, 3)))
    return [
        _attempt(rng, rng.choice(few), rng.choice(customers), EPOCH * slots + rng.randrange(slots), most, classes)
        for _ in range(rng.choice((0, 1, 10, 25, 25, 25)))
    ]


def _attempt(
    rng: random.Random, provider: str, customer: str, slot: int, most: int, classes: tuple[int, ...]
) -> Attempt:
    status = rng.choice((Status.SERVED,) * 6 + tuple(Status))
    charge = min(rng.randint(0, most), (1 << 128) - 1) if status in (Status.SERVED, Status.CUSTOMER_ABORT) else 0
    signed = status in (Status.SERVED, Status.CUSTOMER_ABORT) or rng.random() < 0.5
    receipt = Receipt(
        job=rng.randbytes(32),
        attempt=0,
        provider=provider,
        model=bytes(32),
        slot=slot,
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        ttft_ms=1,
        itl_us=1,
        charge_atto=charge,
        request_digest=bytes(32),
        response_digest=bytes(32),
        status=status,
    )
    counter = Countersignature(bytes(32), customer, slot, 1, 1, rng.choice(classes))
    return Attempt(receipt, SIGNATURE if signed else b"", counter, GATEWAY, SIGNATURE)


def _opening(rng: random.Random, providers: list[str], customers: list[str], unit: int) -> EpochState:
    known = sorted(name for name in providers if rng.random() < 0.7)
    carrying = sorted({name for name in (*customers, _address(rng)) if rng.random() < 0.5}) if unit > 1 else []
    return EpochState(
        epoch=EPOCH - 1,
        providers=tuple(_state(rng, name) for name in known),
        carries=tuple(Carry(name, rng.choice((1, unit - 1, rng.randrange(1, unit)))) for name in carrying),
        sla_fund=rng.choice((0, 0, 0, 1, _amount(rng))),
        report=b"\x01" * 32,
        scarcity=tuple(Scarcity(kind, rng.randrange(500_000, 2_000_001)) for kind in range(4) if rng.random() < 0.5),
        critical=tuple(CriticalState(name, _service_days(rng)) for name in carrying if rng.random() < 0.5),
    )


def _service_days(rng: random.Random) -> tuple[ServiceDay, ...]:
    """Return some epochs before: perfect ones, or with so many slots down that a month misses one target or another."""
    worst = rng.choice((0, 0, 1, 20, 200))
    return tuple(
        ServiceDay(counted, min(counted, rng.randint(0, worst))) for counted in rng.choices((0, 100, 1440), k=29)
    )


def _state(rng: random.Random, name: str) -> ProviderState:
    state = ProviderState(
        provider=name,
        cumulative_fees=_amount(rng),
        cumulative_incentive=_amount(rng),
        smoothed=(10**6,) * 5,
        observations=(0,) * 5,
        score_ppm=rng.randrange(10**6 + 1),
        strike_epochs=(),
        standing=rng.randrange(3),
        down_run_slots=0,
        active=rng.random() < 0.7,
        signer=name,
        clean_epochs=rng.choice((0, 1, 45, 89, 90)),
        service_days=_service_days(rng) if rng.random() < 0.3 else (),
    )
    return replace(state, strike_epochs=(EPOCH - 1,)) if rng.random() < 0.2 else state
