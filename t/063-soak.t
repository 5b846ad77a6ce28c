#!/usr/bin/python3
"""A long time with everything that goes wrong: nothing grows, nothing is lost.

    SOAK=3600 make test TESTS=t/063-soak.t

SOAK is in seconds.  In the first quarter there are reloads and a worker is
killed; after that, only AWS and the clients misbehave.  In the second quarter
memory settles, in the second half it must not grow.  The bound is 50 bytes for
each request of that half: a leak of 100 bytes a request is twice that.
"""

import json
import os
import pathlib
import re
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from crowd import Crowd
from ivschat_testlib import Service, Tap
from nginx_testlib import (Nginx, alive, attempt, bounded, container_env, fds,
                           rss, sanitized, slow, wait_for)

tap = Tap()

SOAK = int(os.environ.get('SOAK') or (40 if sanitized() else 120))
FEWEST = 5000 if SOAK >= 120 else 500  # requests that say something
BYTES = 50                             # of growth, for each request
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


def memory(pid):
    """Bytes that are the process's own."""
    text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text('ascii')
    return 1024 * sum(int(size) for size in re.findall(
        r'^Private_(?:Clean|Dirty): +(\d+)', text, re.M))


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


def changes(soak, seconds):
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
    tap.ok(wait_for(lambda: not soak.nginx.old_workers(), 20),
           f'{reloads} reloads: the old workers have ended')
    # its pages are shared with the workers, so that these count as well
    grown = rss(soak.nginx.pid) - master
    print(f'# {reloads} reloads: the master has grown by {grown} KB from '
          f'{master} KB', flush=True)
    tap.ok(grown < 512 + 4 * reloads or sanitized(),
           'the master does not grow', master, grown, reloads)

    soak.killed = soak.nginx.workers()[0]
    os.kill(soak.killed, signal.SIGKILL)
    tap.ok(wait_for(lambda: len(soak.nginx.workers()) == 2
                    and soak.killed not in soak.nginx.workers()),
           'a worker is killed, and there is a new one')


def settled(soak, seconds):
    """The rest of the time: what grows, grows all the time."""
    workers = soak.nginx.workers()
    time.sleep(seconds / 3 * 0.8)
    first = soak.memory(seconds / 3 * 0.2)
    count = soak.count()
    time.sleep(seconds / 3 * 2 * 0.9)
    last = soak.memory(seconds / 3 * 2 * 0.1)
    count = soak.count() - count

    tap.equal(soak.nginx.workers(), workers, 'the workers are the same')
    tap.ok(count > FEWEST / slow(), f'{count} requests meanwhile', FEWEST)
    print(f'# the workers\' memory: {first / 1024:.0f} KB, and after {count} '
          f'requests {last / 1024:.0f} KB: '
          f'{(last - first) / count:.1f} bytes for each', flush=True)
    if sanitized():
        print('# AddressSanitizer: memory is not looked at', flush=True)
    else:
        tap.ok(last - first < BYTES * count,
               f'the workers do not grow by {BYTES} bytes a request',
               first, last, count)


def account(soak, started):
    """The access log, the clients and AWS tell the same story."""
    asked = {one.user: one for stream in soak.streams for one in stream.asked}
    begun = sum(stream.begun for stream in soak.streams)
    tap.equal(len(asked), begun, 'each request has ended')
    unanswered = {user for user, one in asked.items() if one.status is None}
    wait_for(lambda: soak.nginx.lines_so_far() + len(unanswered) >= begun)

    found = {'twice': [], 'not asked': [], 'another answer': []}
    attempts, results, seen = 0, {}, set()
    path = soak.nginx.dir / 'access.log'
    with path.open(encoding='utf-8') as log:
        for line in map(json.loads, log):
            user, result = line['user'], line['result']
            one = asked.get(user)
            results[result] = results.get(result, 0) + 1
            attempts += int(line['attempts'] or 0)
            if user in seen:
                found['twice'].append(line)
            seen.add(user)
            if one is None:
                found['not asked'].append(line)
            elif one.status is not None and (
                    str(one.status), one.code or 'ok') != (
                        line['status'], result):
                found['another answer'].append((line, one))

    for name, lines in found.items():
        tap.ok(not lines, f'the access log: none {name}', *lines[:5])
    lost = [user for user in asked if user not in seen]
    tap.ok(set(lost) <= unanswered, 'all answers are logged',
           [asked[user] for user in lost if user not in unanswered][:5])
    late = [asked[user] for user in lost if asked[user].at > started + 1]
    tap.ok(not late, 'without reloads and a kill, so is each request',
           *late[:5])
    print(f'# {begun} requests, {len(lost)} of them lost by the kill and the '
          f'reloads; {attempts} attempts; by result: {results}', flush=True)

    check_results(results, begun, found)
    check_service(soak, attempts, results,
                  results.get('aborted', 0) + len(lost))


def check_results(results, begun, found):
    """What came of them."""
    tap.ok(set(results) <= RESULTS, 'no result that does not belong here',
           set(results) - RESULTS)
    tap.ok(results.get('rejected', 0) <= begun / 1000, 'and hardly one that '
           'AWS rejects: an expired key is renewed', results)
    missing = {'ok', 'aborted', 'bad_response', 'throttled'} - set(results)
    tap.ok(not missing, 'of the usual ones, all', results, found)
    tap.ok(results.get('ok', 0) > 0.85 * begun, 'most of them good', results)


def check_service(soak, attempts, results, unsure):
    """What AWS has seen is what was sent."""
    health = soak.service.health()
    minted = health['by_code'].get('ok', 0)
    print(f'# AWS has seen {health["requests"]}: {health["by_code"]}',
          flush=True)
    tap.ok(attempts - unsure <= health['requests'] <= attempts + 3 * unsure,
           'AWS has seen as many as the access log has attempts, but for '
           'those of clients who left, and of the kill',
           attempts, health['requests'], unsure)
    bad = results.get('bad_response', 0)
    tap.ok(results['ok'] <= minted <= results['ok'] + bad + unsure,
           'and has minted for the good ones, and those that were garbled',
           minted, results, unsure)


def everything(service, fakes):
    """The soak."""
    with Nginx(service, workers=2, http=HTTP, server=SERVER, level='warn',
               keepalive=32, env=container_env(fakes)) as nginx, \
            Crowd() as crowd:
        soak = Soak(nginx, service, crowd)
        files = soak.files()
        soak.faults()
        changes(soak, SOAK / 4)
        started = time.monotonic()
        settled(soak, SOAK * 3 / 4)
        keys = len(fakes.issued())
        tap.ok(keys >= SOAK / LIFETIME, f'{keys} credentials, one after the '
                                        'other', keys)
        for stream in soak.streams:
            stream.stop()
        tap.ok(wait_for(lambda: soak.files() <= files + 2),
               'no file more than at the beginning is open', files,
               soak.files())
        tap.ok(all(map(alive, nginx.workers())), 'the workers are there')
        account(soak, started)
        nginx.check(tap, allow=rf'{soak.killed} exited on signal 9'
                               '|was locked by')


def main():
    """One service, which forgets the requests it has seen."""
    bounded(3 * SOAK + 60)
    with Service(args=['--rate', 'off', '--latency', '5']) as service, \
            Fakes(service) as fakes:
        fakes.config(lifetime=LIFETIME)
        attempt(tap, everything, service, fakes)
    tap.done()


main()
