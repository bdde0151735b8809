"""Stand before a provider's engine: check job tickets, hold slots, sign receipts."""
