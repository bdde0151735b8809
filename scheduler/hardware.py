"""Derive latency priors and physical floors from a hardware class and a model's size.

Calibrated to published coefficients (a roofline with 1.36 passes over the weights a decode step, 32.1 µs a layer, 126
µs fixed; 4.4 µs a running sequence; 1.95 reads of its KV cache; 15.6 ms before the first step), never measured here.
For an 8B model on one H100 this gives a step of 7.6 ms, 81 µs a sequence at 1,000 tokens of context and 36 µs a prompt
token. Layers are estimated as 32·(P/8e9)^(1/3), the KV cache as 4,096 bytes a token and layer, weights as two bytes a
parameter.

Floors are what no engine on such hardware passes: weights of half a byte read once a step, and twice the dense 16-bit
peak for prefill. A model that learns less than this is being fooled.
"""

from __future__ import annotations

from typing import NamedTuple

from scheduler.errors import UnknownHardware


class Hardware(NamedTuple):
    """Per unit: memory bandwidth, dense 16-bit peak, the share of the peak that prefill reaches, and memory."""

    bandwidth_gb_s: float
    peak_tflops: float
    prefill_share: float
    memory_gb: float


HARDWARE = {
    "CPU": Hardware(40.0, 0.5, 0.5, 64.0),
    "T4": Hardware(320.0, 65.0, 0.30, 16.0),
    "A10": Hardware(600.0, 125.0, 0.32, 24.0),
    "4090": Hardware(1008.0, 165.0, 0.38, 24.0),
    "L40S": Hardware(864.0, 362.0, 0.32, 48.0),
    "A100": Hardware(2039.0, 312.0, 0.38, 80.0),
    "H100": Hardware(3350.0, 989.5, 0.45, 80.0),
}


class LatencyPrior(NamedTuple):
    """TTFT = o + token·x and ITL = a + b·n + c·K in ms, with floors for `token` and `a`."""

    o_ms: float
    token_ms: float
    a_ms: float
    b_ms: float
    c_ms: float
    token_floor_ms: float
    a_floor_ms: float


def latency_prior(hardware_class: str, units: int, active_params_m: int) -> LatencyPrior:
    """Return the prior of a model on `units` of a hardware class; raise `UnknownHardware` for an unknown class."""
    if hardware_class not in HARDWARE:
        raise UnknownHardware(hardware_class, sorted(HARDWARE))
    hardware = HARDWARE[hardware_class]
    params = active_params_m * 1e6
    layers = 32.0 * (params / 8e9) ** (1 / 3)
    bandwidth = hardware.bandwidth_gb_s * 1e9 * max(units, 1)
    peak = hardware.peak_tflops * 1e12 * max(units, 1)
    a_ms = 1e3 * 1.36 * 2 * params / bandwidth + 0.0321 * layers + 0.126
    return LatencyPrior(
        o_ms=15.6 + a_ms,
        token_ms=1e3 * 2 * params / (peak * hardware.prefill_share),
        a_ms=a_ms,
        b_ms=0.0044,
        c_ms=1e3 * 1.95 * 4096 * layers / bandwidth,
        token_floor_ms=1e3 * 2 * params / (2 * peak),
        a_floor_ms=1e3 * 0.5 * params / bandwidth,
    )


def cache_tokens(hardware_class: str, units: int, active_params_m: int) -> float:
    """Return the tokens for which a model leaves room in the memory: 0.9 of it less weights and 2 GB a unit.

    At least a tenth of the memory, because who serves the model at all has quantised its weights. Worked: 8B on one
    H100 leaves 54 GB, which at 4,096 bytes a token and layer is 412,000 tokens.
    """
    if hardware_class not in HARDWARE:
        raise UnknownHardware(hardware_class, sorted(HARDWARE))
    params = active_params_m * 1e6
    memory = HARDWARE[hardware_class].memory_gb * 1e9 * max(units, 1)
    room = max(0.1 * memory, 0.9 * memory - 2 * params - 2e9 * max(units, 1))
    layers = 32.0 * (params / 8e9) ** (1 / 3)
    return float(room / (4096 * layers))
