"""Helpers for Python tests: the local service, signed requests."""

import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from urllib.parse import quote, urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PROGRAMS = pathlib.Path(__file__).resolve().parents[1] / 'service'
KEY = 'AKIDEXAMPLE'
SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
REGION = 'us-west-2'
START_TIMEOUT = 30


class Program:
    """A program of t/service as a context manager.

    It is ready when it has written FILE, which says where it listens.
    Without dir, a temporary directory is made and removed again.
    """

    NAME = FILE = None

    def __init__(self, dir=None, args=()):
        self._temporary = dir is None
        self.dir = pathlib.Path(dir or tempfile.mkdtemp(prefix='ivschat.'))
        self._args = [str(arg) for arg in args]
        self._process = self.exit_status = None
        self.port = self.control_port = None

    def __enter__(self):
        path = self.dir / self.FILE
        path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ['/usr/bin/python3', str(PROGRAMS / self.NAME),
             '--dir', str(self.dir), '--parent', str(os.getpid()),
             *self._args], stdout=subprocess.DEVNULL)

        try:
            self._wait_for(path)
            self._ready(json.loads(path.read_text('utf-8')))
        except BaseException:
            self.__exit__()
            raise

        return self

    def _wait_for(self, path):
        deadline = time.monotonic() + START_TIMEOUT

        while not path.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f'{self.NAME} did not start')
            if time.monotonic() > deadline:
                raise RuntimeError(f'{self.NAME} is not ready')
            time.sleep(0.02)

    def _ready(self, ports):
        self.port, self.control_port = ports['port'], ports['control_port']

    def __exit__(self, *_exception):
        self._process.terminate()
        self.exit_status = self._process.wait(10)

        if self._temporary:
            shutil.rmtree(self.dir)

    @property
    def pid(self):
        """Its process."""
        return self._process.pid

    def control(self, method, path, value=None):
        """(status, value) from the control port."""
        connection = http.client.HTTPConnection('127.0.0.1',
                                                self.control_port, timeout=20)
        body = None if value is None else json.dumps(value)
        connection.request(method, path, body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, json.loads(data) if data else None

    def _must(self, method, path, value=None):
        status, answer = self.control(method, path, value)

        if status >= 300:
            raise RuntimeError(f'{method} {path}: {status} {answer}')

        return answer


class Service(Program):
    """The local IVS Chat service."""

    NAME, FILE = 'ivschat_service.py', 'ports.json'

    def __init__(self, dir=None, args=()):
        super().__init__(dir, args)
        self.ca = None
        self.bad_tls = {}

    def _ready(self, ports):
        super()._ready(ports)
        self.ca, self.bad_tls = ports['ca'], ports['bad_tls']

    def requests(self, **filters):
        """The requests that the service saw (user=, room=, code=, …)."""
        return self._must('GET', '/requests?' + urlencode(filters))

    def forget(self):
        """Empty the list of requests."""
        self._must('DELETE', '/requests')

    def connections(self):
        """The connections that the service saw."""
        return self._must('GET', '/connections')

    def faults(self, *orders):
        """Queue faults: texts, or dicts with fault, count, room, …"""
        self._must('POST', '/faults', [
            order if isinstance(order, dict) else {'fault': order}
            for order in orders])

    def clear_faults(self):
        """Forget the queued faults."""
        self._must('DELETE', '/faults')

    def config(self, **changes):
        """Change settings, or just read them."""
        if not changes:
            return self._must('GET', '/config')
        return self._must('PUT', '/config', changes)

    def health(self):
        """Counters by code."""
        return self._must('GET', '/health')

    def token(self, token):
        """(status, contents) of a minted token."""
        return self.control('GET', '/tokens/' + quote(token, safe=''))

    def redeem(self, token):
        """(status, contents or error) of using a token."""
        return self.control('POST', '/redeem', {'token': token})

    def connect(self, port=None, server_hostname='localhost', timeout=10):
        """A TLS connection that trusts the service's CA only."""
        context = ssl.create_default_context(cafile=self.ca)
        plain = socket.create_connection(
            ('127.0.0.1', port or self.port), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=server_hostname,
                                   suppress_ragged_eofs=False)


class Fakes(Service):
    """The fakes of AWS's sources of credentials.

    What they issue is made known to the service, whose directory, and so its
    CA, they share.  Without one, dir is the directory, or a temporary one is
    made and removed again.
    """

    NAME, FILE = 'aws_fakes.py', 'fakes.json'

    def __init__(self, service=None, dir=None, args=()):
        if service is not None:
            dir = dir or service.dir
            args = ['--service-control',
                    f'http://127.0.0.1:{service.control_port}', *args]

        super().__init__(dir, args)
        self.imds = self.container = self.sts = self.sts_ca = None
        self.urls = {}

    def _ready(self, urls):
        self.urls = urls
        self.imds, self.container = urls['imds'], urls['container']
        self.sts, self.bad_tls = urls['sts'], urls['bad_tls']
        self.ca = self.sts_ca = urls['sts_ca']
        self.port = urlsplit(self.sts).port
        self.control_port = urlsplit(urls['control']).port

    def faults(self, source, *names, **order):
        """Queue faults of a source; count=, step=, role=, after=, every=."""
        self._must('POST', '/faults', [
            {'source': source, 'fault': name, **order} for name in names])

    def clear_faults(self, source=None):
        """Forget the queued faults, of one source or all."""
        self._must('DELETE', '/faults' + (f'?source={source}' if source
                                          else ''))

    def counters(self):
        """How often what was asked for, by source."""
        return self._must('GET', '/counters')

    def issued(self):
        """The credentials handed out since the last forget()."""
        return self._must('GET', '/issued')


class MessagingEdge(Program):
    """The messaging edge for a service's tokens."""

    NAME, FILE = 'messaging_edge.py', 'messaging.json'

    def __init__(self, service, args=()):
        super().__init__(service.dir, [
            '--service-control',
            f'http://127.0.0.1:{service.control_port}', *args])

    @property
    def url(self):
        """Where a ChatRoom connects to."""
        return f'ws://127.0.0.1:{self.port}'

    def connections(self, **filters):
        """The connections that it saw, the open ones last."""
        return self._must('GET', '/connections?' + urlencode(filters))

    def health(self):
        """Counters."""
        return self._must('GET', '/health')

    def messages(self):
        """The messages that were sent."""
        return self._must('GET', '/messages')

    def drop(self, **filters):
        """Reset connections; how many there were."""
        return self._must('POST', '/drop', filters)['count']

    def expire(self, **filters):
        """Let sessions end now; how many there were."""
        return self._must('POST', '/expire', filters)['count']

    def config(self, **changes):
        """Change settings."""
        return self._must('PUT', '/config', changes)


def room(room_id='g1H2I3j4k5L6', region=REGION, account='123456789012'):
    """A room's ARN."""
    return f'arn:aws:ivschat:{region}:{account}:room/{room_id}'


def token_body(**changes):
    """A good body; members that are None are left out."""
    members = {'roomIdentifier': room(), 'userId': 'alice', **changes}
    return json.dumps({name: value for name, value in members.items()
                       if value is not None}).encode()


def sign(body, host, headers=(), key=KEY, secret=SECRET, token=None,
         region=REGION, service='ivschat', at=None, method='POST',
         target='/CreateChatToken'):
    """The headers of a signed request, [(name, value)], by botocore."""
    request = AWSRequest(method=method, data=body,
                         url='https://' + host + target)
    request.headers['Host'] = host
    request.headers['Content-Type'] = 'application/json'

    for name, value in headers:
        del request.headers[name]
        if value is not None:
            request.headers[name] = value

    stamp = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(at))
    request.context['timestamp'] = stamp
    request.headers['X-Amz-Date'] = stamp

    if token is not None:
        request.headers['X-Amz-Security-Token'] = token

    signer = SigV4Auth(Credentials(key, secret, token), service, region)
    string = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(
        request, signer.signature(string, request))
    return request.headers.items()


def render(body, headers, method='POST', target='/CreateChatToken',
           version='HTTP/1.1'):
    """A request's bytes; Content-Length is added when it is missing."""
    headers = list(headers)

    if 'content-length' not in [name.lower() for name, _ in headers]:
        headers.append(('Content-Length', str(len(body))))

    lines = [f'{method} {target} {version}']
    lines.extend(f'{name}: {value}' for name, value in headers)
    return '\r\n'.join(lines).encode('utf-8') + b'\r\n\r\n' + body


class Answer:
    """An HTTP answer, as far as it came."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def get(self, name):
        """A header's value, or None."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    @property
    def code(self):
        """The error type, or None."""
        return self.get('x-amzn-errortype')

    def json(self):
        """The body, parsed."""
        return json.loads(self.body)


def read_answer(sock):
    """Read one answer by http.client (no 1xx is skipped twice)."""
    response = http.client.HTTPResponse(sock, method='POST')
    response.begin()
    answer = Answer(response.status, response.getheaders(), response.read())
    response.close()
    return answer


def exchange(sock, data):
    """Send bytes and read one answer."""
    sock.sendall(data)
    return read_answer(sock)


def cases(table, *arguments):
    """What pytest.mark.parametrize takes: a table's cases, by their names.

    A case is called for its values.  The table is made anew each time, as
    requests are signed with their dates, and with the arguments given then.
    """
    names = [name for name, *_ in table(*arguments)]
    return {'argnames': 'case', 'ids': names, 'argvalues': [
        lambda *values, number=number: table(*values)[number][1:]
        for number in range(len(names))]}
