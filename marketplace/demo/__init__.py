"""The whole marketplace on one machine: every process real, every step checked, the outcome printed as a table."""
