"""A cluster on a store that has bad moments, and the same job on every store as in one process.

Each test prints what it injected and what it found."""

import json

import pytest

import cambist
import clusters
import retail
import stores
from clusters import wait_until
from fault_proxy import FaultProxy
from faults import OF_THE_RUN, StoredJob, run_view, say
from stores import on_s3

# Three requests in ten.
SHARES = {"500": 0.07, "503": 0.06, "429": 0.04, "slow": 0.02, "reset": 0.07, "truncated": 0.04}
OUTAGE_SECONDS = 20


@pytest.fixture(scope="module")
def job(moto_endpoint, tmp_path_factory):
    return StoredJob(stores.Bucket(moto_endpoint, name="cambist-cluster-faults"), tmp_path_factory.mktemp("job"))


def retries(view):
    return f"{view['state']} in attempt {view['attempt']}"


@pytest.mark.parametrize("seed", [1, 2])
def test_three_requests_in_ten_fail(job, tmp_path, seed):
    """All processes see the store through the proxy, and the scheduler keeps its records there too."""
    with FaultProxy(job.bucket.endpoint, seed=seed, delay_seconds=0.5) as proxy, clusters.up(
            tmp_path / "cluster", env=stores.environment(proxy.url)) as cluster:
        records_in_the_store(cluster, job.bucket, f"state-{seed}", stores.environment(proxy.url))
        proxy.spoil(SHARES)
        table = f"spoiled-{seed}"
        done = cambist.finish(*job.start(cluster, table))
        job.check(table, done)
        proxy.spoil({})
        injected = sum(proxy.injected.values())
        assert injected >= 0.2 * proxy.requests and len(proxy.injected) >= 5, proxy.injected
        view = run_view(cluster)
        job.check(f"next-{seed}", cambist.finish(*job.start(cluster, f"next-{seed}")))
        wait_until(cluster.is_idle, "vcores stay taken")
        say(f"seed {seed}: {dict(proxy.injected)} of {proxy.requests} requests",
            f"{retries(view)}, {cluster.metric('cambist_plan_resubmissions_total'):.0f} resubmissions")


def records_in_the_store(cluster, bucket, key, environment):
    """Puts a scheduler in place of the one of `cluster up` whose records lie in the bucket."""
    scheduler, _ = cluster.processes()
    clusters.kill(scheduler)
    cluster.restart_scheduler(f"--state-url={bucket.url(key)}", env=environment, without=["--state-url"])
    wait_until(lambda: len(cluster.executors()) == 2, "the executors do not come back")


def test_the_store_fails_entirely_for_a_while(job, tmp_path):
    with FaultProxy(job.bucket.endpoint) as proxy, clusters.up(
            tmp_path / "cluster", env=stores.environment(proxy.url)) as cluster:
        started = job.start(cluster, "outage")
        wait_until(lambda: run_view(cluster)["state"] == "running" if cluster.runs() else None, "the run does not begin")
        before = proxy.requests
        proxy.fail_all_for(OUTAGE_SECONDS)
        done = cambist.finish(*started)
        job.check("outage", done)
        assert proxy.injected["outage"] >= 5, proxy.injected
        view = run_view(cluster)
        assert view["elapsed_seconds"] >= OUTAGE_SECONDS, "the outage came too late"
        job.check("outage-next", cambist.finish(*job.start(cluster, "outage-next")))
        wait_until(cluster.is_idle, "vcores stay taken")
        say(f"no request answered for {OUTAGE_SECONDS} s from the {before}th on, {proxy.injected['outage']} refused",
            f"{retries(view)} after {view['elapsed_seconds']:.0f} s, "
            f"{cluster.metric('cambist_plan_resubmissions_total'):.0f} resubmissions")


@on_s3
def test_the_retail_job_over_a_store_equals_that_of_one_process(store, data, tmp_path):
    """Source, rates and output in a bucket; one run in one process, one on a cluster."""
    store.put("retail/online_retail.csv.gz", (data / "retail" / "online_retail.csv.gz").read_bytes())
    store.put("retail/country_currency.csv", (data / "retail" / "country_currency.csv").read_bytes())
    store.put_tree("oxr/daily/", data / "oxr" / "daily")
    reports = {}
    with clusters.up(tmp_path / "cluster", env=store.environment) as cluster:
        for place, extra in (("here", ()), ("there", ("--cluster", cluster.url))):
            spec = tmp_path / f"{place}.toml"
            text = retail.spec(data, store.url(f"retail-{place}"), retail.BY_COUNTRY, "half_even", retail.TARGETS)
            for local, remote in ((data / "retail", "retail"), (data / "oxr", "oxr")):
                text = text.replace(json.dumps(str(local))[1:-1], store.url(remote))
            assert str(data) not in text
            spec.write_text(text)
            reports[place] = cambist.committed(cambist.run("normalize", "--spec", spec, *extra, env=store.environment))
    here, there = ({key: report[key] for key in report if key not in OF_THE_RUN} for report in reports.values())
    assert here == there and here["records_in"] == retail.RECORDS
    assert not store.uploads()
    cambist.succeed("verify", "--output", store.url("retail-there"), env=store.environment)
    print(f"retail over {store.kind}: {here['records_in']} records, totals {here['totals']}, "
          f"content {here['content_hash']}: equal in one process ({reports['here']['seconds']} s) and on a cluster "
          f"({reports['there']['seconds']} s)")
