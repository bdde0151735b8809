"""Turn probes into ProbeDays, and ProbeDays of several verifiers into one measurement per provider.

A day of a provider is one integer of `slots_per_epoch` bits, bit s for slot s of the epoch, so a whole day is
combined in a handful of operations: counting how many verifiers (or providers) say something in each slot is an
addition of bit planes (`SlotCounter`), never a loop over slots.

Definitions stand in docs/protocol.md, sections 2 and 5.1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from contracts.messages import ProbeDay
from contracts.types import UNMEASURED_BUCKET, ProviderRecord, ProviderStatus, SixWords, Timing, Window
from rewards.errors import BadProbe

PPM = 1_000_000
PPB = 1_000_000_000
WORDS = 6
WORD_BITS = 256
BUCKET_UPPER_MS = (20, 32, 51, 82, 131, 210, 336, 537, 859, 1374, 2199, 3518, 5629, 9007, 14412)
BUCKETS = len(BUCKET_UPPER_MS) + 1
COUNTER_MOST = 0xFFFF
VOID_SHARE_PPM = 300_000


def join_words(words: Sequence[int]) -> int:
    """Return six 256-bit words as one integer, slot s at bit s."""
    return sum(word << (WORD_BITS * index) for index, word in enumerate(words))


def split_words(mask: int) -> SixWords:
    """Return an integer of at most 1,536 bits as the six words of a ProbeDay."""
    low = (1 << WORD_BITS) - 1
    a, b, c, d, e, f = ((mask >> (WORD_BITS * index)) & low for index in range(WORDS))
    return a, b, c, d, e, f


def bucket_of(ttft_ms: int) -> int:
    """Return the histogram bucket of a time; a time equal to a bound falls below it: 20 → 0, 21 → 1, 14413 → 15."""
    return bisect_left(BUCKET_UPPER_MS, ttft_ms)


def pack_histogram(counts: Sequence[int]) -> int:
    """Return sixteen counters as one word, each cut at 65,535."""
    return sum(min(count, COUNTER_MOST) << (16 * index) for index, count in enumerate(counts))


def unpack_histogram(word: int) -> tuple[int, ...]:
    """Return the sixteen counters of a histogram word."""
    return tuple((word >> (16 * index)) & COUNTER_MOST for index in range(BUCKETS))


def p95_bucket(counts: Sequence[int]) -> int:
    """Return the first bucket in which ⌈95 %⌉ of all counts are reached; 255 when nothing was counted.

    Twenty counts, nineteen of them in bucket 2 and one in bucket 9: ⌈19.0⌉ = 19 are reached in bucket 2.
    """
    need = (95 * sum(counts) + 99) // 100
    if not need:
        return UNMEASURED_BUCKET
    reached = 0
    for index, count in enumerate(counts):
        reached += count
        if reached >= need:
            return index
    raise AssertionError("the counters sum to less than their own sum")


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe by one verifier: absolute slot, whether it was answered, time to first token (None when none came)."""

    slot: int
    ok: bool
    ttft_ms: int | None = None


def probe_day(provider: str, epoch: int, slots_per_epoch: int, probes: Iterable[Probe]) -> ProbeDay:
    """Build what one verifier attests of one provider for one epoch.

    Several probes in one slot (a retry) count as answered when any of them was. A slot is 0 where its probe failed
    and between two consecutive failed probes, every other slot is 1. Probes outside the epoch may be given: the last
    one before it and the first one after it close the gaps at its edges, and count for nothing else. Failures in
    slots 3 and 6 with nothing between make slots 3, 4, 5 and 6 zero.
    """
    first = epoch * slots_per_epoch
    answered: dict[int, bool] = {}
    counts = [0] * BUCKETS
    for probe in probes:
        if probe.ok and probe.ttft_ms is not None and probe.ttft_ms < 0:
            raise BadProbe(
                f"a probe of {provider} in slot {probe.slot} took {probe.ttft_ms} ms: times are not negative"
            )
        answered[probe.slot] = answered.get(probe.slot, False) or probe.ok
        if probe.ok and probe.ttft_ms is not None and first <= probe.slot < first + slots_per_epoch:
            counts[bucket_of(probe.ttft_ms)] += 1
    down = 0
    last_failed: int | None = None
    for slot in sorted(answered):
        if answered[slot]:
            last_failed = None
            continue
        start = max((slot if last_failed is None else last_failed) - first, 0)
        end = min(slot - first, slots_per_epoch - 1)
        if start <= end:
            down |= ((1 << (end - start + 1)) - 1) << start
        last_failed = slot
    up = ((1 << slots_per_epoch) - 1) & ~down
    return ProbeDay(provider, epoch, split_words(up), pack_histogram(counts))


class SlotCounter:
    """Count masks per slot with bit planes: plane i holds bit i of every slot's count.

    Adding a mask is a binary addition with carry done on all slots at once; comparing with a threshold walks the
    planes from the highest.
    """

    __slots__ = ("_full", "_planes")

    def __init__(self, slots: int) -> None:
        self._full = (1 << slots) - 1
        self._planes: list[int] = []

    def add(self, mask: int, times: int = 1) -> None:
        """Add `times` to the count of every slot set in `mask`."""
        planes = self._planes
        shift = 0
        while times:
            if times & 1:
                carry, index = mask, shift
                while carry:
                    while index >= len(planes):
                        planes.append(0)
                    planes[index], carry = planes[index] ^ carry, planes[index] & carry
                    index += 1
            times >>= 1
            shift += 1

    def above(self, threshold: int) -> int:
        """Return the mask of slots whose count exceeds `threshold`."""
        above, equal = 0, self._full
        for index in range(max(len(self._planes), threshold.bit_length()) - 1, -1, -1):
            plane = self._planes[index] if index < len(self._planes) else 0
            if threshold >> index & 1:
                equal &= plane
            else:
                above |= equal & plane
                equal &= ~plane
        return above

    def at(self, slot: int) -> int:
        """Return the count of one slot."""
        return sum((plane >> slot & 1) << index for index, plane in enumerate(self._planes))


def majority_down(ups: Sequence[int], slots: int) -> int:
    """Return the mask of slots in which more than half of the days say 0; up wins a tie."""
    full = (1 << slots) - 1
    counter = SlotCounter(slots)
    for up in ups:
        counter.add(full & ~up)
    return counter.above(len(ups) // 2)


def void_slots(counting: Mapping[str, int], down: Mapping[str, int], slots: int) -> int:
    """Return the mask of slots in which more than 30 % of the providers that count there are down.

    `counting` and `down` hold one mask per provider, `down` only slots that count. Ten providers count: three down is
    not void, four down is.
    """
    total, downs = SlotCounter(slots), SlotCounter(slots)
    for mask, times in _multiplicity(counting.values()).items():
        total.add(mask, times)
    anything = 0
    for mask, times in _multiplicity(down.values()).items():
        downs.add(mask, times)
        anything |= mask
    void = 0
    while anything:
        lowest = anything & -anything
        anything ^= lowest
        slot = lowest.bit_length() - 1
        if downs.at(slot) * PPM > total.at(slot) * VOID_SHARE_PPM:
            void |= lowest
    return void


def _multiplicity(masks: Iterable[int]) -> dict[int, int]:
    seen: dict[int, int] = {}
    for mask in masks:
        seen[mask] = seen.get(mask, 0) + 1
    return seen


def on_duty(record: ProviderRecord, was_active: bool) -> bool:
    """Say whether a provider is measured: active with its full stake at this checkpoint or at the one before.

    The one before counts too, so that nobody escapes a bad epoch by unbonding at its end; whoever left stays
    accountable to the end of that epoch.
    """
    return was_active or is_active(record)


def is_active(record: ProviderRecord) -> bool:
    """Say whether a provider may be matched: status ACTIVE and stake at least what is required."""
    return record.status == ProviderStatus.ACTIVE and record.stake >= record.required_stake


def before_mask(timing: Timing, epoch: int, time: int) -> int:
    """Return the slots of the epoch that begin before a unix time.

    Slots of 60 s, 61 s after the start of the epoch: slots 0 and 1 began before, so 0b11.
    """
    begun = -((timing.epoch_start(epoch) - time) // timing.slot_s)
    return int((1 << min(max(begun, 0), timing.slots_per_epoch)) - 1)


def registered_mask(timing: Timing, epoch: int, registered_at: int) -> int:
    """Return the slots of the epoch that begin at or after the registration."""
    return ((1 << timing.slots_per_epoch) - 1) & ~before_mask(timing, epoch, registered_at)


def maintenance_mask(timing: Timing, epoch: int, windows: Iterable[Window]) -> int:
    """Return the slots of the epoch that begin inside a declared window; its last second is no longer inside.

    Slots of 60 s, a window from second 60 to 180 of the epoch: slots 1 and 2, so 0b110.
    """
    mask = 0
    for window in windows:
        mask |= before_mask(timing, epoch, window.ends_at) & ~before_mask(timing, epoch, window.starts_at)
    return mask


@dataclass(frozen=True, slots=True)
class Measured:
    """What an epoch's probes say of one provider.

    `measured` is False when it was not on duty or fewer than a quorum of verifiers attested; then nothing here speaks
    against it. `down` and `counted` are masks over the epoch's slots; `counts` are the summed histogram counters.
    """

    measured: bool
    counted: int
    down: int
    void: int
    uptime_ppm: int
    counts: tuple[int, ...]
    ttft_p95_bucket: int


NO_COUNTS = (0,) * BUCKETS


def combine(duty: int, down: int, void: int, served: int, counts: tuple[int, ...], enough: bool) -> Measured:
    """Put one provider's masks together: excluded slots leave, slots that served a customer are up.

    `uptime_ppm = up·10^6 // counted`: 1,440 slots counted, 10 of them down → 993055.
    """
    counted = duty & ~void
    really_down = down & counted & ~served
    slots = counted.bit_count()
    uptime = PPM if not slots else (slots - really_down.bit_count()) * PPM // slots
    return Measured(
        measured=enough and slots > 0,
        counted=counted,
        down=really_down,
        void=duty & void,
        uptime_ppm=uptime,
        counts=counts,
        ttft_p95_bucket=p95_bucket(counts),
    )
