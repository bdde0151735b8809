"""Say what a caller did that the scheduler cannot honour; a job nobody may serve is a `Refusal`, not an error."""

from __future__ import annotations


class SchedulerError(Exception):
    """Root of all errors of this package."""


class UnknownOffer(SchedulerError):
    """The market holds no offer of this provider for this model; register it with `put_offer` first."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(f"no offer of {provider} for {model}; register it with put_offer first")


class UnknownHardware(SchedulerError):
    """The hardware class has no figures; add it to `scheduler.hardware.HARDWARE`."""

    def __init__(self, hardware_class: str, known: list[str]) -> None:
        super().__init__(f"hardware class {hardware_class!r} has no figures; known: {', '.join(known)}")


class NotACandidate(SchedulerError):
    """The provider was not an admissible candidate of this decision; take one of `decision.order()`."""

    def __init__(self, provider: str, job: str) -> None:
        super().__init__(f"{provider} was not an admissible candidate for job {job}; take one of decision.order()")


class CandidateGone(SchedulerError):
    """A candidate was admissible when the job was decided and is not any more; take the next of `decision.order()`."""


class LaneBarred(CandidateGone):
    """Rules bar the lane since the decision was made; take the next of `decision.order()` or decide again."""

    def __init__(self, provider: str, rules: list[str]) -> None:
        super().__init__(f"{provider} is barred by {', '.join(rules)}; take the next runner-up or decide again")
        self.rules = rules


class StakeCeilingExceeded(CandidateGone):
    """The job's worst charge does not fit under the provider's free bond; decide again or take the next runner-up."""

    def __init__(self, provider: str, worst_atto: int, room_atto: int) -> None:
        super().__init__(
            f"{provider}: worst charge {worst_atto} atto exceeds the room of {room_atto} atto; take the next runner-up"
        )
        self.worst_atto = worst_atto
        self.room_atto = room_atto


class AlreadyReleased(SchedulerError):
    """The reservation was released before; each is released exactly once, in the `finally` of its attempt."""

    def __init__(self, number: int, provider: str) -> None:
        super().__init__(f"reservation {number} on {provider} was released before; release each exactly once")


class BadLogEntry(SchedulerError):
    """The decision log entry cannot be read; check that it was written by `scheduler.log.entry` of the same version."""
