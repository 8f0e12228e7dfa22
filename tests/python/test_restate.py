"""Corrected rates: what they touch is converted again and nothing else, at once or not at all."""

import datetime
import decimal
import json
import os
import signal

import pytest

import cambist
import clusters
import restatements
import retail
import samples
from clusters import wait_until
from faults import Fault
from restatements import (expected_deltas, files, partition_hashes, places, publish, records, reported_deltas,
                          sums)
from stores import on_s3
from table_checks import check_manifests, check_readers, staged_files

TYPES = ("--types", "transaction_id=int64", "--max-quarantine-ratio", "1", "--max-age-days", "3")
EARLY, LATE = "2011-04-01T00:00:00Z", "2011-05-01T00:00:00Z"
CORRECTED = "2011-04-15T00:00:00Z"
KILLED_AT = ("write.staged", "commit.before_record", "commit.after_record", "publish.file", "publish.quarantine_file",
             "publish.superseded_file", "publish.before_marker")
DAYS = 6


def day(number):
    return samples.FIRST_DAY + datetime.timedelta(days=number)


def steady(without=(), **changed):
    """Rates of one day; some left out, some changed."""
    return {code: text for code, text in (samples.RATES | changed).items() if code not in without}


@pytest.fixture
def rates(tmp_path):
    """Six days of rates; those of the third are corrected, and the shekel of the fifth comes late."""
    folder = tmp_path / "rates"
    days = {day(number): steady(without=("ILS",) if number < 5 else ()) for number in range(DAYS)}
    publish(folder, "first", "2011-03-10T00:00:00Z", days)
    return publish(folder, "second", CORRECTED, {day(2): steady(without=("ILS",), GBP="0.5", INR="46"), day(4): steady()})


@pytest.fixture
def sources(tmp_path):
    """One file a day, each with events of its own day and of the day before, and a row that no rate can mend."""
    for number in range(1, DAYS):
        rows = samples.transactions(range(number * 100, number * 100 + 60), (number - 1, number), seed=number)
        rows.append([number * 100 + 99, "bad", "no number", "USD", samples.event_time(number)])
        samples.write_csv(tmp_path / "raw" / f"{day(number)}.csv", rows)
    return tmp_path / "raw" / "{date}.csv"


def normalize(sources, rates, output, number, known=EARLY, *extra, **options):
    return cambist.normalize(sources, rates, output, "INR,SGD", "--date", day(number), "--known-as-of", known, *TYPES,
                             *extra, **options)


def daily_table(sources, rates, output, known=EARLY, *extra):
    """A table of a batch a day."""
    for number in range(1, DAYS):
        cambist.committed(normalize(sources, rates, output, number, known, *extra))
    return output


def restate(output, *extra, **options):
    return cambist.run("restate", "--output", output, *extra, **options)


def restated(done, status="committed"):
    """Demands that a restatement ended so; returns its report."""
    assert done.code == cambist.DONE and done.summary.get("status") == status, done
    return done.summary


def content(output):
    """What both tables hold, whatever their files are called."""
    return partition_hashes(output), partition_hashes(output, "quarantine")


@pytest.fixture(scope="module")
def feed(data, tmp_path_factory):
    return restatements.feed(data, tmp_path_factory.mktemp("feed") / "rates")


def test_a_restatement_of_real_sales_equals_a_fresh_run(data, feed, tmp_path):
    """Sales of a year by the rates of December 2011, and by what the provider made of them until summer."""
    early, late = "2011-12-09T12:00:00Z", "2012-06-30T00:00:00Z"
    output, fresh = tmp_path / "out" / "table", tmp_path / "out" / "fresh"

    def run(place, known, status="committed"):
        text = retail.spec(data, place, retail.BY_COUNTRY, "half_even", retail.TARGETS)
        spec = tmp_path / f"{place.name}.toml"
        spec.write_text(text.replace(str(data / "oxr" / "daily"), str(feed)))
        return cambist.committed(cambist.run("normalize", "--spec", spec, "--known-as-of", known), status)

    first, at_late = run(output, early), run(fresh, late)
    before, untouched = cambist.tree(output), {path: os.stat(path).st_mtime_ns for path in places(output)}
    span = ("--from-known", early, "--to-known", late, "--materiality", "INR=1000")
    planned = restated(restate(output, *span, "--dry-run"), "dry_run")
    assert cambist.tree(output) == before, "a dry run leaves no trace"
    report = restated(restate(output, *span))
    of_the_run = ("run_id", "status", "commit", "seconds")
    assert {key: value for key, value in report.items() if key not in of_the_run} == {
        key: value for key, value in planned.items() if key not in of_the_run}

    # Equal to the fresh run, partition by partition, and in all that the batch says of itself.
    assert content(output) == content(fresh)
    account = records(output)[-1]["batches"][0]["details"]["report"]
    same = ("records_in", "converted", "quarantined", "quarantined_by_reason", "totals", "source_totals", "content_hash",
            "partitions")
    assert {key: account[key] for key in same} == {key: at_late[key] for key in same}
    run(output, late, "already_done")
    assert restate(output, "--to-known", late).summary["status"] == "nothing_to_do"

    # Only what came out otherwise was written.
    old_hashes, new_hashes = partition_hashes(output, at=1), partition_hashes(output)
    changed = {name for name in old_hashes | new_hashes if old_hashes.get(name) != new_hashes.get(name)}
    rewritten = {path for path in places(output) if path not in untouched}
    assert {os.path.basename(os.path.dirname(path)) for path in rewritten} == changed
    assert set(report["batches"][0]["partitions_rewritten"]) == changed
    assert 100 < len(changed) == report["partitions_rewritten"] < 200
    assert report["partitions_untouched"] == first["partitions"] - len(changed)
    assert all(os.stat(path).st_mtime_ns == mtime for path, mtime in untouched.items() if os.path.exists(path))

    # The delta, added up from both versions, which the log still finds.
    old, new = sums(output, retail.TARGETS, at=1), sums(output, retail.TARGETS, at=2)
    assert reported_deltas(report) == expected_deltas(old, new)
    for target in report["targets"]:
        totals = [sum((total for (*_, code), (_, total) in side.items() if code == target["target"]),
                      decimal.Decimal(0)) for side in (old, new)]
        assert [decimal.Decimal(target[key]) for key in ("old_total", "new_total")] == totals
        assert decimal.Decimal(target["delta"]) == totals[1] - totals[0]
        assert str(totals[0]) == first["totals"][target["target"]]
        assert target["material"] == (target["target"] == "INR" and abs(totals[1] - totals[0]) > 1000)
    assert report["material"] is True and report["keys_changed"]
    cambist.succeed("verify", "--output", output, "--sample", "20000")
    check_readers(output, first["converted"])


def test_of_a_table_of_days_only_the_touched_ones_change_in_one_commit(sources, rates, tmp_path):
    output = daily_table(sources, rates, tmp_path / "table")
    fresh = daily_table(sources, rates, tmp_path / "fresh", LATE)
    report = restated(restate(output, "--from-known", EARLY, "--to-known", LATE))
    # Events of the corrected third day are in the batches of the third and the fourth, those of the fifth, when the
    # shekel came late, in the batches of the fifth and the sixth.
    assert [batch["batch"] for batch in report["batches"]] == [str(day(number)) for number in (2, 3, 4, 5)]
    assert report["commit"] == DAYS and len(records(output)) == DAYS
    assert (report["batches_compared"], report["batches_restated"]) == (DAYS - 1, 4)
    assert report["converted_after"] > report["converted_before"]
    rows = report["converted_before"] + report["quarantined_before"]
    assert report["converted_after"] + report["quarantined_after"] == rows
    assert content(output) == content(fresh)
    assert reported_deltas(report) == expected_deltas(sums(output, ("INR", "SGD"), at=DAYS - 1), sums(output, ("INR", "SGD")))
    cambist.succeed("verify", "--output", output)
    check_readers(output, sum(file["rows"] for file in files(output) if file["table"] == "main"))
    check_manifests(output)
    assert not staged_files(output)
    log = cambist.succeed("table", "log", "--output", output, "--json").stdout.splitlines()
    assert json.loads(log[0])["kind"] == "restate" and str(day(3)) in json.loads(log[0])["batch"]
    for number in range(2, DAYS):
        cambist.committed(normalize(sources, rates, output, number, LATE), "already_done")
    # A key says which rates made the difference.
    pound = [key for key in report["keys_changed"] if (key["source"], key["target"]) == ("GBP", "INR")]
    assert [(key["before"]["rate_target"], key["after"]["rate_target"]) for key in pound if "rate_date" in key["after"]][0] == (
        samples.RATES["INR"], "46")
    assert {key["before"]["reason"] for key in report["keys_changed"] if key["source"] == "ILS" and "reason" in key["before"]}


def test_rows_that_lose_their_rate_go_to_the_quarantine(sources, tmp_path):
    """A correction that drops a currency; its earlier rates are too old by then."""
    folder = publish(tmp_path / "rates", "first", "2011-03-10T00:00:00Z", {day(number): steady() for number in range(3)})
    publish(folder, "second", CORRECTED, {day(number): steady(without=("GBP",)) for number in range(3)})
    output, fresh = tmp_path / "table", tmp_path / "fresh"
    for place, known in ((output, EARLY), (fresh, LATE)):
        cambist.committed(normalize(sources, folder, place, 2, known))
    report = restated(restate(output, "--to-known", LATE))
    assert report["quarantined_after"] > report["quarantined_before"] == 1
    assert {line["rows_after"] for line in report["deltas"] if line["source"] == "GBP"} == {0}
    assert content(output) == content(fresh)
    cambist.succeed("verify", "--output", output)


@pytest.mark.parametrize("extra", [
    ("--rates-mode", "instant", "--rate-zone", "Asia/Tokyo"), ("--rate-zone", "America/New_York", "--lineage"),
    ("--parallelism", "3", "--files-per-partition", "1")])
def test_whatever_the_options_the_batch_is_what_a_fresh_run_makes(sources, rates, tmp_path, extra):
    output = daily_table(sources, rates, tmp_path / "table", EARLY, *extra)
    fresh = daily_table(sources, rates, tmp_path / "fresh", LATE, *extra)
    restated(restate(output, "--to-known", LATE))
    assert content(output) == content(fresh)
    cambist.succeed("verify", "--output", output)
    assert restate(output, "--to-known", LATE).summary["status"] == "nothing_to_do"


def test_what_is_material_is_said_and_nothing_else_depends_on_it(sources, rates, tmp_path):
    output = daily_table(sources, rates, tmp_path / "table")
    plan = ("--to-known", LATE, "--dry-run", "--json")
    plain = restated(restate(output, *plan), "dry_run")
    assert plain["material"] is None
    inr = next(target for target in plain["targets"] if target["target"] == "INR")
    worst = max(abs(decimal.Decimal(inr[key])) for key in ("delta", "largest_day_delta"))
    share = worst / abs(decimal.Decimal(inr["old_total"])) * 100
    for limits, material in ((f"INR={worst}", False), (f"INR={worst - decimal.Decimal('0.01')}", True),
                             (f"{share + 1:.4f}%", None), (f"{share / 2:.6f}%", True), ("0%,INR=0", True)):
        report = restated(restate(output, *plan, "--materiality", limits), "dry_run")
        judged = {target["target"]: target["material"] for target in report["targets"]}
        assert material is None or judged["INR"] is material, (limits, report["targets"])
        assert report["material"] is any(judged.values())
        assert report["deltas"] == plain["deltas"]
    for limits in ("INR", "INR=-1", "x%", "EUR=5"):
        done = restate(output, *plan, "--materiality", limits)
        assert done.code == cambist.USAGE and "materiality" in done.stderr, done


def test_each_batch_is_compared_from_what_it_knew(sources, rates, tmp_path):
    """A nightly table: one batch was run before the correction came, one after it."""
    output = tmp_path / "table"
    cambist.committed(normalize(sources, rates, output, 2, EARLY))
    cambist.committed(normalize(sources, rates, output, 3, LATE))
    between = "2011-04-20T00:00:00Z"
    # After the correction nothing has changed: the caller is wrong about the first batch.
    done = restate(output, "--from-known", between, "--to-known", LATE)
    assert done.code == cambist.USAGE and str(day(2)) in done.stderr and EARLY[:10] in done.stderr, done
    assert len(records(output)) == 2
    # The second batch knows more than is asked for.
    report = restated(restate(output, "--from-known", EARLY, "--to-known", between))
    assert (report["batches_ahead"], report["batches_restated"]) == (1, 1)
    assert [batch["batch"] for batch in report["batches"]] == [str(day(2))]
    assert restate(output).summary["status"] == "nothing_to_do"
    done = restate(output, "--from-known", LATE, "--to-known", EARLY)
    assert done.code == cambist.USAGE and "later one last" in done.stderr, done
    done = restate(output, "--batch", "none")
    assert done.code == cambist.USAGE and "no batch `none`" in done.stderr, done


def test_a_named_batch_alone_is_restated(sources, rates, tmp_path):
    output = daily_table(sources, rates, tmp_path / "table")
    report = restated(restate(output, "--to-known", LATE, "--batch", day(3)))
    assert [batch["batch"] for batch in report["batches"]] == [str(day(3))] and report["batches_compared"] == 1
    assert [batch["batch"] for batch in records(output)[-1]["batches"]] == [str(day(3))]


def test_source_files_must_be_what_they_were(sources, rates, tmp_path):
    output = daily_table(sources, rates, tmp_path / "table")
    path = sources.with_name(f"{day(3)}.csv")
    kept, stat = path.read_bytes(), path.stat()

    def refused(word):
        before = cambist.tree(output)
        done = restate(output, "--to-known", LATE)
        assert done.code == cambist.DATA_AT_FAULT and str(path) in done.stderr and word in done.stderr, done
        assert cambist.tree(output) == before

    path.write_bytes(kept + b"1,x,1.00,GBP,2011-03-03\n")
    refused("bytes")
    path.write_bytes(kept[:-2] + b"9\n")
    refused("changed")
    path.unlink()
    refused("gone")
    # A batch that no correction touches does not need its files.
    sources.with_name(f"{day(1)}.csv").unlink()
    path.write_bytes(kept)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    done = restate(output, "--to-known", LATE)
    # A file system that gives the restored file another number gives it another tag too.
    assert done.code == cambist.DONE or "changed" in done.stderr, done


def test_files_that_came_later_are_not_the_batch_s(rates, tmp_path):
    raw = samples.write_csv(tmp_path / "raw" / "a.csv", samples.transactions(range(80), range(DAYS)))
    arguments = (raw.parent, rates, tmp_path / "table", "INR", "--known-as-of", EARLY, *TYPES)
    first = cambist.committed(cambist.normalize(*arguments))
    samples.write_csv(raw.with_name("b.csv"), samples.transactions(range(100, 180), range(DAYS)))
    report = restated(restate(tmp_path / "table", "--to-known", LATE))
    assert report["converted_after"] + report["quarantined_after"] == first["records_in"]
    fresh = cambist.committed(cambist.normalize(raw, rates, tmp_path / "fresh", "INR", "--known-as-of", LATE, *TYPES))
    assert partition_hashes(tmp_path / "table") == partition_hashes(tmp_path / "fresh")
    assert fresh["records_in"] == first["records_in"]


def test_rates_that_are_not_those_of_the_run_any_more_are_refused(sources, rates, tmp_path):
    output = daily_table(sources, rates, tmp_path / "table")
    path = rates / "first" / f"{day(1)}.json"
    path.write_text(path.read_text().replace("0.628571", "0.7"))
    done = restate(output, "--to-known", LATE)
    assert done.code == cambist.DATA_AT_FAULT and str(day(1)) in done.stderr, done
    assert len(records(output)) == DAYS - 1


def test_a_batch_without_a_record_of_its_inputs_is_refused(sources, rates, tmp_path):
    output = daily_table(sources, rates, tmp_path / "table")
    path = sorted(output.glob("_commits/*.json"))[2]
    record = json.loads(path.read_text())
    del record["details"]["inputs"]
    path.write_text(json.dumps(record))
    done = restate(output, "--to-known", LATE)
    assert done.code == cambist.DATA_AT_FAULT and f"`{day(3)}`" in done.stderr and "normalize" in done.stderr, done
    restated(restate(output, "--to-known", LATE, "--batch", day(2)))


def test_rows_that_no_correction_explains_stop_the_run(sources, rates, tmp_path):
    """What the log says of a partition is not what its source gives: nothing is committed."""
    output = daily_table(sources, rates, tmp_path / "table")
    path = sorted(output.glob("_commits/*.json"))[1]
    record = json.loads(path.read_text())
    added = next(added for added in record["main"]["add"] if f"dt={day(1)}" in added["file"]["path"])
    added["content_hash"] = f"{int(added['content_hash'], 16) ^ 1:032x}"
    path.write_text(json.dumps(record))
    done = restate(output, "--to-known", LATE)
    assert done.code == cambist.DATA_AT_FAULT and f"dt={day(1)}" in done.stderr and "nothing was committed" in done.stderr, done
    assert len(records(output)) == DAYS - 1 and not staged_files(output)


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_killed_restatement_leaves_all_batches_old_or_all_new(sources, rates, tmp_path, point):
    output = daily_table(sources, rates, tmp_path / "table")
    fresh = daily_table(sources, rates, tmp_path / "fresh", LATE)
    old = content(output)
    died = restate(output, "--to-known", LATE, env={"CAMBIST_KILL_AT": point})
    assert died.killed, died
    cambist.succeed("table", "log", "--output", output)
    is_new = len(records(output)) == DAYS
    assert content(output) == (content(fresh) if is_new else old)
    assert is_new == (point not in ("write.staged", "commit.before_record"))
    cambist.succeed("verify", "--output", output)
    check_manifests(output)
    restated(restate(output, "--to-known", LATE), "nothing_to_do" if is_new else "committed")
    assert content(output) == content(fresh)
    cambist.succeed("verify", "--output", output)


def test_a_run_of_one_of_the_batches_wins(sources, rates, tmp_path):
    output = daily_table(sources, rates, tmp_path / "table")
    fault = Fault(tmp_path, "commit.before_record:pause")
    waiting = cambist.start("restate", "--output", output, "--to-known", LATE, env=fault.environment)
    pid = fault.wait_paused()
    samples.write_csv(sources.with_name(f"{day(3)}.csv"), samples.transactions(range(5), [3]))
    cambist.committed(normalize(sources, rates, output, 3))
    after = content(output)
    os.kill(pid, signal.SIGCONT)
    done = cambist.finish(*waiting)
    assert done.code == cambist.CONFLICT and str(day(3)) in done.stderr, done
    assert content(output) == after and len(records(output)) == DAYS
    wait_until(lambda: not staged_files(output), "staged files are left")
    # Once more, and the others are restated.
    report = restated(restate(output, "--to-known", LATE))
    assert str(day(2)) in [batch["batch"] for batch in report["batches"]]
    cambist.succeed("verify", "--output", output)


@on_s3
def test_a_table_on_a_store_is_restated(store, request, sources, tmp_path):
    """There a snapshot is known since its object was written, so that all are known late; the early run knows half."""
    prefix = request.node.name.replace("[", "_").replace("]", "") + "/"
    first = samples.write_rates(tmp_path / "first", {day(number): steady() for number in range(DAYS)})
    for path in first.iterdir():
        store.put(f"{prefix}rates/first/{path.name}", path.read_bytes())
    for path in sources.parent.iterdir():
        store.put(f"{prefix}raw/{path.name}", path.read_bytes())
    output = store.url(prefix + "out")

    def run(place):
        return cambist.committed(cambist.normalize(
            store.url(prefix + "raw/{date}.csv"), store.url(prefix + "rates"), place, "INR", "--date", day(2), *TYPES,
            env=store.environment))

    run(output)
    second = samples.write_rates(tmp_path / "second", {day(2): steady(GBP="0.5")})
    # Objects are dated to the second.
    wait_until(lambda: datetime.datetime.now().microsecond < 100_000, "the next second does not come")
    wait_until(lambda: datetime.datetime.now().microsecond > 900_000, "the next second does not come")
    for path in second.iterdir():
        store.put(f"{prefix}rates/second/{path.name}", path.read_bytes())
    wait_until(lambda: datetime.datetime.now().microsecond < 100_000, "the next second does not come")
    report = restated(restate(output, env=store.environment))
    assert report["batches"][0]["partitions_rewritten"] == [f"dt={day(2)}"]
    fresh = run(store.url(prefix + "fresh"))
    account = json.loads(store.get(f"{prefix}out/_commits/{2:020}.json"))["batches"][0]["details"]["report"]
    assert (account["content_hash"], account["totals"]) == (fresh["content_hash"], fresh["totals"])
    assert not [key for key in store.keys(prefix) if "/_staging/" in key]
    cambist.succeed("verify", "--output", output, env=store.environment)


def test_a_cluster_restates_to_the_same_table(sources, rates, tmp_path):
    with clusters.up(tmp_path / "cluster") as cluster:
        place = ("--cluster", cluster.url)
        here = daily_table(sources, rates, tmp_path / "here")
        there = daily_table(sources, rates, tmp_path / "there", EARLY, *place)
        reports = [restated(restate(here, "--to-known", LATE)), restated(restate(there, "--to-known", LATE, *place))]
        of_the_run = ("run_id", "seconds")
        assert [{key: value for key, value in report.items() if key not in of_the_run} for report in reports][0] == [
            {key: value for key, value in report.items() if key not in of_the_run} for report in reports][1]
        assert content(there) == content(here)
        assert not staged_files(there)
        cambist.succeed("verify", "--output", there)
        dry = restate(there, "--to-known", LATE, "--dry-run", *place)
        assert restated(dry, "nothing_to_do")["commit"] == 0
