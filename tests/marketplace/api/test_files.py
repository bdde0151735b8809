"""Tables to take away: CSV that a spreadsheet cannot be tricked by, and Parquet that its own library reads."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass

import pytest

from marketplace.api.parquet import Column, Kind, parquet
from marketplace.api.tables import as_csv, as_parquet
from tests.marketplace.api.test_sign_in import refusal
from tests.marketplace.api.visitor import Visitor
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def rows_of(visitor: Visitor, name: str) -> list[dict[str, str]]:
    """Fetch a table as CSV."""
    answer = visitor.get(f"/dashboard/files/{name}.csv")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"bonded-{name.replace('s/', '-').removesuffix('/leaves')}" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize("name", ["providers", "epochs", "slashes", "refunds"])
def test_what_is_public_is_the_same_in_every_form(visitor: Visitor, name: str):
    rows, listed = rows_of(visitor, name), visitor.get(f"/api/{name}").json()[name]
    assert len(rows) == len(listed) > 0
    for row, one in zip(rows, listed, strict=True):
        for field, value in one.items():
            if field.endswith("_units"):
                assert row[field] == value
    packed = visitor.get(f"/dashboard/files/{name}.parquet").content
    assert packed[:4] == packed[-4:] == b"PAR1"
    for field in listed[0]:
        assert field.encode() in packed


def test_the_leaves_of_an_epoch_are_a_table(visitor: Visitor):
    rows = rows_of(visitor, "epochs/0/leaves")
    leaves = visitor.get("/api/epochs/0").json()["leaves"]
    assert [row["provider"] for row in rows] == [leaf["provider"] for leaf in leaves]
    assert visitor.get("/dashboard/files/epochs/0/leaves.parquet").content[:4] == b"PAR1"
    assert visitor.get("/dashboard/files/epochs/99/leaves.csv").status_code == 404


def test_a_customers_own_tables_are_its_own(settled: Settled, visitor: Visitor):
    for name in ("usage", "receipts", "credits"):
        answer = visitor.get(f"/dashboard/files/{name}.csv")
        assert answer.status_code == 303 and answer.headers["location"] == "/dashboard/sign-in"
    visitor.sign_in(settled.customers[0])
    receipts = visitor.get("/api/receipts?limit=1000").json()["receipts"]
    assert [row["job"] for row in rows_of(visitor, "receipts")] == [row["job"] for row in receipts]
    assert sum(int(row["charge_atto"]) for row in rows_of(visitor, "usage")) == sum(
        int(row["charge_atto"]) for row in receipts
    )
    assert len(rows_of(visitor, "credits")) == 4


@pytest.mark.parametrize("path", ["nothing.csv", "keys.csv", "../api.csv", "epochs.xlsx", "epochs"])
def test_there_are_no_other_files(visitor: Visitor, path: str):
    assert visitor.get(f"/dashboard/files/{path}").status_code in (404, 422)


@dataclass(frozen=True)
class Row:
    """What a table may hold."""

    name: str
    amount_units: int
    count: int | None
    good: bool


def test_a_formula_in_a_strangers_text_is_text_in_a_spreadsheet_and_numbers_stay_numbers():
    rows = [
        Row('=HYPERLINK("x")', -5, None, True),
        Row("+1", 2**70, -3, False),
        Row("@x", 0, 0, True),
        Row('a,b\n"c"', 1, 1, True),
    ]
    cells = list(csv.reader(io.StringIO(as_csv(Row, rows).decode())))
    assert cells[0] == ["name", "amount_units", "count", "good"]
    assert [row[0] for row in cells[1:]] == ['\'=HYPERLINK("x")', "'+1", "'@x", 'a,b\n"c"']
    assert cells[2][1:] == [str(2**70), "-3", "False"]


def test_parquet_is_byte_for_byte_what_its_own_library_read():
    """The digest is of a file that pyarrow 26 read back to exactly these values."""
    rows = [Row("x", 2**70, None, True), Row("ü", 0, -5, False), Row("=1", 1, 2**62, True)]
    assert (
        hashlib.sha256(as_parquet(Row, rows)).hexdigest()
        == "f36016675888f062d0a7d694c7ac1ec5edbff85c8d793b221916be12b37c6fad"
    )


def test_parquet_with_many_rows_none_and_no_columns_is_well_formed():
    values = [str(at) if at % 3 else None for at in range(1_000)]
    many = parquet([Column(f"c{at}", Kind.TEXT, values) for at in range(20)], 1_000)
    assert hashlib.sha256(many).hexdigest() == "ccb64c25994e1d9d1a08449c744bbd1157cf8d9717829353a272ea6485fc696c"
    assert parquet([Column("a", Kind.INT64, [])], 0)[:4] == b"PAR1"
    with pytest.raises(AssertionError, match="a has 1 values for 2 rows"):
        parquet([Column("a", Kind.INT64, [1])], 2)


def test_a_provider_is_there_by_address_and_nobody_else_is(settled: Settled, visitor: Visitor):
    dead = visitor.get(f"/api/providers/{settled.market.dead}").json()
    assert dead["row"]["provider"] == settled.market.dead
    assert [one["epoch"] for one in dead["history"]] == [1, 0]
    detail = visitor.get("/api/epochs/1").json()
    line = next(leaf for leaf in detail["leaves"] if leaf["provider"] == settled.market.dead)
    assert dead["history"][0]["incentive_units"] == line["incentive_units"]
    assert dead["history"][0]["uptime_ppm"] == line["uptime_ppm"] == 50_000
    day = dead["day"]
    assert bin(int(day["down"], 16)).count("1") == 59 and day["slots"] == 60
    assert [one["state"] for one in dead["slashes"]] == ["slash 2: executed", "slash 1: executed"]
    upper = visitor.get(f"/api/providers/{settled.market.dead.upper().replace('0X', '0x')}").json()
    assert upper["row"] == dead["row"]
    for other in ("0x" + "11" * 20, "x", "0x"):
        assert refusal(visitor.get(f"/api/providers/{other}")) == (404, "not_found")


def test_everything_that_was_signed_of_an_epoch_is_shown_and_its_totals_sum(settled: Settled, visitor: Visitor):
    proof = visitor.get("/api/epochs/0/proof").json()
    total = {name: int(value) for name, value in proof["totals_units"].items()}
    assert total["charged"] + total["credits_from_fund"] == sum(
        total[name] for name in ("provider_fees", "verifier_fees", "treasury", "sla_fund_in", "credits")
    )
    members = {key.address for key in settled.market.verifier_keys}
    assert len(proof["signers"]) >= 2 and set(proof["signers"]) <= members
    assert proof["checkpoint_block"] < proof["block"]
    assert refusal(visitor.get("/api/epochs/99/proof")) == (404, "not_found")
