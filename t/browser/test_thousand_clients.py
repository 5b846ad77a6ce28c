"""A thousand clients of AWS's SDK who join in the same moment.

With MEASURE=1 in the environment, pytest -s prints the figures of
docs/clients.md, for the provider and for the bare SDK.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest

from ivschat_testlib import MessagingEdge, Service
from nginx_testlib import (TOP, Nginx, ask, in_parallel, is_token, request,
                           slow, wait_for)

pytestmark = pytest.mark.timeout(400)

# A TLS handshake can take seconds where everything is on one machine.
PATIENCE = 5

COUNT = 1000

# The words keep the library from lines of its own: the defaults are tested.
DEFAULTS = '# without "ivschat_token_rate 200" and "ivschat_token_tries 3"\n'


@pytest.fixture
def service():
    """The service, with AWS's quota."""
    with Service(args=['--rate', '200']) as service:
        yield service


@pytest.fixture
def edge(service):
    """The messaging edge."""
    with MessagingEdge(service) as edge:
        yield edge


@pytest.fixture
def nginx(service):
    """An nginx that has its connections to AWS, and a full bucket, which
    begins at a quarter of the rate.

    Meanwhile AWS does not throttle, since nginx would be slower after that.
    """
    with Nginx(service, workers=2, connections=8000, keepalive=400,
               http=DEFAULTS, main='worker_rlimit_nofile 16384;') as nginx:
        service.config(rate=None)
        assert wait_for(lambda: all(map(is_token, in_parallel(
            400, lambda number: ask(
                nginx.port, request(user=f'warm {number}'))))), 60)
        time.sleep(1.5)
        service.config(rate=200)
        service.forget()
        yield nginx
        nginx.check()


def crowd(which, nginx, edge, seconds):
    """What became of the clients of crowd.mjs; the figures are printed."""
    done = subprocess.run(
        ['node', str(pathlib.Path(__file__).with_name('crowd.mjs')), which,
         str(TOP / 'objs' / 'npm' / 'node_modules'),
         f'http://127.0.0.1:{nginx.port}/token', edge.url, str(COUNT),
         str(seconds)],
        stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60)
    seen = json.loads(done.stdout)

    seen['joinedAt'].sort()
    figures = {**seen, 'joinedAt': {
        f'{share} %': round(seen['joinedAt'][max(0, len(
            seen['joinedAt']) * share // 100 - 1)], 2)
        for share in (20, 50, 100) if seen['joinedAt']}}
    print('measured:', json.dumps(figures))
    return seen


@contextlib.contextmanager
def outage(service, seconds):
    """AWS is away for so many seconds, from now on."""
    timer = threading.Timer(seconds, service.clear_faults)
    service.faults({'fault': 'internal', 'count': None})
    timer.start()
    yield
    timer.cancel()
    timer.join()


def test_wave(service, edge, nginx):
    """All of them join, at the pace of the quota."""
    seen = crowd('ours', nginx, edge, 60 * slow())
    assert seen['joined'] == COUNT
    assert (seen['gaveUp'], seen['refused']) == ({}, {})

    # AWS has made one token for each, and hardly any for nobody.
    assert COUNT <= service.health()['by_code'].get('ok', 0) <= COUNT * 1.05
    # A client who was not served at first was told to wait.
    assert set(seen['statuses']) <= {'200', '429', '502', '504'}
    assert seen['statuses']['200'] == COUNT
    # Not faster than the quota, 200 at once, then 200 a second; not much
    # slower either.
    assert 3.5 < seen['joinedAt'][-1] < 30 * slow()
    assert edge.health().get('joined') == COUNT


def test_outage(service, edge, nginx):
    """While AWS has errors for five seconds they wait; all join after that."""
    with outage(service, 5):
        seen = crowd('ours', nginx, edge, 120 * slow())

    assert (seen['joined'], seen['gaveUp']) == (COUNT, {})
    assert seen['statuses'].get('502', 0) > 0       # refused at first
    assert seen['statuses']['200'] == COUNT


if os.environ.get('MEASURE'):
    @pytest.mark.parametrize('seconds', [0, 5, 20])
    @pytest.mark.parametrize('which', ['ours', 'bare'])
    def test_measure(service, edge, nginx, which, seconds):
        """They join while AWS is away for so long."""
        with (outage(service, seconds) if seconds
              else contextlib.nullcontext()):
            crowd(which, nginx, edge, 120)
        print('AWS:', service.health()['by_code'])
