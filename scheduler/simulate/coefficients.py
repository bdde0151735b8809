"""Hold the published timing coefficients that simulated engines follow.

One step of continuous batching takes

    a + b·n + c·K + p·chunk + q·chunk·(before + chunk/2)      ms

n sequences decode with K tokens in their caches; the chunk is what of waiting prompts is computed in the same step,
`before` what of that prompt was there already (q is attention). A request first spends `overhead_ms` outside the steps.

The figures are those of Llama-3.1-8B: a, b and c follow the decode part of BLIS (`defaults.yaml`,
`hardware_config.json`, `trained_physics_model.go`: 1.36 passes over the weights, 32.1 µs a layer, 126 µs fixed, 4.4
µs a sequence, 1.95 reads of the cache); p is the roofline at the MFU bundled there (0.45, 0.38, 0.32; on one H100 31
µs a token, where published figures lie between 20 and 36); q is 4·layers·width operations at the same rate. Room for
caches is 0.9 of the memory less weights and 2 GB. Each simulated provider is slower than this by a factor of its own,
so that results do not rest on one fit.
"""

from __future__ import annotations

from dataclasses import dataclass

CHUNK_TOKENS = 8_192
OVERHEAD_MS = 15.6


@dataclass(frozen=True, slots=True)
class StepTiming:
    """The coefficients of one engine, in ms."""

    a_ms: float
    b_ms: float
    c_ms: float
    p_ms: float
    q_ms: float
    overhead_ms: float = OVERHEAD_MS

    def slowed(self, factor: float) -> StepTiming:
        """Return the timing of an engine that takes `factor` times as long."""
        return StepTiming(
            self.a_ms * factor,
            self.b_ms * factor,
            self.c_ms * factor,
            self.p_ms * factor,
            self.q_ms * factor,
            self.overhead_ms * factor,
        )

    def decode_ms(self, running: int, kv_tokens: float) -> float:
        """Return the time of a step without prompts."""
        return self.a_ms + self.b_ms * running + self.c_ms * kv_tokens

    def prefill_ms(self, tokens: float, before: float = 0.0) -> float:
        """Return what a chunk of a prompt adds to its steps."""
        return self.p_ms * tokens + self.q_ms * tokens * (before + tokens / 2)


PUBLISHED: dict[str, tuple[StepTiming, int]] = {
    "H100": (StepTiming(6.75, 0.0044, 7.66e-5, 0.031, 1.18e-6), 468_000),
    "A100": (StepTiming(10.37, 0.0044, 1.256e-4, 0.118, 4.42e-6), 468_000),
    "L40S": (StepTiming(22.9, 0.0044, 2.956e-4, 0.120, 4.53e-6), 232_000),
}
"""Timing, and the tokens for which there is room in the caches, by hardware class."""
