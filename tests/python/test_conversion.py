"""Single rules of conversion, each on figures that can be checked by hand."""

import datetime
import os

import pyarrow.parquet as pq
import pytest

import cambist
import samples

DAY = datetime.date(2011, 3, 1)


def convert(folder, rates, rows, targets, /, **sections):
    """Normalizes rows of (amount, currency, event_time); returns the converted rows and the reasons by id."""
    folder.mkdir(exist_ok=True)
    source = samples.write_csv(folder / "rows.csv", [[number, "n", *row] for number, row in enumerate(rows, 1)])
    spec = folder / "job.toml"
    defaults = {
        "source": {"url": source, "format": "csv", "amount": "amount", "currency": "currency",
                   "event_time": "event_time", "time_zone": "UTC"},
        "rates": {"url": rates},
        "target": {"currencies": targets},
        "output": {"url": folder / "out"},
        "quality": {"max_quarantine_ratio": 1.0},
    }
    for name, keys in sections.items():
        defaults[name] = defaults.get(name, {}) | keys
    spec.write_text(samples.toml(defaults))
    cambist.committed(cambist.run("normalize", "--spec", spec))
    converted = cambist.rows_by(cambist.read(folder / "out"), "transaction_id")
    quarantine = cambist.read(cambist.quarantine_of(folder / "out")).to_pylist()
    reasons = {int(row["raw_record"].split(",")[0]): row["reason"] for row in quarantine}
    return {int(number): row for number, row in converted.items()}, reasons


def amounts(rows, column):
    return {number: str(row[column]) for number, row in rows.items()}


TIES = [("0.125", "USD", "2011-03-01"), ("0.135", "USD", "2011-03-01"), ("-0.125", "USD", "2011-03-01"),
        ("-0.135", "USD", "2011-03-01"), ("0.12500000000000001", "USD", "2011-03-01"), ("0.005", "USD", "2011-03-01")]


@pytest.mark.parametrize("rounding, expected", [
    # 12.5 -> 12 and 13.5 -> 14: the even neighbour; a refund mirrors its sale.
    ("half_even", ["0.12", "0.14", "-0.12", "-0.14", "0.13", "0.00"]),
    # Halves go away from zero.
    ("half_up", ["0.13", "0.14", "-0.13", "-0.14", "0.13", "0.01"]),
])
def test_ties_are_rounded_once_as_the_mode_says(tmp_path, rounding, expected):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"EUR": "1.0"}})
    rows, _ = convert(tmp_path / "job", rates, TIES, ["EUR"], target={"rounding": rounding})
    assert list(amounts(rows, "amount_eur").values()) == expected


def test_every_target_has_the_minor_units_of_its_currency(tmp_path):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"JPY": "81.335", "KWD": "0.2789", "CLF": "0.021", "EUR": "0.7"}})
    targets = ["JPY", "KWD", "CLF", "EUR"]
    rows, _ = convert(tmp_path / "job", rates, [("10.00", "USD", "2011-03-01")], targets)
    # 813.35; 2.789; 0.21; 7
    assert [str(rows[1][f"amount_{code.lower()}"]) for code in targets] == ["813", "2.789", "0.2100", "7.00"]
    types = {field.name: str(field.type) for field in cambist.read(tmp_path / "job" / "out").schema}
    assert [types[f"amount_{code.lower()}"] for code in targets] == [
        "decimal128(38, 0)", "decimal128(38, 3)", "decimal128(38, 4)", "decimal128(38, 2)"]


def test_hundredths_are_told_from_their_currency_by_case(tmp_path):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"GBP": "0.5", "ZAR": "8", "ILS": "4", "ZWL": "1"}})
    codes = ["GBX", "GBp", "GBP", " gbp ", "ZAc", "ZAC", "ILA", "ILa", "gbx"]
    rows, reasons = convert(tmp_path / "job", rates, [("150", code, "2011-03-01") for code in codes], ["USD"])
    # 150 pence = 1.50 pounds = 3.00 dollars; 150 cents = 1.50 rand = 0.1875; 150 agorot = 1.50 shekels = 0.375.
    assert amounts(rows, "amount_usd") == {
        1: "3.00", 2: "3.00", 3: "300.00", 4: "300.00", 5: "0.19", 6: "0.19", 7: "0.38", 8: "0.38"}
    assert [str(rows[1]["source_amount"].normalize()), rows[1]["source_currency"]] == ["1.5", "GBP"]
    assert reasons == {9: "CURRENCY_UNKNOWN"}


def test_the_newest_snapshot_with_both_currencies_gives_both_rates(tmp_path):
    """Legs are never mixed from two days: the day before has both, the day itself lacks the source."""
    rates = samples.write_rates(tmp_path / "rates", {
        DAY: {"GBP": "0.50", "INR": "45"}, DAY + datetime.timedelta(days=1): {"INR": "90"}})
    rows, _ = convert(tmp_path / "job", rates, [("1.00", "GBP", "2011-03-02"), ("1.00", "USD", "2011-03-02")], ["INR"])
    # 1 / 0.50 * 45 of 1 March; 1 * 90 of 2 March.
    assert amounts(rows, "amount_inr") == {1: "90.00", 2: "90.00"}
    assert [str(rows[number]["rate_date"]) for number in (1, 2)] == ["2011-03-01", "2011-03-02"]
    assert [rows[number]["rate_age_days"] for number in (1, 2)] == [1, 0]
    assert [str(rows[1][name].normalize()) for name in ("rate_source", "rate_inr")] == ["0.5", "45"]
    assert len(rows[1]["rate_snapshot"]) == 12 and rows[1]["rate_snapshot"] != rows[2]["rate_snapshot"]


def test_a_later_rate_is_never_used_and_an_old_one_only_within_its_age(tmp_path):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"INR": "45"}})
    times = ["2011-02-28", "2011-03-01", "2011-03-08", "2011-03-09"]
    rows, reasons = convert(tmp_path / "job", rates, [("1.00", "USD", time) for time in times], ["INR"])
    assert sorted(rows) == [2, 3]
    # Seven days are still allowed by default, eight are not.
    assert rows[3]["rate_age_days"] == 7
    assert reasons == {1: "EVENT_BEFORE_HISTORY", 4: "RATE_STALE"}


def test_source_equal_to_target_needs_no_rate_and_is_still_rounded(tmp_path):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"INR": "45"}})
    rows, reasons = convert(tmp_path / "job", rates, [("10.005", "SGD", "2011-03-05"), ("1.00", "INR", "2011-03-01")], ["SGD"])
    assert amounts(rows, "amount_sgd") == {1: "10.00"}
    assert rows[1]["rate_snapshot"] is None and rows[1]["rate_date"] is None
    assert reasons == {2: "RATE_MISSING_TARGET"}


@pytest.mark.parametrize("local, zone, rate_zone, day", [
    # 02:30 does not exist on that day: the earlier instant is 06:30 UTC, 23:30 of the day before at UTC-7
    # (the later one would be 07:30 UTC, 00:30).
    ("2011-03-13T02:30:00", "America/New_York", "Etc/GMT+7", "2011-03-12"),
    # 01:30 comes twice: first as 05:30 UTC, 23:30 of the day before at UTC-6 (then as 06:30 UTC, 00:30).
    ("2011-11-06T01:30:00", "America/New_York", "Etc/GMT+6", "2011-11-05"),
    ("2011-06-01T23:30:00", "Europe/London", "UTC", "2011-06-01"),
    ("2011-06-01T00:30:00", "Europe/London", "UTC", "2011-05-31"),
    ("2011-06-01T22:00:00Z", "Europe/London", "Asia/Kolkata", "2011-06-02"),
    # A date is a date, wherever it was written.
    ("2011-06-01", "Pacific/Auckland", "America/New_York", "2011-06-01"),
])
def test_the_event_date_is_the_calendar_date_in_the_rate_zone(tmp_path, local, zone, rate_zone, day):
    days = [datetime.date.fromisoformat(day) + datetime.timedelta(days=shift) for shift in (-1, 0, 1)]
    rates = samples.write_rates(tmp_path / "rates", {date: {"INR": "45"} for date in days})
    rows, _ = convert(tmp_path / "job", rates, [("1.00", "USD", local)], ["INR"],
                      source={"time_zone": zone}, rates={"rate_zone": rate_zone})
    assert str(rows[1]["rate_date"]) == day
    assert str(rows[1]["dt"]) == day


def test_instant_mode_uses_what_was_published_before_the_event(tmp_path):
    """Files stamped 2011-03-01T00:00:00Z and 2011-03-02T00:00:00Z."""
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"INR": "45"}, DAY + datetime.timedelta(days=1): {"INR": "46"}})
    times = ["2011-03-01T23:59:59Z", "2011-03-02T00:00:00Z", "2011-02-28T23:59:59Z"]
    rows, reasons = convert(tmp_path / "job", rates, [("1.00", "USD", time) for time in times], ["INR"],
                            rates={"mode": "instant"})
    assert amounts(rows, "amount_inr") == {1: "45.00", 2: "46.00"}
    assert reasons == {3: "EVENT_BEFORE_HISTORY"}


def test_only_what_was_known_then_counts(tmp_path):
    """A plain folder knows a file from its time of change on."""
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"INR": "45"}, DAY + datetime.timedelta(days=1): {"INR": "46"}})
    early = datetime.datetime(2011, 3, 1, 12, tzinfo=datetime.timezone.utc).timestamp()
    late = datetime.datetime(2011, 3, 5, 12, tzinfo=datetime.timezone.utc).timestamp()
    os.utime(rates / "2011-03-01.json", (early, early))
    os.utime(rates / "2011-03-02.json", (late, late))
    source = samples.write_csv(tmp_path / "rows.csv", [[1, "n", "1.00", "USD", "2011-03-03"]])
    for known_as_of, amount in [("2011-03-05T11:59:59Z", "45.00"), ("2011-03-05T12:00:00Z", "46.00")]:
        output = tmp_path / f"out_{amount}"
        done = cambist.normalize(source, rates, output, "INR", "--known-as-of", known_as_of)
        cambist.committed(done)
        assert [str(value) for value in cambist.read(output).column("amount_inr").to_pylist()] == [amount]


def test_two_payloads_for_one_day_known_at_one_instant_are_refused(tmp_path, output):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"INR": "45"}})
    samples.write_rates(tmp_path / "other", {DAY: {"INR": "46"}})
    (tmp_path / "other" / "2011-03-01.json").rename(rates / "again_2011-03-01.json")
    for path in rates.iterdir():
        os.utime(path, (1_300_000_000, 1_300_000_000))
    source = samples.write_csv(tmp_path / "rows.csv", [[1, "n", "1.00", "USD", "2011-03-01"]])
    done = cambist.normalize(source, rates, output, "INR")
    assert done.code == cambist.DATA_AT_FAULT, done
    for word in ("SNAPSHOT_CONFLICT", "again_2011-03-01.json"):
        assert word in done.stderr, done
    cambist.nothing_written(output)


def test_a_result_of_more_than_38_digits_is_set_aside(tmp_path):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"IDR": "99999999999999999999", "KWD": "0.000000000000000001"}})
    rows, reasons = convert(tmp_path / "job", rates, [("1", "KWD", "2011-03-01"), ("1000000", "KWD", "2011-03-01")], ["IDR"])
    # 1 / 10^-18 * (10^20 - 1) = 10^38 - 10^18, with two decimals more than 38 digits.
    assert rows == {} and reasons == {1: "RESULT_OVERFLOW", 2: "RESULT_OVERFLOW"}


def test_a_target_without_minor_units_takes_the_scale_it_is_given(tmp_path):
    rates = samples.write_rates(tmp_path / "rates", {DAY: {"BTC": "0.000025", "INR": "45"}})
    rows, _ = convert(tmp_path / "job", rates, [("10", "USD", "2011-03-01")], ["BTC"],
                      **{"target.scales": {"BTC": 8}})
    assert amounts(rows, "amount_btc") == {1: "0.00025000"}


def test_the_file_has_the_types_that_athena_reads(tmp_path, rates):
    """Signed 64-bit integers, microseconds, lower-case names, no partition column inside."""
    source = tmp_path / "rows.csv"
    source.write_text("Transaction_ID,Booked,Local,amount,currency,event_time\n"
                      "7,2011-03-01T10:00:00+02:00,2011-03-01T10:00:00,1.00,USD,2011-03-01\n")
    done = cambist.normalize(source, rates, tmp_path / "out", "SGD", "--types",
                             "Transaction_ID=int64,Booked=timestamptz,Local=timestamp")
    cambist.committed(done)
    (name,) = cambist.data_files(tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / name)
    assert "dt" not in schema.names and all(column == column.lower() for column in schema.names)
    assert str(schema.field("transaction_id").type) == "int64"
    assert str(schema.field("booked").type) == "timestamp[us, tz=UTC]"
    # A local time names no instant, so it bears no UTC flag.
    assert str(schema.field("local").type) == "timestamp[us]"
    assert str(schema.field("rate_date").type) == "date32[day]"
