"""Name the changing rules that bar a lane, as bits of a row's gate.

Each bit is one rule, so that a decision bars candidates with one AND, and so that a bitset per rule counts in one pass
how many lanes it bars. Rules that depend on the job (budget, room under the stake) are compared in the pricing loop.
"""

from __future__ import annotations

FULL = 1
"""Slots and queue allowance are taken."""
OPEN = 2
"""The breaker is open, or its one test is under way."""
TRIAL = 4
"""The breaker is half-open: filler may test the lane, customers may not."""
REFUSED = 8
"""The provider said "full" a moment ago."""
SHARE = 16
"""The provider holds more of the model's traffic than its cap; lifted when nobody else is left."""
WITHDRAWN = 32
"""The offer was removed while jobs were still running."""
QUARTER = 64
"""On probation at a quarter of its weight."""
HALF = 128
"""On probation at half of its weight."""
NEWCOMER = 256
"""Few observations; never bars, marks who may take the newcomers' floor."""

BUSY = 512
"""Prompts that wait there take longer to compute than a job should wait bound to one provider. Who finds much
of its own prompt in the lane's cache may pass."""

HARD = FULL | BUSY | OPEN | REFUSED | WITHDRAWN
SOFT = SHARE
PROBATION = QUARTER | HALF

NAMES = {
    FULL: "full",
    BUSY: "backlog",
    OPEN: "breaker_open",
    TRIAL: "breaker_half_open",
    REFUSED: "refused_lately",
    SHARE: "traffic_share",
    WITHDRAWN: "withdrawn",
    QUARTER: "probation",
    HALF: "probation",
}
BARRING = tuple(NAMES)
