"""A client that goes away, at every stage, leaves nothing behind."""

import time

import pytest

from nginx_testlib import (BlackHole, Client, Http2, Mute, Nginx, ask, chunked,
                           fds, in_parallel, is_token, request, rss,
                           sanitized, upstream, wait_for)

LOCATIONS = '''
    location = /crawling {
        ivschat_token /ivschat;
        limit_rate    100;
    }
'''

ABORTED = (499, 'aborted')
UNREAD = (400, 'aborted')              # nginx's own status for half a body
OK = (200, 'ok')
WAYS = {'close': Client.close, 'reset': Client.abort,
        'half-close': Client.half_close}
RATHER = 1.5                           # seconds: at once, on a busy machine
FINISHED = 7                           # an attempt in the background

NO_SYN = '/token?region=eu-west-1'
NO_TLS = '/token?region=eu-central-1'
SILENCE = '/token?room=fault-silence'

BEFORE_AWS = {
    'head': (request()[:60], None),
    'no byte of the body': (request(length=100), UNREAD),
    'body': (request(body=b'x' * 50, length=100), UNREAD),
    'chunked body': (chunked(body=b'x' * 50)[:-5], UNREAD),
    'chunk': (chunked(body=b'x' * 50)[:-20], UNREAD),
    'large body': (request(body=b'x' * 300000, length=400000), UNREAD),
    'AWS answers no SYN': (request(NO_SYN), ABORTED),
    'AWS says nothing': (request(NO_TLS), ABORTED),
}

# a fault, when to leave, and whether AWS's answer comes in time

IN_AWS = {
    'AWS is silent': ('silence', 0, False),
    'AWS is slow': ('slow-1500', 0, True),
    'AWS sends its head': ('drip-50', 0.3, False),
    'AWS pauses in its body': ('pause-1500', 0.1, True),
    'AWS drips its body': ('drip-1', 0.45, True),
}

STREAMS = {
    'no byte of the body': ('/token', b''),
    'body': ('/token', b'x' * 5000),
    'AWS answers no SYN': (NO_SYN, None),
    'AWS says nothing': (NO_TLS, None),
    'AWS is silent': (SILENCE, None),
    'AWS sends its head': ('/token?room=fault-drip-50', None),
    'AWS pauses in its body': ('/token?room=fault-pause-1500', None),
}

by_way = pytest.mark.parametrize('leave', WAYS.values(), ids=WAYS)


class Stages:
    """What must be as before when a client has left."""

    def __init__(self, nginx, service, mute):
        self.nginx, self.service, self.mute = nginx, service, mute
        self.worker = nginx.worker()
        self.idle = 16                 # kept-alive connections at most
        ask(nginx.port, request())
        time.sleep(0.3)
        self.baseline = self.own_fds()

    def open(self):
        """The connections that the service has."""
        return self.service.connections()['open']

    def own_fds(self):
        """The worker's open files without its connections to AWS."""
        return fds(self.worker) - self.open()

    def begin(self):
        """Before a client comes."""
        count = self.nginx.lines_so_far()
        self.idle = self.open()
        return count

    def asked(self):
        """How many requests AWS has seen."""
        return self.service.health()['requests']

    def freed(self, seconds=FINISHED):
        """Whether all is as it was: files, and connections to AWS."""
        return wait_for(lambda: self.own_fds() <= self.baseline
                        and self.open() <= max(self.idle, 16), seconds)

    def left(self):
        """How often a client left the service before its answer was out."""
        counters = self.service.connections()
        return counters['left_waiting'] + counters['half_closed']

    def must_be_free(self):
        """Nothing is left."""
        assert self.freed(), (
            f'files {self.own_fds()}, before {self.baseline}; connections '
            f'to AWS {self.open()}, before {self.idle}')

    def logged(self, since, count=1):
        """The access log's lines since then."""
        return [(line['status'], line['result'])
                for line in self.nginx.logged(since + count)[since:]]

    def must_be_logged(self, since, *expected):
        """All is freed, and these are the only lines since then."""
        self.must_be_free()
        assert self.logged(since, len(expected)) == [*expected]


@pytest.fixture(scope='module')
def stages(service):
    """One worker, so that its files can be counted."""
    with BlackHole() as hole, Mute() as mute, \
            Nginx(service, http=upstream('eu-west-1', hole.port)
                  + upstream('eu-central-1', mute.port),
                  server=LOCATIONS) as nginx:
        yield Stages(nginx, service, mute)
        nginx.check()


@by_way
@pytest.mark.parametrize('stage', BEFORE_AWS)
def test_before_aws_is_asked(stages, stage, leave):
    data, expected = BEFORE_AWS[stage]
    stages.service.forget()
    count = stages.begin()
    with Client(stages.nginx.port) as client:
        client.send(data)
        time.sleep(0.05)
        leave(client)
        stages.must_be_free()
        if expected is not None:
            assert stages.logged(count) == [expected]

    if stage == 'AWS says nothing':
        assert stages.mute.left(), 'the connection to AWS is closed'
    assert stages.service.requests() == []


@by_way
@pytest.mark.parametrize('stage', IN_AWS)
def test_while_aws_answers(stages, stage, leave):
    fault, delay, answered = IN_AWS[stage]
    count, asked, left = stages.begin(), stages.asked(), stages.left()
    with Client(stages.nginx.port) as client:
        client.send(request(f'/token?room=fault-{fault}'))
        wait_for(lambda: stages.asked() > asked)
        time.sleep(delay)
        leave(client)
        stages.must_be_logged(count, ABORTED)

    # the connection is kept if the answer has come
    time.sleep(0.05)
    assert (stages.left() == left) == answered


@pytest.mark.parametrize('way', ('close', 'reset', 'half-close',
                                 'RST_STREAM', 'end'))
def test_60_aborted_requests_need_one_connection(service, way):
    service.config(latency=100)
    with Nginx(service) as nginx:
        ask(nginx.port, request())
        opened = service.connections()['opened']
        for number in range(60 if way == 'close' else 10):
            if way in WAYS:
                client = Client(nginx.port)
                client.send(request(user=f'gone {number}'))
            else:
                client = Http2(nginx.h2port)
                stream = client.open('/token', f'gone {number}')
            wait_for(lambda: service.requests(user=f'gone {number}'))
            if way in WAYS:
                WAYS[way](client)
            elif way == 'RST_STREAM':
                client.reset(stream)
            else:
                client.sock.close()
            line, = nginx.lines_of(f'gone {number}')
            assert (line['status'], line['result']) == ABORTED
            assert float(line['time']) > 0.05
        assert service.connections()['opened'] <= opened + 1
        nginx.check()
    service.config(latency=0)


def test_another_request_was_sent_behind(stages):
    count, asked = stages.begin(), stages.asked()
    with Client(stages.nginx.port) as client:
        client.send(request(SILENCE, body=b'x') + request())
        wait_for(lambda: stages.asked() > asked)
    stages.must_be_logged(count, ABORTED)


@by_way
def test_while_the_answer_is_sent(stages, leave):
    """The token was minted by then."""
    ask(stages.nginx.port, request())  # one connection to AWS is kept
    time.sleep(0.05)
    count = stages.begin()
    with Client(stages.nginx.port) as client:
        client.send(request('/crawling?room=fault-long-token-8000'))
        client.sock.recv(20)
        leave(client)
        stages.must_be_logged(count, OK)


@pytest.mark.parametrize('stage', STREAMS)
def test_stream_is_reset(stages, stage):
    target, body = STREAMS[stage]
    with Http2(stages.nginx.h2port) as client:
        count = stages.begin()
        assert is_token(client.ask())
        stream = client.open(target, end=body is None)
        if body:
            client.send(stream, body)
        time.sleep(0.2)
        client.reset(stream)

        assert stages.logged(count, 2) in (
            [OK, ABORTED], [OK, ABORTED if body is None else UNREAD])
        assert is_token(client.ask()), 'the next stream is served'

    stages.must_be_free()
    if stage == 'AWS says nothing':
        assert stages.mute.left(), 'the connection to AWS is closed'


def test_connection_of_30_streams_is_closed(stages):
    count, asked = stages.begin(), stages.asked()
    with Http2(stages.nginx.h2port) as client:
        for number in range(30):
            client.open(SILENCE, f'stream {number}')
        wait_for(lambda: stages.asked() >= asked + 30)
    stages.must_be_logged(count, *[ABORTED] * 30)


def test_clients_who_stay_get_their_tokens(stages):
    def one(number):
        with Client(stages.nginx.port) as client:
            if number % 2:
                client.send(request('/token?room=fault-slow-300',
                                    f'leaves {number}'))
                time.sleep(0.1)
                return None
            return client.ask(request('/token?room=fault-slow-300',
                                      f'stays {number}'))

    answers = in_parallel(20, one)[::2]
    assert all(map(is_token, answers)), answers


def quick(number):
    """One of five requests, each of another user."""
    user = f'quick {number}'
    return (request(SILENCE, user), request(user=user),
            request(user=user, body=b'x' * 10, length=20),
            request(NO_SYN, user),
            request('/token?room=fault-slow-200', user))[number % 5]


def test_1000_quick_aborts(stages):
    nginx = stages.nginx
    pauses = [0, 0, 0.001, 0.003, 0.01]
    ways = [Client.close, Client.abort]

    def leave(count):
        for number in range(count):
            client = Client(nginx.port)
            client.send(quick(number))
            time.sleep(pauses[number // 5 % len(pauses)])
            ways[number % len(ways)](client)
        stages.freed(10)
        return rss(stages.worker)

    count = stages.begin()
    stages.idle = 16
    leave(700)                         # as many are in the background
    before = leave(700)
    after = leave(700)
    stages.must_be_free()
    # freed memory stays in quarantine with AddressSanitizer
    assert after - before <= (400 * 1024 if sanitized() else 512)

    results = {(line['status'], line['result'])
               for line in nginx.logged(count + 2100, 2)[count:]}
    assert ABORTED in results and results <= {ABORTED, UNREAD, OK}
    assert is_token(ask(nginx.port, request()))
