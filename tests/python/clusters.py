"""Starts and stops clusters of real processes: one folder each, free ports, nothing left behind."""

import contextlib
import json
import os
import pathlib
import urllib.request

import cambist

# An executor that dies is noticed soon, and nobody waits for one for minutes.
SCHEDULER_FLAGS = ("--executor-timeout=6", "--executor-wait=60", "--stop-grace=5")
EXECUTOR_FLAGS = ("--heartbeat=1", "--drain-timeout=10")


class Cluster:
    """A running cluster."""

    def __init__(self, folder, url):
        self.folder = pathlib.Path(folder)
        self.url = url

    def processes(self):
        """The scheduler's and the executors' process numbers."""
        known = json.loads((self.folder / "cluster.json").read_text())
        return known["scheduler"]["pid"], [executor["pid"] for executor in known["executors"]]

    def get(self, path):
        """A JSON document of the scheduler."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def run(self, *arguments, **options):
        """Runs a command that takes `--cluster`."""
        return cambist.run(*arguments, "--cluster", self.url, **options)

    def runs(self, *arguments):
        """The runs as `cambist runs list` tells them."""
        done = self.run("runs", "list", "--json", *arguments)
        assert done.code == cambist.DONE, done
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def up(folder, executors=2, scheduler_flags=(), executor_flags=(), env=None):
    """A cluster for the length of a `with`; its logs stay in `folder`."""
    flags = [f"--scheduler-flag={flag}" for flag in (*SCHEDULER_FLAGS, *scheduler_flags)]
    flags += [f"--executor-flag={flag}" for flag in (*EXECUTOR_FLAGS, *executor_flags)]
    done = cambist.run("cluster", "up", "--executors", executors, "--listen", "127.0.0.1:0", "--dir", folder,
                       *flags, env=env)
    assert done.code == cambist.DONE, done
    try:
        yield Cluster(folder, done.summary["url"])
    finally:
        down = cambist.run("cluster", "down", "--dir", folder, "--timeout", 20)
        assert down.code == cambist.DONE, down


def is_alive(pid):
    """Whether a process lives; a zombie does not."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    except ProcessLookupError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def signal_all(pids, signal):
    """Sends a signal to each process."""
    for pid in pids:
        os.kill(pid, signal)
