"""Tell which receipts are missing: each names an earlier job of its provider, and what is named must be there.

A provider writes into each receipt one job whose receipt it handed over before (`Receipt.taken`), each once. A job that
is named and has no attempt in the evidence, in this epoch or before, is *awaited*: its receipt may have been
countersigned late and come with the next epoch. If it does not, it is *missing*: whoever gathered the evidence left it
out, somebody who called the provider directly kept it back, or the provider made it up; the provider that holds the
receipt can show it. No money depends on it (docs/protocol.md, section 5.10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KEPT = 128
"""How many jobs of a provider wait at most to be named, and how many are awaited at most by name."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What is left of a provider's jobs at the end of an epoch: not named yet, oldest first; awaited; missing."""

    unnamed: tuple[bytes, ...]
    awaited: tuple[bytes, ...]
    missing: tuple[bytes, ...]


def follow(
    unnamed: tuple[bytes, ...], awaited: tuple[bytes, ...], jobs: Mapping[bytes, int], named: set[bytes]
) -> Followed:
    """Hold what a provider's receipts of an epoch name against the jobs that are there.

    `unnamed` and `awaited` are of the epoch before, `jobs` gives the slot of each job with an attempt in the evidence,
    `named` is what the epoch's receipts name. One that was awaited and came is neither named again nor missing.

    >>> follow((), (), {b"A": 5}, {b"B"})
    Followed(unnamed=(b'A',), awaited=(b'B',), missing=())
    >>> follow((b"A",), (b"B",), {b"B": 70, b"C": 71}, {b"A"})
    Followed(unnamed=(b'C',), awaited=(), missing=())
    >>> follow((b"A",), (b"B",), {b"C": 70}, {b"A"})
    Followed(unnamed=(b'C',), awaited=(), missing=(b'B',))
    """
    late = set(awaited)
    absent = sorted(named.difference(jobs).difference(unnamed))
    fresh = sorted((slot, job) for job, slot in jobs.items() if job not in named and job not in late)
    waiting = [job for job in unnamed if job not in named]
    return Followed(
        unnamed=tuple([*waiting, *(job for _, job in fresh)][-KEPT:]),
        awaited=tuple(absent[:KEPT]),
        missing=(*(job for job in awaited if job not in jobs), *absent[KEPT:]),
    )
