#!/usr/bin/python3
"""Start a messaging edge for the local IVS Chat service's tokens.

It stands for edge.ivschat.<region>.amazonaws.com; docs/local-service.md
describes it.
"""

import argparse
import asyncio
import collections
import datetime
import itertools
import json
import os
import pathlib
import socket
import struct
import sys
import uuid
from urllib.parse import parse_qsl, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (AcceptConnection, BytesMessage, CloseConnection,
                            Ping, Pong, RejectConnection, RejectData,
                            Request, TextMessage)
from wsproto.utilities import RemoteProtocolError

from ivschat.control import ControlConnection
from ivschat_service import (allow_many_connections, wait_for_end,
                             write_atomically)

RESET_ON_CLOSE = struct.pack('ii', 1, 0)
MAX_CONTENT = 500                      # characters; a room's default at AWS
MAX_ATTRIBUTES = 1024                  # bytes
MAX_TEXT = 8192                        # bytes of a request
MAX_WRITE_BUFFER = 1024 * 1024         # who reads that slowly is dropped
EXPIRED = 'The connection has expired.'


class ChatError(Exception):
    """A request that is answered with an ERROR."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Redeemer:
    """Asks the service's control port about tokens, over one connection."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._where = parts.hostname, parts.port
        self._lock = asyncio.Lock()
        self._reader = self._writer = None

    async def redeem(self, token):
        """(contents, None), or (None, reason)."""
        body = json.dumps({'token': token}).encode()

        async with self._lock:
            try:
                status, value = await self._exchange(body)
            except (OSError, EOFError):
                self._writer = None                # the next one opens anew
                raise

        return (value, None) if status == 200 else (None, value['error'])

    async def _exchange(self, body):
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                *self._where)

        self._writer.write(b'POST /redeem HTTP/1.1\r\nHost: control\r\n'
                           b'Content-Length: %d\r\n\r\n' % len(body) + body)
        head = await self._reader.readuntil(b'\r\n\r\n')
        lines = head.decode('latin-1').split('\r\n')
        length = next(int(line.partition(':')[2]) for line in lines
                      if line.lower().startswith('content-length:'))
        return (int(lines[0].split()[1]),
                json.loads(await self._reader.readexactly(length)))


class Edge:
    """The connections, their rooms, and what was seen."""

    def __init__(self, redeemer, region, keep):
        self.redeemer = redeemer
        self.region = region
        self.longest_session = None
        self.counters = collections.Counter()
        self.connections = {}
        self.gone = collections.deque(maxlen=keep)
        self.messages = collections.deque(maxlen=keep)
        self._numbers = itertools.count(1)

    def number(self):
        """The next connection's."""
        return next(self._numbers)

    def count(self, what):
        """One more of these."""
        self.counters[what] += 1

    def in_room(self, room):
        """The connections that are joined to a room."""
        return [one for one in self.connections.values() if one.room == room]

    def broadcast(self, room, entity):
        """Send to everybody in a room, the sender too."""
        text = json.dumps(entity)
        for connection in self.in_room(room):
            connection.send(text)

    def find(self, filters):
        """The open connections that fit all of user, room and id."""
        return [one for one in list(self.connections.values())
                if all(one.info[name] == value
                       for name, value in filters.items())]


class Connection(asyncio.Protocol):
    """One WebSocket, from its handshake on."""

    def __init__(self, edge):
        self.edge = edge
        self.ws = WSConnection(ConnectionType.SERVER)
        self.transport = self.contents = self.room = None
        self.task = self.timer = None
        self.partial = ''
        self.info = {'id': edge.number(), 'user': None, 'room': None,
                     'opened': None, 'closed': None, 'why': None,
                     'requests': 0}

    def connection_made(self, transport):
        """A client has come; it has said nothing yet."""
        self.transport = transport
        transport.set_write_buffer_limits(high=MAX_WRITE_BUFFER)

    def connection_lost(self, exc):
        """It is gone, whoever ended it."""
        if self.task is not None:
            self.task.cancel()

        self._leave('lost')

    def pause_writing(self):
        """The client reads too slowly."""
        self.drop('slow')

    def data_received(self, data):
        """Bytes of the handshake, or of frames."""
        try:
            self.ws.receive_data(data)
            for event in self.ws.events():
                self._handle(event)
        except RemoteProtocolError as error:
            self.edge.count('protocol error')
            if error.event_hint is not None:
                self._write(error.event_hint)
            self.transport.close()

    def _handle(self, event):
        if isinstance(event, Request):
            self.task = asyncio.get_running_loop().create_task(
                self._join(event))
        elif isinstance(event, TextMessage):
            self._text(event)
        elif isinstance(event, Ping):
            self._write(event.response())
        elif isinstance(event, CloseConnection):
            self._closing(event)
        elif isinstance(event, BytesMessage):
            self.close(1003, 'binary data')
        elif not isinstance(event, Pong):
            raise RuntimeError(f'unexpected {event!r}')

    # The token

    async def _join(self, request):
        """Take the client in, when its token is good for that."""
        reason = await self._check(request)

        if self.transport.is_closing():
            return

        if reason is not None:
            self._refuse(reason)
            return

        self._write(AcceptConnection(subprotocol=request.subprotocols[0]))
        self.room = self.contents['roomIdentifier']
        self.info.update(user=self.contents['userId'], room=self.room,
                         opened=now_iso())
        self.edge.connections[self.info['id']] = self
        self.edge.count('joined')

        left = self.contents['session_ends'] - self.contents['now']
        if self.edge.longest_session is not None:
            left = min(left, self.edge.longest_session)
        self.timer = asyncio.get_running_loop().call_later(left, self.expire)

    async def _check(self, request):
        """Why the client is not let in, or None."""
        if urlsplit(request.target).path not in ('', '/'):
            return 'path'

        if len(request.subprotocols) != 1:
            return 'no token'

        try:
            self.contents, reason = await self.edge.redeemer.redeem(
                request.subprotocols[0])
        except (OSError, EOFError):
            return 'service'

        if reason is not None:
            return reason

        # Each region has an edge of its own.
        if self.contents['roomIdentifier'].split(':')[3] != self.edge.region:
            return 'region'

        if self.contents['now'] >= self.contents['session_ends']:
            return 'session'

        return None

    def _refuse(self, reason):
        self.edge.count(f'refused: {reason}')
        self.info['why'] = f'refused: {reason}'
        self.edge.gone.append(self.info)
        body = reason.encode()
        self._write(RejectConnection(
            status_code=403, has_body=True,
            headers=[(b'content-type', b'text/plain'),
                     (b'content-length', b'%d' % len(body))]))
        self._write(RejectData(data=body))
        self.transport.close()

    # Requests

    def _text(self, event):
        """A request, or a part of one."""
        if self.room is None:
            return

        self.partial += event.data

        if len(self.partial.encode()) > MAX_TEXT:
            self.close(1009, 'too large')
        elif event.message_finished:
            text, self.partial = self.partial, ''
            self._request(text)

    def _request(self, text):
        self.info['requests'] += 1
        request_id = None

        try:
            request = parse(text)
            request_id = request['RequestId']
            action = ACTIONS[request['Action']]

            if request['Action'] not in self.contents['capabilities']:
                raise ChatError(403, 'The connection\'s capabilities do not '
                                     'permit this action.')

            self.edge.count(request['Action'])
            action(self, request)
        except ChatError as error:
            self.edge.count(f'error {error.code}')
            self.send_error(error.code, str(error), request_id)

    def _send_message(self, request):
        content = field(request, 'Content')
        attributes = request.get('Attributes') or {}

        if not (isinstance(attributes, dict)
                and all(isinstance(value, str)
                        for value in attributes.values())):
            raise ChatError(400, 'Attributes is a map of strings.')

        size = sum(len((name + value).encode())
                   for name, value in attributes.items())
        if len(content) > MAX_CONTENT or size > MAX_ATTRIBUTES:
            raise ChatError(413, 'The message is too large.')

        sender = {'UserId': self.contents['userId'],
                  'Attributes': self.contents['attributes']}
        entity = {'Type': 'MESSAGE', 'Id': new_id(),
                  'RequestId': request['RequestId'], 'SendTime': now_iso(),
                  'Content': content, 'Attributes': attributes,
                  'Sender': sender}
        self.edge.messages.append({'room': self.room, **entity})
        self.edge.broadcast(self.room, entity)

    def _delete_message(self, request):
        self._event(request, 'aws:DELETE_MESSAGE',
                    {'MessageID': field(request, 'Id')})

    def _disconnect_user(self, request):
        user = field(request, 'UserId')
        self._event(request, 'aws:DISCONNECT_USER', {'UserId': user})

        for connection in self.edge.find({'room': self.room, 'user': user}):
            connection.close(1000, 'disconnected')

    def _event(self, request, name, attributes):
        if request.get('Reason') is not None:
            attributes['Reason'] = field(request, 'Reason')

        self.edge.broadcast(self.room, {
            'Type': 'EVENT', 'Id': new_id(), 'EventName': name,
            'RequestId': request['RequestId'], 'SendTime': now_iso(),
            'Attributes': attributes})

    # What goes out

    def send(self, text):
        """Send a text."""
        self._write(TextMessage(data=text))

    def send_error(self, code, message, request_id=None):
        """Send an ERROR."""
        error = {'Type': 'ERROR', 'Id': new_id(), 'ErrorCode': code,
                 'ErrorMessage': message}
        if request_id is not None:
            error['RequestId'] = request_id
        self.send(json.dumps(error))

    def expire(self):
        """The session's time is over."""
        self.edge.count('expired')
        self.send_error(401, EXPIRED)
        self.close(1000, 'expired')

    def close(self, code, reason):
        """End it as a WebSocket is ended: the client answers the close."""
        self._leave(reason)
        self._write(CloseConnection(code=code, reason=reason))
        asyncio.get_running_loop().call_later(2, self.transport.abort)

    def drop(self, reason='dropped'):
        """End it with a reset, as a network does that breaks."""
        self._leave(reason)
        sock = self.transport.get_extra_info('socket')
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()

    def _closing(self, event):
        if self.ws.state.name == 'REMOTE_CLOSING':
            self._write(event.response())
        self._leave('left')
        self.transport.close()

    def _leave(self, why):
        """It is in no room any more."""
        if self.timer is not None:
            self.timer.cancel()

        if self.edge.connections.pop(self.info['id'], None) is not None:
            self.room = None
            self.info['why'] = why
            self._over()

    def _over(self):
        self.info['closed'] = now_iso()
        self.edge.gone.append(self.info)
        self.edge.count('closed: ' + self.info['why'])

    def _write(self, event):
        if not self.transport.is_closing():
            self.transport.write(self.ws.send(event))


ACTIONS = {'SEND_MESSAGE': Connection._send_message,
           'DELETE_MESSAGE': Connection._delete_message,
           'DISCONNECT_USER': Connection._disconnect_user}


def parse(text):
    """A request; what is no request has no RequestId to answer to."""
    try:
        request = json.loads(text)
    except ValueError:
        raise ChatError(400, 'The request is not JSON.') from None

    if not isinstance(request, dict):
        raise ChatError(400, 'The request is no object.')

    field(request, 'RequestId')

    if request.get('Action') not in ACTIONS:
        raise ChatError(400, 'There is no such action.')

    return request


def field(request, name):
    """A member that is a text, and not empty."""
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise ChatError(400, f'{name} is missing, or no text.')
    return value


def new_id():
    """The id of a message, an event, or an error."""
    return str(uuid.uuid4())


def now_iso():
    """The present time as IVS writes it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(
        timespec='milliseconds').replace('+00:00', 'Z')


class Control:
    """The control port: what was seen, and faults."""

    def __init__(self, edge):
        self.edge = edge

    def handle(self, request):
        """(status, value) for a request."""
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query))
        name = f'{request.method} {parts.path}'

        try:
            body = json.loads(request.body) if request.body else {}
            return self._route(name, query, body)
        except (ValueError, TypeError, KeyError) as error:
            return 400, {'error': str(error)}

    def _route(self, name, query, body):
        edge = self.edge

        if name == 'GET /health':
            return 200, {'open': len(edge.connections), **edge.counters}

        if name == 'GET /connections':
            infos = [*edge.gone,
                     *(one.info for one in edge.connections.values())]
            return 200, [info for info in infos
                         if all(info[key] == value
                                for key, value in query.items())]

        if name == 'GET /messages':
            return 200, list(edge.messages)

        if name == 'PUT /config':
            seconds = body['longest_session']
            edge.longest_session = seconds and float(seconds)
            return 200, {'longest_session': edge.longest_session}

        ends = {'POST /drop': Connection.drop,
                'POST /expire': Connection.expire,
                'POST /close': lambda one: one.close(1000, 'closed')}

        if name not in ends:
            return 404, {'error': 'no such path or method'}

        found = edge.find(body)
        for connection in found:
            ends[name](connection)
        return 200, {'count': len(found)}


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--dir', required=True, type=pathlib.Path,
        help='where messaging.json is written')
    add('--service-control', required=True, metavar='URL',
        help='the control port of the local IVS Chat service')
    add('--port', type=int, default=0, help='WebSocket port (0: any)')
    add('--control-port', type=int, default=0, help='control port (0: any)')
    add('--region', default='us-west-2', help='whose rooms it serves')
    add('--keep', default=10000, type=int, metavar='N',
        help='how many closed connections and messages are remembered')
    add('--parent', type=int, metavar='PID',
        help='exit when this process is gone')
    return parser.parse_args()


async def main():
    """Run until told to stop."""
    options = parse_arguments()
    options.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = options.dir / 'messaging.json'
    path.unlink(missing_ok=True)
    allow_many_connections()

    edge = Edge(Redeemer(options.service_control), options.region,
                options.keep)
    loop = asyncio.get_running_loop()
    messaging = await loop.create_server(lambda: Connection(edge),
                                         '127.0.0.1', options.port,
                                         backlog=4096)
    control = await loop.create_server(
        lambda: ControlConnection(Control(edge)), '127.0.0.1',
        options.control_port)
    ports = [server.sockets[0].getsockname()[1]
             for server in (messaging, control)]

    write_atomically(path, {'pid': os.getpid(), 'port': ports[0],
                            'control_port': ports[1]})
    print(f'IVS Chat messaging at ws://127.0.0.1:{ports[0]}, control at '
          f'http://127.0.0.1:{ports[1]}', flush=True)

    await wait_for_end(options.parent)
    path.unlink(missing_ok=True)

    for server in (messaging, control):
        server.close()


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
