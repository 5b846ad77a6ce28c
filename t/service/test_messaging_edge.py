"""The messaging edge is as strict as the tests of the SDK need it to be."""

import json
import socket

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (AcceptConnection, CloseConnection, RejectData,
                            RejectConnection, Request, TextMessage)

from ivschat_testlib import (MessagingEdge, Service, exchange, render, room,
                             sign, token_body)
from nginx_testlib import slow, wait_for

pytestmark = pytest.mark.timeout(60)

ALL = ['SEND_MESSAGE', 'DELETE_MESSAGE', 'DISCONNECT_USER']


class Chat:
    """A WebSocket to the edge."""

    def __init__(self, edge, *tokens, target='/'):
        self.sock = socket.create_connection(('127.0.0.1', edge.port),
                                             20 * slow())
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events = []
        self._send(Request(host='edge', target=target,
                           subprotocols=list(tokens)))
        self.first = self._next()
        self.refusal = None
        if isinstance(self.first, RejectConnection):
            self.refusal = self.first.status_code, bytes(self._next().data)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.sock.close()

    def _send(self, event):
        self.sock.sendall(self.ws.send(event))

    def _next(self):
        while not self.events:
            data = self.sock.recv(65536)
            self.ws.receive_data(data or None)
            self.events.extend(event for event in self.ws.events()
                               if not (isinstance(event, RejectData)
                                       and not event.data))
        return self.events.pop(0)

    def say(self, value):
        """Send a request, or a text that is none."""
        self._send(TextMessage(data=value if isinstance(value, str)
                               else json.dumps(value)))

    def hear(self):
        """The next entity; ('closed', code) at the end."""
        event = self._next()
        if isinstance(event, CloseConnection):
            return 'closed', event.code
        return json.loads(event.data)

    def ask(self, value):
        """Say, and hear."""
        self.say(value)
        return self.hear()


class Bench:
    """A service and an edge, and tokens of the one for the other."""

    def __init__(self, service, edge):
        self.service, self.edge = service, edge

    def token(self, user='alice', capabilities=(), room_id='one',
              region='us-west-2', minutes=None):
        """A token."""
        body = token_body(userId=user, capabilities=list(capabilities),
                          roomIdentifier=room(room_id, region),
                          attributes={'displayName': user.title()},
                          sessionDurationInMinutes=minutes)
        host = f'ivschat.{region}.amazonaws.com'
        with self.service.connect() as sock:
            return exchange(sock, render(body, sign(
                body, host, region=region))).json()['token']

    def chat(self, *arguments, **options):
        """A connection with a token of its own."""
        return Chat(self.edge, self.token(*arguments, **options))


@pytest.fixture(scope='module')
def bench():
    """One service, one edge."""
    with Service(args=['--rate', 'off']) as service, \
            MessagingEdge(service) as edge:
        yield Bench(service, edge)
    assert edge.exit_status == 0


def message(text='hello', **changes):
    """A request to send a message."""
    return {'Action': 'SEND_MESSAGE', 'RequestId': 'r1', 'Content': text,
            **changes}


def test_token(bench):
    """A token is taken, once, and named as the protocol; it is not shown."""
    token = bench.token()
    with Chat(bench.edge, token) as chat:
        assert isinstance(chat.first, AcceptConnection)
        assert chat.first.subprotocol == token

    with Chat(bench.edge, token) as chat:
        assert chat.refusal == (403, b'used')
    assert bench.edge.health()['refused: used'] == 1
    assert token not in json.dumps(bench.edge.connections())


def expired(bench):
    """With a token after its time."""
    token = bench.token()
    bench.service.config(clock_offset=3601)
    return Chat(bench.edge, token)


def ended(bench):
    """With a token whose session is over."""
    bench.service.config(token_lifetime=7200)
    token = bench.token(minutes=1)
    bench.service.config(clock_offset=61)
    return Chat(bench.edge, token)


@pytest.mark.parametrize('why, connect', [
    ('unknown', lambda bench: Chat(bench.edge, 'made-up')),
    ('expired', expired),
    ('session', ended),
    ('no token', lambda bench: Chat(bench.edge)),
    ('no token', lambda bench: Chat(bench.edge, bench.token(),
                                    bench.token())),
    ('path', lambda bench: Chat(bench.edge, bench.token(), target='/chat')),
    ('region', lambda bench: bench.chat(region='eu-west-1'))])
def test_token_is_refused(bench, why, connect):
    """Other tokens are refused, and counted."""
    before = bench.edge.health()
    with connect(bench) as chat:
        bench.service.config(clock_offset=0, token_lifetime=3600)
        assert chat.refusal == (403, why.encode())

    health, counter = bench.edge.health(), f'refused: {why}'
    assert health[counter] == before.get(counter, 0) + 1
    assert health.get('joined') == before.get('joined')


def test_message(bench):
    """A message has what it was sent with; the room gets it, no other."""
    with bench.chat('bob', ALL) as bob, bench.chat('eve') as eve, \
            bench.chat('far', ALL, room_id='two') as far:
        sent = bob.ask(message('hi ☃', Attributes={'a': 'b'}))
        assert {name: sent[name] for name in sent
                if name not in ('Id', 'SendTime')} == {
            'Type': 'MESSAGE', 'RequestId': 'r1', 'Content': 'hi ☃',
            'Attributes': {'a': 'b'},
            'Sender': {'UserId': 'bob',
                       'Attributes': {'displayName': 'Bob'}}}
        assert eve.hear() == sent
        assert far.ask(message('other room'))['Content'] == 'other room'


@pytest.mark.parametrize('request_, code, request_id', [
    pytest.param('hello', 400, None, id='no JSON'),
    pytest.param([], 400, None, id='a list'),
    pytest.param(message(RequestId=None), 400, None, id='no RequestId'),
    pytest.param(message(Action='BAN'), 400, None, id='no action'),
    pytest.param(message(''), 400, 'r1', id='no content'),
    pytest.param(message(Attributes={'a': 1}), 400, 'r1',
                 id='a number for attributes'),
    pytest.param(message('x' * 501), 413, 'r1', id='501 characters'),
    pytest.param({'Action': 'DELETE_MESSAGE', 'RequestId': 'r1'}, 400, 'r1',
                 id='no message to delete')])
def test_request_is_refused(bench, request_, code, request_id):
    """A request that is wrong is an error of the request."""
    with bench.chat('bob', ALL) as bob:
        answer = bob.ask(request_)
        assert (answer['Type'], answer['ErrorCode'],
                answer.get('RequestId')) == ('ERROR', code, request_id)


@pytest.mark.parametrize('action', ALL)
def test_capability(bench, action):
    """Without the capability, a request is refused."""
    with bench.chat('eve') as eve:
        answer = eve.ask({'Action': action, 'RequestId': 'r2', 'Id': 'x',
                          'Content': 'x', 'UserId': 'bob'})
        assert (answer['ErrorCode'], answer['RequestId']) == (403, 'r2')


def test_moderation(bench):
    """A message is deleted, and a user disconnected: the room is told."""
    with bench.chat('bob', ALL) as bob, bench.chat('eve') as eve, \
            bench.chat('far', ALL, room_id='two') as far:
        bob.say({'Action': 'DELETE_MESSAGE', 'RequestId': 'r3', 'Id': 'm1',
                 'Reason': 'why'})
        event = eve.hear()
        assert event['Type'] == 'EVENT'
        assert event['EventName'] == 'aws:DELETE_MESSAGE'
        assert event['Attributes'] == {'MessageID': 'm1', 'Reason': 'why'}
        assert bob.hear() == event

        bob.say({'Action': 'DISCONNECT_USER', 'RequestId': 'r4',
                 'UserId': 'eve'})
        event = eve.hear()
        assert event['EventName'] == 'aws:DISCONNECT_USER'
        assert event['Attributes'] == {'UserId': 'eve'}
        assert eve.hear() == ('closed', 1000)
        assert bob.hear() == event

        assert far.ask(message('other room'))['Content'] == 'other room'


def test_large_request(bench):
    """A request that is too large ends the connection."""
    with bench.chat('bob', ALL) as bob:
        assert bob.ask('x' * 9000) == ('closed', 1009)


def test_leave(bench):
    """Who has left is not there any more."""
    with bench.chat('carl'):
        assert bench.edge.health()['open'] > 0
    assert wait_for(lambda: bench.edge.health()['open'] == 0), (
        bench.edge.connections())


def test_drop(bench):
    """A connection is dropped, by a reset; the reason is told."""
    with bench.chat('dora') as dora:
        assert bench.edge.drop(user='dora') == 1
        with pytest.raises(ConnectionResetError):
            dora.hear()
    assert bench.edge.connections(user='dora')[-1]['why'] == 'dropped'


def test_session_ends(bench):
    """A session ends with the error 401; the reason is told."""
    bench.edge.config(longest_session=0.2)
    with bench.chat('fred') as fred:
        error = fred.hear()
        assert (error['Type'], error['ErrorCode']) == ('ERROR', 401)
        assert 'RequestId' not in error
        assert fred.hear() == ('closed', 1000)
    bench.edge.config(longest_session=None)
    assert bench.edge.connections(user='fred')[-1]['why'] == 'expired'
