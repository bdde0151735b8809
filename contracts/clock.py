"""`EpochClock` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface."""

from __future__ import annotations

from operator import attrgetter

from contracts.binding import Contract, Reader
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.types import Checkpoint, LimitsRecord, RulesRecord, Timing
from contracts.views import ClockSettings

_rule_values = attrgetter(*RulesRecord.__dataclass_fields__)
_limit_values = attrgetter(*LimitsRecord.__dataclass_fields__)


class Clock(Contract):
    """What time it is, which rules hold for an epoch, and within which limits a report must stay."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "EpochClock")

    async def timing(self, at: Checkpoint) -> Timing:
        """Return genesis, slot and epoch length; genesis is 0 until the clock is opened."""
        names = ("genesis", "slotSeconds", "slotsPerEpoch")
        return Timing(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def settings(self, at: Checkpoint) -> ClockSettings:
        """Return what the clock was deployed with."""
        names = ("genesis", "slotSeconds", "slotsPerEpoch", "reportDelay", "activationDelay")
        *timing, report_delay, activation_delay = await self.read_many([self.view(name, to=int) for name in names], at)
        return ClockSettings(Timing(*timing), report_delay, activation_delay)

    async def current_epoch(self, at: Checkpoint) -> int:
        """Return the epoch of the block's time; 0 before genesis."""
        return await self.read(self.current_epoch_view(), at)

    def current_epoch_view(self) -> View[int]:
        """Return the read behind `current_epoch`, to be put in a batch."""
        return self.view("currentEpoch", to=int)

    async def rules(self, epoch: int, at: Checkpoint) -> RulesRecord:
        """Return the rules in force for an epoch, as they stand at the checkpoint."""
        return await self.read(self.view("rulesFor", epoch, to=lambda raw: RulesRecord(*raw)), at)

    async def limits(self, at: Checkpoint) -> LimitsRecord:
        """Return what no report may exceed."""
        return await self.read(self.view("limits", to=lambda raw: LimitsRecord(*raw)), at)

    def open(self, genesis: int) -> Call:
        """Start the clock; by the access manager's permission, once."""
        return self.call("open", genesis)

    def set_rules(self, rules: RulesRecord) -> Call:
        """Set the rules from the next epoch on; by the access manager's permission."""
        return self.call("setRules", _rule_values(rules), rules=rules)

    def set_limits(self, limits: LimitsRecord) -> Call:
        """Set the limits of reports at once; by the access manager's permission."""
        return self.call("setLimits", _limit_values(limits), limits=limits)
