"""Runs the real binary and reads what it wrote.

Nothing here knows how Cambist works inside: it starts the program, parses the last line of its
standard output, and reads its tables as any user would, with pyarrow.
"""

import json
import os
import pathlib
import signal
import subprocess
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.dataset as ds

DONE, DATA_AT_FAULT, USAGE, CONFLICT, QUALITY_GATE = 0, 1, 2, 11, 12

# A run that takes longer hangs. The largest of these tests needs well under a minute on a machine that does nothing else.
TIMEOUT_SECONDS = 600


def binary():
    """The program under test."""
    named = os.environ.get("CAMBIST_BIN")
    if named:
        return named
    target = os.environ.get("CARGO_TARGET_DIR", os.path.expanduser("~/.cache/cambist/target"))
    return os.path.join(target, "debug", "cambist")


def clean_environment(extra=None):
    """The environment without anything that would steer the program by accident."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "CAMBIST_")) and name not in ("RUST_LOG", "RUST_BACKTRACE")
    }
    return kept | {name: str(value) for name, value in (extra or {}).items()}


@dataclass
class Run:
    """What one run of the program did."""

    command: list
    code: int
    stdout: str
    stderr: str
    summary: dict = field(default_factory=dict)

    @property
    def killed(self):
        return self.code == -signal.SIGKILL

    def __str__(self):
        return (
            f"$ {' '.join(self.command)}\nexit {self.code}\n"
            f"--- stdout\n{self.stdout[-3000:]}\n--- stderr\n{self.stderr[-3000:]}"
        )


def finish(process, command, timeout=TIMEOUT_SECONDS):
    """Waits for a started process and parses the JSON object that its last line may be."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"hangs: {' '.join(command)}\n{stdout}\n{stderr}") from None
    run = Run(command, process.returncode, stdout, stderr)
    last = stdout.strip().rsplit("\n", 1)[-1]
    if last.startswith("{"):
        run.summary = json.loads(last, parse_float=str)
    return run


def start(*arguments, env=None, cwd=None):
    """Starts the program; returns the process and its command line for `finish`."""
    command = [binary(), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", errors="replace", cwd=cwd, env=clean_environment(env),
    )
    return process, command


def run(*arguments, env=None, cwd=None, timeout=TIMEOUT_SECONDS):
    """Runs the program to its end, whatever that is."""
    return finish(*start(*arguments, env=env, cwd=cwd), timeout=timeout)


def cpu_seconds(pid):
    """What a running process has computed so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def succeed(*arguments, **options):
    """Runs the program and demands exit code 0."""
    done = run(*arguments, **options)
    assert done.code == DONE, done
    return done


def normalize_arguments(source, rates, output, to="SGD", *extra, form="csv", zone="UTC"):
    """The flags form of `normalize` for files with the usual columns."""
    return [
        "normalize", "--source", source, "--format", form, "--amount", "amount",
        "--currency", "currency", "--event-time", "event_time", "--time-zone", zone,
        "--rates", rates, "--to", to, "--output", output, *extra,
    ]


def normalize(*arguments, env=None, **options):
    """Runs `normalize` on files with the usual columns."""
    return run(*normalize_arguments(*arguments, **options), env=env)


def committed(done, status="committed"):
    """Demands that a run succeeded with `status`, and that its own books balance."""
    assert done.code == DONE, done
    assert done.summary.get("status") == status, done
    balanced(done.summary)
    return done.summary


def balanced(summary):
    """Checks that every record is somewhere, once."""
    ways_out = summary["converted"] + summary["quarantined"] + summary.get("filtered", 0)
    assert summary["records_in"] == ways_out, summary
    assert sum(summary["quarantined_by_reason"].values()) == summary["quarantined"], summary


def quarantine_of(output):
    """Where the table that is written beside `output` lies."""
    output = pathlib.Path(output)
    return output.with_name(output.name + "_quarantine")


def read(table, columns=None):
    """A table's rows, as pyarrow finds them under its folder."""
    if not pathlib.Path(table).exists():
        return pa.table({})
    dataset = ds.dataset(str(table), format="parquet", partitioning="hive")
    if not dataset.files:
        return pa.table({})
    return dataset.to_table(columns=columns)


def rows_by(table, key):
    """A table's rows as dictionaries by one column, which must be unique."""
    rows = table.to_pylist()
    by_key = {row[key]: row for row in rows}
    assert len(by_key) == len(rows), f"`{key}` repeats"
    return by_key


def minor_units(column, low_words=True):
    """A decimal column as integers of its last place, without a way through Decimal.

    With `low_words` only the low 64 bits of each value are read: enough for real money, and fast."""
    values = []
    for chunk in column.chunks:
        assert chunk.null_count == 0
        words = memoryview(chunk.buffers()[1]).cast("B")[chunk.offset * 16 :][: len(chunk) * 16]
        if low_words:
            values.extend(words.cast("q")[::2].tolist())
        else:
            values.extend(
                int.from_bytes(words[at : at + 16], "little", signed=True)
                for at in range(0, len(words), 16)
            )
    return values


def tree(folder):
    """Every file below `folder` with its size and time of change; the empty set where there is none."""
    found = set()
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            status = path.stat()
            found.add((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return found


def data_files(output):
    """The Parquet files that a reader of the folder sees, as paths relative to it."""
    output = pathlib.Path(output)
    return {
        str(path.relative_to(output))
        for path in output.glob("**/*.parquet")
        if not any(part.startswith(("_", ".")) for part in path.relative_to(output).parts)
    }


def nothing_written(output):
    """Demands that neither table came into being."""
    for folder in (pathlib.Path(output), quarantine_of(output)):
        assert not folder.exists(), sorted(map(str, folder.rglob("*")))
