"""An executor dies under a query of several stages, at each of them: the rows are DuckDB's, never others.

Ballista's own recovery of such plans can count rows twice; ours is to begin anew. Each test prints what it injected
and what it found."""

import csv
import random

import duckdb
import pyarrow.parquet as pq
import pytest

import cambist
import clusters
import samples
from clusters import kill, wait_until
from faults import Fault, run_view, say, wait_lost, wake

ORDERS, CUSTOMERS, FILES = 6000, 300, 6
RESUBMISSIONS = "cambist_plan_resubmissions_total"
# Scans, a join of two shuffled sides, a grouping and an order: stages upon stages.
SQL = ("SELECT c.country, o.day, count(*) AS n, sum(o.amount) AS total FROM orders o "
       "JOIN customers c ON o.customer_id = c.id GROUP BY c.country, o.day ORDER BY c.country, o.day")


class QueryJob:
    """A query, and the rows that DuckDB finds."""

    def __init__(self, folder):
        self.folder, chance = folder, random.Random(5)
        (folder / "orders").mkdir()
        for part in range(FILES):
            rows = [[number, chance.randrange(CUSTOMERS + 20), f"{chance.randint(-5_000, 900_000) / 100:.2f}",
                     f"2024-05-{chance.randint(1, 28):02}"] for number in range(part, ORDERS, FILES)]
            self.write(folder / "orders" / f"{part}.csv", ["order_id", "customer_id", "amount", "day"], rows)
        people = [[number, chance.choice(["DE", "IN", "SG"])] for number in range(CUSTOMERS)]
        self.write(folder / "customers.csv", ["id", "country"], people)
        duck = duckdb.connect()
        duck.execute(f"CREATE VIEW orders AS SELECT * FROM read_csv('{folder}/orders/*.csv', "
                     "types = {'amount': 'DECIMAL(12,2)', 'day': 'DATE'})")
        duck.execute(f"CREATE VIEW customers AS SELECT * FROM read_csv('{folder}/customers.csv')")
        self.expected = duck.execute(SQL).fetchall()
        assert sum(row[2] for row in self.expected) > ORDERS / 2

    @staticmethod
    def write(path, header, rows):
        with open(path, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])

    def start(self, cluster, output):
        spec = output.with_suffix(".toml")
        spec.parent.mkdir(parents=True, exist_ok=True)
        spec.write_text(samples.toml({
            "query": {"sql": SQL}, "output": {"url": output},
            "tables.orders": {"url": self.folder / "orders", "format": "csv"},
            "tables.orders.types": {"order_id": "int64", "customer_id": "int64", "amount": "decimal(12,2)",
                                    "day": "date"},
            "tables.customers": {"url": self.folder / "customers.csv", "format": "csv"},
            "tables.customers.types": {"id": "int64"},
        }))
        return cambist.start("run", "query", "--spec", spec, "--cluster", cluster.url)

    def check(self, output, done):
        """The right rows or a clear error, never wrong ones; returns what it came to."""
        if done.code != cambist.DONE:
            assert "error:" in done.stderr and not output.exists(), done
            return f"an error: {done.stderr.splitlines()[-1][:200]!r}"
        assert done.summary["status"] == "committed"
        assert [tuple(row.values()) for row in pq.read_table(output).to_pylist()] == self.expected
        return f"DuckDB's {len(self.expected)} rows"

    def check_next(self, cluster, folder):
        output = folder / "next.parquet"
        found = self.check(output, cambist.finish(*self.start(cluster, output)))
        assert found.startswith("DuckDB"), found
        wait_until(cluster.is_idle, "vcores stay taken")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return QueryJob(tmp_path_factory.mktemp("query"))


def what_happened(cluster):
    view = run_view(cluster)
    return (f"{view['state']} in attempt {view['attempt']}, {cluster.metric(RESUBMISSIONS):.0f} resubmissions, "
            f"{len(cluster.executors())} executors left")


@pytest.mark.parametrize("point", [
    "query.passing:kill", "query.stage_end:kill", "query.stage_end:kill:2", "query.stage_end:kill:3",
    "query.result:kill", "query.result_end:kill",
])
def test_an_executor_dies_in_a_stage(job, tmp_path, point):
    """In the first, between two, in the last one, and as that ends."""
    fault = Fault(tmp_path, point)
    output = tmp_path / "result.parquet"
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        done = cambist.finish(*job.start(cluster, output))
        dead = fault.wait()
        assert dead in cluster.processes()[1] and not clusters.is_alive(dead)
        found = job.check(output, done)
        wait_lost(cluster, 1)
        happened = what_happened(cluster)
        job.check_next(cluster, tmp_path)
        say(fault.firings()[0], f"{found}, {happened}")


@pytest.mark.parametrize("dying", [1, 2])
def test_executors_die_before_their_results_are_fetched(job, tmp_path, dying):
    """The driver is held when the last stage has ended."""
    fault = Fault(tmp_path, "cluster.fetching:pause")
    output = tmp_path / "result.parquet"
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        started = job.start(cluster, output)
        scheduler, executors = cluster.processes()
        assert fault.wait_paused() == scheduler
        kill(*executors[:dying])
        wake(scheduler)
        cluster.start_executor("new")
        found = job.check(output, cambist.finish(*started))
        wait_lost(cluster, 3 - dying)
        happened = what_happened(cluster)
        job.check_next(cluster, tmp_path)
        say(f"{fault.firings()[0]}, kill -9 of {dying} of 2 executors meanwhile", f"{found}, {happened}")


def test_an_executor_leaves_in_the_middle_of_a_query(job, tmp_path):
    """Told to stop between two stages, it takes what the next stage would read with it."""
    fault = Fault(tmp_path, "query.stage_end:pause:2")
    output = tmp_path / "result.parquet"
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        started = job.start(cluster, output)
        leaving = fault.wait_paused()
        clusters.signal_all([leaving], clusters.signal.SIGTERM)
        wake(leaving)
        found = job.check(output, cambist.finish(*started))
        wait_until(lambda: not clusters.is_alive(leaving), "the executor does not leave")
        wait_lost(cluster, 1)
        happened = what_happened(cluster)
        job.check_next(cluster, tmp_path)
        say(f"{fault.firings()[0]} and SIGTERM there", f"{found}, {happened}")
