"""Jobs over SQL: `CALL` of ours and of those of a folder, embedded and on a cluster."""

import datetime
import decimal
import os
import pathlib

import pytest

import cambist
import clusters
import retail
import samples
import sql_servers
from sql_servers import call, refusal

TYPES = {
    "day": {"type": "date", "doc": "The day"},
    "least": {"type": "decimal(38,18)", "doc": "The least amount"},
    "last": {"type": "int64", "doc": "The last payment"},
    "note": {"type": "text", "doc": "What is noted"},
    "is_large": {"type": "bool", "doc": "Whether it is large"},
    "noted_at": {"type": "timestamptz", "doc": "When it is noted"},
    "region": {"type": "text", "default": "eu", "doc": "The region"},
}
EVERY_TYPE = """
SELECT $day AS dt, id, amount, $least AS least, $last AS last, $note AS note, $is_large AS is_large,
       $noted_at AS noted_at, $region AS region
FROM payments WHERE amount >= $least AND id <= $last
"""
TOTALS = "SELECT day AS dt, currency, count(*) AS n, sum(amount) AS amount FROM payments WHERE day = $day GROUP BY day, currency"

NOTE = "it's \"quoted\"; DROP TABLE sales -- $day {region} \\ é"


def write_job(folder, name, sql, raw, output, parameters):
    """A job in a file of SQL, over the raw payments."""
    sections = {f"parameters.{parameter}": keys for parameter, keys in parameters.items()} | {
        "tables.payments": {"url": raw, "format": "csv"},
        "tables.payments.types": {"id": "int64", "amount": "decimal(12,2)", "day": "date"},
        "output": {"url": output, "partition_by": "dt"},
    }
    (folder / f"{name}.sql").write_text(f'/*---\nsummary = "A job of the tests"\n{samples.toml(sections)}---*/\n{sql.strip()}\n')


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, settings):
    """A folder of jobs."""
    [folder] = settings[""]["locations"]
    jobs = tmp_path_factory.mktemp("jobs")
    write_job(jobs, "every_type", EVERY_TYPE, folder / "raw", folder / "every_type", TYPES)
    write_job(jobs, "totals", TOTALS, folder / "raw", folder / "totals", {"day": TYPES["day"]})
    return jobs


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, settings, jobs):
    """A server that does the work itself and knows the folder's jobs."""
    with sql_servers.serve(tmp_path_factory.mktemp("embedded"), settings, f"--jobs-folder={jobs}") as server:
        yield server


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory, settings, jobs):
    """A cluster that knows them, and may name the places of the real data."""
    named = os.environ.get("CAMBIST_DATA")
    data = [pathlib.Path(named).resolve()] if named else []
    places = {"": {"locations": [*settings[""]["locations"], *data, tmp_path_factory.getbasetemp()]}}
    folder = tmp_path_factory.mktemp("on_cluster")
    with sql_servers.on_cluster(folder, settings | places, f"--jobs-folder={jobs}") as (server, _):
        yield server


@pytest.fixture(params=["embedded", "on_cluster"])
def knowing(request):
    """A server that knows the folder's jobs: one that does the work itself, and one of a cluster."""
    return request.getfixturevalue(request.param), request.param


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def declared(server, name, output):
    """Declares a table over what a job has written."""
    sql_servers.execute(server, f"CREATE EXTERNAL TABLE IF NOT EXISTS {name} STORED AS CAMBIST LOCATION '{output}'", "ada")
    return name


def test_a_call_gives_each_type_of_parameter(knowing, settings):
    server, name = knowing
    [folder] = settings[""]["locations"]
    output = folder / f"every_type_{name}"
    statement = (
        f"CALL every_type(day => DATE '2024-05-03', least => 10.000000000000000001, last => 5, note => {quoted(NOTE)}, "
        f"is_large => true, noted_at => TIMESTAMP '2024-05-03 12:30:00.123456Z', output_url => '{output}')")
    row = call(server, statement)
    assert (row["state"], row["error"]) == ("published", None), row
    # One payment has exactly 10, which is less than the least amount.
    assert row["report_json"]["rows"] == 3, row
    expected = {
        "amount": {2: "20.00", 3: "100.00", 4: "89.95"},
        "all": {"least": decimal.Decimal("10.000000000000000001"), "last": 5, "note": NOTE, "is_large": True,
                "noted_at": datetime.datetime(2024, 5, 3, 12, 30, 0, 123456, datetime.timezone.utc), "region": "eu"},
    }

    def check(rows):
        assert {row["id"]: str(row["amount"]) for row in rows} == expected["amount"]
        for row in rows:
            instant = row["noted_at"]
            found = {key: row[key] for key in expected["all"]}
            found["noted_at"] = instant if instant.tzinfo else instant.replace(tzinfo=datetime.timezone.utc)
            assert found == expected["all"]
            assert str(row["dt"]) == "2024-05-03"

    check(cambist.read(output).to_pylist())
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {declared(server, f'typed_{name}', output)}")
        check(cursor.fetch_arrow_table().to_pylist())
    again = call(server, statement)
    assert (again["report_json"]["status"], again["report_json"]["content_hash"]) == (
        "already_done", row["report_json"]["content_hash"]), again


def test_the_arguments_of_a_job_of_a_folder_are_checked(knowing):
    server, _ = knowing
    for arguments, expected in (
        ("day => DATE '2024-05-03', no_such => 1", "no_such"),
        ("day => 5", "day"),
        ("day => 'today'", "day"),
        ("", "day"),
        ("day => DATE '2024-05-03', output_url => '/etc/totals'", "/etc/totals"),
    ):
        status, text = refusal(server, f"CALL totals({arguments})", "oli")
        assert status in ("INVALID_ARGUMENT", "UNAUTHORIZED") and expected in text, (arguments, text)
    status, text = refusal(server, "CALL every_type(day => DATE '2024-05-03', least => 0.0000000000000000001, last => 1, "
                           "note => '', is_large => false, noted_at => TIMESTAMP '2024-05-03 00:00:00Z')", "oli")
    assert status == "INVALID_ARGUMENT" and "least" in text, text
    assert server.rows("SELECT DISTINCT option FROM system.jobs WHERE job = 'totals' ORDER BY 1") == [
        ("day",), ("output.url",), ("run.batch",)]


def test_a_call_groups_like_the_command_line(knowing, settings, jobs, tmp_path):
    server, name = knowing
    [folder] = settings[""]["locations"]
    output = folder / f"totals_{name}"
    row = call(server, f"CALL totals(day => DATE '2024-05-03', output_url => '{output}')")
    done = cambist.run("run", "totals", "--jobs-folder", jobs, "--set", "day=2024-05-03",
                       "--set", f"output.url={tmp_path / 'totals'}")
    assert done.code == cambist.DONE, done
    assert row["report_json"]["content_hash"] == done.summary["content_hash"]
    rows = server.rows(f"SELECT currency, n, amount FROM {declared(server, f'totals_{name}', output)} ORDER BY 1")
    assert rows == [("EUR", 2, decimal.Decimal("30.00")), ("USD", 2, decimal.Decimal("20.00"))]


def test_a_run_that_is_not_waited_for_is_listed_and_can_be_cancelled(knowing, settings):
    server, name = knowing
    [folder] = settings[""]["locations"]
    later = call(server, f"CALL totals(day => DATE '2024-05-04', output_url => '{folder}/later_{name}', wait => false)")
    assert later["report"] is None and later["run_id"]
    states = f"SELECT state FROM system.runs WHERE run_id = '{later['run_id']}'"
    clusters.wait_until(lambda: server.rows(states, user="oli") == [("published",)], "the run does not end")
    # What is over stays as it is.
    status, text = "done", ""
    try:
        cancelled = call(server, f"CALL cancel_run('{later['run_id']}')")
        assert cancelled["state"] == "published", cancelled
    except Exception as error:
        status, text = "refused", str(error)
    assert server.rows(states, user="oli") == [("published",)], (status, text)


def test_a_call_on_a_cluster_is_the_run_of_the_command_line(on_cluster, data, tmp_path):
    server = on_cluster
    (tmp_path / "alone").mkdir()
    summary, _ = retail.normalize(data, tmp_path / "alone", retail.ALL_IN_POUNDS)
    called = tmp_path / "called"
    arguments = (
        f"source => '{data}/retail/online_retail.csv.gz', format => 'csv', encoding => 'latin1', "
        f"time_zone => 'Europe/London', time_format => '%m/%d/%Y %H:%M', sql => {quoted(retail.ALL_IN_POUNDS)}, "
        "types => '{\"Quantity\": \"int64\", \"UnitPrice\": \"decimal(18,4)\"}', "
        f"rates => '{data}/oxr/daily', to => 'INR,SGD,USD', max_quarantine_ratio => 0.01, lineage => true")
    row = call(server, f"CALL normalize({arguments}, output => '{called}', wait => true)")
    assert row["state"] == "published", row
    report = row["report_json"]
    for same in ("content_hash", "records_in", "converted", "quarantined", "totals", "source_totals", "partitions"):
        assert report[same] == summary[same], same
    later = call(server, f"CALL normalize({arguments}, output => '{called}', wait => false)")
    assert later["report"] is None and later["run_id"] != row["run_id"]
    clusters.wait_until(
        lambda: (later["run_id"], "published") in server.rows("SELECT run_id, state FROM system.runs", user="oli"),
        "the run does not end")
