"""Price time for the four classes of service.

The figures start from 2.0 micro-units a millisecond for realtime and 0.4 for standard (one micro-unit is 10^12 atto): a
second saved before the first token is worth 0.002 payment tokens to a realtime customer. A token's gap weighs a quarter
of that, because readers are slower than engines. A failure costs the two seconds it takes to notice and move on.
Batch and background pay for price and reliability alone: their deadline is the business of flow control.
"""

from __future__ import annotations

from scheduler.types import ServiceClass

REALTIME = ServiceClass(
    name="realtime",
    ttft_value_atto=2e12,
    itl_value_atto=5e11,
    miss_atto=2e15,
    failure_atto=4e15,
    slo_ttft_ms=500,
    slo_itl_us=50_000,
    curiosity_atto=0.0,
)
STANDARD = ServiceClass(
    name="standard",
    ttft_value_atto=4e11,
    itl_value_atto=1e11,
    miss_atto=4e14,
    failure_atto=8e14,
    slo_ttft_ms=2_000,
    slo_itl_us=100_000,
    curiosity_atto=1e11,
)
BATCH = ServiceClass(
    name="batch",
    ttft_value_atto=0.0,
    itl_value_atto=0.0,
    miss_atto=0.0,
    failure_atto=2e14,
    slo_ttft_ms=60_000,
    slo_itl_us=1_000_000,
    curiosity_atto=1e11,
    filler=True,
)
BACKGROUND = ServiceClass(
    name="background",
    ttft_value_atto=0.0,
    itl_value_atto=0.0,
    miss_atto=0.0,
    failure_atto=1e14,
    slo_ttft_ms=600_000,
    slo_itl_us=5_000_000,
    curiosity_atto=2e11,
    filler=True,
)
CLASSES = {service.name: service for service in (REALTIME, STANDARD, BATCH, BACKGROUND)}
