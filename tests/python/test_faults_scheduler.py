"""The scheduler dies at every step of a run, and two of them share one state: nothing is lost or doubled.

Each test prints what it injected and what it found."""

import pytest

import cambist
import clusters
from clusters import kill, wait_until
from faults import Fault, Job, run_view, say, wait_lost, wake

RECOVERED = "cambist_runs_recovered_total"


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return Job(tmp_path_factory.mktemp("job"), files=6, rows=400)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out" / "table"


def what_happened(cluster, *views):
    states = ", ".join(f"{view['state']} in attempt {view['attempt']}" for view in views)
    return f"{states}, {cluster.metric(RECOVERED):.0f} runs taken up by the new scheduler"


def published(cluster, *run_ids):
    """The runs' views once they are published."""
    for run_id in run_ids:
        wait_until(lambda: run_view(cluster, run_id)["state"] in ("published", "failed"), f"{run_id} does not end")
    views = [run_view(cluster, run_id) for run_id in run_ids]
    assert all(view["state"] == "published" for view in views), views
    return views


def test_the_scheduler_dies_while_runs_are_queued(job, output, tmp_path):
    """Without executors one run waits for them and two wait behind it; all end by themselves."""
    with clusters.up(tmp_path / "cluster", 1, scheduler_flags=("--runs-at-once=1",)) as cluster:
        scheduler, executors = cluster.processes()
        kill(*executors)
        wait_lost(cluster, 0)
        outputs = [output.with_name(f"table-{number}") for number in range(3)]
        run_ids = [job.submit(cluster, one) for one in outputs]
        waiting = [run_view(cluster, run_id)["waiting"] for run_id in run_ids]
        kill(scheduler)
        cluster.restart_scheduler()
        cluster.start_executor("new")
        views = published(cluster, *run_ids)
        for one, run_id in zip(outputs, run_ids):
            job.check(one, cluster.run("runs", "watch", run_id))
        assert cluster.metric(RECOVERED) == 3
        job.check_next(cluster, tmp_path)
        say(f"kill -9 of the scheduler over runs that wait ({waiting})", what_happened(cluster, *views))


@pytest.mark.parametrize("point", ["task.writing:pause:6", "task.after_manifest:pause:2"])
def test_the_scheduler_dies_while_a_run_works(job, output, tmp_path, point):
    """The waiting command gets the result from the next scheduler."""
    fault = Fault(tmp_path, point)
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        scheduler, _ = cluster.processes()
        started = job.start(cluster, output)
        held = fault.wait_paused()
        assert run_view(cluster)["state"] == "running"
        kill(scheduler)
        wake(held)
        cluster.restart_scheduler(env=fault.environment)
        done = cambist.finish(*started)
        job.check(output, done, leftovers=[done.summary["run_id"]])
        view = run_view(cluster)
        assert view["attempt"] == 2 and cluster.metric(RECOVERED) == 1
        job.check_next(cluster, tmp_path)
        say(f"{fault.firings()[0]}, kill -9 of the scheduler meanwhile", what_happened(cluster, view))


@pytest.mark.parametrize("point", [
    "commit.before_record", "commit.after_record", "publish.quarantine_files", "publish.file:kill:2",
    "publish.files", "publish.manifests", "publish.staging", "publish.before_marker", "publish.after_marker",
])
def test_the_scheduler_dies_at_a_step_of_the_commit(job, output, tmp_path, point):
    fault = Fault(tmp_path, point if ":" in point else f"{point}:kill")
    with clusters.up(tmp_path / "cluster", 1, env=fault.environment) as cluster:
        scheduler, _ = cluster.processes()
        started = job.start(cluster, output)
        assert fault.wait() == scheduler
        wait_until(lambda: not clusters.is_alive(scheduler), "the scheduler does not die")
        cluster.restart_scheduler(env=fault.environment)
        done = cambist.finish(*started)
        # Only who dies before the commit record leaves staged files.
        job.check(output, done, leftovers=[done.summary["run_id"]] if "before_record" in point else ())
        [view] = published(cluster, run_view(cluster)["id"])
        assert view["attempt"] == 2 and cluster.metric(RECOVERED) == 1
        again = job.run(cluster, output)
        job.check(output, again, "already_done", without=("status",))
        say(fault.firings()[0], what_happened(cluster, view))


def test_two_schedulers_share_one_state_and_table(job, output, tmp_path):
    """The second takes up the run that the first is driving: one of them publishes it, once."""
    fault = Fault(tmp_path, "commit.before_record:pause")
    with clusters.up(tmp_path / "cluster", 1, env=fault.environment) as cluster:
        scheduler, _ = cluster.processes()
        started = job.start(cluster, output)
        held = fault.wait_paused()
        assert held == scheduler
        run_id = next(iter((cluster.folder / "state" / "runs").iterdir())).name
        with clusters.beside(cluster, tmp_path / "beside") as second:
            second.start_executor("second")
            published(second, run_id)
            rows = job.contents(output)
            assert rows == (job.quiet_rows, job.quiet_broken)
            # The first wakes in the middle of a commit that the second has made.
            wake(scheduler)
            done = cambist.finish(*started)
            job.check(output, done)
            fenced = cluster.metric("cambist_run_steps_fenced_total")
            view = run_view(cluster, run_id)
            assert fenced >= 1 and view["state"] == "published" and view["attempt"] == 2
            # Both work on one table at once, each with a batch of its own.
            both = [job.start(one, output, batch=batch) for one, batch in ((cluster, "one"), (second, "two"))]
            codes = [cambist.finish(*one).code for one in both]
            assert set(codes) <= {cambist.DONE, cambist.CONFLICT} and cambist.DONE in codes, codes
            cambist.succeed("verify", "--output", output)
            batches = 1 + codes.count(cambist.DONE)
            assert cambist.read(output).num_rows == batches * job.quiet["converted"]
            say(f"{fault.firings()[0]} and a second scheduler on the same state",
                f"{view['state']} once in attempt {view['attempt']}, {fenced:.0f} steps of the first refused; "
                f"two batches at once: exit codes {codes}, {batches} batches in the table")
