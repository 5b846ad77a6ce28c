"""Midnight UTC: the day of the signature, and of its key, changes."""

import os
import re
import subprocess
import time

import pytest

from ivschat_testlib import Service
from nginx_testlib import (Client, Nginx, binary, clock_env, code, in_parallel,
                           is_token, request, sanitized, slow)

DAY = 86400
BEFORE = 2.0                           # seconds from the start to midnight
CLIENTS = 4


def offset():
    """What makes now a little before midnight, in whole seconds; and when
    that midnight is, by our clock.
    """
    now = time.time()
    midnight = (now // DAY + 1) * DAY
    seconds = round(midnight - BEFORE * min(slow(), 2) - now)
    return seconds, midnight - seconds


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

    return sum(in_parallel(CLIENTS, run), [])


def scope_of(record):
    """(X-Amz-Date, the day of the signature's scope) of a request."""
    headers = {name.lower(): value for name, value in record['headers']}
    day = re.search(r'Credential=[^/]+/(\d{8})/us-west-2/ivschat/',
                    headers['authorization'])[1]
    return headers['x-amz-date'], day


def test_midnight():
    if sanitized() and not can_run(clock_env(0)):
        pytest.skip('libfaketime does not work with this nginx, which is '
                    'built with AddressSanitizer')

    with Service(args=['--rate', 'off']) as service:
        seconds, midnight = offset()
        service.config(clock_offset=seconds)

        with Nginx(service, env=clock_env(seconds),
                   main='env FAKETIME;') as nginx:
            answers = mint_until(nginx, midnight + 1)
            nginx.check()
            log = nginx.error_log()

        requests = service.requests()
        opened = service.connections()['opened']

    bad = [code(answer) for answer in answers if not is_token(answer)]
    assert not bad, bad[:10]
    assert {one['verdict']['status'] for one in requests} == {200}
    assert len(set(re.findall(r'(?m)^2\S+', log))) == 2, \
        'nginx itself has seen both days'

    scopes = [scope_of(record) for record in requests]
    assert [date[:8] for date, _ in scopes] == [day for _, day in scopes]

    days = [day for _, day in scopes]
    assert len(set(days)) == 2 and days == sorted(days), 'it changes once'
    assert days.count(days[0]) > 20 and days.count(days[-1]) > 20
    assert scopes[0][0][9:13] == '2359' and scopes[-1][0][9:13] == '0000'

    # connections were there before midnight and are used after it
    ways = {(record['connection'], day)
            for record, day in zip(requests, days)}
    assert opened <= CLIENTS
    assert any((number, days[-1]) in ways for number, day in ways
               if day == days[0]), ways
