"""Viewers who came together are told different times of expiry."""

import datetime

import pytest

from nginx_testlib import Client, Nginx, is_token, request

COUNT = 100
SERVER = '''
    location = /half  { ivschat_token /ivschat;
                        ivschat_token_refresh_spread 50%; }
    location = /tenth { ivschat_token /ivschat;
                        ivschat_token_refresh_spread 10; }
    location = /off   { ivschat_token /ivschat;
                        ivschat_token_refresh_spread off; }
'''


@pytest.fixture(scope='module')
def nginx(service):
    with Nginx(service, server=SERVER) as nginx:
        yield nginx
        nginx.check()


def seconds(text):
    """A time of an answer, since the epoch."""
    form = '%Y-%m-%dT%H:%M:%S.%fZ'
    return datetime.datetime.strptime(text, form).replace(
        tzinfo=datetime.timezone.utc).timestamp()


def earlier(nginx, service, target, life, offset=0):
    """By how many seconds tokens were moved; all else is as AWS said."""
    service.config(token_lifetime=life, clock_offset=offset)
    moved = []
    with Client(nginx.port) as client:
        client.ask(request(target, 'learns the offset'))
        for number in range(COUNT):
            answer = client.ask(request(target, f'{target} {number}'))
            assert is_token(answer)
            said = answer.json()
            _, known = service.token(said['token'])
            moved.append(known['expires'] - seconds(
                said['tokenExpirationTime']))
            assert abs(known['session_ends'] - seconds(
                said['sessionExpirationTime'])) < 0.01
    return moved


# in the last case, what remains is counted by AWS's clock
@pytest.mark.parametrize('target, percent, life, offset', (
    ('/half', 50, 3600, 0),
    ('/tenth', 10, 3600, 0),
    ('/half', 50, 660, 0),
    ('/half', 50, 3600, 3600),
))
def test_tokens_expire_earlier(nginx, service, target, percent, life, offset):
    moved = earlier(nginx, service, target, life, offset)
    most = life * percent / 100
    assert -0.01 < min(moved) and max(moved) <= most + 0.01

    # evenly, and each for itself
    thirds = [sum(most * part / 3 <= one < most * (part + 1) / 3
                  for one in moved) for part in range(3)]
    assert min(thirds) >= COUNT / 8
    assert len({round(one, 3) for one in moved}) > COUNT * 0.9


@pytest.mark.parametrize('target, life', (
    ('/off', 3600), ('/token', 3600), ('/half', 600), ('/half', 60)))
def test_tokens_are_left_alone(nginx, service, target, life):
    """Without a spread, and short ones."""
    moved = earlier(nginx, service, target, life)
    assert max(map(abs, moved)) < 0.01
