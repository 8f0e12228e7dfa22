"""Row by row, Cambist and an independent calculation with fractions say the same.

What the reference does not know is listed in `as_cambist_says`; nothing else may differ."""

import concurrent.futures
import csv
import datetime
import json
import random
import subprocess
from fractions import Fraction

import pytest

import cambist
import retail
import samples

ROWS = 20_000
FIRST_SNAPSHOT = datetime.date(2011, 1, 10)
# Working days without any file: longer than the age limit, so that rates go stale.
GAPS = [(datetime.date(2011, 5, 2), datetime.date(2011, 5, 16)),
        (datetime.date(2011, 9, 19), datetime.date(2011, 9, 30))]
# Roughly real magnitudes, so that amounts have real sizes.
MAGNITUDES = {
    "AUD": 0.95, "BHD": 0.377, "BRL": 1.6, "CAD": 0.98, "CHF": 0.88, "CLF": 0.0216, "CLP": 480,
    "CNY": 6.4, "CZK": 17, "DKK": 5.3, "EUR": 0.72, "GBP": 0.62, "HKD": 7.8, "HUF": 190, "IDR": 8700,
    "ILS": 3.5, "INR": 45, "IQD": 1170, "JPY": 80, "KRW": 1080, "KWD": 0.275, "MXN": 12, "NOK": 5.5,
    "NZD": 1.2, "PLN": 2.9, "SEK": 6.3, "SGD": 1.24, "TND": 1.39, "ZAR": 7.0, "EEK": 11.2, "BTC": 0.1,
}
ALIASES = ["GBX", "GBp", "ZAc", "ZAC", "ILA", "ILa"]
# ISO 4217 list three: the kroon was withdrawn in 2011-01.
EEK_LAST_DAY = datetime.date(2011, 1, 31)
BAD_AMOUNTS = ["", " ", "abc", "12,50", "1,234.56", "(12.00)", "NaN", "Infinity", "--5", "0x10", "1e", "$5", "1 000", "."]
ODD_AMOUNTS = ["1e3", "2.5E2", "1e-3", "+5", ".5", "5.", " 12.50 ", "0", "-0.00", "0.000000000000000001",
               "00012.340", "99999999999999999999", "0.1000000000000000055511151231257827"]
BAD_CURRENCIES = ["", "  ", "ZZZ", "US", "€", "EURO", "XXX", "xts", "dollars"]
BAD_TIMES = ["", " ", "2011-02-30", "2011-13-01", "yesterday", "2011-03-04T25:00:00Z", "04/03/2011",
             "2011-06-31T10:00:00+02:00"]


def generate_rates(folder, chance):
    """One file per working day with holes, gaps, strings for numbers and entries that are no rates."""
    rates = {code: Fraction(str(value)) for code, value in MAGNITUDES.items()}
    day = FIRST_SNAPSHOT
    folder.mkdir()
    while day.year == 2011:
        for code in rates:
            rates[code] *= Fraction(chance.randint(9_900, 10_100), 10_000)
        if day.weekday() < 5 and not any(first <= day <= last for first, last in GAPS):
            folder.joinpath(f"{day}.json").write_text(snapshot_text(day, rates, chance))
        day += datetime.timedelta(days=1)
    # No such day: must not be used, however it compares as text.
    folder.joinpath("2011-09-31.json").write_text(
        json.dumps({"base": "USD", "timestamp": 1317340800, "rates": {code: 1.5 for code in rates}}))
    folder.joinpath("2011-10-01.json").write_text('{"error": true, "status": 429, "message": "access_restricted"}')


def snapshot_text(day, rates, chance):
    entries = []
    for code, value in rates.items():
        # CLF and BTC are quoted late in the year only; others are now and then missing for a day.
        absent = (code in ("CLF", "BTC") and day.month < 7) or (code == "EEK" and day.month > 3)
        if absent or (chance.random() < 0.06 and code not in ("SGD", "INR")):
            continue
        if chance.random() < 0.02:
            entries.append((code, chance.choice(["0", "-1.5", "null", "true", '"n/a"', '""'])))
            continue
        places = chance.choice([0, 2, 4, 6, 9, 12, 18]) if value > 2 else chance.choice([4, 6, 9, 18])
        digits = str(round(value * 10**places)).rjust(places + 1, "0")
        text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
        entries.append((code, f'"{text}"' if chance.random() < 0.1 else text))
    if chance.random() < 0.5:
        entries.append(("USD", "1"))
    body = ", ".join(f'"{code}": {text}' for code, text in entries)
    noon = datetime.datetime.combine(day, datetime.time(12), datetime.timezone.utc)
    return f'{{"timestamp": {int(noon.timestamp())}, "base": "USD", "rates": {{{body}}}}}'


def generate_rows(path, chance):
    codes = ["USD", *MAGNITUDES]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(samples.HEADER)
        for number in range(1, ROWS + 1):
            row = [number, "note", amount_text(chance), currency_text(chance, codes), time_text(chance)]
            fate = chance.random()
            # A record of several lines with a wrong number of fields is not among them: Cambist takes its
            # first line for a stray quote, so that the lines after it are read on their own.
            if fate > 0.98:
                row[1] = "a, \"quoted\" note\nover two lines"
            if fate < 0.005:
                row.append("one field too many")
            elif fate < 0.01:
                row.pop()
            writer.writerow(row)


def amount_text(chance):
    fate = chance.random()
    if fate < 0.02:
        return chance.choice(BAD_AMOUNTS)
    if fate < 0.06:
        return chance.choice(ODD_AMOUNTS)
    places = chance.choice([0, 1, 2, 2, 2, 2, 3, 5])
    units = chance.randint(-(10**6), 10**7)
    digits = str(abs(units)).rjust(places + 1, "0")
    sign = "-" if units < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def currency_text(chance, codes):
    fate = chance.random()
    if fate < 0.02:
        return chance.choice(BAD_CURRENCIES)
    if fate < 0.06:
        return chance.choice(ALIASES)
    code = chance.choice(codes)
    if fate < 0.10:
        return chance.choice([code.lower(), f" {code}", f"{code.title()} "])
    return code


def time_text(chance):
    if chance.random() < 0.02:
        return chance.choice(BAD_TIMES)
    day = datetime.date(2011, 1, 1) + datetime.timedelta(days=chance.randrange(365))
    seconds = datetime.timedelta(seconds=chance.randrange(86_400))
    moment = datetime.datetime.combine(day, datetime.time()) + seconds
    form = chance.randrange(7)
    if form == 0:
        return day.isoformat()
    if form == 1:
        return moment.isoformat(sep=" ")
    if form == 2:
        return moment.isoformat() + ".123456"
    offset = ["Z", "+05:30", "-08:00", "+14:00", "-03:30"][form - 3 if form < 7 else 0]
    return moment.isoformat() + offset


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    chance = random.Random(20_110_101)
    generate_rates(folder / "rates", chance)
    generate_rows(folder / "transactions.csv", chance)
    return folder


def ask(oracle, rows_path, *arguments):
    """The reference's summary, and in a file one answer per row, in file order."""
    command = [*oracle, "--rows", str(rows_path), "--same-currency", "one", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def answers(rows_path):
    """One dictionary per row."""
    with open(rows_path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_cambist_says(expected, raw):
    """The reason Cambist must give where the reference gives `expected`, for the record `raw`.

    The reference has no word for: amounts of more than 18 decimals, codes that are not money, codes
    withdrawn before the event, events before the first snapshot."""
    reason = expected["reason"]
    if reason in ("ROW_MALFORMED", "AMOUNT_MISSING", "AMOUNT_NOT_NUMERIC"):
        return reason
    amount, currency = raw[2], raw[3].strip()
    hundredths = 2 if currency in ALIASES else 0
    if decimals(amount) > 18:
        return "AMOUNT_SCALE_EXCEEDED"
    if reason == "CURRENCY_UNKNOWN":
        return "CURRENCY_NOT_MONEY" if currency.upper() in ("XXX", "XTS") else reason
    if reason == "CURRENCY_MISSING":
        return reason
    if decimals(amount) + hundredths > 18:
        return "AMOUNT_SCALE_EXCEEDED"
    if reason in ("EVENT_TIME_MISSING", "EVENT_TIME_INVALID"):
        return reason
    day = datetime.date.fromisoformat(expected["event_date"])
    if currency.upper() == "EEK" and day > EEK_LAST_DAY:
        return "CURRENCY_NOT_VALID_AT_DATE"
    if reason == "RATE_MISSING_SOURCE" and day < FIRST_SNAPSHOT:
        return "EVENT_BEFORE_HISTORY"
    return reason


def decimals(text):
    """Decimals that the value needs."""
    value, places = Fraction(text.strip()), 0
    while (value * 10**places).denominator != 1:
        places += 1
    return places


SETTINGS = [
    ("UTC", "UTC", "half_even", 7, ["INR", "SGD", "JPY"]),
    ("America/New_York", "Asia/Kolkata", "half_up", 3, ["KWD", "USD"]),
    ("Europe/London", "Pacific/Auckland", "half_even", 40, ["CLF"]),
]


@pytest.mark.parametrize("zone, rate_zone, rounding, max_age, targets", SETTINGS)
def test_generated_rows_agree(oracle, generated, tmp_path, zone, rate_zone, rounding, max_age, targets):
    source, rates, output = generated / "transactions.csv", generated / "rates", tmp_path / "out"
    totals = ask(
        oracle, tmp_path / "rows.csv", "--transactions", source, "--rates", rates,
        "--amount", "amount", "--currency-column", "currency", "--time-column", "event_time",
        "--time-format", "iso", "--zone", zone, "--rate-zone", rate_zone, "--to", ",".join(targets),
        "--rounding", rounding, "--max-age-days", max_age)
    expected = answers(tmp_path / "rows.csv")
    spec = tmp_path / "job.toml"
    spec.write_text(samples.toml({
        "source": {"url": source, "format": "csv", "time_zone": zone, "amount": "amount",
                   "currency": "currency", "event_time": "event_time"},
        "rates": {"url": rates, "mode": "date", "rate_zone": rate_zone, "max_age_days": max_age},
        "target": {"currencies": targets, "rounding": rounding},
        "output": {"url": output, "lineage": True},
        "quality": {"max_quarantine_ratio": 1.0},
    }))
    summary = cambist.committed(cambist.run("normalize", "--spec", spec))
    assert summary["records_in"] == ROWS == totals["rows_in"]

    converted = cambist.rows_by(cambist.read(output), "transaction_id")
    quarantined = {}
    for row in cambist.read(cambist.quarantine_of(output)).to_pylist():
        number = next(csv.reader([row["raw_record"]]))[0]
        assert number not in quarantined
        quarantined[number] = row["reason"]

    with open(source, newline="", encoding="utf-8") as file:
        raw_rows = list(csv.reader(file))[1:]
    differences = []
    seen = set()
    for raw, answer in zip(raw_rows, expected, strict=True):
        wanted = as_cambist_says(answer, raw)
        seen.add(wanted)
        got = compare(raw, answer, wanted, converted.get(raw[0]), quarantined.get(raw[0]), targets)
        if got:
            differences.append((raw, answer, got))
    assert not differences, f"{len(differences)} of {ROWS} rows differ, such as:\n" + "\n".join(
        map(str, differences[:8]))
    # The generator must keep reaching what the comparison is about.
    wanted_reasons = {"", "ROW_MALFORMED", "AMOUNT_MISSING", "AMOUNT_NOT_NUMERIC", "AMOUNT_SCALE_EXCEEDED",
                      "CURRENCY_MISSING", "CURRENCY_UNKNOWN", "CURRENCY_NOT_MONEY", "CURRENCY_NOT_VALID_AT_DATE",
                      "EVENT_TIME_MISSING", "EVENT_TIME_INVALID", "EVENT_BEFORE_HISTORY", "RATE_MISSING_SOURCE"}
    if max_age < 14:
        wanted_reasons.add("RATE_STALE")
    assert wanted_reasons <= seen


def compare(raw, answer, wanted, converted, reason, targets):
    """What differs, or nothing."""
    if wanted:
        return None if (reason, converted) == (wanted, None) else f"wanted {wanted}, got {reason or converted}"
    if converted is None or reason is not None:
        return f"wanted a converted row, got {reason}"
    source = answer["currency"]
    for position, target in enumerate(targets):
        suffix = target.lower()
        amount = converted[f"amount_{suffix}"]
        places = -amount.as_tuple().exponent
        if int(amount.scaleb(places)) != int(answer[f"{target}_minor"]):
            return f"{target}: wanted {answer[f'{target}_minor']} minor units, got {amount}"
        if source == target:
            continue
        own = converted.get(f"rate_date_{suffix}") if position else None
        if str(own or converted["rate_date"]) != answer[f"{target}_rate_date"]:
            return f"{target}: wanted the rate of {answer[f'{target}_rate_date']}, got {own or converted['rate_date']}"
    return None


RETAIL = {
    "pounds": (retail.ALL_IN_POUNDS, "half_even"),
    "by-country": (retail.BY_COUNTRY, "half_up"),
}


@pytest.fixture(scope="module")
def retail_answers(oracle, data, tmp_path_factory):
    """The files of the reference's answers, when they are there: the slow calculations go on side by side."""
    folder = tmp_path_factory.mktemp("retail-answers")
    currencies = {
        "pounds": ["--currency", "GBP"],
        "by-country": ["--currency-column", "Country", "--currency-map",
                       data / "retail" / "country_currency.csv", "Country", "currency_assumed"],
    }

    def calculate(name):
        _, rounding = RETAIL[name]
        ask(oracle, folder / name, "--transactions", data / "retail" / "online_retail.csv.gz",
            "--rates", data / "oxr" / "daily", "--amount", "Quantity*UnitPrice", *currencies[name],
            "--time-column", "InvoiceDate", "--time-format", "%m/%d/%Y %H:%M", "--zone", "Europe/London",
            "--to", ",".join(retail.TARGETS), "--rounding", rounding, "--max-age-days", "7")
        return folder / name

    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield {name: pool.submit(calculate, name) for name in RETAIL}


@pytest.mark.parametrize("name", RETAIL)
def test_retail_rows_agree(retail_answers, data, tmp_path, name):
    sql, rounding = RETAIL[name]
    _, output = retail.normalize(data, tmp_path, sql, rounding)
    expected = answers(retail_answers[name].result())

    amounts = [f"amount_{target.lower()}" for target in retail.TARGETS]
    rows = retail.in_file_order(output, [*amounts, "rate_date", "source_currency"])
    good = [answer for answer in expected if answer["status"] == "ok"]
    assert rows.num_rows == len(good)
    assert rows.column("source_currency").to_pylist() == [answer["currency"] for answer in good]
    for target, column in zip(retail.TARGETS, amounts):
        assert cambist.minor_units(rows.column(column)) == [int(answer[f"{target}_minor"]) for answer in good]
    assert list(map(str, rows.column("rate_date").to_pylist())) == [answer["INR_rate_date"] for answer in good]

    # The quarantine's offsets interleave with the table's: together they are the file's order.
    offsets = [(offset, "") for offset in rows.column("source_offset").to_pylist()]
    quarantine = cambist.read(cambist.quarantine_of(output))
    if quarantine.num_rows:
        offsets += list(zip(quarantine.column("byte_offset").to_pylist(), quarantine.column("reason").to_pylist()))
    assert [reason for _, reason in sorted(offsets)] == [answer["reason"] for answer in expected]
