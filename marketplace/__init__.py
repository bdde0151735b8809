"""The shell around the organs: HTTP, command line, database, clock, keys and processes."""
