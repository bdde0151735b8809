"""Match jobs to providers: plain functions over frozen dataclasses, with clock and randomness as arguments."""
