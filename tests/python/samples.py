"""Small inputs that the tests make for themselves: rate files and transactions, always the same."""

import csv
import datetime
import io
import json
import pathlib
import random

# Invented figures: units of each currency per 1 USD.
RATES = {
    "EUR": "0.7413", "GBP": "0.628571", "INR": "45.1275", "JPY": "81.33", "KWD": "0.278901",
    "SGD": "1.2834", "CHF": "0.91007", "AUD": "0.987654321", "ZAR": "6.9", "ILS": "3.55",
}
FIRST_DAY = datetime.date(2011, 3, 1)
HEADER = ["transaction_id", "note", "amount", "currency", "event_time"]


def write_rates(folder, days, base="USD"):
    """Writes one Open-Exchange-Rates-shaped file per day: {date: {code: text of the number}}."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for day, rates in days.items():
        numbers = ",\n".join(f'  "{code}": {text}' for code, text in rates.items())
        midnight = datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc)
        folder.joinpath(f"{day}.json").write_text(
            f'{{"disclaimer": "invented", "timestamp": {int(midnight.timestamp())},\n'
            f' "base": "{base}",\n "rates": {{\n{numbers}\n }}}}\n'
        )
    return folder


def steady_rates(folder, days=12, rates=None, first=FIRST_DAY):
    """The same figures on `days` consecutive days."""
    return write_rates(
        folder, {first + datetime.timedelta(days=n): rates or RATES for n in range(days)}
    )


def event_time(day, second=43_200):
    """An instant of `day` (a date, or days after FIRST_DAY) in ISO 8601."""
    if isinstance(day, int):
        day = FIRST_DAY + datetime.timedelta(days=day)
    start = datetime.datetime.combine(day, datetime.time())
    return (start + datetime.timedelta(seconds=second)).isoformat() + "Z"


def transactions(ids, days, seed=7):
    """One row per id, spread over `days` (days after FIRST_DAY)."""
    chance = random.Random(seed)
    days = list(days)
    currencies = ["USD", *RATES]
    return [
        [
            number,
            f"note {number}",
            f"{chance.randint(-50_000, 500_000) / 100:.2f}",
            chance.choice(currencies),
            event_time(chance.choice(days), chance.randrange(86_400)),
        ]
        for number in ids
    ]


def csv_text(rows, header=HEADER):
    """Rows as CSV text with a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path, rows):
    """Writes rows as a CSV file and returns its path."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(rows))
    return path


def write_ndjson(path, objects):
    """Writes one JSON object a line and returns the file's path."""
    path = pathlib.Path(path)
    path.write_text("".join(json.dumps(item) + "\n" for item in objects))
    return path


def toml(sections):
    """A spec as TOML text: {"source": {"url": …}, "source.types": {…}}."""
    lines = []
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        lines.extend(f"{key} = {toml_value(value)}" for key, value in keys.items())
    return "\n".join(lines) + "\n"


def toml_value(value):
    """One TOML value; JSON writes strings, numbers, booleans and lists in the same way."""
    return json.dumps(str(value) if isinstance(value, pathlib.Path) else value)
