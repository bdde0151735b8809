"""Check the inputs of an epoch and count its attempts: the first pass of a settlement.

Whatever `tally` and `check_inputs` accept can be settled; whatever they refuse is named. Order is part of the inputs
(the evidence is hashed), so unordered lists are refused too, and `canonical` sorts them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.messages import ZERO32, CanaryDay, ProbeDay, ServiceClass, Status
from contracts.types import ProviderRecord
from rewards.errors import (
    BadAttempt,
    BadOpening,
    BadParameters,
    InputsRefused,
    NotBonded,
    OutOfOrder,
    OutsideEpoch,
    UnknownCustomer,
    UnknownProvider,
)
from rewards.measurement import PPB, PPM, WORD_BITS, WORDS, join_words
from rewards.state import GENESIS
from rewards.types import (
    Attempt,
    ChainInputs,
    EpochInputs,
    SignedCanaryDay,
    SignedCheckDay,
    SignedProbeDay,
    SignedRatingDay,
)

_PAID = frozenset((Status.SERVED, Status.CUSTOMER_ABORT))
_FAILED = frozenset((Status.PROVIDER_ERROR, Status.TIMEOUT))
_UNSIGNED = _FAILED | {Status.IDLE}
_TRIED = _FAILED | {Status.SERVED}
_STATUSES = frozenset(Status)
SignedDay = SignedProbeDay | SignedCanaryDay | SignedCheckDay
_CLASSES = frozenset(ServiceClass)


@dataclass(slots=True)
class Work:
    """What an epoch's attempts say of one provider: counts, slots in which it served, who owes how many atto.

    `probed`, `probed_failed`: how many of those served or failed a verifier paid for, and how many of these failed.
    `paid_as` is `paid_by` with the service class beside the customer. `jobs` gives the slot of every job that has an
    attempt here, `named` the jobs that its receipts name as handed over.
    """

    served: int = 0
    failed: int = 0
    served_slots: int = 0
    probed: int = 0
    probed_failed: int = 0
    charge_atto: int = 0
    paid_by: dict[str, int] = field(default_factory=dict)
    paid_as: dict[tuple[str, int], int] = field(default_factory=dict)
    jobs: dict[bytes, int] = field(default_factory=dict)
    named: set[bytes] = field(default_factory=set)


def canonical(inputs: EpochInputs) -> EpochInputs:
    """Return the same inputs in canonical order."""
    return replace(
        inputs,
        providers=tuple(sorted(inputs.providers, key=lambda record: record.provider)),
        verifiers=tuple(sorted(inputs.verifiers, key=lambda record: record.operator)),
        gateways=tuple(sorted(inputs.gateways, key=lambda record: record.operator)),
        customers=tuple(sorted(inputs.customers, key=lambda record: record.customer)),
        maintenance=tuple(sorted(inputs.maintenance, key=lambda pair: pair[0])),
        probe_days=tuple(sorted(inputs.probe_days, key=_day_key)),
        canary_days=tuple(sorted(inputs.canary_days, key=_day_key)),
        check_days=tuple(sorted(inputs.check_days, key=_day_key)),
        rating_days=tuple(sorted(inputs.rating_days, key=_rating_key)),
        seeds=tuple(sorted(inputs.seeds, key=lambda reveal: reveal.verifier)),
        attempts=tuple(sorted(inputs.attempts, key=lambda one: (one.receipt.job, one.receipt.attempt))),
    )


def check_inputs(inputs: EpochInputs) -> None:
    """Refuse inputs that cannot be settled, attempts excepted (`tally` looks at those); raises InputsRefused."""
    _check_parameters(inputs)
    _ascending("providers", inputs.providers, lambda record: record.provider)
    _ascending("verifiers", inputs.verifiers, lambda record: record.operator)
    _ascending("gateways", inputs.gateways, lambda record: record.operator)
    _ascending("customers", inputs.customers, lambda record: record.customer)
    _ascending("maintenance", inputs.maintenance, lambda pair: pair[0])
    _ascending("seeds", inputs.seeds, lambda reveal: reveal.verifier)
    _ascending("probe_days", inputs.probe_days, _day_key)
    _ascending("canary_days", inputs.canary_days, _day_key)
    _ascending("check_days", inputs.check_days, _day_key)
    _ascending("rating_days", inputs.rating_days, _rating_key)
    known = {record.provider for record in inputs.providers}
    _check_days(inputs, known)
    _check_ratings(inputs, known)
    for provider, _ in inputs.maintenance:
        if provider not in known:
            raise UnknownProvider(provider, "maintenance")
    _check_opening(inputs, known)


class Admission:
    """What an epoch's chain inputs admit as an attempt."""

    def __init__(self, inputs: EpochInputs | ChainInputs) -> None:
        self.slots = inputs.timing.slots_per_epoch
        self.first = inputs.epoch * self.slots
        self._providers = {record.provider for record in inputs.providers}
        self._gateways = {record.operator for record in inputs.gateways if record.active}
        self._customers = {record.customer for record in inputs.customers}

    def refusal(self, one: Attempt) -> InputsRefused | None:
        """Return why an attempt cannot be settled in this epoch, None if it can; signatures are not looked at.

        Served and customer_abort may be charged, nothing else. What the provider did not sign is a failure, or idle (it
        was busy and refused), and has no tokens and no charge.
        """
        receipt, counter = one.receipt, one.countersignature
        status, charge = receipt.status, receipt.charge_atto
        if receipt.provider not in self._providers:
            return UnknownProvider(receipt.provider, _name(_key(one)))
        if one.gateway not in self._gateways:
            return NotBonded("gateway", one.gateway, _name(_key(one)))
        if not self.first <= counter.slot < self.first + self.slots:
            where = f"{_name(_key(one))} (gateway's slot)"
            return OutsideEpoch(where, counter.slot, self.first, self.first + self.slots - 1)
        if status not in _STATUSES:
            return BadAttempt(*_key(one), f"status {status} has no meaning")
        if counter.service_class not in _CLASSES:
            return BadAttempt(*_key(one), f"service class {counter.service_class} has no meaning")
        if receipt.cached_tokens > receipt.input_tokens:
            words = f"{receipt.cached_tokens} cached of {receipt.input_tokens} input tokens"
            return BadAttempt(*_key(one), words)
        if not one.provider_signature and (
            charge or receipt.input_tokens or receipt.output_tokens or status not in _UNSIGNED
        ):
            words = "the provider signed nothing, so it can only be a failure or idle, without tokens and charge"
            return BadAttempt(*_key(one), words)
        if charge and status not in _PAID:
            return BadAttempt(*_key(one), f"it ended as {Status(status).name.lower()} and is charged {charge} atto")
        if charge and counter.customer not in self._customers:
            return UnknownCustomer(counter.customer)
        return None


def tally(inputs: EpochInputs) -> dict[str, Work]:
    """Count the attempts per provider in one pass; raises InputsRefused naming the first that cannot be settled.

    Idle and customer_abort are neither success nor failure.
    """
    admission = Admission(inputs)
    known = {record.provider: Work() for record in inputs.providers}
    verifiers = {record.operator for record in inputs.verifiers}
    last: tuple[bytes, int] = (b"", -1)
    for one in inputs.attempts:
        receipt, counter = one.receipt, one.countersignature
        key = (receipt.job, receipt.attempt)
        if key <= last:
            raise OutOfOrder("attempts", f"attempt {receipt.attempt} of job 0x{receipt.job.hex()}")
        last = key
        refusal = admission.refusal(one)
        if refusal is not None:
            raise refusal
        work = known[receipt.provider]
        status = receipt.status
        if status == Status.SERVED:
            work.served += 1
            work.served_slots |= 1 << (counter.slot - admission.first)
        elif status in _FAILED:
            work.failed += 1
        if counter.customer in verifiers and status in _TRIED:
            work.probed += 1
            work.probed_failed += status in _FAILED
        if charge := receipt.charge_atto:
            work.charge_atto += charge
            payer = (counter.customer, counter.service_class)
            work.paid_as[payer] = work.paid_as.get(payer, 0) + charge
        work.jobs[receipt.job] = counter.slot
        if one.provider_signature and receipt.taken != ZERO32:
            work.named.add(receipt.taken)
    for work in known.values():
        for (customer, _), atto in work.paid_as.items():
            work.paid_by[customer] = work.paid_by.get(customer, 0) + atto
    return known


def unit_atto(decimals: int) -> int:
    """Return how many atto one unit of the payment token is: 10^12 for six decimals."""
    return int(10 ** (18 - decimals))


def records(inputs: EpochInputs) -> dict[str, ProviderRecord]:
    """Return the provider records by address."""
    return {record.provider: record for record in inputs.providers}


def _check_parameters(inputs: EpochInputs) -> None:
    rules, timing = inputs.rules, inputs.timing
    shares = rules.provider_ppm + rules.verifier_ppm + rules.sla_fund_ppm + rules.treasury_ppm
    if shares != PPM:
        raise BadParameters(
            f"the four shares of a fee sum to {shares} ppm instead of {PPM}; read the rules from the chain again"
        )
    if not 0 < timing.slots_per_epoch <= WORDS * WORD_BITS or timing.slot_s <= 0:
        raise BadParameters(f"an epoch of {timing.slots_per_epoch} slots of {timing.slot_s} s does not fit six words")
    if not 0 <= inputs.decimals <= 18:
        raise BadParameters(f"the payment token has {inputs.decimals} decimals; atto are 10^-18, so 18 is the most")
    if rules.ttft_target_ms <= 0:
        raise BadParameters("the target of the time to first token is zero; read the rules from the chain again")
    if inputs.quorum < 1:
        raise BadParameters("a quorum of zero verifiers proves nothing; read it from the chain again")


def day_refusal(
    signed: SignedDay,
    verifiers: Container[str],
    providers: Container[str],
    epoch: int,
    slots: int,
) -> InputsRefused | None:
    """Return why one attested day cannot be an input of an epoch, None when it can.

    `verifiers`: the active ones; `providers`: those registered at the checkpoint.
    """
    day = signed.day
    kind = {ProbeDay: "probe day", CanaryDay: "canary day"}.get(type(day), "check day")
    where = f"{kind} of {day.provider} by {signed.verifier}"
    if signed.verifier not in verifiers:
        return NotBonded("verifier", signed.verifier, where)
    if day.provider not in providers:
        return UnknownProvider(day.provider, where)
    if day.epoch != epoch:
        return OutsideEpoch(f"{where} (epoch)", day.epoch, epoch, epoch)
    if isinstance(day, ProbeDay):
        highest = join_words(day.up).bit_length() - 1
        return OutsideEpoch(f"{where} (bit)", highest, 0, slots - 1) if highest >= slots else None
    if isinstance(day, CanaryDay):
        return OutsideEpoch(f"{where} (passed)", day.passed, 0, day.asked) if day.passed > day.asked else None
    return None if 0 < day.model_ppb <= PPB else OutsideEpoch(f"{where} (modelPpb)", day.model_ppb, 1, PPB)


def _check_days(inputs: EpochInputs, known: set[str]) -> None:
    verifiers = {record.operator for record in inputs.verifiers if record.active}
    days: list[SignedDay] = [*inputs.probe_days, *inputs.canary_days, *inputs.check_days]
    for signed in days:
        refusal = day_refusal(signed, verifiers, known, inputs.epoch, inputs.timing.slots_per_epoch)
        if refusal is not None:
            raise refusal


def rating_refusal(
    signed: SignedRatingDay, gateways: Container[str], providers: Container[str], epoch: int
) -> InputsRefused | None:
    """Return why a gateway's rating day cannot be an input of an epoch, None when it can."""
    day = signed.day
    where = f"rating day of {day.provider} by {signed.gateway}"
    if signed.gateway not in gateways:
        return NotBonded("gateway", signed.gateway, where)
    if day.provider not in providers:
        return UnknownProvider(day.provider, where)
    if day.epoch != epoch:
        return OutsideEpoch(f"{where} (epoch)", day.epoch, epoch, epoch)
    if day.customers < 1:
        return OutsideEpoch(f"{where} (customers)", day.customers, 1, 2**32 - 1)
    highest = day.customers * PPM
    return OutsideEpoch(f"{where} (sum)", day.sum_ppm, 0, highest) if day.sum_ppm > highest else None


def _check_ratings(inputs: EpochInputs, known: set[str]) -> None:
    gateways = {record.operator for record in inputs.gateways if record.active}
    for signed in inputs.rating_days:
        refusal = rating_refusal(signed, gateways, known, inputs.epoch)
        if refusal is not None:
            raise refusal


def _check_opening(inputs: EpochInputs, known: set[str]) -> None:
    opening = inputs.opening
    if opening.epoch != inputs.epoch - 1:
        raise BadOpening(
            f"the opening state closed epoch {opening.epoch}; {inputs.epoch} opens where {inputs.epoch - 1} closed"
        )
    if inputs.epoch == 0 and opening != GENESIS:
        raise BadOpening("epoch 0 opens with the genesis state: no providers, no carries, an empty fund, no report")
    _ascending("opening providers", opening.providers, lambda state: state.provider)
    _ascending("opening carries", opening.carries, lambda carry: carry.customer)
    for state in opening.providers:
        if state.provider not in known:
            raise UnknownProvider(state.provider, "the opening state")
    unit = unit_atto(inputs.decimals)
    for carry in opening.carries:
        if not 0 < carry.atto < unit:
            raise BadOpening(
                f"customer {carry.customer} carries {carry.atto} atto; a remainder lies between 1 and {unit - 1}"
            )
    if opening.sla_fund < 0:
        raise BadOpening(f"the SLA fund opens at {opening.sla_fund} units; it cannot owe anything")


def _ascending(what: str, items: Iterable[Any], key: Callable[[Any], Any]) -> None:
    last: Any = None
    for item in items:
        value = key(item)
        if last is not None and value <= last:
            raise OutOfOrder(what, " by ".join(value) if isinstance(value, tuple) else str(value))
        last = value


def _day_key(signed: SignedDay) -> tuple[str, str]:
    return signed.day.provider, signed.verifier


def _rating_key(signed: SignedRatingDay) -> tuple[str, str]:
    return signed.day.provider, signed.gateway


def _key(one: Attempt) -> tuple[bytes, int]:
    return one.receipt.job, one.receipt.attempt


def _name(key: tuple[bytes, int]) -> str:
    return f"attempt {key[1]} of job 0x{key[0].hex()}"
