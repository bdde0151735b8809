"""The command `bonded`, one module per audience."""
