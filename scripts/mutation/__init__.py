"""Mutation testing of the contracts: many small faults compiled in at once, each behind a switch."""
