"""Pay more where work is scarce to place: a multiplier per hardware class that follows how much of it is used.

It multiplies the weights in the split for availability (docs/protocol.md, section 5, step 5), so a class that is in use
draws more of the same budget than one that stands idle. It lies between 0.5 and 2.0 and moves by at most a tenth of
itself in an epoch, so that no burst of traffic can turn it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from contracts.types import ProviderRecord
from rewards.measurement import PPM, Measured
from rewards.types import Scarcity

LEAST_PPM = 500_000
MOST_PPM = 2_000_000
STEP_DIVISOR = 10


def target_ppm(utilisation_ppm: int) -> int:
    """Return what a utilisation calls for: 0.5 where nothing is used, 2.0 where everything is, a line between.

    >>> target_ppm(0), target_ppm(333_334), target_ppm(1_000_000)
    (500000, 1000001, 2000000)
    """
    return LEAST_PPM + utilisation_ppm * (MOST_PPM - LEAST_PPM) // PPM


def moved_ppm(before_ppm: int, utilisation_ppm: int) -> int:
    """Return the multiplier after an epoch: towards its target, by at most a tenth of what it was.

    >>> moved_ppm(1_000_000, 1_000_000), moved_ppm(1_000_000, 0), moved_ppm(1_000_000, 340_000)
    (1100000, 900000, 1010000)
    """
    step = before_ppm // STEP_DIVISOR
    return min(max(target_ppm(utilisation_ppm), before_ppm - step), before_ppm + step)


def scarcity_after(
    before: Sequence[Scarcity],
    records: Iterable[ProviderRecord],
    measured: Mapping[str, Measured],
    served: Mapping[str, int],
) -> tuple[Scarcity, ...]:
    """Move every hardware class's multiplier by its utilisation; a class that nobody was measured in stays where it is.

    Utilisation: of the slots that counted, each with the provider's capacity weight, the share in which a customer was
    served. `served`: masks of those slots. Two providers of weight 5 with 60 slots each, one of them serving in 30:
    150·10^6 // 600 = 250000, so the target is 875000 and a class at 1000000 goes to 900000.
    """
    counted: dict[int, int] = {}
    used: dict[int, int] = {}
    for record in records:
        one, kind = measured[record.provider], int(record.hardware_class)
        if one.measured:
            counted[kind] = counted.get(kind, 0) + record.weight * one.counted.bit_count()
            busy = record.weight * (one.counted & served[record.provider]).bit_count()
            used[kind] = used.get(kind, 0) + busy
    multipliers = {one.hardware_class: one.ppm for one in before}
    for kind, slots in counted.items():
        if slots:
            multipliers[kind] = moved_ppm(multipliers.get(kind, PPM), used[kind] * PPM // slots)
    return tuple(Scarcity(kind, multipliers[kind]) for kind in sorted(multipliers))
