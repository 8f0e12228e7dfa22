#!/usr/bin/env python3
"""Times what clients of SQL over Flight wait for.

    ./dev measure-sql [ROWS]            (20,000,000 rows unless told otherwise)

1. The first row of `SELECT * … LIMIT 10` of a Cambist table of 366 partitions, over an open connection: at a
   server that does the work itself, and at a warm cluster of two executors of one core each.
2. `fx_convert` over all rows, summed by currency, against the same query with a plain multiplication; the two
   take turns, the quickest of each counts.
3. All rows to one client, through TLS and without: MB of Arrow data a second, and the server's memory.
4. How long processes compute after a statement is cancelled that would go on for hours: the server, or executors.
5. 64 clients at once, each over a connection of its own, with short queries of several kinds.

The client is the ADBC driver for Flight SQL, in one process on the same machine, and has its share of the cores.
"""
import argparse
import contextlib
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from measure import TARGET, write_rates
from measure_cluster import normalize

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))
os.environ.setdefault("CAMBIST_BIN", str(TARGET / "cambist"))
import adbc_driver_manager  # noqa: E402
import cambist  # noqa: E402
import clusters  # noqa: E402
import sql_servers  # noqa: E402

MB = 1e6
CLIENTS = 64
TURNS = 20
SHORT = (
    "SELECT 1",
    "SELECT count(*) FROM sales WHERE dt = '2024-05-01'",
    "SELECT currency, sum(amount_sgd) FROM sales WHERE dt = '2024-05-02' GROUP BY currency",
    "SELECT fx_convert(DECIMAL '19.99', 'USD', DATE '2024-05-03', 'EUR')",
    "SELECT * FROM sales LIMIT 10",
    "SELECT table_name, column_name FROM information_schema.columns",
)
CONVERTED = ("SELECT currency, sum(fx_convert(amount, currency, event_time, 'EUR')) "
             "FROM transactions GROUP BY currency")
ENDLESS = "SELECT count(*) FROM sales AS a CROSS JOIN sales AS b WHERE a.amount_sgd + b.amount_sgd = 0.01"
MULTIPLIED = "SELECT currency, sum(amount * DECIMAL '1.0837') FROM transactions GROUP BY currency"


def prepare(folder, rows):
    """Raw transactions, rates, and the table that is made of them; returns the settings of a server of them."""
    write_rates(folder / "rates" / "ecb.csv")
    source, table = folder / "parquet", folder / "sql-sales"
    if not source.exists():
        subprocess.run([TARGET / "make_transactions", source, str(rows), "parquet"], check=True)
    command = normalize(source, "parquet", folder / "rates", table)
    # What is there already is found again: the same input is the same run.
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return {
        "": {"locations": [folder]},
        "tables.transactions": {"url": source, "kind": "raw", "format": "parquet"},
        "tables.sales": {"url": table, "kind": "cambist"},
        "tables.rates": {"url": folder / "rates", "kind": "rates"},
        "rates": {"default": "rates"},
        # Enough for the clients of part 5, who are one user.
        "limits.reader": {"concurrent_queries": CLIENTS},
    }


def first_row(connection):
    """Milliseconds from the statement to the first rows of its result."""
    before = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM sales LIMIT 10")
        batch = cursor.fetch_record_batch().read_next_batch()
        assert batch.num_rows, batch
        return (time.monotonic() - before) * 1000


def first_rows(name, server, wanted):
    """Part 1."""
    with server.connect() as connection:
        cold = first_row(connection)
        warm = sorted(first_row(connection) for _ in range(30))
    print(f"first row of LIMIT 10, {name:<9} first {cold:6.0f} ms   then median {statistics.median(warm):4.0f} ms, "
          f"slowest of 30 {warm[-1]:4.0f} ms   (under {wanted} ms wanted)", flush=True)


def converted(server, rows, rounds):
    """Part 2."""
    best = {}
    with server.connect() as connection:
        for _ in range(rounds):
            for name, sql in (("multiplication", MULTIPLIED), ("fx_convert", CONVERTED)):
                before = time.monotonic()
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    assert len(cursor.fetchall()) == 24
                best[name] = min(best.get(name, math.inf), time.monotonic() - before)
    print(f"{rows:,} rows summed by currency: multiplication {best['multiplication']:.2f} s, fx_convert "
          f"{best['fx_convert']:.2f} s, ratio {best['fx_convert'] / best['multiplication']:.2f}   (at most 1.3 wanted)",
          flush=True)


def transferred(name, server, rows, rounds):
    """Part 3."""
    with server.connect() as connection:
        connection.cursor().execute("SELECT 1")
        memory_before, best = server.memory_peak_kib(), 0
        for _ in range(rounds):
            before, received, count = time.monotonic(), 0, 0
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM transactions")
                for batch in cursor.fetch_record_batch():
                    received += batch.nbytes
                    count += batch.num_rows
            assert count == rows, count
            best = max(best, received / MB / (time.monotonic() - before))
    print(f"{received / MB:,.0f} MB to one client {name}: {best:4.0f} MB/s   memory of the server "
          f"{memory_before / 1024:.0f} MiB before, {server.memory_peak_kib() / 1024:.0f} MiB at its most", flush=True)


def cancelled(name, server, sql, pids, tries=5):
    """Part 4."""
    longest = 0
    for _ in range(tries):
        with server.connect() as connection, connection.cursor() as cursor:

            def ask():
                with contextlib.suppress(adbc_driver_manager.Error):
                    cursor.execute(sql)
                    cursor.fetchall()

            asking = threading.Thread(target=ask)
            asking.start()
            clusters.wait_until(lambda: share_of_core(pids) > 0.8, "the work does not begin")
            before = last = time.monotonic()
            cursor.adbc_cancel()
            while time.monotonic() - last < 1:
                if share_of_core(pids) > 0.2:
                    last = time.monotonic()
            asking.join()
            longest = max(longest, last - before)
    print(f"cancelled, {name:<9} nothing computes after {longest * 1000:4.0f} ms, the longest of {tries}, "
          f"looked at every 100 ms   (within 2000 ms wanted)", flush=True)


def share_of_core(pids):
    """How much processes compute, over a tenth of a second."""
    before, began = sum(map(cambist.cpu_seconds, pids)), time.monotonic()
    time.sleep(0.1)
    return (sum(map(cambist.cpu_seconds, pids)) - before) / (time.monotonic() - began)


def many_clients(server):
    """Part 5."""
    taken, failed, begin = [], [], threading.Barrier(CLIENTS)

    def client(number):
        try:
            with server.connect() as connection:
                begin.wait(120)
                for turn in range(TURNS):
                    before = time.monotonic()
                    with connection.cursor() as cursor:
                        cursor.execute(SHORT[(number + turn) % len(SHORT)])
                        assert cursor.fetchall()
                    taken.append(time.monotonic() - before)
        except Exception as error:  # The benchmark goes on, and tells how many there were.
            failed.append(error)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    taken.sort()
    print(f"{CLIENTS} clients, {len(taken):,} short queries: {len(failed)} errors, median "
          f"{statistics.median(taken) * 1000:.0f} ms, p99 {taken[int(len(taken) * 0.99)] * 1000:.0f} ms, slowest "
          f"{taken[-1] * 1000:.0f} ms   (p99 under 2000 ms wanted)", flush=True)
    for error in failed[:3]:
        print(f"  {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=20_000_000)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/cambist-measure"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = prepare(options.folder / str(options.rows), options.rows)
    with contextlib.ExitStack() as folders:
        def fresh():
            return pathlib.Path(folders.enter_context(tempfile.TemporaryDirectory()))

        with sql_servers.serve(fresh(), settings) as server:
            first_rows("embedded", server, 150)
            transferred("through TLS", server, options.rows, options.rounds)
            converted(server, options.rows, options.rounds)
            cancelled("embedded", server, ENDLESS, [server.process.pid])
            many_clients(server)
        with sql_servers.serve(fresh(), settings, tls=False) as server:
            transferred("without TLS", server, options.rows, options.rounds)
        with sql_servers.on_cluster(fresh(), settings) as (server, cluster):
            first_rows("cluster", server, 300)
            cancelled("cluster", server, ENDLESS, cluster.processes()[1])
            many_clients(server)


if __name__ == "__main__":
    main()
