"""Clients that lie in their bodies: whatever they say, AWS is never asked for
more than the policy grants."""

import json
import random

import pytest

from ivschat_testlib import room
from nginx_testlib import (Http2, Nginx, ask, check_bodies, chunked, is_token,
                           js, request, sent, told)

pytestmark = pytest.mark.usefixtures('fresh')

LOBBY, STAGE, STAFF = room('lobby'), room('stage'), room('staff')
FOREIGN = room('foreign')
ALL = ['SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE']
MARK = 'mallory'                       # in what must never get through

SERVER = f'''
    ivschat_token_attribute badge viewer;

    location = /plain {{
        ivschat_token                   /ivschat;
        ivschat_token_room              {STAFF} if=$arg_staff trusted;
        ivschat_token_room              {LOBBY};
        ivschat_token_capabilities      SEND_MESSAGE;
        ivschat_token_capabilities      DELETE_MESSAGE if=$arg_mod trusted;
        ivschat_token_client_body       on;
        ivschat_token_client_attributes username;
    }}

    location = /named {{
        ivschat_token                   /ivschat;
        ivschat_token_room              name=lobby {LOBBY};
        ivschat_token_room              name=stage {STAGE};
        ivschat_token_room              name=staff {STAFF} if=$arg_staff trusted;
        ivschat_token_room_name         $arg_room;
        ivschat_token_capabilities      SEND_MESSAGE DELETE_MESSAGE;
        ivschat_token_session_duration  30m;
        ivschat_token_client_body       on;
        ivschat_token_client_attributes username badge;
    }}

    location = /asked {{
        ivschat_token                   /ivschat;
        ivschat_token_room              name=lobby {LOBBY};
        ivschat_token_room              name=stage {STAGE};
        ivschat_token_room              name=staff {STAFF} if=$arg_staff trusted;
        ivschat_token_capabilities      SEND_MESSAGE DELETE_MESSAGE;
        ivschat_token_session_duration  30m;
        ivschat_token_client_body       on;
        ivschat_token_client_attributes username badge;
    }}

    location = /picked {{
        ivschat_token                   /ivschat;
        ivschat_token_room              name=lobby {LOBBY};
        ivschat_token_room              name=stage {STAGE};
        ivschat_token_room_name         $arg_room;
        ivschat_token_capabilities      none;
        ivschat_token_session_duration  180m;
        ivschat_token_client_body       on;
    }}

    location = /off {{
        ivschat_token                   /ivschat;
        ivschat_token_room              {LOBBY};
        ivschat_token_capabilities      SEND_MESSAGE;
        ivschat_token_client_attributes username;
    }}
'''

# What each location grants: rooms, capabilities, minutes (the most), and the
# attributes that a client may set.  "badge" is always the policy's.

POLICIES = {
    '/plain': ({LOBBY}, {'SEND_MESSAGE'}, 60, {'username'}),
    '/named?room=lobby': ({LOBBY}, {'SEND_MESSAGE', 'DELETE_MESSAGE'}, 30,
                          {'username'}),
    '/asked': ({LOBBY, STAGE}, {'SEND_MESSAGE', 'DELETE_MESSAGE'}, 30,
               {'username'}),
    '/picked?room=stage': ({STAGE}, set(), 180, set()),
    '/off': ({LOBBY}, {'SEND_MESSAGE'}, 60, set()),
}


def raw(text):
    """Bytes of a text, with ROOM for the room that may be had."""
    return text.replace('ROOM', LOBBY).replace('FOREIGN', FOREIGN).encode(
        'utf-8', 'surrogatepass')


# The lies: what is said, and what /plain makes of it, "token" or a status.


def users():
    """Another user."""
    for value in (MARK, '', None, 7, True, [MARK], {'id': MARK}, MARK * 100,
                  'alice', '-', f'alice,{MARK}', f'alice\n{MARK}'):
        yield f'userId {value!r}', js(userId=value), 'token'

    for name in ('UserId', 'userID', 'user_id', 'user', 'uid', 'sub', 'name',
                 'userId ', ' userId', 'remote_user', 'ivschat_token_user',
                 'http_x_user'):
        yield f'"{name}"', js(**{name: MARK}), 'token'

    yield 'userId, escaped', b'{"user\\u0049d":"mallory"}', 'token'
    yield 'two users', b'{"userId":"alice","userId":"mallory"}', 400
    yield ('two users, one escaped',
           b'{"userId":"alice","\\u0075serId":"mallory"}', 400)
    yield 'a user in the attributes', js(attributes={'userId': MARK}), 'token'
    yield ('a user in an object', js(request={'userId': MARK, 'arn': FOREIGN}),
           'token')
    yield 'a user with NUL', b'{"userId":"alice\\u0000mallory"}', 400


def rooms():
    """Another room."""
    for arn in (FOREIGN, STAGE, STAFF, room('lobby', account='999999999999'),
                room('lobby', region='eu-west-1'), LOBBY + '2', LOBBY[:-1],
                LOBBY.upper(), LOBBY + ' ', ' ' + LOBBY, LOBBY + '\n',
                LOBBY + '/../foreign', LOBBY.replace('lobby', '*'), '*', '',
                'lobby', 'staff', 'foreign', LOBBY + ',' + FOREIGN,
                LOBBY + '?', LOBBY.replace('lobby', 'lob%62y'),
                LOBBY.replace('o', 'ο'), LOBBY.replace('aws', 'aws-cn'),
                '$ivschat_token_room', 'null', '0'):
        yield f'arn {arn!r}', js(arn=arn), 403
        yield f'roomIdentifier {arn!r}', js(roomIdentifier=arn), 403

    for value in (None, 0, True, [LOBBY], [FOREIGN], {'arn': FOREIGN}):
        yield f'arn {value!r}', js(arn=value), 400

    yield 'arn, then another', js(arn=LOBBY, roomIdentifier=FOREIGN), 400
    yield 'another, then arn', js(roomIdentifier=FOREIGN, arn=LOBBY), 400
    yield 'two arns', raw('{"arn":"ROOM","arn":"FOREIGN"}'), 400
    yield 'two arns, turned', raw('{"arn":"FOREIGN","arn":"ROOM"}'), 400
    yield ('two arns, one escaped',
           raw('{"arn":"ROOM","a\\u0072n":"FOREIGN"}'), 400)
    yield 'two arns, the same', raw('{"arn":"ROOM","arn":"ROOM"}'), 400
    yield 'arn, escaped', raw('{"\\u0061\\u0072\\u006E":"FOREIGN"}'), 403
    yield 'arn with NUL behind its name', raw('{"arn\\u0000":"FOREIGN"}'), 400
    yield 'arn with NUL in it', raw('{"arn":"ROOM\\u0000FOREIGN"}'), 400
    yield 'arn in another case', js(ARN=FOREIGN, RoomIdentifier=STAFF), 'token'
    yield 'other names', js(room=FOREIGN, roomArn=FOREIGN, roomId='foreign',
                            room_name='staff', chatRoomId=FOREIGN), 'token'
    yield 'a room in the attributes', js(attributes={'arn': FOREIGN}), 'token'


def capabilities():
    """More rights."""
    for value in (ALL, ALL[1:], ['DELETE_MESSAGE'], ['DISCONNECT_USER'],
                  ALL * 20):
        yield f'capabilities {value[:4]}', js(capabilities=value), 'token'

    for value in (['ADMIN'], ['*'], ['SEND_MESSAGE', '*'], ['send_message'],
                  ['SEND_MESSAGE\n'], [' DELETE_MESSAGE'], [''], [None], [1],
                  [['DELETE_MESSAGE']], [{'x': 'DELETE_MESSAGE'}],
                  ['SEND_MESSAGE,DELETE_MESSAGE'], '*', 'DELETE_MESSAGE',
                  {'DELETE_MESSAGE': True}, 7, None, True):
        yield f'capabilities {value!r}', js(capabilities=value), 400

    yield ('two of them', b'{"capabilities":["SEND_MESSAGE"],'
           b'"capabilities":["DELETE_MESSAGE"]}', 400)
    yield ('two of them, one escaped', b'{"capabilities":[],'
           b'"c\\u0061pabilities":["DELETE_MESSAGE"]}', 400)
    yield ('escaped', b'{"capabilities":["D\\u0045LETE_MESSAGE"]}', 'token')
    yield 'with NUL', b'{"capabilities":["DELETE_MESSAGE\\u0000"]}', 400
    yield ('other names', js(Capabilities=ALL, capability=ALL, roles=ALL,
                             isModerator=True, mod=1), 'token')


def durations():
    """A longer session."""
    for name in ('durationInMinutes', 'sessionDurationInMinutes'):
        for value in ('61', '90', '180', '181', '1000000', '2147483648',
                      '4294967297', '9223372036854775808',
                      '18446744073709551617', '1e10', '1e300', '6.1e1',
                      '18e1', '1E+2', '9' * 63):
            yield f'{name} {value}', f'{{"{name}":{value}}}'.encode(), 'token'
        for value in ('0', '-0', '-1', '-1e300', '1e400', '0.5', '60.5',
                      '1e-400', '"180"', 'true', 'null', '[180]', '{}',
                      '0x3c', '+60', '060', '6_0', '60m', 'Infinity', 'NaN',
                      '9' * 64):
            yield f'{name} {value}', f'{{"{name}":{value}}}'.encode(), 400

    yield ('both, one longer', js(durationInMinutes=5,
                                  sessionDurationInMinutes=180), 400)
    yield ('two of them', b'{"durationInMinutes":5,"durationInMinutes":180}',
           400)
    yield ('other names', js(duration=180, sessionDuration=180,
                             DurationInMinutes=180), 'token')


def attributes():
    """An attribute that it may not set."""
    for name in ('badge', 'role', 'Badge', 'BADGE', 'badge ', ' badge',
                 'bаdge', 'badge\n', '__proto__', 'constructor', '',
                 'Username', 'username ', 'user', 'usernamee', 'moderator',
                 'a' * 2000):
        yield (f'attribute {name[:20]!r}', js(attributes={name: MARK}),
               'token')

    for value in (1, None, True, ['x'], {'badge': 'x'}):
        yield (f'attribute of {value!r}', js(attributes={'username': value}),
               400)

    for value in ([], [['badge', MARK]], 'badge', None, 7):
        yield f'attributes {value!r}', js(attributes=value), 400

    yield ('escaped', b'{"attributes":{"b\\u0061dge":"mallory"}}', 'token')
    yield ('NUL behind the name',
           b'{"attributes":{"username\\u0000badge":"mallory"}}', 400)
    yield ('NUL in the value',
           b'{"attributes":{"username":"a\\u0000badge"}}', 400)
    yield ('two of one', b'{"attributes":{"username":"a","username":"b"}}',
           400)
    yield ('two objects', b'{"attributes":{},"attributes":{"badge":"x"}}', 400)
    yield ('300 of them', js(attributes={f'{MARK}{i}': MARK
                                         for i in range(300)}), 'token')
    yield ('more than 1 KB', js(attributes={'username': 'x' * 1100}), 400)
    yield ('JSON in the value', js(attributes={
        'username': '","badge":"moderator","x":"'}), 'token')
    yield ('a value that ends the object', js(attributes={
        'username': '"},"capabilities":["DELETE_MESSAGE"]}'}), 'token')
    yield ('beside the object', js(badge=MARK, username=MARK), 'token')


def structures():
    """Readers that read differently."""
    grab = js(arn=FOREIGN, capabilities=ALL, durationInMinutes=180)

    for name, body in (
            ('a second object', b'{}' + grab),
            ('a second one on a line of its own', b'{}\n' + grab),
            ('behind NUL', b'{}\0' + grab),
            ('in an array', b'[' + grab + b']'),
            ('in a string', json.dumps(grab.decode()).encode()),
            ('behind a comment', b'/*{}*/' + grab),
            ('in a comment', b'{/*' + grab + b'*/}'),
            ('behind a byte order mark', b'\xef\xbb\xbf' + grab),
            ('UTF-16', grab.decode().encode('utf-16-le')),
            ('UTF-32', grab.decode().encode('utf-32-be')),
            ('a form', b'arn=' + FOREIGN.encode()),
            ('multipart', b'--x\r\nContent-Disposition: form-data; '
             b'name="arn"\r\n\r\n' + FOREIGN.encode() + b'\r\n--x--'),
            ('XML', b'<arn>' + FOREIGN.encode() + b'</arn>'),
            ('no UTF-8', b'{"x":"\xff",' + grab[1:]),
            ('an overlong quote', b'{"x":"\xc0\xa2,' + grab[1:]),
            ('a lone surrogate', b'{"x":"\\ud800",' + grab[1:]),
            ('deep', b'{"x":' + b'[' * 500 + b']' * 500 + b',' + grab[1:]),
            ('a request', b'GET /evil HTTP/1.1\r\nHost: x\r\n\r\n'),
            ('single quotes', grab.replace(b'"', b"'")),
            ('no quotes', b'{arn:1}'), ('a comma too many', b'{"a":1,}'),
            ('no end', grab[:-1]), ('two ends', grab + b'}'),
            ('a control character', b'\x0b' + grab)):
        yield name, body, 400

    yield 'the whole of it', js(
        userId=MARK, capabilities=ALL, durationInMinutes=180,
        attributes={'badge': MARK, 'username': 'Al'}), 'token'
    yield 'a thousand members', ('{' + ','.join(
        f'"{i:x}":0' for i in range(1000)) + '}').encode(), 'token'
    yield 'further in', js(x={'arn': FOREIGN, 'capabilities': ALL}), 'token'
    yield '8193 bytes', b' ' * 8192 + b'{', 413


def too_much(target, asked):
    """What of it is more than the policy grants."""
    allowed_rooms, granted, minutes, own = POLICIES[target]
    unknown = set(asked) - {'roomIdentifier', 'userId', 'capabilities',
                            'sessionDurationInMinutes', 'attributes'}
    given = asked.get('attributes', {})
    wrong = []

    if unknown:
        wrong.append(f'members {unknown}')
    if asked['userId'] != 'alice':
        wrong.append('the user')
    if asked['roomIdentifier'] not in allowed_rooms:
        wrong.append('the room')
    if not set(asked.get('capabilities', [])) <= granted:
        wrong.append('the capabilities')
    if asked.get('sessionDurationInMinutes', 60) > minutes:
        wrong.append('the duration')
    if given.get('badge') != 'viewer' or not set(given) <= own | {'badge'}:
        wrong.append('the attributes')
    return wrong


# The same body in different ways.

DICE = random.Random(26)


def whole(nginx, target, body):
    return ask(nginx.port, request(target, body=body))


def in_chunks(nginx, target, body):
    return ask(nginx.port, chunked(target, body,
                                   size=DICE.randrange(1, 900)))


def by_http2(nginx, target, body):
    with Http2(nginx.h2port) as client:
        return client.ask(target, body=body)


WAYS = (whole, in_chunks, by_http2)
LIES = [(f'{group.__name__}: {name}'[:60], body, expected)
        for group in (users, rooms, capabilities, durations, attributes,
                      structures)
        for name, body, expected in group()]


@pytest.fixture(scope='module')
def nginx(service):
    with Nginx(service, server=SERVER) as nginx:
        yield nginx
        check_bodies(nginx)
        assert MARK not in nginx.error_log()
        nginx.check()


def test_there_are_over_100_lies():
    assert len(LIES) >= 100


@pytest.mark.parametrize('way, body, expected', [
    pytest.param(WAYS[number % 3], body, expected, id=name)
    for number, (name, body, expected) in enumerate(LIES)])
def test_no_lie_gets_more_than_the_policy_grants(nginx, service, way, body,
                                                 expected):
    for target in POLICIES:
        answer = way(nginx, target, body)
        asked = sent(service)
        assert len(asked) == is_token(answer), target
        for one in asked:
            assert too_much(target, one) == [], (target, one)
            assert MARK not in json.dumps(one), (target, one)
        if target == '/plain':
            assert ('token' if is_token(answer) else answer.status) == expected
        if target == '/off':
            assert told(answer) == 'token'      # nobody looks at it


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('target, body, expected', [
    ('/plain?mod=1', js(capabilities=ALL), {
        'roomIdentifier': LOBBY,
        'capabilities': ['SEND_MESSAGE', 'DELETE_MESSAGE']}),
    ('/plain?staff=1', js(arn=STAFF), {
        'roomIdentifier': STAFF, 'capabilities': ['SEND_MESSAGE']}),
    ('/asked?staff=1', js(arn=STAFF, durationInMinutes=180), {
        'roomIdentifier': STAFF, 'sessionDurationInMinutes': 30,
        'capabilities': ['SEND_MESSAGE', 'DELETE_MESSAGE']}),
], ids=['a moderator', 'staff', 'staff that asks'])
def test_the_truth_gets_what_is_granted(nginx, service, way, target, body,
                                        expected):
    assert told(way(nginx, target, body)) == 'token'
    asked, = sent(service)
    assert asked == {**expected, 'userId': 'alice',
                     'attributes': {'badge': 'viewer'}}
    # which would be too much without the argument: too_much() is not blind
    assert too_much(target.split('?')[0], asked)
