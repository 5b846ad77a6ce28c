"""The local IVS Chat service does what docs/local-service.md says."""

import concurrent.futures
import contextlib
import gzip
import hashlib
import json
import socket
import ssl
import subprocess
import time
from email.utils import parsedate_to_datetime

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import ivschat_testlib as lib
from nginx_testlib import wait_for

FIELDS = {'token', 'tokenExpirationTime', 'sessionExpirationTime'}
AWS_HOST = 'ivschat.us-west-2.amazonaws.com'
SESSION = 'AQoDYXdzEPT//////////wEXAMPLEtoken=='
INVALID = 'InvalidSignatureException'
INCOMPLETE = 'IncompleteSignatureException'
UNRECOGNIZED = 'UnrecognizedClientException'
SERIALIZATION = 'SerializationException'
VALIDATION = 'ValidationException'


@pytest.fixture(scope='module')
def service(tmp_path_factory):
    """The service, with keys that are temporary, and one that is expired."""
    credentials = tmp_path_factory.mktemp('service') / 'credentials.json'
    credentials.write_text(json.dumps([
        {'key': 'ASIATEMP', 'secret': 'temp', 'token': SESSION},
        {'key': 'ASIAOLD', 'secret': 'old', 'token': 'old',
         'expired': True}]), 'utf-8')

    with lib.Service(args=['--credentials', credentials, '--bad-tls',
                           '--rate', 'off', '--san', 'chat.test',
                           '--keep', 50]) as service:
        yield service


@pytest.fixture(autouse=True)
def settings(service):
    """Each test leaves the service as it was."""
    yield
    service.clear_faults()
    service.config(clock_offset=0, latency=0, rate=None, rooms=None)


def signed(body=None, host=AWS_HOST, **options):
    """The headers of a good request, to be spoilt."""
    return lib.sign(lib.token_body() if body is None else body, host,
                    **options)


def post(body=None, **options):
    """A signed request's bytes."""
    body = lib.token_body() if body is None else body
    return lib.render(body, signed(body, **options))


def without(name, headers):
    """Headers but one."""
    return [(n, v) for n, v in headers if n.lower() != name]


def replaced(name, value, headers):
    """Headers with another value for one."""
    return [(n, value if n.lower() == name else v) for n, v in headers]


def edited(old, new, headers):
    """Headers with the Authorization edited."""
    return [(n, v.replace(old, new) if n == 'Authorization' else v)
            for n, v in headers]


def plain(headers, body=None, **options):
    """Bytes of a request with these headers."""
    body = lib.token_body() if body is None else body
    return lib.render(body, headers, **options)


def chunked(body):
    """A signed request whose body is chunked."""
    head = plain(signed(body) + [('Transfer-Encoding', 'chunked'),
                                 ('Content-Length', 'x')], b'')
    head = head.replace(b'Content-Length: x\r\n', b'')
    return head + b'%x\r\n%s\r\n0\r\n\r\n' % (len(body), body)


def once(service, data, **options):
    """One request on its own connection."""
    with service.connect(**options) as sock:
        return lib.exchange(sock, data)


def raw_bytes(service, data):
    """Everything that comes back until the service ends the connection."""
    received = b''

    with service.connect() as sock:
        sock.sendall(data)
        try:
            while True:
                piece = sock.recv(65536)
                if not piece:
                    return received, 'closed'
                received += piece
        except (ConnectionResetError, ssl.SSLEOFError):
            return received, 'reset'


@contextlib.contextmanager
def client(service, **options):
    """AWS's own client, pointed at the service."""
    session = botocore.session.Session()
    session.set_credentials(options.pop('key', lib.KEY),
                            options.pop('secret', lib.SECRET),
                            options.pop('token', None))
    ivschat = session.create_client(
        'ivschat', region_name=lib.REGION, verify=service.ca,
        endpoint_url=f'https://127.0.0.1:{service.port}',
        config=Config(retries={'max_attempts': 0}))
    with contextlib.closing(ivschat):
        yield ivschat


def client_error(service, room_id='x', **options):
    """The error code that AWS's client reports."""
    with client(service, **options) as ivschat, pytest.raises(
            ClientError) as caught:
        ivschat.create_chat_token(roomIdentifier=lib.room(room_id),
                                  userId='x')
    return caught.value.response['Error']['Code']


# Success


def test_botocore(service):
    """AWS's client gets a token that carries what it asked for."""
    user = 'Ünï "quoted" \\ \u2028 😀'
    wanted = {'roomIdentifier': lib.room(), 'userId': user,
              'capabilities': ['SEND_MESSAGE', 'DELETE_MESSAGE'],
              'attributes': {'displayName': 'Zoë', '': ''},
              'sessionDurationInMinutes': 30}

    with client(service) as ivschat:
        answer = ivschat.create_chat_token(**wanted)
    status, contents = service.token(answer['token'])
    life = answer['tokenExpirationTime'].timestamp() - time.time()
    session = answer['sessionExpirationTime'].timestamp() - time.time()

    assert answer['ResponseMetadata']['HTTPStatusCode'] == 200
    assert status == 200
    assert {name: contents[name] for name in wanted} == wanted
    assert 3590 < life <= 3600
    assert 1790 < session <= 1800
    assert 'alice' not in answer['token'] and user not in answer['token']


def test_defaults(service):
    """Each token is another; a session lasts 60 minutes by default."""
    with client(service) as ivschat:
        one, two = (ivschat.create_chat_token(
            roomIdentifier=lib.room(), userId='bob') for _ in range(2))
    session = one['sessionExpirationTime'].timestamp() - time.time()

    assert one['token'] != two['token']
    assert 3590 < session <= 3600


def test_redeem(service):
    """A token works once, and not after its time."""
    body = lib.token_body(capabilities=['SEND_MESSAGE', 'DELETE_MESSAGE'])
    token, late = (once(service, post(body)).json()['token']
                   for _ in range(2))

    status, contents = service.redeem(token)
    assert status == 200
    assert contents['capabilities'] == ['SEND_MESSAGE', 'DELETE_MESSAGE']
    assert service.redeem(token) == (403, {'error': 'used'})
    assert service.redeem('x') == (403, {'error': 'unknown'})

    service.config(clock_offset=3601)
    assert service.redeem(late) == (403, {'error': 'expired'})


def accepted(port):
    """(name, request) of the forms that AWS accepts."""
    long_user = lib.token_body(userId='😀' * 128)

    return [
        ('an AWS host name', post()),
        ('a FIPS host name',
         post(host='ivschat-fips.us-west-2.amazonaws.com')),
        ('a dual-stack host name', post(host='ivschat.us-west-2.api.aws')),
        ('localhost with the port', post(host=f'localhost:{port}')),
        ('a name of --san', post(host='chat.test')),
        ('a session token', post(key='ASIATEMP', secret='temp',
                                 token=SESSION)),
        ('a date 299 seconds back', post(at=time.time() - 298)),
        ('a date 299 seconds ahead', post(at=time.time() + 298)),
        ('128 characters of 4 bytes', post(long_user)),
        ('1024 bytes of attributes',
         post(lib.token_body(attributes={'a' * 24: 'é' * 500}))),
        ('empty attributes and capabilities',
         post(lib.token_body(attributes={}, capabilities=[]))),
        ('a charset', post(headers=[('Content-Type',
                                     'application/json; charset=utf-8')])),
        ('a signed header more', post(headers=[('x-amz-user-agent', 'x  y')])),
        ('a signed user agent', plain(
            signed(headers=[('accept', '*/*')]) + [('User-Agent', 'x')])),
        ('an unsigned amz-sdk-request',
         plain(signed() + [('amz-sdk-request', 'attempt=1')])),
    ]


@pytest.mark.parametrize(**lib.cases(accepted, 443))
def test_accepted(service, case):
    """Requests of other forms get a token, too."""
    answer = once(service, *case(service.port))
    assert answer.status == 200, answer.body
    assert set(answer.json()) == FIELDS


def test_content_sha256(service):
    """A right hash of the body is accepted: the body is what is wrong."""
    digest = hashlib.sha256(b'test').hexdigest()
    answer = once(service, post(b'test', headers=[('x-amz-content-sha256',
                                                   digest)]))
    assert answer.code == SERIALIZATION


# Refusals


def signature_refusals():
    """(name, request, status, code) of what is wrong with a signature."""
    headers = signed()
    long_ago = time.time() - 302
    changed = lib.token_body(userId='mallory')

    return [
        ('no Authorization', plain(without('authorization', headers)),
         403, 'MissingAuthenticationTokenException'),
        ('Basic', plain(replaced('authorization', 'Basic YTpi', headers)),
         400, INCOMPLETE),
        ('no Signature', plain(edited('Signature=', 'Sig=', headers)),
         400, INCOMPLETE),
        ('no Credential', plain(edited('Credential=', 'Cred=', headers)),
         400, INCOMPLETE),
        ('no SignedHeaders', plain(edited('SignedHeaders=', 'SH=', headers)),
         400, INCOMPLETE),
        ('a parameter twice', plain(edited('Signature=', 'Credential=x, '
                                           'Signature=', headers)),
         400, INCOMPLETE),
        ('a short scope', plain(edited('/aws4_request', '', headers)),
         400, INCOMPLETE),
        ('a wrong terminator', plain(edited('aws4_request', 'aws5_request',
                                            headers)), 403, INVALID),
        ('Authorization twice', plain(
            headers + [('Authorization', dict(headers)['Authorization'])]),
         400, INCOMPLETE),
        ('an unknown key', post(key='AKIDUNKNOWN'), 403, UNRECOGNIZED),
        ('a wrong secret', post(secret='wrong'), 403, INVALID),
        ('a changed body', plain(headers, changed), 403, INVALID),
        ('a changed signature', plain(replaced(
            'authorization', dict(headers)['Authorization'][:-1] + 'z',
            headers)), 403, INVALID),
        ('an upper-case signature', plain(replaced(
            'authorization', dict(headers)['Authorization'][:-64] + 'A' * 64,
            headers)), 403, INVALID),
        ('no session token', post(key='ASIATEMP', secret='temp'),
         403, UNRECOGNIZED),
        ('a wrong session token', post(key='ASIATEMP', secret='temp',
                                       token='wrong'), 403, UNRECOGNIZED),
        ('a needless session token', post(token=SESSION), 403, UNRECOGNIZED),
        ('an expired credential', post(key='ASIAOLD', secret='old',
                                       token='old'),
         403, 'ExpiredTokenException'),
        ('an unsigned session token', plain(
            signed(key='ASIATEMP', secret='temp')
            + [('X-Amz-Security-Token', SESSION)]), 403, INVALID),
        ('a date too old', post(at=long_ago), 403, INVALID),
        ('a date too new', post(at=time.time() + 302), 403, INVALID),
        ('no date', plain(without('x-amz-date', headers)), 403, INVALID),
        ('a malformed date', plain(replaced(
            'x-amz-date', '2026-11-24T00:00:00Z', headers)), 400, INCOMPLETE),
        ('an impossible date', plain(replaced(
            'x-amz-date', '20261341T000000Z', headers)), 400, INCOMPLETE),
        ('a scope of another day', plain(replaced(
            'x-amz-date', time.strftime(
                '%Y%m%dT%H%M%SZ', time.gmtime(time.time() - 86400)),
            headers)), 403, INVALID),
        ('another service', post(service='ivs'), 403, INVALID),
        ('a region without the service', post(region='eu-north-1',
                                              host='localhost'),
         403, INVALID),
        ('a region other than the host\'s', post(region='eu-west-1'),
         403, INVALID),
        ('a host not signed', plain(edited(
            'content-type;host;', 'content-type;', headers)), 403, INVALID),
        ('a content type not signed', plain(edited(
            'content-type;host;', 'host;', headers)), 403, INVALID),
        ('a date not signed', plain(edited(
            ';x-amz-date', '', headers)), 403, INVALID),
        ('an x-amz header not signed', plain(
            headers + [('X-Amz-User-Agent', 'x')]), 403, INVALID),
        ('a signed header that is absent', plain(edited(
            'content-type;', 'accept;content-type;', headers)), 403, INVALID),
        ('unsorted signed headers', plain(edited(
            'content-type;host', 'host;content-type', headers)),
         403, INVALID),
        ('upper-case signed headers', plain(edited(
            'content-type;host', 'Content-Type;host', headers)),
         403, INVALID),
        ('a signed header twice', plain(
            headers + [('X-Amz-Date', dict(headers)['X-Amz-Date'])]),
         403, INVALID),
        ('a content type twice', plain(
            headers + [('Content-Type', 'application/json')]), 403, INVALID),
        ('a wrong x-amz-content-sha256', post(
            headers=[('X-Amz-Content-SHA256', '0' * 64)]), 403, INVALID),
        ('an unsigned payload', post(
            headers=[('X-Amz-Content-SHA256', 'UNSIGNED-PAYLOAD')]),
         403, INVALID),
        ('another path signed', plain(signed(target='/createChatToken')),
         403, INVALID),
        ('a changed header', plain(replaced(
            'content-type', 'application/json ;charset=utf-8', headers)),
         403, INVALID),
    ]


def gateway_refusals():
    """The same of what is refused before or beside the signature."""
    headers = signed()
    not_found, unknown = 'ResourceNotFoundException', (
        404, 'UnknownOperationException')

    return [
        ('GET', post_as('GET'), *unknown),
        ('PUT', post_as('PUT'), *unknown),
        ('another path', plain(signed(target='/CreateRoom'),
                               target='/CreateRoom'), *unknown),
        ('a slash too many', plain(signed(target='/CreateChatToken/'),
                                   target='/CreateChatToken/'), *unknown),
        ('a query', plain(signed(target='/CreateChatToken?a=b'),
                          target='/CreateChatToken?a=b'), *unknown),
        ('an absolute target', plain(headers, target='https://' + AWS_HOST
                                     + '/CreateChatToken'), *unknown),
        ('a foreign host', post(host='sts.us-west-2.amazonaws.com'),
         403, 'ForbiddenException'),
        ('a host with a foreign port', post(host='localhost:1'),
         403, 'ForbiddenException'),
        ('no content type', post(headers=[('Content-Type', None)]),
         415, 'UnsupportedMediaTypeException'),
        ('a form', post(headers=[('Content-Type',
                                  'application/x-www-form-urlencoded')]),
         415, 'UnsupportedMediaTypeException'),
        ('a compressed body', post(headers=[('Content-Encoding', 'gzip')]),
         400, SERIALIZATION),
        ('a chunked body', chunked(lib.token_body()),
         411, 'MissingContentLengthException'),
        ('a room of another region', post(
            lib.token_body(roomIdentifier=lib.room(region='eu-west-1'))),
         404, not_found),
        ('a room of another account', post(
            lib.token_body(roomIdentifier=lib.room(account='210987654321'))),
         403, 'AccessDeniedException'),
    ]


def post_as(method):
    """A request with another method, rightly signed."""
    return plain(signed(method=method), method=method)


def body_refusals():
    """The same of bodies."""
    nested = b'{"roomIdentifier":' + b'[' * 100000 + b']' * 100000 + b'}'
    text = lib.token_body().decode()

    serialization = [
        ('not JSON', b'userId=alice'),
        ('a list', b'[]'),
        ('a text', b'"x"'),
        ('trailing garbage', lib.token_body() + b'x'),
        ('two values', lib.token_body() * 2),
        ('not UTF-8', text.replace('alice', 'al\xefce').encode('latin-1')),
        ('a byte order mark', b'\xef\xbb\xbf' + lib.token_body()),
        ('half a surrogate pair', text.replace('alice', '\\ud83d').encode()),
        ('a raw control character', text.replace('alice', 'a\x01').encode()),
        ('a member twice', b'{"userId":"a",' + lib.token_body()[1:]),
        ('an attribute twice', text.replace(
            '{', '{"attributes":{"a":"b","a":"c"},', 1).encode()),
        ('NaN', text.replace('"alice"', 'NaN').encode()),
        ('deep nesting', nested),
        ('a member that does not exist', lib.token_body(durationInMinutes=5)),
        ('a number for the user', lib.token_body(userId=11231234)),
        ('a list for the room', lib.token_body(roomIdentifier=[lib.room()])),
        ('a text for the duration',
         lib.token_body(sessionDurationInMinutes='60')),
        ('a fraction for the duration',
         lib.token_body(sessionDurationInMinutes=60.0)),
        ('a truth value for the duration',
         lib.token_body(sessionDurationInMinutes=True)),
        ('a text for the capabilities',
         lib.token_body(capabilities='SEND_MESSAGE')),
        ('null among the capabilities', lib.token_body(capabilities=[None])),
        ('a list for the attributes', lib.token_body(attributes=['a'])),
        ('a number for an attribute', lib.token_body(attributes={'a': 1})),
    ]
    validation = [
        ('an empty body', b''),
        ('no room', lib.token_body(roomIdentifier=None)),
        ('no user', lib.token_body(userId=None)),
        ('null for the user', b'{"userId":null,"roomIdentifier":"%s"}'
         % lib.room().encode()),
        ('an empty user', lib.token_body(userId='')),
        ('129 characters of user', lib.token_body(userId='x' * 129)),
        ('a room id alone', lib.token_body(roomIdentifier='g1H2I3j4k5L6')),
        ('a room ARN with a line feed',
         lib.token_body(roomIdentifier=lib.room() + '\n')),
        ('a room ARN of another partition', lib.token_body(
            roomIdentifier='arn:aws-cn:ivschat:cn-north-1:1:room/x')),
        ('a room ARN over 128', lib.token_body(
            roomIdentifier=lib.room('x' * 128))),
        ('an unknown capability', lib.token_body(capabilities=['ADMIN'])),
        ('a lower-case capability',
         lib.token_body(capabilities=['send_message'])),
        ('a duration of 0', lib.token_body(sessionDurationInMinutes=0)),
        ('a duration of 181', lib.token_body(sessionDurationInMinutes=181)),
        ('1025 bytes of attributes',
         lib.token_body(attributes={'a' * 25: 'é' * 500})),
    ]

    return ([(name, post(body), 400, SERIALIZATION)
             for name, body in serialization]
            + [(name, post(body), 400, VALIDATION)
               for name, body in validation])


def refusals():
    """All of them."""
    return signature_refusals() + gateway_refusals() + body_refusals()


@pytest.mark.parametrize(**lib.cases(refusals))
def test_refused(service, case):
    """Each refusal has AWS's status, headers and body."""
    data, status, code = case()
    answer = once(service, data)
    seen = service.requests(limit=1)[0]['verdict']

    assert (answer.status, answer.code) == (status, code), answer.body
    assert (seen['status'], seen['code']) == (status, code)
    assert answer.get('x-amzn-requestid')
    assert answer.get('content-type') == 'application/json'
    assert isinstance(answer.json()['message'], str)


def garbage():
    """(name, bytes) of what is no HTTP request."""
    good = post()
    length = f'Content-Length: {len(lib.token_body())}\r\n'.encode()

    return [
        ('binary', bytes(range(256))),
        ('a lone line', b'hello\r\n\r\n'),
        ('HTTP/2', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        ('line feeds alone', good.replace(b'\r\n', b'\n')),
        ('two hosts', good.replace(b'Host:', b'Host: localhost\r\nHost:')),
        ('no host', good.replace(b'Host:', b'Hast:')),
        ('two lengths', good.replace(length, length * 2)),
        ('a negative length', good.replace(b'Length: ', b'Length: -')),
        ('a length and chunks', good.replace(
            length, length + b'Transfer-Encoding: chunked\r\n')),
        ('a bad chunk', b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: '
                        b'chunked\r\n\r\nzz\r\n'),
        ('a folded header', good.replace(length, length + b' folded\r\n')),
        ('a space before the colon', good.replace(b'Host:', b'Host :')),
        ('NUL in a header', good.replace(b'Host: ', b'Host: \0')),
        ('a header too large', good.replace(
            length, length + b'X: ' + b'x' * 70000 + b'\r\n')),
    ]


@pytest.mark.parametrize(**lib.cases(garbage))
def test_garbage(service, case):
    """What is no HTTP request gets 400, and the connection is closed."""
    answer = once(service, *case())
    seen = service.requests(limit=1)[0]['verdict']

    assert (answer.status, seen['code']) == (400, 'garbage')
    assert answer.get('connection') == 'close'


def test_endless_request(service):
    """A request that never ends is recorded."""
    with service.connect() as sock:
        sock.sendall(b'POST /CreateChatToken HTTP/1.1\r\nHost: x\r\n')

    assert wait_for(lambda: service.requests(limit=1)[0]['body'].endswith(
        'Host: x\r\n'))


def test_large_body(service):
    """A body over 256 KB is refused."""
    assert once(service, plain(signed(), b'x' * 300000)).status == 413


def test_message_of_a_wrong_date(service):
    """The message tells the dates that are too old from the others."""
    expired = once(service, post(at=time.time() - 999)).json()['message']
    early = once(service, post(at=time.time() + 999)).json()['message']

    assert expired.startswith('Signature expired: ')
    assert 'is now earlier than' in expired
    assert early.startswith('Signature not yet current: ')


def test_field_list(service):
    """Every bad field is listed."""
    bad = once(service, post(lib.token_body(
        userId='', sessionDurationInMinutes=0))).json()

    assert bad['reason'] == 'FIELD_VALIDATION_FAILED'
    assert sorted(field['name'] for field in bad['fieldList']) == [
        'sessionDurationInMinutes', 'userId']


def test_missing_room(service):
    """A room that does not exist is named."""
    service.config(rooms=[lib.room('other')])
    missing = once(service, post())

    assert (missing.status, missing.json()['resourceId'],
            missing.json()['resourceType']) == (404, 'g1H2I3j4k5L6', 'ROOM')


def test_botocore_refused(service):
    """AWS's client understands a refusal."""
    assert client_error(service, secret='wrong') == INVALID


# Faults


def faulty(name, **members):
    """A request for a room that is named after a fault."""
    return post(lib.token_body(roomIdentifier=lib.room('fault-' + name),
                               **members))


def fault(service, name, **members):
    """The answer to it."""
    return once(service, faulty(name, **members))


@pytest.mark.parametrize('name, status, code', [
    ('throttling', 429, 'ThrottlingException'),
    ('retry-after-1500', 429, 'ThrottlingException'),
    ('access-denied', 403, 'AccessDeniedException'),
    ('pending-verification', 403, 'PendingVerification'),
    ('not-found', 404, 'ResourceNotFoundException'),
    ('validation', 400, VALIDATION),
    ('mention-values', 400, VALIDATION),
    ('internal', 500, 'InternalServerException'),
    ('expired-token', 403, 'ExpiredTokenException'),
    ('invalid-signature', 403, INVALID),
    ('unrecognized-client', 403, UNRECOGNIZED),
    ('request-expired', 403, 'RequestExpired'),
    ('status-503', 503, None),
    ('status-418', 418, None),
    ('error-503-SlowDown', 503, 'SlowDown'),
    ('errortype-colon', 400, 'ThrottlingException:http://internal.amazon'
     '.com/coral/com.amazon.coral.validate/'),
    ('errortype-hash', 400, 'com.amazonaws.ivschat#ThrottlingException'),
    ('errortype-both-SlowDown', 400, 'com.amazonaws.ivschat#SlowDown:http'
     '://internal.amazon.com/coral/com.amazon.coral.validate/'),
    ('body-code', 400, None),
    ('body-type', 400, None),
    ('unheard-of', 400, 'UnknownFault'),
    ('slow-much', 400, 'UnknownFault'),
])
def test_error_fault(service, name, status, code):
    """Faults that are an error of AWS."""
    answer = fault(service, name)
    assert (answer.status, answer.code) == (status, code)


def test_error_fault_members(service):
    """Errors have their members and headers."""
    assert set(fault(service, 'throttling').json()) == {
        'message', 'resourceId', 'resourceType', 'limit'}
    assert fault(service, 'retry-after-1500').get(
        'x-amz-retry-after') == '1500'
    assert 's3cret' in fault(service, 'mention-values', userId='eve',
                             attributes={'a': 's3cret'}).json()['message']

    typed = 'com.amazonaws.ivschat#ThrottlingException'
    assert fault(service, 'body-code').json().get('code') == typed
    assert fault(service, 'body-type').json().get('__type') == typed


def test_botocore_finds_the_type(service):
    """AWS's client finds the type before the colon."""
    assert client_error(
        service, 'fault-errortype-colon') == 'ThrottlingException'


def no_json(answer):
    """Whether a body is no JSON."""
    with pytest.raises(ValueError):
        answer.json()
    return True


BODIES = {
    'wrongtypes': lambda a: a.json()['token'] == 1,
    'missing-token': lambda a: set(a.json()) == FIELDS - {'token'},
    'missing-tokenExpirationTime':
        lambda a: set(a.json()) == FIELDS - {'tokenExpirationTime'},
    'html': lambda a: a.get('content-type') == 'text/html'
    and a.body.startswith(b'<'),
    'empty': lambda a: a.body == b'',
    'notjson': lambda a: no_json(a),
    'trailing': lambda a: no_json(a) and a.body.endswith(b'}{}'),
    'duplicate': lambda a: a.body.count(b'"token"') == 2,
    'badutf8': lambda a: b'\xff' in a.body,
    'nul': lambda a: '\0' in a.json()['token'],
    'nested': lambda a: b'[' * 10000 in a.body,
    'nested-5': lambda a: a.json()['more'] == [[[[[]]]]],
    'big-100000': lambda a: len(a.body) == 100000 and a.json()['token'],
    'huge': lambda a: len(a.body) == 20 * 1024 * 1024 and a.json(),
    'long-token-5000': lambda a: len(a.json()['token']) == 5000,
    'bigheader-9000':
        lambda a: len(a.get('x-amz-padding')) == 9000,
    'accel': lambda a: a.get('x-accel-redirect') == '/secret',
    'chunked': lambda a: a.get('transfer-encoding') == 'chunked'
    and set(a.json()) == FIELDS,
    'gzip': lambda a: a.get('content-encoding') == 'gzip'
    and set(json.loads(gzip.decompress(a.body))) == FIELDS,
    'times-offset':
        lambda a: a.json()['tokenExpirationTime'].endswith('+01:30'),
    'times-number':
        lambda a: abs(a.json()['tokenExpirationTime'] - time.time()
                      - 3600) < 10,
    'times-nofraction':
        lambda a: len(a.json()['tokenExpirationTime']) == 20,
    'times-micro': lambda a: len(a.json()['tokenExpirationTime']) == 27,
    'times-past':
        lambda a: a.json()['tokenExpirationTime'].startswith('2020'),
    'times-garbage': lambda a: a.json()['tokenExpirationTime'] == 'soon',
}


@pytest.mark.parametrize('name', BODIES)
def test_body_fault(service, name):
    """Faults in the body of a 200."""
    answer = fault(service, name)
    assert answer.status == 200
    assert BODIES[name](answer), answer.body[:200]


def test_escaped_token(service):
    """A token whose characters are escaped is good."""
    answer = fault(service, 'escaped')
    assert b'"\\u' in answer.body
    assert service.token(answer.json()['token'])[0] == 200


@pytest.mark.parametrize('name', ['slow-300', 'pause-300', 'drip-1',
                                  'drip-body-1'])
def test_slow_fault(service, name):
    """Faults that take time."""
    started = time.monotonic()
    answer = fault(service, name)

    assert answer.status == 200 and set(answer.json()) == FIELDS
    assert 0.3 <= time.monotonic() - started < 5.3


def test_silence(service):
    """Silence; a client that leaves meanwhile is recorded, and counted."""
    before = service.connections()['left_waiting']
    with service.connect(timeout=0.5) as sock:
        sock.sendall(faulty('silence'))
        with pytest.raises(socket.timeout):
            sock.recv(1)

    assert wait_for(lambda: service.requests(
        fault='silence')[-1]['client_left'])
    assert service.connections()['left_waiting'] == before + 1


def test_latency(service):
    """The setting "latency"."""
    service.config(latency=300)
    started = time.monotonic()
    once(service, post())
    assert time.monotonic() - started >= 0.3


def test_skew(service):
    """The clock of a fault-skew room is off, and Date with it."""
    assert 'not yet current' in fault(service, 'skew--600').json()['message']

    body = lib.token_body(roomIdentifier=lib.room('fault-skew-3600'))
    refused = once(service, post(body))
    date = parsedate_to_datetime(refused.get('date')).timestamp()

    assert (refused.status, refused.code) == (403, INVALID)
    assert abs(date - time.time() - 3600) < 5
    assert once(service, post(body, at=time.time() + 3600)).status == 200


def test_clock_offset(service):
    """The setting "clock_offset"."""
    service.config(clock_offset=900)
    assert once(service, post()).code == INVALID


def whole(data, end):
    """A complete answer, then FIN."""
    return data.endswith(b'}') and end == 'closed'


ENDS = {
    'reset-before': lambda data, end: (data, end) == (b'', 'reset'),
    'reset-headers': lambda data, end: data.startswith(b'HTTP/1.1 200')
    and b'\r\n\r\n' not in data and end == 'reset',
    'reset-body': lambda data, end: b'\r\n\r\n{"token"' in data
    and not data.endswith(b'}') and end == 'reset',
    'close-before': lambda data, end: (data, end) == (b'', 'closed'),
    'truncated': lambda data, end: b'{"token"' in data
    and not data.endswith(b'}') and end == 'closed',
    'close': lambda data, end: b'\r\nConnection: close\r\n' in data
    and whole(data, end),
    'http10': lambda data, end: data.startswith(b'HTTP/1.0 200')
    and b'Content-Length' not in data and data.endswith(b'}'),
    'stale': lambda data, end: b'\r\nConnection: keep-alive\r\n' in data
    and whole(data, end),
}


@pytest.mark.parametrize('name', ENDS)
def test_connection_fault(service, name):
    """Faults of the connection, on the wire."""
    data, end = raw_bytes(service, faulty(name))
    assert ENDS[name](data, end), (data, end)


def test_stale_later(service):
    """A connection that is closed a while after the answer."""
    started = time.monotonic()
    data, _ = raw_bytes(service, faulty('stale-300'))

    assert data.endswith(b'}')
    assert time.monotonic() - started >= 0.3


def test_stale_next(service):
    """A connection that is reset by the next request."""
    with service.connect() as sock:
        assert lib.exchange(sock, faulty('stale-next')).status == 200
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            sock.sendall(post())
            sock.recv(1)


def test_100(service):
    """A 100 before the answer."""
    with service.connect() as sock:
        sock.sendall(faulty('100'))
        assert sock.recv(100).startswith(b'HTTP/1.1 100 ')


def test_redirect(service):
    """A redirection to elsewhere."""
    answer = fault(service, 'redirect')
    assert answer.status == 307
    assert answer.get('location') == f'https://{AWS_HOST}/elsewhere'


# Faults that the control port queues


def statuses(service, *requests):
    """The statuses of requests."""
    return [once(service, data).status for data in requests]


def test_queue(service):
    """Faults come in order."""
    service.faults({'fault': 'throttling', 'count': 2}, 'status-503')
    assert statuses(service, *[post()] * 4) == [429, 429, 503, 200]


def test_queue_for_a_user(service):
    """A fault for one user, and not at first."""
    service.faults({'fault': 'internal', 'user': 'bob', 'after': 1})
    bob = post(lib.token_body(userId='bob'))
    assert statuses(service, post(), bob, post(), bob, bob) == [
        200, 200, 200, 500, 200]


def test_queue_for_ever(service):
    """Every third, for ever; and faults are cleared."""
    service.faults({'fault': 'internal', 'every': 3, 'count': None})
    assert statuses(service, *[post()] * 6) == [500, 200, 200, 500, 200, 200]

    service.faults({'fault': 'not-found', 'room': 'elsewhere'},
                   {'fault': 'not-found', 'region': 'eu-west-1'})
    service.clear_faults()
    assert statuses(service, post()) == [200]


def test_queue_and_refusals(service):
    """A refused request uses no fault up."""
    service.faults('internal')
    assert statuses(service, post(secret='wrong'), post()) == [403, 500]


@pytest.mark.parametrize('name', ['nonsense', 'skew-600', 5])
def test_queue_refuses(service, name):
    """A fault that does not exist is refused."""
    assert service.control('POST', '/faults', {'fault': name})[0] == 400


# The rest


def test_journal(service):
    """What the service remembers of requests and connections."""
    service.forget()
    before = service.connections()
    body = lib.token_body(userId='Zoë & co')
    headers = [('x-Odd', ' spaced '), *signed(body)]

    with service.connect(server_hostname=AWS_HOST) as sock:
        for _ in range(3):
            lib.exchange(sock, plain(headers, body))
        pipelined = lib.exchange(sock, post() + post()).status
        open_now = service.connections()['open']

    seen = service.requests(user='Zoë & co')
    assert (len(seen), len(service.requests(room=lib.room()))) == (3, 5)
    assert seen[0]['headers'][0] == ['x-Odd', 'spaced']
    assert (seen[0]['method'], seen[0]['target'], seen[0]['body'].encode(),
            seen[0]['sni']) == ('POST', '/CreateChatToken', body, AWS_HOST)
    assert seen[0]['verdict'] == {'status': 200, 'code': 'ok',
                                  'message': None, 'fault': None}

    after = service.connections()
    assert (pipelined, open_now) == (200, 1)
    assert after['opened'] - before['opened'] == 1
    assert after['connections'][-1]['requests'] == 5
    assert service.health()['by_code'] == {'ok': 5}


def test_keep(service):
    """--keep bounds what is remembered."""
    for _ in range(60):
        once(service, post())
    assert len(service.requests()) == 50


def test_credentials(service):
    """Credentials are added, expire, and are removed, while it runs."""
    body = lib.token_body(roomIdentifier=lib.room(account='210987654321'))

    def answer():
        return once(service, post(body, key='AKIDNEW', secret='new'))

    service.config(credentials=[{'key': 'AKIDNEW', 'secret': 'new',
                                 'account': '210987654321'}])
    assert answer().status == 200
    service.config(expire_credentials=['AKIDNEW'])
    assert answer().code == 'ExpiredTokenException'
    service.config(remove_credentials=['AKIDNEW'])
    assert answer().code == UNRECOGNIZED


def test_rate(service):
    """The rate is limited, for each region by itself."""
    service.config(rate=5)
    with service.connect() as sock:
        burst = [lib.exchange(sock, post()).status for _ in range(12)]
    other = post(lib.token_body(roomIdentifier=lib.room(region='eu-west-1')),
                 region='eu-west-1', host='ivschat.eu-west-1.amazonaws.com')

    assert 5 <= burst.count(200) <= 7
    assert burst.count(429) == 12 - burst.count(200)
    assert once(service, other).status == 200


@pytest.mark.parametrize('value', [{'rat': 1}, {'rate': 'x'}, [],
                                   {'latency': True}], ids=json.dumps)
def test_config_refuses(service, value):
    """A bad setting is refused."""
    assert service.control('PUT', '/config', value)[0] == 400


def test_control(service):
    """Settings show no secrets; an unknown path is refused."""
    assert 'secret' not in json.dumps(service.config()['credentials'])
    assert service.control('GET', '/nothing')[0] == 404


@pytest.mark.parametrize('name', [
    AWS_HOST, 'localhost', '127.0.0.1', 'chat.test',
    'ivschat-fips.eu-central-1.api.aws'])
def test_certificate(service, name):
    """The certificate is good for AWS's names, for others by --san."""
    with service.connect(server_hostname=name) as sock:
        assert sock.version() in ('TLSv1.2', 'TLSv1.3')


@pytest.mark.parametrize('name, reason', [
    ('unknown_ca', 'unable to get local issuer'),
    ('wrong_name', 'Hostname mismatch'),
    ('expired', 'certificate has expired')])
def test_bad_certificate(service, name, reason):
    """--bad-tls: certificates that are bad."""
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        service.connect(port=service.bad_tls[name]).close()


def test_load(service):
    """200 connections at once, all kept alive, three requests on each."""
    def mint(sock):
        return lib.exchange(sock, post()).status

    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(service.connect()) for _ in range(200)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            seen = [status for _ in range(3)
                    for status in pool.map(mint, socks)]
        assert seen == [200] * 600
        assert service.connections()['open'] == 200


def test_options():
    """Other options; SIGTERM ends the service at once."""
    with lib.Service(args=['--room', lib.room('only'), '--rate', 'off',
                           '--allow-unsigned-content-type',
                           '--token-lifetime', 60]) as service:
        only = lib.token_body(roomIdentifier=lib.room('only'))
        unsigned = plain(
            signed(only, headers=[('Content-Type', None)])
            + [('Content-Type', 'application/json')], only)
        assert statuses(service, post(), post(only), unsigned) == [
            404, 200, 200]

        token = once(service, post(only)).json()['token']
        assert 50 < service.token(token)[1]['expires'] - time.time() <= 60

        service.config(rooms=None)
        waiting = service.connect()
        waiting.sendall(faulty('silence'))

    assert service.exit_status == 0
    waiting.close()


@pytest.mark.timeout(30)
def test_parent(tmp_path):
    """--parent: the service goes with the process that wanted it."""
    parent = subprocess.Popen(['sleep', '60'])
    process = subprocess.Popen(
        ['/usr/bin/python3', str(lib.PROGRAMS / 'ivschat_service.py'),
         '--dir', str(tmp_path), '--parent', str(parent.pid)],
        stdout=subprocess.PIPE, text=True)

    with parent, process:
        line = process.stdout.readline()
        ready = (tmp_path / 'ports.json').exists()
        parent.kill()
        assert line.startswith('IVS Chat at https://127.0.0.1:') and ready
        assert (process.wait(10), process.stdout.read()) == (0, '')
