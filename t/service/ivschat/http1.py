"""A small, strict HTTP/1.1 reader and writer.

The standard library's servers fold, merge and repair what they read.  Here
a request is either seen exactly as it was sent, or refused.
"""

import re

MAX_HEAD = 64 * 1024
MAX_HEADERS = 100
MAX_BODY = 256 * 1024

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
TARGET = re.compile(r'[!-~]+')
VALUE = re.compile(r'[\t -~\x80-\xff]*')
BARE_LF = re.compile(rb'(?<!\r)\n')
DECIMAL = re.compile(r'[0-9]{1,9}')
CHUNK_SIZE = re.compile(rb'[0-9A-Fa-f]{1,6}')

REASONS = {
    200: 'OK', 204: 'No Content', 301: 'Moved Permanently', 302: 'Found',
    307: 'Temporary Redirect', 400: 'Bad Request', 401: 'Unauthorized',
    403: 'Forbidden', 404: 'Not Found',
    405: 'Method Not Allowed', 408: 'Request Timeout',
    411: 'Length Required', 413: 'Request Entity Too Large',
    415: 'Unsupported Media Type', 429: 'Too Many Requests',
    500: 'Internal Server Error', 502: 'Bad Gateway',
    503: 'Service Unavailable', 504: 'Gateway Timeout',
}


class HttpError(Exception):
    """What arrived is no request; the connection cannot be used again."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Request:
    """One request; header names and values are as they were sent."""

    def __init__(self, method, target, version, headers):
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.body = b''
        self.chunked = False
        self.now = None

    def get_all(self, name):
        """Every value of a header, in order; name is lower case."""
        return [v for n, v in self.headers if n.lower() == name]

    def get(self, name):
        """The first value of a header, or None."""
        values = self.get_all(name)
        return values[0] if values else None

    @property
    def keep_alive(self):
        """Whether the client can send another request on the connection."""
        options = [option.strip().lower()
                   for value in self.get_all('connection')
                   for option in value.split(',')]

        if self.version == 'HTTP/1.0':
            return 'keep-alive' in options

        return 'close' not in options


class Reader:
    """Collects bytes of one connection and cuts them into requests."""

    def __init__(self):
        self.buffer = bytearray()
        self._request = None
        self._length = 0

    def feed(self, data):
        """Take what the connection delivered."""
        self.buffer += data

    def next_request(self):
        """The next complete request, or None; raises HttpError."""
        if self._request is None and not self._read_head():
            return None

        request = self._request

        if request.chunked:
            done = self._read_chunks()
        else:
            done = self._read_sized_body()

        if not done:
            return None

        self._request = None
        return request

    def _read_head(self):
        end = self.buffer.find(b'\r\n\r\n')
        head = bytes(self.buffer if end < 0 else self.buffer[:end])

        if BARE_LF.search(head):
            raise HttpError(400, 'a line that ends in LF alone')

        if head and not TOKEN.match(chr(head[0])):
            raise HttpError(400, 'not a request line')

        if len(head) > MAX_HEAD:
            raise HttpError(400, 'the header is too large')

        if end < 0:
            return False

        self._request = parse_head(head.decode('latin-1'))
        self._length = body_length(self._request)
        del self.buffer[:end + 4]
        return True

    def _read_sized_body(self):
        if len(self.buffer) < self._length:
            return False

        self._request.body = bytes(self.buffer[:self._length])
        del self.buffer[:self._length]
        return True

    def _read_chunks(self):
        """Decode a whole chunked body, or leave the buffer as it is."""
        body, pos = bytearray(), 0

        while True:
            end = self.buffer.find(b'\r\n', pos)
            if end < 0:
                return False

            line = bytes(self.buffer[pos:end])
            if not CHUNK_SIZE.fullmatch(line):
                raise HttpError(400, 'a bad chunk size')

            size, pos = int(line, 16), end + 2
            if len(body) + size > MAX_BODY:
                raise HttpError(413, 'the body is too large')

            if len(self.buffer) < pos + size + 2:
                return False

            if self.buffer[pos + size:pos + size + 2] != b'\r\n':
                raise HttpError(400, 'a chunk that does not end in CRLF')

            body += self.buffer[pos:pos + size]
            pos += size + 2

            if size == 0:
                break

        self._request.body = bytes(body)
        del self.buffer[:pos]
        return True


def parse_head(text):
    """Parse a request line and header lines (without the last CRLF CRLF)."""
    lines = text.split('\r\n')
    parts = lines[0].split(' ')

    if len(parts) != 3:
        raise HttpError(400, 'not a request line')

    method, target, version = parts

    if not TOKEN.fullmatch(method) or not TARGET.fullmatch(target):
        raise HttpError(400, 'not a request line')

    if version not in ('HTTP/1.0', 'HTTP/1.1'):
        raise HttpError(400, 'not HTTP/1.1')

    if len(lines) > MAX_HEADERS:
        raise HttpError(400, 'too many headers')

    return Request(method, target, version,
                   [parse_header(line) for line in lines[1:]])


def parse_header(line):
    """Split one header line; folded lines and odd names are refused."""
    name, colon, value = line.partition(':')

    if not colon or not TOKEN.fullmatch(name):
        raise HttpError(400, 'a bad header name')

    if not VALUE.fullmatch(value):
        raise HttpError(400, 'a control character in a header')

    return name, value.strip(' \t')


def body_length(request):
    """The length of the body; anything ambiguous is refused."""
    hosts = request.get_all('host')
    lengths = request.get_all('content-length')
    encodings = request.get_all('transfer-encoding')

    if len(hosts) != 1:
        raise HttpError(400, 'one Host header is needed')

    if encodings:
        if lengths or encodings != ['chunked']:
            raise HttpError(400, 'an ambiguous body length')

        request.chunked = True
        return 0

    if not lengths:
        return 0

    if len(lengths) > 1 or not DECIMAL.fullmatch(lengths[0]):
        raise HttpError(400, 'a bad Content-Length')

    if int(lengths[0]) > MAX_BODY:
        raise HttpError(413, 'the body is too large')

    return int(lengths[0])


def connection_header(request):
    """Tell the client whether the connection stays open."""
    return ('Connection', 'keep-alive' if request.keep_alive else 'close')


def render_head(status, headers, version='HTTP/1.1'):
    """A status line and headers, up to and with the empty line."""
    lines = [f'{version} {status} {REASONS.get(status, "Unknown")}']
    lines.extend(f'{name}: {value}' for name, value in headers)
    return '\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n'
