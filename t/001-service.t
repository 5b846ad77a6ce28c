#!/usr/bin/python3
"""The local IVS Chat service does what docs/local-service.md says."""

import concurrent.futures
import gzip
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

import ivschat_testlib as lib

FIELDS = {'token', 'tokenExpirationTime', 'sessionExpirationTime'}
AWS_HOST = 'ivschat.us-west-2.amazonaws.com'
INVALID = 'InvalidSignatureException'
INCOMPLETE = 'IncompleteSignatureException'
UNRECOGNIZED = 'UnrecognizedClientException'
SERIALIZATION = 'SerializationException'
VALIDATION = 'ValidationException'

tap = lib.Tap()


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


def client(service, **options):
    """AWS's own client, pointed at the service."""
    session = botocore.session.Session()
    session.set_credentials(options.pop('key', lib.KEY),
                            options.pop('secret', lib.SECRET),
                            options.pop('token', None))
    return session.create_client(
        'ivschat', region_name=lib.REGION, verify=service.ca,
        endpoint_url=f'https://127.0.0.1:{service.port}',
        config=Config(retries={'max_attempts': 0}))


def client_error(call):
    """The error code that AWS's client reports."""
    try:
        call()
    except ClientError as error:
        return error.response['Error']['Code']
    return None


# Success


def test_botocore(service):
    """AWS's client gets a token that carries what it asked for."""
    ivschat = client(service)
    user = 'Ünï "quoted" \\ \u2028 😀'
    wanted = {'roomIdentifier': lib.room(), 'userId': user,
              'capabilities': ['SEND_MESSAGE', 'DELETE_MESSAGE'],
              'attributes': {'displayName': 'Zoë', '': ''},
              'sessionDurationInMinutes': 30}

    answer = ivschat.create_chat_token(**wanted)
    status, contents = service.token(answer['token'])

    tap.equal(answer['ResponseMetadata']['HTTPStatusCode'], 200,
              'botocore gets a token')
    tap.equal((status, {name: contents[name] for name in wanted}),
              (200, wanted), 'the token carries what was asked for')
    life = answer['tokenExpirationTime'].timestamp() - time.time()
    tap.ok(3590 < life <= 3600, 'a token lives 60 minutes', life)
    session = answer['sessionExpirationTime'].timestamp() - time.time()
    tap.ok(1790 < session <= 1800, 'the session lasts as asked', session)
    tap.ok('alice' not in answer['token'] and user not in answer['token'],
           'the token does not show the user')

    minimal = ivschat.create_chat_token(roomIdentifier=lib.room(),
                                        userId='bob')
    tap.ok(minimal['token'] != answer['token'], 'each token is another')
    session = minimal['sessionExpirationTime'].timestamp() - time.time()
    tap.ok(3590 < session <= 3600, 'a session lasts 60 minutes by default')
    return answer['token']


def test_redeem(service, token):
    """A token works once."""
    status, contents = service.redeem(token)
    tap.equal((status, contents['capabilities']),
              (200, ['SEND_MESSAGE', 'DELETE_MESSAGE']), 'a token is redeemed')
    tap.equal(service.redeem(token), (403, {'error': 'used'}),
              'a token is not redeemed twice')
    tap.equal(service.redeem('x'), (403, {'error': 'unknown'}),
              'an unknown token is not redeemed')

    fresh = once(service, post()).json()['token']
    service.config(clock_offset=3601)
    tap.equal(service.redeem(fresh), (403, {'error': 'expired'}),
              'an expired token is not redeemed')
    service.config(clock_offset=0)


def test_accepted(service):
    """Requests of other forms that AWS accepts too."""
    session = 'AQoDYXdzEPT//////////wEXAMPLEtoken=='
    digest = ('x-amz-content-sha256',
              '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00'
              'a08')
    long_user = lib.token_body(userId='😀' * 128)
    accepted = [
        ('an AWS host name', post()),
        ('a FIPS host name',
         post(host='ivschat-fips.us-west-2.amazonaws.com')),
        ('a dual-stack host name', post(host='ivschat.us-west-2.api.aws')),
        ('localhost with the port', post(host=f'localhost:{service.port}')),
        ('a name of --san', post(host='chat.test')),
        ('a session token', post(key='ASIATEMP', secret='temp',
                                 token=session)),
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

    for name, data in accepted:
        answer = once(service, data)
        tap.ok(answer.status == 200 and set(answer.json()) == FIELDS,
               f'accepted: {name}', answer.status, answer.body)

    tap.equal(once(service, post(b'test', headers=[digest])).code,
              SERIALIZATION, 'a right hash of the body is accepted')


# Refusals


def signature_refusals():
    """(name, request, status, code) of what is wrong with a signature."""
    headers = signed()
    session = 'AQoDYXdzEPT//////////wEXAMPLEtoken=='
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
        ('a needless session token', post(token=session), 403, UNRECOGNIZED),
        ('an expired credential', post(key='ASIAOLD', secret='old',
                                       token='old'),
         403, 'ExpiredTokenException'),
        ('an unsigned session token', plain(
            signed(key='ASIATEMP', secret='temp')
            + [('X-Amz-Security-Token', session)]), 403, INVALID),
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
    """What is refused before or beside the signature."""
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
    """(name, body, code) of bodies that are refused with 400."""
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

    return ([(name, body, SERIALIZATION) for name, body in serialization]
            + [(name, body, VALIDATION) for name, body in validation])


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


def test_refusals(service):
    """Each refusal has AWS's status, headers and body."""
    cases = signature_refusals() + gateway_refusals() + [
        (name, post(body), 400, code) for name, body, code in body_refusals()]

    for name, data, status, code in cases:
        answer = once(service, data)
        seen = service.requests(limit=1)[0]['verdict']
        tap.ok((answer.status, answer.code, seen['status'], seen['code'])
               == (status, code, status, code)
               and answer.get('x-amzn-requestid')
               and answer.get('content-type') == 'application/json'
               and isinstance(answer.json()['message'], str),
               f'refused: {name}', answer.status, answer.code, answer.body)

    for name, data in garbage():
        answer = once(service, data)
        seen = service.requests(limit=1)[0]['verdict']
        tap.equal((answer.status, seen['code'], answer.get('connection')),
                  (400, 'garbage', 'close'), f'garbage: {name}')

    with service.connect() as sock:
        sock.sendall(b'POST /CreateChatToken HTTP/1.1\r\nHost: x\r\n')

    tap.ok(wait_for(lambda: service.requests(limit=1)[0]['body'].endswith(
        'Host: x\r\n')), 'a request that never ends is recorded')
    answer = once(service, plain(signed(), b'x' * 300000))
    tap.equal(answer.status, 413, 'a body over 256 KB is refused')


def test_error_members(service):
    """The members that the model requires."""
    expired = once(service, post(at=time.time() - 999)).json()['message']
    tap.ok(expired.startswith('Signature expired: ')
           and 'is now earlier than' in expired, 'signature expired', expired)
    early = once(service, post(at=time.time() + 999)).json()['message']
    tap.ok(early.startswith('Signature not yet current: '),
           'signature not yet current', early)

    bad = once(service, post(lib.token_body(
        userId='', sessionDurationInMinutes=0))).json()
    tap.equal((bad['reason'], sorted(f['name'] for f in bad['fieldList'])),
              ('FIELD_VALIDATION_FAILED',
               ['sessionDurationInMinutes', 'userId']),
              'every bad field is listed')

    service.config(rooms=[lib.room('other')])
    missing = once(service, post())
    tap.equal((missing.status, missing.json()['resourceId'],
               missing.json()['resourceType']),
              (404, 'g1H2I3j4k5L6', 'ROOM'), 'a room that does not exist')
    service.config(rooms=None)

    ivschat = client(service, secret='wrong')
    tap.equal(client_error(lambda: ivschat.create_chat_token(
        roomIdentifier=lib.room(), userId='x')), INVALID,
              'botocore understands a refusal')


# Faults


def fault(service, name, **members):
    """The answer that a room of this name gets."""
    body = lib.token_body(roomIdentifier=lib.room('fault-' + name), **members)
    return once(service, post(body))


def test_error_faults(service):
    """Faults that are an error of AWS."""
    errors = [
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
    ]

    for name, status, code in errors:
        answer = fault(service, name)
        tap.equal((answer.status, answer.code), (status, code),
                  f'fault-{name}')

    limited = fault(service, 'throttling').json()
    tap.equal(set(limited), {'message', 'resourceId', 'resourceType',
                             'limit'}, 'a throttling has its members')
    tap.equal(fault(service, 'retry-after-1500').get('x-amz-retry-after'),
              '1500', 'x-amz-retry-after')
    tap.ok('s3cret' in fault(service, 'mention-values', userId='eve',
                             attributes={'a': 's3cret'}).json()['message'],
           'a message that quotes values')
    tap.equal([fault(service, 'body-code').json().get('code'),
               fault(service, 'body-type').json().get('__type')],
              ['com.amazonaws.ivschat#ThrottlingException'] * 2,
              'the type in the body')

    ivschat = client(service)
    tap.equal(client_error(lambda: ivschat.create_chat_token(
        roomIdentifier=lib.room('fault-errortype-colon'), userId='x')),
              'ThrottlingException', 'botocore finds the type')


def test_body_faults(service):
    """Faults in the body of a 200."""
    shapes = {
        'wrongtypes': lambda a: a.json()['token'] == 1,
        'missing-token': lambda a: set(a.json()) == FIELDS - {'token'},
        'missing-tokenExpirationTime':
            lambda a: set(a.json()) == FIELDS - {'tokenExpirationTime'},
        'html': lambda a: a.get('content-type') == 'text/html'
        and a.body.startswith(b'<'),
        'empty': lambda a: a.body == b'',
        'notjson': lambda a: fails(a.json),
        'trailing': lambda a: fails(a.json) and a.body.endswith(b'}{}'),
        'duplicate': lambda a: a.body.count(b'"token"') == 2,
        'badutf8': lambda a: b'\xff' in a.body,
        'nul': lambda a: '\0' in a.json()['token'],
        'escaped': lambda a: b'"\\u' in a.body
        and service.token(a.json()['token'])[0] == 200,
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

    for name, check in shapes.items():
        answer = fault(service, name)
        tap.ok(answer.status == 200 and check(answer), f'fault-{name}',
               answer.status, answer.body[:200])


def fails(function):
    """Whether a call raises ValueError."""
    try:
        function()
    except ValueError:
        return True
    return False


def test_time_faults(service):
    """Faults that take time."""
    for name, low in (('slow-300', 0.3), ('pause-300', 0.3),
                      ('drip-1', 0.3), ('drip-body-1', 0.3)):
        started = time.monotonic()
        answer = fault(service, name)
        took = time.monotonic() - started
        tap.ok(answer.status == 200 and set(answer.json()) == FIELDS
               and low <= took < low + 5, f'fault-{name}', took)

    body = lib.token_body(roomIdentifier=lib.room('fault-silence'))
    with service.connect(timeout=0.5) as sock:
        try:
            sock.sendall(post(body))
            tap.ok(False, 'fault-silence', sock.recv(1))
        except socket.timeout:
            tap.ok(True, 'fault-silence')

    tap.ok(wait_for(lambda: service.requests(
        fault='silence')[-1]['client_left']),
           'a client that leaves while it waits is recorded')
    tap.equal(service.connections()['left_waiting'], 1, 'and counted')

    service.config(latency=300)
    started = time.monotonic()
    once(service, post())
    tap.ok(time.monotonic() - started >= 0.3, 'latency')
    service.config(latency=0)


def test_skew(service):
    """The clock of a fault-skew room is off, and Date with it."""
    body = lib.token_body(roomIdentifier=lib.room('fault-skew-3600'))
    refused = once(service, post(body))
    date = ssl.cert_time_to_seconds(date_as_cert(refused.get('date')))
    tap.equal((refused.status, refused.code), (403, INVALID), 'fault-skew')
    tap.ok(abs(date - time.time() - 3600) < 5, 'Date is off as well', date)
    tap.equal(once(service, post(body, at=time.time() + 3600)).status, 200,
              'a corrected date is accepted')

    body = lib.token_body(roomIdentifier=lib.room('fault-skew--600'))
    tap.ok('not yet current' in once(service, post(body)).json()['message'],
           'a clock that is slow')

    service.config(clock_offset=900)
    tap.equal(once(service, post()).code, INVALID, 'clock_offset')
    service.config(clock_offset=0)


def date_as_cert(value):
    """'Tue, 24 Nov 2026 21:00:00 GMT' in the order that ssl can read."""
    _, day, month, year, clock, zone = value.split(' ')
    return f'{month} {day:>2} {clock} {year} {zone}'


def test_connection_faults(service):
    """Faults of the connection, on the wire."""
    def wire(name):
        return raw_bytes(service, post(lib.token_body(
            roomIdentifier=lib.room('fault-' + name))))

    data, end = wire('reset-before')
    tap.equal((data, end), (b'', 'reset'), 'fault-reset-before')
    data, end = wire('reset-headers')
    tap.ok(data.startswith(b'HTTP/1.1 200') and b'\r\n\r\n' not in data
           and end == 'reset', 'fault-reset-headers', data, end)
    data, end = wire('reset-body')
    tap.ok(b'\r\n\r\n{"token"' in data and not data.endswith(b'}')
           and end == 'reset', 'fault-reset-body', data, end)
    tap.equal(wire('close-before'), (b'', 'closed'), 'fault-close-before')
    data, end = wire('truncated')
    tap.ok(b'{"token"' in data and not data.endswith(b'}')
           and end == 'closed', 'fault-truncated', data, end)
    data, end = wire('close')
    tap.ok(b'\r\nConnection: close\r\n' in data and data.endswith(b'}')
           and end == 'closed', 'fault-close', data, end)
    data, end = wire('http10')
    tap.ok(data.startswith(b'HTTP/1.0 200') and b'Content-Length' not in data
           and data.endswith(b'}'), 'fault-http10', data, end)
    data, end = wire('stale')
    tap.ok(b'\r\nConnection: keep-alive\r\n' in data and data.endswith(b'}')
           and end == 'closed', 'fault-stale', data, end)

    started = time.monotonic()
    data, end = wire('stale-300')
    tap.ok(data.endswith(b'}') and time.monotonic() - started >= 0.3,
           'fault-stale-300', data, end)

    with service.connect() as sock:
        first = lib.exchange(sock, post(lib.token_body(
            roomIdentifier=lib.room('fault-stale-next'))))
        try:
            sock.sendall(post())
            end = sock.recv(1)
        except (ConnectionResetError, ssl.SSLEOFError):
            end = 'reset'
    tap.ok(first.status == 200 and end == 'reset', 'fault-stale-next', end)

    with service.connect() as sock:
        sock.sendall(post(lib.token_body(
            roomIdentifier=lib.room('fault-100'))))
        data = sock.recv(100)
    tap.ok(data.startswith(b'HTTP/1.1 100 '), 'fault-100', data)

    answer = fault(service, 'redirect')
    tap.equal((answer.status, answer.get('location')),
              (307, f'https://{AWS_HOST}/elsewhere'), 'fault-redirect')


def test_queue(service):
    """Faults that the control port queues."""
    service.faults({'fault': 'throttling', 'count': 2}, 'status-503')
    tap.equal([once(service, post()).status for _ in range(4)],
              [429, 429, 503, 200], 'faults come in order')

    service.faults({'fault': 'internal', 'user': 'bob', 'after': 1})
    bob = post(lib.token_body(userId='bob'))
    tap.equal([once(service, data).status for data in
               (post(), bob, post(), bob, bob)],
              [200, 200, 200, 500, 200], 'a fault for one user, not at first')

    service.faults({'fault': 'internal', 'every': 3, 'count': None})
    tap.equal([once(service, post()).status for _ in range(6)],
              [500, 200, 200, 500, 200, 200], 'every third, for ever')
    service.faults({'fault': 'not-found', 'room': 'elsewhere'},
                   {'fault': 'not-found', 'region': 'eu-west-1'})
    service.clear_faults()

    tap.equal(once(service, post()).status, 200, 'faults are cleared')
    service.faults('internal')
    tap.equal([once(service, post(secret='wrong')).status,
               once(service, post()).status], [403, 500],
              'a refused request uses no fault up')
    tap.equal([service.control('POST', '/faults', {'fault': name})[0]
               for name in ('nonsense', 'skew-600', 5)], [400] * 3,
              'a fault that does not exist is refused')


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
    tap.equal((len(seen), len(service.requests(room=lib.room()))), (3, 5),
              'requests are found by user and by room')
    tap.equal((seen[0]['headers'][0], seen[0]['method'], seen[0]['target'],
               seen[0]['body'].encode(), seen[0]['sni']),
              (['x-Odd', 'spaced'], 'POST', '/CreateChatToken', body,
               AWS_HOST), 'a request is recorded as it was')
    tap.equal(seen[0]['verdict'], {'status': 200, 'code': 'ok',
                                   'message': None, 'fault': None},
              'with its verdict')
    after = service.connections()
    tap.equal((pipelined, after['opened'] - before['opened'],
               after['connections'][-1]['requests'], open_now),
              (200, 1, 5, 1), 'connections are kept alive and counted')
    tap.equal(service.health()['by_code'], {'ok': 5}, 'counters')

    for _ in range(60):
        once(service, post())
    tap.equal(len(service.requests()), 50, '--keep bounds what is remembered')


def test_config(service):
    """Settings that change while the service runs."""
    added = {'key': 'AKIDNEW', 'secret': 'new', 'account': '210987654321'}
    body = lib.token_body(roomIdentifier=lib.room(account='210987654321'))
    service.config(credentials=[added])
    tap.equal(once(service, post(body, key='AKIDNEW', secret='new')).status,
              200, 'a credential is added')
    service.config(expire_credentials=['AKIDNEW'])
    tap.equal(once(service, post(body, key='AKIDNEW', secret='new')).code,
              'ExpiredTokenException', 'a credential expires')
    service.config(remove_credentials=['AKIDNEW'])
    tap.equal(once(service, post(body, key='AKIDNEW', secret='new')).code,
              UNRECOGNIZED, 'a credential is removed')

    service.config(rate=5)
    statuses = burst(service, 12)
    tap.ok(5 <= statuses.count(200) <= 7
           and statuses.count(429) == 12 - statuses.count(200),
           'the rate is limited', statuses)
    other = post(lib.token_body(roomIdentifier=lib.room(region='eu-west-1')),
                 region='eu-west-1', host='ivschat.eu-west-1.amazonaws.com')
    tap.equal(once(service, other).status, 200, 'each region for itself')
    service.config(rate=None)
    tap.ok('secret' not in json.dumps(service.config()['credentials']),
           'secrets are not shown')
    tap.equal([service.control('PUT', '/config', value)[0] for value in
               ({'rat': 1}, {'rate': 'x'}, [], {'latency': True})],
              [400] * 4, 'a bad setting is refused')
    tap.equal(service.control('GET', '/nothing')[0], 404, 'an unknown path')


def burst(service, count):
    """The statuses of requests in quick succession."""
    with service.connect() as sock:
        return [lib.exchange(sock, post()).status for _ in range(count)]


def test_tls(service):
    """The certificates, good and bad."""
    for name in (AWS_HOST, 'localhost', '127.0.0.1', 'chat.test',
                 'ivschat-fips.eu-central-1.api.aws'):
        with service.connect(server_hostname=name) as sock:
            tap.ok(sock.version() in ('TLSv1.2', 'TLSv1.3'),
                   f'the certificate is good for {name}')

    reasons = {'unknown_ca': 'unable to get local issuer',
               'wrong_name': 'Hostname mismatch',
               'expired': 'certificate has expired'}

    for name, reason in reasons.items():
        try:
            service.connect(port=service.bad_tls[name]).close()
            tap.ok(False, f'a certificate that is bad: {name}')
        except ssl.SSLCertVerificationError as error:
            tap.ok(reason in str(error), f'a certificate that is bad: {name}',
                   error)


def test_load(service):
    """Many connections at once, all kept alive."""
    def mint(sock):
        return lib.exchange(sock, post()).status

    socks = [service.connect() for _ in range(200)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = [status for _ in range(3)
                    for status in pool.map(mint, socks)]

    tap.equal((statuses.count(200), service.connections()['open']),
              (600, 200), '200 connections, three requests on each')

    for sock in socks:
        sock.close()


def test_options():
    """Other options, and the end of the process."""
    with lib.Service(args=['--room', lib.room('only'), '--rate', 'off',
                           '--allow-unsigned-content-type',
                           '--token-lifetime', 60]) as service:
        only = lib.token_body(roomIdentifier=lib.room('only'))
        unsigned = plain(
            signed(only, headers=[('Content-Type', None)])
            + [('Content-Type', 'application/json')], only)
        tap.equal((once(service, post()).status,
                   once(service, post(only)).status,
                   once(service, unsigned).status), (404, 200, 200),
                  '--room, --allow-unsigned-content-type')
        token = once(service, post(only)).json()['token']
        life = service.token(token)[1]['expires'] - time.time()
        tap.ok(50 < life <= 60, '--token-lifetime', life)
        body = lib.token_body(roomIdentifier=lib.room('fault-silence'))
        service.config(rooms=None)
        waiting = service.connect()
        waiting.sendall(post(body))

    tap.equal(service.exit_status, 0, 'SIGTERM ends the service at once')
    waiting.close()
    test_parent()


def test_parent():
    """--parent: the service goes with the process that wanted it."""
    with tempfile.TemporaryDirectory() as directory:
        parent = subprocess.Popen(['sleep', '60'])
        process = subprocess.Popen(
            ['/usr/bin/python3', str(lib.SERVICE), '--dir', directory,
             '--parent', str(parent.pid)], stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        ready = os.path.exists(directory + '/ports.json')
        parent.kill()
        parent.wait()
        tap.equal((line.startswith('IVS Chat at https://127.0.0.1:'), ready,
                   process.wait(10), process.stdout.read()),
                  (True, True, 0, ''), '--parent')
        process.stdout.close()


def wait_for(condition):
    """Whether something comes true within two seconds."""
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.02)
    return False


def main():
    """Run everything against one service."""
    with tempfile.TemporaryDirectory() as directory:
        credentials = pathlib.Path(directory) / 'credentials.json'
        credentials.write_text(json.dumps([
            {'key': 'ASIATEMP', 'secret': 'temp',
             'token': 'AQoDYXdzEPT//////////wEXAMPLEtoken=='},
            {'key': 'ASIAOLD', 'secret': 'old', 'token': 'old',
             'expired': True}]), 'utf-8')

        with lib.Service(args=['--credentials', credentials, '--bad-tls',
                               '--rate', 'off', '--san', 'chat.test',
                               '--keep', 50]) as service:
            token = test_botocore(service)
            test_redeem(service, token)
            test_accepted(service)
            test_refusals(service)
            test_error_members(service)
            test_error_faults(service)
            test_body_faults(service)
            test_time_faults(service)
            test_skew(service)
            test_connection_faults(service)
            test_queue(service)
            test_journal(service)
            test_config(service)
            test_tls(service)
            test_load(service)

    test_options()
    tap.done()


main()
