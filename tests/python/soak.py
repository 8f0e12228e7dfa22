"""Many runs on one cluster, each under a fault drawn from a seed; each must end with the quiet run's table.

    ./dev soak --runs 100 --seed 7

One line per run says what was done to it and what came of it; the last line is a summary as JSON. The exit code
is 0 only where every run ended well and every table was the quiet run's, and free of what died."""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import traceback

import cambist
import clusters
import faults
import stores
import table_checks
from clusters import is_alive, kill, wait_until
from fault_proxy import FaultProxy

EXECUTORS = 3
TASK_POINTS = ("task.scanning", "task.writing", "task.before_manifest", "task.after_manifest")
TASK_ACTIONS = ("panic", "io_error", "enospc", "kill")
COMMIT_POINTS = ("commit.before_record", "commit.after_record", "publish.file", "publish.manifests",
                 "publish.before_marker", "publish.after_marker")
# Longer than the scheduler's patience with a silent executor.
HANG_SECONDS = 8
# A run of these takes a second or two.
DELAY_SECONDS_MAX = 1.2
BURST = {"500": 0.1, "503": 0.1, "reset": 0.1, "slow": 0.02}
OUTAGE_SECONDS = 8


class Soak:
    """A cluster of which parts die, and are replaced, so that every run begins with a whole one."""

    def __init__(self, folder, cluster, proxy, chance):
        self.folder, self.cluster, self.proxy, self.chance = folder, cluster, proxy, chance
        self.scheduler, self.executors = cluster.processes()
        self.environment = stores.environment(proxy.url)
        self.names, self.kind, self.run, self.has_hit = 0, None, None, False
        self.totals = collections.Counter()
        self.complete()

    def complete(self, env=None):
        """Starts executors until there are enough; returns the last one's number."""
        self.executors = [pid for pid in self.executors if is_alive(pid)]
        while len(self.executors) < EXECUTORS or env:
            self.names += 1
            process = self.cluster.start_executor(f"executor-x{self.names}", env=self.environment | (env or {}))
            self.executors.append(process.pid)
            env = None
        wait_until(lambda: len(self.cluster.executors()) >= EXECUTORS, "the cluster is not whole")
        return self.executors[-1]

    def drop(self, pid):
        """An executor with a fault that has not fired leaves, lest it fires in a later run."""
        if is_alive(pid):
            kill(pid)

    def restart_scheduler(self, env=None):
        self.scheduler = self.cluster.restart_scheduler(env=self.environment | (env or {})).pid

    def note_counters(self):
        """The scheduler's counters begin anew with it."""
        for name in ("plan_submissions", "plan_resubmissions", "plan_stalls", "executor_restarts", "runs_recovered",
                     "run_steps_fenced", "run_attempts_suspended"):
            self.totals[name] += int(self.cluster.metric(f"cambist_{name}_total"))

    def delay(self):
        """Waits for a random moment of the run, and notes whether it still runs then."""
        time.sleep(self.chance.uniform(0, DELAY_SECONDS_MAX))
        self.has_hit = self.run.poll() is None

    # The faults. Each gets the started run and returns what it did, once it is done.

    def nothing(self):
        return "nothing"

    def kill_executor(self):
        self.delay()
        pid = self.chance.choice(self.executors)
        kill(pid)
        return f"kill -9 of executor {pid}"

    def kill_all_executors(self):
        self.delay()
        kill(*self.executors)
        self.complete()
        return "kill -9 of all executors, new ones"

    def stop_executor(self):
        self.delay()
        pid = self.chance.choice(self.executors)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(HANG_SECONDS)
        os.kill(pid, signal.SIGCONT)
        return f"SIGSTOP of executor {pid} for {HANG_SECONDS} s"

    def terminate_executor(self):
        self.delay()
        pid = self.chance.choice(self.executors)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), "the executor does not leave")
        return f"SIGTERM of executor {pid}"

    def kill_scheduler(self):
        self.delay()
        self.note_counters()
        kill(self.scheduler)
        self.restart_scheduler()
        return "kill -9 of the scheduler"

    def store_burst(self):
        self.proxy.spoil(BURST)
        self.delay()
        return f"store faults {BURST}"

    def store_outage(self):
        self.delay()
        self.proxy.fail_all_for(OUTAGE_SECONDS)
        return f"no store for {OUTAGE_SECONDS} s"


KINDS = {
    "nothing": 1, "kill_executor": 3, "kill_all_executors": 2, "stop_executor": 2, "terminate_executor": 2,
    "kill_scheduler": 3, "task": 4, "commit": 2, "store_burst": 3, "store_outage": 1,
}


def one_run(soak, jobs, number):
    """Returns what was injected, what was found and whether the fault was seen to happen."""
    kind = soak.kind = soak.chance.choices(list(KINDS), KINDS.values())[0]
    on_store = kind.startswith("store") or soak.chance.random() < 0.3
    job = jobs["store" if on_store else "file"]
    output = f"run-{number}" if on_store else soak.folder / f"run-{number}" / "table"
    armed, fault = None, None
    folder = soak.folder / f"fault-{number}"
    folder.mkdir()
    if kind == "task":
        setting = f"{soak.chance.choice(TASK_POINTS)}:{soak.chance.choice(TASK_ACTIONS)}"
        fault = faults.Fault(folder, setting)
        armed = soak.complete(env=fault.environment)
    if kind == "commit":
        fault = faults.Fault(folder, f"{soak.chance.choice(COMMIT_POINTS)}:kill")
        soak.note_counters()
        kill(soak.scheduler)
        soak.restart_scheduler(fault.environment)
        wait_until(lambda: len(soak.cluster.executors()) >= EXECUTORS, "the executors do not come back")
    started = job.start(soak.cluster, output)
    soak.run, soak.has_hit = started[0], False
    if kind == "task":
        injected = fault.setting
    elif kind == "commit":
        fault.wait()
        wait_until(lambda: not is_alive(soak.scheduler), "the scheduler does not die")
        soak.restart_scheduler()
        injected = fault.firings()[0]
    else:
        injected = getattr(soak, kind)()
    done = cambist.finish(*started)
    soak.proxy.spoil({})
    if armed:
        soak.drop(armed)
    view = faults.run_view(soak.cluster, done.summary.get("run_id"))
    # What a driver or a task left that died, hung or came late; hidden, and `table gc` must clear it away.
    hidden = 0 if on_store else len(table_checks.staged_files(output))
    names = [view["id"], *(f"{view['id']}-{attempt}" for attempt in range(2, view["attempt"] + 1))]
    job.check(output, done, **({} if on_store else {"leftovers": names}))
    soak.totals["hidden_staged_files"] += hidden
    if fault:
        soak.has_hit = bool(fault.firings())
    hit = (" (in its midst)" if soak.has_hit else "") + (f", {hidden} hidden staged files left to gc" if hidden else "")
    soak.complete()
    wait_until(soak.cluster.is_idle, "vcores stay taken")
    return kind, f"{injected}{hit}", view


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance, kinds, wrong, begun = random.Random(options.seed), collections.Counter(), [], time.monotonic()
    attempts, hits = collections.Counter(), 0
    with tempfile.TemporaryDirectory(prefix="cambist-soak-") as folder:
        folder = pathlib.Path(folder)
        with stores.moto(folder) as endpoint, FaultProxy(endpoint, seed=options.seed, delay_seconds=0.5) as proxy:
            jobs = {"file": faults.Job(folder / "job", files=30),
                    "store": faults.StoredJob(stores.Bucket(endpoint, name="cambist-soak"), folder / "stored")}
            with clusters.up(folder / "cluster", 1, env=stores.environment(proxy.url)) as cluster:
                soak = Soak(folder, cluster, proxy, chance)
                for number in range(1, options.runs + 1):
                    at = time.monotonic()
                    try:
                        kind, injected, view = one_run(soak, jobs, number)
                        kinds[kind] += 1
                        attempts[view["attempt"]] += 1
                        hits += soak.has_hit
                        found = f"{view['state']} in attempt {view['attempt']}"
                    except Exception as failed:
                        wrong.append(number)
                        found = f"WRONG: {failed}\n{traceback.format_exc()}\n{cluster.logs()}"
                        injected = soak.kind
                        recover(soak)
                    print(f"run {number}: {injected}; {found}, {time.monotonic() - at:.1f} s", flush=True)
                soak.note_counters()
                rss = int(pathlib.Path(f"/proc/{soak.scheduler}/statm").read_text().split()[1]) * 4096 >> 20
                summary = {
                    "seed": options.seed, "runs": options.runs, "well": options.runs - len(wrong), "wrong": wrong,
                    "seconds": round(time.monotonic() - begun), "faults": dict(kinds), "hit_in_the_midst": hits, "attempts": dict(attempts),
                    "store_faults": dict(proxy.injected), "counters": dict(soak.totals),
                    "scheduler_rss_mib": rss,
                }
    print(json.dumps(summary), flush=True)
    return 1 if wrong else 0


def recover(soak):
    """After a run that went wrong the others shall have their chance."""
    soak.proxy.spoil({})
    if not is_alive(soak.scheduler):
        soak.restart_scheduler()
    for pid in soak.executors:
        if is_alive(pid):
            os.kill(pid, signal.SIGCONT)
    soak.complete()


if __name__ == "__main__":
    sys.exit(main())
