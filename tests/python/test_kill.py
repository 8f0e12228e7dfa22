"""kill -9 at every named point of a run: afterwards the table is old or new, never half of both.

Development builds kill themselves at the n-th pass of a point that CAMBIST_KILL_AT names; the points
are listed by `cambist fault-points`."""

import shutil

import pytest

import cambist
import samples
from table_checks import age_staged_files, check_manifests, check_readers

TYPES = ("--types", "transaction_id=int64", "--max-quarantine-ratio", "1")
# Passed once per file, so that dying at a later pass leaves some files done and some not.
ONCE_PER_FILE = ("write.staged", "publish.file", "publish.manifest", "publish.superseded_file", "gc.history")
# Passed by every 64th commit only; a test of its own goes there.
SELDOM = ("publish.checkpoint",)
COMMITS_PER_CHECKPOINT = 64
# Those of queries and of clusters are passed elsewhere.
POINTS = [point for point in cambist.run("fault-points").stdout.split()
          if not point.startswith(("query.", "cluster."))]
ROUNDS = [(point, 1) for point in POINTS if point not in SELDOM] + [
    (point, nth) for nth in range(2, 6) for point in POINTS if point in ONCE_PER_FILE]
DEATHS_LEAST = 50
# A batch that is a date also tells sensors when it is ready.
MINE = ("--date", "2011-03-02")
OTHER = ("--batch", "other")


class Scene:
    """A committed table, the changed input of one batch, and both of its possible contents."""

    def __init__(self, folder):
        self.output = folder / "out" / "processed_data"
        self.rates = samples.steady_rates(folder / "rates")
        self.source = folder / "raw"
        other = samples.write_csv(folder / "other.csv", samples.transactions(range(1001, 1041), range(4), seed=8))
        self.normalize(other, OTHER)
        # Superseded files, so that garbage collection has something to do.
        self.write(range(1, 31), range(2), seed=5)
        self.normalize(self.source, MINE)
        self.write(range(1, 61), range(3), seed=6)
        self.normalize(self.source, MINE)
        self.old = self.rows()
        self.saved = folder / "saved"
        shutil.copytree(self.output.parent, self.saved)
        self.write(range(21, 101), range(1, 5), seed=9)
        self.normalize(self.source, MINE)
        self.new = self.rows()
        assert self.old != self.new
        self.empty = ([], [])

    def write(self, ids, days, seed):
        bad = [[9_000 + seed, "bad", "no number", "USD", "2011-03-01"]]
        samples.write_csv(self.source / "rows.csv", samples.transactions(ids, days, seed) + bad)

    def normalize(self, source, batch, env=None, output=None):
        arguments = cambist.normalize_arguments(
            source, self.rates, output or self.output, "SGD", *batch, *TYPES)
        done = cambist.run(*arguments, env=env)
        if env is None:
            assert done.code == cambist.DONE, done
        return done

    def restore(self, fresh=False):
        """Puts the table back to its old state, or to nothing."""
        shutil.rmtree(self.output.parent, ignore_errors=True)
        if not fresh:
            shutil.copytree(self.saved, self.output.parent)

    def rows(self):
        """Both tables' rows without what differs from run to run, in a fixed order."""
        return visible(self.output), visible(cambist.quarantine_of(self.output), "run_id")


def visible(table, *without):
    rows = cambist.read(table).to_pylist()
    return sorted(str(sorted((name, str(value)) for name, value in row.items() if name not in without)) for row in rows)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("kill"))


@pytest.fixture(scope="module")
def deaths():
    """The points at which a process really died, one entry per death."""
    return []


def settle(scene, old):
    """Opens the table after a death: it must be `old` or new, and sound. Returns whether it is new."""
    opened = cambist.run("table", "log", "--output", scene.output)
    rows = scene.rows()
    if old == scene.empty and opened.code != cambist.DONE:
        # Nothing was committed, so there is no table yet.
        assert rows == scene.empty and "no table" in opened.stderr, opened
        return False
    assert opened.code == cambist.DONE, opened
    assert rows in (old, scene.new), "neither the old table nor the new one"
    check_readers(scene.output, len(rows[0]))
    check_manifests(scene.output)
    assert (rows != scene.new) or (scene.output / "_ready" / "dt=2011-03-02.json").exists()
    verified = cambist.run("verify", "--output", scene.output)
    if rows != scene.empty:
        assert verified.code == cambist.DONE, verified
    return rows == scene.new


def converge(scene, is_new):
    """The same run again completes what is missing, once."""
    again = scene.normalize(scene.source, MINE)
    assert again.summary["status"] == ("already_done" if is_new else "committed"), again
    assert scene.rows() == scene.new
    check_readers(scene.output, len(scene.new[0]))
    check_manifests(scene.output)


def test_the_points_are_listed():
    assert len(POINTS) >= 8 and len(set(POINTS)) == len(POINTS), "not a development build?"


@pytest.mark.parametrize("point, nth", ROUNDS)
def test_a_killed_rewrite_leaves_the_old_table_or_the_new_one(scene, deaths, point, nth):
    scene.restore()
    env = {"CAMBIST_KILL_AT": f"{point}:{nth}"}
    if point.startswith("gc."):
        # Something must lie about: a dead run's files beside the superseded ones.
        assert scene.normalize(scene.source, MINE, {"CAMBIST_KILL_AT": "commit.before_record"}).killed
        age_staged_files(scene.output)
        done = cambist.run("table", "gc", "--output", scene.output, "--older-than", "0s", env=env)
        assert not settle(scene, scene.old)
    else:
        done = scene.normalize(scene.source, MINE, env)
        is_new = settle(scene, scene.old)
        assert done.killed or is_new
        converge(scene, is_new)
    assert done.killed or (nth > 1 and done.code == cambist.DONE), done
    deaths.extend([point] * done.killed)


@pytest.mark.parametrize("point", [name for name in POINTS if not name.startswith("gc.") and name not in SELDOM])
def test_a_killed_first_run_leaves_no_table_or_a_whole_one(scene, deaths, point):
    scene.restore(fresh=True)
    done = scene.normalize(scene.source, MINE, {"CAMBIST_KILL_AT": point})
    # Nothing is superseded yet; everything else is passed.
    assert done.killed or "superseded" in point, done
    deaths.extend([point] * done.killed)
    whole = scene.new
    try:
        # Alone in its table, the batch has only its own rows.
        scene.new = alone(scene)
        is_new = settle(scene, scene.empty)
        assert done.killed or is_new, done
        converge(scene, is_new)
    finally:
        scene.new = whole


def alone(scene):
    """The rows that the changed batch makes on its own."""
    if not hasattr(scene, "mine"):
        elsewhere = scene.output.parent.parent / "alone" / "processed_data"
        scene.normalize(scene.source, MINE, output=elsewhere)
        scene.mine = visible(elsewhere), visible(cambist.quarantine_of(elsewhere), "run_id")
    return scene.mine


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith("publish.") and name not in SELDOM])
def test_a_killed_recovery_is_completed_by_the_next_command(scene, deaths, point):
    """The run dies right after its commit record; whoever opens the table dies while publishing it."""
    scene.restore()
    assert scene.normalize(scene.source, MINE, {"CAMBIST_KILL_AT": "commit.after_record"}).killed
    died = cambist.run("table", "log", "--output", scene.output, env={"CAMBIST_KILL_AT": point})
    assert died.killed, died
    deaths.append(point)
    assert settle(scene, scene.old), "a commit was lost"


def test_enough_processes_died_and_at_every_point(deaths):
    assert set(deaths) == set(POINTS) - set(SELDOM)
    assert len(deaths) >= DEATHS_LEAST


def test_a_checkpoint_that_was_never_finished_is_no_loss(tmp_path):
    """As many commits as it takes, then death at the checkpoint: log and table are whole."""
    rates = samples.steady_rates(tmp_path / "rates")
    output = tmp_path / "out" / "processed_data"
    sources = [samples.write_csv(tmp_path / name, samples.transactions(range(1, last), [0])) for name, last in
               (("a.csv", 4), ("b.csv", 5))]
    for commit in range(1, 2 * COMMITS_PER_CHECKPOINT):
        source = sources[commit % 2]
        done = cambist.normalize(source, rates, output, "SGD", "--batch", "b", *TYPES,
                                 env={"CAMBIST_KILL_AT": "publish.checkpoint"})
        if done.killed:
            break
        assert done.code == cambist.DONE, done
    assert done.killed, "no checkpoint was written"
    assert commit >= COMMITS_PER_CHECKPOINT - 1
    rows = {0: 3, 1: 4}
    cambist.succeed("verify", "--output", output)
    assert cambist.read(output).num_rows == rows[commit % 2]
    after = cambist.normalize(sources[(commit + 1) % 2], rates, output, "SGD", "--batch", "b", *TYPES)
    assert after.code == cambist.DONE, after
    assert cambist.read(output).num_rows == rows[(commit + 1) % 2]
    cambist.succeed("verify", "--output", output)


def test_garbage_of_a_dead_run_is_collected_and_nothing_else(scene):
    scene.restore()
    assert scene.normalize(scene.source, MINE, {"CAMBIST_KILL_AT": "commit.before_record"}).killed
    assert age_staged_files(scene.output)
    cambist.succeed("table", "gc", "--output", scene.output, "--older-than", "0s")
    assert not [path for path in scene.output.glob("_staging/**/*") if path.is_file()]
    assert not [path for path in scene.output.glob("_history/**/*") if path.is_file()]
    assert scene.rows() == scene.old
    cambist.succeed("verify", "--output", scene.output)


@pytest.mark.spark
def test_spark_sees_nothing_staged_after_a_kill(scene, spark):
    for point, rows in (("commit.before_record", scene.old), ("publish.file", scene.new)):
        scene.restore()
        assert scene.normalize(scene.source, MINE, {"CAMBIST_KILL_AT": point}).killed
        cambist.succeed("table", "log", "--output", scene.output)
        assert spark.read.parquet(str(scene.output)).count() == len(rows[0])
