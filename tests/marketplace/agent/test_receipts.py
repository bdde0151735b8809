"""The journal of receipts: nothing signed is lost, nothing acknowledged is posted again."""

from __future__ import annotations

import dataclasses
import os
import resource

import pytest

from contracts.messages import Receipt
from contracts.signing import Signer
from marketplace.agent import receipts
from marketplace.agent.meter import SignedReceipt
from marketplace.agent.receipts import ReceiptJournal
from rewards.missing import KEPT

RECEIPT = Receipt(b"j" * 32, 0, "0x" + "a1" * 20, b"m" * 32, 5, 10, 4, 3, 20, 900, 2**127, b"q" * 32, b"r" * 32, 0)
SIGNER = Signer(b"\x11" * 32)


def signed(attempt: int) -> SignedReceipt:
    receipt = dataclasses.replace(RECEIPT, attempt=attempt)
    return SignedReceipt(receipt, SIGNER.sign(receipt.struct_hash()), "0x" + "bb" * 20)


def test_open_receipts_survive_without_a_close_and_acknowledged_ones_do_not_come_back(tmp_path):
    journal = ReceiptJournal(tmp_path)
    numbers = [journal.append(signed(attempt)) for attempt in range(3)]
    journal.acknowledge(numbers[1], "post")
    again = ReceiptJournal(tmp_path)
    assert [entry.signed for entry in again.open.values()] == [signed(0), signed(2)]
    assert again.append(signed(9)) not in numbers


def test_charges_wider_than_64_bits_are_kept_exactly(tmp_path):
    ReceiptJournal(tmp_path).append(signed(0))
    (entry,) = ReceiptJournal(tmp_path).open.values()
    assert entry.signed.receipt.charge_atto == 2**127


def test_a_line_torn_by_a_crash_is_cut_off(tmp_path):
    journal = ReceiptJournal(tmp_path)
    journal.append(signed(0))
    journal.append(signed(1))
    (path,) = tmp_path.glob("*.jsonl")
    os.truncate(path, path.stat().st_size - 20)
    again = ReceiptJournal(tmp_path)
    assert [entry.signed for entry in again.open.values()] == [signed(0)]
    again.append(signed(2))
    assert [entry.signed for entry in ReceiptJournal(tmp_path).open.values()] == [signed(0), signed(2)]


def test_a_full_file_is_kept_as_proof_and_what_is_open_moves_on(tmp_path, monkeypatch):
    monkeypatch.setattr(receipts, "_FULL_BYTES", 1000)
    journal = ReceiptJournal(tmp_path)
    numbers = [journal.append(signed(attempt)) for attempt in range(6)]
    for number in numbers[:-2]:
        journal.acknowledge(number, "stream")
    assert len(list(tmp_path.glob("*.jsonl"))) > 2
    again = ReceiptJournal(tmp_path)
    assert [entry.signed for entry in again.open.values()] == [signed(4), signed(5)]
    assert again.append(signed(7)) > max(numbers)
    text = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.jsonl")))
    assert all(f'"attempt":{attempt},'.encode() in text for attempt in (0, 1, 2, 3, 4, 5, 7))


async def test_sync_forces_the_other_files_too_and_only_when_something_was_written(tmp_path):
    forced = []
    journal = ReceiptJournal(tmp_path, also_sync=lambda: forced.append(1))
    await journal.sync()
    assert forced == []
    journal.append(signed(0))
    await journal.sync()
    await journal.sync()
    assert forced == [1]


def test_acknowledging_what_is_not_open_changes_nothing(tmp_path):
    journal = ReceiptJournal(tmp_path)
    journal.acknowledge(77, "post")
    assert (tmp_path / "receipts-000001.jsonl").read_bytes() == b""


@pytest.mark.parametrize("count", [0, 5])
def test_numbers_go_on_where_they_were(tmp_path, count):
    journal = ReceiptJournal(tmp_path)
    for attempt in range(count):
        journal.acknowledge(journal.append(signed(attempt)), "stream")
    assert ReceiptJournal(tmp_path).append(signed(99)) == count + 1


def test_a_full_disk_is_an_error_and_what_follows_is_still_readable(tmp_path):
    journal = ReceiptJournal(tmp_path)
    journal.append(signed(0))
    real = journal._file
    os.write(real, b'{"n":2,"rece')
    journal._torn = True
    journal.append(signed(2))
    assert [entry.signed for entry in ReceiptJournal(tmp_path).open.values()] == [signed(0), signed(2)]
    read, write = os.pipe()
    os.close(read)
    journal._file = write
    with pytest.raises(BrokenPipeError):
        journal._write({"ack": 1, "how": "post"})
    assert journal._torn
    os.close(write)
    os.close(real)


def test_a_receipt_that_could_not_be_written_is_not_open_and_an_acknowledgement_can_be_repeated(tmp_path):
    journal = ReceiptJournal(tmp_path)
    number = journal.append(signed(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError):
            journal.append(signed(1))
        with pytest.raises(OSError):
            journal.acknowledge(number, "post")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(journal.open) == [number]
    journal.acknowledge(number, "post")
    assert journal.append(signed(1)) == number + 1
    assert [entry.signed for entry in ReceiptJournal(tmp_path).open.values()] == [signed(1)]


def _job(number: int) -> SignedReceipt:
    one = signed(0)
    return dataclasses.replace(one, receipt=dataclasses.replace(one.receipt, job=bytes([number]) * 32))


def _naming(journal: ReceiptJournal, number: int) -> bytes:
    """Append a receipt that names what the journal gives it to name."""
    one, taken = _job(number), journal.name_taken()
    journal.append(dataclasses.replace(one, receipt=dataclasses.replace(one.receipt, taken=taken)))
    return taken


def test_each_job_that_was_handed_over_is_named_once_and_refused_ones_never(tmp_path):
    journal = ReceiptJournal(tmp_path)
    numbers = [journal.append(_job(number)) for number in (1, 2, 3, 4)]
    assert journal.name_taken() == bytes(32)
    for number, how in zip(numbers, ("post", "refused", "stream", "expired"), strict=True):
        journal.acknowledge(number, how)
        journal.acknowledge(number, how)
    assert [_naming(journal, number)[:1] for number in (5, 6, 7)] == [b"\x01", b"\x03", b"\x00"]


def test_after_a_restart_and_in_a_fresh_file_naming_goes_on_where_it_was(tmp_path, monkeypatch):
    journal = ReceiptJournal(tmp_path)
    for number in (1, 2, 3):
        journal.acknowledge(journal.append(_job(number)), "stream")
    assert _naming(journal, 4)[:1] == b"\x01"
    again = ReceiptJournal(tmp_path)
    monkeypatch.setattr(receipts, "_FULL_BYTES", 1)
    assert _naming(again, 5)[:1] == b"\x02"
    last = ReceiptJournal(tmp_path)
    assert [last.name_taken()[:1], last.name_taken()[:1]] == [b"\x03", b"\x00"]


def test_no_more_jobs_wait_to_be_named_than_settlement_remembers(tmp_path):
    journal = ReceiptJournal(tmp_path)
    for number in range(1, 101):
        journal.acknowledge(journal.append(_job(number)), "post")
    named = []
    while job := journal.name_taken().strip(b"\0"):
        named.append(job[0])
    assert named == list(range(101 - receipts._NAMED_MOST, 101)) and receipts._NAMED_MOST * 4 <= KEPT
