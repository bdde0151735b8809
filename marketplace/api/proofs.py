"""Give out receipts as they were signed, so that whoever has one can check both signatures without us."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from contracts.event_types import ProviderRegistered, ProviderUpdated
from contracts.messages import Countersignature, Message, Receipt
from marketplace.api.bounds import job_bytes
from marketplace.api.source import Source
from marketplace.models import attempts, chain_events
from rewards.attempt_lines import read_lines
from rewards.types import Attempt


class ProofReads:
    """Queries about what both sides signed."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def proofs(self, customer: str, job: str) -> list[dict[str, Any]]:
        """Return the signed messages of one of the customer's own jobs, an entry an attempt; none for other people's.

        Each has the EIP-712 domain, both types as they are hashed, both messages in their wire form with numbers as
        decimal strings, both signatures, and the keys that the provider has had registered on chain.
        """
        raw = job_bytes(job)
        if raw is None:
            return []
        async with self._source.database.begin() as connection:
            found = await connection.execute(
                select(attempts.c.line)
                .where(attempts.c.customer == customer, attempts.c.job == raw)
                .order_by(attempts.c.attempt)
            )
            signed = list(read_lines([line for (line,) in found]))
            keys = await connection.execute(
                select(chain_events.c.fields["provider"].astext, chain_events.c.fields["signer"].astext).where(
                    chain_events.c.name.in_((ProviderRegistered.__name__, ProviderUpdated.__name__)),
                    chain_events.c.fields["provider"].astext.in_({one.receipt.provider for one in signed}),
                )
            )
            known: dict[str, set[str]] = {}
            for provider, signer in keys:
                known.setdefault(provider, set()).add(signer)
        return [self._proof(one, sorted(known.get(one.receipt.provider, ()))) for one in signed]

    def _proof(self, one: Attempt, signers: list[str]) -> dict[str, Any]:
        domain = self._source.services.domain
        return {
            "domain": {
                "name": "Bonded",
                "version": "1",
                "chainId": str(domain.chain_id),
                "verifyingContract": domain.epoch_ledger,
            },
            "receipt_type": Receipt.TYPE,
            "receipt": _spelled(one.receipt),
            "provider_signature": "0x" + one.provider_signature.hex(),
            "provider_signers": signers,
            "countersignature_type": Countersignature.TYPE,
            "countersignature": _spelled(one.countersignature),
            "gateway": one.gateway,
            "gateway_signature": "0x" + one.gateway_signature.hex(),
        }


def _spelled(message: Message) -> dict[str, str]:
    """Return the wire form with numbers as decimal strings: they may exceed what a browser's numbers hold."""
    return {name: str(value) for name, value in message.to_json().items()}
