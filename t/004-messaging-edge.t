#!/usr/bin/python3
"""The messaging edge is as strict as the tests of the SDK need it to be."""

import json
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from wsproto import ConnectionType, WSConnection
from wsproto.events import (AcceptConnection, CloseConnection, RejectData,
                            RejectConnection, Request, TextMessage)

from ivschat_testlib import (MessagingEdge, Service, Tap, exchange, render,
                             room, sign, token_body)
from nginx_testlib import attempt, bounded, slow, wait_for

tap = Tap()

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


def message(text='hello', **changes):
    """A request to send a message."""
    return {'Action': 'SEND_MESSAGE', 'RequestId': 'r1', 'Content': text,
            **changes}


def tokens(bench):
    """Which tokens are taken."""
    token = bench.token()
    with Chat(bench.edge, token) as chat:
        tap.ok(isinstance(chat.first, AcceptConnection)
               and chat.first.subprotocol == token,
               'a token is taken, and named as the protocol', chat.first)

    late = bench.token()
    bench.service.config(clock_offset=3601)
    over = Chat(bench.edge, late)
    bench.service.config(clock_offset=0)

    bench.service.config(token_lifetime=7200)
    ended = bench.token(minutes=1)
    bench.service.config(token_lifetime=3600, clock_offset=61)
    session = Chat(bench.edge, ended)
    bench.service.config(clock_offset=0)

    for why, chat in (
            ('used', Chat(bench.edge, token)),
            ('unknown', Chat(bench.edge, 'made-up')),
            ('expired', over), ('session', session),
            ('no token', Chat(bench.edge)),
            ('no token', Chat(bench.edge, bench.token(), bench.token())),
            ('path', Chat(bench.edge, bench.token(), target='/chat')),
            ('region', bench.chat(region='eu-west-1'))):
        tap.equal(chat.refusal, (403, why.encode()), f'refused: {why}')
        chat.sock.close()

    health = bench.edge.health()
    tap.equal((health['refused: used'], health['refused: no token'],
               health['joined']), (1, 2, 1), 'and counted')
    tap.ok(token not in json.dumps(bench.edge.connections()),
           'no token is shown')


def requests(bench):
    """Which requests are taken."""
    with bench.chat('bob', ALL) as bob, bench.chat('eve') as eve, \
            bench.chat('far', ALL, room_id='two') as far:
        sent = bob.ask(message('hi ☃', Attributes={'a': 'b'}))
        tap.equal({name: sent[name] for name in sent
                   if name not in ('Id', 'SendTime')},
                  {'Type': 'MESSAGE', 'RequestId': 'r1', 'Content': 'hi ☃',
                   'Attributes': {'a': 'b'},
                   'Sender': {'UserId': 'bob',
                              'Attributes': {'displayName': 'Bob'}}},
                  'a message has what it was sent with, and its sender')
        tap.equal(eve.hear(), sent, 'the room gets it')

        for name, request, code in (
                ('no JSON', 'hello', 400), ('a list', [], 400),
                ('no RequestId', message(RequestId=None), 400),
                ('no action', message(Action='BAN'), 400),
                ('no content', message(''), 400),
                ('a number for attributes', message(Attributes={'a': 1}),
                 400),
                ('501 characters', message('x' * 501), 413),
                ('no message to delete',
                 {'Action': 'DELETE_MESSAGE', 'RequestId': 'r1'}, 400)):
            answer = bob.ask(request)
            tap.equal((answer['Type'], answer['ErrorCode'],
                       answer.get('RequestId')),
                      ('ERROR', code, None if name in
                       ('no JSON', 'a list', 'no RequestId', 'no action')
                       else 'r1'), f'refused: {name}')

        for action in ALL:
            answer = eve.ask({'Action': action, 'RequestId': 'r2', 'Id': 'x',
                              'Content': 'x', 'UserId': 'bob'})
            tap.equal((answer['ErrorCode'], answer['RequestId']),
                      (403, 'r2'), f'refused without {action}')

        bob.say({'Action': 'DELETE_MESSAGE', 'RequestId': 'r3',
                 'Id': sent['Id'], 'Reason': 'why'})
        event = eve.hear()
        tap.equal((event['Type'], event['EventName'], event['Attributes'],
                   bob.hear() == event),
                  ('EVENT', 'aws:DELETE_MESSAGE',
                   {'MessageID': sent['Id'], 'Reason': 'why'}, True),
                  'a message is deleted')

        bob.say({'Action': 'DISCONNECT_USER', 'RequestId': 'r4',
                 'UserId': 'eve'})
        event = eve.hear()
        tap.equal((event['EventName'], event['Attributes'], eve.hear(),
                   bob.hear() == event),
                  ('aws:DISCONNECT_USER', {'UserId': 'eve'},
                   ('closed', 1000), True), 'a user is disconnected')

        tap.equal(far.ask(message('other room'))['Content'], 'other room',
                  'another room has got nothing of this')
        tap.equal(bob.ask('x' * 9000), ('closed', 1009),
                  'a request that is too large ends the connection')


def ends(bench):
    """How connections end."""
    tap.ok(wait_for(lambda: bench.edge.health()['open'] == 0),
           'who has left is not there any more', bench.edge.connections())

    with bench.chat('dora') as dora:
        tap.equal(bench.edge.drop(user='dora'), 1, 'a connection is dropped')
        try:
            dora.hear()
            tap.ok(False, 'by a reset')
        except ConnectionResetError:
            tap.ok(True, 'by a reset')

    bench.edge.config(longest_session=0.2)
    with bench.chat('fred') as fred:
        error = fred.hear()
        tap.equal((error['Type'], error['ErrorCode'], 'RequestId' in error,
                   fred.hear()), ('ERROR', 401, False, ('closed', 1000)),
                  'a session ends with the error 401')
    bench.edge.config(longest_session=None)
    tap.equal([bench.edge.connections(user=user)[-1]['why']
               for user in ('dora', 'fred')], ['dropped', 'expired'],
              'the reasons are told')


def main():
    """One service, one edge."""
    bounded(60)
    with Service(args=['--rate', 'off']) as service, \
            MessagingEdge(service) as edge:
        bench = Bench(service, edge)
        for part in (tokens, requests, ends):
            attempt(tap, part, bench)
    tap.equal(edge.exit_status, 0, 'SIGTERM ends the edge')
    tap.done()


if __name__ == '__main__':
    main()
