"""Decides what becomes of a request."""

import json
import re
import time
import uuid

from . import faults, sigv4
from .errors import ServiceError, access_denied, not_found, serialization
from .errors import throttling
from .http1 import connection_header, render_head
from .model import InputValidator, load_input_shape
from .reply import Reply
from .state import Journal, Rates, Tokens

REGIONS = ('ap-northeast-1', 'ap-northeast-2', 'ap-south-1', 'eu-central-1',
           'eu-west-1', 'us-east-1', 'us-west-2')
HOST_FORMS = ('ivschat.{}.amazonaws.com', 'ivschat-fips.{}.amazonaws.com',
              'ivschat.{}.api.aws', 'ivschat-fips.{}.api.aws')
LOCAL_NAMES = ('localhost', '127.0.0.1')

PATH = '/CreateChatToken'
DEFAULT_SESSION_MINUTES = 60
ROOM_ID = re.compile(rb'arn:aws:ivschat:[a-z0-9-]+:[0-9]+:room/'
                     rb'([a-zA-Z0-9-]+)')
JSON_TYPE = re.compile(r'application/json(?:\s*;\s*charset=utf-8)?', re.I)


class Call:
    """A verified request for a token."""

    def __init__(self, members, account, now):
        self.room = members['roomIdentifier']
        self.room_id = self.room.rpartition('/')[2]
        self.region, self.room_account = self.room.split(':')[3:5]
        self.user = members['userId']
        self.capabilities = members.get('capabilities', [])
        self.attributes = members.get('attributes', {})
        self.minutes = members.get('sessionDurationInMinutes',
                                   DEFAULT_SESSION_MINUTES)
        self.account = account
        self.now = now


class FaultQueue:
    """Faults that the control port ordered, first come first served."""

    FIELDS = {'fault', 'count', 'after', 'every', 'room', 'region', 'user'}

    def __init__(self):
        self._orders = []

    def add(self, order):
        """Queue one order; raises ValueError when it makes no sense."""
        if not isinstance(order, dict) or set(order) - self.FIELDS:
            raise ValueError('a fault has the members '
                             + ', '.join(sorted(self.FIELDS)))

        order = {'count': 1, 'after': 0, 'every': 1, **order, 'seen': 0}
        found = faults.parse(str(order.get('fault')))

        if found is None:
            raise ValueError(f'there is no fault {order.get("fault")!r}')

        if found[0] == faults.SKEW:
            raise ValueError('skew works by room only; see clock_offset')

        if not all(isinstance(order[name], int) for name in
                   ('after', 'every')) or order['every'] < 1:
            raise ValueError('after and every are numbers')

        self._orders.append(order)

    def clear(self):
        """Forget them all."""
        self._orders.clear()

    def list(self):
        """What is still to come."""
        return self._orders

    def take(self, call):
        """The fault for this call, or None."""
        for order in self._orders:
            if self._fits(order, call):
                return self._use(order)
        return None

    @staticmethod
    def _fits(order, call):
        if order.get('room') not in (None, call.room, call.room_id):
            return False

        if order.get('region') not in (None, call.region):
            return False

        if order.get('user') not in (None, call.user):
            return False

        order['seen'] += 1
        turn = order['seen'] - order['after'] - 1
        return turn >= 0 and turn % order['every'] == 0

    def _use(self, order):
        if order['count'] is not None:
            order['count'] -= 1

            if order['count'] <= 0:
                self._orders.remove(order)

        return order['fault']


class Service:
    """The operation, its checks and what it remembers."""

    def __init__(self, account, rate, keep):
        self.account = account
        self.credentials = {}
        self.hosts = known_hosts()
        self.rooms = None
        self.latency = 0
        self.clock_offset = 0
        self.token_lifetime = 3600
        self.need_signed_content_type = True
        self.rates = Rates(rate)
        self.tokens = Tokens(max(keep, 1))
        self.journal = Journal(max(keep, 1))
        self.queue = FaultQueue()
        self.validator = InputValidator(load_input_shape())

    def now(self):
        """The service's own clock."""
        return time.time() + self.clock_offset

    def add_credential(self, credential):
        """Know an access key, or know it anew."""
        self.credentials[credential.key] = credential

    def handle(self, request, port, details):
        """The reply to a request; details are filled in for the record."""
        room_id = peek_room_id(request.body)
        request.now = self.now() + faults.skew_of_room(room_id)
        details.update(peek(request.body))

        try:
            call = self.verify(request, port, room_id, details)
            name = faults.of_room(call.room_id) or self.queue.take(call)
            reply = (faults.run(name, self, request, call) if name
                     else self.answer(request, self.mint(call)))
        except ServiceError as error:
            reply = self.refuse(request, error)

        reply.close = reply.close or not request.keep_alive
        return reply

    def verify(self, request, port, room_id, details):
        """Everything that AWS checks, in about its order."""
        if request.target != PATH or request.method != 'POST':
            raise ServiceError(404, 'UnknownOperationException',
                               'There is no such operation.')

        host_region = self.host_region(request, port)
        auth, credential = self.authenticate(request, host_region, details)

        if not self.rates.take(credential.account, auth.region):
            raise throttling(room_id or 'unknown', self.rates.rate)

        check_content(request)
        members = self.validator.validate(request.body)
        call = Call(members, credential.account, request.now)

        if call.region != auth.region:
            raise not_found(call.room_id)

        if call.room_account != credential.account:
            raise access_denied(credential.account, call.room)

        if self.rooms is not None and call.room not in self.rooms:
            raise not_found(call.room_id)

        return call

    def host_region(self, request, port):
        """The region that the Host header names; None for other names."""
        host = request.get('host')
        name = host[:-len(f':{port}')] if host.endswith(f':{port}') else host

        if name not in self.hosts:
            raise ServiceError(403, 'ForbiddenException', 'Forbidden')

        return self.hosts[name]

    def authenticate(self, request, host_region, details):
        """Check the signature; the Authorization and its credential."""
        auth = sigv4.parse_authorization(request)
        details.update(access_key=auth.access_key, region=auth.region)

        sigv4.check_headers(request, auth, self.need_signed_content_type)
        date = sigv4.check_date(request, auth, request.now)
        sigv4.check_scope(auth, host_region, REGIONS)
        credential = self.credentials.get(auth.access_key)

        if credential is None:
            raise sigv4.unrecognized()

        details['account'] = credential.account
        sigv4.check_session_token(request, credential)
        sigv4.check_signature(request, auth, credential, date)
        return auth, credential

    def mint(self, call):
        """A token, remembered; the members of a good answer."""
        expires = call.now + self.token_lifetime
        session_ends = call.now + call.minutes * 60
        times = {'tokenExpirationTime': iso_milliseconds(expires),
                 'sessionExpirationTime': iso_milliseconds(session_ends)}

        token = self.tokens.mint({
            'roomIdentifier': call.room, 'userId': call.user,
            'capabilities': call.capabilities, 'attributes': call.attributes,
            'sessionDurationInMinutes': call.minutes, **times,
            'expires': expires, 'session_ends': session_ends,
        })

        return {'token': token, **times}

    def headers(self, request, content_type='application/json'):
        """The headers that every answer has."""
        return [('Date', http_date(int(request.now))),
                ('Content-Type', content_type),
                ('x-amzn-RequestId', str(uuid.uuid4()))]

    def answer(self, request, members, status=200, code='ok', *more):
        """A whole answer with a JSON body."""
        body = faults.dump(members)
        head = render_head(status, [
            *self.headers(request), ('Content-Length', len(body)),
            connection_header(request), *more])
        return Reply(status, code, head + body)

    def refuse(self, request, error):
        """An error in AWS's form."""
        reply = self.answer(request, error.members, error.status, error.code,
                            ('x-amzn-ErrorType', error.code))
        reply.message = error.members['message']
        return reply


def known_hosts():
    """Host names of the service and the region each belongs to."""
    hosts = {form.format(region): region
             for region in REGIONS for form in HOST_FORMS}
    hosts.update(dict.fromkeys(LOCAL_NAMES))
    return hosts


def check_content(request):
    """The body is JSON of a stated length."""
    if request.chunked:
        raise ServiceError(411, 'MissingContentLengthException',
                           'The Content-Length header is needed.')

    if not JSON_TYPE.fullmatch(request.get('content-type') or ''):
        raise ServiceError(415, 'UnsupportedMediaTypeException',
                           'The Content-Type must be application/json.')

    if request.get('content-encoding') is not None:
        raise serialization('Content-Encoding is not understood.')


def peek_room_id(body):
    """The id of the room before the body is checked, or ''."""
    found = ROOM_ID.search(body)
    return found.group(1).decode() if found else ''


def peek(body):
    """User and room for the record, whatever the verdict will be."""
    try:
        members = json.loads(body)
        return {'user': members.get('userId'),
                'room': members.get('roomIdentifier')}
    except (ValueError, AttributeError, RecursionError):
        return {'user': None, 'room': None}


def iso_milliseconds(seconds):
    """The usual form of AWS's times."""
    return (time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))
            + f'.{int(seconds % 1 * 1000):03d}Z')


def http_date(seconds):
    """The Date header; strftime would follow the locale."""
    at = time.gmtime(seconds)
    day = ('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')[at.tm_wday]
    month = ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep',
             'Oct', 'Nov', 'Dec')[at.tm_mon - 1]
    return (f'{day}, {at.tm_mday:02d} {month} {at.tm_year} '
            f'{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT')
