"""A program of one's own with a job and a SQL function beside ours: the example of `examples/custom-job`, here
and on a cluster that is the same program."""

import collections
import csv
import decimal
import os
import pathlib

import pytest

import cambist
import clusters
import samples
import sql_servers


@pytest.fixture(autouse=True)
def example(monkeypatch):
    """Every command of these tests is the example's."""
    beside = pathlib.Path(cambist.binary()).with_name("custom-job")
    program = os.environ.get("CAMBIST_EXAMPLE_BIN", str(beside))
    if not os.access(program, os.X_OK):
        pytest.fail(f"no program at `{program}`: build it with `cargo build -p cambist-custom-job`, or name it in "
                    "CAMBIST_EXAMPLE_BIN")
    monkeypatch.setenv("CAMBIST_BIN", program)


@pytest.fixture
def sales(tmp_path):
    """A table, and its amounts by currency."""
    rows = samples.transactions(range(1, 301), range(3))
    source = samples.write_csv(tmp_path / "raw.csv", rows)
    rates = samples.steady_rates(tmp_path / "rates")
    cambist.committed(cambist.normalize(source, rates, tmp_path / "sales", "SGD"))
    totals = collections.defaultdict(lambda: [0, 0])
    for row in cambist.read(tmp_path / "sales").to_pylist():
        totals[row["source_currency"]][0] += 1
        totals[row["source_currency"]][1] += row["source_amount"]
    return tmp_path / "sales", {code: (str(count), amount) for code, (count, amount) in totals.items()}


def read_totals(path):
    with open(path, newline="") as file:
        return {row["source_currency"]: (row["transactions"], decimal.Decimal(row["amount"])) for row in csv.DictReader(file)}


def margin_spec(folder, raw):
    """A query that calls the function in a task: the amounts are a file's."""
    spec = folder / "margin.toml"
    sql = "SELECT id, fx_margin(CAST(paid AS DECIMAL(38, 18)), fair) AS margin FROM payments ORDER BY id"
    spec.write_text(samples.toml({
        "query": {"sql": sql},
        "tables.payments": {"url": raw, "format": "csv"},
        "tables.payments.types": {"id": "int64", "paid": "decimal(18,4)", "fair": "decimal(38,18)"},
        "output": {"url": folder / "margin.csv"},
    }))
    return spec


def check_margin(folder, *place):
    raw = folder / "payments"
    raw.mkdir(parents=True)
    (raw / "a.csv").write_text("id,paid,fair\n1,10.25,10\n2,-3,0.000000000000000001\n")
    (raw / "b.csv").write_text("id,paid,fair\n3,,1\n4,0.1,0.3\n")
    cambist.succeed("run", "query", "--spec", margin_spec(folder, raw), *place)
    zeros = "0" * 16
    assert (folder / "margin.csv").read_text().splitlines() == [
        "id,margin", f"1,0.25{zeros}", "2,-3.000000000000000001", "3,", f"4,-0.20{zeros}"]


def test_its_job_and_its_function_are_listed_beside_ours():
    listed = cambist.succeed("jobs").stdout
    assert "normalize" in listed and "audit_totals" in listed
    assert "table.url" in cambist.succeed("jobs", "audit_totals").stdout
    functions = cambist.succeed("functions").stdout
    assert "fx_convert" in functions and "fx_margin" in functions


def test_its_job_runs_and_refuses_like_ours(sales, tmp_path):
    table, totals = sales
    output = tmp_path / "totals.csv"
    done = cambist.succeed("run", "audit_totals", "--set", f"table.url={table}", "--set", f"output.url={output}")
    assert done.summary["rows"] == len(totals)
    assert read_totals(output) == totals
    refused = cambist.run("run", "audit_totals", "--set", f"table.url={table}")
    assert refused.code == cambist.USAGE and "output.url is not given" in refused.stderr, refused


def test_its_function_is_exact_in_a_query(tmp_path):
    check_margin(tmp_path / "here")


def test_a_cluster_of_this_program_knows_both(sales, tmp_path):
    table, totals = sales
    output = tmp_path / "totals.csv"
    with clusters.up(tmp_path / "cluster") as cluster:
        check_margin(tmp_path / "there", "--cluster", cluster.url)
        done = cluster.run("run", "audit_totals", "--set", f"table.url={table}", "--set", f"output.url={output}")
        assert done.code == cambist.DONE, done
        assert read_totals(output) == totals
        assert "audit_totals" in [job["name"] for job in cluster.get("/v1/jobs")["jobs"]]


def check_over_sql(server, folder, name):
    """The example's function in a statement, in a task where there are tasks, and its job by `CALL`."""
    margins = server.rows("SELECT id, fx_margin(CAST(amount AS DECIMAL(38, 18)), CAST(0.25 AS DECIMAL(38, 18))) "
                          "FROM payments WHERE id IN (4, 5) ORDER BY id")
    assert margins == [(4, decimal.Decimal("89.70")), (5, decimal.Decimal("9.75"))]
    assert server.rows("SELECT DISTINCT job FROM system.jobs WHERE job = 'audit_totals'") == [("audit_totals",)]
    output = folder / f"{name}.csv"
    statement = f"CALL audit_totals(table_url => '{folder}/sales', output_url => '{output}')"
    row = sql_servers.call(server, statement)
    assert (row["job"], row["state"], row["report_json"]["rows"]) == ("audit_totals", "published", 4), row
    assert read_totals(output) == {
        "EUR": ("2", 30), "GBP": ("1", 100), "INR": ("1", decimal.Decimal("89.95")), "USD": ("2", 20)}
    status, _ = sql_servers.refusal(server, statement, "rea")
    assert status == "UNAUTHORIZED"
    status, text = sql_servers.refusal(server, "CALL audit_totals(tabel_url => 'x')", "oli")
    assert status == "INVALID_ARGUMENT" and "tabel_url" in text and "table_url" in text, text


def test_a_server_of_this_program_knows_both(tmp_path):
    settings = sql_servers.payments(tmp_path / "payments")
    with sql_servers.serve(tmp_path / "server", settings) as server:
        check_over_sql(server, tmp_path / "payments", "here")


def test_a_cluster_of_this_program_that_serves_sql_knows_both(tmp_path):
    settings = sql_servers.payments(tmp_path / "payments")
    with sql_servers.on_cluster(tmp_path / "cluster", settings) as (server, cluster):
        before = cluster.metric("cambist_plan_submissions_total")
        check_over_sql(server, tmp_path / "payments", "there")
        assert cluster.metric("cambist_plan_submissions_total") > before
