"""Predict TTFT and ITL of one lane and learn from what the gateway saw.

    TTFT = rtt + o + (Q + uncached)/R + slotwait       Q: uncached tokens ahead, by the gateway's own count
    ITL  = a + b·n + c·K                               n: sequences running, K: tokens in their KV caches

(o, 1/R) and (a, b, c) are two regressions with a prior from the hardware class worth twenty samples, and a memory of a
hundred. TTFT samples are weighted by 1/(x + x0), because errors grow with the prompt. A residual beyond three sigma is
cut to it, so that one stall teaches little; the third in a row to the same side is no stall but a change, is taken
whole, and the past is forgotten faster until the model has caught up. sigma is relative: the root mean square of
residual/estimate.

The upper estimate (q95) is the estimate times a factor that rises by 19 steps when exceeded and falls by one when not,
so it settles where one answer in twenty exceeds it, whatever the shape of the tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.hardware import LatencyPrior
from scheduler.regression import Regression

PRIOR_SAMPLES = 20.0
REMEMBER = 0.99
REMEMBER_IN_CHANGE = 0.7
CHANGE_IN_A_ROW = 3
CLIP_SIGMAS = 3.0
SIGMA_START = 0.3
SIGMA_LEAST = 0.05
SIGMA_MOST = 1.0
SIGMA_STEP = 0.05
TAIL_START = 1.6
TAIL_STEP = 0.004
TAIL_MOST = 20.0
RTT_STEP = 0.1
KV_SCALE = 1e-3
"""The regression counts KV in thousands of tokens, so that its three inputs are of like size."""


@dataclass(slots=True)
class Calibration:
    """Compare predictions with observations: sums in ms, and how many answers stayed within the upper estimate."""

    count: int = 0
    predicted_ms: float = 0.0
    observed_ms: float = 0.0
    absolute_error_ms: float = 0.0
    covered: int = 0

    def note(self, predicted_ms: float, upper_ms: float, observed_ms: float) -> None:
        """Count one prediction that was made before its observation was known."""
        self.count += 1
        self.predicted_ms += predicted_ms
        self.observed_ms += observed_ms
        self.absolute_error_ms += abs(observed_ms - predicted_ms)
        self.covered += observed_ms <= upper_ms

    @property
    def coverage(self) -> float:
        """The share of observations within the upper estimate, 1.0 before the first."""
        return self.covered / self.count if self.count else 1.0


class Quantity:
    """One learned quantity of a lane: its fit, its spread and its tail."""

    __slots__ = ("_run", "calibration", "fit", "sigma", "tail")

    def __init__(self, fit: Regression) -> None:
        self.fit = fit
        self.sigma = SIGMA_START
        self.tail = TAIL_START
        self.calibration = Calibration()
        self._run = 0

    def learn(self, x: Sequence[float], weight: float, observed_ms: float, rest_ms: float) -> None:
        """Learn from one observation. `rest_ms` is the part of it that the fit does not explain, such as rtt."""
        own = sum(t * xi for t, xi in zip(self.fit.theta, x, strict=True))
        predicted = own + rest_ms
        upper = predicted * self.tail
        self.calibration.note(predicted, upper, observed_ms)
        step = 19 * TAIL_STEP if observed_ms > upper else -TAIL_STEP
        self.tail = min(max(1.0, self.tail * (1.0 + step)), TAIL_MOST)

        residual = (observed_ms - predicted) / predicted
        limit = CLIP_SIGMAS * self.sigma
        clipped = min(max(residual, -limit), limit)
        side = (residual > limit) - (residual < -limit)
        self._run = self._run + side if side and self._run * side >= 0 else side
        changed = abs(self._run) >= CHANGE_IN_A_ROW
        self.sigma = min(
            max(((1.0 - SIGMA_STEP) * self.sigma**2 + SIGMA_STEP * clipped**2) ** 0.5, SIGMA_LEAST), SIGMA_MOST
        )
        taken = observed_ms if changed else predicted * (1.0 + clipped)
        target = max(0.0, taken - rest_ms)
        self.fit.observe([xi * weight for xi in x], target * weight, REMEMBER_IN_CHANGE if changed else REMEMBER)


class LatencyModel:
    """The latency of one lane. `row_terms` gives the current numbers, `learn_*` moves them."""

    __slots__ = ("_x0", "itl", "rtt_ms", "ttft")

    def __init__(self, prior: LatencyPrior, slots: int, rtt_ms: float) -> None:
        self.rtt_ms = rtt_ms
        self._x0 = min(max(prior.o_ms / prior.token_ms, 200.0), 2_000.0)
        prompts = (0.25 * self._x0, self._x0, 4.0 * self._x0)
        self.ttft = Quantity(
            Regression(
                (prior.o_ms, prior.token_ms),
                (0.0, prior.token_floor_ms),
                [(self._weight(x), x * self._weight(x)) for x in prompts],
                PRIOR_SAMPLES,
            )
        )
        # A lane of one slot still needs typical inputs that tell a sequence from the constant.
        crowd = float(max(slots, 4))
        self.itl = Quantity(
            Regression(
                (prior.a_ms, prior.b_ms, prior.c_ms / KV_SCALE),
                (prior.a_floor_ms, 0.0, 0.0),
                [(1.0, n, n * kv) for n in (1.0, (1.0 + crowd) / 2, crowd) for kv in (0.5, 2.0)],
                PRIOR_SAMPLES,
            )
        )

    def _weight(self, tokens: float) -> float:
        return self._x0 / (tokens + self._x0)

    @property
    def overhead_ms(self) -> float:
        """o: the part of TTFT that neither the network nor the prompt explains."""
        return self.ttft.fit.theta[0]

    @property
    def token_ms(self) -> float:
        """1/R: prefill time of one uncached token."""
        return self.ttft.fit.theta[1]

    def ttft_ms(self, tokens: float, slot_wait_ms: float = 0.0) -> float:
        """Estimate the time to first byte behind and with `tokens` uncached tokens."""
        o_ms, token_ms = self.ttft.fit.theta
        return self.rtt_ms + o_ms + token_ms * tokens + slot_wait_ms

    def ttft_q95_ms(self, tokens: float, slot_wait_ms: float = 0.0) -> float:
        """Estimate what nineteen of twenty answers stay below; hedging and time-outs are set from it."""
        return self.ttft_ms(tokens, slot_wait_ms) * self.ttft.tail

    def itl_parts(self) -> tuple[float, float, float]:
        """Return (a, b, c): ms, ms a running sequence, ms a token of KV cache."""
        a, b, c = self.itl.fit.theta
        return a, b, c * KV_SCALE

    def itl_ms(self, running: float, kv_tokens: float) -> float:
        """Estimate the mean gap between tokens with `running` sequences of `kv_tokens` in all."""
        a, b, c = self.itl_parts()
        return a + b * running + c * kv_tokens

    def job_ms(self, input_tokens: float, output_tokens: float, running: float) -> float:
        """Estimate how long a job holds its slot when `running` sequences like it share the lane."""
        context = running * (input_tokens + 0.5 * output_tokens)
        return self.overhead_ms + self.token_ms * input_tokens + output_tokens * self.itl_ms(running, context)

    def learn_rtt(self, rtt_ms: float) -> None:
        """Move the round trip a tenth of the way to one measured on the wire."""
        self.rtt_ms += RTT_STEP * (rtt_ms - self.rtt_ms)

    def learn_ttft(self, tokens: float, observed_ms: float) -> None:
        """Learn from a first byte that no slot had to be waited for."""
        self.ttft.learn((1.0, tokens), self._weight(tokens), observed_ms, self.rtt_ms)

    def learn_itl(self, running: float, kv_tokens: float, observed_ms: float) -> None:
        """Learn from the mean gap of one answer."""
        self.itl.learn((1.0, running, kv_tokens * KV_SCALE), 1.0, observed_ms, 0.0)
