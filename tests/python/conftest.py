"""What every test may ask for."""

import os
import pathlib
import shutil
import sys

import pytest

import cambist
import samples
import sql_servers
import stores


def pytest_sessionstart(session):
    program = cambist.binary()
    if not os.access(program, os.X_OK):
        pytest.exit(f"no program at `{program}`: build it, or name it in CAMBIST_BIN", returncode=2)


@pytest.fixture(scope="session")
def data():
    """The folder of real test data; without it the tests that need it say that they skip."""
    named = os.environ.get("CAMBIST_DATA")
    if not named:
        pytest.skip("CAMBIST_DATA is not set: the real test data are not here")
    folder = pathlib.Path(named).resolve()
    if not folder.is_dir():
        pytest.skip(f"CAMBIST_DATA names `{folder}`, which is no folder")
    return folder


@pytest.fixture(scope="session")
def oracle(data):
    """The command that starts the independent reference calculation."""
    program = data.parent / "oracle" / "oracle.py"
    if not program.exists():
        pytest.skip(f"no reference calculation at `{program}`")
    return [sys.executable, str(program)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """What the servers of SQL serve: a raw table, two tables, rates."""
    return sql_servers.payments(tmp_path_factory.mktemp("payments"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, settings):
    """A server of SQL that does the work itself, for all tests of a file."""
    with sql_servers.serve(tmp_path_factory.mktemp("server"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def clustered(tmp_path_factory, settings):
    """A cluster of two executors that serves SQL, for all tests of a file: the server and the cluster."""
    with sql_servers.on_cluster(tmp_path_factory.mktemp("clustered"), settings) as (running, cluster):
        yield running, cluster


@pytest.fixture
def rates(tmp_path):
    """Twelve days of invented rates from samples.FIRST_DAY on."""
    return samples.steady_rates(tmp_path / "rates")


@pytest.fixture
def output(tmp_path):
    """Where a test's table goes; nothing is there yet."""
    return tmp_path / "out" / "processed_data"


@pytest.fixture(scope="session")
def moto_endpoint(tmp_path_factory):
    """The URL of a moto server that runs as long as the tests do."""
    with stores.moto(tmp_path_factory.mktemp("moto")) as endpoint:
        yield endpoint or pytest.skip("no `moto_server`: pip install 'moto[server]'")


@pytest.fixture(scope="session")
def ministack_endpoint(tmp_path_factory):
    """The same of a ministack server."""
    with stores.ministack(tmp_path_factory.mktemp("ministack")) as endpoint:
        yield endpoint or pytest.skip("no `ministack`: pip install ministack")


@pytest.fixture(scope="session", params=stores.KINDS)
def store(request, tmp_path_factory):
    """A place for inputs and tables: each test runs on a folder, on moto and on ministack.

    `@on_s3` runs it on the latter two only."""
    if request.param == "file":
        return stores.Folder(tmp_path_factory.mktemp("store"))
    return stores.Bucket(request.getfixturevalue(f"{request.param}_endpoint"), request.param)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A local Spark session with a Hive metastore of its own."""
    if shutil.which("java") is None:
        pytest.skip("no `java` on the path: Spark needs Java 17")
    sql = pytest.importorskip("pyspark.sql")
    home = tmp_path_factory.mktemp("spark")
    builder = (
        sql.SparkSession.builder.master("local[2]")
        .appName("cambist-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(home / "warehouse"))
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.extraJavaOptions", f"-Dderby.system.home={home}")
        .config("spark.hadoop.javax.jdo.option.ConnectionURL",
                f"jdbc:derby:;databaseName={home / 'metastore'};create=true")
        .enableHiveSupport()
    )
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
