"""The same on an object store: a local stand-in for S3, started and stopped here."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cambist
import samples

boto3 = pytest.importorskip("boto3")
BUCKET = "cambist-test"
TYPES = ("--types", "transaction_id=int64", "--max-quarantine-ratio", "1")
READY_SECONDS = 60


def moto_server():
    beside_python = pathlib.Path(sys.executable).parent / "moto_server"
    return str(beside_python) if beside_python.exists() else shutil.which("moto_server")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """A server on a free loopback port."""
    program = moto_server()
    if program is None:
        pytest.skip("no `moto_server`: pip install 'moto[server]'")
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = open(tmp_path_factory.mktemp("moto") / "log", "w")
    server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/moto-api/", server)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def wait_for(url, server):
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            assert server.poll() is None, "the server died"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def environment(endpoint):
    return {
        "AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
    }


class Bucket:
    """The test's view of the store, by another client than the program's."""

    def __init__(self, endpoint):
        self.client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test")
        with contextlib.suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=BUCKET)

    def put(self, key, content):
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def get(self, key):
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def keys(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {item["Key"]: item["LastModified"] for page in pages for item in page.get("Contents", [])}

    def data(self, prefix):
        """The Parquet objects that a reader of the folder sees."""
        return sorted(key for key in self.keys(prefix)
                      if key.endswith(".parquet") and not key[len(prefix):].startswith("_"))

    def rows(self, prefix):
        tables = [pq.read_table(pa.BufferReader(self.get(key))) for key in self.data(prefix)]
        return [row for table in tables for row in table.to_pylist()]

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])

    def clear(self, prefix):
        for key in self.keys(prefix):
            self.client.delete_object(Bucket=BUCKET, Key=key)


@pytest.fixture(scope="module")
def bucket(endpoint):
    return Bucket(endpoint)


@pytest.fixture
def place(bucket, request, tmp_path):
    """A prefix of its own for each test, filled with input and rates; the same files lie in tmp_path."""
    prefix = request.node.name.replace("[", "_").replace("]", "") + "/"
    samples.steady_rates(tmp_path / "rates", days=5)
    bad = [[999, "bad", "oops", "USD", "2011-03-01"]]
    samples.write_csv(tmp_path / "raw" / "a.csv", samples.transactions(range(1, 61), range(3)) + bad)
    for path in [*(tmp_path / "rates").iterdir(), *(tmp_path / "raw").iterdir()]:
        bucket.put(prefix + str(path.relative_to(tmp_path)), path.read_bytes())
    return prefix


def url(place, part, scheme="s3"):
    return f"{scheme}://{BUCKET}/{place}{part}"


def normalize(place, environment, *extra, batch="b", env=None, part="raw", scheme="s3"):
    return cambist.run(*arguments(place, batch, *extra, part=part, scheme=scheme), env=environment | (env or {}))


def next_second():
    """Waits for the clock's next second: the store's times, and so garbage collection, know no finer."""
    time.sleep(1.05 - time.time() % 1)


def arguments(place, batch, *extra, part="raw", scheme="s3"):
    return cambist.normalize_arguments(
        url(place, part, scheme), url(place, "rates", scheme), url(place, "out/table", scheme), "SGD",
        "--batch", batch, *TYPES, *extra)


def table_prefix(place):
    return f"{place}out/table/"


def quarantine_prefix(place):
    return f"{place}out/table_quarantine/"


def ids(bucket, place):
    return sorted(row["transaction_id"] for row in bucket.rows(table_prefix(place)))


def test_a_run_on_the_store_equals_the_same_run_on_disk(bucket, environment, place, tmp_path):
    local = cambist.committed(cambist.normalize(
        tmp_path / "raw", tmp_path / "rates", tmp_path / "out" / "table", "SGD", "--batch", "b", *TYPES))
    remote = cambist.committed(normalize(place, environment))
    for key in ("records_in", "converted", "quarantined", "totals", "source_totals", "content_hash"):
        assert remote[key] == local[key], key
    assert ids(bucket, place) == list(range(1, 61))
    assert len(bucket.rows(quarantine_prefix(place))) == 1
    assert not bucket.uploads()


def test_the_same_run_again_writes_no_object(bucket, environment, place):
    cambist.committed(normalize(place, environment))
    before = bucket.keys(place)
    cambist.committed(normalize(place, environment), "already_done")
    assert bucket.keys(place) == before


@pytest.mark.parametrize("scheme", ["s3a", "s3n"])
def test_the_names_that_hadoop_uses_are_the_same_place(bucket, environment, place, scheme):
    cambist.committed(normalize(place, environment))
    cambist.committed(normalize(place, environment, scheme=scheme), "already_done")


def test_verify_explain_log_and_ddl_work(environment, place):
    cambist.committed(normalize(place, environment))
    table = url(place, "out/table")
    cambist.succeed("verify", "--output", table, env=environment)
    explained = cambist.succeed("explain", "--output", table, "--row", "transaction_id=1", env=environment)
    assert "2011-03-0" in explained.stdout
    cambist.succeed("table", "log", "--output", table, env=environment)
    ddl = cambist.succeed("table", "ddl", "--output", table, "--dialect", "athena", env=environment)
    assert f"s3://{BUCKET}/{table_prefix(place)}_symlink_format_manifest/dt=${{dt}}/" in ddl.stdout


def test_one_more_input_replaces_the_batch_and_gc_clears_what_it_left(bucket, environment, place):
    cambist.committed(normalize(place, environment))
    cambist.committed(normalize(place, environment, batch="other"))
    first = bucket.data(table_prefix(place))
    bucket.put(f"{place}raw/b.csv", samples.csv_text(samples.transactions(range(61, 81), range(1, 4))))
    cambist.committed(normalize(place, environment))
    assert ids(bucket, place) == sorted([*range(1, 81), *range(1, 61)])
    kept = set(first) & set(bucket.data(table_prefix(place)))
    assert 0 < len(kept) < len(first)
    assert any("/_history/" in key for key in bucket.keys(table_prefix(place)))
    manifests = [line for key in bucket.keys(table_prefix(place)) if key.endswith("/manifest")
                 for line in bucket.get(key).decode().split()]
    assert sorted(manifests) == [f"s3://{BUCKET}/{key}" for key in bucket.data(table_prefix(place))]
    next_second()
    cambist.succeed("table", "gc", "--output", url(place, "out/table"), "--older-than", "0s", env=environment)
    assert not any("/_history/" in key for key in bucket.keys(table_prefix(place)))
    assert ids(bucket, place) == sorted([*range(1, 81), *range(1, 61)])
    cambist.succeed("verify", "--output", url(place, "out/table"), env=environment)


def test_a_run_killed_anywhere_leaves_the_old_table_or_the_new_one(bucket, environment, place):
    points = cambist.succeed("fault-points").stdout.split()
    table = url(place, "out/table")
    changed = samples.csv_text(samples.transactions(range(31, 91), range(1, 4), seed=9))
    fired = 0
    for point in points:
        if point.startswith("gc"):
            continue
        bucket.clear(f"{place}out/")
        original = samples.csv_text(samples.transactions(range(1, 61), range(3)))
        bucket.put(f"{place}raw/a.csv", original)
        cambist.committed(normalize(place, environment))
        bucket.put(f"{place}raw/a.csv", changed)
        died = normalize(place, environment, env={"CAMBIST_KILL_AT": point})
        assert died.killed or died.code == cambist.DONE, died
        fired += died.killed
        cambist.succeed("table", "log", "--output", table, env=environment)
        left = ids(bucket, place)
        assert left in (list(range(1, 61)), list(range(31, 91))), f"{point}: {left}"
        cambist.succeed("verify", "--output", table, env=environment)
        assert normalize(place, environment).code == cambist.DONE
        assert ids(bucket, place) == list(range(31, 91)), point
        next_second()
        cambist.succeed("table", "gc", "--output", table, "--older-than", "0s", env=environment)
        assert not bucket.uploads(), f"{point}: an upload is left, which costs storage"
    assert fired >= 5


def test_two_processes_lose_and_double_nothing(bucket, environment, place):
    bucket.put(f"{place}two/a.csv", samples.csv_text(samples.transactions(range(1001, 1061), range(3), seed=8)))
    started = [cambist.start(*arguments(place, "one"), env=environment),
               cambist.start(*arguments(place, "two", part="two"), env=environment)]
    done = [cambist.finish(*process) for process in started]
    codes = [one.code for one in done]
    assert set(codes) <= {cambist.DONE, cambist.CONFLICT} and cambist.DONE in codes, "\n".join(map(str, done))
    expected = [number for code, rows in zip(codes, (range(1, 61), range(1001, 1061))) if code == 0 for number in rows]
    assert ids(bucket, place) == expected


def test_a_missing_bucket_or_key_is_named(environment, place, tmp_path):
    done = normalize(place, environment, part="nowhere")
    assert done.code == cambist.USAGE and "nowhere" in done.stderr, done


def test_credentials_appear_nowhere(bucket, environment, place):
    secret = environment | {"AWS_SECRET_ACCESS_KEY": "a-very-secret-word"}
    done = normalize(place, secret, "--json")
    assert done.code == cambist.DONE, done
    assert "a-very-secret-word" not in done.stdout + done.stderr
    for key in bucket.keys(f"{place}out/"):
        assert b"a-very-secret-word" not in bucket.get(key), key
