#!/usr/bin/python3
"""Viewers who came together are told different times of expiry."""

import datetime
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Nginx, attempt, bounded, is_token, request)

tap = Tap()

COUNT = 100
SERVER = '''
    location = /half  { ivschat_token /ivschat;
                        ivschat_token_refresh_spread 50%; }
    location = /tenth { ivschat_token /ivschat;
                        ivschat_token_refresh_spread 10; }
    location = /off   { ivschat_token /ivschat;
                        ivschat_token_refresh_spread off; }
'''


def seconds(text):
    """A time of an answer, since the epoch."""
    form = '%Y-%m-%dT%H:%M:%S.%fZ'
    return datetime.datetime.strptime(text, form).replace(
        tzinfo=datetime.timezone.utc).timestamp()


def earlier(nginx, service, target):
    """By how many seconds tokens were moved; whether all else was as AWS
    said."""
    moved, same = [], True
    with Client(nginx.port) as client:
        for number in range(COUNT):
            answer = client.ask(request(target, f'{target} {number}'))
            if not is_token(answer):
                return [], False
            said = answer.json()
            _, known = service.token(said['token'])
            moved.append(known['expires'] - seconds(
                said['tokenExpirationTime']))
            same = same and abs(known['session_ends'] - seconds(
                said['sessionExpirationTime'])) < 0.01
    return moved, same


def check(nginx, service, target, life, percent):
    """All of a location's tokens."""
    moved, same = earlier(nginx, service, target)
    most = life * percent / 100
    name = f'{percent} % of {life} s'

    tap.ok(moved and min(moved) > -0.01 and max(moved) <= most + 0.01,
           f'{name}: earlier by no more than {most} s',
           moved and (min(moved), max(moved)))
    tap.ok(same, f'{name}: the session\'s end is untouched')

    if percent:
        thirds = [sum(most * part / 3 <= one < most * (part + 1) / 3
                      for one in moved) for part in range(3)]
        tap.ok(min(thirds) >= COUNT / 8, f'{name}: evenly', thirds)
        tap.ok(len({round(one, 3) for one in moved}) > COUNT * 0.9,
               f'{name}: each for itself')


def spread(nginx, service):
    """Percentages, and lives."""
    for target, percent in (('/half', 50), ('/tenth', 10), ('/off', 0),
                            ('/token', 0)):
        check(nginx, service, target, 3600, percent)

    service.config(token_lifetime=660)
    check(nginx, service, '/half', 660, 50)

    for life in (600, 60):
        service.config(token_lifetime=life)
        moved, same = earlier(nginx, service, '/half')
        tap.ok(same and moved and max(map(abs, moved)) < 0.01,
               f'a token of {life} s is left alone',
               moved and (min(moved), max(moved)))


def wrong_clock(nginx, service):
    """What remains is counted by AWS's clock."""
    service.config(token_lifetime=3600, clock_offset=3600)
    with Client(nginx.port) as client:
        client.ask(request('/half', 'learns the offset'))
    check(nginx, service, '/half', 3600, 50)
    service.config(clock_offset=0)


def main():
    """All of it."""
    bounded(60)
    with Service(args=['--rate', 'off']) as service, \
            Nginx(service, server=SERVER) as nginx:
        attempt(tap, spread, nginx, service)
        attempt(tap, wrong_clock, nginx, service)
        nginx.check(tap)
    tap.done()


main()
