"""A Kafka broker on this machine, for tests: the `kafka-broker` binary, which ends when its stdin does."""

import contextlib
import json
import os
import pathlib
import subprocess

import pytest

import cambist

ANSWER_SECONDS = 60


def binary():
    return pathlib.Path(os.environ.get("CAMBIST_KAFKA_BROKER", pathlib.Path(cambist.binary()).with_name("kafka-broker")))


class Broker:
    """A running broker. It keeps what it was given in memory, also while it is down."""

    def __init__(self, process):
        self.process = process
        self.servers = json.loads(process.stdout.readline())["servers"]

    def do(self, command, **arguments):
        self.process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the broker died at `{command}`, exit {self.process.wait(ANSWER_SECONDS)}"
        answer = json.loads(line)
        assert "error" not in answer, (command, answer["error"])
        return answer

    def topic(self, name, partitions=1):
        """Makes a topic, and returns its address."""
        self.do("create_topic", topic=name, partitions=partitions)
        return f"kafka://{self.servers}/{name}"

    def produce(self, topic, payload=None, **arguments):
        arguments = {name: value for name, value in arguments.items() if value is not None}
        text = {} if payload is None else {"payload": payload}
        self.do("produce", topic=topic, **text, **arguments)

    def read(self, topic, folder):
        """Every message of a topic: payloads by partition and offset, and keys."""
        folder = pathlib.Path(folder)
        answer = self.do("read", topic=topic, folder=str(folder))
        log = {}
        for partition, ends in answer["next"].items():
            for offset in range(ends):
                log[int(partition), offset] = (folder / partition / str(offset)).read_bytes()
        keys = {(int(partition), offset): key
                for partition, keys in answer["keys"].items() for offset, key in enumerate(keys)}
        return log, keys

    def committed(self, topic, group):
        return {int(partition): offset
                for partition, offset in self.do("committed", topic=topic, group=group).items()}


@contextlib.contextmanager
def run():
    """Runs a broker as long as the block does."""
    program = binary()
    if not os.access(program, os.X_OK):
        pytest.skip(f"no broker at `{program}`: build it with --features kafka")
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=nowhere,
                                   text=True)
        try:
            yield Broker(process)
        finally:
            process.stdin.close()
            try:
                process.wait(ANSWER_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
