#!/usr/bin/env python3
"""Makes the demo's data: ecb_2025.csv, transactions.csv and expected.json.

    python3 cli/demo/make_demo.py eurofxref-hist.csv.gz

The argument is the European Central Bank's history of euro reference rates, plain
or gzipped (https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip holds it).
Everything else is generated from a fixed seed, so the same history gives the same
bytes. Python 3.9 or later, standard library only, no network.

expected.json is computed here with fractions, straight from the rules and from what
this script knows it wrote. It never looks at Cambist, so a test may compare the two.
"""

import csv
import gzip
import io
import json
import pathlib
import random
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from zoneinfo import ZoneInfo

HERE = pathlib.Path(__file__).resolve().parent
SEED = 2025
CLEAN_ROWS = 1900

# How the demo runs; expected.json repeats these, because its figures hang on them.
SOURCE_ZONE = "Europe/Berlin"  # for the times written without an offset
MAX_AGE_DAYS = 7
TARGETS = {"EUR": 2, "USD": 2, "JPY": 0}  # with the ISO 4217 minor units

# The year, and the business days before it that its first days need: 1 January has no
# rate of its own, and 00:30 at +05:30 on that day is still 31 December in UTC.
FIRST_RATE_DAY = date(2024, 12, 23)
LAST_RATE_DAY = date(2025, 12, 31)

# currency: (decimals written, smallest and largest amount in main units, weight)
CURRENCIES = {
    "EUR": (2, 1, 400, 30),
    "USD": (2, 1, 400, 20),
    "GBP": (2, 1, 300, 14),
    "JPY": (0, 100, 60000, 8),
    "CHF": (2, 1, 300, 6),
    "INR": (2, 50, 30000, 6),
    "SEK": (2, 10, 4000, 4),
    "NOK": (2, 10, 4000, 3),
    "DKK": (2, 10, 3000, 3),
    "PLN": (2, 5, 1500, 4),
    "CZK": (2, 20, 9000, 3),
    "HUF": (2, 300, 150000, 3),
    "RON": (2, 5, 1500, 2),
    "BGN": (2, 2, 700, 2),
    "ISK": (0, 100, 50000, 1),
    "TRY": (2, 30, 15000, 2),
    "AUD": (2, 2, 600, 3),
    "CAD": (2, 2, 600, 3),
    "SGD": (2, 2, 600, 3),
    "BRL": (2, 5, 2500, 2),
    "MXN": (2, 20, 8000, 2),
    "KRW": (0, 1000, 500000, 2),
    "IDR": (2, 10000, 5000000, 1),
    "ZAR": (2, 15, 7000, 1),
}
CUSTOMERS = [
    "Ada Byron", "Bruno Costa", "Chiara Rossi", "Dimitar Petrov", "Elif Kaya", "Fatou Diop",
    "Goran Novak", "Hana Kim", "Ines Moreau", "João Lima", "Kenji Sato", "Lena Vogel",
    "Maja Nowak", "Nils Berg", "Oksana Bondar", "Priya Nair", "Quentin Roy", "Rósa Jónsdóttir",
    "Sven Lund", "Thandi Mokoena",
    # A quoted comma and doubled quotes: legal CSV that a split on "," breaks.
    "Okafor, Ngozi", 'Anna "Annie" Weiss',
]  # fmt: skip
OFFSETS = ["Z", "Z", "Z", "Z", "+00:00", "+01:00", "+02:00", "+05:30", "+09:00", "-05:00", "-03:00"]


@dataclass
class Row:
    """One record of transactions.csv: what is written, and what must become of it."""

    fields: list  # text as written: customer, amount, currency, event_time
    reason: str = ""  # why it must be quarantined; empty: it converts
    amount: Fraction = Fraction(0)  # what `amount` and `currency` mean together
    currency: str = ""
    day: date = None  # the event's date in UTC
    raw: bytes = b""  # written in place of `fields`, where those cannot say it
    copies: int = 1  # how often the same record stands in the file


def pick(rng, choices):
    """`random()` is the one call that Python promises to keep; choice() is not."""
    return choices[int(rng.random() * len(choices))]


def between(rng, low, high):
    return low + int(rng.random() * (high - low + 1))


def clean_row(rng):
    """A sale at any minute of the year, weekends and holidays included."""
    codes = [code for code, spec in CURRENCIES.items() for _ in range(spec[3])]
    currency = pick(rng, codes)
    decimals, low, high, _ = CURRENCIES[currency]
    unit = 10**decimals
    minor = between(rng, low * unit, high * unit)
    amount = f"{minor // unit}.{minor % unit:0{decimals}d}" if decimals else str(minor)
    moment = datetime(2025, 1, 1) + timedelta(minutes=between(rng, 0, 365 * 24 * 60 - 1))
    moment += timedelta(seconds=between(rng, 0, 59))
    return sale(pick(rng, CUSTOMERS), amount, currency, written_time(rng, moment))


def written_time(rng, moment):
    """Mostly with an offset; one time in ten as a clock in the shop shows it."""
    if rng.random() < 0.1:
        return moment.strftime("%Y-%m-%d %H:%M:%S")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + pick(rng, OFFSETS)


def sale(customer, amount, currency, event_time, meaning=None):
    """A row that converts. `meaning` is (amount, code) where they are not plain text."""
    number, code = meaning or (Fraction(amount), currency)
    return Row([customer, amount, currency, event_time], "", number, code, utc_date(event_time))


def utc_date(text):
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(SOURCE_ZONE))
    return moment.astimezone(timezone.utc).date()


def refund(rng, row):
    """The same sale, some days later, with the sign turned."""
    customer, amount, currency, event_time = row.fields
    later = datetime.fromisoformat(event_time.replace("Z", "+00:00")).replace(tzinfo=None)
    later = min(later + timedelta(days=between(rng, 1, 20)), datetime(2025, 12, 31, 12))
    return sale(customer, "-" + amount, currency, later.strftime("%Y-%m-%dT%H:%M:%SZ"))


def odd_but_right():
    """Rows that look wrong and are not: every one of them converts."""
    yield sale("Ada Byron", "250", "GBX", "2025-03-05T10:00:00Z", (Fraction("2.50"), "GBP"))
    yield sale("Ada Byron", "1999", "GBp", "2025-06-11T10:00:00Z", (Fraction("19.99"), "GBP"))
    yield sale("Thandi Mokoena", "49900", "ZAc", "2025-08-02T09:00:00Z", (Fraction(499), "ZAR"))
    yield sale("Lena Vogel", "19.99", " usd ", "2025-04-19T12:00:00Z", (Fraction("19.99"), "USD"))
    yield sale("Lena Vogel", "7.50", "eur", "2025-04-20T12:00:00Z", (Fraction("7.50"), "EUR"))
    # More decimals than the currency has: a price per unit, a fuel station, a rounding rule.
    yield sale("Sven Lund", "0.001", "USD", "2025-05-01T08:00:00Z")
    yield sale("Sven Lund", "1.999", "EUR", "2025-05-01T08:00:00Z")
    yield sale("Sven Lund", "12.345", "GBP", "2025-05-02T08:00:00Z")
    # Half a cent exactly, twice: half-even goes down to 0.12 and up to 0.14.
    yield sale("Sven Lund", "0.125", "EUR", "2025-05-05T08:00:00Z")
    yield sale("Sven Lund", "0.135", "EUR", "2025-05-05T08:00:00Z")
    yield sale("Hana Kim", " 15000 ", "KRW", "2025-07-07T03:00:00+09:00")
    yield sale("Hana Kim", "1.5e3", "JPY", "2025-07-08T03:00:00+09:00")
    yield sale("Maja Nowak", "0.00", "PLN", "2025-09-09T09:09:09Z")
    # Quoted newline: one record on two lines.
    yield sale("Nowak & Syn\nul. Długa 5", "310.00", "PLN", "2025-09-10T09:09:09Z")
    # 31 December in Delhi, and an hour that happens twice in Berlin.
    yield sale("Priya Nair", "999.00", "INR", "2025-01-01T00:30:00+05:30")
    yield sale("Lena Vogel", "5.00", "EUR", "2025-10-26 02:30:00")
    # Easter Monday: the newest rate is Thursday's.
    yield sale("Ines Moreau", "80.00", "USD", "2025-04-21T15:00:00Z")
    # The lev's last day; from 2026 it is the euro.
    yield sale("Dimitar Petrov", "100.00", "BGN", "2025-12-31T20:00:00Z")
    # The same record twice, to the byte. Both may be real, so both are kept.
    twice = sale("Kenji Sato", "4200", "JPY", "2025-11-11T11:11:11Z")
    twice.copies = 2
    yield twice


def dirt():
    """The usual dirt. Each row says why it cannot be converted."""
    when = "2025-02-14T10:00:00Z"

    def bad(reason, customer="Bruno Costa", amount="10.00", currency="EUR", event_time=when):
        return Row([customer, amount, currency, event_time], reason)

    for amount in ("", "", "   "):
        yield bad("AMOUNT_MISSING", amount=amount)
    for amount in ("12,50", "1.234,00", "$9.99", "9.99 EUR", "(25.00)", "N/A", "1 000.00", "NaN"):
        yield bad("AMOUNT_NOT_NUMERIC", amount=amount)
    # A binary fraction that some program printed to the last digit.
    yield bad("AMOUNT_SCALE_EXCEEDED", amount="0.1000000000000000055511151231257827")
    for currency in ("", "", "  "):
        yield bad("CURRENCY_MISSING", currency=currency)
    for currency in ("ZZZ", "EURO", "€", "US$", "??"):
        yield bad("CURRENCY_UNKNOWN", currency=currency)
    for currency in ("XXX", "XTS"):
        yield bad("CURRENCY_NOT_MONEY", currency=currency)
    # The kuna ended in January 2023, the mark much earlier.
    for currency in ("HRK", "HRK", "DEM"):
        yield bad("CURRENCY_NOT_VALID_AT_DATE", currency=currency)
    for event_time in ("", ""):
        yield bad("EVENT_TIME_MISSING", event_time=event_time)
    for event_time in ("2025-02-30T10:00:00Z", "2025-13-01T10:00:00Z", "14.02.2025", "yesterday"):
        yield bad("EVENT_TIME_INVALID", event_time=event_time)
    # Real money without a reference rate at the ECB.
    for currency in ("KWD", "KWD", "AED", "VND"):
        yield bad("RATE_MISSING_SOURCE", amount="12.345", currency=currency)
    # The year mistyped, both ways.
    yield bad("EVENT_BEFORE_HISTORY", currency="PLN", event_time="2015-02-14T10:00:00Z")
    for event_time in ("2026-02-14T10:00:00Z", "2052-02-14T10:00:00Z"):
        yield bad("RATE_STALE", currency="PLN", event_time=event_time)
    # Too few fields, too many, and the amount of "12,50" without its quotes.
    yield Row([], "ROW_MALFORMED", raw=b"%(id)s,Bruno Costa,10.00")
    yield Row([], "ROW_MALFORMED", raw=b"%(id)s,Bruno Costa,10.00,EUR," + when.encode() + b",,")
    yield Row([], "ROW_MALFORMED", raw=b"%(id)s,Bruno Costa,12,50,EUR," + when.encode())
    # One Latin-1 byte in a UTF-8 file.
    yield Row([], "ENCODING_INVALID", raw=b"%(id)s,Andr\xe9 Roux,10.00,EUR," + when.encode())


def all_rows(rng):
    rows = [clean_row(rng) for _ in range(CLEAN_ROWS)]
    rows += [refund(rng, row) for row in rows if rng.random() < 0.03]
    rows.sort(key=lambda row: (row.day, row.fields))
    for odd in list(odd_but_right()) + list(dirt()):
        rows.insert(between(rng, 0, len(rows)), odd)
    return rows


def as_csv(rows):
    out = io.BytesIO()
    out.write(b"transaction_id,customer,amount,currency,event_time\n")
    for number, row in enumerate(rows, start=1):
        transaction_id = f"T{number:05d}"
        out.write(record(transaction_id, row) * row.copies)
    return out.getvalue()


def record(transaction_id, row):
    if row.raw:
        return row.raw.replace(b"%(id)s", transaction_id.encode()) + b"\n"
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([transaction_id, *row.fields])
    return line.getvalue().encode()


def read_history(path):
    """The history's header line and its lines within the demo's days, as written."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="ascii", newline="") as file:
        header, *lines = file.read().splitlines()
    days = [line for line in lines if str(FIRST_RATE_DAY) <= line[:10] <= str(LAST_RATE_DAY)]
    assert days and days == sorted(days, reverse=True), "expected the newest day first"
    return header, days


def rates_by_day(header, days):
    """{day: {code: units per euro}}, the euro included."""
    codes = header.split(",")[1:]
    table = {}
    for line in days:
        day, *values = line.split(",")
        quoted = {c: Fraction(v) for c, v in zip(codes, values) if c and v not in ("", "N/A")}
        table[date.fromisoformat(day)] = {"EUR": Fraction(1), **quoted}
    return table


def half_even(value):
    """round() of a Fraction takes the even neighbour on a tie."""
    return round(value)


def converted(row, rates, target, minor_units):
    """The row in minor units of the target; both legs from the newest day not after it."""
    unit = 10**minor_units
    if row.currency == target:
        return half_even(row.amount * unit)
    day = max(day for day in rates if day <= row.day)
    assert (row.day - day).days <= MAX_AGE_DAYS, row
    return half_even(row.amount * rates[day][target] / rates[day][row.currency] * unit)


def money_text(minor, minor_units):
    if not minor_units:
        return str(minor)
    sign, digits = "-" if minor < 0 else "", f"{abs(minor):0{minor_units + 1}d}"
    return f"{sign}{digits[:-minor_units]}.{digits[-minor_units:]}"


def expectations(rows, rates):
    written = [row for row in rows for _ in range(row.copies)]
    good = [row for row in written if not row.reason]
    reasons = Counter(row.reason for row in written if row.reason)
    totals = {
        target: money_text(sum(converted(row, rates, target, mu) for row in good), mu)
        for target, mu in TARGETS.items()
    }
    return {
        "settings": {
            "time_zone": SOURCE_ZONE,
            "mode": "date",
            "rate_zone": "UTC",
            "max_age_days": MAX_AGE_DAYS,
            "rounding": "half_even",
            "targets": list(TARGETS),
        },
        "records_in": len(written),
        "converted": len(good),
        "quarantined": len(written) - len(good),
        "quarantined_by_reason": dict(sorted(reasons.items())),
        "partitions": len({row.day for row in good}),
        "snapshots": len(rates),
        "totals": totals,
    }


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} eurofxref-hist.csv[.gz]")
    header, days = read_history(sys.argv[1])
    rates = rates_by_day(header, days)
    missing = [c for c in CURRENCIES for day in rates.values() if c not in day]
    assert not missing, f"no rate on some day: {sorted(set(missing))}"
    rows = all_rows(random.Random(SEED))
    late_lev = [row for row in rows if row.currency == "BGN" and row.day > date(2025, 12, 31)]
    assert not late_lev, "the lev ended with 2025: choose another seed"
    (HERE / "ecb_2025.csv").write_bytes("\n".join([header, *days, ""]).encode())
    (HERE / "transactions.csv").write_bytes(as_csv(rows))
    expected = json.dumps(expectations(rows, rates), indent=2) + "\n"
    (HERE / "expected.json").write_bytes(expected.encode())
    print(expected, end="")


if __name__ == "__main__":
    main()
