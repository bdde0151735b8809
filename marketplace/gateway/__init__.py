"""Take customers' inference requests, relay them to providers and account for every token."""
