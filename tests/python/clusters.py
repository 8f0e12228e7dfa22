"""Starts and stops clusters of real processes: one folder each, free ports, nothing left behind."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

import cambist
import stores

# An executor that dies is noticed soon, and nobody waits for one for minutes.
SCHEDULER_FLAGS = ("--executor-timeout=4", "--executor-wait=60", "--stop-grace=5")
EXECUTOR_FLAGS = ("--heartbeat=1", "--drain-timeout=10")

# What has not come by then never will, however busy the machine is.
WAIT_SECONDS = 240
LOG_TAIL_BYTES = 4000


class Cluster:
    """A running cluster."""

    def __init__(self, folder, url):
        self.folder = pathlib.Path(folder)
        self.url = url
        scheduler, executors = self.processes()
        self.commands = {pid: command_of(pid) for pid in (scheduler, *executors)}
        # Beyond what `cluster up` has started.
        self.started = []

    def processes(self):
        """The scheduler's and the executors' process numbers, as `cluster up` has started them."""
        known = json.loads((self.folder / "cluster.json").read_text())
        return known["scheduler"]["pid"], [executor["pid"] for executor in known["executors"]]

    def start(self, name, command, env=None):
        """Starts one more process of this cluster; it ends with the cluster."""
        with open(self.folder / f"{name}.log", "a") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=cambist.clean_environment(env))
        self.started.append(process)
        return process

    def start_executor(self, name, *flags, env=None, work_dir=None):
        """Starts an executor like those of `cluster up`; returns once it has joined."""
        known = {found["id"] for found in self.executors()}
        if not any(flag.startswith("--cores") for flag in flags):
            flags = ("--cores=1", *flags)
        command = [cambist.binary(), "executor", "--scheduler", self.url, "--bind", "127.0.0.1", "--host", "127.0.0.1",
                   "--work-dir", str(work_dir or self.folder / name), *EXECUTOR_FLAGS, *flags]
        process = self.start(name, command, env)
        wait_until(lambda: {found["id"] for found in self.executors()} - known, f"{name} does not join")
        return process

    def restart_scheduler(self, *more_flags, env=None, name="scheduler", without=()):
        """Starts a scheduler with the flags of the one of `cluster up`, which must be dead; `without` some of them."""
        command = self.commands[self.processes()[0]]
        command = [word for word in command if not word.startswith(tuple(without))] if without else command
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            process = self.start(name, [*command, *more_flags], env)
            wait_until(lambda: process.poll() is not None or self.answers(), "the scheduler does not answer")
            if process.poll() is None:
                return process
            # The port is one that the kernel gives to outgoing connections: one of those may have it for a while.
            log = (self.folder / f"{name}.log").read_text(errors="replace")
            is_taken = "cannot listen" in log[-LOG_TAIL_BYTES:]
            assert is_taken and time.monotonic() < deadline, self.logs()
            time.sleep(0.5)

    def answers(self):
        try:
            return self.get("/healthz", as_json=False)
        except OSError:
            return None

    def get(self, path, as_json=True):
        """A document of the scheduler."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer) if as_json else answer.read().decode()

    def executors(self, status="active"):
        """The executors that the scheduler counts on."""
        return [found for found in self.get("/v1/executors")["executors"] if found["status"] == status]

    def is_idle(self):
        """Whether every vcore of every living executor is free."""
        found = self.executors()
        return found and all(executor["vcores_free"] == executor["vcores_total"] for executor in found)

    def metric(self, name):
        """A number of the scheduler's metrics page."""
        return sample(self.get("/metrics", as_json=False), name)

    def run(self, *arguments, **options):
        """Runs a command that takes `--cluster`."""
        return cambist.run(*arguments, "--cluster", self.url, **options)

    def runs(self, *arguments):
        """The runs as `cambist runs list` tells them."""
        done = self.run("runs", "list", "--json", *arguments)
        assert done.code == cambist.DONE, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    def logs(self):
        """The ends of all logs."""
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-LOG_TAIL_BYTES:]}"
                 for log in sorted(self.folder.glob("*.log"))]
        return "\n".join(tails)

    def stop_started(self):
        """Ends what was started beyond `cluster up`; a stopped process hears no signal, so all are woken."""
        for pid in self.commands:
            if is_alive(pid):
                os.kill(pid, signal.SIGCONT)
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.send_signal(signal.SIGCONT)
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Beside(Cluster):
    """A scheduler that `cluster up` has not started."""

    def __init__(self, cluster, folder):
        self.folder, self.started, self.commands = folder, [], {}
        self.url = f"http://127.0.0.1:{stores.free_port()}"
        self.command = [word for word in cluster.commands[cluster.processes()[0]] if not word.startswith("--listen=")]

    def run_scheduler(self, env=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        listen = self.url.removeprefix("http://")
        self.start("scheduler", [*self.command, f"--listen={listen}"], env)
        wait_until(self.answers, "the second scheduler does not answer")


@contextlib.contextmanager
def up(folder, executors=2, scheduler_flags=(), executor_flags=(), env=None):
    """A cluster for the length of a `with`; its logs stay in `folder`, and are shown where the `with` fails."""
    flags = [f"--scheduler-flag={flag}" for flag in (*SCHEDULER_FLAGS, *scheduler_flags)]
    flags += [f"--executor-flag={flag}" for flag in (*EXECUTOR_FLAGS, *executor_flags)]
    done = cambist.run("cluster", "up", "--executors", executors, "--listen", "127.0.0.1:0", "--dir", folder,
                       *flags, env=env)
    assert done.code == cambist.DONE, done
    cluster = Cluster(folder, done.summary["url"])
    try:
        yield cluster
    except BaseException:
        print(cluster.logs(), file=sys.stderr)
        raise
    finally:
        cluster.stop_started()
        down = cambist.run("cluster", "down", "--dir", folder, "--timeout", 20)
        assert down.code == cambist.DONE, down


@contextlib.contextmanager
def beside(cluster, folder):
    """A second scheduler over the state of `cluster`, as a mistake makes it; it has no executors yet."""
    second = Beside(cluster, pathlib.Path(folder))
    try:
        second.run_scheduler()
        yield second
    except BaseException:
        print(second.logs(), file=sys.stderr)
        raise
    finally:
        second.stop_started()


def command_of(pid):
    """The command line of a process."""
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")


def sample(page, name):
    """The value of one metric without labels."""
    found = re.search(rf"^{name} (\S+)$", page, re.MULTILINE)
    assert found, f"no metric `{name}` in\n{page}"
    return float(found[1])


def wait_until(condition, what="nothing happens", seconds=WAIT_SECONDS):
    """Looks again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} within {seconds} s")


def is_alive(pid):
    """Whether a process lives; a zombie does not."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    except ProcessLookupError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def is_stopped(pid):
    """Whether a process is stopped, as SIGSTOP does."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def signal_all(pids, number):
    """Sends a signal to each process."""
    for pid in pids:
        os.kill(pid, number)


def kill(*pids):
    """Ends processes as a power cut does, and waits until they are dead."""
    signal_all(pids, signal.SIGKILL)
    for pid in pids:
        wait_until(lambda: not is_alive(pid), f"{pid} does not die")
