"""The queries behind the control API and the dashboard: a customer's own rows, and what is public of the history.

Everything comes from the database and from what the gateway holds in memory; no page waits for the chain, but for
the tokens' decimals and symbols, once.
"""

from __future__ import annotations

from marketplace.api.audit_reads import AuditReads
from marketplace.api.customer_reads import CustomerReads
from marketplace.api.holdings import HoldingReads
from marketplace.api.proofs import ProofReads
from marketplace.api.provider_reads import ProviderReads
from marketplace.api.public_reads import PublicReads
from marketplace.api.source import Source
from marketplace.gateway.services import Services


class Reads(AuditReads, CustomerReads, HoldingReads, ProofReads, ProviderReads, PublicReads):
    """Read models of one gateway. Amounts are whole units or atto as the views say."""

    def __init__(self, services: Services) -> None:
        source = Source(services)
        CustomerReads.__init__(self, source)
        ProviderReads.__init__(self, source)
