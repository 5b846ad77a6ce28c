#!/usr/bin/python3
"""A client that leaves while its request waits: for a place in the rate, in
the pause between attempts, in a later attempt, and wherever the network fails.

t/041-abort.t has the stages of a single attempt; here is what retries, the
rate and other waits add to them, side by side and many times.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from dns_server import DnsServer
from ivschat_testlib import Service, Tap
from nginx_testlib import (BlackHole, Client, Http2, Mute, Nginx, ask, attempt,
                           bounded, container_env, fds, is_token,
                           no_keepalive, request, rss, sanitized, slow,
                           sockets, wait_for)

tap = Tap()

REGIONS = ('ap-northeast-1', 'ap-northeast-2', 'ap-south-1', 'eu-central-1',
           'eu-west-1', 'us-east-1')
ABORTED = (499, 'aborted')
PAUSE = 1.5                            # seconds between attempts

UPSTREAMS = ''.join(f'''
    upstream ivschat.{region}.amazonaws.com {{
        server 127.0.0.1:@SERVICE@;
        {no_keepalive()}
    }}
''' for region in REGIONS)

HTTP = '''
    ivschat_token_tries 3;
    ivschat_token_rate  off;
    resolver            127.0.0.1:%(dns)d ipv6=off;
    limit_req_zone      $binary_remote_addr zone=slow:1m rate=1r/m;

    upstream mute.test { server 127.0.0.1:%(mute)d; }
    upstream hole.test { server 127.0.0.1:%(hole)d; }
''' + UPSTREAMS

SERVER = '''
    location = /mute { ivschat_token /ivschat;
                       ivschat_token_endpoint mute.test; }
    location = /hole { ivschat_token /ivschat;
                       ivschat_token_endpoint hole.test; }
    location = /dns  { ivschat_token /ivschat;
                       ivschat_token_endpoint dead.test; }

    location = /delayed { ivschat_token /slow; }
    location = /slow {
        internal;
        limit_req  zone=slow burst=10000;
        proxy_pass https://$ivschat_token_host/CreateChatToken;
        include    ivschat_params;
    }
'''


# The clients


class Leaver:
    """A client with one request under way, and a way to leave.

    The ways of HTTP/2 are a stream's reset, GOAWAY and then the end of the
    connection, and the latter alone.
    """

    WAYS = ('close', 'reset', 'half-close', 'RST_STREAM', 'GOAWAY', 'end')

    def __init__(self, nginx, way, target, user):
        self.way, self.user = way, user
        if way in ('RST_STREAM', 'GOAWAY', 'end'):
            self.client = Http2(nginx.h2port)
            self.stream = self.client.open(target, user)
        else:
            self.client = Client(nginx.port)
            self.client.send(request(target, user))

    def leave(self):
        """Go."""
        if self.way == 'close' or self.way == 'end':
            self.client.__exit__()
        elif self.way == 'reset':
            self.client.abort()
        elif self.way == 'half-close':
            self.client.half_close()
        elif self.way == 'RST_STREAM':
            self.client.reset(self.stream)
        else:
            self.client.conn.close_connection()
            self.client.flush()
            self.client.sock.close()

    def close(self):
        """Whatever is left of it."""
        self.client.__exit__()


def lines_of(nginx, user):
    """The access log's lines for a user, when there is one."""
    return wait_for(lambda: [line for line in nginx.access_log()
                             if line['user'] == user])


# Everything at once


class Moment:
    """Where a request waits: how it gets there, and how that is seen.

    faults are those of its attempts; attempts is how many there have been.
    """

    def __init__(self, name, target, attempts, faults=(), at_aws=True,
                 left=False):
        self.name, self.target, self.attempts = name, target, attempts
        self.faults, self.at_aws, self.left = faults, at_aws, left


SILENCE = {'fault': 'silence', 'count': 9}

MOMENTS = (
    Moment('the pause', '/token', 1,
           [{'fault': f'retry-after-{int(PAUSE * 1000)}'}]),
    Moment('AWS is silent', '/token', 1, [SILENCE], left=True),
    Moment('the second attempt, AWS is silent', '/token', 2,
           [{'fault': 'status-500'}, SILENCE], left=True),
    Moment('the third attempt, AWS drips', '/token', 3,
           [{'fault': 'status-500'}, {'fault': 'reset-before'},
            {'fault': 'drip-body-1000'}], left=True),
    Moment('no handshake', '/mute', 1, at_aws=False),
    Moment('no connection', '/hole', 1, at_aws=False),
    Moment('the name is looked up', '/dns', 1, at_aws=False),
    Moment('limit_req delays', '/delayed', 1, at_aws=False),
)


class Crowd:
    """Clients in every moment, one for each way to leave."""

    def __init__(self, nginx, service, number, region, moments=MOMENTS):
        self.nginx, self.service = nginx, service
        self.members = []
        for moment in moments:
            for way in Leaver.WAYS:
                user = f'{number}, {moment.name}, {way}'
                service.faults(*[{**fault, 'user': user}
                                 for fault in moment.faults])
                self.members.append((moment, Leaver(
                    nginx, way, f'{moment.target}?region={region}', user)))

    def there(self):
        """Wait until everybody is where they should be."""
        expected = {leaver.user: moment.attempts
                    for moment, leaver in self.members if moment.at_aws}
        return wait_for(lambda: self._seen(expected) == expected)

    def _seen(self, users):
        found = dict.fromkeys(users, 0)
        for one in self.service.requests():
            if one.get('user') in found:
                found[one['user']] += 1
        return found

    def leave(self):
        """All of them go; the number of connections that stay open."""
        for _, leaver in self.members:
            leaver.leave()
        return sum(leaver.way == 'RST_STREAM' for _, leaver in self.members)

    def close(self):
        """What is open still."""
        for _, leaver in self.members:
            leaver.close()

    def logged(self):
        """Wait for their lines in the access log; those that are wrong."""
        users = {leaver.user: moment for moment, leaver in self.members}

        def found():
            return [line for line in self.nginx.access_log()
                    if line['user'] in users]

        wait_for(lambda: len(found()) >= len(users))
        time.sleep(0.05)
        lines = found()
        if len(lines) != len(users):
            return [f'{len(lines)} lines, not {len(users)}',
                    *(set(users) - {line['user'] for line in lines})]
        return [line for line in lines
                if (line['status'], line['result']) != ABORTED
                or int(line['attempts']) != users[line['user']].attempts]


class Worker:
    """What of a worker has to be as before."""

    def __init__(self, nginx, service, mute, hole):
        self.pid, self.service = nginx.worker(), service
        self.ports = (mute.port, hole.port)
        self.baseline = self.files()

    def open(self):
        """The connections that AWS has."""
        return self.service.connections()['open']

    def files(self):
        """Open files without the connections to AWS, which may be kept."""
        return fds(self.pid) - self.open()

    def freed(self, seconds=1.5, more=0):
        """Whether all is as it was, but for so many files more, soon."""
        return wait_for(
            lambda: self.files() <= self.baseline + more and self.open() <= 16
            and not any(sockets(self.pid, port) for port in self.ports),
            seconds)

    def left(self):
        """How many connections AWS was left on while it had the word."""
        return sum(one['left_waiting'] or one['half_closed']
                   for one in self.service.connections()['connections'])


def once(nginx, service, worker):
    """One of each, and what must not follow."""
    service.forget()
    crowd = Crowd(nginx, service, 0, REGIONS[0])
    tap.ok(crowd.there(), f'{len(crowd.members)} clients wait in '
           f'{len(MOMENTS)} moments', *service.requests())
    time.sleep(0.1)
    held = fds(worker.pid)
    left = worker.left()
    expected = left + sum(moment.left for moment, _ in crowd.members)
    more = crowd.leave()

    tap.ok(worker.freed(more=more), 'they leave: sockets and files are as '
           'before, but for the connections of HTTP/2 that live on',
           f'{worker.files()} files, before {worker.baseline}, with them '
           f'{held}; {worker.open()} connections to AWS')
    tap.ok(wait_for(lambda: worker.left() >= expected, 2)
           and worker.left() == expected,
           'AWS sees its connections end in the middle of what it did',
           worker.left(), expected)
    bad = crowd.logged()
    tap.ok(not bad, 'each has one line in the access log: 499, aborted, and '
                    'the attempts so far', *bad)

    count = len(service.requests())
    time.sleep(PAUSE + 0.7)
    tap.equal(len(service.requests()), count, 'no attempt follows')
    crowd.close()
    tap.ok(worker.freed(), 'those end as well', worker.files(),
           worker.baseline)
    service.clear_faults()
    tap.ok(is_token(ask(nginx.port, request())), 'the next client is served')


def many(nginx, service, worker):
    """The same again and again."""
    rounds = 8 if sanitized() else 20
    sizes, bad = [], []

    # further attempts come from a quota, each region has its own
    moments = [moment for moment in MOMENTS if moment.attempts < 3]

    for number in range(1, rounds + 1):
        service.forget()
        crowd = Crowd(nginx, service, number, REGIONS[1 + number % 5],
                      moments)
        if number % 2:
            there = crowd.there()
        else:
            time.sleep(0.01 * (number % 5))   # wherever they are
            there = True
        more = crowd.leave()
        if not (there and worker.freed(3, more)):
            bad.append((number, there, worker.files(), worker.baseline))
        if number % 2:
            bad += crowd.logged()
        crowd.close()
        service.clear_faults()
        ask(nginx.port, request())
        sizes.append(rss(worker.pid))

    tap.ok(not bad, f'{rounds} times {len(crowd.members)} clients: all is '
                    'freed each time', *bad[:10])
    # freed memory stays in quarantine with AddressSanitizer
    bound = 200 * 1024 if sanitized() else 512
    grown = sizes[-1] - sizes[len(sizes) // 2]
    tap.ok(grown <= bound, f'the worker does not grow by more than {bound} kB',
           sizes)

    lines = [line for line in nginx.access_log() if ', ' in line['user']]
    tap.ok({(line['status'], line['result']) for line in lines} == {ABORTED},
           f'{len(lines)} lines, all aborted',
           *[line for line in lines
             if (line['status'], line['result']) != ABORTED][:10])


def neighbours(nginx, service, worker):
    """Streams of one connection: who stays is not touched by who leaves."""
    with Http2(nginx.h2port) as client:
        gone = []
        for moment in MOMENTS:
            user = f'neighbour, {moment.name}'
            service.faults(*[{**fault, 'user': user}
                             for fault in moment.faults])
            gone.append((user, client.open(
                f'{moment.target}?region={REGIONS[0]}', user)))
        stay = [client.open('/token?region=eu-west-1&room=fault-slow-1000',
                            f'stays {number}') for number in range(5)]
        wait_for(lambda: len([one for one in service.requests()
                              if str(one.get('user')).startswith('stays')])
                 == 5)
        for _, stream in gone:
            client.reset(stream)
        answers = client.wait(*stay)
        tokens = {answer.json()['token'] for answer in answers
                  if answer and is_token(answer)}
        tap.equal(len(tokens), 5, 'streams that stay get their tokens while '
                                  'others of the connection leave')
        found = [(line['status'], line['result']) for user, _ in gone
                 for line in lines_of(nginx, user)]
        tap.equal(found, [ABORTED] * len(MOMENTS), 'who left is logged once')
    service.clear_faults()
    tap.ok(worker.freed(), 'and nothing is left of them',
           worker.files(), worker.baseline)


def everywhere(service):
    """All moments but those of the rate and of credentials."""
    with Mute() as mute, BlackHole() as hole, DnsServer() as dns:
        dns.fail('dead.test', 'timeout')
        with Nginx(service, server=SERVER, http=HTTP % {
                'dns': dns.port, 'mute': mute.port,
                'hole': hole.port}) as nginx:
            # the socket of the resolver, the first place of limit_req
            with Client(nginx.port) as client:
                client.send(request('/dns'))
                wait_for(lambda: dns.count('dead.test') > 0)
            ask(nginx.port, request('/delayed'))
            ask(nginx.port, request())
            time.sleep(0.3)
            worker = Worker(nginx, service, mute, hole)

            attempt(tap, once, nginx, service, worker)
            attempt(tap, neighbours, nginx, service, worker)
            attempt(tap, many, nginx, service, worker)
            nginx.check(tap, 'everywhere')


# The rate


def queue(service):
    """Who leaves the queue of the rate gives the place to the next one."""
    with Nginx(service, workers=2, http=f"""
            ivschat_token_tries 3;
            ivschat_token_rate  1 burst=1 wait=30s;
            {UPSTREAMS}""") as nginx:
        before = sum(map(fds, nginx.workers()))
        for name, again in (('the queue', False),
                            ('the queue before a second attempt', True)):
            in_queue(nginx, service, name, again)
        tap.ok(wait_for(lambda: sum(map(fds, nginx.workers()))
                        - service.connections()['open'] <= before),
               'the queue: all files are closed',
               sum(map(fds, nginx.workers())), before)
        nginx.check(tap, 'the queue')


def in_queue(nginx, service, name, again):
    """One region, and so one queue, for each way to leave."""
    time.sleep(1.1)                    # every bucket is full again
    leavers, stayers = [], []

    for way, region in zip(Leaver.WAYS, REGIONS):
        target = f'/token?region={region}'
        user = f'{name}, {way}'
        if again:                      # takes the place, and needs another one
            service.faults({'fault': 'status-500', 'user': user})
        else:
            tap.ok(is_token(ask(nginx.port, request(target))),
                   f'{name}, {way}: somebody takes the place there is')
        leavers += [Leaver(nginx, way, target, user) for _ in range(
            1 if again else 3)]
    time.sleep(0.2)
    if again:
        wait_for(lambda: len(service.requests(code='InternalServerException'))
                 + len(service.requests(fault='status-500')) >= 6)

    for way, region in zip(Leaver.WAYS, REGIONS):
        client = Client(nginx.port)
        client.send(request(f'/token?region={region}', f'{name}, behind {way}'))
        stayers.append(client)
    time.sleep(0.1)
    for leaver in leavers:
        leaver.leave()

    for way, client in zip(Leaver.WAYS, stayers):
        answer = client.answer()
        client.close()
        line, = lines_of(nginx, f'{name}, behind {way}')
        # the next place comes within a second, one more a second later
        tap.ok(is_token(answer) and float(line['wait']) < 1 + 0.1 * slow(),
               f'{name}, {way}: the next one moves up', answer.status, line)

    expected = 1 if again else 0
    for way in Leaver.WAYS:
        user = f'{name}, {way}'
        count = 1 if again else 3
        wait_for(lambda: len(lines_of(nginx, user)) == count)
        lines = lines_of(nginx, user)
        tap.ok(len(lines) == count and all(
            (line['status'], line['result'], int(line['attempts']))
            == (*ABORTED, expected) for line in lines),
            f'{name}, {way}: logged as aborted', *lines)
        tap.equal(len(service.requests(user=user)), expected,
                  f'{name}, {way}: AWS is asked no more')
    for leaver in leavers:
        leaver.close()
    service.clear_faults()


# Credentials


def keys(service):
    """While credentials are fetched for the first time."""
    with Fakes(service) as fakes:
        fakes.faults('container', 'slow-2500')
        with Nginx(service, http='ivschat_token_tries 3;',
                   location='ivschat_token_credentials container;',
                   env=container_env(fakes)) as nginx:
            wait_for(lambda: fakes.requests(source='container'))
            before = fds(nginx.worker())
            service.forget()
            leavers = [Leaver(nginx, way, '/token', f'no keys, {way}')
                       for way in Leaver.WAYS]
            stay = Client(nginx.port)
            stay.send(request('/token', 'stays'))
            time.sleep(0.2)
            for leaver in leavers:
                leaver.leave()
            found = [(line['status'], line['result'], line['attempts'])
                     for leaver in leavers
                     for line in lines_of(nginx, leaver.user) or []]
            tap.equal(found, [(*ABORTED, '0')] * len(leavers),
                      'no credentials yet: who leaves is logged at once')
            for leaver in leavers:
                leaver.close()
            tap.ok(wait_for(lambda: fds(nginx.worker()) <= before + 1, 2),
                   'no credentials yet: their sockets are closed',
                   fds(nginx.worker()), before)
            tap.ok(is_token(stay.answer()), 'who stays gets a token when the '
                                            'credentials have come')
            stay.close()
            tap.equal([one['user'] for one in service.requests()], ['stays'],
                      'for the others AWS is not asked')
            nginx.check(tap, 'credentials')


def main():
    """All of it."""
    bounded(150)
    sans = [word for name in ('mute', 'hole', 'dead')
            for word in ('--san', f'{name}.test')]
    with Service(args=['--rate', 'off', *sans]) as service:
        for part in (everywhere, queue, keys):
            attempt(tap, part, service)
            service.clear_faults()
    tap.done()


main()
