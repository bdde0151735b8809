"""The verifier's own record survives crashes."""

from pathlib import Path

from rewards.verifier.challenge import Greedy, Pool, Sampled
from rewards.verifier.probe import Verdict
from rewards.verifier.store import Measurement, MeasurementStore

ONE = Measurement("0x" + "11" * 20, 3, Verdict.SERVED, 120, True)
TWO = Measurement("0x" + "22" * 20, 4, Verdict.TIMEOUT, None, None)


def test_reads_back_what_was_appended_in_order_and_by_epoch(tmp_path: Path):
    store = MeasurementStore(tmp_path)
    store.append(0, ONE)
    store.append(0, TWO)
    store.append(1, TWO)
    assert MeasurementStore(tmp_path).read(0) == (ONE, TWO)
    assert store.read(1) == (TWO,)
    assert store.read(2) == ()


def test_a_line_torn_by_a_crash_is_left_out_and_does_not_swallow_the_next(tmp_path: Path):
    store = MeasurementStore(tmp_path)
    store.append(0, ONE)
    path = next(tmp_path.glob("epoch-*"))
    with path.open("ab") as file:
        file.write(b'{"provider":"0x22')
    store.append(0, TWO)
    assert store.read(0) == (ONE, TWO)


def test_an_answer_to_compare_is_kept_with_its_place_in_the_pool(tmp_path: Path):
    store, compared = MeasurementStore(tmp_path), Measurement("0x" + "11" * 20, 3, Verdict.SERVED, 120, None, 5, 'é\n"')
    store.append(0, compared)
    assert store.read(0) == (compared,)


def test_the_pool_of_an_epoch_is_read_back_exactly(tmp_path: Path):
    pool = Pool(b"\x06" * 32, (Greedy(b"{}", 8, "yes"),), (Sampled(b"{2}", 9, ("a", "ü")),))
    MeasurementStore(tmp_path).keep_pool(4, pool)
    assert MeasurementStore(tmp_path).pool(4) == pool
    assert MeasurementStore(tmp_path).pool(5) is None


def test_every_verdict_is_up_down_or_no_evidence():
    assert {v for v in Verdict if v.up is True} == {Verdict.SERVED}
    assert {v for v in Verdict if v.up is None} == {Verdict.BUSY, Verdict.UNASKED}
