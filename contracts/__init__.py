"""The chain: Solidity sources, and the chain as Python sees it."""
