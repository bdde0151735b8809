"""What can go wrong between Python and the chain; one root, and each message says what to do."""

from __future__ import annotations

from urllib.parse import urlsplit


class ContractsError(Exception):
    """Root of every error raised by the `contracts` package."""


class BadAddress(ContractsError):
    """An address is not `0x` followed by 40 hexadecimal digits: check what was pasted."""

    def __init__(self, value: str) -> None:
        super().__init__(f"{value!r} is not an address: it must be 0x followed by 40 hexadecimal digits")


class BadSignature(ContractsError):
    """A signature is malformed, malleable or by nobody: refuse the message it came with."""


class BadMessage(ContractsError):
    """A signed message cannot be read: a field is missing, of the wrong type or out of its range."""


class NotInTree(ContractsError):
    """A proof was asked for a leaf that the report does not have: look the provider up in the report's leaves."""

    def __init__(self, index: int, leaves: int) -> None:
        super().__init__(f"there is no leaf {index}: the report has {leaves}")


class MalformedLeaf(ContractsError):
    """A leaf, or its 64 packed bytes, has a value that no report may carry: what made it is wrong, or was tampered."""


class BadArgument(ContractsError):
    """A value does not fit the contract's function: correct it before anything is signed."""


class BadDeployment(ContractsError):
    """The deployment file is missing, unreadable or lacks a contract."""


# ------------------------------------------------------------------------------------------------------- the node


class ChainUnavailable(ContractsError):
    """No RPC endpoint answers: look at each reason, then wait or name another endpoint."""

    def __init__(self, tried: tuple[tuple[str, str], ...]) -> None:
        self.tried = tried
        told = (
            "; ".join(f"{_origin(url)}: {reason.replace(url, _origin(url))}" for url, reason in tried)
            or "no RPC endpoint was given"
        )
        super().__init__(f"the chain cannot be reached ({told})")


class WrongChain(ContractsError):
    """An RPC endpoint serves another chain than the deployment is on: give the right endpoint or deployment."""

    def __init__(self, url: str, found: object, expected: object, what: str = "chain id") -> None:
        self.url, self.found, self.expected = url, found, expected
        told = f"{_origin(url)} has {what} {found}, the deployment is on {expected}"
        super().__init__(f"{told}: use another RPC or deployment")


def _origin(url: str) -> str:
    """Return an endpoint's scheme, host and port: its path, query and user name may be a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class RpcRefused(ContractsError):
    """A node answered with an error that is no revert of a contract; the message is the node's."""

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        self.method, self.code, self.message, self.data = method, code, message, data
        super().__init__(f"{method}: the node answers {code}: {message}")


class CheckpointGone(ContractsError):
    """The block is no longer on the chain, or not yet known to any endpoint: take a new checkpoint and read again."""

    def __init__(self, number: int, hash_: bytes) -> None:
        self.number, self.hash = number, hash_
        super().__init__(f"block {number} (0x{hash_.hex()}) is not on the chain: take a new checkpoint and read again")


class NoContract(ContractsError):
    """Nothing answers at a contract's address: the deployment file belongs to another chain, or to a later block."""

    def __init__(self, contract: str, address: str) -> None:
        super().__init__(f"there is no {contract} at {address}: is the deployment file the one of this chain?")


class ContractRefused(ContractsError):
    """A contract reverted; `error_name` and `arguments` are those of its typed error.

    `error_name` is `Error` or `Panic` for the untyped ones and empty when the contract said nothing.
    """

    def __init__(self, contract: str, error_name: str, arguments: dict[str, object], call: str = "") -> None:
        self.contract, self.error_name, self.arguments, self.call = contract, error_name, arguments, call
        told = ", ".join(f"{name}={_told(value)}" for name, value in arguments.items())
        refused = f"{call} is refused" if call else f"{contract} refuses"
        super().__init__(f"{refused}: {error_name or 'no reason given'}" + (f"({told})" if error_name else ""))


def _told(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


class ReportMissing(ContractsError):
    """No report of this epoch is on the chain at the checkpoint: wait until it is submitted."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(f"there is no report of epoch {epoch} on the chain yet")


class ReportIncomplete(ContractsError):
    """Leaves of this epoch's report are not on the chain yet: wait until it is complete, or is cancelled."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(f"the report of epoch {epoch} is on the chain without all its leaves: try again when they are")


class HistoryDamaged(ContractsError):
    """The events of the chain do not add up to what the contract keeps: the RPC endpoint withholds or alters logs."""


# --------------------------------------------------------------------------------------------------------- sending


class SendingError(ContractsError):
    """Root of what can go wrong with an intent; `intent_id` names it."""

    def __init__(self, intent_id: str, message: str) -> None:
        self.intent_id = intent_id
        super().__init__(f"intent {intent_id}: {message}")


class IntentConflict(SendingError):
    """The intent id was used for another call: an id names one deed for ever, choose a new one for a new deed."""

    def __init__(self, intent_id: str, stored: str, asked: str) -> None:
        super().__init__(intent_id, f"was {stored}, cannot become {asked}: choose a new intent id for a new deed")


class InsufficientFunds(ContractsError):
    """The sender cannot pay for gas: send it native currency."""

    def __init__(self, address: str, balance_wei: int, needed_wei: int) -> None:
        self.address, self.balance_wei, self.needed_wei = address, balance_wei, needed_wei
        lacking = needed_wei - balance_wei
        super().__init__(f"{address} holds {balance_wei} wei and may need {needed_wei} for gas: send it {lacking} more")


class FeeCapReached(SendingError):
    """Fees rose above what the policy permits: raise the cap, or wait; the intent stays open and watched."""

    def __init__(self, intent_id: str, needed_wei: int, most_wei: int) -> None:
        self.needed_wei, self.most_wei = needed_wei, most_wei
        super().__init__(intent_id, f"needs {needed_wei} wei per gas, the policy permits {most_wei}: raise it or wait")


class TransactionReverted(SendingError):
    """The transaction was mined and reverted; `refused` says why where that can still be computed."""

    def __init__(self, intent_id: str, hash_: bytes, refused: ContractRefused | None) -> None:
        self.hash, self.refused = hash_, refused
        super().__init__(intent_id, f"transaction 0x{hash_.hex()} reverted: {refused or 'the reason is unknown'}")


class IntentDropped(SendingError):
    """The intent was given up, because its nonce went to another transaction and the contract refuses it since."""

    def __init__(self, intent_id: str, reason: str) -> None:
        super().__init__(intent_id, f"was given up: {reason}")


class StillWaiting(SendingError):
    """The time given to an intent ran out; it stays open, submit the same id again to go on waiting."""

    def __init__(self, intent_id: str, state: str, note: str) -> None:
        super().__init__(intent_id, f"is {state} and not done{': ' + note if note else ''}; submit it again to wait on")


class ReceiptMissing(SendingError):
    """A final transaction's receipt is not to be had: use an RPC endpoint that keeps receipts."""

    def __init__(self, intent_id: str, hash_: bytes) -> None:
        super().__init__(intent_id, f"no endpoint has the receipt of 0x{hash_.hex()}: use one that keeps receipts")


class OutboxLocked(ContractsError):
    """Another process holds this key's outbox: two processes must not send with one key, stop the other."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} is in use by another process: one key is used by one process, stop the other first")


class OutboxDamaged(ContractsError):
    """An outbox file cannot be read beyond a line: restore it from a backup, never edit it."""


class OutboxMisused(ContractsError):
    """A step was asked of an intent that its state does not permit."""


# -------------------------------------------------------------------------------------------------------- keystore


class KeystoreError(ContractsError):
    """Root of what can go wrong with a key file."""


class KeystoreMissing(KeystoreError):
    """There is no key file: make one."""

    def __init__(self, path: object, command: str = "bonded provider keys new") -> None:
        super().__init__(f"there is no keystore at {path}: make one with `{command}`")


class KeystoreExists(KeystoreError):
    """A key file is there already and is never overwritten."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} exists and is never overwritten: name another file, or move this one away")


class KeystoreUnreadable(KeystoreError):
    """A key file is no keystore of version 3: restore it from a backup."""


class WrongPassword(KeystoreError):
    """The password does not open the key file."""

    def __init__(self, path: object) -> None:
        super().__init__(f"the password does not open {path}")


class PasswordMissing(KeystoreError):
    """No password was given, and no variable or file holds one."""


# ---------------------------------------------------------------------------------------------------------- devnet


class AnvilMissing(ContractsError):
    """There is no anvil to start a devnet with."""


class DevnetFailed(ContractsError):
    """Anvil ended or did not answer; the message holds what it said."""
