"""`cambist run query`: any SELECT, in one process and on a cluster of real processes, against DuckDB."""

import csv
import decimal
import json
import pathlib
import random

import duckdb
import pyarrow.parquet as pq
import pytest

import cambist
import clusters
import samples

CUSTOMERS, ORDERS = 400, 6000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two executors, shared by the tests of this file."""
    with clusters.up(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Orders in five CSV files and customers in three NDJSON files; some orders have no customer, some
    customers no order."""
    folder, chance = tmp_path_factory.mktemp("shop"), random.Random(11)
    (folder / "orders").mkdir()
    (folder / "customers").mkdir()
    for part in range(5):
        with open(folder / "orders" / f"{part}.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["order_id", "customer_id", "amount", "day"])
            for number in range(part, ORDERS, 5):
                cents = chance.randint(-5_000, 900_000)
                writer.writerow([number, chance.randrange(CUSTOMERS + 50), f"{cents / 100:.2f}",
                                 f"2024-05-{chance.randint(1, 28):02}"])
    for part in range(3):
        people = [{"id": number, "country": chance.choice(["DE", "IN", "SG", None]), "name": f"n{number}, \"x\""}
                  for number in range(part, CUSTOMERS + 30, 3) if number % 50]
        samples.write_ndjson(folder / "customers" / f"{part}.ndjson", people)
    return folder


@pytest.fixture(scope="module")
def tables(shop):
    """The same files for Cambist and for DuckDB."""
    spec = {
        "tables.orders": {"url": shop / "orders", "format": "csv"},
        "tables.orders.types": {"order_id": "int64", "customer_id": "int64", "amount": "decimal(12,2)",
                                "day": "date"},
        "tables.customers": {"url": shop / "customers", "format": "ndjson"},
        "tables.customers.types": {"id": "int64", "country": "text", "name": "text"},
    }
    duck = duckdb.connect()
    duck.execute("CREATE VIEW orders AS SELECT * FROM read_csv(?, columns = {'order_id': 'BIGINT', "
                 "'customer_id': 'BIGINT', 'amount': 'DECIMAL(12,2)', 'day': 'DATE'})".replace(
                     "?", f"'{shop}/orders/*.csv'"))
    duck.execute("CREATE VIEW customers AS SELECT * FROM read_json("
                 f"'{shop}/customers/*.ndjson', columns = {{'id': 'BIGINT', 'country': 'VARCHAR', 'name': 'VARCHAR'}})")
    return spec, duck


def write_spec(path, sql, output, tables, **sections):
    path.write_text(samples.toml({"query": {"sql": sql}, "output": {"url": output}} | tables | sections))
    return path


def run_query(tmp_path, sql, tables, place=(), name="result.parquet", **sections):
    """Runs the query, here or on a cluster, and returns the run and where its output is."""
    output = tmp_path / ("there" if place else "here") / name
    spec = write_spec(tmp_path / "query.toml", sql, output, tables, **sections)
    return cambist.run("run", "query", "--spec", spec, *place), output


def rows_of(path):
    table = pq.read_table(path)
    return [tuple(row.values()) for row in table.to_pylist()]


def both(cluster, tmp_path, sql, tables, **sections):
    """Runs the query here and there; both must report the same. Returns both results' rows, and a report."""
    here, at = run_query(tmp_path, sql, tables, **sections)
    there, over = run_query(tmp_path, sql, tables, ("--cluster", cluster.url), **sections)
    for done in (here, there):
        assert done.code == cambist.DONE, done
        assert done.summary["status"] == "committed"
    same = ("rows", "content_hash", "broken_records")
    assert [there.summary[key] for key in same] == [here.summary[key] for key in same]
    found = rows_of(at), rows_of(over)
    assert len(found[0]) == here.summary["rows"]
    return *found, here.summary


ORDERED = {
    "group by and order by":
        "SELECT customer_id, count(*) AS n, sum(amount) AS total FROM orders GROUP BY customer_id "
        "ORDER BY total DESC, customer_id",
    "order by without a group": "SELECT order_id, amount FROM orders ORDER BY amount, order_id",
    "limit": "SELECT order_id, day FROM orders ORDER BY day DESC, order_id LIMIT 17 OFFSET 5",
    "join and group":
        "SELECT c.country, o.day, count(*) AS n, sum(o.amount) AS total FROM orders o JOIN customers c "
        "ON o.customer_id = c.id GROUP BY c.country, o.day ORDER BY c.country NULLS LAST, o.day",
    "window":
        "SELECT order_id, row_number() OVER (PARTITION BY customer_id ORDER BY amount, order_id) AS place "
        "FROM orders ORDER BY order_id LIMIT 500",
}

UNORDERED = {
    "join": "SELECT o.order_id, o.amount, c.name FROM orders o JOIN customers c ON o.customer_id = c.id",
    "left join": "SELECT o.order_id, c.country FROM orders o LEFT JOIN customers c ON o.customer_id = c.id",
    "full join": "SELECT o.order_id, c.id FROM orders o FULL JOIN customers c ON o.customer_id = c.id",
    "count distinct":
        "SELECT day, count(DISTINCT customer_id) AS customers FROM orders GROUP BY day",
    "count of all": "SELECT count(*) AS n, count(DISTINCT customer_id) AS customers FROM orders",
    "not in": "SELECT id FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE amount > 4000)",
    "exists": "SELECT id FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)",
    "scalar subquery": "SELECT order_id FROM orders WHERE amount > (SELECT avg(amount) + 3000 FROM orders)",
    # Joins without equalities keep track of the rows that matched nothing.
    "left join by range":
        "SELECT c.id, o.order_id FROM customers c LEFT JOIN orders o ON o.amount > c.id * 22.5 AND o.customer_id < c.id / 40",
    "full join by range":
        "SELECT c.id, o.order_id FROM customers c FULL JOIN orders o ON o.amount > c.id * 22.5 AND o.customer_id < c.id / 40",
    "union": "SELECT customer_id AS id FROM orders UNION SELECT id FROM customers",
    "union all of groups":
        "SELECT 'o' AS kind, count(*) AS n FROM orders UNION ALL SELECT 'c', count(*) FROM customers",
    "self join":
        "SELECT a.day, count(*) AS n FROM orders a JOIN orders b ON a.customer_id = b.customer_id GROUP BY a.day",
    "no table": "SELECT 1 AS one, 'x' AS x",
    "no rows": "SELECT day, sum(amount) AS total FROM orders WHERE amount > 10000000 GROUP BY day",
}


@pytest.mark.parametrize("name", ORDERED)
def test_an_ordered_result_has_duckdbs_order(cluster, tables, tmp_path, name):
    spec, duck = tables
    here, there, _ = both(cluster, tmp_path, ORDERED[name], spec)
    expected = duck.execute(ORDERED[name]).fetchall()
    assert here == expected
    assert there == expected


@pytest.mark.parametrize("name", UNORDERED)
def test_a_result_has_duckdbs_rows(cluster, tables, tmp_path, name):
    spec, duck = tables
    here, there, report = both(cluster, tmp_path, UNORDERED[name], spec)
    expected = sorted(duck.execute(UNORDERED[name].replace("c.id / 40", "c.id // 40")).fetchall(), key=str)
    assert sorted(here, key=str) == expected
    assert sorted(there, key=str) == expected
    assert report["rows"] == len(expected)


def test_a_table_of_ours_is_read_by_its_log(cluster, rates, tmp_path):
    table = tmp_path / "out" / "table"
    for batch, ids in (("a", range(200)), ("b", range(200, 500)), ("b", range(200, 420))):
        raw = samples.write_csv(tmp_path / f"{len(ids)}{batch}.csv", samples.transactions(ids, range(6)))
        cambist.committed(cambist.normalize(raw, rates, table, "SGD", "--batch", batch))
    stray = table / "dt=2011-03-02" / "stray.parquet"
    stray.write_bytes(next(table.glob("dt=2011-03-02/*.parquet")).read_bytes())
    spec = {"tables.sales": {"url": table, "format": "cambist"}}
    sql = ("SELECT dt, source_currency, count(*) AS n, sum(amount_sgd) AS total FROM sales "
           "WHERE dt >= '2011-03-02' GROUP BY dt, source_currency ORDER BY dt, source_currency")
    here, there, _ = both(cluster, tmp_path, sql, spec)
    stray.unlink()
    duck = duckdb.connect()
    duck.execute(f"CREATE VIEW sales AS SELECT * FROM read_parquet('{table}/dt=*/*.parquet', hive_partitioning = true, "
                 "hive_types = {'dt': VARCHAR})")
    expected = duck.execute(sql).fetchall()
    assert len(expected) > 20 and sum(row[2] for row in expected) < 420
    assert here == expected
    assert there == expected


def test_the_functions_for_money_find_their_rates(cluster, rates, tables, tmp_path):
    raw = samples.write_csv(tmp_path / "raw.csv", samples.transactions(range(300), range(6)))
    spec = {"tables.sales": {"url": raw}, "tables.sales.types": {"amount": "decimal(18,2)", "event_time": "timestamptz"},
            "rates": {"url": rates}}
    sql = ("SELECT currency, sum(fx_convert(amount, currency, CAST(event_time AS DATE), 'USD')) AS usd, "
           "max(fx_rate(currency, 'USD', CAST(event_time AS DATE))) AS rate FROM sales GROUP BY currency ORDER BY currency")
    here, there, _ = both(cluster, tmp_path, sql, spec)
    assert here == there and len(here) == 11
    cent = decimal.Decimal("0.01")
    expected = decimal.Decimal(0)
    for _, _, amount, currency, _ in samples.transactions(range(300), range(6)):
        if currency == "GBP":
            exact = decimal.Decimal(amount) / decimal.Decimal(samples.RATES["GBP"])
            expected += exact.quantize(cent, decimal.ROUND_HALF_EVEN)
    assert dict((row[0], row[1]) for row in here)["GBP"] == expected


@pytest.mark.parametrize("name", ("result.csv", "result.ndjson", "result.parquet"))
def test_a_second_run_writes_nothing_and_other_rows_are_refused(cluster, tables, tmp_path, name):
    spec, duck = tables
    sql = "SELECT customer_id, count(*) AS n, min(day) AS first FROM orders GROUP BY customer_id"
    first, output = run_query(tmp_path, sql, spec, name=name)
    assert first.code == cambist.DONE, first
    assert first.summary["bytes"] == output.stat().st_size
    before = cambist.tree(tmp_path / "here")
    # Rows in another order are the same rows.
    spec_file = write_spec(tmp_path / "again.toml", sql + " ORDER BY n, customer_id DESC", output, spec)
    for place in ((), ("--cluster", cluster.url)):
        again = cambist.run("run", "query", "--spec", spec_file, *place)
        assert again.code == cambist.DONE, again
        assert again.summary["status"] == "already_done"
        assert again.summary["content_hash"] == first.summary["content_hash"]
        other = write_spec(tmp_path / "other.toml", sql + " HAVING count(*) > 3", output, spec)
        refused = cambist.run("run", "query", "--spec", other, *place)
        assert refused.code == cambist.CONFLICT, refused
        assert "exists and holds something else" in refused.stderr
    assert cambist.tree(tmp_path / "here") == before
    expected = duck.execute(sql).fetchall()
    if name.endswith("csv"):
        found = list(csv.reader(output.read_text().splitlines()))
        assert found[0] == ["customer_id", "n", "first"]
        assert sorted(found[1:]) == sorted([str(cell) for cell in row] for row in expected)
    elif name.endswith("ndjson"):
        found = [json.loads(line) for line in output.read_text().splitlines()]
        key = lambda row: row["customer_id"]
        assert sorted(found, key=key) == sorted(
            ({"customer_id": row[0], "n": row[1], "first": str(row[2])} for row in expected), key=key)


def test_another_file_is_never_replaced(tables, tmp_path):
    for name in ("result.csv", "result.ndjson", "result.parquet"):
        (tmp_path / "here").mkdir(exist_ok=True)
        (tmp_path / "here" / name).write_text("mine")
        refused, output = run_query(tmp_path, "SELECT 1 AS one", tables[0], name=name)
        assert refused.code == cambist.CONFLICT, refused
        assert output.read_text() == "mine"


def test_broken_records_are_refused_or_left_out_and_counted(cluster, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for part in range(3):
        lines = [f"{number},{number / 100:.2f}" for number in range(part * 1000, part * 1000 + 1000)]
        lines[100 + part] = f"{part},twelve"
        lines[700] = "1,2,3"
        (raw / f"{part}.csv").write_text("id,amount\n" + "\n".join(lines) + "\n")
    spec = {"tables.t": {"url": raw, "format": "csv"}, "tables.t.types": {"id": "int64", "amount": "decimal(9,2)"}}
    sql = "SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(amount) AS total FROM t"
    for place in ((), ("--cluster", cluster.url)):
        # Broken is broken, whichever columns a query names.
        for query in (sql, "SELECT count(*) AS n FROM t", "SELECT id FROM t"):
            refused, output = run_query(tmp_path, query, spec, place)
            assert refused.code == cambist.DATA_AT_FAULT, refused
            assert "6 broken records: 6 in table `t`, the first in `" in refused.stderr
            assert "raw/0.csv`, record 101: " in refused.stderr
            assert "run.allow_broken" in refused.stderr
            assert not output.parent.exists()
    allowed = {"run": {"allow_broken": True}}
    here, there, report = both(cluster, tmp_path, sql, spec, **allowed)
    left_out = [100, 700, 1101, 1700, 2102, 2700]
    kept = [decimal.Decimal(number) / 100 for number in range(3000) if number not in left_out]
    assert here == there == [(2994, 2994, sum(kept))]
    assert report["broken_records"] == 6


def test_a_result_beyond_its_bound_is_refused(cluster, tables, tmp_path):
    sql = "SELECT * FROM orders"
    for place in ((), ("--cluster", cluster.url)):
        bound = write_spec(tmp_path / "q.toml", sql, tmp_path / "o.csv", tables[0] | {"output": {
            "url": tmp_path / "o.csv", "max_bytes": 9000}})
        refused = cambist.run("run", "query", "--spec", bound, *place)
        assert refused.code == cambist.USAGE, refused
        assert "the result has more than 9000 bytes" in refused.stderr
        assert not (tmp_path / "o.csv").exists()


def test_a_failure_has_the_same_kind_and_words_in_both_places(cluster, tables, tmp_path):
    spec = dict(tables[0])
    for sql, code, words in (
        ("SELECT nothing FROM orders", cambist.USAGE, "nothing"),
        ("SELECT * FROM nowhere", cambist.USAGE, "nowhere"),
        ("SELECT 1 AS one; SELECT 2 AS two", cambist.USAGE, "expected one SELECT"),
        ("DROP TABLE orders", cambist.USAGE, "not a SELECT"),
        ("SELECT 1" + "+1" * 50_000, cambist.USAGE, "more than 1000 operators and keywords in a row"),
        ("SELECT " + "CASE WHEN " * 30 + "1 1", cambist.USAGE, "more than 16 CASE, CAST and the like"),
        ("COPY orders TO 'x.csv'", cambist.USAGE, "not a SELECT"),
        ("EXPLAIN SELECT * FROM orders", cambist.USAGE, "not a SELECT"),
        ("SELECT a.id, b.id FROM customers a JOIN customers b ON a.id = b.id", cambist.USAGE, "two columns"),
        # Fails on a value, in a stage that others read.
        ("SELECT day, sum(1 / (order_id - order_id)) AS n FROM orders GROUP BY day ORDER BY day",
         cambist.DATA_AT_FAULT, "ivide by zero"),
    ):
        here, output = run_query(tmp_path, sql, spec, ("--json",))
        there, _ = run_query(tmp_path, sql, spec, ("--json", "--cluster", cluster.url))
        assert (here.code, there.code) == (code, code), (here, there)
        assert words in here.stderr and there.stderr == here.stderr, (here, there)
        assert not output.exists()


def test_nothing_is_left_beside_the_output(cluster, tables, rates, tmp_path):
    """Rates and accounts that the cluster's tasks and later attempts need go with the run."""
    output = tmp_path / "there" / "r.csv"
    spec = write_spec(tmp_path / "q.toml", "SELECT count(*) AS n FROM orders", output, tables[0], rates={"url": rates})
    for expected in ("committed", "already_done"):
        done = cluster.run("run", "query", "--spec", spec)
        assert done.code == cambist.DONE and done.summary["status"] == expected, done
        assert [path.name for path in pathlib.Path(output.parent).iterdir()] == ["r.csv"]
