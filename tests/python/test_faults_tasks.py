"""A task panics, a disk is full, memory runs out: the run gets over it, or fails with these words and leaves nothing.

Each test prints what it injected and what it found."""

import contextlib
import os
import subprocess
import urllib.request

import pytest

import cambist
import clusters
import samples
import stores
from clusters import kill, wait_until
from faults import Fault, Job, run_view, say, staged_files, wait_lost

RESUBMISSIONS = "cambist_plan_resubmissions_total"
# Attempts at a task before its run fails.
TRIES = 4
DISK_BYTES = 1 << 20
FULL = "No space left on device"


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return Job(tmp_path_factory.mktemp("job"), files=6, rows=400)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out" / "table"


def check_hidden(output, view):
    """Nothing is visible; what a task that still ran staged after the run had cleared up waits for `table gc`."""
    assert not cambist.data_files(output)
    assert all(f"/_staging/{view['id']}/" in path for path in staged_files(output)), staged_files(output)


def check_failed(cluster, output, done, words):
    """The run failed with these words, and nothing of it is visible or left."""
    assert done.code not in (cambist.DONE, cambist.USAGE), done
    for word in words:
        assert word in done.stderr, done
    view = run_view(cluster)
    check_hidden(output, view)
    assert view["state"] == "failed" and all(word in str(view["error"]) for word in words), view
    return view


@pytest.mark.parametrize("setting", ["task.scanning:panic", "task.writing:panic:2", "task.before_manifest:io_error",
                                     "task.writing:enospc:2"])
def test_a_task_that_fails_once_is_tried_again(job, output, tmp_path, setting):
    fault = Fault(tmp_path, setting)
    with clusters.up(tmp_path / "cluster", env=fault.environment) as cluster:
        job.check(output, job.run(cluster, output))
        view = run_view(cluster)
        assert len(fault.firings()) == 1 and view["attempt"] == 1
        job.check_next(cluster, tmp_path)
        say(fault.firings()[0], f"{view['state']} in attempt 1, {cluster.metric(RESUBMISSIONS):.0f} resubmissions")


@pytest.mark.parametrize("setting, words", [
    ("task.writing:panic:*", ["injected panic at task.writing"]),
    ("task.writing:enospc:*", ["no storage space"]),
])
def test_a_task_that_fails_always_fails_its_run_and_the_queue_moves_on(job, output, tmp_path, setting, words):
    fault = Fault(tmp_path, setting, once=False)
    flags = ("--runs-at-once=1",)
    with clusters.up(tmp_path / "cluster", scheduler_flags=flags, env=fault.environment) as cluster:
        started = job.start(cluster, output)
        wait_until(lambda: cluster.runs(), "the run is not submitted")
        behind = job.submit(cluster, output.with_name("behind"))
        done = cambist.finish(*started)
        view = run_view(cluster, next(run["id"] for run in cluster.runs() if run["id"] != behind))
        assert done.code not in (cambist.DONE, cambist.USAGE), done
        assert all(word in done.stderr for word in words), done
        assert view["state"] == "failed" and all(word in str(view["error"]) for word in words), view
        wait_until(lambda: run_view(cluster, behind)["state"] == "failed", "the queue does not move on")
        check_hidden(output, view)
        check_hidden(output.with_name("behind"), run_view(cluster, behind))
        times = len(fault.firings())
        assert times >= 2 * TRIES
        wait_until(cluster.is_idle, "vcores stay taken")
        # The same cluster with sound executors.
        kill(*cluster.processes()[1])
        cluster.start_executor("sound")
        job.check_next(cluster, tmp_path)
        say(f"{fault.firings()[0]} and {times - 1} times more, at every pass",
            f"{view['state']}: {view['error']['message'][:150]!r}; the run behind it had its turn")


@contextlib.contextmanager
def tiny_disk(folder, size):
    """A file system of its own with `size` bytes; skips where the machine does not allow one."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True,
                             text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk, leave=0):
    """Fills a file system up to the last `leave` bytes; returns the file that takes the room."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    os.truncate(ballast, ballast.stat().st_size - leave)
    return ballast


def test_the_disk_of_the_table_is_full(job, tmp_path):
    """A real one; with room again it takes the same run."""
    with clusters.up(tmp_path / "cluster") as cluster, tiny_disk(tmp_path / "disk", DISK_BYTES) as disk:
        # The first small objects have room, the rows have not.
        ballast = fill(disk, leave=48 << 10)
        output = disk / "out" / "table"
        done = job.run(cluster, output)
        view = check_failed(cluster, output, done, [FULL])
        ballast.unlink()
        job.check(output, job.run(cluster, output), leftovers=[view["id"]])
        job.check_next(cluster, tmp_path)
        say(f"a full file system of {DISK_BYTES} bytes under the table",
            f"{view['state']}: {view['error']['message'][:200]!r}; published once there was room")


def test_the_scratch_disk_of_an_executor_is_full(job, output, tmp_path):
    """Tasks hand over their results through it."""
    with tiny_disk(tmp_path / "disk", DISK_BYTES) as disk, clusters.up(tmp_path / "cluster", 1) as cluster:
        [sound] = cluster.processes()[1]
        full = cluster.start_executor("full", work_dir=disk)
        kill(sound)
        wait_lost(cluster, 1)
        fill(disk)
        done = job.run(cluster, output)
        view = check_failed(cluster, output, done, [FULL])
        kill(full.pid)
        cluster.start_executor("sound")
        job.check_next(cluster, tmp_path)
        say("a full file system under the scratch folder of the only executor",
            f"{view['state']}: {view['error']['message'][:200]!r}")


class WideJob(Job):
    """Rows so wide that a task's do not fit into a small memory."""

    NOTE_BYTES = 3000

    def write(self, path, rows):
        wide = [[row[0], "x" * self.NOTE_BYTES, *row[2:]] for row in rows]
        samples.write_csv(path, wide)


def test_memory_runs_short_and_rows_are_written_early(output, tmp_path):
    job = WideJob(tmp_path / "job", files=2, rows=14_000)
    with clusters.up(tmp_path / "cluster", 1) as cluster:
        [ample] = cluster.processes()[1]
        port = stores.free_port()
        cluster.start_executor("short", "--memory-mib=64", f"--http-listen=127.0.0.1:{port}")
        kill(ample)
        wait_lost(cluster, 1)
        # The same rows in smaller row groups.
        job.check(output, job.run(cluster, output), without=("bytes",))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            flushes = clusters.sample(page.read().decode(), "cambist_executor_buffers_cut_short_total")
        assert flushes > 0
        say(f"{14_000 * job.NOTE_BYTES >> 20} MiB of rows a task into 64 MiB", f"published, {flushes:.0f} early flushes")


def test_memory_that_is_exhausted_is_said(job, output, tmp_path):
    """Each task takes 8 MiB at least, and gets 4."""
    with clusters.up(tmp_path / "cluster", 1) as cluster:
        [ample] = cluster.processes()[1]
        small = cluster.start_executor("small", "--memory-mib=64", "--cores=16")
        kill(ample)
        wait_lost(cluster, 1)
        done = job.run(cluster, output)
        view = check_failed(cluster, output, done, ["a task needs at least 8 MiB", "--memory-mib", "--cores"])
        kill(small.pid)
        cluster.start_executor("sound")
        job.check_next(cluster, tmp_path)
        say("16 tasks at once into 64 MiB", f"{view['state']}: {view['error']['message'][:160]!r}, "
            f"hint {view['error']['hint']!r}")
