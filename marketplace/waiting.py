"""Say that a step of settlement has to wait: nothing is wrong, it is only too early."""

from __future__ import annotations


class NotYet(Exception):
    """A step has to wait; the message says for what."""
