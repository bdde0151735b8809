"""Turn measurements and receipts into scores, rewards and penalties that anybody can recompute."""
