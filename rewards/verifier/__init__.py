"""Probe providers in ways they cannot tell from a customer, and sign what was seen."""
