"""The unit tests: programs in C, one for each t/unit/*_test.c.

"make unit-binaries" builds them as objs/unit/*_test, and each fuzz target with
t/fuzz/replay.c as objs/unit/*_replay; each prints TAP.
"""

import re
import subprocess

import pytest

from nginx_testlib import TOP

TESTS = sorted(path.stem for path in (TOP / 't' / 'unit').glob('*_test.c'))
REPLAYS = sorted(path.stem.replace('_fuzz', '_replay')
                 for path in (TOP / 't' / 'fuzz').glob('*_fuzz.c'))


def test_there_are_programs():
    assert TESTS and REPLAYS


@pytest.mark.parametrize('name', TESTS + REPLAYS)
def test_program(name):
    done = subprocess.run([TOP / 'objs' / 'unit' / name], cwd=TOP,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding='utf-8', errors='replace')
    lines = done.stdout.splitlines()
    results = [line for line in lines if re.match(r'(not )?ok\b', line)]
    plans = [int(line[3:]) for line in lines if re.match(r'1\.\.\d+$', line)]

    assert not failures(lines)
    # A crash, or a sanitizer's report, shows in the status or in the plan.
    assert done.returncode == 0, '\n'.join(lines[-40:])
    assert plans == [len(results)]


def failures(lines):
    """The checks that failed, each with the notes that follow it."""
    found, notes = [], False
    for line in lines:
        if re.match(r'not ok\b|Bail out!', line):
            found.append(line)
            notes = True
        elif notes and line.startswith('#'):
            found.append(line)
        else:
            notes = False
    return found
