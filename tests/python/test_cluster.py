"""The same commands on a cluster of real processes: a scheduler and executors of this very binary."""

import contextlib
import http.server
import json
import signal
import subprocess
import sys
import threading

import pytest

import cambist
import clusters
import retail
import samples
from clusters import wait_until

# What may differ between two runs of the same inputs.
OF_THE_RUN = ("run_id", "seconds")
# How a run's rows lie in files depends on how many tasks there were.
OF_THE_LAYOUT = ("files", "bytes")
NOT_READY, CANCELLED_BY_SIGTERM = 10, 128 + signal.SIGTERM


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two executors, shared by the tests of this file that kill nobody."""
    with clusters.up(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def source(tmp_path):
    """Three hundred transactions in three files."""
    for number in range(3):
        rows = samples.transactions(range(number * 100, number * 100 + 100), range(5), seed=number)
        samples.write_csv(tmp_path / "raw" / f"{number}.csv", rows)
    return tmp_path / "raw"


def figures(report, *without):
    return {key: value for key, value in report.items() if key not in (*OF_THE_RUN, *without)}


def normalize(source, rates, output, *extra, **options):
    return cambist.normalize(source, rates, output, "SGD", *extra, **options)


def test_a_cluster_gives_the_report_and_the_rows_of_one_process(cluster, source, rates, tmp_path):
    here = cambist.committed(normalize(source, rates, tmp_path / "here"))
    there = cambist.committed(normalize(source, rates, tmp_path / "there", "--cluster", cluster.url))
    assert list(there) == list(here), "the same keys in the same order"
    assert figures(there, *OF_THE_LAYOUT) == figures(here, *OF_THE_LAYOUT)
    key = "transaction_id"
    assert cambist.rows_by(cambist.read(tmp_path / "there"), key) == cambist.rows_by(
        cambist.read(tmp_path / "here"), key)
    cambist.succeed("verify", "--output", tmp_path / "there")
    cambist.committed(normalize(source, rates, tmp_path / "there", "--cluster", cluster.url), "already_done")


def test_the_retail_job_gives_the_golden_totals_on_a_cluster(cluster, data, tmp_path):
    golden = json.loads((data / "golden" / "retail_x_oxr.json").read_text())
    output = tmp_path / "out" / "processed_data"
    spec = tmp_path / "retail.toml"
    spec.write_text(retail.spec(data, output, retail.ALL_IN_POUNDS, "half_even", retail.TARGETS))
    cambist.committed(cluster.run("normalize", "--spec", spec))
    for target in retail.TARGETS:
        rows = retail.in_file_order(output, [f"amount_{target.lower()}"])
        digest, total = retail.minor_unit_hash(rows, f"amount_{target.lower()}")
        case = f"gbp->{target} HE"
        assert total == golden["totals_minor_units"][case]
        assert digest == golden["sha256_of_newline_terminated_minor_units"][case]


def test_relative_paths_mean_the_callers_folder(cluster, source, rates, tmp_path):
    arguments = cambist.normalize_arguments("raw", "rates", "out/table", "SGD", "--cluster", cluster.url)
    done = cambist.run(*arguments, cwd=tmp_path)
    assert cambist.committed(done)["records_in"] == 300
    assert cambist.data_files(tmp_path / "out" / "table")


def test_any_job_runs_by_its_name_with_options_from_spec_and_flags(cluster, source, rates, tmp_path):
    spec = tmp_path / "job.toml"
    spec.write_text(samples.toml({
        "source": {"url": source, "format": "csv", "time_zone": "UTC"},
        "rates": {"url": rates}, "target": {"currencies": ["SGD"]}, "output": {"url": tmp_path / "spec"},
    }))
    sets = ("--set", f"output.url={tmp_path / 'set'}", "--set", 'target.currencies=["SGD","INR"]')
    for place in ((), ("--cluster", cluster.url)):
        summary = cambist.committed(
            cambist.run("run", "normalize", "--spec", spec, *sets, "--set", f"run.batch=b{len(place)}", *place))
        assert set(summary["totals"]) == {"SGD", "INR"}
    assert not (tmp_path / "spec").exists()


def test_the_environment_names_the_cluster(cluster, source, rates, tmp_path):
    before = len(cluster.runs("--limit", 500))
    done = normalize(source, rates, tmp_path / "out", env={"CAMBIST_CLUSTER": cluster.url})
    run_id = cambist.committed(done)["run_id"]
    listed = cluster.runs("--limit", 500)
    assert len(listed) == before + 1 and listed[0]["id"] == run_id


def test_a_failure_keeps_its_kind_message_and_hint(cluster, source, rates, tmp_path):
    """Bad options are found before anything is sent, the rest on the cluster: the same words and codes."""
    bad = [["x", "a note", "12.00", "NOPE", "2011-03-02"]]
    broken = samples.write_csv(tmp_path / "broken" / "rows.csv", bad)
    for raw, extra, code in (
        (source, ("--rounding", "up"), cambist.USAGE),
        (source, ("--max-age-days", "-1"), cambist.USAGE),
        (tmp_path / "nothing", (), cambist.USAGE),
        (source, ("--sql", "SELECT * FROM source WHERE no_column > 1"), cambist.USAGE),
        (broken, (), cambist.QUALITY_GATE),
    ):
        arguments = cambist.normalize_arguments(raw, rates, tmp_path / "out", "SGD", *extra, "--json")
        here, there = cambist.run(*arguments), cluster.run(*arguments)
        assert (here.code, there.code) == (code, code), (here, there)
        assert there.stderr == here.stderr
        assert there.stdout == ""


def test_a_detached_run_is_found_and_watched(cluster, source, rates, tmp_path):
    done = normalize(source, rates, tmp_path / "out", "--cluster", cluster.url, "--detach")
    assert done.code == cambist.DONE, done
    run_id = done.summary["id"]
    watched = cambist.committed(cluster.run("runs", "watch", run_id))
    assert watched["run_id"] == run_id
    shown = cluster.run("runs", "show", run_id)
    assert "published" in shown.stdout and run_id in shown.stdout, shown
    as_json = cluster.run("runs", "show", run_id, "--json").summary
    assert as_json["report"]["content_hash"] == watched["content_hash"]
    assert run_id in cluster.run("runs", "list").stdout
    assert run_id in [run["id"] for run in cluster.runs("--state", "published", "--limit", 500)]


def test_what_is_not_there_is_said(cluster):
    for arguments in (("runs", "show", "nobody"), ("runs", "watch", "nobody"), ("runs", "cancel", "nobody")):
        done = cluster.run(*arguments)
        assert done.code == cambist.USAGE and "nobody" in done.stderr, done
    done = cluster.run("runs", "list", "--state", "lost")
    assert done.code == cambist.USAGE and "published" in done.stderr, done
    done = cambist.run("runs", "list")
    assert done.code == cambist.USAGE and "CAMBIST_CLUSTER" in done.stderr, done
    done = cambist.run("normalize", "--detach")
    assert done.code == cambist.USAGE and "--cluster" in done.stderr, done
    done = cambist.run("runs", "list", "--cluster", "ftp://somewhere")
    assert done.code == cambist.USAGE and "http://" in done.stderr, done


def test_a_cluster_without_executors_says_so_and_a_cancelled_run_leaves_nothing(source, rates, tmp_path):
    """SIGTERM to the waiting command cancels its run: whoever stops a step means the work."""
    with clusters.up(tmp_path / "cluster", executors=1) as cluster:
        _, executors = cluster.processes()
        clusters.signal_all(executors, signal.SIGKILL)
        wait_until(lambda: not cluster.get("/v1/executors")["executors"]
                   or all(found["status"] != "active" for found in cluster.get("/v1/executors")["executors"]))
        arguments = cambist.normalize_arguments(
            source, rates, tmp_path / "out", "SGD", "--cluster", cluster.url)
        process, command = cambist.start(*arguments)
        run = wait_until(lambda: next(iter(cluster.runs()), None))
        wait_until(lambda: "no executors" in (cluster.get(f"/v1/runs/{run['id']}")["waiting"] or ""))
        assert "queued: no executors" in cluster.run("runs", "list").stdout
        process.send_signal(signal.SIGTERM)
        done = cambist.finish(process, command)
        assert done.code == CANCELLED_BY_SIGTERM, done
        assert done.stdout == "" and "cancelled" in done.stderr, done
        assert cluster.get(f"/v1/runs/{run['id']}")["state"] == "cancelled"
        assert not cambist.data_files(tmp_path / "out")
        # A detached one is cancelled by name.
        detached = cambist.run(*arguments, "--detach").summary
        assert cluster.run("runs", "cancel", detached["id"]).summary["state"] == "cancelled"
        watched = cluster.run("runs", "watch", detached["id"])
        assert watched.code != cambist.DONE and "cancelled" in watched.stderr, watched


def test_up_refuses_twice_and_down_twice_is_no_fault(tmp_path):
    folder = tmp_path / "cluster"
    with clusters.up(folder, executors=1) as cluster:
        scheduler, executors = cluster.processes()
        again = cambist.run("cluster", "up", "--dir", folder, "--listen", "127.0.0.1:0")
        assert again.code == cambist.USAGE and cluster.url in again.stderr, again
        status = cambist.succeed("cluster", "status", "--dir", folder).summary
        assert status["scheduler"] == {"pid": scheduler, "is_alive": True, "log": str(folder / "scheduler.log")}
        assert len(status["registered"]) == 1
        down = cambist.succeed("cluster", "down", "--dir", folder)
        assert down.summary == {"stopped": 2, "killed": 0}, down
        assert not any(map(clusters.is_alive, (scheduler, *executors)))
    assert cambist.succeed("cluster", "down", "--dir", folder).summary == {"stopped": 0, "killed": 0}
    assert cambist.run("cluster", "status", "--dir", folder).code == NOT_READY


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(tmp_path):
    """The port is taken, by somebody who answers like a scheduler."""
    folder = tmp_path / "cluster"
    with answering(b'{"executors": []}') as taken:
        done = cambist.run("cluster", "up", "--dir", folder, "--listen", f"127.0.0.1:{taken}")
    assert done.code == 20, done
    assert "cannot listen" in done.stderr and "scheduler.log" in done.stderr, done
    assert not (folder / "cluster.json").exists()


def test_a_number_that_somebody_else_has_now_is_not_killed(tmp_path):
    """After a crash of the machine the numbers in the file belong to others."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stale = {"pid": bystander.pid, "born": 1_000_000_000, "log": str(folder / "scheduler.log")}
    (folder / "cluster.json").write_text(
        json.dumps({"url": "http://127.0.0.1:1", "scheduler": stale, "executors": []}))
    try:
        done = cambist.succeed("cluster", "down", "--dir", folder, "--timeout", 1)
        assert done.summary == {"stopped": 0, "killed": 0}, done
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n", timeout=cambist.TIMEOUT_SECONDS)


@pytest.mark.parametrize("answer", [
    {"version": "9.9.9", "plan_version": 1},
    {"version": None, "plan_version": 999_999},
])
def test_an_executor_refuses_a_scheduler_of_another_version(answer):
    mine = cambist.succeed("--version").stdout.split()[-1]
    known = answer | {"version": answer["version"] or mine, "rpc_host": "127.0.0.1", "rpc_port": 1}
    with answering(json.dumps(known).encode()) as port:
        done = cambist.run("executor", "--scheduler", f"http://127.0.0.1:{port}")
    assert done.code == cambist.USAGE, done
    for words in (known["version"], mine, f"version {known['plan_version']}"):
        assert words in done.stderr, done


def test_an_executor_waits_for_its_scheduler_and_leaves_when_told(tmp_path):
    """Nobody listens yet; a signal ends the waiting."""
    process, command = cambist.start(
        "executor", "--scheduler", "http://127.0.0.1:9", "--work-dir", tmp_path, env={"RUST_LOG": "debug"})
    for line in process.stderr:
        if "not there yet" in line:
            break
    process.send_signal(signal.SIGTERM)
    assert cambist.finish(process, command).code in (0, -signal.SIGTERM)


@contextlib.contextmanager
def answering(body):
    """A server on a free port that gives the same answer to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
