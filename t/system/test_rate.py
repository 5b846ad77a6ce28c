"""The rate of an account: who is served, who waits, and who is told to."""

import os
import re
import signal
import time

import pytest

from ivschat_testlib import Fakes
from nginx_testlib import (ACCOUNT, Client, Minting, Nginx, ask, code,
                           container_env, in_parallel, is_token, request,
                           sanitized, slow, upstream, wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

THROTTLED = (429, 'throttled')
EACH = 'reuseport'                     # worker has its share of connections


class Wave:
    """Clients who come at once, in the order of their numbers.

    took and answers are by number; served are those who have a token.
    """

    def __init__(self, nginx, count, name, gap=0.0):
        self.clients = [Client(nginx.port) for _ in range(count)]
        self.answers, self.took = [None] * count, [None] * count
        self.served = []
        self.start = time.monotonic()
        self.sent = []
        for number, client in enumerate(self.clients):
            client.send(request(user=f'{name} {number}'))
            self.sent.append(time.monotonic())
            if gap:
                time.sleep(gap)

    def finish(self):
        """Wait for all answers; what went wrong with connections."""
        def read(number):
            with self.clients[number] as client:
                self.answers[number] = client.answer()
                self.took[number] = time.monotonic() - self.sent[number]

        failed = [error for error in in_parallel(len(self.clients), read)
                  if error]
        self.served = [number for number, answer in enumerate(self.answers)
                       if is_token(answer)]
        return failed


def warm(nginx, service, users=4):
    """Connections to AWS are there, and the bucket is full again."""
    in_parallel(users, lambda number: ask(nginx.port,
                                          request(user=f'warm {number}')))
    time.sleep(0.3)
    service.forget()


def test_wave(service):
    """200 at once, of whom 10 and 50 are served: a quarter, in the beginning."""
    with Nginx(service, workers=2, listen=EACH,
               http='ivschat_token_rate 200 burst=40 wait=1s;') as nginx:
        warm(nginx, service)
        crowd = Wave(nginx, 200, 'wave')
        assert not crowd.finish()
        served = crowd.served
        refused = [number for number in range(200) if number not in served]

        # a slow machine takes its time to accept them
        span = max(crowd.sent[number] + crowd.took[number]
                   for number in served) - crowd.start
        assert 55 <= len(served) <= 30 + 50 * max(span, 1)
        assert {code(crowd.answers[number]) for number in refused} == {
            THROTTLED}

        # the others are refused at the end of the wait, and not long after
        took = [crowd.took[number] for number in refused]
        assert 0.95 <= min(took) and max(took) <= 1 + 0.6 * slow()

        # and told when to come back, not all at the same time
        advice = [(int(crowd.answers[number].get('Retry-After') or 0),
                   crowd.answers[number].json().get('retryAfter'))
                  for number in refused]
        assert all(1 <= header <= 60 and header == member
                   for header, member in advice), set(advice)
        assert len(set(advice)) > 1

        assert len(service.requests()) == len(served)
        check_lines(nginx, served, refused)
        # one line, and one a second, of each worker
        assert assert_counted(
            nginx, 'refused: no token within the wait of '
            '"ivschat_token_rate"', len(refused)) <= 2 * (2 + slow())
        nginx.check()


def check_lines(nginx, served, refused):
    """What the access log says of the wave."""
    lines = {int(line['user'].split()[1]): line for line in nginx.logged(204)
             if line['user'].startswith('wave')}

    # $ivschat_token_wait: the first do not wait, the last do
    waits = [float(lines[number]['wait']) for number in served]
    assert min(waits) == 0 and 0.5 < max(waits) < 1 + 0.2 * slow()

    # those who came first to a worker are served
    assert {line['worker'] for line in lines.values()} == set(nginx.workers())
    for worker in nginx.workers():
        own = [number for number in range(200)
               if lines[number]['worker'] == worker]
        places = [place for place, number in enumerate(own)
                  if number in served]
        late = [place for place in places if place >= len(places)]
        # it may read one's request before it accepts another one
        assert len(late) <= len(places) / 5 * min(slow(), 3), places

    # those without a place have waited, and made no attempt; a worker that
    # is busy looks at the clock late
    assert min(float(lines[number]['wait'])
               for number in refused) >= 1 - 0.05 * slow()
    assert {lines[number]['attempts'] for number in refused} == {'0'}

    # $ivschat_token_time has the wait in it
    assert all(float(line['time']) >= float(line['wait'])
               for line in lines.values())


def test_workers_share_one_bucket(service):
    with Nginx(service, workers=2, listen=EACH,
               http='ivschat_token_rate 1 burst=40 wait=100ms;') as nginx:
        crowd = Wave(nginx, 60, 'shared')
        crowd.finish()
        assert 20 <= len(crowd.served) <= 22
        assert len({line['worker'] for line in nginx.logged(60)}) == 2
        nginx.check()


# two at once may arrive at AWS in another order; and while a worker gets no
# processor, the other one goes on
@pytest.mark.parametrize('workers, most', ((1, 2), (2, 4)))
def test_first_come_first_served(service, workers, most):
    with Nginx(service, workers=workers,
               http='ivschat_token_rate 20 burst=1 wait=3s;') as nginx:
        Wave(nginx, 24, 'order', gap=0.01).finish()
        users = [int(one['user'].split()[1]) for one in service.requests()]
        assert len(users) == 24
        assert all(abs(place - user) <= most * slow()
                   for place, user in enumerate(users)), users
        nginx.check()


def test_second_attempt_takes_a_place(service):
    with Nginx(service, http='ivschat_token_tries 3; '
               'ivschat_token_rate 1 burst=3 wait=100ms;') as nginx:
        service.faults({'fault': 'status-500', 'count': 2, 'user': 'again'})
        assert is_token(ask(nginx.port, request(user='again')))
        assert code(ask(nginx.port, request(user='behind'))) == THROTTLED
        assert len(service.requests()) == 3

        # the place of the second attempt comes a second later, within its
        # deadline, though the wait is over by then
        wait_for(lambda: is_token(ask(nginx.port, request(user='c'))), 4)
        time.sleep(1.05)
        service.faults({'fault': 'status-500', 'user': 'late'})
        start = time.monotonic()
        assert is_token(ask(nginx.port, request(user='late')))
        assert 0.3 < time.monotonic() - start < 1 + 0.6 * slow()
        line, = nginx.lines_of('late')
        assert line['attempts'] == '2' and float(line['wait']) > 0.2
        nginx.check()


def test_place_of_who_leaves(service):
    """Those behind get it: of 110 in the queue 100 leave."""
    with Nginx(service, workers=2,
               http='ivschat_token_rate 20 burst=1 wait=3s;') as nginx:
        crowd = Wave(nginx, 100, 'leaving')
        wait_for(lambda: len(service.requests()) >= 3, 3)
        stay = Wave(nginx, 10, 'staying')
        for client in crowd.clients:
            client.close()
        left = time.monotonic()
        stay.finish()
        assert len(stay.served) == 10
        assert time.monotonic() - left < 1.5 * slow()
        assert sum(line['status'] == 499 for line in nginx.logged(110)) >= 90
        assert len(service.requests()) <= 30
        nginx.check()


def test_rate_off(service):
    """Nobody waits."""
    with Nginx(service, workers=2, http='ivschat_token_tries 3; '
               'ivschat_token_rate off;') as nginx:
        crowd = Wave(nginx, 40, 'off')
        crowd.finish()
        assert len(crowd.served) == 40
        assert {line['wait'] for line in nginx.logged(40)} == {'0.000'}
        nginx.check()


def test_bucket_for_each_account_and_region(service):
    with Nginx(service, workers=2, server=ACCOUNT,
               http=upstream('eu-west-1')
               + 'ivschat_token_rate 1 burst=4 wait=50ms;') as nginx:
        def burst(target, count=3):
            return [code(ask(nginx.port, request(target)))
                    for _ in range(count)]

        # a new bucket begins with a quarter of the burst
        full = [(200, None), (200, None), THROTTLED]
        start = time.monotonic()
        assert burst('/token') == full
        assert burst('/token?region=eu-west-1') == full

        # another room has none of its own: no more than one token for each
        # second since then
        found = burst('/token?room=AnotherRoom1')
        assert found.count((200, None)) <= time.monotonic() - start
        assert set(found) <= set(full)

        assert burst('/account?account=111111111100') == [
            (502, 'rejected'), (502, 'rejected'), THROTTLED]
        nginx.check()


LITERAL = """
    location = /literal {
        ivschat_token /ivschat;
        ivschat_token_room arn:aws:ivschat:us-west-2:123456789012:room/@ROOM@;
    }
"""


def test_made_up_accounts(service):
    """They push out each other, and not one that has given a token."""
    with Nginx(service, server=ACCOUNT,
               http='ivschat_token_rate 1 burst=4 wait=0;') as nginx:
        real = '/account?account=123456789012'
        assert is_token(ask(nginx.port, request(real)))
        start = time.monotonic()
        with Client(nginx.port) as client:
            for number in range(700):
                assert code(client.ask(request(
                    f'/account?account={number:012}'))) == (502, 'rejected')

        # a new bucket would have a call at once, the old one has as many as
        # seconds have passed
        passed = time.monotonic() - start
        found = [code(ask(nginx.port, request(real))) for _ in range(40)]
        assert found.count((200, None)) <= 1 + passed / 4 + 2, found
        assert THROTTLED in found
        nginx.check()


def test_no_bucket_is_left(service):
    """While 256 computed ones are in use, literal rooms have theirs."""
    service.config(latency=1500)
    with Nginx(service, server=ACCOUNT + LITERAL,
               http='ivschat_token_rate 100 wait=1s;') as nginx:
        clients = [Client(nginx.port) for _ in range(300)]
        for number, client in enumerate(clients):
            client.send(request(f'/account?account={number:012}',
                                f'u{number}'))
        answers = []
        for client in clients:
            with client:
                answers.append(client.answer())
        found = [code(answer) for answer in answers]
        assert found.count(THROTTLED) == 300 - 256, set(found)
        assert all(1 <= int(answer.get('Retry-After')) <= 3
                   for answer in answers if code(answer) == THROTTLED)

        clients = [Client(nginx.port) for _ in range(260)]
        for number, client in enumerate(clients):
            client.send(request(f'/account?account={number:012}',
                                f'u{number}'))
        assert is_token(ask(nginx.port, request('/literal')))
        nginx.configure(server=ACCOUNT + LITERAL.replace('/literal', '/new')
                        .replace('us-west-2', 'eu-west-1'),
                        http=upstream('eu-west-1')
                        + 'ivschat_token_rate 100 wait=1s;')
        nginx.reload()
        assert wait_for(lambda: is_token(ask(nginx.port, request('/new'))), 3)
        for client in clients:
            client.close()
        assert_counted(nginx, 'too many AWS accounts and regions', 44 + 4)
        nginx.check()


def assert_counted(nginx, what, count):
    """The log has a line for the first refusal, and then one a second."""
    def refused():
        lines = [line for line in nginx.error_log().splitlines()
                 if what in line]
        return len(lines), sum(
            int((re.search(r'(\d+) more requests', line) or [0, 1])[1])
            for line in lines)

    assert wait_for(lambda: refused()[1] == count, 3), refused()
    return refused()[0]


def test_reload(service):
    """Those who wait lose nothing; a higher rate is climbed to."""
    with Nginx(service, workers=2,
               http='ivschat_token_rate 20 burst=1 wait=3s;') as nginx:
        warm(nginx, service, 2)
        old = Wave(nginx, 20, 'old')
        time.sleep(0.1)
        nginx.reload()
        new = Wave(nginx, 10, 'new')
        assert not old.finish() + new.finish()
        assert (len(old.served), len(new.served)) == (20, 10)

        # old and new workers share the rate
        times = [one['time'] for one in service.requests()]
        assert max(times) - min(times) > 1.2
        assert wait_for(lambda: not nginx.old_workers(), 3)

        nginx.configure(http='ivschat_token_tries 3; '
                        'ivschat_token_rate 1000 burst=100 wait=10s;')
        nginx.reload()
        time.sleep(0.3)
        crowd = Wave(nginx, 40, 'more')
        crowd.finish()
        assert len(crowd.served) == 40
        assert max(crowd.took) < 5 * slow(), 'it climbs beyond the old one'
        nginx.check()


def test_places_of_a_killed_worker(service):
    """The others go on within a second, and as fast as they may."""
    with Nginx(service, workers=2, listen=EACH, connections=2000,
               http='ivschat_token_rate 40 burst=4 wait=20s;') as nginx:
        crowd = Wave(nginx, 800, 'killed')
        wait_for(lambda: len(service.requests()) >= 20)
        os.kill(nginx.workers()[0], signal.SIGKILL)
        broken = crowd.finish()
        assert 200 < len(broken) < 600
        times = sorted(one['time'] for one in service.requests())
        assert max(after - before for before, after
                   in zip(times, times[1:])) < 1 + 0.2 * slow()
        # from 10 calls a second on the rate climbs
        assert len(crowd.served) >= 200 / slow()
        assert is_token(ask(nginx.port, request(user='after the kill')))
        nginx.check(allow='exited on signal 9|was locked by')


def test_a_stop_saves_nothing_up(service):
    """All workers are stopped; one second's calls are made after it."""
    with Nginx(service, workers=2, listen=EACH,
               http='ivschat_token_rate 20 burst=20 wait=6s;') as nginx:
        crowd = Wave(nginx, 300, 'stopped')
        wait_for(lambda: len(service.requests()) >= 8)
        for pid in nginx.workers():
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        service.forget()
        for pid in nginx.workers():
            os.kill(pid, signal.SIGCONT)
        assert not crowd.finish()
        times = sorted(one['time'] for one in service.requests())
        most = max(sum(start <= at < start + 1 for at in times)
                   for start in times)
        assert most <= 2 * 20, times
        nginx.check()


def test_late_ones_are_not_asked_for(service):
    """More than a second after the wait a request makes no call."""
    with Nginx(service, listen=EACH,
               http='ivschat_token_rate 100 burst=1 wait=1s;') as nginx:
        crowd = Wave(nginx, 200, 'late')
        wait_for(lambda: service.requests())
        time.sleep(0.1)
        os.kill(nginx.worker(), signal.SIGSTOP)
        time.sleep(3)
        service.forget()
        os.kill(nginx.worker(), signal.SIGCONT)
        assert not crowd.finish()
        assert not service.requests()
        assert is_token(ask(nginx.port, request(user='after the stop')))
        nginx.check()


def test_who_waited_for_credentials_keeps_to_the_rate(service):
    with Fakes(service) as fakes:
        fakes.faults('container', f'slow-{1000 * slow()}')
        with Nginx(service, env=container_env(fakes),
                   location='ivschat_token_credentials container; '
                            f'ivschat_token_timeout {10 * slow()}s;',
                   http='ivschat_token_rate 20 burst=5 wait=100ms;'
                   ) as nginx:
            crowd = Wave(nginx, 25, 'first')
            crowd.finish()
            assert len(crowd.served) == 25
            times = [one['time'] for one in service.requests()]
            assert max(times) - min(times) > 0.8, '20 are spread over it'
            nginx.check()


def test_aws_throttles(service):
    """AWS takes 20 a second, 200 are allowed: the rate falls."""
    def refused(requests):
        return sum(one['verdict']['status'] == 429 for one in requests)

    service.config(rate=20)
    http = ('ivschat_token_tries 3; '
            'ivschat_token_rate 200 burst=200 wait=4s;')
    with Nginx(service, workers=2, http=http) as nginx:
        with Minting(nginx, clients=60, pause=0):
            time.sleep(3)
            # how many depends on how fast they come: a dozen on a slow
            # machine
            assert wait_for(lambda: refused(service.requests()) >= 5)
            service.forget()
            time.sleep(4)
            later = service.requests()
        assert refused(later) / len(later) <= (0.3 if sanitized() else 0.15)
        assert 10 <= len(later) < 4 * 20 * 1.3
        nginx.check()


# One user


class Loud:
    """Requests of one user that all wait for the rate."""

    def __init__(self, nginx, count, user='loud', target='/token'):
        self.clients = [Client(nginx.port) for _ in range(count)]
        for client in self.clients:
            client.send(request(target, user))

    def answers(self):
        """The codes of all."""
        found = []
        for client in self.clients:
            with client:
                found.append(code(client.answer()))
        return found


def test_one_user(service):
    """Eight wait or run, the next is refused at once."""
    with Nginx(service, http='ivschat_token_rate 1 burst=1 wait=1s;'
               + upstream('eu-west-1')) as nginx:
        assert is_token(ask(nginx.port, request(user='first')))
        start = time.monotonic()
        loud = Loud(nginx, 50)
        refused = nginx.logged(1 + 42)[1:]
        assert [line['status'] for line in refused] == [429] * 42
        assert {(line['attempts'], line['wait']) for line in refused} == {
            ('0', '0.000')}
        answer = ask(nginx.port, request(user='loud'))
        assert code(answer) == THROTTLED
        assert 1 <= int(answer.get('Retry-After')) <= 3
        assert time.monotonic() - start < 0.9 * slow()

        # others, and another region, are not touched
        with Client(nginx.port) as other, Client(nginx.port) as region:
            other.send(request(user='other'))
            region.send(request('/token?region=eu-west-1', 'loud'))
            assert is_token(region.answer())
            other.answer()
        assert float(nginx.lines_of('other')[0]['wait']) > 0
        loud.answers()

        lines = assert_counted(nginx, 'a user has too many requests', 43)
        assert lines <= 3 * slow()

        # those that have ended do not count, nor those whose client has left
        time.sleep(1)
        for _ in range(3):
            gone = Loud(nginx, 8)
            time.sleep(0.1)
            for client in gone.clients:
                client.close()
            time.sleep(0.1)
        with Client(nginx.port) as client:
            client.send(request(user='loud'))
            client.answer()
        assert float(nginx.access_log()[-1]['time']) > 0
        assert_counted(nginx, 'a user has too many requests', 43)
        nginx.check()


ONE_ID = """
    location = /one {
        ivschat_token      /ivschat;
        ivschat_token_user viewer;
    }
"""


@pytest.mark.parametrize('parameters, target', (
    ('1000 burst=1000 user=off', '/token'), ('1000 burst=1000', '/one'),
    ('off', '/token')))
def test_users_that_are_not_counted(service, parameters, target):
    service.config(latency=300)
    with Nginx(service, server=ONE_ID,
               http=f'ivschat_token_rate {parameters};') as nginx:
        assert set(Loud(nginx, 40, target=target).answers()) == {(200, None)}
        nginx.check()


def test_users_of_a_number(service):
    service.config(latency=1000 * slow())
    with Nginx(service,
               http='ivschat_token_rate 1000 burst=1000 user=3;') as nginx:
        found = Loud(nginx, 10).answers()
        assert found.count((200, None)) == 3
        assert found.count(THROTTLED) == 7
        nginx.check()
