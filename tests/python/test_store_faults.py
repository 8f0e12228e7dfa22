"""A store that has bad moments: the same table as with one that has none, or no table and a word why."""

import re
import time

import pytest

import cambist
import samples
import stores
from fault_proxy import FaultProxy

TYPES = ("--types", "transaction_id=int64", "--max-quarantine-ratio", "1")
SAME = ("records_in", "converted", "quarantined", "totals", "source_totals", "content_hash")
# Three requests in ten.
SHARES = {"500": 0.07, "503": 0.06, "429": 0.04, "slow": 0.02, "reset": 0.07, "truncated": 0.04}
OUTAGE_SECONDS = 20
FILES, DAYS = 12, 8
IDS = [file * 100 + number for file in range(FILES) for number in range(40)]


@pytest.fixture(scope="module")
def moto(moto_endpoint):
    return stores.Bucket(moto_endpoint, "moto", name="cambist-faults")


@pytest.fixture(scope="module")
def quiet(moto, tmp_path_factory):
    """Inputs, rates, and the summary of a run without faults."""
    folder = tmp_path_factory.mktemp("faults")
    samples.steady_rates(folder / "rates", days=DAYS)
    for file in range(FILES):
        rows = samples.transactions(range(file * 100, file * 100 + 40), range(DAYS), seed=file)
        samples.write_csv(folder / "raw" / f"{file:02}.csv", rows + [[99_000 + file, "bad", "oops", "USD", "2011-03-01"]])
    moto.put_tree("", folder)
    return cambist.committed(normalize(moto, "quiet"))


def arguments(bucket, table, batch="b"):
    return cambist.normalize_arguments(
        bucket.url("raw"), bucket.url("rates"), bucket.url(table), "SGD", "--batch", batch, *TYPES)


def normalize(bucket, table, environment=None):
    return cambist.run(*arguments(bucket, table), env=environment or bucket.environment)


def check(bucket, quiet, table, done, proxy):
    """The run's figures and rows are those of the quiet one, through another way than the proxy."""
    print(f"{table}: {proxy.requests} requests, injected {dict(proxy.injected)}")
    found = cambist.committed(done)
    assert {key: found[key] for key in SAME} == {key: quiet[key] for key in SAME}
    assert sorted(row["transaction_id"] for row in bucket.rows(f"{table}/")) == IDS
    assert len(bucket.rows(f"{table}_quarantine/")) == FILES
    cambist.succeed("verify", "--output", bucket.url(table), env=bucket.environment)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_requests_in_ten_fail_and_the_table_is_the_same(moto, quiet, seed):
    with FaultProxy(moto.endpoint, seed=seed, delay_seconds=0.5) as proxy:
        proxy.spoil(SHARES)
        table = f"spoiled-{seed}"
        done = normalize(moto, table, stores.environment(proxy.url))
        check(moto, quiet, table, done, proxy)
        injected = sum(proxy.injected.values())
        assert injected >= 0.2 * proxy.requests and len(proxy.injected) >= 5, proxy.injected


def test_a_store_that_fails_entirely_for_a_while_is_waited_for(moto, quiet):
    with FaultProxy(moto.endpoint) as proxy:
        process = cambist.start(*arguments(moto, "outage"), env=stores.environment(proxy.url))
        deadline = time.monotonic() + cambist.TIMEOUT_SECONDS
        while proxy.requests < 20:
            assert time.monotonic() < deadline, "the run does not reach the store"
            time.sleep(0.005)
        began = time.monotonic()
        proxy.fail_all_for(OUTAGE_SECONDS)
        done = cambist.finish(*process)
        assert time.monotonic() - began >= OUTAGE_SECONDS, "the outage came too late"
        check(moto, quiet, "outage", done, proxy)
        assert proxy.injected["outage"] >= 5, proxy.injected


def test_answers_that_get_lost_neither_lose_nor_double_a_commit(moto, quiet):
    """Every second creation is carried out and then answered by nothing: whose is the record that is there?"""
    with FaultProxy(moto.endpoint, seed=5) as proxy:
        proxy.spoil({"reset": 0.5}, only=r"^PUT .*/_commits/")
        environment = stores.environment(proxy.url)
        started = [cambist.start(*arguments(moto, "lost", batch), env=environment) for batch in ("one", "two")]
        done = [cambist.finish(*process) for process in started]
        assert proxy.injected["reset"] >= 2, proxy.injected
        print(f"lost: {proxy.requests} requests, injected {dict(proxy.injected)}")
    for run in done:
        cambist.committed(run)
    assert sorted(row["transaction_id"] for row in moto.rows("lost/")) == sorted(IDS * 2)
    records = [key for key in moto.keys("lost/_commits/") if re.fullmatch(r".*/\d{20}\.json", key)]
    assert len(records) == 2, records
    cambist.succeed("verify", "--output", moto.url("lost"), env=moto.environment)
