"""Jobs that are written in SQL: a file with a header in a folder, run here and on a cluster of real processes."""

import collections
import datetime
import decimal
import json

import pytest

import cambist
import clusters
import retail
import samples

DAYS = [str(samples.FIRST_DAY + datetime.timedelta(days=number)) for number in range(4)]

TOTALS = """
SELECT dt, source_currency AS currency, count(*) AS sales, sum(source_amount) AS amount, sum(amount_sgd) AS sgd
FROM sales WHERE dt = $day GROUP BY dt, source_currency
"""
LARGE = "SELECT transaction_id, source_amount AS amount, dt FROM sales WHERE dt = $day AND source_amount >= $least"

DAY = {"type": "date", "doc": "The day"}


def job_text(sql, tables, output, parameters=None, partition_by="dt", **more):
    """The text of a job's file."""
    sections = {f"parameters.{name}": keys for name, keys in (parameters or {"day": DAY}).items()}
    sections |= {f"tables.{name}": keys for name, keys in tables.items()} | more
    sections |= {"output": {"url": output, "partition_by": partition_by}}
    return f"/*---\nsummary = \"A job of the tests\"\n{samples.toml(sections)}---*/\n{sql.strip()}\n"


class Scene:
    """A table of sales of four days, and a folder of jobs over it."""

    def __init__(self, folder):
        self.folder, self.jobs = folder, folder / "jobs"
        self.rates = samples.steady_rates(folder / "rates")
        self.sales, self.totals, self.large = (folder / name for name in ("sales", "totals", "large"))
        self.jobs.mkdir()
        self.normalize(range(1, 401), "default", seed=3)
        tables = {"sales": {"url": self.sales, "format": "cambist"}}
        self.write("daily_totals", job_text(TOTALS, tables, self.totals))
        least = {"type": "decimal(18,2)", "default": "2000.00", "doc": "The least amount"}
        self.write("large_sales", job_text(LARGE, tables, self.large, {"day": DAY, "least": least}))

    def write(self, name, text):
        (self.jobs / f"{name}.sql").write_text(text)

    def normalize(self, ids, batch, seed, days=range(4)):
        source = samples.write_csv(self.folder / "raw" / f"{batch}.csv", samples.transactions(ids, days, seed))
        cambist.committed(cambist.normalize(source, self.rates, self.sales, "SGD", "--batch", batch,
                                            "--types", "transaction_id=int64"))

    def run(self, job, *options, env=None, place=()):
        flags = [word for option in options for word in ("--set", option)]
        return cambist.run("run", job, "--jobs-folder", self.jobs, *flags, *place, env=env)

    def expected_totals(self, *days):
        """What the totals must be, from the sales' own rows."""
        found = collections.defaultdict(lambda: [0, decimal.Decimal(0), decimal.Decimal(0)])
        for row in cambist.read(self.sales).to_pylist():
            if str(row["dt"]) in days:
                total = found[str(row["dt"]), row["source_currency"]]
                total[0] += 1
                total[1] += row["source_amount"]
                total[2] += row["amount_sgd"]
        return {key: tuple(total) for key, total in found.items()}

    def found_totals(self, output=None):
        rows = cambist.read(output or self.totals).to_pylist()
        found = {(str(row["dt"]), row["currency"]): (row["sales"], row["amount"], row["sgd"]) for row in rows}
        assert len(found) == len(rows)
        return found


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A scene that no test changes, and a cluster that knows its jobs."""
    scene = Scene(tmp_path_factory.mktemp("scene"))
    flags = (f"--jobs-folder={scene.jobs}",)
    with clusters.up(tmp_path_factory.mktemp("cluster"), scheduler_flags=flags) as running:
        yield scene, running


def done(run, status="committed"):
    assert run.code == cambist.DONE, run
    assert run.summary["status"] == status, run
    return run.summary


def refused(run, *texts, code=cambist.USAGE):
    assert run.code == code, run
    for text in texts:
        assert text in run.stderr, run


def test_a_job_of_a_folder_is_listed_with_its_options(scene):
    listed = cambist.succeed("jobs", "--jobs-folder", scene.jobs).stdout
    assert "normalize" in listed and "daily_totals" in listed and "A job of the tests" in listed
    job = json.loads(cambist.succeed("jobs", "large_sales", "--json", "--jobs-folder", scene.jobs).stdout)
    options = {option["key"]: (option["type"], option["default"]) for option in job["options"]}
    assert options["day"] == ("date", "required")
    assert options["least"] == ("decimal", "2000.00")
    assert options["output.url"] == ("place", str(scene.large))
    assert set(options) == {"day", "least", "output.url", "run.batch"}
    refused(cambist.run("jobs", "daily_totals"), "no job `daily_totals`")


def test_each_day_is_a_batch_that_a_further_run_replaces(scene):
    first = done(scene.run("daily_totals", f"day={DAYS[0]}"))
    assert scene.found_totals() == scene.expected_totals(DAYS[0])
    assert (first["batch"], first["partitions"], first["rows"]) == (
        f"daily_totals/day={DAYS[0]}", 1, len(scene.expected_totals(DAYS[0])))
    before = cambist.tree(scene.totals)

    again = done(scene.run("daily_totals", f"day={DAYS[0]}"), "already_done")
    assert (again["content_hash"], again["commit"]) == (first["content_hash"], first["commit"])
    assert cambist.tree(scene.totals) == before

    done(scene.run("daily_totals", f"day={DAYS[1]}"))
    assert scene.found_totals() == scene.expected_totals(DAYS[0], DAYS[1])

    scene.normalize(range(1001, 1101), "more", seed=4, days=[0])
    changed = done(scene.run("daily_totals", f"day={DAYS[0]}"))
    assert changed["superseded_files"] == first["files"] and changed["content_hash"] != first["content_hash"]
    assert scene.found_totals() == scene.expected_totals(DAYS[0], DAYS[1])


def test_a_changed_job_runs_again(scene):
    done(scene.run("daily_totals", f"day={DAYS[0]}"))
    text = (scene.jobs / "daily_totals.sql").read_text()
    scene.write("daily_totals", text.replace("WHERE dt", "WHERE source_currency <> 'EUR' AND dt"))
    done(scene.run("daily_totals", f"day={DAYS[0]}"))
    expected = scene.expected_totals(DAYS[0])
    assert expected.pop((DAYS[0], "EUR"))
    assert scene.found_totals() == expected


def test_rows_are_mapped_one_by_one_by_exact_parameters(scene):
    amounts = sorted(row["source_amount"] for row in cambist.read(scene.sales).to_pylist() if str(row["dt"]) == DAYS[2])
    least = amounts[len(amounts) // 2]
    summary = done(scene.run("large_sales", f"day={DAYS[2]}", f"least={least}"))
    found = cambist.read(scene.large)
    assert sorted(found.column("amount").to_pylist()) == [amount for amount in amounts if amount >= least]
    assert summary["parameters"] == {"day": DAYS[2], "least": f"{least:.2f}"}
    # The last decimal counts.
    above = f"{least + decimal.Decimal('0.01'):.2f}"
    done(scene.run("large_sales", f"day={DAYS[2]}", f"least={above}", f"output.url={scene.folder / 'above'}"))
    assert len(cambist.read(scene.folder / "above")) == sum(amount > least for amount in amounts)


def test_a_text_is_a_constant_and_never_sql(scene):
    sql = "SELECT CAST('2024-05-01' AS DATE) AS dt, $name AS name, count(*) AS n FROM sales WHERE source_currency = $name"
    tables = {"sales": {"url": scene.sales, "format": "cambist"}}
    scene.write("by_name", job_text(sql, tables, scene.folder / "named", {"name": {"type": "text"}}))
    name = "x' OR 'a' = 'a"
    done(scene.run("by_name", f"name={name}"))
    assert cambist.read(scene.folder / "named").select(["name", "n"]).to_pylist() == [{"name": name, "n": 0}]


def test_a_run_that_is_killed_leaves_nothing(scene):
    for point in ("task.writing:1", "write.staged:1", "commit.before_record:1"):
        killed = scene.run("daily_totals", f"day={DAYS[0]}", env={"CAMBIST_KILL_AT": point})
        assert killed.killed, killed
        assert scene.found_totals() == {}
    done(scene.run("daily_totals", f"day={DAYS[0]}"))
    assert scene.found_totals() == scene.expected_totals(DAYS[0])


def test_a_broken_file_is_refused_with_its_line(scene):
    text = (scene.jobs / "daily_totals.sql").read_text()
    for old, new, expected in [
        ('type = "date"', "type = date", "line 4"),
        ("[output]", "[outputs]", "unknown field `outputs`"),
        ("$day", "$dya", "the parameter `$dya`, which the header does not declare"),
        ("GROUP BY", "GROUP BUY", "Line: 14"),
    ]:
        assert old in text
        scene.write("daily_totals", text.replace(old, new))
        refused(scene.run("daily_totals", f"day={DAYS[0]}"), "daily_totals.sql", expected)
    scene.write("daily_totals", text)
    refused(scene.run("daily_totals", "day=today"), '`day` is "today", expected a day such as `2024-05-01`')
    refused(scene.run("daily_totals"), "`day` is not given", "`cambist jobs daily_totals` lists every option")
    refused(scene.run("daily_totals", f"day={DAYS[0]}", "days=1"), "option `days`: unknown, expected one of day,")
    cambist.nothing_written(scene.totals)


def test_what_cannot_be_written_is_refused(scene):
    tables = {"sales": {"url": scene.sales, "format": "cambist"}}
    for sql, code, expected in [
        ("SELECT source_currency, count(*) AS n FROM sales GROUP BY source_currency", 2, "has no column `dt`"),
        ("SELECT dt, count(*) FROM sales GROUP BY dt", 2, "name it with AS"),
        ("SELECT dt, 1 AS n, 2 AS N FROM sales", 2, "two columns of the result are called `n`"),
        ("SELECT 5 AS dt, 1 AS n FROM sales", 2, "of type Int64, expected a date"),
        ("SELECT CAST(NULL AS DATE) AS dt, 1 AS n FROM sales", 1, "`dt` is NULL in"),
        ("SELECT 'x' AS dt, transaction_id FROM sales", 2, "'x'"),
        ("SELECT concat(source_currency, '!') AS dt, 1 AS n FROM sales", 1, "!"),
        ("SELECT dt, no_such FROM sales", 2, "no_such"),
    ]:
        scene.write("daily_totals", job_text(sql, tables, scene.totals))
        refused(scene.run("daily_totals", f"day={DAYS[0]}"), expected, code=code)
        assert cambist.data_files(scene.totals) == set()
    scene.write("daily_totals", job_text("SELECT dt FROM sales", tables, scene.sales))
    refused(scene.run("daily_totals", f"day={DAYS[0]}"), "is also tables.sales")


def test_a_broken_record_fails_the_run(scene):
    raw = scene.folder / "raw.csv"
    raw.write_text("day,amount\n2024-05-01,1.00\n2024-05-01,1.00,5\n")
    tables = {"raw": {"url": raw, "format": "csv"}}
    sql = "SELECT CAST(day AS DATE) AS dt, count(*) AS n FROM raw GROUP BY day"
    scene.write("counts", job_text(sql, tables, scene.totals, {"day": DAY | {"default": "2024-05-01"}}))
    refused(scene.run("counts"), "1 broken records", "raw.csv", code=cambist.DATA_AT_FAULT)
    assert cambist.data_files(scene.totals) == set()


def test_rates_and_values_in_places(scene):
    for region in ("eu", "us"):
        samples.write_csv(scene.folder / "in" / f"{region}.csv", samples.transactions(range(9), range(2), seed=len(region)))
    sql = ("SELECT CAST(substr(event_time, 1, 10) AS DATE) AS dt, transaction_id, "
           "fx_convert(CAST(amount AS DECIMAL(18,2)), currency, CAST(substr(event_time, 1, 10) AS DATE), 'INR') AS inr FROM raw")
    tables = {"raw": {"url": str(scene.folder / "in" / "{region}.csv"), "format": "csv"}}
    scene.write("in_rupees", job_text(sql, tables, scene.totals, {"region": {"type": "text"}}, rates={"url": scene.rates}))
    done(scene.run("in_rupees", "region=eu"))
    done(scene.run("in_rupees", "region=us"))
    assert len(cambist.read(scene.totals)) == 18
    done(scene.run("in_rupees", "region=us"), "already_done")
    refused(scene.run("in_rupees", "region=../in/eu"), "`region` is `../in/eu`, and it is a part of tables.raw.url")


def test_the_table_is_one_like_others(scene):
    for day in DAYS[:2]:
        done(scene.run("large_sales", f"day={day}"))
    log = [json.loads(line) for line in cambist.succeed("table", "log", "--output", scene.large, "--json").stdout.splitlines()]
    assert [record["kind"] for record in log] == ["sql", "sql"]
    cambist.succeed("table", "compact", "--output", scene.large)
    assert "PARTITIONED BY" in cambist.succeed("table", "ddl", "--output", scene.large).stdout
    refused(cambist.run("verify", "--output", scene.large), "was written by the job `large_sales`")
    query = samples.toml({"query": {"sql": "SELECT count(*) AS n FROM large"},
                          "tables.large": {"url": scene.large, "format": "cambist"},
                          "output": {"url": scene.folder / "n.csv"}})
    (scene.folder / "query.toml").write_text(query)
    cambist.succeed("run", "query", "--spec", scene.folder / "query.toml")
    assert (scene.folder / "n.csv").read_text() == f"n\n{len(cambist.read(scene.large))}\n"


@pytest.mark.parametrize("job", ["daily_totals", "large_sales"])
def test_a_cluster_writes_the_same(shared, job, tmp_path):
    scene, cluster = shared
    summaries = []
    for place in ((), ("--cluster", cluster.url)):
        output = tmp_path / ("there" if place else "here")
        summary = done(scene.run(job, f"day={DAYS[1]}", f"output.url={output}", place=place))
        done(scene.run(job, f"day={DAYS[1]}", f"output.url={output}", place=place), "already_done")
        rows = sorted(map(repr, cambist.read(output).to_pylist()))
        summaries.append((summary["rows"], summary["content_hash"], rows))
    assert summaries[0] == summaries[1]
    assert job in [found["name"] for found in cluster.get("/v1/jobs")["jobs"]]
    clusters.wait_until(cluster.is_idle, "the cluster is not idle")


def test_a_cluster_lists_the_run_with_its_options(shared, tmp_path):
    scene, cluster = shared
    summary = done(cluster.run("run", "large_sales", "--jobs-folder", scene.jobs, "--set", f"day={DAYS[0]}",
                               "--set", f"output.url={tmp_path / 'large'}"))
    [run] = [found for found in cluster.runs() if found["id"] == summary["run_id"]]
    assert (run["job"], run["options"]["day"]) == ("large_sales", DAYS[0])


def test_totals_of_the_real_retail_sales(data, tmp_path):
    _, output = retail.normalize(data, tmp_path, retail.ALL_IN_POUNDS, currencies=["SGD"])
    sql = ("SELECT dt, count(*) AS sales, sum(source_amount) AS pounds, sum(amount_sgd) AS sgd "
           "FROM sales WHERE dt >= $first AND dt < $end GROUP BY dt")
    parameters = {"first": {"type": "date"}, "end": {"type": "date"}}
    text = job_text(sql, {"sales": {"url": output, "format": "cambist"}}, tmp_path / "totals", parameters)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "month.sql").write_text(text)
    summary = done(cambist.run("run", "month", "--jobs-folder", tmp_path / "jobs", "--set", "first=2011-11-01",
                               "--set", "end=2011-12-01"))
    sales = cambist.read(output, columns=["dt", "source_amount", "amount_sgd"])
    expected = collections.defaultdict(lambda: [0, 0, 0])
    for day, pounds, sgd in zip(sales["dt"].to_pylist(), sales["source_amount"].to_pylist(),
                                sales["amount_sgd"].to_pylist()):
        if str(day).startswith("2011-11"):
            total = expected[str(day)]
            expected[str(day)] = [total[0] + 1, total[1] + pounds, total[2] + sgd]
    found = {str(row["dt"]): [row["sales"], row["pounds"], row["sgd"]]
             for row in cambist.read(tmp_path / "totals").to_pylist()}
    assert found == dict(expected)
    assert summary["partitions"] == len(expected)
