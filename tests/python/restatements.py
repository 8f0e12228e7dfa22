"""Rates in several versions, and what a table's log says of its partitions."""

import collections
import datetime
import decimal
import gzip
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


def feed(data, folder, first="2010-11-15", last="2011-12-31"):
    """The real feed with every version that was ever published, each known since its own publication.

    Days before those that were watched are known from the beginning."""
    folder, counts = pathlib.Path(folder), collections.Counter()
    beginning = instant("2011-10-01T00:00:00Z")

    def put(place, name, text, known_at):
        path = folder / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (known_at, known_at))

    with gzip.open(data / "oxr" / "versions.jsonl.gz", "rt") as lines:
        for version in map(json.loads, lines):
            day = version["file_date"]
            if version["file"].startswith("historical/") and version["payload"] and first <= day <= last:
                put(f"v{counts[day]:03}", f"{day}.json", version["payload"], instant(version["known_at"]))
                counts[day] += 1
    for path in sorted((data / "oxr" / "daily").glob("*.json")):
        if not counts[path.stem]:
            put("unwatched", path.name, path.read_text(), beginning)
    return folder


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
