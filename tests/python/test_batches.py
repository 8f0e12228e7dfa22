"""What a second run does: nothing, or exactly its own batch's files."""

import json
import pathlib
import shutil
import urllib.parse

import pyarrow.parquet as pq
import pytest

import cambist
import samples

TYPES = ("--types", "transaction_id=int64")


def normalize(source, rates, output, batch, *extra):
    return cambist.normalize(source, rates, output, "SGD", "--batch", batch, *TYPES, *extra)


def ids(output):
    """Every transaction in the table, sorted; a doubled one stands twice."""
    table = cambist.read(output)
    return sorted(table.column("transaction_id").to_pylist()) if table.num_rows else []



@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "raw"
    samples.write_csv(folder / "a.csv", samples.transactions(range(1, 101), range(3)))
    return folder


@pytest.mark.parametrize("batch", [(), ("--batch", "b1"), ("--date", "2011-03-02")])
def test_the_same_run_again_writes_nothing(source, rates, output, batch):
    first = cambist.committed(cambist.normalize(source, rates, output, "SGD", *batch))
    before = cambist.tree(output.parent)
    again = cambist.committed(cambist.normalize(source, rates, output, "SGD", *batch), "already_done")
    assert cambist.tree(output.parent) == before
    for key in ("batch", "records_in", "converted", "quarantined", "totals", "source_totals", "content_hash"):
        assert again[key] == first[key], key


def test_running_it_elsewhere_gives_the_same_content(source, rates, tmp_path):
    hashes = {cambist.committed(normalize(source, rates, tmp_path / name, "b"))["content_hash"] for name in "xy"}
    assert len(hashes) == 1


def test_the_number_of_tasks_does_not_change_the_content(rates, tmp_path):
    for number in range(4):
        samples.write_csv(tmp_path / "raw" / f"{number}.csv",
                          samples.transactions(range(number * 1000, number * 1000 + 700), range(6), seed=number))
    hashes = set()
    for tasks in (1, 2, 8):
        summary = cambist.committed(normalize(tmp_path / "raw", rates, tmp_path / f"out{tasks}", "b", "--parallelism", tasks))
        hashes.add((summary["content_hash"], summary["records_in"], str(summary["totals"])))
    assert len(hashes) == 1


def test_a_folder_and_a_glob_are_the_same_files(source, rates, output):
    samples.write_csv(source / "b.csv", samples.transactions(range(101, 151), range(3)))
    (source / "notes.txt").write_text("not part of the glob")
    cambist.committed(normalize(f"{source}/*.csv", rates, output, "b"))
    assert ids(output) == list(range(1, 151))


def test_the_log_still_finds_what_a_commit_superseded(source, rates, output):
    cambist.committed(normalize(source, rates, output, "b"))
    old = sorted(map(str, cambist.read(output).drop_columns("dt").to_pylist()))
    samples.write_csv(source / "a.csv", samples.transactions(range(500, 530), range(2), seed=4))
    cambist.committed(normalize(source, rates, output, "b"))
    listing = cambist.succeed("table", "files", "--output", output, "--at", "1", "--json").stdout
    files = [json.loads(line) for line in listing.splitlines()]
    places = [urllib.parse.unquote(urllib.parse.urlsplit(file["location"]).path)
              for file in files if file["table"] == "main"]
    assert places and not any(place.endswith(".parquet") for place in places)
    then = [str(row) for place in places for row in pq.ParquetFile(place).read().to_pylist()]
    assert sorted(then) == old


def test_other_options_or_other_rates_are_another_run(source, rates, output):
    cambist.committed(normalize(source, rates, output, "b"))
    cambist.committed(normalize(source, rates, output, "b", "--rounding", "half_up"))
    samples.write_rates(rates, {samples.FIRST_DAY: samples.RATES | {"SGD": "1.9"}})
    cambist.committed(normalize(source, rates, output, "b", "--rounding", "half_up"))
    assert ids(output) == list(range(1, 101))


def test_one_more_input_file_replaces_exactly_its_batch(source, rates, output, tmp_path):
    samples.write_csv(tmp_path / "other" / "o.csv", samples.transactions(range(1001, 1101), range(3), seed=8))
    cambist.committed(normalize(tmp_path / "other", rates, output, "other"))
    others = cambist.tree(output)
    cambist.committed(normalize(source, rates, output, "mine"))
    first = cambist.data_files(output)
    samples.write_csv(source / "b.csv", samples.transactions(range(101, 151), range(2, 5), seed=9))
    summary = cambist.committed(normalize(source, rates, output, "mine"))
    assert summary["records_in"] == 150
    assert ids(output) == [*range(1, 151), *range(1001, 1101)]
    # The other batch's files are as they were, to the nanosecond; none of the first run's is left.
    untouched = {entry for entry in others if entry[0].endswith(".parquet")}
    assert untouched <= cambist.tree(output)
    mine_before = first - {entry[0] for entry in untouched}
    assert mine_before and not mine_before & cambist.data_files(output)


def test_a_batch_whose_input_shrank_loses_the_partitions_it_left(source, rates, output):
    samples.write_csv(source / "b.csv", samples.transactions(range(101, 151), [7]))
    cambist.committed(normalize(source, rates, output, "b"))
    (source / "b.csv").unlink()
    cambist.committed(normalize(source, rates, output, "b"))
    assert ids(output) == list(range(1, 101))
    assert not [name for name in cambist.data_files(output) if name.startswith("dt=2011-03-08")]


def test_a_corrected_record_leaves_the_quarantine(rates, output, tmp_path):
    source = samples.write_csv(tmp_path / "a.csv", [[1, "n", "1.00", "USD", "2011-03-01"], [2, "n", "oops", "USD", "2011-03-01"]])
    ratio = ("--max-quarantine-ratio", "1")
    cambist.committed(normalize(source, rates, output, "b", *ratio))
    assert cambist.read(cambist.quarantine_of(output)).num_rows == 1
    samples.write_csv(source, [[1, "n", "1.00", "USD", "2011-03-01"], [2, "n", "2.00", "USD", "2011-03-01"]])
    cambist.committed(normalize(source, rates, output, "b", *ratio))
    assert cambist.read(cambist.quarantine_of(output)).num_rows == 0
    assert ids(output) == [1, 2]


def test_late_rows_for_each_others_day_leave_both_days_complete(rates, output, tmp_path):
    """Monday's batch brings a late row of Sunday and Sunday's one of Monday; either may run again."""
    day = {"2011-03-01": tmp_path / "first.csv", "2011-03-02": tmp_path / "second.csv"}
    samples.write_csv(day["2011-03-01"], samples.transactions(range(1, 51), [0]) + samples.transactions([51], [1]))
    samples.write_csv(day["2011-03-02"], samples.transactions(range(101, 151), [1]) + samples.transactions([151], [0]))
    for date in [*day, *day]:
        done = cambist.normalize(day[date], rates, output, "SGD", "--date", date, *TYPES)
        assert done.code == cambist.DONE, done
    samples.write_csv(day["2011-03-01"], samples.transactions(range(1, 61), [0]) + samples.transactions([61], [1]))
    cambist.committed(cambist.normalize(day["2011-03-01"], rates, output, "SGD", "--date", "2011-03-01", *TYPES))
    rows = cambist.rows_by(cambist.read(output), "transaction_id")
    days = {date: sorted(number for number, row in rows.items() if str(row["dt"]) == date) for date in day}
    assert days == {"2011-03-01": [*range(1, 61), 151], "2011-03-02": [61, *range(101, 151)]}


@pytest.fixture
def two_sources(tmp_path):
    first = samples.write_csv(tmp_path / "one" / "a.csv", samples.transactions(range(1, 401), range(6)))
    second = samples.write_csv(tmp_path / "two" / "a.csv", samples.transactions(range(1001, 1401), range(6), seed=8))
    return first.parent, second.parent


def race(commands):
    started = [cambist.start(*command) for command in commands]
    return [cambist.finish(*process) for process in started]


def arguments(source, rates, output, batch):
    return cambist.normalize_arguments(source, rates, output, "SGD", "--batch", batch, *TYPES)


def test_two_processes_on_two_batches_lose_and_double_nothing(two_sources, rates, output):
    for _ in range(4):
        shutil.rmtree(output.parent, ignore_errors=True)
        done = race([arguments(two_sources[0], rates, output, "one"), arguments(two_sources[1], rates, output, "two")])
        codes = [one.code for one in done]
        assert set(codes) <= {cambist.DONE, cambist.CONFLICT} and cambist.DONE in codes, "\n".join(map(str, done))
        expected = [number for code, rows in zip(codes, (range(1, 401), range(1001, 1401))) if code == 0 for number in rows]
        assert ids(output) == expected, "\n".join(map(str, done))
        cambist.succeed("verify", "--output", output)


def test_two_processes_on_one_batch_leave_one_of_them_whole(two_sources, rates, output):
    for _ in range(4):
        shutil.rmtree(output.parent, ignore_errors=True)
        done = race([arguments(source, rates, output, "same") for source in two_sources])
        codes = [one.code for one in done]
        assert set(codes) <= {cambist.DONE, cambist.CONFLICT} and cambist.DONE in codes, "\n".join(map(str, done))
        left = ids(output)
        winners = [list(rows) for code, rows in zip(codes, (range(1, 401), range(1001, 1401))) if code == 0]
        assert left in winners, "\n".join(map(str, done))
        cambist.succeed("verify", "--output", output)


def test_the_same_run_in_two_processes_commits_once(two_sources, rates, output):
    for _ in range(3):
        shutil.rmtree(output.parent, ignore_errors=True)
        done = race([arguments(two_sources[0], rates, output, "same")] * 2)
        codes = [one.code for one in done]
        assert set(codes) <= {cambist.DONE, cambist.CONFLICT} and cambist.DONE in codes, "\n".join(map(str, done))
        assert ids(output) == list(range(1, 401))
        assert len(list(pathlib.Path(output, "_commits").glob("[0-9]*[0-9].json"))) == 1
