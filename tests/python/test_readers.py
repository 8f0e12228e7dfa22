"""Other engines read the table: equal counts, equal sums to the last digit, equal types."""

import pathlib
import random
import re
import urllib.parse
from fractions import Fraction

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import cambist
import exact
import samples

TARGETS = {"INR": 2, "JPY": 0, "KWD": 3}
COLUMNS = {f"amount_{code.lower()}": places for code, places in TARGETS.items()}
CONVERTED, BAD = 3000, 25


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two batches over twelve days with a few broken rows, and the exact sums they must have."""
    folder = tmp_path_factory.mktemp("readers")
    rates = samples.steady_rates(folder / "rates")
    output = folder / "out" / "processed_data"
    rows = samples.transactions(range(CONVERTED), range(12))
    chance = random.Random(1)
    for batch in range(2):
        mine = [[*row, *extra_fields(chance)] for row in rows[batch::2]]
        mine += [[90_000 + number, "bad", "ten", "USD", "2011-03-01", *extra_fields(chance)] for number in range(BAD)]
        source = folder / f"batch_{batch}.csv"
        source.write_text(samples.csv_text(mine, [*samples.HEADER, "weight", "booked", "paid", "settled", "local"]))
        done = cambist.normalize(
            source, rates, output, ",".join(TARGETS), "--batch", f"b{batch}", "--max-quarantine-ratio", "1",
            *types("transaction_id=int64", "weight=decimal(12,3)", "booked=date", "paid=bool", "settled=timestamptz", "local=timestamp"))
        cambist.committed(done)
    return output, expected_sums(rows)


def types(*declared):
    return [word for one in declared for word in ("--types", one)]


def extra_fields(chance):
    return [f"{chance.randint(0, 10**6) / 1000:.3f}", "2011-03-05", chance.choice(["true", "false", ""]),
            "2011-03-05T10:00:00.123456Z", "2011-03-05T11:00:00"]


def expected_sums(rows):
    """Independently: each row by fractions, rounded once."""
    sums = {}
    figures = samples.RATES | {"USD": "1"}
    for code, places in TARGETS.items():
        sums[f"amount_{code.lower()}"] = sum(
            exact.converted(row[2], figures[row[3]], figures[code], places) for row in rows)
    sums["source_amount"] = sum(Fraction(row[2]) for row in rows)
    return sums


def listed_files(output):
    """The live files as the manifests list them: what Athena and Trino are told to read."""
    lines = [line for path in sorted(pathlib.Path(output).glob("_symlink_format_manifest/*/manifest"))
             for line in path.read_text().split()]
    return [urllib.parse.unquote(urllib.parse.urlsplit(line).path) for line in lines]


def test_pyarrow_reads_equal_counts_and_exact_sums(table):
    output, expected = table
    rows = cambist.read(output)
    assert rows.num_rows == CONVERTED
    for column, places in COLUMNS.items():
        assert rows.column(column).type == pa.decimal128(38, places)
        assert pc.sum(rows.column(column)).as_py() == expected[column], column
    assert Fraction(pc.sum(rows.column("source_amount")).as_py()) == expected["source_amount"]
    assert len(set(rows.column("dt").to_pylist())) == 12
    assert cambist.read(cambist.quarantine_of(output)).num_rows == 2 * BAD


def test_duckdb_reads_equal_counts_and_exact_sums(table):
    output, expected = table
    files = listed_files(output)
    assert {str(pathlib.Path(name).relative_to(output)) for name in files} == cambist.data_files(output)
    relation = duckdb.read_parquet(files, hive_partitioning=True)
    sums = ", ".join(f"sum({column})" for column in COLUMNS)
    count, days, *totals = relation.aggregate(f"count(*), count(distinct dt), {sums}").fetchall()[0]
    assert (count, days) == (CONVERTED, 12)
    assert dict(zip(COLUMNS, totals)) == {column: expected[column] for column in COLUMNS}
    kinds = dict(zip(relation.columns, map(str, relation.types)))
    assert {column: kinds[column] for column in COLUMNS} == {
        column: f"DECIMAL(38,{places})" for column, places in COLUMNS.items()}


def test_the_listing_names_every_live_file(table):
    output, _ = table
    listing = cambist.succeed("table", "files", "--output", output).stdout
    assert all(pathlib.Path(name).name in listing for name in cambist.data_files(output))


def ddl(output, dialect, *extra):
    return cambist.succeed("table", "ddl", "--output", output, "--dialect", dialect, *extra).stdout


def declared_columns(text):
    """The columns of a CREATE TABLE as {name: type in lower case}, without the partition columns."""
    body = re.search(r"CREATE EXTERNAL TABLE[^(]*\((.*?)\)\s*(?:COMMENT[^\n]*)?\s*PARTITIONED BY", text, re.S | re.I).group(1)
    columns = re.findall(r"`?(\w+)`?\s+([a-zA-Z]+(?:\s*\(\s*\d+\s*,\s*\d+\s*\))?)", body)
    return {name: kind.replace(" ", "").lower() for name, kind in columns}


HIVE_TYPES = {"string": "string", "int64": "bigint", "int32": "int", "bool": "boolean", "date32[day]": "date",
              "timestamp[us, tz=UTC]": "timestamp", "timestamp[us]": "timestamp"}


@pytest.mark.parametrize("dialect", ["hive", "athena"])
def test_the_ddl_declares_the_types_of_the_files(table, dialect):
    output, _ = table
    text = ddl(output, dialect)
    for name in sorted(cambist.data_files(output)):
        schema = pq.read_schema(output / name)
        in_file = {field.name: hive_type(field.type) for field in schema}
        assert declared_columns(text) == in_file
        assert "dt" not in in_file
    assert re.search(r"PARTITIONED BY\s*\(\s*`?dt`?\s+string\s*\)", text, re.I)
    if dialect == "athena":
        assert "SymlinkTextInputFormat" in text and "projection.dt" in text and "${dt}" in text


def hive_type(kind):
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return HIVE_TYPES[str(kind)]


@pytest.mark.spark
def test_spark_reads_the_hive_table_that_the_ddl_makes(table, spark):
    output, expected = table
    text = ddl(output, "hive")
    name = re.search(r"CREATE EXTERNAL TABLE\s+(?:IF NOT EXISTS\s+)?`?([\w.`]+?)`?\s*\(", text, re.I).group(1)
    statements = [part.strip() for part in re.sub(r"^\s*--.*$", "", text, flags=re.M).split(";") if part.strip()]
    for statement in statements:
        spark.sql(statement)
    spark.sql(f"MSCK REPAIR TABLE {name}")
    frame = spark.table(name)
    kinds = {field.name: field.dataType.simpleString() for field in frame.schema}
    assert {column: kinds[column] for column in COLUMNS} == {
        column: f"decimal(38,{places})" for column, places in COLUMNS.items()}
    # Every column can be read in the type that the statement declares, not only those that are summed.
    assert len(frame.limit(10).collect()) == 10
    sums = ", ".join(f"sum({column})" for column in COLUMNS)
    count, days, *totals = spark.sql(f"select count(*), count(distinct dt), {sums} from {name}").first()
    assert (count, days) == (CONVERTED, 12)
    assert dict(zip(COLUMNS, totals)) == {column: expected[column] for column in COLUMNS}
    # A filter on the partition reads that day only, and finds it.
    one_day = spark.sql(f"select count(*) from {name} where dt = '2011-03-04'").first()[0]
    assert one_day == ds.dataset(output / "dt=2011-03-04").count_rows()
    by_path = spark.read.parquet(str(output))
    assert by_path.count() == CONVERTED
    spark.sql(f"drop table {name}")
