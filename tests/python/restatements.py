"""Rates in several versions, and what a table's log says of its partitions."""

import collections
import datetime
import decimal
import gzip
import hashlib
import json
import os
import pathlib

import duckdb

import cambist
import samples

UTC = datetime.timezone.utc
# The order-free hash of rows is a sum.
HASH_MODULUS = 2**128


def instant(text):
    """Seconds since 1970 of an instant in ISO 8601."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def publish(folder, version, known_at, days, base="USD"):
    """Writes one file of rates per day, known since `known_at`: {date: {code: text of the number}}."""
    written = samples.write_rates(pathlib.Path(folder) / version, days, base)
    for day in days:
        os.utime(written / f"{day}.json", (instant(known_at), instant(known_at)))
    return pathlib.Path(folder)


class Ledger:
    """A rates ledger, written object by object as its documentation tells."""

    def __init__(self, folder):
        self.folder, self.seen = pathlib.Path(folder), {}

    def write(self, path, content):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def append(self, day, payload, known_at, provider="openexchangerates"):
        """Appends a payload of a day, known since an instant; the same bytes again are another entry only."""
        content = payload.encode()
        digest = hashlib.sha256(content).hexdigest()
        name = f"{datetime.datetime.fromisoformat(known_at.replace('Z', '+00:00')):%Y%m%dT%H%M%S%fZ}"
        versions = self.seen.setdefault(day, set())
        if digest not in versions:
            place = f"_versions/{day}/{name}-{digest[:12]}.json" if versions else f"{day}.json"
            self.write(place, content)
            versions.add(digest)
        entry = {
            "version": 1, "known_at": known_at, "recorded_at": "2026-01-01T00:00:00Z", "provider": provider,
            "channel": "import", "origin": "test", "stem": day, "sha256": digest, "bytes": len(content),
            "first_date": day, "last_date": day,
        }
        self.write(f"_ledger/{name[:4]}/{name}-{day}-{provider}-{digest[:12]}.json", json.dumps(entry).encode())


def feed(data, folder, first="2010-11-15", last="2011-12-31"):
    """The real feed as a ledger of every version that was ever published; returns its folder.

    Days that were not watched while they passed are known from the beginning."""
    ledger = Ledger(folder)
    with gzip.open(data / "oxr" / "versions.jsonl.gz", "rt") as lines:
        for version in map(json.loads, lines):
            day = version["file_date"]
            if version["file"].startswith("historical/") and first <= day <= last and is_snapshot(day, version["payload"]):
                ledger.append(day, version["payload"], version["known_at"])
    for path in sorted((data / "oxr" / "daily").glob("*.json")):
        if path.stem not in ledger.seen:
            ledger.append(path.stem, path.read_text(), "2011-10-01T00:00:00Z")
    return ledger.folder


def is_snapshot(day, payload):
    """Whether a ledger would take it: deletions, impossible days and empty documents are not admitted."""
    try:
        datetime.date.fromisoformat(day)
        return bool(json.loads(payload)["rates"])
    except (ValueError, KeyError, TypeError):
        return False


def records(output):
    """The commit records, in order."""
    return [json.loads(path.read_text()) for path in sorted(pathlib.Path(output).glob("_commits/*.json"))]


def files(output, at=None):
    """The files of the table after a commit, as `table files` finds them."""
    arguments = ["table", "files", "--output", output, "--json", *(["--at", at] if at else [])]
    lines = cambist.succeed(*arguments).stdout.splitlines()
    return [json.loads(line) for line in lines]


def partition_hashes(output, table="main", at=None):
    """The content hash of each partition after a commit, added up from the log."""
    known = {(added["file"]["table"], added["file"]["path"]): added for record in records(output)
             for added in record["main"]["add"] + record["quarantine"]["add"]}
    hashes = collections.Counter()
    for file in files(output, at):
        if file["table"] == table:
            partition = file["path"].rpartition("/")[0]
            hashes[partition] += int(known[table, file["path"]]["content_hash"], 16)
    return {partition: value % HASH_MODULUS for partition, value in hashes.items()}


def places(output, at=None):
    """Where the main table's files of a commit can be read now, as paths."""
    return [file["location"].removeprefix("file://") for file in files(output, at) if file["table"] == "main"]


def sums(output, targets, at=None):
    """Rows and totals by day, source and target, added up by DuckDB from the files of a commit."""
    amounts = ", ".join(f"sum(amount_{target.lower()})" for target in targets)
    found = {}
    for path in places(output, at):
        day = pathlib.Path(path).parent.name.partition("=")[2]
        query = f"select source_currency, count(*), {amounts} from read_parquet('{path}') group by 1"
        for source, rows, *totals in duckdb.sql(query).fetchall():
            for target, total in zip(targets, totals, strict=True):
                before = found.get((day, source, target), (0, decimal.Decimal(0)))
                found[day, source, target] = (before[0] + rows, before[1] + total)
    return found


def expected_deltas(old, new):
    """What a report must list: every day and pair whose rows or total differ."""
    nothing = (0, decimal.Decimal(0))
    lines = {}
    for key in old.keys() | new.keys():
        (rows_before, before), (rows_after, after) = old.get(key, nothing), new.get(key, nothing)
        if (rows_before, before) != (rows_after, after):
            lines[key] = (rows_before, rows_after, before, after, after - before)
    return lines


def reported_deltas(report):
    """The same as the report has it."""
    assert report["deltas_left_out"] == 0
    number = decimal.Decimal
    return {(line["day"], line["source"], line["target"]):
            (line["rows_before"], line["rows_after"], number(line["old_total"]), number(line["new_total"]),
             number(line["delta"])) for line in report["deltas"]}
