"""The ledger of rates from the command line: import, time travel, gates, approval, rates that people enter."""

import csv
import datetime
import gzip
import hashlib
import json
import os
import re
import tarfile
from collections import Counter, defaultdict
from fractions import Fraction

import pyarrow.parquet as pq
import pytest

import cambist
import samples

NAMED_DAY = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
# Thousands of small files: under the load of a whole build this takes several minutes instead of half of one.
PATIENCE_SECONDS = 900
# Before and after the rewrites of the real log: the first day, a day before the mass rewrite of 2011-11-16 and its
# very instant, the days of impossible stamps, and the end, when files were deleted.
INSTANTS = [
    "2011-10-20T12:00:00Z", "2011-11-16T04:31:01Z", "2011-11-16T04:31:02Z", "2012-04-01T00:00:00Z",
    "2012-06-30T00:00:00Z",
]


def lines_of(done):
    """The JSON lines that a command printed, the summary last."""
    return [json.loads(line, parse_float=str) for line in done.stdout.splitlines()]


def listed(url, *arguments):
    """{day: line} of `rates list`, for a ledger of one provider."""
    lines = lines_of(cambist.succeed("rates", "list", "--url", url, "--json", *arguments))
    return {line["rate_date"]: line for line in lines if line.get("kind") == "day"}


def exported(url, path, *arguments):
    """{(day, currency): row} of `rates export`."""
    cambist.succeed("rates", "export", "--url", url, "--to", path, "--json", *arguments)
    with open(path, newline="") as file:
        return {(row["rate_date"], row["currency"]): row for row in csv.DictReader(file)}


# --- the real log of versions -------------------------------------------------------------------


def day_of(line, body):
    """The day of a payload: the body has none, so its file's name, else its timestamp's UTC date."""
    named = NAMED_DAY.findall(line["file"].rsplit("/", 1)[-1])
    if named:
        try:
            return datetime.date.fromisoformat(named[0]).isoformat()
        except ValueError:
            return None
    stamp = datetime.datetime.fromtimestamp(int(body["timestamp"]), datetime.timezone.utc)
    return stamp.date().isoformat()


def is_usable(body):
    """A document with a base and at least one positive rate besides it."""
    if not isinstance(body, dict) or not isinstance(body.get("rates"), dict) or "base" not in body:
        return False
    return any(float(rate) > 0 for code, rate in body["rates"].items() if code != body["base"])


@pytest.fixture(scope="module")
def history(data):
    """What the log says, read without the product: (known_at, day, sha256) in the log's order."""
    versions, deletions, refused = [], 0, 0
    with gzip.open(data / "oxr" / "versions.jsonl.gz", "rt", encoding="utf-8") as log:
        for text in log:
            line = json.loads(text)
            if line["op"] == "D":
                deletions += 1
                continue
            body = json.loads(line["payload"])
            day = day_of(line, body) if is_usable(body) else None
            if day is None:
                refused += 1
                continue
            sha256 = hashlib.sha256(line["payload"].encode()).hexdigest()
            versions.append((line["known_at"], day, sha256))
    return versions, deletions, refused


def counted(versions, instant):
    """{day: sha256} of what had been committed by then: the newest of each day, the later line where two are equal."""
    newest = {}
    for known_at, day, sha256 in versions:
        if known_at <= instant and known_at >= newest.get(day, ("", ""))[0]:
            newest[day] = (known_at, sha256)
    return {day: sha256 for day, (_, sha256) in newest.items()}


@pytest.fixture(scope="module")
def ledgers(data, tmp_path_factory):
    """The log in two ledgers: everything used as it stands, and with gates that hold."""
    folder = tmp_path_factory.mktemp("ledgers")
    imported = {}
    for mode in ("report", "hold"):
        done = cambist.succeed(
            "rates", "import", data / "oxr" / "versions.jsonl.gz", "--to", folder / mode, "--gates", mode,
            "--against", data / "ecb" / "eurofxref-hist.csv.gz", "--json", timeout=PATIENCE_SECONDS,
        )
        imported[mode] = (folder / mode, done.summary)
    return imported


def test_the_log_is_counted_and_a_second_import_changes_nothing(data, history, ledgers):
    versions, deletions, refused = history
    url, summary = ledgers["hold"]
    assert deletions == summary["deletions_ignored"] == 389
    assert sum(summary["refused"].values()) == refused
    assert summary["payloads"] == len(versions) + refused
    assert summary["stored"] + summary["unchanged"] == len(versions)
    # The gates find the same whether they hold it or only report it.
    reported = ledgers["report"][1]
    assert reported["findings_by_gate"] == summary["held_by_gate"] != {}
    assert reported["held_rates"] == reported["held_snapshots"] == 0
    before = cambist.tree(url)
    again = cambist.succeed(
        "rates", "import", data / "oxr" / "versions.jsonl.gz", "--to", url, "--json", timeout=PATIENCE_SECONDS,
    ).summary
    assert (again["stored"], again["unchanged"]) == (0, len(versions))
    assert cambist.tree(url) == before


@pytest.fixture(scope="module")
def holds(ledgers):
    """What the second ledger lists as held: rates and whole snapshots, each of a version and its arrival."""
    rates, snapshots = set(), set()
    done = cambist.run("rates", "check", "--url", ledgers["hold"][0], "--json", timeout=PATIENCE_SECONDS)
    assert done.code == cambist.DATA_AT_FAULT, done
    for line in lines_of(done)[:-1]:
        if line["kind"] == "hold":
            version = (line["snapshot"], in_micros(line["known_at"]))
            rates.add((*version, line["currency"])) if line["currency"] else snapshots.add(version)
    assert rates and snapshots
    return rates, snapshots


@pytest.mark.parametrize("instant", INSTANTS)
def test_every_instant_gives_what_had_been_committed_by_then(history, ledgers, holds, tmp_path, instant):
    expected = counted(history[0], instant)
    assert len(expected) > 5
    found = listed(ledgers["report"][0], "--known-as-of", instant)
    assert {day: line["snapshot"] for day, line in found.items()} == {
        day: sha256[:12] for day, sha256 in expected.items()
    }

    # With holds, what is not the same is exactly what is listed as held.
    url = ledgers["hold"][0]
    everything = exported(ledgers["report"][0], tmp_path / "all.csv", "--known-as-of", instant)
    admitted = exported(url, tmp_path / "admitted.csv", "--known-as-of", instant)
    rates, snapshots = holds
    for (day, currency), row in everything.items():
        version = (row["snapshot"], in_micros(row["known_at"]))
        is_held = version in snapshots or (*version, currency) in rates
        assert (admitted.get((day, currency)) == row) != is_held, (day, currency, row)
    # Where a whole snapshot is held the one before it stands in; nothing else is there.
    days_held = {
        day for (day, _), row in everything.items()
        if (row["snapshot"], in_micros(row["known_at"])) in snapshots
    }
    others = {day for (day, currency), row in admitted.items() if everything.get((day, currency)) != row}
    assert others <= days_held


def in_micros(text):
    """An instant without regard to how it is written."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_a_correction_is_shown_with_what_it_changed(history, ledgers):
    url = ledgers["report"][0]
    # The file of this day was overwritten with the rates of 2011-12-10: see the README of the test data.
    old, new = (counted(history[0], instant)["2011-11-08"] for instant in ("2011-12-10T00:00:00Z", INSTANTS[-1]))
    assert old != new
    shown = lines_of(cambist.succeed("rates", "show", "--url", url, "--date", "2011-11-08", "--json"))[0]
    assert [version["sha256"] for version in shown["versions"] if version["counts"]] == [new]
    assert {old, new} <= {version["sha256"] for version in shown["versions"]}
    payloads = {}
    for sha256 in (old, new):
        raw = cambist.succeed(
            "rates", "show", "--url", url, "--date", "2011-11-08", "--version", sha256, "--raw",
        ).stdout
        assert hashlib.sha256(raw.encode()).hexdigest() == sha256, "byte for byte"
        payloads[sha256] = json.loads(raw, parse_float=str, parse_int=str)["rates"]
    *changes, summary = lines_of(cambist.succeed("rates", "diff", "--url", url, old[:16], new[:16], "--json"))
    before, after = payloads[old], payloads[new]
    # The base is no rate, and zero is none.
    positive = [{c for c, rate in side.items() if c != "USD" and float(rate) > 0} for side in (before, after)]
    kinds = Counter(change["change"] for change in changes)
    assert kinds["added"] == len(positive[1] - positive[0]) == summary["added"]
    assert kinds["removed"] == len(positive[0] - positive[1]) == summary["removed"]
    by_currency = {change["currency"]: change for change in changes}
    assert kinds["changed"] > 50
    for currency in positive[0] & positive[1]:
        one, other = decimal(before[currency]), decimal(after[currency])
        if one == other:
            assert currency not in by_currency
            continue
        change = by_currency[currency]
        assert decimal(change["old"]) == one and decimal(change["new"]) == other
        assert decimal(change["difference"]) == other - one
        assert decimal(change["percent"]) == rounded((other - one) * 100 / one, 4)
        assert decimal(change["ratio"]) == rounded(other / one, 12)


def decimal(text):
    """An exact number."""
    return Fraction(text)


def rounded(value, digits):
    """Half to even."""
    return Fraction(round(value * 10**digits), 10**digits)


# --- the real daily files against the bank -------------------------------------------------------


@pytest.fixture(scope="module")
def feed(data, tmp_path_factory):
    """Thirteen years of daily files in one folder."""
    folder = tmp_path_factory.mktemp("feed")
    with tarfile.open(data / "oxr" / "other_dates.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    for path in (data / "oxr" / "daily").glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def bank_rates(data):
    """{day: {currency: units per 1 USD}} by the European Central Bank, in floating point."""
    days = {}
    with gzip.open(data / "ecb" / "eurofxref-hist.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            rates = {code: float(text) for code, text in row.items() if code and re.match(r"[\d.]+$", text or "")}
            days[row["Date"]] = {code: rate / rates["USD"] for code, rate in rates.items()}
            days[row["Date"]]["EUR"] = 1 / rates["USD"]
    return days


def test_inverted_and_shifted_rates_of_the_real_feed_are_found_and_hardly_a_good_one(data, feed):
    done = cambist.run(
        "rates", "check", "--url", feed, "--against", data / "ecb" / "eurofxref-hist.csv.gz", "--json",
        timeout=PATIENCE_SECONDS,
    )
    assert done.code == cambist.DATA_AT_FAULT, done
    *lines, summary = lines_of(done)
    assert summary["versions"] == 4_919
    found = {(line["rate_date"], line["currency"]): line["gate"] for line in lines if line["kind"] == "finding"}
    assert not [key for key in found if key[1] is None]
    assert summary["findings"] == len(found) == sum(summary["findings_by_gate"].values())
    bank, cells = bank_rates(data), defaultdict(list)
    for path in sorted(feed.glob("*.json")):
        day = datetime.date.fromisoformat(path.stem)
        near = (bank.get(str(day - datetime.timedelta(days=n))) for n in range(6))
        quoted = next((rates for rates in near if rates), {})
        for code, rate in json.loads(path.read_text())["rates"].items():
            if code in quoted and code != "USD" and rate > 0:
                cells[truth(rate, quoted[code])].append((path.stem, code))
    inverted = [cell for cell in cells["inverted"] if cell[1] == "RUB"]
    assert len(inverted) >= 2_415
    for kind in ("inverted", "slip"):
        assert cells[kind] and not [cell for cell in cells[kind] if cell not in found], kind
    good_and_held = [cell for cell in cells["good"] if cell in found]
    assert len(cells["good"]) > 100_000
    assert len(good_and_held) * 1000 <= 2 * len(cells["good"]), Counter(found[cell] for cell in good_and_held)


def truth(rate, expected):
    """What a figure of the feed is, by the bank's."""
    if abs(rate / expected - 1) <= 0.15:
        return "good"
    if abs(rate * expected - 1) <= 0.15:
        return "inverted"
    for power in range(-4, 5):
        if power and abs(rate / expected / 10**power - 1) <= 0.15:
            return "slip"
    return "otherwise off"


# --- approval, and rates that people enter ---------------------------------------------------------


def days_of_rates(folder, **changes):
    """Three days of invented rates; `changes` are of the last."""
    days = {samples.FIRST_DAY + datetime.timedelta(days=n): dict(samples.RATES) for n in range(3)}
    days[samples.FIRST_DAY + datetime.timedelta(days=2)].update(changes)
    return samples.write_rates(folder, days)


def converted(tmp_path, name, url, day, currency="INR", *extra):
    """One payment of 100 on a day after FIRST_DAY, to SGD: its row, or the reason why there is none, and the summary."""
    rows = [["1", "note", "100.00", currency, samples.event_time(day)]]
    output = tmp_path / name / "processed_data"
    done = cambist.normalize(
        samples.write_csv(tmp_path / f"{name}.csv", rows), url, output, "SGD", "--max-quarantine-ratio", "1", *extra,
    )
    summary = cambist.committed(done)
    table = cambist.read(output).to_pylist() or cambist.read(cambist.quarantine_of(output)).to_pylist()
    return table[0], summary


def test_what_is_held_is_used_after_somebody_else_has_approved_it(tmp_path):
    ledger = tmp_path / "ledger"
    folder = days_of_rates(tmp_path / "rates", INR="4.51")
    done = cambist.succeed("rates", "import", folder, "--to", ledger, "--by", "Ada", "--json")
    assert done.summary["held_by_gate"] == {"power_of_ten": 1}
    last = str(samples.FIRST_DAY + datetime.timedelta(days=2))
    before = datetime.datetime.now(datetime.timezone.utc).isoformat()

    row, summary = converted(tmp_path, "held", ledger, 2)
    assert str(row["rate_date"]) == str(samples.FIRST_DAY + datetime.timedelta(days=1))
    assert summary["rates_held"] == {"power_of_ten": 1}
    row, summary = converted(tmp_path, "other", ledger, 2, "EUR")
    assert str(row["rate_date"]) == last, "the rest of the snapshot stands"

    approve = ["rates", "approve", "--url", ledger, "--reason", "it is so", "--currency", "INR", "--json"]
    refused = cambist.run(*approve, "--by", "ada ")
    assert refused.code == cambist.USAGE and "cannot approve it, expected somebody else" in refused.stderr, refused
    assert converted(tmp_path, "refused", ledger, 2)[0]["rate_date"] != last
    nothing = cambist.run(*approve, "--by", "Grace", "--date", "2001-01-01")
    assert nothing.code == cambist.USAGE and "nothing of the kind is held" in nothing.stderr, nothing
    approval = cambist.succeed(*approve, "--by", "Grace", "--date", last).summary
    assert (approval["by"], approval["currencies"], approval["rate_dates"]) == ("Grace", ["INR"], [last])

    row, summary = converted(tmp_path, "approved", ledger, 2)
    assert str(row["rate_date"]) == last and "rates_held" not in summary
    row, _ = converted(tmp_path, "then", ledger, 2, "INR", "--known-as-of", before)
    assert str(row["rate_date"]) != last, "what was asked as of an earlier instant stays as it was"
    shown = lines_of(cambist.succeed("rates", "show", "--url", ledger, "--date", last, "--json"))[0]
    (version,) = shown["versions"]
    assert (version["counts"], version["held"], version["entered_by"]) == (True, [], "Ada")
    assert [given["by"] for given in version["approvals"]] == ["Grace"]
    assert cambist.run("rates", "check", "--url", ledger).code == cambist.DONE
    again = cambist.run(*approve, "--by", "Grace", "--date", last)
    assert again.code == cambist.USAGE, "there is nothing left to approve"


def test_rates_that_people_enter_are_used_between_their_approval_and_their_end(tmp_path):
    ledger = tmp_path / "ledger"
    cambist.succeed("rates", "import", days_of_rates(tmp_path / "rates"), "--to", ledger, "--json")
    day = lambda n: str(samples.FIRST_DAY + datetime.timedelta(days=n))
    entered = cambist.succeed(
        "rates", "enter", "--to", ledger, "--date", day(0), "--expires", day(1), "--base", "USD",
        "--rate", "VES=36.50", "--rate", "SGD=1.2834", "--by", "Ada", "--reason", "no feed quotes it", "--json",
    ).summary
    assert [held["gate"] for held in entered["held"]] == ["manual"]
    document = json.loads((ledger / entered["object"]).read_text(), parse_float=str)
    assert document["rates"] == {"SGD": "1.2834", "VES": "36.50"}, "the digits as they were entered"
    row, summary = converted(tmp_path, "held", ledger, 0, "VES")
    assert row["reason"] == "RATE_MISSING_SOURCE" and summary["rates_held"] == {"manual": 1}, row

    approve = ["rates", "approve", "--url", ledger, "--reason", "seen the notice", "--provider", "manual:SGD+VES"]
    assert cambist.run(*approve, "--by", "ADA").code == cambist.USAGE
    cambist.succeed(*approve, "--by", "Grace")
    for n in (0, 1):
        row, _ = converted(tmp_path, f"day{n}", ledger, n, "VES")
        # 100 / 36.50 * 1.2834 = 3.5161…
        assert (str(row["amount_sgd"]), str(row["rate_date"])) == ("3.52", day(0))
    row, _ = converted(tmp_path, "expired", ledger, 2, "VES")
    assert row["reason"] == "RATE_STALE", row
    for wrong in (["--rate", "VES=0"], ["--rate", "USD=1"], ["--rate", "VES"], ["--rate", "VES=1e99"]):
        refused = cambist.run(
            "rates", "enter", "--to", ledger, "--date", day(0), "--base", "USD", *wrong, "--by", "Ada",
            "--reason", "x",
        )
        assert refused.code == cambist.USAGE, refused


# --- looking at a small one --------------------------------------------------------------------------


def test_a_plain_folder_is_listed_with_its_gaps_checked_and_exported(tmp_path):
    folder = days_of_rates(tmp_path / "rates")
    far = samples.FIRST_DAY + datetime.timedelta(days=9)
    samples.write_rates(folder, {far: {code: rate for code, rate in samples.RATES.items() if code != "INR"}})
    *lines, summary = lines_of(cambist.succeed("rates", "list", "--url", folder, "--json"))
    assert (summary["days"], summary["days_missing"], summary["gaps"]) == (4, 6, 1)
    assert [line for line in lines if line["kind"] == "gap"] == [
        {"kind": "gap", "from": "2011-03-04", "until": "2011-03-09", "days": 6}
    ]
    *lines, summary = lines_of(cambist.succeed(
        "rates", "list", "--url", folder, "--currency", "inr", "--from", "2011-02-27", "--until", "2011-03-12",
        "--json",
    ))
    gaps = [(line["from"], line["until"]) for line in lines if line["kind"] == "gap"]
    assert gaps == [("2011-02-27", "2011-02-28"), ("2011-03-04", "2011-03-12")]
    assert {line.get("rate") for line in lines if line["kind"] == "day"} == {"45.1275", None}
    assert cambist.succeed("rates", "check", "--url", folder).stdout == ""
    assert cambist.run("rates", "check", "--url", folder, "--limit", "required=INR").code == cambist.DATA_AT_FAULT

    rows = exported(folder, tmp_path / "rates.csv")
    assert len(rows) == 4 * len(samples.RATES) - 1
    assert {code: rows[("2011-03-02", code)]["rate"] for code in samples.RATES} == samples.RATES
    cambist.succeed("rates", "export", "--url", folder, "--to", f"{tmp_path}/", "--json")
    table = pq.read_table(tmp_path / "rates.parquet")
    assert str(table.schema.field("rate").type) == "decimal128(38, 18)"
    found = {(str(row["rate_date"]), row["currency"]): row["rate"] for row in table.to_pylist()}
    assert {key: decimal(row["rate"]) for key, row in rows.items()} == {k: decimal(v) for k, v in found.items()}
    assert cambist.run("rates", "export", "--url", folder, "--to", tmp_path / "rates.csv").code == cambist.DONE
    (folder / f"{far}.json").unlink()
    other = cambist.run("rates", "export", "--url", folder, "--to", tmp_path / "rates.csv")
    assert other.code == cambist.USAGE and "--replace" in other.stderr, other
    assert len(exported(folder, tmp_path / "rates.csv", "--replace")) == 3 * len(samples.RATES)

    indexed = cambist.succeed("rates", "index", "--url", folder, "--json").summary
    assert indexed == {"objects": 3, "new": 3}
    assert len(exported(folder, tmp_path / "again.csv")) == 3 * len(samples.RATES)


def test_what_is_no_snapshot_is_listed_and_does_not_stop_an_import(tmp_path):
    folder = days_of_rates(tmp_path / "rates")
    (folder / "2011-03-09.json").write_text("<html>502</html>")
    (folder / "2011-09-31.json").write_text((folder / "2011-03-01.json").read_text())
    os.utime(folder / "2011-03-01.json", (1_300_000_000, 1_300_000_000))
    good = {"known_at": "2011-03-09T00:00:00Z", "op": "A", "file": "2011-03-09.json"}
    payload = (folder / "2011-03-01.json").read_text()
    log = [
        {**good, "payload": payload},
        {**good, "payload": payload.replace("45.1275", "45.2"), "op": "M"},
        {**good, "op": "D", "payload": None},
        {**good, "payload": payload, "payload_sha256": "0" * 64},
        {**good, "payload": "Not Found"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in log) + '{"known_at"'
    with gzip.open(folder / "versions.jsonl.gz", "wt") as file:
        file.write(text)
    ledger = tmp_path / "ledger"
    done = cambist.succeed("rates", "import", folder, "--to", ledger, "--gates", "off")
    summary = done.summary
    assert (summary["payloads"], summary["stored"], summary["deletions_ignored"]) == (10, 5, 1)
    assert summary["refused"] == {"SNAPSHOT_DATE_INVALID": 1, "SNAPSHOT_MALFORMED": 4}
    assert "versions.jsonl.gz:4:2011-03-09.json: SNAPSHOT_MALFORMED: the sha256" in done.stderr, done
    days = listed(ledger)
    assert days["2011-03-01"]["known_at"] == "2011-03-13T07:06:40Z", "when the file was last modified"
    # The two of one instant keep their order.
    assert days["2011-03-09"]["known_at"] == "2011-03-09T00:00:00.000001Z"
    at_once = listed(ledger, "--known-as-of", "2011-03-09T00:00:00Z")
    assert list(at_once) == ["2011-03-09"] and at_once["2011-03-09"]["snapshot"] != days["2011-03-09"]["snapshot"]
    nothing = cambist.run("rates", "import", folder / "2011-03-09.json", "--to", ledger)
    assert nothing.code == cambist.DATA_AT_FAULT, nothing
    missing = cambist.run("rates", "import", tmp_path / "nowhere", "--to", ledger)
    assert missing.code == cambist.USAGE and "nothing found at" in missing.stderr, missing
