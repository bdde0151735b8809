"""Hold what waits for a place, and say who gets the next one; plain classes, the clock is an argument."""
