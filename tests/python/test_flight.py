"""SQL over Arrow Flight SQL, with the clients that people have: the ADBC driver, pandas, polars, `cambist sql`."""

import csv
import decimal
import io
import os
import pathlib
import subprocess

import pyarrow as pa
import pytest

import cambist
import flight_sql
import sql_servers

LOGIC_FILES = sorted((pathlib.Path(__file__).parents[1] / "sql_logic" / "files").glob("*.slt"))


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
        assert set(tables) == {"payments", "sales", "history", "rates"}
        assert [column["column_name"] for column in tables["payments"]["table_columns"]] == [
            "id", "amount", "currency", "day"]
        assert {"runs", "jobs", "functions", "executors", "snapshots", "commits", "quarantine", "queries"} <= {
            table["table_name"] for table in schemas["system"]}
        schema = connection.adbc_get_table_schema("sales", db_schema_filter="public")
        assert schema.field("amount_eur").type == pa.decimal128(38, 2)
        assert set(connection.adbc_get_table_types()) >= {"TABLE"}
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Cambist", info


@pytest.fixture(scope="module")
def raw(server):
    """A client without a driver, for what drivers do not send."""
    with flight_sql.connect(server, server.token("rea")) as client:
        yield client


def test_the_metadata_calls_of_business_intelligence_tools(raw):
    assert raw.ask("CommandGetCatalogs").column("catalog_name").to_pylist() == ["cambist"]
    assert raw.ask("CommandGetDbSchemas").column("db_schema_name").to_pylist() == ["public", "system"]
    assert "TABLE" in raw.ask("CommandGetTableTypes").column("table_type").to_pylist()
    found = raw.ask("CommandGetTables", {1: "cambist", 2: "public", 3: "sal%", 5: 1}).to_pylist()
    [(name, schema)] = [(table["table_name"], pa.ipc.read_schema(pa.py_buffer(table["table_schema"]))) for table in found]
    assert name == "sales" and schema.field("amount_eur").type == pa.decimal128(38, 2)

    keys = raw.ask("CommandGetPrimaryKeys", {1: "cambist", 2: "public", 3: "sales"})
    assert keys.column_names == [
        "catalog_name", "db_schema_name", "table_name", "column_name", "key_name", "key_sequence"]
    assert keys.num_rows == 0
    for foreign in ("CommandGetExportedKeys", "CommandGetImportedKeys"):
        assert raw.ask(foreign, {3: "sales"}).num_rows == 0


def test_what_the_server_can_do_is_told(raw):
    every = {row["info_name"]: row["value"] for row in raw.ask("CommandGetSqlInfo").to_pylist()}
    # Numbers of the protocol: name, read only, SQL, Substrait, transactions, cancelling, quote of names.
    assert (every[0], every[3], every[4], every[5], every[8], every[9], every[504]) == (
        "Cambist", True, True, False, 0, True, '"')
    asked = raw.ask("CommandGetSqlInfo", {1: [0, 4]}).to_pylist()
    assert {row["info_name"]: row["value"] for row in asked} == {0: "Cambist", 4: True}


def test_the_types_are_told(raw):
    types = {row["type_name"]: row for row in raw.ask("CommandGetXdbcTypeInfo").to_pylist()}
    assert {"BOOLEAN", "BIGINT", "DECIMAL", "DATE"} <= set(types), set(types)
    # As ODBC numbers them.
    assert (types["BIGINT"]["data_type"], types["DECIMAL"]["data_type"]) == (-5, 3)
    assert (types["DECIMAL"]["column_size"], types["DECIMAL"]["maximum_scale"]) == (38, 38)
    [decimal_type] = raw.ask("CommandGetXdbcTypeInfo", {1: 3}).to_pylist()
    assert decimal_type == types["DECIMAL"]


def test_the_columns_that_are_announced_are_those_that_come(raw):
    handle = raw.prepare("SELECT $1 AS value, amount * $2 AS product FROM payments WHERE id = 1")
    raw.bind(handle, pa.record_batch({"$1": [7], "$2": pa.array([decimal.Decimal("1.5")])}))
    # `ask` compares what GetFlightInfo has told with what DoGet sends.
    [row] = raw.execute_prepared(handle).to_pylist()
    assert row == {"value": 7, "product": decimal.Decimal("15")}


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


def logic_program():
    """What runs the files of SQL logic tests: built beside the program under test, where nothing else is said."""
    named = os.environ.get("CAMBIST_SQL_LOGIC_BIN")
    program = pathlib.Path(named) if named else pathlib.Path(cambist.binary()).with_name("sql-logic")
    if not os.access(program, os.X_OK):
        pytest.fail(f"no program at `{program}`: build it with `cargo build --bin sql-logic`, or name it in "
                    "CAMBIST_SQL_LOGIC_BIN")
    return program


def logic(server):
    """Runs every file of SQL logic tests against a server."""
    # The log has nanoseconds, the column the next microsecond.
    [(first, second)] = server.rows(
        "SELECT CAST(min(committed_at) AS TEXT), CAST(max(committed_at) - INTERVAL '1 microsecond' AS TEXT) "
        "FROM system.commits WHERE \"table\" = 'history'")
    done = subprocess.run(
        [logic_program(), server.uri, server.ca, "ada", *LOGIC_FILES], text=True, capture_output=True,
        timeout=cambist.TIMEOUT_SECONDS, env=cambist.clean_environment() | {
            "CAMBIST_PASSWORD": sql_servers.PASSWORDS["ada"], "AFTER_THE_FIRST": first, "BEFORE_THE_SECOND": second})
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


@pytest.fixture(params=["server", "clustered"])
def anywhere(request):
    """A server that does the work itself, and one of a cluster."""
    found = request.getfixturevalue(request.param)
    return found[0] if isinstance(found, tuple) else found


def test_a_function_is_asked_only_for_the_rows_that_stay(anywhere):
    with anywhere.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET cambist.rates_mode = 'instant'")
        # The payments in EUR and USD are from before the first rates.
        cursor.execute("SELECT currency, fx_convert(amount, currency, day, 'EUR') FROM payments "
                       "WHERE currency IN ('GBP', 'INR') ORDER BY currency")
        assert cursor.fetchall() == [("GBP", decimal.Decimal("116.62")), ("INR", decimal.Decimal("1.00"))]


def test_the_instant_that_is_told_of_a_commit_is_one_at_which_it_is_there(server):
    for commit, instant in server.rows("SELECT commit, CAST(committed_at AS TEXT) FROM system.commits "
                                       "WHERE \"table\" = 'history' ORDER BY commit"):
        assert server.rows(f"SELECT count(*) FROM table_at('history', '{instant}')") == [({1: 6, 2: 8}[commit],)]


def test_rows_are_counted_whose_columns_nobody_asks_for(clustered):
    server, _ = clustered
    assert server.rows("SELECT count(*) FROM payments CROSS JOIN generate_series(1, 1000)") == [(6000,)]


@pytest.mark.parametrize(("sql", "rows"), [
    ("SELECT id FROM payments WHERE id = 1 UNION ALL SELECT 0", {(0,), (1,)}),
    ("SELECT amount_eur FROM sales WHERE id = '1' UNION ALL SELECT amount_eur FROM sales WHERE dt = '1999-01-01'",
     {(decimal.Decimal("10.00"),)}),
    ("SELECT \"table\" FROM system.quarantine", {("history",)}),
], ids=["constants", "no partition", "quarantine"])
def test_a_union_with_what_is_empty(clustered, sql, rows):
    server, _ = clustered
    assert set(server.rows(sql)) == rows
