"""Pay a little more to who has long been without a strike.

The multiplier applies to the weight in the split for availability, beside those for quality and scarcity.
"""

from __future__ import annotations

from rewards.measurement import PPM

FULL_EPOCHS = 90
MOST_EXTRA_PPM = 100_000


def clean_after(before: int, level: int, measured: bool) -> int:
    """Return how many clean epochs stand behind a provider: one more, none after a strike, at most ninety.

    An epoch in which it was not measured says nothing.

    >>> clean_after(41, 0, True), clean_after(41, 1, True), clean_after(41, 0, False), clean_after(90, 0, True)
    (42, 0, 41, 90)
    """
    if level:
        return 0
    return min(before + 1, FULL_EPOCHS) if measured else before


def tenure_ppm(clean_epochs: int) -> int:
    """Return the multiplier: 1.0 for a newcomer, 1.1 after ninety clean epochs, a line between.

    >>> tenure_ppm(0), tenure_ppm(45), tenure_ppm(90)
    (1000000, 1050000, 1100000)
    """
    return PPM + MOST_EXTRA_PPM * min(clean_epochs, FULL_EPOCHS) // FULL_EPOCHS
