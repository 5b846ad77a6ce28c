"""What the service remembers: credentials, rates, tokens, requests."""

import base64
import collections
import itertools
import os
import string
import time

# A token travels as a WebSocket subprotocol, so every character is one that
# RFC 9110 allows in a token, the odd ones among them.
TOKEN_CHARACTERS = (string.ascii_letters + string.digits
                    + "#!-_.+#!%&$'*^|~`").encode()
TOKEN_TABLE = bytes(TOKEN_CHARACTERS[i % len(TOKEN_CHARACTERS)]
                    for i in range(256))
TOKEN_LENGTH = 192

KEPT_BYTES = 64 * 1024 * 1024


class Credential:
    """An access key, and what AWS knows of it."""

    FIELDS = {'key', 'secret', 'token', 'account', 'expired', 'expires'}

    def __init__(self, key, secret, account, token=None, expired=False,
                 expires=None):
        self.key = key
        self.secret = secret
        self.account = account
        self.token = token
        self.expired = expired
        self.expires = expires

    def is_expired(self, now):
        """Whether it was told to expire, or its time is over."""
        return self.expired or (self.expires is not None
                                and now >= self.expires)

    @classmethod
    def from_dict(cls, fields, account):
        """From JSON; raises ValueError for anything but the known members."""
        if not isinstance(fields, dict) or set(fields) - cls.FIELDS:
            raise ValueError('a credential has the members '
                             + ', '.join(sorted(cls.FIELDS)))

        if type(fields.get('expires')) not in (int, float, type(None)):
            raise ValueError('expires is seconds since 1970')

        return cls(**{'account': account, **fields})


class Rates:
    """A token bucket per account and region; it holds one second's worth."""

    def __init__(self, rate):
        self.rate = rate
        self._buckets = {}

    def set(self, rate):
        """Change the rate (None: no limit); the buckets start full."""
        self.rate = rate
        self._buckets.clear()

    def take(self, account, region):
        """Whether one more call is allowed now."""
        if self.rate is None:
            return True

        now = time.monotonic()
        level, then = self._buckets.get((account, region), (self.rate, now))
        level = min(self.rate, level + (now - then) * self.rate)
        allowed = level >= 1
        self._buckets[account, region] = (level - allowed, now)

        return allowed


class Tokens:
    """The tokens that were minted; each can be redeemed once."""

    def __init__(self, keep):
        self.keep = keep
        self._tokens = collections.OrderedDict()

    def mint(self, contents):
        """A new token that stands for contents."""
        token = os.urandom(TOKEN_LENGTH).translate(TOKEN_TABLE).decode()
        self._tokens[token] = {**contents, 'redeemed': False}

        if len(self._tokens) > self.keep:
            self._tokens.popitem(last=False)

        return token

    def get(self, token):
        """What a token carries, or None."""
        return self._tokens.get(token)

    def redeem(self, token, now):
        """(contents, None) once, then (None, reason)."""
        contents = self._tokens.get(token)

        if contents is None:
            return None, 'unknown'

        if contents['redeemed']:
            return None, 'used'

        if now > contents['expires']:
            return None, 'expired'

        contents['redeemed'] = True
        return contents, None


class Record:
    """One request as it was seen, and what became of it."""

    def __init__(self, number, connection, request=None, raw=b''):
        self.id = number
        self.time = time.time()
        self.connection = connection
        self.request = request
        self.body = request.body if request else raw
        self.status = None
        self.code = 'unanswered'
        self.message = None
        self.fault = None
        self.client_left = False
        self.details = {}

    def size(self):
        """About how much memory it holds."""
        headers = self.request.headers if self.request else ()
        return (len(self.body) + 4096
                + sum(len(name) + len(value) for name, value in headers))

    def matches(self, filters):
        """Whether every filter ({'user': …}) fits."""
        known = {'id': self.id, 'status': self.status, 'code': self.code,
                 'fault': self.fault, 'connection': self.connection['id'],
                 **self.details}

        return all(str(known.get(name)) == value
                   for name, value in filters.items())

    def as_dict(self):
        """For JSON."""
        request = self.request

        return {
            'id': self.id, 'time': self.time,
            'connection': self.connection['id'],
            'listener': self.connection['listener'],
            'sni': self.connection['sni'],
            'method': request.method if request else None,
            'target': request.target if request else None,
            'version': request.version if request else None,
            'headers': request.headers if request else [],
            'chunked': request.chunked if request else False,
            'body': self.body.decode('utf-8', 'replace'),
            'body_base64': base64.b64encode(self.body).decode(),
            'verdict': {'status': self.status, 'code': self.code,
                        'message': self.message, 'fault': self.fault},
            'client_left': self.client_left,
            **self.details,
        }


class Journal:
    """The last requests and connections; the counters go on for ever."""

    def __init__(self, keep):
        self._numbers = itertools.count(1)
        self._connection_numbers = itertools.count(1)
        self._records = collections.deque()
        self._bytes = 0
        self.keep = keep
        self.open = {}
        self._closed = collections.deque(maxlen=keep)
        self.opened = 0
        self.half_closed = 0
        self.left_waiting = 0
        self.counters = collections.Counter()

    def connect(self, listener, sni, tls, peer_port):
        """A connection was opened, its handshake done."""
        connection = {
            'id': next(self._connection_numbers), 'listener': listener,
            'sni': sni, 'tls': tls.version(), 'resumed': tls.session_reused,
            'peer_port': peer_port, 'opened': time.time(), 'closed': None,
            'requests': 0, 'half_closed': False, 'left_waiting': False,
        }
        self.open[connection['id']] = connection
        self.opened += 1
        return connection

    def disconnect(self, connection):
        """A connection is gone."""
        connection['closed'] = time.time()
        del self.open[connection['id']]
        self._closed.append(connection)

    def add(self, connection, request=None, raw=b''):
        """Record a request before anything is decided about it."""
        record = Record(next(self._numbers), connection, request, raw)
        connection['requests'] += 1
        self._records.append(record)
        self._bytes += record.size()

        while len(self._records) > self.keep or self._bytes > KEPT_BYTES:
            self._bytes -= self._records.popleft().size()

        return record

    def decide(self, record, reply):
        """Fill in the verdict and count it."""
        record.status, record.code = reply.status, reply.code
        record.message, record.fault = reply.message, reply.fault
        self.counters[record.code] += 1

    def requests(self, filters, limit):
        """The newest requests that fit, oldest first."""
        found = [record.as_dict() for record in self._records
                 if record.matches(filters)]
        return found[-limit:] if limit else found

    def forget(self):
        """Start again: requests and counters, not the connections."""
        self._records.clear()
        self._bytes = 0
        self.counters.clear()

    def connections(self):
        """The counters of connections, and each that is remembered."""
        return {'opened': self.opened, 'open': len(self.open),
                'half_closed': self.half_closed,
                'left_waiting': self.left_waiting,
                'connections': [*self._closed, *self.open.values()]}
