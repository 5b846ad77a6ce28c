"""The tokenProvider of docs/client, in Node: token_provider.mjs."""

import pathlib
import re
import subprocess

import pytest

PROGRAM = pathlib.Path(__file__).with_name('token_provider.mjs')


@pytest.mark.timeout(60)
def test_token_provider():
    """All of its tests pass, and there are some."""
    done = subprocess.run(['node', '--test-reporter=tap', PROGRAM],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    passed = re.search(r'^# pass (\d+)$', done.stdout, re.M)

    assert done.returncode == 0, done.stdout
    assert int(passed[1]) > 1, done.stdout
