"""A process named so that others can tell whether it lives."""

import os
import subprocess
import sys

import psutil
import pytest

from featlas.errors import InputError
from featlas.store.lease_owner import Owner


def _owner_of(process: subprocess.Popen[bytes]) -> Owner:
    return Owner(Owner.of_this_process().host, process.pid, psutil.Process(process.pid).create_time())


def test_a_process_lives_until_it_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        owner = _owner_of(child)
        assert not owner.is_known_dead
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has taken its exit code
        assert owner.is_known_dead  # a zombie
    assert owner.is_known_dead


def test_another_process_with_the_same_pid_is_not_it() -> None:
    me = Owner.of_this_process()
    assert Owner(me.host, me.pid, me.started_s - 60).is_known_dead
    assert not Owner(me.host, me.pid, me.started_s + 0.5).is_known_dead


def test_nothing_is_known_of_other_hosts() -> None:
    me = Owner.of_this_process()
    owner = Owner("elsewhere", me.pid, me.started_s - 60)
    assert (False, False) == (owner.is_on_this_host, owner.is_known_dead)


def test_the_text_can_be_read_again() -> None:
    owner = Owner("a#b@c/pid:[1]", 12, 1700000000.25)
    assert owner == Owner.parse(str(owner))
    with pytest.raises(InputError, match="'x' names no process"):
        Owner.parse("x")
