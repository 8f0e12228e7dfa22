"""Executors die, hang, come back and are told to leave: the table is that of a quiet run.

Each test prints what it injected and what it found."""

import pathlib
import signal

import pytest

import cambist
import clusters
import faults
from clusters import kill, wait_until
from faults import Fault, Job, run_view, say, wait_lost, wake

RESUBMISSIONS = "cambist_plan_resubmissions_total"


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return Job(tmp_path_factory.mktemp("job"))


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out" / "table"


def what_happened(cluster, view):
    """How a run got through: numbers of the run and of the scheduler."""
    return (f"{view['state']} in attempt {view['attempt']}, {view['tasks_done']} of {view['tasks_total']} tasks, "
            f"{cluster.metric(RESUBMISSIONS):.0f} resubmissions, {len(cluster.executors())} executors left")


@pytest.mark.parametrize("point", [
    "task.scanning:kill:3", "task.writing:kill:6", "write.staged:kill:5", "task.before_manifest:kill:2",
    "task.after_manifest:kill:3",
])
def test_an_executor_dies_in_a_task(job, output, tmp_path, point):
    """While it scans, writes, has staged a file, and on both sides of its manifest."""
    fault = Fault(tmp_path, point)
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        done = job.run(cluster, output)
        job.check(output, done)
        dead = fault.pid()
        assert dead in cluster.processes()[1] and not clusters.is_alive(dead)
        view = run_view(cluster)
        assert view["attempt"] == 1
        job.check_next(cluster, tmp_path)
        say(fault.firings()[0], what_happened(cluster, view))


def test_all_executors_die_between_the_last_task_and_the_commit(job, output, tmp_path):
    """The driver is held right before the commit record; it needs no executor any more."""
    fault = Fault(tmp_path, "commit.before_record:pause")
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        started = job.start(cluster, output)
        scheduler, executors = cluster.processes()
        assert fault.wait_paused() == scheduler
        kill(*executors)
        wake(scheduler)
        job.check(output, cambist.finish(*started))
        wait_lost(cluster, 0)
        cluster.start_executor("late")
        view = run_view(cluster)
        job.check_next(cluster, tmp_path)
        say(f"{fault.firings()[0]}, kill -9 of both executors meanwhile", what_happened(cluster, view))


def test_all_executors_die_and_new_ones_come(job, output, tmp_path):
    fault = Fault(tmp_path, "task.writing:kill:6", once=False)
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        started = job.start(cluster, output)
        fault.wait(times=2)
        wait_lost(cluster, 0)
        view = run_view(cluster)
        assert view["state"] in ("planned", "running"), view
        for name in ("new-1", "new-2"):
            cluster.start_executor(name)
        job.check(output, cambist.finish(*started))
        assert not any(map(clusters.is_alive, cluster.processes()[1]))
        view = run_view(cluster)
        assert view["attempt"] == 1
        job.check_next(cluster, tmp_path)
        say(" and ".join(fault.firings()), what_happened(cluster, view))


@pytest.mark.parametrize("point", ["task.writing", "task.before_manifest"])
def test_the_only_executor_dies_while_files_are_merged(job, output, tmp_path, point):
    """The second pass of a run: the first one's files are there, and stay until the commit has the merged ones."""
    # Alone, it passes the point once or more in each task of the first pass.
    passes = {"task.writing": faults.DAYS}.get(point, 1) * job.files
    fault = Fault(tmp_path, f"{point}:kill:{passes + 1}")
    with clusters.up(tmp_path / "cluster", 1, env=fault.environment) as cluster:
        started = job.start(cluster, output, "--files-per-partition", 4)
        fault.wait()
        wait_lost(cluster, 0)
        manifests = len([path for path in faults.staged_files(output) if "/manifests/" in path])
        assert manifests >= job.files, "it did not die in the second pass"
        cluster.start_executor("new")
        # Fewer files than where nothing is merged.
        report = job.check(output, cambist.finish(*started), without=("files", "bytes"))
        assert report["files"] < job.quiet["files"]
        view = run_view(cluster)
        assert view["attempt"] == 1
        job.check_next(cluster, tmp_path)
        say(f"{fault.firings()[0]} in the merging pass", f"{what_happened(cluster, view)}, {report['files']} files")


@pytest.mark.parametrize("point", ["task.writing:pause:3", "task.before_manifest:pause"])
def test_an_executor_hangs_and_comes_back_when_all_is_over(job, output, tmp_path, point):
    """Its late results find the run published: nothing changes but what nobody sees."""
    fault = Fault(tmp_path, point)
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        started = job.start(cluster, output)
        hanging = fault.wait_paused()
        done = cambist.finish(*started)
        job.check(output, done)
        lost = 2 - len(cluster.executors())
        assert lost == 1 and clusters.is_stopped(hanging)
        wake(hanging)
        # It joins again, and works for the next job.
        wait_until(lambda: len(cluster.executors()) == 2, "the executor does not come back")
        job.check_next(cluster, tmp_path)
        left = len(faults.staged_files(output))
        view = run_view(cluster, done.summary["run_id"])
        job.check_table(output, leftovers=[view["id"]])
        say(f"{fault.firings()[0]} for longer than the timeout, then SIGCONT",
            f"{what_happened(cluster, view)}, {left} late staged files that no reader sees")


def test_an_executor_that_was_given_up_comes_back_before_the_commit(job, output, tmp_path):
    """Others have done its task meanwhile: it gives way, or is told to start again, and the manifests stay theirs."""
    late_folder = tmp_path / "late"
    late_folder.mkdir()
    driver, late = Fault(tmp_path, "commit.before_record:pause"), Fault(late_folder, "task.before_manifest:pause")
    with clusters.up(tmp_path / "cluster", executors=1, env=driver.environment) as cluster:
        cluster.start_executor("late", env=late.environment)
        started = job.start(cluster, output)
        hanging = late.wait_paused()
        scheduler = driver.wait_paused()
        staged = {path: pathlib.Path(path).read_bytes() for path in faults.staged_files(output)}
        manifests = [path for path in staged if "/manifests/" in path]
        assert len(manifests) == job.files
        wake(hanging)
        log = cluster.folder / "late.log"
        wait_until(lambda: set(faults.staged_files(output)) < set(staged) or "starting again" in log.read_text(),
                   "the late task neither gives way nor ends")
        gave_way = len(staged) - len(faults.staged_files(output))
        assert all(pathlib.Path(path).read_bytes() == staged[path] for path in manifests)
        wake(scheduler)
        job.check(output, cambist.finish(*started))
        view = run_view(cluster)
        job.check_next(cluster, tmp_path)
        say(f"{late.firings()[0]} until others had done its task, then SIGCONT",
            f"{what_happened(cluster, view)}, {gave_way} staged files given up by the late task"
            + ("" if gave_way else ", which was told to start again"))


def test_one_of_three_executors_is_told_to_leave(job, output, tmp_path):
    """SIGTERM reaches it in the middle of a task: it ends that task, and the run does not begin anew."""
    fault = Fault(tmp_path, "task.writing:pause:6")
    with clusters.up(tmp_path / "cluster", executors=3, env=fault.environment) as cluster:
        started = job.start(cluster, output)
        leaving = fault.wait_paused()
        clusters.signal_all([leaving], signal.SIGTERM)
        wake(leaving)
        job.check(output, cambist.finish(*started))
        wait_until(lambda: not clusters.is_alive(leaving), "the executor does not leave")
        view = run_view(cluster)
        assert view["attempt"] == 1
        assert cluster.metric("cambist_plan_submissions_total") == 1 and cluster.metric(RESUBMISSIONS) == 0
        assert len(cluster.executors()) == 2
        job.check_next(cluster, tmp_path)
        say(f"{fault.firings()[0]} and SIGTERM there in the middle of a task", what_happened(cluster, view))
