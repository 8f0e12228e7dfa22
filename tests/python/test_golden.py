"""Real transactions with real rates give the known totals, to the last row."""

import decimal
import json

import pyarrow.compute as pc
import pytest

import cambist
import retail


@pytest.fixture(scope="module")
def golden(data):
    return json.loads((data / "golden" / "retail_x_oxr.json").read_text())


def check_target(golden, case, summary, output, target):
    """Total in the summary, total of the rows, and every row in file order."""
    rows = retail.in_file_order(output, [f"amount_{target.lower()}"])
    column = rows.column(f"amount_{target.lower()}")
    assert column.type == retail.decimal_type(2)
    digest, total = retail.minor_unit_hash(rows, f"amount_{target.lower()}")
    assert total == golden["totals_minor_units"][case]
    assert digest == golden["sha256_of_newline_terminated_minor_units"][case]
    assert decimal.Decimal(summary["totals"][target]) == decimal.Decimal(total).scaleb(-2)


@pytest.mark.parametrize("rounding, short", [("half_even", "HE"), ("half_up", "HU")])
def test_every_row_in_pounds_equals_the_golden_file(data, golden, tmp_path, rounding, short):
    summary, output = retail.normalize(data, tmp_path, retail.ALL_IN_POUNDS, rounding)
    assert (summary["records_in"], summary["converted"]) == (retail.RECORDS, golden["counts"]["gbp/ok"])
    assert summary["quarantined"] == 0
    # The README of the test data: the exact sum of Quantity*UnitPrice.
    assert decimal.Decimal(summary["source_totals"]["GBP"]) == decimal.Decimal("9747747.934")
    for target in retail.TARGETS:
        check_target(golden, f"gbp->{target} {short}", summary, output, target)


def test_a_joined_table_gives_each_country_its_currency(data, golden, tmp_path):
    summary, output = retail.normalize(data, tmp_path, retail.BY_COUNTRY, currencies=["INR"])
    counts = golden["counts"]
    assert summary["records_in"] == retail.RECORDS
    assert summary["converted"] == counts["country/ok"] == 540_919
    no_rate = sum(counts[f"country/quarantined:{code}"] for code in ("PLN", "LTL", "ISK"))
    assert summary["quarantined_by_reason"] == {
        "CURRENCY_MISSING": counts["country/quarantined:NO_CURRENCY"],
        "RATE_MISSING_SOURCE": no_rate,
    }
    assert (no_rate, counts["country/quarantined:NO_CURRENCY"]) == (544, 446)
    check_target(golden, "country->INR HE", summary, output, "INR")
    quarantine = cambist.read(cambist.quarantine_of(output))
    assert quarantine.num_rows == 990
    # The raw record is there to be read and replayed: one of the countries that have no rate.
    raw = quarantine.filter(quarantine_reason(quarantine, "RATE_MISSING_SOURCE")).column("raw_record").to_pylist()
    countries = {record.rsplit(",", 1)[1] for record in raw}
    assert countries == {"Poland", "Lithuania", "Iceland"}


def quarantine_reason(quarantine, reason):
    """A mask of the rows with one reason."""
    return pc.equal(quarantine.column("reason"), reason)


def test_a_file_named_for_an_impossible_date_changes_nothing(data, golden, tmp_path):
    """`2011-09-31.json` is the only early file with Polish and Lithuanian rates: comparing dates as
    text would convert rows with it."""
    folder = tmp_path / "rates"
    folder.mkdir()
    for path in (data / "oxr" / "daily").glob("2011-*.json"):
        folder.joinpath(path.name).symlink_to(path)
    odd = data / "oxr" / "odd" / "impossible_date_2011-09-31.json"
    folder.joinpath("2011-09-31.json").write_bytes(odd.read_bytes())
    source = tmp_path / "poland.csv"
    source.write_text("transaction_id,amount,currency,event_time\n1,10.00,PLN,2011-10-05\n2,10.00,GBP,2011-10-05\n")
    done = cambist.normalize(source, folder, tmp_path / "out", "INR", "--max-quarantine-ratio", "1",
                             "--max-age-days", "400")
    summary = cambist.committed(done)
    assert summary["quarantined_by_reason"] == {"RATE_MISSING_SOURCE": 1}
    assert "2011-09-31.json" in done.stderr and "SNAPSHOT_DATE_INVALID" in done.stderr, done
