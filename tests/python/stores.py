"""The places where tests keep inputs and tables: a folder, and two stand-ins for S3 on this machine.

Each place has the same few methods, which look at it with other clients than the program's own."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BUCKET = "cambist-test"
REGION = "us-east-1"
READY_SECONDS = 60
KINDS = ("file", "moto", "ministack")
on_s3 = pytest.mark.parametrize("store", ["moto", "ministack"], indirect=True)


class Place:
    """What a folder and a bucket have in common. Keys are relative, with `/`."""

    def data(self, prefix):
        """The Parquet objects that a reader of the folder sees."""
        return sorted(key for key in self.keys(prefix)
                      if key.endswith(".parquet") and not key[len(prefix):].startswith("_"))

    def rows(self, prefix):
        tables = [pq.read_table(pa.BufferReader(self.get(key))) for key in self.data(prefix)]
        return [row for table in tables for row in table.to_pylist()]

    def put_tree(self, prefix, folder):
        """Copies all files of a folder below `prefix`."""
        for path in pathlib.Path(folder).rglob("*"):
            if path.is_file():
                self.put(prefix + str(path.relative_to(folder)), path.read_bytes())


class Folder(Place):
    """A folder, written as `file://`."""

    kind = "file"
    environment = {}

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def url(self, key):
        return f"file://{self.root}/{key}"

    def put(self, key, content):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def get(self, key):
        return (self.root / key).read_bytes()

    def keys(self, prefix):
        """All keys below a prefix, each with its time of change."""
        files = (path for path in (self.root / prefix).rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.stat().st_mtime_ns for path in files}

    def uploads(self):
        return []

    def clear(self, prefix):
        shutil.rmtree(self.root / prefix, ignore_errors=True)


class Bucket(Place):
    """A bucket of a service with the API of S3."""

    def __init__(self, endpoint, kind="moto", key="test", secret="test", name=BUCKET):
        self.kind, self.endpoint, self.name = kind, endpoint, name
        self.environment = environment(endpoint, key, secret)
        self.client = boto3.client(
            "s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret)
        with contextlib.suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=name)

    def url(self, key, scheme="s3"):
        return f"{scheme}://{self.name}/{key}"

    def put(self, key, content):
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def keys(self, prefix):
        """All keys with a prefix, each with its time of change."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {item["Key"]: item["LastModified"] for page in pages for item in page.get("Contents", [])}

    def uploads(self):
        """Uploads that are neither completed nor aborted: they cost storage."""
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])

    def clear(self, prefix):
        for key in self.keys(prefix):
            self.client.delete_object(Bucket=self.name, Key=key)


def environment(endpoint, key="test", secret="test"):
    """What the program needs to find the service."""
    return {
        "AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": REGION,
    }


@contextlib.contextmanager
def moto(folder):
    """A moto server on a free loopback port; gives its URL, or nothing where it is not installed."""
    port = free_port()
    command = [program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with server(command, {}, f"http://127.0.0.1:{port}", "/moto-api/", folder) as url:
        yield url


@contextlib.contextmanager
def ministack(folder):
    """The same with ministack, which binds to all addresses unless told otherwise and looks for docker."""
    port = free_port()
    env = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "MINISTACK_HOST": "127.0.0.1",
           "DOCKER_HOST": "unix:///nonexistent"}
    with server([program("ministack")], env, f"http://127.0.0.1:{port}", "/_ministack/health", folder) as url:
        yield url


SERVERS = {"moto": moto, "ministack": ministack}


def program(name):
    """A command of this Python's environment, or of the path."""
    beside_python = pathlib.Path(sys.executable).parent / name
    return str(beside_python) if beside_python.exists() else shutil.which(name)


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(command, env, url, ready_path, folder):
    if command[0] is None:
        yield None
        return
    with open(pathlib.Path(folder) / "server.log", "w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | env)
        try:
            wait_for(url + ready_path, process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(url, process):
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            assert process.poll() is None, "the server died"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
