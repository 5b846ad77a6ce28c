"""A client that leaves while its request waits: for a place in the rate, in
the pause between attempts, in a later attempt, and wherever the network fails.

test_abort.py has the stages of a single attempt; here is what retries, the
rate and other waits add to them, side by side and many times.
"""

import time
from collections import Counter

import pytest

from dns_server import DnsServer
from ivschat_testlib import Fakes
from nginx_testlib import (BlackHole, Client, Http2, Mute, Nginx, ask,
                           container_env, fds, is_token, no_keepalive,
                           request, rss, sanitized, slow, sockets, upstream,
                           wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

SERVICE = ['--rate', 'off', '--san', 'mute.test', '--san', 'hole.test',
           '--san', 'dead.test']
REGIONS = ('ap-northeast-1', 'ap-northeast-2', 'ap-south-1', 'eu-central-1',
           'eu-west-1', 'us-east-1')
ABORTED = (499, 'aborted')
PAUSE = 1.5                            # seconds between attempts

UPSTREAMS = ''.join(upstream(region, more=no_keepalive())
                    for region in REGIONS)

HTTP = '''
    ivschat_token_tries   3;
    ivschat_token_timeout 3s;          # an attempt is finished before it
    ivschat_token_rate    off;
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
        if self.way == 'reset':
            self.client.abort()
        elif self.way == 'half-close':
            self.client.half_close()
        elif self.way == 'RST_STREAM':
            self.client.reset(self.stream)
        else:
            if self.way == 'GOAWAY':
                self.client.conn.close_connection()
                self.client.flush()
            self.close()

    def close(self):
        """Whatever is left of it."""
        self.client.sock.close()


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

        def seen():
            found = Counter(one.get('user') for one in self.service.requests())
            return {user: found[user] for user in expected}

        return wait_for(lambda: seen() == expected)

    def leave(self):
        """All of them go; the number of connections that stay open."""
        for _, leaver in self.members:
            leaver.leave()
        return sum(leaver.way == 'RST_STREAM' for _, leaver in self.members)

    def close(self):
        """What is open still."""
        for _, leaver in self.members:
            leaver.close()

    def wrong_lines(self):
        """What is wrong with their lines in the access log: one for each."""
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
    """An nginx, and what of its worker has to be as before."""

    def __init__(self, nginx, service, mute, hole):
        self.nginx, self.service = nginx, service
        self.pid = nginx.worker()
        self.ports = (mute.port, hole.port)
        self.baseline = self.files()

    def open(self):
        """The connections that AWS has."""
        return self.service.connections()['open']

    def files(self):
        """Open files without the connections to AWS, which may be kept."""
        return fds(self.pid) - self.open()

    def freed(self, seconds=5, more=0):
        """Whether all is as it was, but for so many files more, soon."""
        return wait_for(
            lambda: self.files() <= self.baseline + more and self.open() <= 16
            and not any(sockets(self.pid, port) for port in self.ports),
            seconds)

    def left(self):
        """How many connections AWS was left on while it had the word."""
        return sum(one['left_waiting'] or one['half_closed']
                   for one in self.service.connections()['connections'])

    def __repr__(self):
        return (f'{self.files()} files, before {self.baseline}; {self.open()} '
                'connections to AWS')


@pytest.fixture(scope='module')
def worker(service):
    """Of an nginx for all moments but those of the rate and credentials."""
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
            yield Worker(nginx, service, mute, hole)
            nginx.check()


def test_one_of_each(worker, service):
    crowd = Crowd(worker.nginx, service, 0, REGIONS[0])
    assert crowd.there(), service.requests()
    time.sleep(0.1)
    expected = worker.left() + sum(moment.left for moment, _ in crowd.members)
    more = crowd.leave()

    # sockets and files are as before, but for the connections of HTTP/2
    # that live on
    assert worker.freed(more=more), worker
    # AWS sees its connections end where its answer does not come in time
    assert wait_for(lambda: worker.left() >= expected, 5)
    assert worker.left() == expected
    assert crowd.wrong_lines() == []

    count = len(service.requests())
    time.sleep(PAUSE + 0.7)
    assert len(service.requests()) == count, 'no attempt follows'
    crowd.close()
    assert worker.freed(), worker
    service.clear_faults()
    assert is_token(ask(worker.nginx.port, request()))


def test_streams_of_one_connection(worker, service):
    """Who stays is not touched by who leaves."""
    nginx = worker.nginx
    with Http2(nginx.h2port) as client:
        gone = {}
        for moment in MOMENTS:
            user = f'neighbour, {moment.name}'
            service.faults(*[{**fault, 'user': user}
                             for fault in moment.faults])
            gone[user] = client.open(f'{moment.target}?region={REGIONS[0]}',
                                     user)
        stay = [client.open('/token?region=eu-west-1&room=fault-slow-1000',
                            f'stays {number}') for number in range(5)]
        wait_for(lambda: sum(str(one.get('user')).startswith('stays')
                             for one in service.requests()) == 5)
        for stream in gone.values():
            client.reset(stream)
        answers = client.wait(*stay)
        assert all(map(is_token, answers)), answers
        assert len({answer.json()['token'] for answer in answers}) == 5
        assert [(line['status'], line['result']) for user in gone
                for line in nginx.lines_of(user)] == [ABORTED] * len(MOMENTS)
    assert worker.freed(), worker


def test_many_times(worker, service):
    nginx = worker.nginx
    rounds = 8 if sanitized() else 16
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
        if not (there and worker.freed(5, more)):
            bad.append((number, there, str(worker)))
        if number % 2:
            bad += crowd.wrong_lines()
        crowd.close()
        service.clear_faults()
        ask(nginx.port, request())
        sizes.append(rss(worker.pid))

    assert not bad, bad[:10]
    # freed memory stays in quarantine with AddressSanitizer
    bound = 200 * 1024 if sanitized() else 512
    assert sizes[-1] - sizes[len(sizes) // 2] <= bound, sizes

    assert {(line['status'], line['result']) for line in nginx.access_log()
            if ', ' in line['user']} == {ABORTED}


# The rate


@pytest.fixture(scope='module')
def rated(service):
    """An nginx with one place, and the next one a second later."""
    with Nginx(service, workers=2, http=f"""
            ivschat_token_tries 3;
            ivschat_token_rate  1 burst=1 wait=30s;
            {UPSTREAMS}""") as nginx:
        yield nginx
        nginx.check()


@pytest.mark.parametrize('again', (False, True),
                         ids=('first attempt', 'second attempt'))
def test_place_in_the_queue(rated, service, again):
    """Who leaves gives the place to the next one.

    One region, and so one queue, for each way to leave.
    """
    time.sleep(1.1)                    # every bucket is full again
    before = sum(map(fds, rated.workers())) - service.connections()['open']
    count, attempts = (1, 1) if again else (3, 0)
    leavers, stayers = [], []

    for way, region in zip(Leaver.WAYS, REGIONS):
        target = f'/token?region={region}'
        user = f'{again}, {way}'
        if again:                      # takes the place, and needs another one
            service.faults({'fault': 'status-500', 'user': user})
        else:                          # somebody takes the place there is
            assert is_token(ask(rated.port, request(target)))
        leavers += [Leaver(rated, way, target, user) for _ in range(count)]
    time.sleep(0.2)
    if again:
        wait_for(lambda: len(service.requests(fault='status-500')) >= 6)

    for way, region in zip(Leaver.WAYS, REGIONS):
        stayers.append(Client(rated.port))
        stayers[-1].send(request(f'/token?region={region}',
                                 f'{again}, behind {way}'))
    time.sleep(0.1)
    for leaver in leavers:
        leaver.leave()

    for way, client in zip(Leaver.WAYS, stayers):
        with client:
            assert is_token(client.answer())
        line, = rated.lines_of(f'{again}, behind {way}')
        # the next place comes within a second, one more a second later
        assert float(line['wait']) < 1 + 0.1 * slow()

    for way in Leaver.WAYS:
        user = f'{again}, {way}'
        assert [(line['status'], line['result'], int(line['attempts']))
                for line in rated.lines_of(user, count)] == [
                    (*ABORTED, attempts)] * count
        assert len(service.requests(user=user)) == attempts
    for leaver in leavers:
        leaver.close()
    assert wait_for(lambda: sum(map(fds, rated.workers()))
                    - service.connections()['open'] <= before), \
        'all files are closed'


# Credentials


def test_no_credentials_yet(service):
    with Fakes(service) as fakes:
        fakes.faults('container', 'slow-2500')
        with Nginx(service, http='ivschat_token_tries 3;',
                   location='ivschat_token_credentials container;',
                   env=container_env(fakes)) as nginx:
            wait_for(lambda: fakes.requests(source='container'))
            before = fds(nginx.worker())
            leavers = [Leaver(nginx, way, '/token', f'no keys, {way}')
                       for way in Leaver.WAYS]
            with Client(nginx.port) as stay:
                stay.send(request('/token', 'stays'))
                time.sleep(0.2)
                for leaver in leavers:
                    leaver.leave()
                found = [(line['status'], line['result'], line['attempts'])
                         for leaver in leavers
                         for line in nginx.lines_of(leaver.user)]
                assert found == [(*ABORTED, '0')] * len(leavers)
                for leaver in leavers:
                    leaver.close()
                assert wait_for(lambda: fds(nginx.worker()) <= before + 1, 2)
                assert is_token(stay.answer())
            assert [one['user'] for one in service.requests()] == ['stays']
            nginx.check()
