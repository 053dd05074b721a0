import os
import subprocess
import sys

import pytest

from infra.testbed.errors import BedError
from infra.testbed.processes import Process, call, polling


def test_a_process_with_the_same_pid_but_another_start_is_somebody_else() -> None:
    me = Process.of(os.getpid())

    assert me
    assert me.is_alive
    assert not Process(me.pid, me.start_time - 1).is_alive


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process.of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert process
    assert not process.is_alive
    child.communicate()


def test_what_is_written_down_about_a_process_can_be_read_again() -> None:
    process = Process(12, 345)

    assert Process.parse(str(process)) == process


def test_waiting_ends_with_what_was_waited_for() -> None:
    with pytest.raises(BedError, match="Gave up waiting for the sun"):
        list(polling("the sun", limit=0.01, interval=0.005))


def test_a_command_that_fails_says_its_last_words() -> None:
    with pytest.raises(BedError, match=r"`sh -c .*` failed with status 3: the reason"):
        call(["sh", "-c", "echo the reason >&2; exit 3"])


def test_a_command_that_is_missing_names_the_remedy() -> None:
    with pytest.raises(BedError, match="no-such-program is not on PATH. Install it."):
        call(["no-such-program"])
