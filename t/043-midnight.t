#!/usr/bin/python3
"""Midnight UTC: the day of the signature, and of its key, changes."""

import glob
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Nginx, attempt, binary, bounded, code,
                           in_parallel, is_token, request, sanitized, slow)

tap = Tap()

DAY = 86400
BEFORE = 2.0                           # seconds from the start to midnight
LIBRARY = '/usr/lib/*/faketime/libfaketime.so.1'
CLIENTS = 4


def offset():
    """What makes now a little before midnight, in whole seconds; and when
    that midnight is, by our clock.
    """
    now = time.time()
    midnight = (now // DAY + 1) * DAY
    seconds = round(midnight - BEFORE * min(slow(), 2) - now)
    return seconds, midnight - seconds


def environment(seconds):
    """The variables that make an nginx see another time."""
    found = glob.glob(LIBRARY)
    if not found:
        raise RuntimeError('libfaketime is not there: install faketime')

    # It looks at FAKETIME again later, and nginx clears its environment; and
    # with ASan linked in, it is not the first library any more.
    options = [os.environ.get('ASAN_OPTIONS'), 'verify_asan_link_order=0']

    return {'LD_PRELOAD': found[0], 'FAKETIME': f'{seconds:+d}',
            'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_DONT_FAKE_MONOTONIC': '1',
            'NO_FAKE_STAT': '1', 'FAKETIME_CACHE_DURATION': '3600',
            'ASAN_OPTIONS': ','.join(filter(None, options))}


def can_run(variables):
    """Whether this nginx starts at all with them."""
    try:
        return subprocess.run(
            [binary(), '-v'], env={**os.environ, **variables}, timeout=20,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def mint_until(nginx, end):
    """Mint, on a few kept-alive connections, until a time."""
    def run(number):
        answers = []
        with Client(nginx.port) as client:
            while time.time() < end:
                answers.append(client.ask(request(user=f'user{number}')))
                time.sleep(0.02)
        return answers

    return [answer for answers in in_parallel(CLIENTS, run)
            for answer in answers]


def main():
    """From a little before midnight to a little after it."""
    bounded(60)

    if sanitized() and not can_run(environment(0)):
        print('1..0 # SKIP libfaketime does not work with this nginx, which '
              'is built with AddressSanitizer')
        return

    with Service(args=['--rate', 'off']) as service:
        seconds, midnight = offset()
        service.config(clock_offset=seconds)

        with Nginx(service, env=environment(seconds),
                   main='env FAKETIME;') as nginx:
            attempt(tap, check, service, mint_until(nginx, midnight + 1))
            nginx.check(tap)
            lines = nginx.error_log().splitlines()
            days = {line[:10] for line in lines if line[:1] == '2'}
            tap.equal(len(days), 2, 'nginx itself has seen both days')

    tap.done()


def check(service, answers):
    """What came of it."""
    bad = [code(answer) for answer in answers if not is_token(answer)]
    tap.ok(not bad, f'{len(answers)} tokens around midnight', bad[:10])

    requests = service.requests()
    tap.equal({record['verdict']['status'] for record in requests}, {200},
              'each signature was accepted')

    scopes = []
    for record in requests:
        headers = {name.lower(): value for name, value in record['headers']}
        date = headers['x-amz-date']
        scope = re.search(r'Credential=[^/]+/(\d{8})/us-west-2/ivschat/',
                          headers['authorization'])[1]
        scopes.append((date, scope))

    tap.ok(all(date[:8] == scope for date, scope in scopes),
           'the scope\'s day is always the date\'s',
           *[pair for pair in scopes if pair[0][:8] != pair[1]][:5])

    days = [scope for _, scope in scopes]
    tap.ok(len(set(days)) == 2 and days == sorted(days),
           'the day changes once', dict.fromkeys(days))
    tap.ok(days.count(days[0]) > 20 and days.count(days[-1]) > 20,
           'with many before and many after it',
           *[(day, days.count(day)) for day in dict.fromkeys(days)])
    tap.ok(scopes[0][0][9:13] == '2359' and scopes[-1][0][9:13] == '0000',
           'and that is at midnight', scopes[0], scopes[-1])

    ways = {(record['connection'], day)
            for record, day in zip(requests, days)}
    both = [number for number, day in ways
            if day == days[0] and (number, days[-1]) in ways]
    opened = service.connections()['opened']
    tap.ok(opened <= CLIENTS and both,
           'over connections that were there before midnight', opened, ways)


main()
