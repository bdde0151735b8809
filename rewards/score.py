"""The performance score of a provider, in ppm, and how it remembers.

Five components, each in ppm: uptime, success, latency, verification, rating. Per component a provider carries a
running mean `m` and a weight `w` in thousandths of an observation. One epoch with mean `x` over `n` observations does

    w ← w · DECAY_PPM // 10^6                      (half of it is gone after seven epochs)
    m ← (m·w + x·1000·n) // (w + 1000·n)           (unchanged when n = 0)
    w ← w + 1000·n

An observation is a counted slot (uptime), an attempt that was served or failed (success), a probe with a time
(latency), a canary (verification), a customer that rated the provider in the epoch (rating). What the score sees is the
mean together with a prior of twenty observations at the network median of the epoch `d`:

    component = (20000·d + w·m) // (20000 + w)
    score = (35·uptime + 30·success + 20·latency + 10·verification + 5·rating) // 100

An epoch with any failure (a slot down, an attempt that failed, a canary answered wrong) never raises the score: it
ends at least one ppm lower.

Example: m = 1000000 with w = 1440000 (one perfect day of 1,440 slots), then a day at x = 500000. The weight decays to
1304242; the mean becomes (1000000·1304242 + 500000·1440000) // 2744242 = 737632, the weight 2744242. With a median of
1000000 the component is 739530.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rewards.measurement import BUCKET_UPPER_MS, PPM

COMPONENTS = ("uptime", "success", "latency", "verification", "rating")
WEIGHTS = (35, 30, 20, 10, 5)
DECAY_PPM = 905_724
PRIOR_MILLI = 20_000
MILLI = 1_000

Five = tuple[int, int, int, int, int]
UNSEEN: Five = (PPM, PPM, PPM, PPM, PPM)
NOTHING: Five = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Observed:
    """What one epoch says of one provider: value in ppm and number of observations per component; did anything fail."""

    values: Five
    counts: Five
    failed: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """What a score remembers: mean (ppm) and weight (thousandths of an observation) per component, last score."""

    means: Five
    weights: Five
    score_ppm: int


def latency_ppm(bucket: int, target_ms: int) -> int:
    """Grade a p95 bucket against the class target: 10^6 up to the target, linear to 0 at four times the target.

    Target 1,000 ms: bucket 8 (up to 859 ms) → 1000000, bucket 10 (up to 2,199 ms) → 600333, the last bucket, which
    has no bound, → 0.
    """
    if bucket >= len(BUCKET_UPPER_MS):
        return 0
    upper = BUCKET_UPPER_MS[bucket]
    if upper <= target_ms:
        return PPM
    return max(0, (4 * target_ms - upper) * PPM // (3 * target_ms))


def lower_median(values: Iterable[int], when_none: int) -> int:
    """Return the middle value, the lower of the two middle ones for an even number."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] if ordered else when_none


def medians(observed: Sequence[Observed]) -> Five:
    """Return the median of each component over the providers that have observations of it; 10^6 where nobody has."""
    a, b, c, d, e = (
        lower_median((one.values[index] for one in observed if one.counts[index]), PPM)
        for index in range(len(COMPONENTS))
    )
    return a, b, c, d, e


def blend(means: Five, weights: Five, median: Five) -> tuple[Five, int]:
    """Return the five components as the score sees them, and the score."""
    a, b, c, d, e = (
        (PRIOR_MILLI * median[index] + weights[index] * means[index]) // (PRIOR_MILLI + weights[index])
        for index in range(len(COMPONENTS))
    )
    return (a, b, c, d, e), (35 * a + 30 * b + 20 * c + 10 * d + 5 * e) // 100


def remember(means: Five, weights: Five, observed: Observed) -> tuple[Five, Five]:
    """Return means and weights after one more epoch."""
    new_means, new_weights = list(means), list(weights)
    for index in range(len(COMPONENTS)):
        weight = weights[index] * DECAY_PPM // PPM
        count = observed.counts[index] * MILLI
        if count:
            new_means[index] = (means[index] * weight + observed.values[index] * count) // (weight + count)
        new_weights[index] = weight + count
    a, b, c, d, e = new_means
    v, w, x, y, z = new_weights
    return (a, b, c, d, e), (v, w, x, y, z)


def step(before: Memory | None, observed: Observed, median: Five) -> tuple[Memory, Five]:
    """Return what a provider's score remembers after an epoch, and the components behind it.

    A newcomer (`before` None) starts at the score of the bare prior, so a failure in its first epoch lowers it below
    the network's median.
    """
    if before is None:
        before = Memory(UNSEEN, NOTHING, blend(UNSEEN, NOTHING, median)[1])
    means, weights = remember(before.means, before.weights, observed)
    components, score = blend(means, weights, median)
    if observed.failed:
        score = min(score, max(before.score_ppm - 1, 0))
    return Memory(means, weights, score), components
