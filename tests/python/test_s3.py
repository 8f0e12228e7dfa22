"""The same tests on a folder and on object stores: stand-ins for S3, started and stopped here."""

import time

import pytest

import cambist
import samples
from stores import on_s3

TYPES = ("--types", "transaction_id=int64", "--max-quarantine-ratio", "1")


class Scene:
    """A prefix of its own for each test, with inputs, rates and a table to be."""

    def __init__(self, store, prefix):
        self.store, self.prefix = store, prefix
        self.table = f"{prefix}out/table/"
        self.quarantine = f"{prefix}out/table_quarantine/"
        self.environment = store.environment

    def url(self, part, **options):
        return self.store.url(self.prefix + part, **options)

    def put(self, name, content):
        self.store.put(self.prefix + name, content)

    def keys(self, part=""):
        return self.store.keys(self.prefix + part)

    def ids(self):
        return sorted(row["transaction_id"] for row in self.store.rows(self.table))

    def arguments(self, *extra, batch="b", part="raw", **options):
        return cambist.normalize_arguments(
            self.url(part, **options), self.url("rates", **options), self.url("out/table", **options), "SGD",
            "--batch", batch, *TYPES, *extra)

    def normalize(self, *extra, env=None, **options):
        return cambist.run(*self.arguments(*extra, **options), env=self.environment | (env or {}))

    def command(self, *arguments, part="out/table"):
        return cambist.succeed(*arguments, "--output", self.url(part), env=self.environment)


@pytest.fixture
def scene(store, request, tmp_path):
    """Filled with input and rates; the same files lie in tmp_path."""
    scene = Scene(store, request.node.name.replace("[", "_").replace("]", "") + "/")
    samples.steady_rates(tmp_path / "rates", days=5)
    bad = [[999, "bad", "oops", "USD", "2011-03-01"]]
    samples.write_csv(tmp_path / "raw" / "a.csv", samples.transactions(range(1, 61), range(3)) + bad)
    store.put_tree(scene.prefix, tmp_path)
    return scene


def next_second():
    """Waits for the clock's next second: the store's times, and so garbage collection, know no finer."""
    time.sleep(1.05 - time.time() % 1)


def test_a_run_on_the_store_equals_the_same_run_on_disk(scene, tmp_path):
    local = cambist.committed(cambist.normalize(
        tmp_path / "raw", tmp_path / "rates", tmp_path / "out" / "table", "SGD", "--batch", "b", *TYPES))
    remote = cambist.committed(scene.normalize())
    for key in ("records_in", "converted", "quarantined", "totals", "source_totals", "content_hash"):
        assert remote[key] == local[key], key
    assert scene.ids() == list(range(1, 61))
    assert len(scene.store.rows(scene.quarantine)) == 1
    assert not scene.store.uploads()


def test_the_same_run_again_writes_no_object(scene):
    cambist.committed(scene.normalize())
    before = scene.keys()
    cambist.committed(scene.normalize(), "already_done")
    assert scene.keys() == before


@on_s3
@pytest.mark.parametrize("scheme", ["s3a", "s3n"])
def test_the_names_that_hadoop_uses_are_the_same_place(scene, scheme):
    cambist.committed(scene.normalize())
    cambist.committed(scene.normalize(scheme=scheme), "already_done")


def test_verify_explain_and_log_work(scene):
    cambist.committed(scene.normalize())
    scene.command("verify")
    assert "2011-03-0" in scene.command("explain", "--row", "transaction_id=1").stdout
    scene.command("table", "log")


@on_s3
def test_the_ddl_names_the_manifests(scene):
    cambist.committed(scene.normalize())
    ddl = scene.command("table", "ddl", "--dialect", "athena")
    assert f"{scene.url('out/table')}/_symlink_format_manifest/dt=${{dt}}/" in ddl.stdout


def test_one_more_input_replaces_the_batch_and_gc_clears_what_it_left(scene):
    store = scene.store
    cambist.committed(scene.normalize())
    cambist.committed(scene.normalize(batch="other"))
    first = store.data(scene.table)
    scene.put("raw/b.csv", samples.csv_text(samples.transactions(range(61, 81), range(1, 4))))
    cambist.committed(scene.normalize())
    assert scene.ids() == sorted([*range(1, 81), *range(1, 61)])
    kept = set(first) & set(store.data(scene.table))
    assert 0 < len(kept) < len(first)
    assert any("/_history/" in key for key in store.keys(scene.table))
    manifests = [line for key in store.keys(scene.table) if key.endswith("/manifest")
                 for line in store.get(key).decode().split()]
    assert sorted(manifests) == [store.url(key) for key in store.data(scene.table)]
    next_second()
    scene.command("table", "gc", "--older-than", "0s")
    assert not any("/_history/" in key for key in store.keys(scene.table))
    assert scene.ids() == sorted([*range(1, 81), *range(1, 61)])
    scene.command("verify")


def test_a_run_killed_anywhere_leaves_the_old_table_or_the_new_one(scene):
    points = cambist.succeed("fault-points").stdout.split()
    changed = samples.csv_text(samples.transactions(range(31, 91), range(1, 4), seed=9))
    original = samples.csv_text(samples.transactions(range(1, 61), range(3)))
    fired = 0
    for point in points:
        if point.startswith(("gc.", "query.", "cluster.")):
            continue
        scene.store.clear(f"{scene.prefix}out/")
        scene.put("raw/a.csv", original)
        cambist.committed(scene.normalize())
        scene.put("raw/a.csv", changed)
        died = scene.normalize(env={"CAMBIST_KILL_AT": point})
        assert died.killed or died.code == cambist.DONE, died
        fired += died.killed
        scene.command("table", "log")
        left = scene.ids()
        assert left in (list(range(1, 61)), list(range(31, 91))), f"{point}: {left}"
        scene.command("verify")
        assert scene.normalize().code == cambist.DONE
        assert scene.ids() == list(range(31, 91)), point
        next_second()
        scene.command("table", "gc", "--older-than", "0s")
        assert not scene.store.uploads(), f"{point}: an upload is left, which costs storage"
    assert fired >= 5


def test_two_processes_lose_and_double_nothing(scene):
    scene.put("two/a.csv", samples.csv_text(samples.transactions(range(1001, 1061), range(3), seed=8)))
    started = [cambist.start(*scene.arguments(batch="one"), env=scene.environment),
               cambist.start(*scene.arguments(batch="two", part="two"), env=scene.environment)]
    done = [cambist.finish(*process) for process in started]
    codes = [one.code for one in done]
    assert set(codes) <= {cambist.DONE, cambist.CONFLICT} and cambist.DONE in codes, "\n".join(map(str, done))
    expected = [number for code, rows in zip(codes, (range(1, 61), range(1001, 1061))) if code == 0 for number in rows]
    assert scene.ids() == expected


def test_missing_inputs_are_named(scene):
    done = scene.normalize(part="nowhere")
    assert done.code == cambist.USAGE and "nowhere" in done.stderr, done


@on_s3
def test_credentials_appear_nowhere(scene):
    done = scene.normalize("--json", env={"AWS_SECRET_ACCESS_KEY": "a-very-secret-word"})
    assert done.code == cambist.DONE, done
    assert "a-very-secret-word" not in done.stdout + done.stderr
    for key in scene.keys("out/"):
        assert b"a-very-secret-word" not in scene.store.get(key), key
