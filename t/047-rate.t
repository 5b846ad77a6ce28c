#!/usr/bin/python3
"""The rate of an account: who is served, who waits, and who is told to."""

import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Minting, Nginx, ask, attempt, binary,
                           bounded, code, container_env, in_parallel, is_token,
                           request, sanitized, slow, wait_for)

tap = Tap()

ONE_S = 'ivschat_token_rate 50 burst=10 wait=1s;'
EACH = 'reuseport'                     # worker has its share of connections
EU = '''
    upstream ivschat.eu-west-1.amazonaws.com {
        server 127.0.0.1:@SERVICE@;
    }
'''


class Wave:
    """Clients who come at once, in the order of their numbers.

    took and answers are by number.
    """

    def __init__(self, nginx, count, target='/token', name='wave', gap=0.0):
        self.clients = [Client(nginx.port) for _ in range(count)]
        self.answers, self.took = [None] * count, [None] * count
        self.start = time.monotonic()
        self.sent = []
        for number, client in enumerate(self.clients):
            client.send(request(target, f'{name} {number}'))
            self.sent.append(time.monotonic())
            if gap:
                time.sleep(gap)

    def finish(self, numbers=None):
        """All their answers."""
        numbers = [*(range(len(self.clients)) if numbers is None
                     else numbers)]

        def read(index):
            number = numbers[index]
            self.answers[number] = self.clients[number].answer()
            self.took[number] = time.monotonic() - self.sent[number]

        failed = [error for error in in_parallel(len(numbers), read) if error]
        for client in self.clients:
            client.close()
        return failed

    def served(self):
        """The numbers of those who have a token."""
        return [number for number, answer in enumerate(self.answers)
                if answer is not None and is_token(answer)]


def warm(nginx, service, users=4):
    """Connections to AWS are there, and the bucket is full again."""
    in_parallel(users, lambda number: ask(nginx.port,
                                          request(user=f'warm {number}')))
    time.sleep(0.3)
    service.forget()


def wave(service):
    """200 at once, of whom 10 and 50 are served."""
    with Nginx(service, workers=2, http=ONE_S, listen=EACH) as nginx:
        warm(nginx, service)
        crowd = Wave(nginx, 200)
        failed = crowd.finish()
        served = crowd.served()
        refused = [number for number in range(200) if number not in served]

        # a slow machine takes its time to accept them
        span = max(crowd.sent[number] + crowd.took[number]
                   for number in served) - crowd.start
        tap.ok(not failed and 55 <= len(served) <= 16 + 50 * max(span, 1),
               'of 200 who come at once, 60 are served within a second',
               failed[:3], len(served), span)
        tap.equal({code(crowd.answers[number]) for number in refused},
                  {(429, 'throttled')}, 'the others are refused')
        early = [crowd.took[number] for number in refused
                 if crowd.took[number] < 0.95]
        tap.ok(not early, 'not before the end of the wait', early[:10])
        late = [crowd.took[number] for number in refused
                if crowd.took[number] > 1 + 0.6 * slow()]
        tap.ok(not late, 'and not long after it', late[:10])

        advice = [(int(crowd.answers[number].get('Retry-After') or 0),
                   crowd.answers[number].json().get('retryAfter'))
                  for number in refused]
        tap.ok(all(1 <= header <= 60 and header == member
                   for header, member in advice),
               'Retry-After and retryAfter say when to come back',
               sorted(set(advice))[:20])
        tap.ok(len(set(advice)) > 1, 'not all at the same time',
               sorted(set(advice)))

        seen = service.requests()
        tap.equal(len(seen), len(served), 'AWS sees no more than that')

        lines = {line['user']: line for line in nginx.logged(204)
                 if line['user'].startswith('wave')}
        waits = [float(lines[f'wave {number}']['wait']) for number in served]
        tap.ok(min(waits) == 0 and 0.5 < max(waits) < 1 + 0.2 * slow(),
               '$ivschat_token_wait: the first do not wait, the last do',
               waits)
        for worker in nginx.workers():
            own = [number for number in range(200)
                   if lines[f'wave {number}']['worker'] == worker]
            places = [place for place, number in enumerate(own)
                      if number in served]
            late = [place for place in places if place >= len(places)]
            # it may read one's request before it accepts another one
            tap.ok(len(late) <= len(places) / 5 * min(slow(), 3),
                   'those who came first to a worker are served', places)

        told = [float(lines[f'wave {number}']['wait']) for number in refused]
        # a worker that is busy looks at the clock late
        tap.ok(min(told) >= 1 - 0.05 * slow()
               and {lines[f'wave {number}']['attempts']
                    for number in refused} == {'0'},
               'those without a place have waited, and made no attempt',
               min(told))
        times = [float(line['time']) - float(line['wait'])
                 for line in lines.values()]
        tap.ok(min(times) >= 0, '$ivschat_token_time has the wait in it',
               min(times))
        tap.ok({line['worker'] for line in lines.values()}
               == set(nginx.workers()), 'both workers have had clients')
        tap.ok('no token within the wait of "ivschat_token_rate"'
               in nginx.error_log(), 'the log says why')
        nginx.check(tap, 'a wave')


def shared(service):
    """Two workers that were kept apart have one bucket."""
    with Nginx(service, workers=2, listen=EACH,
               http='ivschat_token_rate 1 burst=20 wait=100ms;') as nginx:
        crowd = Wave(nginx, 60, name='shared')
        crowd.finish()
        lines = [line for line in nginx.logged(60)
                 if line['user'].startswith('shared')]
        tap.ok(20 <= len(crowd.served()) <= 22,
               'a burst of 20 is one over all workers', len(crowd.served()))
        tap.ok(len({line['worker'] for line in lines}) == 2,
               'of which there are two',
               [line['worker'] for line in lines])
        nginx.check(tap, 'shared')


def order(service):
    """Served in the order in which they came."""
    # two at once may arrive at AWS in another order; and while a worker gets
    # no processor, the other one goes on
    for workers, most in ((1, 2), (2, 4)):
        service.forget()
        with Nginx(service, workers=workers,
                   http='ivschat_token_rate 20 burst=1 wait=3s;') as nginx:
            crowd = Wave(nginx, 24, gap=0.01, name='order')
            crowd.finish()
            users = [int(one['user'].split()[1])
                     for one in service.requests()]
            tap.ok(len(users) == 24 and all(
                abs(place - user) <= most * slow()
                for place, user in enumerate(users)),
                f'first come, first served: {workers} worker(s)', users)
            nginx.check(tap, 'order')


def attempts(service):
    """A second attempt takes a place as well, before those that wait."""
    service.forget()
    with Nginx(service, http='ivschat_token_tries 3; '
               'ivschat_token_rate 1 burst=3 wait=100ms;') as nginx:
        service.faults({'fault': 'status-500', 'count': 2, 'user': 'again'})
        first = ask(nginx.port, request(user='again'))
        second = ask(nginx.port, request(user='behind'))
        tap.ok(is_token(first) and code(second) == (429, 'throttled'),
               'three attempts take three places', code(first), code(second))
        tap.equal(len(service.requests()), 3, 'AWS sees three requests')

        # the place of the second attempt comes a second later, within its
        # deadline, though the wait is over by then
        wait_for(lambda: is_token(ask(nginx.port, request(user='c'))), 4)
        time.sleep(1.05)
        service.faults({'fault': 'status-500', 'user': 'late'})
        start = time.monotonic()
        answer = ask(nginx.port, request(user='late'))
        took = time.monotonic() - start
        tap.ok(is_token(answer) and 0.3 < took < 1 + 0.6 * slow(),
               'a second attempt waits for its place until the deadline',
               code(answer), took)
        line = wait_for(lambda: [line for line in nginx.access_log()
                                 if line['user'] == 'late'])[0]
        tap.ok(line['attempts'] == '2' and float(line['wait']) > 0.2,
               'and that is part of $ivschat_token_wait', line)
        nginx.check(tap, 'attempts')


def leaving(service):
    """Who leaves gives their place to those behind."""
    with Nginx(service, workers=2,
               http='ivschat_token_rate 20 burst=1 wait=3s;') as nginx:
        service.forget()
        crowd = Wave(nginx, 100, name='leaving')
        wait_for(lambda: len(service.requests()) >= 3, 3)
        stay = Wave(nginx, 10, name='staying')
        for client in crowd.clients:
            client.close()
        left = time.monotonic()
        stay.finish()
        took = time.monotonic() - left
        tap.ok(len(stay.served()) == 10 and took < 1.5 * slow(),
               'of 110 in the queue 100 leave: the other ten are served in '
               'half a second', len(stay.served()), took)
        lines = nginx.logged(110)
        tap.ok(sum(line['status'] == 499 for line in lines) >= 90,
               'who left is logged so', len(lines))
        tap.ok(len(service.requests()) <= 30, 'AWS was not asked for them',
               len(service.requests()))
        nginx.check(tap, 'leaving')


def off(service):
    """No rate: nobody waits."""
    with Nginx(service, workers=2, http='ivschat_token_tries 3; '
               'ivschat_token_rate off;') as nginx:
        crowd = Wave(nginx, 40, name='off')
        crowd.finish()
        tap.equal(len(crowd.served()), 40,
                  'ivschat_token_rate off: all are served')
        tap.equal({line['wait'] for line in nginx.logged(40)}, {'0.000'},
                  'without a wait')
        nginx.check(tap, 'off')


def buckets(service):
    """One for each account and region, up to sixteen."""
    accounts = [f'1111111111{number:02d}' for number in range(18)]
    line = '''
        location = /account {
            ivschat_token /ivschat;
            ivschat_token_room
                arn:aws:ivschat:$room_region:$arg_account:room/@ROOM@;
        }
    '''
    with Nginx(service, workers=2, server=line, http=EU + '''
            ivschat_token_rate 1 burst=2 wait=50ms;''') as nginx:
        def burst(target):
            return [code(ask(nginx.port, request(target)))
                    for _ in range(3)]

        full = [(200, None), (200, None), (429, 'throttled')]
        start = time.monotonic()
        tap.equal(burst('/token'), full, 'one bucket')
        tap.equal(burst('/token?region=eu-west-1'), full,
                  'another region has another one')
        found = burst('/token?room=AnotherRoom1')
        tap.ok(found.count((200, None)) <= time.monotonic() - start
               and set(found) <= set(full), 'another room has not: no more '
               'than one for each second since then', found)
        tap.equal(burst(f'/account?account={accounts[0]}'),
                  [(502, 'rejected'), (502, 'rejected'), (429, 'throttled')],
                  'another account has')

        # 14 more than the two above would be 17
        found = [code(ask(nginx.port, request(f'/account?account={account}')))
                 for account in accounts[1:15]]
        tap.equal(found, [(502, 'rejected')] * 13 + [(404, 'room_not_found')],
                  'the seventeenth pair of account and region: 404')
        tap.ok('rooms of 16 pairs of account and region are in use, and no '
               'more are possible' in nginx.error_log(), 'the log says why')
        nginx.check(tap, 'buckets')


def refused():
    """Literal rooms of more pairs are refused by nginx -t."""
    locations = ''.join(f'''
        location = /room{number} {{
            ivschat_token /ivschat;
            ivschat_token_room
                arn:aws:ivschat:us-west-2:2222222222{number:02d}:room/abcdefgh;
        }}''' for number in range(17))
    nginx = Nginx(server=locations)
    try:
        nginx.configure(port=1025, h2port=1026)
        done = subprocess.run([binary(), '-t', '-p', f'{nginx.dir}/', '-c',
                               str(nginx.dir / 'nginx.conf')], text=True,
                              stderr=subprocess.PIPE, check=False)
        tap.ok(done.returncode != 0
               and 'rooms of more than 16 pairs' in done.stderr,
               'nginx -t refuses 17 literal pairs', done.stderr)
    finally:
        nginx.__exit__()


def reload(service):
    """Those who wait when the configuration is read again lose nothing."""
    with Nginx(service, workers=2,
               http='ivschat_token_rate 20 burst=1 wait=3s;') as nginx:
        warm(nginx, service, 2)
        old = Wave(nginx, 20, name='old')
        time.sleep(0.1)
        nginx.reload()
        new = Wave(nginx, 10, name='new')
        failed = old.finish() + new.finish()
        tap.ok(not failed and len(old.served()) == 20
               and len(new.served()) == 10,
               'a reload: all who waited, and all who came, are served',
               failed[:3], len(old.served()), len(new.served()))
        took = max(one['time'] for one in service.requests()) - min(
            one['time'] for one in service.requests())
        tap.ok(took > 1.2, 'old and new workers share the rate', took)
        tap.ok(wait_for(lambda: not nginx.old_workers(), 3),
               'and the old workers end')

        nginx.configure(http='ivschat_token_tries 3; '
                        'ivschat_token_rate 1000 burst=100 wait=1s;')
        nginx.reload()
        time.sleep(0.3)
        crowd = Wave(nginx, 40, name='more')
        crowd.finish()
        tap.ok(len(crowd.served()) == 40 and max(crowd.took) < 1.5 * slow(),
               'a reload with another rate: it holds at once',
               len(crowd.served()), max(crowd.took))
        nginx.check(tap, 'reload')


def killed(service):
    """The places of a worker that is killed are not waited for."""
    with Nginx(service, workers=2,
               http='ivschat_token_rate 20 burst=1 wait=2s;') as nginx:
        crowd = Wave(nginx, 60, name='killed')
        time.sleep(0.2)
        victim = nginx.workers()[0]
        os.kill(victim, signal.SIGKILL)
        broken = crowd.finish()
        time.sleep(0.2)
        tap.ok(crowd.served() and len(crowd.served()) + len(broken) <= 60,
               'a worker is killed: the other one serves on',
               len(crowd.served()), len(broken))
        time.sleep(1.9)
        answer = ask(nginx.port, request(user='after the kill'))
        line = wait_for(lambda: [line for line in nginx.access_log()
                                 if line['user'] == 'after the kill'])
        tap.ok(is_token(answer) and line and float(line[0]['wait']) < 0.5,
               'and the dead one\'s places are gone', code(answer), line)
        nginx.check(tap, 'killed', allow='exited on signal 9|was locked by')


def share(service):
    """(calls, the share of them that AWS has refused for their rate)."""
    seen = service.requests()
    bad = [one for one in seen if one['verdict']['status'] == 429]
    return len(seen), len(bad) / max(len(seen), 1)


def credentials(service):
    """Who has waited for the first credentials keeps to the rate as well."""
    service.forget()
    with Fakes(service) as fakes:
        fakes.faults('container', f'slow-{1000 * slow()}')
        with Nginx(service, env=container_env(fakes),
                   location='ivschat_token_credentials container; '
                            f'ivschat_token_timeout {10 * slow()}s;',
                   http='ivschat_token_rate 20 burst=5 wait=100ms;'
                   ) as nginx:
            crowd = Wave(nginx, 25, name='first')
            crowd.finish()
            seen = sorted(one['time'] for one in service.requests())
            took = seen[-1] - seen[0] if seen else 0
            tap.ok(len(crowd.served()) == 25 and took > 0.8,
                   'of 25 who wait for credentials, 20 are spread over a '
                   'second', len(crowd.served()), took)
            nginx.check(tap, 'credentials')


def slower(service):
    """AWS throttles: the rate falls, and hardly any call is refused."""
    service.config(rate=20)
    service.forget()
    http = ('ivschat_token_tries 3; '
            'ivschat_token_rate 200 burst=200 wait=4s;')
    with Nginx(service, workers=2, http=http) as nginx:
        with Minting(nginx, clients=60, pause=0):
            time.sleep(3)
            wait_for(lambda: len(service.requests(status=429)) >= 5)
            storm = share(service)
            service.forget()
            time.sleep(4)
            later = share(service)
        # how many depends on how fast they come: a dozen on a slow machine
        tap.ok(storm[0] * storm[1] >= 5,
               'AWS takes 20 a second, 200 are allowed: it refuses some of '
               'the first calls', storm)
        tap.ok(later[1] <= (0.3 if sanitized() else 0.15),
               'few of the later ones', later)
        tap.ok(10 <= later[0] < 4 * 20 * 1.3,
               'of which there are about as many as AWS takes, or less',
               later)
        nginx.check(tap, 'slower')
    service.config(rate=None)


def main():
    """All of it."""
    bounded(150)
    Nginx.patience = slow()
    with Service(args=['--rate', 'off']) as service:
        for part in (wave, shared, order, attempts, leaving, off, buckets,
                     reload, killed, credentials, slower):
            attempt(tap, part, service)
            service.clear_faults()
        attempt(tap, refused)
    tap.done()


main()
