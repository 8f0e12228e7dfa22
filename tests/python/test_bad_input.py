"""What cannot be done is said once, clearly, and leaves no trace."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cambist
import samples

ROWS = [[1, "n", "10.00", "USD", "2011-03-01T10:00:00Z"], [2, "n", "20.00", "EUR", "2011-03-02T10:00:00Z"]]


@pytest.fixture
def source(tmp_path):
    return samples.write_csv(tmp_path / "raw" / "rows.csv", ROWS)


def refused(done, output, *words, code=cambist.USAGE):
    """One clear message, the right exit code, no crash, nothing written."""
    assert done.code == code, done
    message = done.stderr
    for word in words:
        assert word.lower() in message.lower(), f"no `{word}` in the message\n{done}"
    assert "panicked" not in message and "RUST_BACKTRACE" not in message, done
    assert 0 < len(message.strip().splitlines()) <= 12, done
    cambist.nothing_written(output)


def base_spec(source, rates, output, /, **changes):
    """A spec that works; each change replaces keys of one section, a key of None leaves it out."""
    sections = {
        "source": {"url": source, "format": "csv", "amount": "amount", "currency": "currency",
                   "event_time": "event_time", "time_zone": "UTC"},
        "source.types": {"transaction_id": "int64"},
        "rates": {"url": rates, "mode": "date", "rate_zone": "UTC", "max_age_days": 7},
        "target": {"currencies": ["SGD"], "rounding": "half_even"},
        "output": {"url": output, "partition_by": "dt"},
        "quality": {"max_quarantine_ratio": 0.01},
    }
    for name, keys in changes.items():
        name = name.replace("__", ".")
        merged = sections.get(name, {}) | keys
        sections[name] = {key: value for key, value in merged.items() if value is not None}
    return samples.toml(sections)


def run_spec(tmp_path, text, *extra):
    spec = tmp_path / "job.toml"
    spec.write_text(text)
    return cambist.run("normalize", "--spec", spec, *extra)


def test_the_spec_that_the_other_tests_break_works(tmp_path, source, rates, output):
    cambist.committed(run_spec(tmp_path, base_spec(source, rates, output)))


def test_a_missing_source_is_named(tmp_path, rates, output):
    refused(cambist.normalize(tmp_path / "nowhere.csv", rates, output), output, "nowhere.csv")


def test_a_glob_that_finds_nothing_is_named(tmp_path, source, rates, output):
    refused(cambist.normalize(f"{source.parent}/*.ndjson", rates, output), output, "*.ndjson")


def test_an_empty_source_folder_is_named(tmp_path, rates, output):
    (tmp_path / "empty").mkdir()
    refused(cambist.normalize(tmp_path / "empty", rates, output), output, "empty")


def test_missing_rates_are_named(tmp_path, source, output):
    refused(cambist.normalize(source, tmp_path / "no_rates", output), output, "no_rates")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser can read every file")
def test_an_unreadable_source_is_named(source, rates, output):
    source.chmod(0)
    refused(cambist.normalize(source, rates, output), output, "rows.csv")


def test_a_missing_spec_is_named(tmp_path, output):
    refused(cambist.run("normalize", "--spec", tmp_path / "no.toml"), output, "no.toml")


@pytest.mark.parametrize("flag", ["--amount", "--currency", "--event-time"])
def test_an_unknown_column_is_named_with_those_there_are(source, rates, output, flag):
    arguments = cambist.normalize_arguments(source, rates, output)
    arguments[arguments.index(flag) + 1] = "no_such_column"
    refused(cambist.run(*arguments), output, "no_such_column", "transaction_id")


def test_an_unknown_column_in_the_sql_is_named(tmp_path, source, rates, output):
    sql = "SELECT *, no_such_column AS x FROM source"
    refused(run_spec(tmp_path, base_spec(source, rates, output, source={"sql": sql})), output, "no_such_column")


@pytest.mark.parametrize("sql, word", [
    ("SELECT FROM WHERE source", "sql"),
    ("SELECT * FROM no_such_table", "no_such_table"),
    ("DROP TABLE source", "SELECT"),
    ("SELECT 1; SELECT 2", "one"),
    ("SELECT transaction_id, amount, currency FROM source", "event_time"),
    # Rows that are mixed can no longer be told where they come from.
    ("SELECT currency, max(amount) AS amount, max(event_time) AS event_time FROM source GROUP BY currency", "source.sql"),
    ("SELECT * FROM source UNION ALL SELECT * FROM source", "source.sql"),
    ("SELECT * FROM source LIMIT 1", "source.sql"),
    ("SELECT * FROM source WHERE true" + " OR true" * 50_000, "more than 1000 operators and keywords in a row"),
])
def test_a_wrong_sql_is_refused(tmp_path, source, rates, output, sql, word):
    done = run_spec(tmp_path, base_spec(source, rates, output, source={"sql": sql}))
    refused(done, output)
    assert word.lower() in done.stderr.lower(), done


@pytest.mark.parametrize("target, words", [
    ("QQQ", ["QQQ"]),
    ("XXX", ["XXX"]),
    ("dollars", ["dollars"]),
    # Gold has no minor unit: a scale must be given.
    ("XAU", ["XAU", "minor"]),
    ("SGD,SGD", ["SGD"]),
])
def test_an_unknown_target_is_named(source, rates, output, target, words):
    refused(cambist.normalize(source, rates, output, target), output, *words)


def test_a_source_without_a_time_zone_is_refused(tmp_path, source, rates, output):
    samples.write_csv(source, [[1, "n", "10.00", "USD", "2011-03-01 10:00:00"]])
    form = {"time_zone": None, "time_format": "%Y-%m-%d %H:%M:%S"}
    refused(run_spec(tmp_path, base_spec(source, rates, output, source=form)), output, "time_zone")
    refused(run_spec(tmp_path, base_spec(source, rates, output, source={"time_zone": None})), output, "time_zone")


@pytest.mark.parametrize("section, keys, words", [
    ("source", {"time_zone": "Europe/Lundun"}, ["Europe/Lundun"]),
    ("rates", {"rate_zone": "Mars/Base"}, ["Mars/Base"]),
    ("rates", {"mode": "nearest"}, ["nearest", "date", "instant"]),
    ("rates", {"max_age_days": -1}, ["max_age_days"]),
    ("target", {"rounding": "up"}, ["up", "half_even", "half_up"]),
    ("target", {"currencies": []}, ["currencies"]),
    ("quality", {"max_quarantine_ratio": 1.5}, ["1.5"]),
    ("quality", {"max_quarantine_ratio": -0.1}, ["-0.1"]),
    ("source", {"format": "xlsx"}, ["xlsx", "csv", "parquet"]),
    ("source", {"encoding": "utf-7"}, ["utf-7", "latin1"]),
    ("source", {"max_record_bytes": 0}, ["max_record_bytes"]),
    ("source", {"delimiter": ";;"}, [";;"]),
    ("source", {"time_format": "%Y-%!"}, ["%Y-%!"]),
    ("source__types", {"amount": "money"}, ["money", "decimal"]),
    ("source__types", {"amount": "decimal(40,2)"}, ["decimal(40,2)"]),
    ("source__types", {"no_such_column": "int64"}, ["no_such_column"]),
    ("output", {"partition_by": "country code"}, ["country code"]),
    ("rates", {"max_age_days": "seven"}, ["max_age_days"]),
    ("source", {"colour": "red"}, ["colour"]),
    ("qualty", {"max_quarantine_ratio": 0.5}, ["qualty"]),
    ("rates", {"max_age_day": 3}, ["max_age_day"]),
])
def test_an_option_out_of_range_or_unknown_is_named(tmp_path, source, rates, output, section, keys, words):
    refused(run_spec(tmp_path, base_spec(source, rates, output, **{section: keys})), output, *words)


@pytest.mark.parametrize("flags, words", [
    (["--rounding", "up"], ["up", "half_even", "half_up"]),
    (["--max-quarantine-ratio", "2"], ["2"]),
    (["--max-age-days", "-3"], ["-3"]),
    (["--known-as-of", "yesterday"], ["yesterday"]),
    (["--date", "2011-02-30"], ["2011-02-30"]),
    (["--types", "amount=money"], ["money"]),
    (["--no-such-flag"], ["--no-such-flag"]),
    (["--date", "2011-03-01", "--batch", "b"], ["date", "batch"]),
    (["--batch", "two words"], ["two words"]),
])
def test_a_flag_out_of_range_is_named(source, rates, output, flags, words):
    refused(cambist.normalize(source, rates, output, "SGD", *flags), output, *words)


def test_a_broken_spec_is_shown_with_its_line(tmp_path, output):
    refused(run_spec(tmp_path, "[source]\nurl = \"a\nformat = csv\n"), output, "job.toml", "2")


def test_a_missing_part_of_the_job_is_named(source, rates, output):
    arguments = cambist.normalize_arguments(source, rates, output)
    at = arguments.index("--to")
    refused(cambist.run(*arguments[:at], *arguments[at + 2 :]), output, "--to")


def test_an_output_that_is_no_table_is_left_alone(source, rates, output):
    output.mkdir(parents=True)
    output.joinpath("report.xlsx").write_text("precious")
    before = cambist.tree(output.parent)
    done = cambist.normalize(source, rates, output)
    assert done.code == cambist.USAGE and str(output) in done.stderr and "report.xlsx" in done.stderr, done
    assert cambist.tree(output.parent) == before


def test_an_output_that_is_a_file_is_left_alone(source, rates, tmp_path):
    output = tmp_path / "out"
    output.write_text("precious")
    done = cambist.normalize(source, rates, output)
    assert done.code == cambist.USAGE and str(output) in done.stderr, done
    assert output.read_text() == "precious"


@pytest.mark.parametrize("command", [["verify"], ["table", "log"], ["table", "files"], ["table", "ddl"],
                                     ["explain", "--row", "transaction_id=1"], ["table", "gc"]])
def test_commands_on_no_table_say_so(tmp_path, command):
    done = cambist.run(*command, "--output", tmp_path / "nowhere")
    assert done.code == cambist.USAGE and "nowhere" in done.stderr, done
    assert not (tmp_path / "nowhere").exists()


def test_names_that_clash_in_lower_case_are_refused(tmp_path, source, rates, output):
    sql = 'SELECT *, note AS "Note" FROM source'
    refused(run_spec(tmp_path, base_spec(source, rates, output, source={"sql": sql})), output, "note")


def test_a_name_that_the_output_needs_is_refused(tmp_path, source, rates, output):
    sql = "SELECT *, note AS rate_date FROM source"
    refused(run_spec(tmp_path, base_spec(source, rates, output, source={"sql": sql})), output, "rate_date")


def test_a_floating_point_amount_is_refused(tmp_path, rates, output):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"amount": [1.5], "currency": ["USD"], "event_time": ["2011-03-01"]}), path)
    refused(cambist.normalize(path, rates, output, form="parquet"), output, "amount", "float")


def test_files_with_different_headers_are_refused(tmp_path, source, rates, output):
    (source.parent / "zz.csv").write_text("transaction_id,amount,currency\n1,1.00,USD\n")
    refused(cambist.normalize(source.parent, rates, output), output, "zz.csv")


def test_a_changed_schema_is_refused_and_the_table_stays(tmp_path, source, rates, output):
    cambist.committed(cambist.normalize(source, rates, output, "SGD", "--batch", "a"))
    before = cambist.tree(output.parent)
    done = cambist.normalize(source, rates, output, "SGD,INR", "--batch", "b")
    assert done.code == cambist.USAGE and "amount_inr" in done.stderr, done
    assert {entry for entry in before if entry[0].endswith((".parquet", ".json"))} == {
        entry for entry in cambist.tree(output.parent) if entry[0].endswith((".parquet", ".json"))}


def test_bad_snapshots_are_listed_and_the_good_ones_are_used(source, rates, output):
    (rates / "2011-03-20.json").write_text('{"error": true, "status": 401, "message": "invalid_app_id"}')
    (rates / "2011-03-21.json").write_text('{"base": "USD", "timestamp": 1300665600, "rates": {}}')
    (rates / "2011-03-22.json").write_text("<html>busy</html>")
    (rates / "2011-02-30.json").write_text('{"base": "USD", "timestamp": 1300665600, "rates": {"SGD": 9}}')
    (rates / "2011-03-23.json").write_text('{"base": "USD", "timestamp": 1300838400, "rates": {"SGD": 9, "USD": 2}}')
    done = cambist.normalize(source, rates, output)
    assert cambist.committed(done)["converted"] == 2
    for name, reason in [("2011-03-20.json", "SNAPSHOT_ERROR_BODY"), ("2011-03-21.json", "SNAPSHOT_EMPTY"),
                         ("2011-03-22.json", "SNAPSHOT_MALFORMED"), ("2011-02-30.json", "SNAPSHOT_DATE_INVALID"),
                         ("2011-03-23.json", "SNAPSHOT_BASE_INVALID")]:
        lines = [line for line in done.stderr.splitlines() if name in line]
        assert any(reason in line for line in lines), f"{name}: no {reason}\n{done}"


def test_rates_without_one_good_snapshot_are_the_datas_fault(tmp_path, source, output):
    rates = tmp_path / "bad_rates"
    rates.mkdir()
    (rates / "2011-03-01.json").write_text('{"error": true, "status": 401, "message": "invalid_app_id"}')
    (rates / "2011-03-02.json").write_text("[]")
    refused(cambist.normalize(source, rates, output), output, "2011-03-01.json", "SNAPSHOT_ERROR_BODY",
            code=cambist.DATA_AT_FAULT)


def test_too_many_bad_rows_close_the_quality_gate(tmp_path, source, rates, output):
    samples.write_csv(source, ROWS + [[3, "n", "oops", "USD", "2011-03-01"]])
    done = cambist.normalize(source, rates, output, "SGD", "--max-quarantine-ratio", "0.3")
    assert done.code == cambist.QUALITY_GATE, done
    assert "AMOUNT_NOT_NUMERIC" in done.stderr and "0.3" in done.stderr, done
    assert not cambist.data_files(output) and cambist.read(cambist.quarantine_of(output)).num_rows == 0
    # One third is not above one third; the default allows one in a hundred.
    assert cambist.normalize(source, rates, output).code == cambist.QUALITY_GATE
    cambist.committed(cambist.normalize(source, rates, output, "SGD", "--max-quarantine-ratio", "0.34"))


def test_a_join_that_fans_out_stops_the_run_unless_it_is_allowed(tmp_path, source, rates, output):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("code,region\nUSD,north\nUSD,south\nEUR,east\n")
    sql = "SELECT source.*, region FROM source LEFT JOIN pairs ON source.currency = pairs.code"
    changes = {"source": {"sql": sql}, "source__tables__pairs": {"url": pairs}}
    done = run_spec(tmp_path, base_spec(source, rates, output, **changes))
    assert done.code == cambist.QUALITY_GATE, done
    assert "allow_fan_out" in done.stderr and "3" in done.stderr, done
    assert not cambist.data_files(output)
    changes["quality"] = {"allow_fan_out": True}
    done = run_spec(tmp_path, base_spec(source, rates, output, **changes))
    assert done.code == cambist.DONE and done.summary["converted"] == 3, done


def test_a_value_that_the_sql_cannot_take_is_the_datas_fault(tmp_path, source, rates, output):
    sql = "SELECT *, CAST(note AS INT) AS x FROM source"
    done = run_spec(tmp_path, base_spec(source, rates, output, source={"sql": sql}))
    assert done.code == cambist.DATA_AT_FAULT and "TRY_CAST" in done.stderr, done
    assert not cambist.data_files(output)


def test_rows_that_the_sql_leaves_out_are_counted(tmp_path, source, rates, output):
    sql = "SELECT * FROM source WHERE currency = 'EUR'"
    summary = cambist.committed(run_spec(tmp_path, base_spec(source, rates, output, source={"sql": sql})))
    assert (summary["records_in"], summary["converted"], summary["filtered"]) == (2, 1, 1)


def test_a_fan_out_hidden_behind_a_filter_is_still_seen(tmp_path, source, rates, output):
    """One row becomes two and the other is filtered out: the counts alone would look whole."""
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("code,region\nUSD,north\nUSD,south\n")
    sql = "SELECT source.*, region FROM source JOIN pairs ON source.currency = pairs.code"
    changes = {"source": {"sql": sql}, "source__tables__pairs": {"url": pairs}}
    done = run_spec(tmp_path, base_spec(source, rates, output, **changes))
    assert done.code == cambist.QUALITY_GATE, done
    assert not cambist.data_files(output)


def test_a_run_without_a_terminal_is_quiet(source, rates, output):
    done = cambist.normalize(source, rates, output)
    assert "\r" not in done.stderr and "\x1b" not in done.stderr + done.stdout, done
    assert len(done.stdout.strip().splitlines()) == 1, done
