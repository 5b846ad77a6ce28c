"""Every way in which the service can be told to fail.

A fault is chosen by the id of the room (`fault-<name>` or
`fault-<name>-<argument>`, nothing is remembered), or is queued by the control
port.  It takes effect after the request was verified like any other.  Each is
a function of a Case that returns a Reply.
"""

import gzip
import json
import time

from .errors import ServiceError, access_denied, not_found, throttling
from .errors import validation
from .http1 import connection_header, render_head
from .reply import CLOSE, DOOM, HANG, RESET, Reply, send, sleep

FAULTS = {}
ROOM_PREFIX = 'fault-'
HUGE = 20 * 1024 * 1024
PIECE = 64 * 1024
FLUSH = 0.05
SKEW = 'skew'


class Case:
    """All that a fault may need to know."""

    def __init__(self, service, request, call, argument):
        self.service = service
        self.request = request
        self.call = call
        self.argument = argument

    def number(self, default=None):
        """The argument as a number; ValueError when it is none."""
        if self.argument == '' and default is not None:
            return default
        return int(self.argument)

    def success(self, **changes):
        """The members of a good answer, some of them changed."""
        return {**self.service.mint(self.call), **changes}

    def good(self):
        """A good answer's body."""
        return dump(self.success())

    def common(self, content_type='application/json'):
        """The headers that every answer has."""
        return self.service.headers(self.request, content_type)

    def headers(self, body, *more, content_type='application/json'):
        """The headers of an answer with a body of known length."""
        return [*self.common(content_type), ('Content-Length', len(body)),
                connection_header(self.request), *more]

    def answer(self, body, *more, status=200, code='ok', **options):
        """A complete answer."""
        headers = self.headers(body, *more, **options)
        return Reply(status, code, render_head(status, headers) + body)

    def play(self, steps, status=200, code='ok'):
        """An answer that is more than one piece of bytes."""
        return Reply(status, code, steps=steps)


def fault(name):
    """Register a fault under its name."""
    def register(function):
        FAULTS[name] = function
        return function
    return register


def parse(text):
    """(name, argument) of 'name' or 'name-argument', or None."""
    for name in sorted(FAULTS, key=len, reverse=True):
        if text == name:
            return name, ''
        if text.startswith(name + '-'):
            return name, text[len(name) + 1:]

    return None


def of_room(room_id):
    """The fault that a room's id asks for: a text, or None."""
    if room_id.startswith(ROOM_PREFIX):
        return room_id[len(ROOM_PREFIX):]
    return None


def skew_of_room(room_id):
    """By how many seconds the service's clock is off for this room."""
    name, _, seconds = (of_room(room_id) or '').partition('-')

    try:
        return int(seconds) if name == SKEW else 0
    except ValueError:
        return 0


def run(text, service, request, call):
    """The reply of a fault; a mistyped one is told so, with status 400."""
    found = parse(text)

    if found is None:
        return service.refuse(request, ServiceError(
            400, 'UnknownFault', f'There is no fault {text!r}.'))

    name, argument = found

    try:
        reply = FAULTS[name](Case(service, request, call, argument))
    except ValueError:
        return service.refuse(request, ServiceError(
            400, 'UnknownFault', f'The fault {name!r} does not take '
                                 f'{argument!r}.'))
    except ServiceError as error:
        reply = service.refuse(request, error)

    reply.fault = text
    return reply


def dump(value):
    """JSON as AWS writes it."""
    return json.dumps(value, ensure_ascii=False,
                      separators=(',', ':')).encode('utf-8')


def iso(seconds, form):
    """A time in one of the forms that ISO 8601 allows."""
    return time.strftime(form, time.gmtime(seconds))


# Errors that AWS reports


@fault('throttling')
def _throttling(case):
    raise throttling(case.call.room_id, case.service.rates.rate or 0)


@fault('retry-after')
def _retry_after(case):
    milliseconds = case.number()
    body = dump(throttling(case.call.room_id, 0).members)
    return case.answer(body, ('x-amzn-ErrorType', 'ThrottlingException'),
                       ('x-amz-retry-after', milliseconds),
                       status=429, code='ThrottlingException')


@fault('access-denied')
def _access_denied(case):
    raise access_denied(case.call.account, case.call.room)


@fault('pending-verification')
def _pending_verification(case):
    raise ServiceError(403, 'PendingVerification',
                       'Your account is pending verification.')


@fault('not-found')
def _not_found(case):
    raise not_found(case.call.room_id)


@fault('validation')
def _validation(case):
    raise validation([('userId', 'is not acceptable')])


@fault('mention-values')
def _mention_values(case):
    values = [case.call.user, *case.call.attributes.values()]
    raise validation([('userId', 'is not acceptable: ' + ', '.join(values))])


@fault('internal')
def _internal(case):
    raise ServiceError(500, 'InternalServerException',
                       'An internal error occurred.')


@fault('expired-token')
def _expired_token(case):
    raise ServiceError(403, 'ExpiredTokenException',
                       'The security token included in the request is '
                       'expired')


@fault('invalid-signature')
def _invalid_signature(case):
    raise ServiceError(403, 'InvalidSignatureException',
                       'The request signature we calculated does not match '
                       'the signature you provided.')


@fault('unrecognized-client')
def _unrecognized_client(case):
    raise ServiceError(403, 'UnrecognizedClientException',
                       'The security token included in the request is '
                       'invalid.')


@fault('request-expired')
def _request_expired(case):
    raise ServiceError(403, 'RequestExpired', 'Request has expired.')


@fault('status')
def _status(case):
    status = case.number()
    body = dump({'message': 'An answer of the gateway.'})
    return case.answer(body, status=status, code=str(status))


@fault('error')
def _error(case):
    status, _, code = case.argument.partition('-')
    raise ServiceError(int(status), code or 'InternalServerException',
                       'An error by request.')


# Where the error's type can stand


def _typed(case, form):
    code = case.argument or 'ThrottlingException'
    body = dump({'message': 'An error by request.'})
    return case.answer(body, ('x-amzn-ErrorType', form.format(code)),
                       status=400, code=code)


@fault('errortype-colon')
def _errortype_colon(case):
    return _typed(case, '{}:http://internal.amazon.com/coral/'
                        'com.amazon.coral.validate/')


@fault('errortype-hash')
def _errortype_hash(case):
    return _typed(case, 'com.amazonaws.ivschat#{}')


@fault('errortype-both')
def _errortype_both(case):
    return _typed(case, 'com.amazonaws.ivschat#{}:http://internal.amazon.com/'
                        'coral/com.amazon.coral.validate/')


def _in_body(case, member):
    code = case.argument or 'ThrottlingException'
    body = dump({member: 'com.amazonaws.ivschat#' + code,
                 'message': 'An error by request.'})
    return case.answer(body, status=400, code=code)


@fault('body-code')
def _body_code(case):
    return _in_body(case, 'code')


@fault('body-type')
def _body_type(case):
    return _in_body(case, '__type')


# Time and silence


@fault('silence')
def _silence(case):
    return case.play([HANG], status=None, code='silence')


@fault('slow')
def _slow(case):
    reply = case.answer(case.good())
    return case.play([sleep(case.number() / 1000), send(reply.data)])


@fault('pause')
def _pause(case):
    data = case.answer(case.good()).data
    cut = len(data) - 40
    return case.play([send(data[:cut]), sleep(case.number() / 1000),
                      send(data[cut:])])


@fault('drip')
def _drip(case):
    pause = case.number() / 1000
    data = case.answer(case.good()).data

    def steps():
        for byte in data:
            yield sleep(pause)
            yield send(bytes([byte]))

    return case.play(steps())


@fault('drip-body')
def _drip_body(case):
    pause = case.number() / 1000
    data = case.answer(case.good()).data
    head = data.index(b'\r\n\r\n') + 4

    def steps():
        yield send(data[:head])
        for byte in data[head:]:
            yield sleep(pause)
            yield send(bytes([byte]))

    return case.play(steps())


@fault(SKEW)
def _skew(case):
    """The clock was off while the date was checked; so is Date."""
    case.number()
    return case.answer(case.good())


# The connection


@fault('reset-before')
def _reset_before(case):
    return case.play([RESET], status=None, code='reset')


def _reset_after(case, part):
    data = case.answer(case.good()).data
    head = data.index(b'\r\n\r\n') + 4
    cut = {'headers': head // 2, 'body': (head + len(data)) // 2}[part]
    return case.play([send(data[:cut]), sleep(FLUSH), RESET],
                     status=None, code='reset')


@fault('reset-headers')
def _reset_headers(case):
    return _reset_after(case, 'headers')


@fault('reset-body')
def _reset_body(case):
    return _reset_after(case, 'body')


@fault('close-before')
def _close_before(case):
    return case.play([CLOSE], status=None, code='closed')


@fault('truncated')
def _truncated(case):
    data = case.answer(case.good()).data
    return case.play([send(data[:-40]), CLOSE], code='truncated')


@fault('close')
def _close(case):
    body = case.good()
    headers = [*case.common(), ('Content-Length', len(body)),
               ('Connection', 'close')]
    return case.play([send(render_head(200, headers) + body), CLOSE])


@fault('stale')
def _stale(case):
    data = case.answer(case.good()).data
    return case.play([send(data), sleep(case.number(0) / 1000), CLOSE])


@fault('stale-next')
def _stale_next(case):
    return case.play([send(case.answer(case.good()).data), DOOM])


@fault('http10')
def _http10(case):
    body = case.good()
    head = render_head(200, case.common(), 'HTTP/1.0')
    return case.play([send(head + body), CLOSE])


@fault('100')
def _interim(case):
    data = case.answer(case.good()).data
    return case.play([send(render_head(100, [])), send(data)])


@fault('redirect')
def _redirect(case):
    location = f'https://{case.request.get("host")}/elsewhere'
    return case.answer(b'', ('Location', location), status=307,
                       code='redirect')


# Encodings and sizes


@fault('chunked')
def _chunked(case):
    body = case.good()
    cut = len(body) // 2
    head = render_head(200, [*case.common(),
                             ('Transfer-Encoding', 'chunked'),
                             connection_header(case.request)])
    pieces = b''.join(b'%x\r\n%s\r\n' % (len(piece), piece)
                      for piece in (body[:cut], body[cut:], b''))
    return Reply(200, 'ok', head + pieces)


@fault('gzip')
def _gzip(case):
    return case.answer(gzip.compress(case.good()),
                       ('Content-Encoding', 'gzip'))


def _padded(case, size):
    """A good answer of exactly size bytes of JSON, sent in pieces."""
    start = case.good()[:-1] + b',"padding":"'
    left = size - len(start) - 2

    if left < 0:
        raise ValueError(size)

    head = render_head(200, [*case.common(),
                             ('Content-Length', size),
                             connection_header(case.request)])

    def steps():
        yield send(head + start)
        for _ in range(left // PIECE):
            yield send(b'x' * PIECE)
        yield send(b'x' * (left % PIECE) + b'"}')

    return case.play(steps())


@fault('big')
def _big(case):
    return _padded(case, case.number())


@fault('huge')
def _huge(case):
    return _padded(case, HUGE)


@fault('long-token')
def _long_token(case):
    token = case.success()['token'] * (case.number() // 100 + 1)
    return case.answer(dump(case.success(token=token[:case.number()])))


@fault('bigheader')
def _bigheader(case):
    return case.answer(case.good(), ('x-amz-padding', 'x' * case.number()))


@fault('accel')
def _accel(case):
    return case.answer(case.good(), ('X-Accel-Redirect', '/secret'))


# Bodies that are not the three fields


@fault('nested')
def _nested(case):
    depth = case.number(10000)
    return case.answer(case.good()[:-1] + b',"more":' + b'[' * depth
                       + b']' * depth + b'}')


@fault('wrongtypes')
def _wrongtypes(case):
    return case.answer(dump({'token': 1, 'tokenExpirationTime': True,
                             'sessionExpirationTime': []}))


@fault('missing')
def _missing(case):
    members = case.success()

    if members.pop(case.argument, None) is None:
        raise ValueError(case.argument)

    return case.answer(dump(members))


@fault('html')
def _html(case):
    return case.answer(b'<html><body>Welcome!</body></html>',
                       content_type='text/html')


@fault('empty')
def _empty(case):
    return case.answer(b'')


@fault('notjson')
def _notjson(case):
    return case.answer(b'{"token": ')


@fault('trailing')
def _trailing(case):
    return case.answer(case.good() + b'{}')


@fault('duplicate')
def _duplicate(case):
    return case.answer(case.good()[:-1] + b',"token":"another"}')


@fault('badutf8')
def _badutf8(case):
    return case.answer(case.good().replace(b'"token":"', b'"token":"\xff'))


@fault('nul')
def _nul(case):
    return case.answer(case.good().replace(b'"token":"',
                                           b'"token":"\\u0000'))


@fault('escaped')
def _escaped(case):
    members = case.success()
    token = ''.join(f'\\u{ord(char):04x}' for char in members['token'])
    body = dump({**members, 'token': '@'}).replace(b'@', token.encode(), 1)
    return case.answer(body)


# Times in other forms


def _times(case, convert):
    members = case.success()
    contents = case.service.tokens.get(members['token'])
    members['tokenExpirationTime'] = convert(contents['expires'])
    members['sessionExpirationTime'] = convert(contents['session_ends'])
    return case.answer(dump(members))


@fault('times-offset')
def _times_offset(case):
    return _times(case, lambda at: iso(at + 5400, '%Y-%m-%dT%H:%M:%S+01:30'))


@fault('times-number')
def _times_number(case):
    return _times(case, lambda at: round(at, 3))


@fault('times-nofraction')
def _times_nofraction(case):
    return _times(case, lambda at: iso(at, '%Y-%m-%dT%H:%M:%SZ'))


@fault('times-micro')
def _times_micro(case):
    return _times(case, lambda at: iso(at, '%Y-%m-%dT%H:%M:%S.')
                  + f'{at % 1:.6f}'[2:8] + 'Z')


@fault('times-past')
def _times_past(case):
    return _times(case, lambda at: '2020-01-01T00:00:00.000Z')


@fault('times-garbage')
def _times_garbage(case):
    return _times(case, lambda at: 'soon')
