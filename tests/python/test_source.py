"""What the source brings and what its SQL may do with it: types of JSON, dates in paths, row by row only."""

import datetime
import decimal
import os

import pyarrow as pa
import pytest

import cambist
import samples

SALES = [
    {"id": 1, "price": 2.5, "quantity": 3, "paid": True, "ccy": "USD", "at": "2011-03-02", "tags": {"a": 1}},
    {"id": 2, "price": 0.015, "quantity": -2, "paid": None, "ccy": "EUR", "at": "2011-03-02", "tags": [1]},
    {"id": 3, "price": 4, "quantity": 1, "paid": False, "ccy": "USD", "at": "2011-03-03", "tags": None},
]

# 2.5 * 3 * 1.2834 = 9.6255; 0.015 * -2 * 1.2834 / 0.7413 = -0.0519…; 4 * 1.2834 = 5.1336
SALES_IN_SGD = {1: "9.63", 2: "-0.05", 3: "5.13"}


def sales_arguments(source, rates, output, amount, *extra):
    return ["normalize", "--source", source, "--format", "ndjson", "--amount", amount, "--currency", "ccy",
            "--event-time", "at", "--time-zone", "UTC", "--rates", rates, "--to", "SGD", "--output", output, *extra]


def amounts(output, key="id"):
    return {number: str(row["amount_sgd"]) for number, row in cambist.rows_by(cambist.read(output), key).items()}


@pytest.mark.parametrize("amount, extra", [
    ("price * quantity", []),
    ("total", ["--sql", "SELECT *, price * quantity AS total FROM source"]),
])
def test_undeclared_json_numbers_can_be_multiplied(tmp_path, rates, output, amount, extra):
    source = samples.write_ndjson(tmp_path / "sales.ndjson", SALES)
    done = cambist.run(*sales_arguments(source, rates, output, amount, *extra))
    assert cambist.committed(done)["converted"] == 3
    assert amounts(output) == SALES_IN_SGD
    # The expression itself is no column of the table.
    assert not [name for name in cambist.read(output).column_names if "*" in name]


def test_undeclared_json_fields_have_the_type_that_all_their_values_agree_on(tmp_path, rates, output):
    rows = [sale | {"mixed": mixed, "fine": fine} for sale, mixed, fine in
            zip(SALES, [1, "one", True], [0.5, 0.12345678901, 1])]
    source = samples.write_ndjson(tmp_path / "sales.ndjson", rows)
    cambist.committed(cambist.run(*sales_arguments(source, rates, output, "price")))
    table = cambist.read(output)
    kinds = {name: table.schema.field(name).type for name in ("id", "quantity", "paid", "price", "mixed", "fine", "tags")}
    assert kinds == {"id": pa.int64(), "quantity": pa.int64(), "paid": pa.bool_(), "price": pa.string(),
                     "mixed": pa.string(), "fine": pa.string(), "tags": pa.string()}
    rows = cambist.rows_by(table, "id")
    # Text where the values differ, or have more decimals than a number column keeps: every digit stays.
    assert [rows[number]["mixed"] for number in (1, 2, 3)] == ["1", "one", "true"]
    assert rows[2]["fine"] == "0.12345678901" and rows[2]["source_amount"] == decimal.Decimal("0.015")
    assert [rows[number]["tags"] for number in (1, 2, 3)] == ['{"a": 1}', "[1]", None]


def test_a_declared_json_type_overrides_what_the_values_say(tmp_path, rates, output):
    source = samples.write_ndjson(tmp_path / "sales.ndjson", SALES)
    arguments = sales_arguments(source, rates, output, "price * quantity", "--types", "id=text,price=decimal(12,4)")
    cambist.committed(cambist.run(*arguments))
    table = cambist.read(output)
    assert table.schema.field("id").type == pa.string()
    assert table.schema.field("price").type == pa.decimal128(12, 4)
    assert amounts(output) == {str(number): amount for number, amount in SALES_IN_SGD.items()}


ROWS = [[number, "n", "10.00", code, "2011-03-02"] for number, code in enumerate(["USD", "EUR", "GBP", "CHF"], 1)]


@pytest.fixture
def source(tmp_path):
    return samples.write_csv(tmp_path / "raw" / "rows.csv", ROWS)


def with_pairs(tmp_path, source, rates, output, sql, pairs, **quality):
    """Runs `sql`, which may join the small table `pairs` of code and region."""
    table = tmp_path / "pairs.csv"
    table.write_text("code,region\n" + "".join(f"{code},{region}\n" for code, region in pairs))
    spec = tmp_path / "job.toml"
    spec.write_text(samples.toml({
        "source": {"url": source, "format": "csv", "time_zone": "UTC", "sql": sql},
        "source.tables.pairs": {"url": table},
        "rates": {"url": rates}, "target": {"currencies": ["SGD"]}, "output": {"url": output}, "quality": quality,
    }))
    return cambist.run("normalize", "--spec", spec)


INNER = "SELECT source.*, region FROM source JOIN pairs ON source.currency = pairs.code"


def test_a_join_that_drops_as_many_rows_as_it_doubles_closes_the_gate(tmp_path, source, rates, output):
    """Four records, four rows: two are doubled, two have no partner."""
    doubled = [("USD", "north"), ("USD", "south"), ("EUR", "east"), ("EUR", "west")]
    done = with_pairs(tmp_path, source, rates, output, INNER, doubled)
    assert done.code == cambist.QUALITY_GATE, done
    assert "repeats 2 rows" in done.stderr and "allow_fan_out" in done.stderr, done
    assert not cambist.data_files(output)
    done = with_pairs(tmp_path, source, rates, output, INNER, doubled, allow_fan_out=True)
    assert done.code == cambist.DONE, done
    counts = {key: done.summary[key] for key in ("records_in", "converted", "filtered", "repeated")}
    assert counts == {"records_in": 4, "converted": 4, "filtered": 2, "repeated": 2}


def test_a_filter_above_a_join_that_doubles_leaves_no_false_alarm(tmp_path, source, rates, output):
    sql = INNER + " WHERE region <> 'south'"
    pairs = [("USD", "north"), ("USD", "south"), ("EUR", "east")]
    summary = cambist.committed(with_pairs(tmp_path, source, rates, output, sql, pairs))
    assert (summary["converted"], summary["filtered"]) == (2, 2)


def test_filtered_rows_and_broken_records_are_counted_apart(source, rates, output):
    with source.open("a") as file:
        file.write("5,ragged\n6,n,ten,USD,2011-03-02\n7,n,ten,JPY,2011-03-02\n")
    done = cambist.normalize(source, rates, output, "SGD", "--max-quarantine-ratio", "1",
                             "--sql", "SELECT * FROM source WHERE currency IN ('USD', 'EUR')")
    summary = cambist.committed(done)
    # A record that cannot be read never reaches the filter; one that is filtered out is not judged.
    assert (summary["records_in"], summary["converted"], summary["filtered"]) == (7, 2, 3)
    assert summary["quarantined_by_reason"] == {"AMOUNT_NOT_NUMERIC": 1, "ROW_MALFORMED": 1}


@pytest.mark.parametrize("sql, words", [
    ("SELECT * FROM source UNION ALL SELECT * FROM source", ["2 times", "once"]),
    ("SELECT a.* FROM source a JOIN source b ON a.transaction_id = b.transaction_id", ["2 times", "once"]),
    ("SELECT * FROM source WHERE amount = (SELECT max(amount) FROM source)", ["2 times", "once"]),
    ("SELECT 'USD' AS currency, '1' AS amount, '2011-03-02' AS event_time", ["0 times", "once"]),
    ("SELECT currency, max(amount) AS amount, max(event_time) AS event_time FROM source GROUP BY currency",
     ["several rows", "Aggregate"]),
    ("SELECT DISTINCT * FROM source", ["several rows", "Distinct"]),
    ("SELECT *, row_number() OVER (ORDER BY amount) AS n FROM source", ["several rows", "Window"]),
    ("SELECT *, unnest([1, 2]) AS n FROM source", ["several rows", "Unnest"]),
    ("SELECT * FROM source ORDER BY amount LIMIT 1", ["several rows", "Limit"]),
    ("SELECT source.* FROM pairs LEFT JOIN source ON source.currency = pairs.code", ["Left JOIN", "side"]),
])
def test_sql_that_mixes_rows_is_refused_with_the_reason(tmp_path, source, rates, output, sql, words):
    done = with_pairs(tmp_path, source, rates, output, sql, [("USD", "north")])
    assert done.code == cambist.USAGE, done
    for word in ["source.sql", "`source`", *words]:
        assert word in done.stderr, f"no `{word}` in the message\n{done}"
    cambist.nothing_written(output)


def test_an_order_in_the_sql_changes_nothing(source, rates, tmp_path):
    hashes = set()
    for place, sql in enumerate(["SELECT * FROM source", "SELECT * FROM source ORDER BY amount DESC"]):
        done = cambist.normalize(source, rates, tmp_path / f"out{place}", "SGD", "--sql", sql)
        hashes.add(cambist.committed(done)["content_hash"])
    assert len(hashes) == 1


@pytest.mark.parametrize("form", ["day-{date}.csv", "{yyyy}/{mm}/{dd}/rows.csv", "dt={date}", "{yyyy}/{mm}/{dd}/*.csv"])
def test_the_date_fills_the_source_and_names_the_batch(tmp_path, rates, output, form):
    for day in (2, 3):
        date = f"2011-03-0{day}"
        place = form.replace("{date}", date).replace("{yyyy}", "2011").replace("{mm}", "03").replace("{dd}", f"0{day}")
        place = place.replace("*", "rows") if place.endswith(".csv") else f"{place}/rows.csv"
        samples.write_csv(tmp_path / "raw" / place, [[day, "n", "10.00", "USD", date]])
        summary = cambist.committed(cambist.normalize(tmp_path / "raw" / form, rates, output, "SGD", "--date", date))
        assert (summary["batch"], summary["records_in"]) == (date, 1)
    assert sorted(cambist.read(output).column("transaction_id").to_pylist()) == ["2", "3"]
    cambist.committed(cambist.normalize(tmp_path / "raw" / form, rates, output, "SGD", "--date", "2011-03-02"),
                      "already_done")


def test_a_date_in_the_source_must_be_given_and_be_there(tmp_path, rates, output):
    source = samples.write_csv(tmp_path / "raw" / "2011-03-02.csv", ROWS).with_name("{date}.csv")
    for flags, words in [([], ["{date}", "--date"]), (["--batch", "b"], ["{date}", "--date"]),
                         (["--date", "2011-03-05"], ["2011-03-05.csv"])]:
        done = cambist.normalize(source, rates, output, "SGD", *flags)
        assert done.code == cambist.USAGE, done
        assert all(word in done.stderr for word in words), done
        cambist.nothing_written(output)


def test_nothing_known_by_then_is_the_datas_fault(source, rates, output):
    """A plain folder knows a file from its time of change on; these were written after 2012."""
    done = cambist.normalize(source, rates, output, "SGD", "--known-as-of", "2012-01-01T00:00:00Z")
    assert done.code == cambist.DATA_AT_FAULT and "2012-01-01" in done.stderr, done
    cambist.nothing_written(output)


def test_known_as_of_pins_the_run_whatever_is_learnt_later(source, rates, output):
    long_ago = datetime.datetime(2011, 3, 20, tzinfo=datetime.timezone.utc).timestamp()
    for path in rates.iterdir():
        os.utime(path, (long_ago, long_ago))
    flags = ("--known-as-of", "2011-04-01T00:00:00Z")
    first = cambist.committed(cambist.normalize(source, rates, output, "SGD", *flags))
    samples.write_rates(rates / "corrected", {samples.FIRST_DAY + datetime.timedelta(days=1): {"SGD": "2"}})
    again = cambist.committed(cambist.normalize(source, rates, output, "SGD", *flags), "already_done")
    assert again["totals"] == first["totals"]
    # Without the pin the correction counts; the rows that it lacks a rate for take an earlier day's.
    other = cambist.committed(cambist.normalize(source, rates, output, "SGD"))
    assert other["totals"] != first["totals"]


@pytest.mark.parametrize("row, word", [
    ("no_such_column=1", "no_such_column"), ("amount_usd=1", "amount_usd"), ("=1", "no column"), ("transaction_id", "KEY=VALUE"),
])
def test_an_unknown_column_to_explain_is_named_with_those_there_are(source, rates, output, row, word):
    cambist.committed(cambist.normalize(source, rates, output))
    done = cambist.run("explain", "--output", output, "--row", row)
    assert done.code == cambist.USAGE and word in done.stderr, done
    assert "KEY=VALUE" in done.stderr or "transaction_id" in done.stderr, done
