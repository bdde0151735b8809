"""The memory of used tickets: exact, bounded, and not shaken by crashes."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.agent.used import UsedTickets

DAY_S = 86_400
NOW = 20_000 * DAY_S + 5.0


def test_a_pair_is_used_once(tmp_path):
    used = UsedTickets(tmp_path, NOW)
    assert used.add((b"a" * 32, 0), NOW)
    assert not used.add((b"a" * 32, 0), NOW)
    assert used.add((b"a" * 32, 1), NOW)
    used.close()


def test_what_was_used_stays_used_in_the_next_process_and_on_later_days(tmp_path):
    used = UsedTickets(tmp_path, NOW)
    used.add((b"a" * 32, 0), NOW)
    used.add((b"b" * 32, 0), NOW + DAY_S)
    # no close: as after kill -9
    later = UsedTickets(tmp_path, NOW + 2 * DAY_S)
    assert (b"a" * 32, 0) in later and (b"b" * 32, 0) in later
    assert (b"c" * 32, 0) not in later
    assert not later.add((b"a" * 32, 0), NOW + 2 * DAY_S)


def test_a_pair_outlives_the_statute_and_is_then_forgotten_with_its_file(tmp_path):
    used = UsedTickets(tmp_path, NOW)
    used.add((b"a" * 32, 0), NOW)
    assert not used.add((b"a" * 32, 0), NOW + 29 * DAY_S)
    used.add((b"b" * 32, 0), NOW + 29 * DAY_S)
    used.add((b"c" * 32, 0), NOW + 31 * DAY_S)
    assert (b"a" * 32, 0) not in used
    assert not (tmp_path / "20000.used").exists()
    assert (b"b" * 32, 0) in UsedTickets(tmp_path, NOW + 32 * DAY_S)


def test_a_word_torn_by_a_crash_is_cut_off_and_the_rest_is_kept(tmp_path):
    used = UsedTickets(tmp_path, NOW)
    used.add((b"a" * 32, 0), NOW)
    used.close()
    with (tmp_path / "20000.used").open("ab") as file:
        file.write(b"\x01\x02\x03")
    again = UsedTickets(tmp_path, NOW)
    assert (b"a" * 32, 0) in again
    again.add((b"b" * 32, 0), NOW)
    assert os.path.getsize(tmp_path / "20000.used") == 16
    assert (b"b" * 32, 0) in UsedTickets(tmp_path, NOW)


def test_a_full_disk_is_an_error_and_leaves_the_pair_unused(tmp_path):
    used = UsedTickets(tmp_path, NOW)
    real, used._file = used._file, os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="space"):
        used.add((b"a" * 32, 0), NOW)
    os.close(used._file)
    used._file = real
    assert used.add((b"a" * 32, 0), NOW)
    used.close()


@given(pairs=st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1), st.integers(0, 3))))
def test_it_agrees_with_a_set_over_days_and_restarts(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("used")
    used, mirror, day = UsedTickets(folder, NOW), set(), 0
    for job, attempt, step in pairs:
        day += step
        if step == 3:
            used.close()
            used = UsedTickets(folder, NOW + day * DAY_S)
        new = (job, attempt) not in mirror
        if day < 25:
            assert used.add((job, attempt), NOW + day * DAY_S) is new
            mirror.add((job, attempt))
    used.close()
