"""A long time with everything that goes wrong: nothing grows, nothing is lost.

    SOAK=3600 make test TESTS=t/system/test_soak.py

SOAK is in seconds.  In the first quarter there are reloads and a worker is
killed; after that, only AWS and the clients misbehave.  In the second quarter
memory settles, in the second half it must not grow.  The bound is 50 bytes for
each request of that half: a leak of 100 bytes a request is twice that.
"""

import json
import os
import signal
import statistics
import time

import pytest

from crowd import Crowd
from nginx_testlib import (Nginx, alive, container_env, fds, memory, rss,
                           sanitized, slow, wait_for)

SOAK = int(os.environ.get('SOAK') or (40 if sanitized() else 120))
FEWEST = 5000 if SOAK >= 120 else 500  # requests that say something
SERVICE = ['--rate', 'off', '--latency', '5']
BYTES = 50                             # of growth, for each request,
HEAP = 2 << 20                         # but the heap settles first
LIFETIME = 20                          # seconds, of credentials
CLIENTS = 40
RETRYING = 'eu-west-1'

HTTP = '''
    upstream ivschat.eu-west-1.amazonaws.com {
        server             127.0.0.1:@SERVICE@;
        keepalive          16;
        keepalive_requests 1000000;
    }

    ivschat_token_rate 400 burst=100 wait=1s;
    ivschat_token_tries 3;
'''
SERVER = 'ivschat_token_credentials container;'

# One in so many requests: primes, so that they meet in all orders.
FAULTS = {'slow-200': 53, 'reset-before': 211, 'reset-headers': 223,
          'reset-body': 227, 'close-before': 229, 'truncated': 233,
          'html': 239, 'empty': 241, 'notjson': 251, 'wrongtypes': 257,
          'status-500': 263, 'internal': 269, 'chunked': 271, 'gzip': 277,
          'bigheader-20000': 281, 'big-100000': 283, 'http10': 293,
          'close': 307, 'pause-300': 311, 'drip-1': 1009, 'silence': 1013,
          'expired-token': 2003, 'throttling': 3001}
RESULTS = {'ok', 'aborted', 'unavailable', 'bad_response', 'timeout',
           'throttled', 'no_credentials', 'rejected'}


class Soak:
    """An nginx, its clients, and what is measured of it."""

    def __init__(self, nginx, service, crowd):
        self.nginx, self.service = nginx, service
        self.streams = [
            crowd.always(nginx.port, CLIENTS, lambda n: f'want {n}',
                         leave=0.02, pause=0.05),
            crowd.every(nginx.port, 10, lambda n: f'come {n}'),
            crowd.always(nginx.port, 4, lambda n: f'throttled {n}',
                         f'/token?region={RETRYING}', pause=0.2)]
        self.killed = None

    def count(self):
        """Requests that have been answered."""
        return sum(len(stream.asked) for stream in self.streams)

    def files(self):
        """Open files of the workers, but for connections to AWS."""
        return (sum(map(fds, self.nginx.workers()))
                - self.service.connections()['open'])

    def memory(self, seconds):
        """The workers' memory, by the middle of some samples."""
        seen = []
        for _ in range(10):
            time.sleep(seconds / 10)
            seen.append(sum(map(memory, self.nginx.workers())))
        return statistics.median(seen)

    def faults(self):
        """From now on AWS misbehaves."""
        self.service.faults(
            {'fault': 'throttling', 'every': 5, 'count': None,
             'region': RETRYING},
            *({'fault': name, 'every': every, 'count': None,
               'region': 'us-west-2'} for name, every in FAULTS.items()))


@pytest.mark.timeout(3 * SOAK + 60)
def test_soak(service, fakes):
    fakes.config(lifetime=LIFETIME)
    with Nginx(service, workers=2, http=HTTP, server=SERVER, level='warn',
               keepalive=32, env=container_env(fakes)) as nginx, \
            Crowd() as crowd:
        soak = Soak(nginx, service, crowd)
        files = soak.files()
        soak.faults()
        check_changes(soak, SOAK / 4)
        started = time.monotonic()
        check_memory(soak, SOAK * 3 / 4)
        assert len(fakes.issued()) >= SOAK / LIFETIME
        for stream in soak.streams:
            stream.stop()
        assert wait_for(lambda: soak.files() <= files + 2), files
        assert all(map(alive, nginx.workers()))
        check_account(soak, started)
        nginx.check(allow=rf'{soak.killed} exited on signal 9|was locked by')


def check_changes(soak, seconds):
    """Reloads, and a worker is killed."""
    end = time.monotonic() + seconds
    reloads = 0
    master = rss(soak.nginx.pid)
    while time.monotonic() < end:
        time.sleep(min(3, seconds / 5))
        soak.nginx.reload()
        reloads += 1
        if reloads == 3:
            master = rss(soak.nginx.pid)
    assert wait_for(lambda: not soak.nginx.old_workers(), 20)
    # The master's pages are shared with the workers, so these count as well.
    grown = rss(soak.nginx.pid) - master
    print(f'{reloads} reloads: the master has grown by {grown} KB from '
          f'{master} KB')
    assert grown < 512 + 4 * reloads or sanitized()

    soak.killed = soak.nginx.workers()[0]
    os.kill(soak.killed, signal.SIGKILL)
    assert wait_for(lambda: len(soak.nginx.workers()) == 2
                    and soak.killed not in soak.nginx.workers())


def check_memory(soak, seconds):
    """The rest of the time: what grows, grows all the time."""
    workers = soak.nginx.workers()
    time.sleep(seconds / 3 * 0.8)
    first = soak.memory(seconds / 3 * 0.2)
    count = soak.count()
    time.sleep(seconds / 3 * 2 * 0.9)
    last = soak.memory(seconds / 3 * 2 * 0.1)
    count = soak.count() - count

    assert soak.nginx.workers() == workers
    assert count > FEWEST / slow()
    print(f'the workers\' memory: {first / 1024:.0f} KB, and after {count} '
          f'requests {last / 1024:.0f} KB: '
          f'{(last - first) / count:.1f} bytes for each')
    if not sanitized():
        assert last - first < max(BYTES * count, HEAP)


def check_account(soak, started):
    """The access log, the clients and AWS tell the same story."""
    asked = {one.user: one for stream in soak.streams for one in stream.asked}
    begun = sum(stream.begun for stream in soak.streams)
    assert len(asked) == begun
    unanswered = {user for user, one in asked.items() if one.status is None}
    wait_for(lambda: soak.nginx.lines_so_far() + len(unanswered) >= begun)

    attempts, results, seen = 0, {}, set()
    twice, not_asked, another_answer = [], [], []
    path = soak.nginx.dir / 'access.log'
    with path.open(encoding='utf-8') as log:
        for line in map(json.loads, log):
            user, result = line['user'], line['result']
            one = asked.get(user)
            results[result] = results.get(result, 0) + 1
            attempts += int(line['attempts'] or 0)
            if user in seen:
                twice.append(line)
            seen.add(user)
            if one is None:
                not_asked.append(line)
            elif one.status is not None and (
                    str(one.status), one.code or 'ok') != (
                        line['status'], result):
                another_answer.append((line, one))

    assert not twice[:5]
    assert not not_asked[:5]
    assert not another_answer[:5]

    # All answers are logged; without reloads and a kill, so is each request.
    lost = set(asked) - seen
    assert lost <= unanswered
    assert not [asked[user] for user in lost if asked[user].at > started + 1]

    print(f'{begun} requests, {len(lost)} of them lost by the kill and the '
          f'reloads; {attempts} attempts; by result: {results}')
    check_results(results, begun)
    check_service(soak, attempts, results,
                  results.get('aborted', 0) + len(lost))


def check_results(results, begun):
    """What came of them."""
    assert set(results) <= RESULTS
    # AWS rejects hardly one: an expired key is renewed.
    assert results.get('rejected', 0) <= begun / 1000, results
    assert {'ok', 'aborted', 'bad_response', 'throttled'} <= set(results)
    assert results.get('ok', 0) > 0.85 * begun, results


def check_service(soak, attempts, results, unsure):
    """What AWS has seen is what was sent.

    unsure: the requests of clients who left, and those lost by the kill.
    """
    health = soak.service.health()
    minted = health['by_code'].get('ok', 0)
    print(f'AWS has seen {health["requests"]}: {health["by_code"]}')
    assert attempts - unsure <= health['requests'] <= attempts + 3 * unsure

    # It has minted for the good ones, and for answers that were garbled.
    bad = results.get('bad_response', 0)
    assert results['ok'] <= minted <= results['ok'] + bad + unsure, results
