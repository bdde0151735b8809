"""What can go wrong at a provider; each message says what to do."""

from __future__ import annotations

from marketplace.errors import BondedError


class AgentError(BondedError):
    """Root of every error of the provider agent. `mend` says what to do about it."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class BadProviderFile(AgentError):
    """The provider file has mistakes: all of them are listed, mend them and run the command again."""

    def __init__(self, path: str, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__(f"{path} has {len(mistakes)} mistake(s): " + "; ".join(mistakes), f"edit {path}")


class EngineError(AgentError):
    """Root of what an engine can do wrong."""


class EngineFailed(EngineError):
    """The engine is unreachable, closed early or answered something that is not the OpenAI protocol.

    Look at its log.
    """


class EngineTimedOut(EngineError):
    """The engine was silent for longer than allowed: it is overloaded or hangs."""


class EngineRefused(EngineError):
    """The engine refused this request as wrong; the customer is told why and nothing is charged."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class OfferDiffers(AgentError):
    """The offer registered on chain is another than this provider file makes.

    Customers would be billed by the wrong one.
    """


class NotRegistered(AgentError):
    """The chain does not know this provider, or knows another signer for it."""


class ChainUnreachable(AgentError):
    """No RPC endpoint answered and nothing was remembered from an earlier run."""

    exit_code = 4
