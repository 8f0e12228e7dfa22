"""SQL over Arrow Flight SQL, with the clients that people have: the ADBC driver, pandas, polars, `cambist sql`."""

import csv
import decimal
import io
import os
import pathlib
import subprocess
import threading
import time

import adbc_driver_manager
import pyarrow as pa
import pytest

import cambist
import clusters
import retail
import sql_servers

MANY_ROWS = 20_000_000
MEGABYTE = 1024

BIG = ("SELECT a.value * 5000 + b.value AS id, CAST(b.value AS DECIMAL(18, 2)) AS amount, a.value % 7 AS kind "
       "FROM generate_series(0, 3999) AS a CROSS JOIN generate_series(0, 4999) AS b")
ENDLESS = ("SELECT count(*) FROM generate_series(1, 10000000) AS a CROSS JOIN generate_series(1, 10000000) AS b "
           "WHERE a.value % 1000 = b.value % 999")

LOGIC_FILES = sorted((pathlib.Path(__file__).parents[1] / "sql_logic" / "files").glob("*.slt"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A raw table, a table, rates."""
    return sql_servers.payments(tmp_path_factory.mktemp("payments"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, settings):
    """One server that does the work itself, for all tests of this file."""
    with sql_servers.serve(tmp_path_factory.mktemp("server"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def clustered(tmp_path_factory, settings, data_or_none):
    """A cluster of two executors that serves SQL."""
    more = {"": {"locations": [*settings[""]["locations"], *data_or_none, tmp_path_factory.getbasetemp()]}}
    with sql_servers.on_cluster(tmp_path_factory.mktemp("clustered"), settings | more) as (running, cluster):
        yield running, cluster


@pytest.fixture(scope="module")
def data_or_none():
    named = os.environ.get("CAMBIST_DATA")
    return [pathlib.Path(named).resolve()] if named else []


def test_a_query_gives_rows_of_exact_types(server):
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, amount, currency, day FROM payments ORDER BY id")
        table = cursor.fetch_arrow_table()
    assert table.schema.types == [pa.int64(), pa.decimal128(12, 2), pa.string(), pa.date32()]
    assert table.column("amount").to_pylist()[3] == decimal.Decimal("89.95")
    assert table.num_rows == 6


def test_parameters_are_bound(server):
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM payments WHERE currency = ? AND amount > ? ORDER BY id",
                       ("USD", decimal.Decimal("9.99")))
        assert cursor.fetchall() == [(5,), (6,)]
        cursor.execute("SELECT id FROM payments WHERE currency = $1", ("GBP",))
        assert cursor.fetchall() == [(3,)]


def test_a_prepared_statement_reads_the_present_state(tmp_path):
    settings = sql_servers.payments(tmp_path / "payments")
    with sql_servers.serve(tmp_path / "server", settings) as server, server.connect() as connection:
        with connection.cursor() as cursor:
            cursor.adbc_prepare("SELECT count(*) FROM payments WHERE currency = ?")
            cursor.execute("SELECT count(*) FROM payments WHERE currency = ?", ("USD",))
            assert cursor.fetchall() == [(2,)]
            raw = tmp_path / "payments" / "raw"
            (raw / "more.csv").write_text("id,amount,currency,day\n7,1.00,USD,2024-05-03\n")
            cursor.execute("SELECT count(*) FROM payments WHERE currency = ?", ("USD",))
            assert cursor.fetchall() == [(3,)]


def test_metadata_calls(server):
    with server.connect() as connection:
        objects = connection.adbc_get_objects(depth="columns").read_all().to_pylist()
        [catalog] = [found for found in objects if found["catalog_name"] == "cambist"]
        schemas = {schema["db_schema_name"]: schema["db_schema_tables"] for schema in catalog["catalog_db_schemas"]}
        tables = {table["table_name"]: table for table in schemas["public"]}
        assert set(tables) == {"payments", "sales", "rates"}
        assert [column["column_name"] for column in tables["payments"]["table_columns"]] == [
            "id", "amount", "currency", "day"]
        assert {"runs", "jobs", "functions", "executors", "snapshots", "commits", "quarantine", "queries"} <= {
            table["table_name"] for table in schemas["system"]}
        schema = connection.adbc_get_table_schema("sales", db_schema_filter="public")
        assert schema.field("amount_eur").type == pa.decimal128(38, 2)
        assert set(connection.adbc_get_table_types()) >= {"TABLE"}
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Cambist", info


def test_twenty_million_rows_pass_through(server):
    before = server.memory_peak_kib()
    rows, total = 0, 0
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(BIG)
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            total += pa.compute.sum(batch.column("id")).as_py()
    assert (rows, total) == (MANY_ROWS, MANY_ROWS * (MANY_ROWS - 1) // 2)
    grown = (server.memory_peak_kib() - before) / MEGABYTE
    # The whole result is some 600 MB.
    assert grown < 200, f"the server has grown by {grown:.0f} MiB"


def test_cancel_stops_the_work(server):
    with server.connect() as connection, connection.cursor() as cursor:
        failed = []

        def ask():
            try:
                cursor.execute(ENDLESS)
                cursor.fetchall()
            except adbc_driver_manager.Error as error:
                failed.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        clusters.wait_until(lambda: running(server, ENDLESS), "the query does not run")
        cursor.adbc_cancel()
        asking.join(30)
        assert not asking.is_alive() and failed, failed
    clusters.wait_until(lambda: not running(server, ENDLESS), "the query goes on")


def running(server, sql):
    """Whether a statement is at work."""
    states = server.rows("SELECT statement, state FROM system.queries", user="ada")
    return any(statement == sql and state == "running" for statement, state in states)


def test_who_is_not_let_in_learns_nothing(server):
    texts = set()
    for user, password in (("rea", "wrong"), ("nobody", "wrong"), ("rea", ""), ("", "")):
        with pytest.raises(adbc_driver_manager.Error) as refused:
            with server.connect(user, password) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        assert refused.value.status_code.name == "UNAUTHENTICATED", refused.value
        texts.add(str(refused.value).split("Vendor code")[0].replace(user or "\0", ""))
    with pytest.raises(adbc_driver_manager.Error) as refused:
        with server.connect(token="cambist_forged") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    assert refused.value.status_code.name == "UNAUTHENTICATED"


def test_each_role_may_do_its_statements_and_no_others(server, settings):
    [folder] = settings[""]["locations"]
    call = f"CALL compact(output => '{folder}/sales')"
    create = f"CREATE EXTERNAL TABLE role_test STORED AS CAMBIST LOCATION '{folder}/sales'"
    statements = [
        ("SELECT count(*) FROM sales", {"rea", "oli", "ada"}),
        ("EXPLAIN SELECT count(*) FROM sales", {"rea", "oli", "ada"}),
        ("SHOW TABLES", {"rea", "oli", "ada"}),
        ("DESCRIBE sales", {"rea", "oli", "ada"}),
        ("SET cambist.rates = 'rates'", {"rea", "oli", "ada"}),
        (call, {"oli", "ada"}),
        (create, {"ada"}),
        ("DROP TABLE role_test", {"ada"}),
        ("INSERT INTO sales SELECT * FROM sales", set()),
        ("DELETE FROM sales", set()),
        ("UPDATE sales SET dt = ''", set()),
        ("CREATE TABLE t AS SELECT 1 AS a", set()),
        ("CREATE VIEW v AS SELECT 1 AS a", set()),
        (f"COPY sales TO '{folder}/copy.csv'", set()),
        ("SET datafusion.execution.batch_size = '1'", set()),
        ("DROP TABLE sales", set()),
    ]
    for statement, allowed in statements:
        for user in ("rea", "oli", "ada"):
            if user in allowed:
                execute(server, statement, user)
            else:
                status, text = refusal(server, statement, user)
                assert status in ("UNAUTHORIZED", "INVALID_ARGUMENT", "NOT_IMPLEMENTED", "INVALID_STATE", "NOT_FOUND"), (
                    user, statement, text)
    assert not (folder / "copy.csv").exists()


def execute(server, statement, user):
    """Executes a statement, whether it returns rows or not."""
    with server.connect(user) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        if cursor.description:
            cursor.fetchall()


def refusal(server, statement, user):
    try:
        execute(server, statement, user)
    except adbc_driver_manager.Error as error:
        return error.status_code.name, str(error)
    raise AssertionError(f"{user} was not refused: {statement}")


@pytest.mark.parametrize("place", [
    "/etc/passwd", "file:///etc/passwd", "{folder}/../../../../etc/passwd", "file://{folder}/%2e%2e/%2e%2e/etc/passwd",
    "file://{folder}/../secret.csv", "{folder}//..//..//secret.csv", "{folder}/link/passwd", "s3://elsewhere/x.csv",
    "http://127.0.0.1/x.csv", "",
])
def test_no_statement_names_a_place_outside(server, settings, place):
    [folder] = settings[""]["locations"]
    link = folder / "link"
    if not link.exists():
        link.symlink_to("/etc")
    place = place.format(folder=folder)
    for statement in (
        f"CREATE EXTERNAL TABLE outside STORED AS CSV LOCATION '{place}'",
        f"CALL normalize(source => '{place}', rates => '{folder}/rates', to => 'EUR', output => '{folder}/out')",
        f"CALL normalize(source => '{folder}/raw', rates => '{folder}/rates', to => 'EUR', output => '{place}')",
    ):
        status, text = refusal(server, statement, "ada")
        assert status in ("UNAUTHORIZED", "INVALID_ARGUMENT"), (statement, text)
        assert "root:" not in text
    for statement in (f"SELECT * FROM '{place}'", f"SELECT * FROM read_csv('{place}')",
                      f"SELECT * FROM table_at('{place}', '2024-01-01T00:00:00Z')"):
        status, text = refusal(server, statement, "ada")
        assert status in ("INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHORIZED"), (statement, text)


def test_pandas_and_polars_read_exact_decimals(server):
    import polars
    with server.connect() as connection:
        frame = polars.read_database("SELECT amount_eur, source_amount, dt FROM sales ORDER BY id", connection)
        assert frame.schema["amount_eur"] == polars.Decimal(38, 2)
        assert frame["amount_eur"].to_list() == [
            decimal.Decimal(text) for text in ("10.00", "20.00", "116.62", "1.00", "9.29", "9.29")]
        with connection.cursor() as cursor:
            cursor.execute("SELECT amount_eur, source_amount FROM sales ORDER BY id")
            pandas_frame = cursor.fetch_df()
        assert pandas_frame["amount_eur"].sum() == decimal.Decimal("166.20")
        assert pandas_frame["source_amount"][3] == decimal.Decimal("89.95")


def test_the_audit_log_tells_who_did_what_and_no_secret(server):
    server.rows("SELECT 42 AS audited", user="oli")
    clusters.wait_until(
        lambda: [entry for entry in server.audit()
                 if entry.get("statement") == "SELECT 42 AS audited" and entry["outcome"] == "ok"],
        "the statement is not in the audit log")
    [entry] = [entry for entry in server.audit() if entry.get("statement") == "SELECT 42 AS audited"]
    assert (entry["user"], entry["action"], entry["rows"]) == ("oli", "select", 1)
    text = (server.folder / "audit.jsonl").read_text() + (server.folder / "serve.log").read_text()
    assert not [password for password in sql_servers.PASSWORDS.values() if password in text]


def test_limits_refuse_at_once(tmp_path, settings):
    limits = settings | {"limits.reader": {"concurrent_queries": 1, "run_seconds": 2, "result_bytes": 1000}}
    with sql_servers.serve(tmp_path / "server", limits) as server:
        status, text = server.refusal(ENDLESS)
        assert status in ("TIMEOUT", "CANCELLED"), text
        status, text = server.refusal("SELECT * FROM generate_series(1, 100000)")
        assert "1000" in text, text
        with server.connect() as connection, connection.cursor() as cursor:
            asking = threading.Thread(target=lambda: pytest.raises(adbc_driver_manager.Error, ask, cursor))
            asking.start()
            clusters.wait_until(lambda: running(server, ENDLESS), "the query does not run")
            status, text = server.refusal("SELECT 1")
            assert "RESOURCE_EXHAUSTED" in text or "ResourceExhausted" in text, text
            asking.join(30)
        assert server.rows("SELECT 1") == [(1,)]


def ask(cursor):
    cursor.execute(ENDLESS)
    cursor.fetchall()


def test_sixty_four_clients_at_once(server):
    failed, barrier = [], threading.Barrier(64)
    asked = ("SELECT count(*) FROM payments", "SELECT sum(amount_eur) FROM sales", "SELECT 1",
             "SELECT fx_convert(amount, currency, day, 'EUR') FROM payments")

    def client(number):
        try:
            with server.connect() as connection:
                barrier.wait(60)
                for turn in range(4):
                    with connection.cursor() as cursor:
                        cursor.execute(asked[(number + turn) % len(asked)])
                        cursor.fetchall()
        except Exception as error:
            failed.append(error)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(64)]
    for each in clients:
        each.start()
    for each in clients:
        each.join(120)
    assert not failed, failed[:3]
    assert not any(each.is_alive() for each in clients)


def test_a_call_on_a_cluster_is_the_run_of_the_command_line(clustered, data, tmp_path):
    server, _ = clustered
    (tmp_path / "alone").mkdir()
    summary, _ = retail.normalize(data, tmp_path / "alone", retail.ALL_IN_POUNDS)
    sql = retail.ALL_IN_POUNDS.replace("'", "''")
    called = tmp_path / "called"
    arguments = (
        f"source => '{data}/retail/online_retail.csv.gz', format => 'csv', encoding => 'latin1', "
        f"time_zone => 'Europe/London', time_format => '%m/%d/%Y %H:%M', sql => '{sql}', "
        "types => '{\"Quantity\": \"int64\", \"UnitPrice\": \"decimal(18,4)\"}', "
        f"rates => '{data}/oxr/daily', to => 'INR,SGD,USD', max_quarantine_ratio => 0.01, lineage => true")
    row = call(server, f"CALL normalize({arguments}, output => '{called}', wait => true)")
    assert row["state"] == "published", row
    report = row["report_json"]
    for same in ("content_hash", "records_in", "converted", "quarantined", "totals", "source_totals", "partitions"):
        assert report[same] == summary[same], same
    later = call(server, f"CALL normalize({arguments}, output => '{called}', wait => false)")
    assert later["report"] is None and later["run_id"] != row["run_id"]
    states = clusters.wait_until(
        lambda: [state for run_id, state in server.rows("SELECT run_id, state FROM system.runs", user="oli")
                 if run_id == later["run_id"] and state == "published"], "the run does not end")
    assert states == ["published"]


def call(server, statement, user="oli"):
    """The row of a `CALL`, with its report read."""
    import json
    with server.connect(user) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        [row] = cursor.fetch_arrow_table().to_pylist()
    return row | {"report_json": json.loads(row["report"], parse_float=str) if row["report"] else None}


def logic(server):
    """Runs every file of SQL logic tests against a server."""
    program = pathlib.Path(cambist.binary()).with_name("sql-logic")
    done = subprocess.run(
        [program, server.uri, server.ca, "ada", *LOGIC_FILES], text=True, capture_output=True, timeout=240,
        env=cambist.clean_environment({"CAMBIST_PASSWORD": sql_servers.PASSWORDS["ada"]}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passes") == len(LOGIC_FILES) > 0, done.stdout


def test_sql_logic_in_one_process(server):
    logic(server)


def test_sql_logic_on_a_cluster(clustered):
    server, cluster = clustered
    before = cluster.metric("cambist_plan_submissions_total")
    logic(server)
    assert cluster.metric("cambist_plan_submissions_total") > before


def test_cambist_sql_asks_a_server_and_this_process_alike(server, settings):
    [folder] = settings[""]["locations"]
    statement = "SELECT dt, sum(amount_eur) AS eur FROM sales GROUP BY dt ORDER BY dt"
    asked = server.sql(statement, "rea")
    here = cambist.run("sql", "--table", f"sales={folder / 'sales'}", statement)
    assert asked.code == here.code == cambist.DONE, (asked, here)
    assert asked.stdout == here.stdout
    rows = list(csv.DictReader(io.StringIO(here.stdout)))
    assert sum(decimal.Decimal(row["eur"]) for row in rows) == decimal.Decimal("166.20")


def test_cambist_sql_writes_files(settings, tmp_path):
    import pyarrow.parquet
    [folder] = settings[""]["locations"]
    out = tmp_path / "out.parquet"
    done = cambist.run("sql", "--table", f"sales={folder / 'sales'}", "--out", out, "SELECT * FROM sales")
    assert done.code == cambist.DONE, done
    assert pyarrow.parquet.read_table(out).num_rows == 6
    broken = cambist.run("sql", "--table", f"sales={folder / 'sales'}", "--out", tmp_path / "x.csv", "SELECT 1/0")
    assert broken.code != cambist.DONE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet"]


def test_explain_tells_the_rates(server):
    plan = server.rows("EXPLAIN SELECT fx_convert(amount, currency, day, 'EUR') FROM payments")
    [rates] = [text for kind, text in plan if kind == "rates"]
    assert "table=rates" in rates and "snapshots=2" in rates, plan
