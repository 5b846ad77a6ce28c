"""The control port: plain HTTP and JSON, to look inside and to change."""

import asyncio
import json
from urllib.parse import parse_qsl, unquote, urlsplit

from .http1 import HttpError, Reader, connection_header, render_head
from .state import Credential

FILTERS = {'id', 'user', 'room', 'region', 'account', 'access_key', 'status',
           'code', 'fault', 'connection'}
CONFIG = {'rate', 'latency', 'clock_offset', 'token_lifetime', 'rooms',
          'credentials', 'remove_credentials', 'expire_credentials'}


class Control:
    """What each path and method does; a pair of status and value."""

    def __init__(self, service):
        self.service = service
        self.routes = {
            ('GET', '/health'): self.health,
            ('GET', '/requests'): self.requests,
            ('DELETE', '/requests'): self.forget_requests,
            ('GET', '/connections'): self.connections,
            ('GET', '/faults'): self.list_faults,
            ('POST', '/faults'): self.add_faults,
            ('DELETE', '/faults'): self.clear_faults,
            ('POST', '/redeem'): self.redeem,
            ('GET', '/config'): self.config,
            ('PUT', '/config'): self.configure,
        }

    def handle(self, request):
        """Answer a request; mistakes are explained."""
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))

        if request.method == 'GET' and parts.path.startswith('/tokens/'):
            return self.token(unquote(parts.path[len('/tokens/'):]))

        route = self.routes.get((request.method, parts.path))

        if route is None:
            return 404, {'error': 'no such path or method'}

        try:
            body = json.loads(request.body) if request.body else None
            return route(query, body)
        except (ValueError, TypeError) as error:
            return 400, {'error': str(error)}

    def health(self, _query, _body):
        """Alive, and how many requests had which end."""
        counters = self.service.journal.counters
        return 200, {'status': 'ok', 'requests': sum(counters.values()),
                     'by_code': counters}

    def requests(self, query, _body):
        """The requests that fit all filters."""
        limit = int(query.pop('limit', 0))
        unknown = set(query) - FILTERS

        if unknown:
            raise ValueError('no such filter: ' + ', '.join(sorted(unknown)))

        return 200, self.service.journal.requests(query, limit)

    def forget_requests(self, _query, _body):
        """Empty the journal."""
        self.service.journal.forget()
        return 204, None

    def connections(self, _query, _body):
        """Counters and connections."""
        return 200, self.service.journal.connections()

    def list_faults(self, _query, _body):
        """What is queued."""
        return 200, self.service.queue.list()

    def add_faults(self, _query, body):
        """Queue a fault, or a list of them."""
        for order in body if isinstance(body, list) else [body]:
            self.service.queue.add(order)
        return 204, None

    def clear_faults(self, _query, _body):
        """Forget what is queued."""
        self.service.queue.clear()
        return 204, None

    def token(self, token):
        """What a token carries."""
        contents = self.service.tokens.get(token)

        if contents is None:
            return 404, {'error': 'unknown'}

        return 200, contents

    def redeem(self, _query, body):
        """Use a token, as a chat connection would: once."""
        if not isinstance(body, dict) or set(body) != {'token'}:
            raise ValueError('the body is {"token": "..."}')

        now = self.service.now()
        contents, reason = self.service.tokens.redeem(body['token'], now)

        if contents is None:
            return 403, {'error': reason}

        return 200, {**contents, 'now': now}

    def config(self, _query, _body):
        """The settings in force; no secrets."""
        service = self.service
        return 200, {
            'rate': service.rates.rate, 'latency': service.latency,
            'clock_offset': service.clock_offset,
            'token_lifetime': service.token_lifetime,
            'rooms': service.rooms and sorted(service.rooms),
            'credentials': [
                {'key': known.key, 'account': known.account,
                 'session_token': known.token is not None,
                 'expires': known.expires,
                 'expired': known.is_expired(service.now())}
                for known in service.credentials.values()],
        }

    def configure(self, query, body):
        """Change settings while running."""
        if not isinstance(body, dict) or set(body) - CONFIG:
            raise ValueError('the settings are ' + ', '.join(sorted(CONFIG)))

        service = self.service

        for name in ('latency', 'clock_offset', 'token_lifetime'):
            if name in body:
                setattr(service, name, number(name, body[name]))

        if 'rate' in body:
            rate = body['rate']
            service.rates.set(rate and number('rate', rate))

        if 'rooms' in body:
            service.rooms = body['rooms'] and set(body['rooms'])

        self._change_credentials(body)
        return self.config(query, None)

    def _change_credentials(self, body):
        service = self.service

        for fields in body.get('credentials', []):
            service.add_credential(
                Credential.from_dict(fields, service.account))

        for key in body.get('expire_credentials', []):
            if key not in service.credentials:
                raise ValueError(f'no such key: {key}')
            service.credentials[key].expired = True

        for key in body.get('remove_credentials', []):
            service.credentials.pop(key, None)


def number(name, value):
    """A number, and not a text or a truth value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f'{name} is a number')
    return value


class ControlConnection(asyncio.Protocol):
    """One connection to the control port."""

    def __init__(self, control):
        self.control = control
        self.reader = Reader()
        self.transport = None

    def connection_made(self, transport):
        """A client has come."""
        self.transport = transport

    def data_received(self, data):
        """Answer every request that is complete."""
        self.reader.feed(data)

        try:
            while not self.transport.is_closing():
                request = self.reader.next_request()
                if request is None:
                    return
                self._answer(request)
        except HttpError as error:
            self.transport.write(render_head(
                error.status, [('Content-Length', 0),
                               ('Connection', 'close')]))
            self.transport.close()

    def _answer(self, request):
        status, value = self.control.handle(request)
        body = b'' if value is None else json.dumps(value).encode() + b'\n'
        headers = [connection_header(request)]

        if status != 204:
            headers += [('Content-Type', 'application/json'),
                        ('Content-Length', len(body))]

        self.transport.write(render_head(status, headers) + body)

        if not request.keep_alive:
            self.transport.close()


async def listen(service, port=0):
    """Open the control port on 127.0.0.1; (server, port)."""
    control = Control(service)
    server = await asyncio.get_running_loop().create_server(
        lambda: ControlConnection(control), '127.0.0.1', port)
    return server, server.sockets[0].getsockname()[1]
