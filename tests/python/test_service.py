"""The scheduler's HTTP interface and both metrics pages, judged by the tools that others read them with."""

import json
import pathlib
import shutil
import subprocess
import sys
import urllib.request

import pytest
from openapi_spec_validator import validate

import cambist
import clusters
import samples
import stores

# Per operation of the description; enough to reach every kind of answer, within a minute.
EXAMPLES = 60
SEED = 20110301


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and one executor that shows its metrics; a run has passed, so that nothing is zero."""
    folder = tmp_path_factory.mktemp("service")
    port = stores.free_port()
    pages = (f"--http-listen=127.0.0.1:{port}",)
    with clusters.up(folder / "cluster", executors=1, executor_flags=pages) as running:
        running.executor_pages = f"http://127.0.0.1:{port}"
        source = samples.write_csv(folder / "raw" / "rows.csv", samples.transactions(range(100), range(3)))
        arguments = cambist.normalize_arguments(source, samples.steady_rates(folder / "rates"), folder / "out", "SGD")
        cambist.committed(running.run(*arguments))
        yield running


@pytest.mark.parametrize("who", ["scheduler", "executor"])
def test_promtool_accepts_the_metrics(cluster, who):
    if shutil.which("promtool") is None:
        pytest.skip("no `promtool` on the path: it is in Debian's package `prometheus`")
    url = (cluster.url if who == "scheduler" else cluster.executor_pages) + "/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        page = answer.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout.decode() + checked.stderr.decode() + page.decode()
    print(f"{who}: {len(page)} bytes of metrics, promtool says {checked.stderr.decode().strip() or 'nothing'}")


def test_the_metrics_tell_what_was_done(cluster):
    with urllib.request.urlopen(cluster.executor_pages + "/metrics", timeout=30) as answer:
        page = answer.read().decode()
    assert clusters.sample(page, "cambist_executor_records_read_total") == 100
    assert cluster.metric("cambist_runs_published_total") == 1


def test_the_description_is_openapi(cluster):
    description = cluster.get("/v1/openapi.json")
    validate(description)
    print(f"OpenAPI {description['openapi']}: {', '.join(sorted(description['paths']))}")


def test_requests_of_every_form_are_answered_as_described(cluster, tmp_path):
    """Requests that the description allows and such as it forbids: no 500, and every answer as described."""
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        pytest.skip("no `schemathesis`: pip install schemathesis")
    # Which jobs and runs there are is no matter of the schema, so that what it allows may be refused.
    excluded = "unsupported_method,positive_data_acceptance"
    done = subprocess.run(
        [str(program), "run", f"{cluster.url}/v1/openapi.json", "--max-examples", str(EXAMPLES), "--seed", str(SEED),
         "--checks", "all", "--exclude-checks", excluded, "--request-timeout", "90", "--no-color",
         "--generation-database", "none"],
        cwd=tmp_path, capture_output=True, text=True, timeout=1200, check=False)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-3000:]
    # What it has submitted was refused or has come to an end; the service still works.
    assert cluster.get("/healthz")["status"] == "ok"
    with urllib.request.urlopen(cluster.url + "/v1/runs", timeout=30) as answer:
        json.load(answer)
