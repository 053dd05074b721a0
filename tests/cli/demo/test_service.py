from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.activities.world import REPOSITORY, free_ports


class Started:
    """One instance of the service, and a connection to it."""

    def __init__(self, **env: str) -> None:
        [self.port] = free_ports(1)
        command = [sys.executable, "-m", "cli.demo.service"]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env={"PORT": str(self.port), **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.connection = HTTPConnection("127.0.0.1", self.port, timeout=5)

    def get(self, path: str = "/") -> tuple[HTTPResponse, str]:
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer, answer.read().decode()

    def wait(self) -> None:
        """Until it accepts connections."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(ConnectionRefusedError):
                self.get("/health")
                return
            self.connection.close()
            time.sleep(0.01)
        raise AssertionError(self.end())

    def end(self) -> tuple[bytes, bytes]:
        self.process.kill()
        self.connection.close()
        return self.process.communicate()

    def values(self, name: str) -> dict[str, float]:
        """Samples of a metric by the value of their first label."""
        return {
            next(iter(sample.labels.values()), ""): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name
        }


Start = Callable[..., Started]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Started] = []

    def make(**env: str) -> Started:
        started.append(Started(**env))
        started[-1].wait()
        return started[-1]

    yield make
    for service in started:
        service.end()


def test_it_says_which_version_it_is(start: Start) -> None:
    answer, body = start(VERSION="v7").get("/?q=1")
    assert (answer.status, answer.headers["x-version"], json.loads(body)["version"]) == (200, "v7", "v7")


def test_it_is_ready_after_its_delay_and_healthy_before(start: Start) -> None:
    service = start(READY_DELAY="0.3")
    assert [service.get(path)[0].status for path in ("/health", "/ready")] == [200, 503]
    time.sleep(0.35)
    assert service.get("/ready")[0].status == 200


def test_it_fails_as_often_as_it_was_told(start: Start) -> None:
    service = start(ERROR_RATE="25%")
    statuses = Counter(service.get()[0].status for _ in range(600))
    assert 90 < statuses[500] < 210
    assert service.values("http_requests_total") == {"200": statuses[200], "500": statuses[500]}


def test_a_share_of_the_answers_is_slow(start: Start) -> None:
    service = start(LATENCY="60ms", SLOW_RATE="50%")
    for _ in range(20):
        service.get()
    buckets = service.values("http_request_duration_seconds_bucket")
    assert 0 < buckets["0.05"] < 20
    assert buckets["+Inf"] == service.values("http_request_duration_seconds_count")["dev"] == 20


def test_metrics_carry_the_time_of_creation_and_the_gauge(start: Start) -> None:
    service = start(QUEUE_DEPTH="42")
    assert service.values("queue_depth") == {"dev": 42}
    assert abs(service.values("http_requests_created")["dev"] - time.time()) < 20


def test_an_open_request_is_finished_after_sigterm_and_no_new_one_accepted(start: Start) -> None:
    service = start(LATENCY="500ms")
    service.connection.request("GET", "/")
    time.sleep(0.15)
    service.process.send_signal(signal.SIGTERM)
    answer = service.connection.getresponse()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert service.process.wait(5) == 0
    with pytest.raises(ConnectionRefusedError):
        HTTPConnection("127.0.0.1", service.port).request("GET", "/")


def test_an_idle_service_ends_at_once(start: Start) -> None:
    service = start()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(2) == 0


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"CRASH": "start"}, b"told to crash"),
        ({"CRASH": "50ms"}, b"told to crash"),
        ({"ERROR_RATE": "0.05"}, b"write it like 5%"),
        ({"LATENCY": "soon"}, b"write it like 300ms"),
        ({"PORT": "no"}, b"PORT must be set"),
    ],
    ids=str,
)
def test_a_crash_or_a_value_without_sense_ends_it_with_a_sentence(env: dict[str, str], said: bytes) -> None:
    service = Started(**env)
    assert service.process.wait(10) == 1
    assert said in service.end()[1]


def test_it_needs_no_package_at_all() -> None:
    source = REPOSITORY / "cli" / "demo" / "service.py"
    subprocess.run([sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({str(source)!r})"], check=True)
