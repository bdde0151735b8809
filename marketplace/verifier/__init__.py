"""The verifier as a process: its view of chain, gateway and providers, and what it serves to the others."""
