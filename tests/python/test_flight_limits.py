"""What one statement, one client and many of them may take from a server of SQL, and that it is given back."""

import contextlib
import datetime
import decimal
import signal
import subprocess
import threading

import adbc_driver_manager
import pyarrow as pa
import pytest

import cambist
import clusters
import flight_sql
import sql_servers
from sql_servers import ENDLESS, ENDLESS_LOOP, ENDLESS_OF_A_FILE

CLIENTS = 64
# Many clients on a slow machine: who has no answer by then hangs.
PATIENCE_SECONDS = 600

BIG = ("SELECT a.value * 5000 + b.value AS id, CAST(b.value AS DECIMAL(18, 2)) AS amount, a.value % 7 AS kind "
       "FROM generate_series(0, {last}) AS a CROSS JOIN generate_series(0, 4999) AS b")
# The same beside a row of a file, so that on a cluster an executor makes the rows.
BIG_OF_A_FILE = BIG.replace("FROM", "FROM payments AS p CROSS JOIN") + " WHERE p.id = 1"


def read(server, sql):
    """How many rows come, and the sum of their ids, without keeping them."""
    rows, total = 0, 0
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            total += pa.compute.sum(batch.column("id")).as_py()
    return rows, total


def check_memory_of_a_large_result(server, sql, pid, rows, megabytes_max):
    """A small result takes what it takes; a large one takes no more than is under way at once."""
    assert read(server, sql.format(last=19)) == (100_000, 100_000 * 99_999 // 2)
    small = sql_servers.memory_peak_kib(pid)
    assert read(server, sql.format(last=rows // 5000 - 1)) == (rows, rows * (rows - 1) // 2)
    grown = (sql_servers.memory_peak_kib(pid) - small) >> 10
    assert grown < megabytes_max, f"the process has grown by {grown} MiB"


def test_twenty_million_rows_pass_through(tmp_path, settings):
    # A server of its own: what others have taken from it would hide what this takes. The result is some 600 MiB.
    with sql_servers.serve(tmp_path / "server", settings) as server:
        check_memory_of_a_large_result(server, BIG, server.process.pid, 20_000_000, 200)


def test_a_large_result_passes_through_the_scheduler(clustered):
    # Some 150 MiB. This is the first test of the cluster.
    server, cluster = clustered
    before = cluster.metric("cambist_plan_submissions_total")
    check_memory_of_a_large_result(server, BIG_OF_A_FILE, cluster.processes()[0], 5_000_000, 75)
    assert cluster.metric("cambist_plan_submissions_total") > before


@contextlib.contextmanager
def asking(server, sql, user="rea"):
    """A statement that is at work in a thread; yields its cursor. Afterwards it must have failed."""
    failed = []
    with server.connect(user) as connection, connection.cursor() as cursor:

        def ask():
            try:
                cursor.execute(sql)
                cursor.fetchall()
            except adbc_driver_manager.Error as error:
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            clusters.wait_until(lambda: server.is_at_work(sql), "the query does not run")
            yield cursor
        finally:
            cursor.adbc_cancel()
            thread.join(clusters.WAIT_SECONDS)
        assert not thread.is_alive() and failed, f"it was not cancelled: {sql}"


def wait_until_idle(server):
    """Waits until nothing runs, and the server's process has nothing to do."""
    clusters.wait_until(lambda: sql_servers.is_idle(server.process.pid), "the work goes on")


def wait_until_executors_are_idle(server, cluster):
    """Waits until every vcore is free, and no executor's process has anything to do."""
    asked = "SELECT count(*), sum(vcores_total - vcores_free) FROM system.executors"
    clusters.wait_until(lambda: server.rows(asked, "ada") == [(2, 0)], "vcores are not free")
    clusters.wait_until(lambda: sql_servers.is_idle(*cluster.processes()[1]), "the executors' work goes on")


def wait_until_executors_work(server):
    asked = "SELECT sum(vcores_total - vcores_free) FROM system.executors"
    clusters.wait_until(lambda: server.rows(asked, "ada") != [(0,)], "no vcore is taken")


def test_cancel_stops_the_work(server):
    with asking(server, ENDLESS) as cursor:
        assert not sql_servers.is_idle(server.process.pid)
        cursor.adbc_cancel()
    wait_until_idle(server)


def test_cancel_stops_the_work_of_executors(clustered):
    server, cluster = clustered
    with asking(server, ENDLESS_OF_A_FILE) as cursor:
        wait_until_executors_work(server)
        assert not sql_servers.is_idle(*cluster.processes()[1])
        cursor.adbc_cancel()
    wait_until_executors_are_idle(server, cluster)


@contextlib.contextmanager
def raw_asking(server, sql):
    """A statement that is at work for a client without a driver; yields the client and the result's FlightInfo."""
    failed = []
    with flight_sql.connect(server, server.token("rea")) as raw:
        info = raw.info("CommandStatementQuery", {1: sql})
        thread = threading.Thread(target=lambda: failed.append(flight_sql.refusal(raw.fetch, info)))
        thread.start()
        clusters.wait_until(lambda: server.is_at_work(sql), "the query does not run")
        yield raw, info
        thread.join(clusters.WAIT_SECONDS)
        assert not thread.is_alive() and failed, f"it was not cancelled: {sql}"


def test_cancel_flight_info_stops_the_work(server):
    with raw_asking(server, ENDLESS) as (raw, info):
        raw.cancel(info)
    wait_until_idle(server)


def test_cancel_flight_info_stops_the_work_of_executors(clustered):
    server, cluster = clustered
    with raw_asking(server, ENDLESS_OF_A_FILE) as (raw, info):
        wait_until_executors_work(server)
        raw.cancel(info)
    wait_until_executors_are_idle(server, cluster)


def go_away(server, sql, when):
    """A client that is killed while its statement is at work."""
    command = [cambist.binary(), "sql", "--endpoint", server.uri, "--tls-ca", server.ca, "--user", "rea", sql]
    client = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=cambist.clean_environment({"CAMBIST_PASSWORD": sql_servers.PASSWORDS["rea"]}))
    try:
        clusters.wait_until(lambda: server.is_at_work(sql), "the query does not run")
        when()
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()


def test_a_client_that_goes_away_ends_the_work(server):
    go_away(server, ENDLESS, lambda: None)
    wait_until_idle(server)


def test_a_client_that_goes_away_ends_the_work_of_executors(clustered):
    server, cluster = clustered
    go_away(server, ENDLESS_OF_A_FILE, lambda: wait_until_executors_work(server))
    wait_until_executors_are_idle(server, cluster)


@pytest.fixture(scope="module")
def limited(tmp_path_factory, settings):
    """A server that lets a reader do one thing at a time, and an operator nothing that takes long."""
    limits = settings | {
        "limits.reader": {"concurrent_queries": 1, "run_seconds": 3600, "result_bytes": 1000},
        "limits.operator": {"concurrent_queries": 64, "run_seconds": 1, "result_bytes": 1_000_000},
    }
    with sql_servers.serve(tmp_path_factory.mktemp("limited"), limits) as running:
        yield running


def test_a_statement_that_takes_too_long_is_ended_with_its_work(limited):
    status, text = limited.refusal(ENDLESS, "oli")
    assert sql_servers.grpc_code(text) == "DeadlineExceeded", text
    wait_until_idle(limited)


def test_a_result_that_is_too_large_is_refused(limited):
    _, text = limited.refusal("SELECT * FROM generate_series(1, 100000)")
    assert sql_servers.grpc_code(text) == "ResourceExhausted", text
    assert limited.rows("SELECT * FROM generate_series(1, 10)") == [(number,) for number in range(1, 11)]


def test_clients_beyond_the_limits_are_refused_while_the_others_work(limited):
    refused = []
    token = limited.token("rea")

    def client():
        try:
            with limited.connect(token=token) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM payments")
                refused.append(f"it was not refused: {cursor.fetchall()}")
        except adbc_driver_manager.Error as error:
            refused.append(sql_servers.grpc_code(str(error)))

    with asking(limited, ENDLESS):
        finish(threading.Thread(target=client) for _ in range(CLIENTS))
        # Nobody has waited for a place: the one who has it is still at work.
        assert limited.is_at_work(ENDLESS)
    assert refused == ["ResourceExhausted"] * CLIENTS
    clusters.wait_until(lambda: not limited.is_at_work(ENDLESS), "the query goes on")
    assert limited.rows("SELECT 1") == [(1,)]


def finish(threads):
    """Starts threads, and waits for them all."""
    threads = list(threads)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)


def test_sixty_four_clients_at_once(server):
    right = {
        "SELECT count(*) FROM payments": [(6,)],
        "SELECT sum(amount_eur) FROM sales WHERE dt = '2024-05-04'": [(decimal.Decimal("116.62"),)],
        "SELECT 1": [(1,)],
        "SELECT fx_convert(amount, currency, day, 'EUR') FROM payments WHERE id = 3": [(decimal.Decimal("116.62"),)],
        "SELECT fx_rate_date('EUR', 'KWD', DATE '2024-05-06')": [(datetime.date(2024, 5, 3),)],
    }
    asked = list(right)
    wrong, answers, barrier = [], [], threading.Barrier(CLIENTS)
    token = server.token("rea")

    def client(number):
        try:
            with server.connect(token=token) as connection:
                barrier.wait(PATIENCE_SECONDS)
                for turn in range(4):
                    statement = asked[(number + turn) % len(asked)]
                    with connection.cursor() as cursor:
                        cursor.execute(statement)
                        answer = cursor.fetchall()
                    (answers if answer == right[statement] else wrong).append((statement, answer))
        except Exception as error:
            wrong.append(error)
            barrier.abort()

    finish(threading.Thread(target=client, args=(number,)) for number in range(CLIENTS))
    assert not wrong, wrong[:3]
    assert len(answers) == 4 * CLIENTS


@pytest.fixture(scope="module")
def fragile(tmp_path_factory, settings):
    """A server for statements that may end it; a new one where the last has died."""
    with contextlib.ExitStack() as stack:
        running = []

        def alive():
            if not running or running[-1].process.poll() is not None:
                folder = tmp_path_factory.mktemp("fragile")
                running.append(stack.enter_context(sql_servers.serve(folder, settings)))
            return running[-1]

        yield alive


def test_cancel_stops_a_nested_loop(fragile):
    server = fragile()
    with asking(server, ENDLESS_LOOP) as cursor:
        cursor.adbc_cancel()
    wait_until_idle(server)


def test_cancel_stops_a_nested_loop_of_an_executor(tmp_path, settings):
    # A cluster of its own: were the work to go on, nobody else's would begin.
    with sql_servers.on_cluster(tmp_path / "cluster", settings) as (server, cluster):
        with asking(server, ENDLESS_LOOP) as cursor:
            wait_until_executors_work(server)
            cursor.adbc_cancel()
        wait_until_executors_are_idle(server, cluster)
        assert server.rows("SELECT count(*) FROM payments") == [(6,)]


BYTES = 1 << 20


@pytest.mark.parametrize(("first", "next_one", "last"), [
    ("SELECT 1", "+1", ""), ("SELECT true", " OR true", ""), ("SELECT 1", " UNION ALL SELECT 1", ""),
    ("SELECT ", "NOT ", "true"), ("SELECT ", "- ", "1"), ("SELECT ", "(", "1"), ("SELECT 1", "::INT", ""),
    ("SELECT ", "CASE WHEN true THEN ", "1"),
], ids=["plus", "or", "union", "not", "minus", "parenthesis", "cast", "case"])
def test_a_statement_of_very_many_parts_is_refused_and_the_server_lives(fragile, first, next_one, last):
    server = fragile()
    parts = (BYTES - len(first) - len(last)) // len(next_one)
    _, text = server.refusal(first + next_one * parts + last)
    assert sql_servers.grpc_code(text) == "InvalidArgument", text[:1000]
    assert server.process.poll() is None
    assert server.rows("SELECT 1") == [(1,)]
