"""Many small files become few: before a run's commit, and as a commit of their own. No row changes."""

import pytest

import cambist
import samples
from stores import on_s3

TYPES = ("--types", "transaction_id=int64", "--max-quarantine-ratio", "1")
KEY = "transaction_id"
FILES, DAYS = 12, 4
# What a run's figures are, however its rows lie in files.
FIGURES = ("records_in", "converted", "quarantined", "totals", "source_totals", "content_hash", "partitions")
# Whole commits, not only their files, make a compaction visible.
KILLED_AT = ("write.staged", "commit.before_record", "commit.after_record", "publish.file", "publish.superseded_file",
             "publish.before_marker")


def compacted(done):
    """Checks that a compaction committed; returns its summary."""
    assert done.code == cambist.DONE and done.summary["status"] == "committed", done
    return done.summary


@pytest.fixture
def source(tmp_path, rates):
    """Twelve files of four days each."""
    for number in range(FILES):
        rows = samples.transactions(range(number * 50, number * 50 + 50), range(DAYS), seed=number)
        samples.write_csv(tmp_path / "raw" / f"{number:02}.csv", rows)
    return tmp_path / "raw"


@pytest.fixture
def rates(tmp_path):
    return samples.steady_rates(tmp_path / "rates", days=DAYS + 1)


def normalize(source, rates, output, *extra, **options):
    return cambist.normalize(source, rates, output, "SGD", *TYPES, *extra, **options)


def rows(table, *without):
    """Rows by their key, without the run's name."""
    found = cambist.rows_by(cambist.read(table), KEY)
    return {key: {name: value for name, value in row.items() if name not in without}
            for key, row in found.items()}


def small_grained(source, rates, output, *extra):
    """A table with a file for each task and day."""
    done = normalize(source, rates, output, "--parallelism", FILES, "--files-per-partition", FILES, *extra)
    report = cambist.committed(done)
    assert report["files"] == FILES * DAYS
    return report


def compact(output, *extra, **options):
    return cambist.run("table", "compact", "--output", output, *extra, **options)


def test_a_run_of_many_tasks_merges_its_files_before_it_commits(source, rates, tmp_path):
    many = small_grained(source, rates, tmp_path / "many")
    few = cambist.committed(normalize(
        source, rates, tmp_path / "few", "--parallelism", FILES, "--files-per-partition", 3))
    assert few["files"] == DAYS, "a day of a few kilobytes is one file"
    assert {key: few[key] for key in FIGURES} == {key: many[key] for key in FIGURES}
    assert rows(tmp_path / "few") == rows(tmp_path / "many")
    assert len(cambist.data_files(tmp_path / "few")) == DAYS
    assert not [path for path in (tmp_path / "few" / "_staging").glob("**/*") if path.is_file()]
    cambist.succeed("verify", "--output", tmp_path / "few")


def test_a_table_is_compacted_by_a_commit_of_its_own(source, rates, tmp_path):
    output = tmp_path / "table"
    first = small_grained(source, rates, output, "--batch", "a")
    other = samples.write_csv(tmp_path / "b.csv", samples.transactions(range(5_000, 5_040), range(2), seed=77))
    cambist.committed(normalize(other, rates, output, "--batch", "b"))
    before = rows(output)
    report = compacted(compact(output, "--json"))
    assert report["files_before"] == first["files"] and report["files_after"] == DAYS, report
    assert report["rows"] == FILES * 50 and report["batches"] == 1
    assert rows(output) == before
    cambist.succeed("verify", "--output", output)
    again = compact(output, "--json")
    assert again.code == cambist.DONE and again.summary["status"] == "nothing_to_do", again
    # The batch is still what a run of it replaces, and the same inputs are still done.
    cambist.committed(normalize(source, rates, output, "--batch", "a"), "already_done")
    less = samples.write_csv(tmp_path / "less.csv", samples.transactions(range(10), range(1), seed=3))
    cambist.committed(normalize(less, rates, output, "--batch", "a"))
    assert set(rows(output)) == set(range(10)) | set(range(5_000, 5_040))
    cambist.succeed("verify", "--output", output)


def test_one_partition_is_compacted_and_bad_options_are_refused(source, rates, tmp_path):
    output = tmp_path / "table"
    small_grained(source, rates, output)
    day = sorted(path.name for path in output.glob("dt=*"))[0]
    report = compacted(compact(output, "--partition", day, "--json"))
    assert (report["partitions"], report["files_before"], report["files_after"]) == (1, FILES, 1)
    for extra, words in ((("--files-max", "0"), "1 or more"), (("--target-bytes", "5"), "1 MiB"),
                         (("--partition", "2011"), "dt=2024-05-01")):
        done = compact(output, *extra)
        assert done.code == cambist.USAGE and words in done.stderr, done
    done = compact(tmp_path / "nothing")
    assert done.code == cambist.USAGE and "no table" in done.stderr, done


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_killed_compaction_loses_and_doubles_nothing(source, rates, tmp_path, point):
    output = tmp_path / "table"
    small_grained(source, rates, output)
    before = rows(output)
    died = compact(output, env={"CAMBIST_KILL_AT": point})
    assert died.killed, died
    cambist.succeed("table", "log", "--output", output)
    assert rows(output) == before
    cambist.succeed("verify", "--output", output)
    again = compact(output, "--json")
    assert again.code == cambist.DONE and again.summary["status"] in ("committed", "nothing_to_do"), again
    assert len(cambist.data_files(output)) == DAYS
    assert rows(output) == before
    cambist.succeed("verify", "--output", output)


def test_on_a_store_files_that_will_be_merged_can_be_read(store, request, source, rates, tmp_path):
    """There, what a task has staged is an upload that nobody can read: such a run stages otherwise."""
    prefix = request.node.name.replace("[", "_").replace("]", "") + "/"
    store.put_tree(prefix, tmp_path)
    arguments = cambist.normalize_arguments(
        store.url(prefix + "raw"), store.url(prefix + "rates"), store.url(prefix + "out"), "SGD", *TYPES,
        "--parallelism", FILES, "--files-per-partition")
    few = cambist.committed(cambist.run(*arguments, 3, env=store.environment))
    here = cambist.committed(normalize(source, rates, tmp_path / "here"))
    assert few["files"] == DAYS
    assert {key: few[key] for key in FIGURES} == {key: here[key] for key in FIGURES}
    visible = [key for key in store.keys(prefix + "out/") if key.endswith(".parquet")]
    assert len(visible) == DAYS, visible
    assert not [key for key in store.keys(prefix) if "/_staging/" in key]
    cambist.succeed("verify", "--output", store.url(prefix + "out"), env=store.environment)


@on_s3
def test_a_table_on_a_store_is_compacted(store, request, source, rates, tmp_path):
    prefix = request.node.name.replace("[", "_").replace("]", "") + "/"
    store.put_tree(prefix, tmp_path)
    output = store.url(prefix + "out")
    arguments = cambist.normalize_arguments(
        store.url(prefix + "raw"), store.url(prefix + "rates"), output, "SGD", *TYPES,
        "--parallelism", FILES, "--files-per-partition", FILES)
    assert cambist.committed(cambist.run(*arguments, env=store.environment))["files"] == FILES * DAYS
    report = compacted(compact(output, "--json", env=store.environment))
    assert report["files_after"] == DAYS and report["rows"] == FILES * 50
    assert len(store.rows(prefix + "out/")) == FILES * 50
    cambist.succeed("verify", "--output", output, env=store.environment)
