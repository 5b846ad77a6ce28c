"""A client's body that counts: AWS's demo apps, the rules, and the ways that
a body can come."""

import contextlib
import json
import re
import time

import pytest

from ivschat_testlib import room
from nginx_testlib import (AFTER, EVIL, Client, Http2, Nginx, ask,
                           check_bodies, chunk, chunked, code, is_token, js,
                           request, sent, then_after, told)

pytestmark = pytest.mark.usefixtures('fresh')

LIMIT = 8192
LOBBY, STAGE, STAFF = room('lobby'), room('stage'), room('staff')
ALL = ['SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE']
SECRET_TEXT = 'never-in-a-log'

# What the demo for Android parses, and nothing else.
ANDROID_TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z')


ROOMS = f'''
        ivschat_token_room name=lobby {LOBBY};
        ivschat_token_room name=stage {STAGE};
        ivschat_token_room name=staff {STAFF} if=$arg_staff trusted;
'''

SERVER = f'''
    # as an operator would serve the demo apps
    location = /auth {{
        ivschat_token                   /ivschat;
        {ROOMS}
        ivschat_token_capabilities      SEND_MESSAGE;
        ivschat_token_capabilities      DELETE_MESSAGE DISCONNECT_USER
                                        if=$arg_mod trusted;
        ivschat_token_client_body       on;
        ivschat_token_client_attributes username avatar;
        ivschat_token_methods           POST GET;
    }}

    location = /picked {{
        ivschat_token             /ivschat;
        {ROOMS}
        ivschat_token_room_name   $arg_room;
        ivschat_token_client_body on;
    }}

    location = /single {{
        ivschat_token             /ivschat;
        ivschat_token_room        name=lobby {LOBBY};
        ivschat_token_client_body on;
    }}

    location = /single-picked {{
        ivschat_token             /ivschat;
        ivschat_token_room        name=lobby {LOBBY};
        ivschat_token_room_name   $arg_room;
        ivschat_token_client_body on;
    }}

    location = /twice {{
        ivschat_token              /ivschat;
        ivschat_token_room         name=mod  {LOBBY} if=$arg_mod trusted;
        ivschat_token_room         name=view {LOBBY} if=$arg_view trusted;
        ivschat_token_capabilities SEND_MESSAGE if=$arg_mod trusted;
        ivschat_token_client_body  on;
        ivschat_token_attribute    room $ivschat_token_room_name;
    }}

    # a room without a name, as the http level has it
    location = /plain {{
        ivschat_token             /ivschat;
        ivschat_token_client_body on;
    }}

    location = /wishes {{
        ivschat_token                   /ivschat;
        ivschat_token_capabilities      SEND_MESSAGE DELETE_MESSAGE;
        ivschat_token_session_duration  90m;
        ivschat_token_client_body       on;
        ivschat_token_client_attributes username avatar badge;
        ivschat_token_attribute         badge  $arg_badge trusted;
        ivschat_token_attribute         caps   $ivschat_token_capabilities;
        ivschat_token_attribute server "{'s' * 400}" if=$arg_long trusted;
    }}

    location = /small {{
        ivschat_token             /ivschat;
        ivschat_token_client_body on;
        client_max_body_size      1k;
    }}

    location = /tiny-buffer {{
        ivschat_token             /ivschat;
        ivschat_token_client_body on;
        client_body_buffer_size   64;
    }}

    location = /impatient {{
        ivschat_token             /ivschat;
        ivschat_token_client_body on;
        client_body_timeout       500ms;
    }}

    location = /mirrored {{
        ivschat_token             /ivschat;
        ivschat_token_client_body on;
        client_body_buffer_size   64;
        mirror                    /mirror;
    }}

    location = /mirrored-off {{
        ivschat_token             /ivschat;
        mirror                    /mirror;
    }}

    location = /mirror {{
        internal;
        return 204;
    }}

    # a location that another one's error page leads to
    location = /first {{
        ivschat_token                  /ivschat;
        ivschat_token_room             {STAFF} if=$arg_staff trusted;
        ivschat_token_client_body      on;
        ivschat_token_intercept_errors on;
        error_page                     400 403 413 = /second;
    }}

    location = /first-off {{
        ivschat_token                  /ivschat;
        ivschat_token_room             {STAFF} if=$arg_staff trusted;
        ivschat_token_intercept_errors on;
        error_page                     403 = /second;
    }}

    location = /first-off-off {{
        ivschat_token                  /ivschat;
        ivschat_token_room             {STAFF} if=$arg_staff trusted;
        ivschat_token_intercept_errors on;
        error_page                     403 = /second-off;
    }}

    location = /second-off {{
        ivschat_token                  /ivschat;
        ivschat_token_room             {LOBBY};
        ivschat_token_capabilities     SEND_MESSAGE;
        ivschat_token_methods          POST GET;
    }}

    location = /second {{
        ivschat_token                  /ivschat;
        ivschat_token_room             {LOBBY};
        ivschat_token_capabilities     SEND_MESSAGE;
        ivschat_token_client_body      on;
        ivschat_token_methods          POST GET;
    }}
'''

# The bodies that the apps post: the location, what each sends, and what AWS
# is asked for besides the user and the attributes.
ATTRIBUTES = {'username': 'Alice É', 'avatar': 'https://example.com/1.png'}
AXIOS = [('Accept', 'application/json, text/plain, */*'),
         ('Content-Type', 'application/json'),
         ('Origin', 'http://localhost:3000')]
OKHTTP = [('Content-Type', 'application/json; charset=UTF-8'),
          ('Accept-Encoding', 'gzip'), ('User-Agent', 'okhttp/4.9.3')]
IOS = [('Content-Type', 'application/json'), ('Accept', '*/*')]
MODERATOR = {'arn': STAGE, 'userId': 'm', 'attributes': ATTRIBUTES,
             'capabilities': ['SEND_MESSAGE', 'DELETE_MESSAGE',
                              'DISCONNECT_USER']}
CAROL = {'durationInMinutes': 55, 'attributes': ATTRIBUTES,
         'userId': 'Carol', 'roomIdentifier': LOBBY}
DEMOS = {
    'web': ('/auth', AXIOS, js(
        arn=LOBBY, userId='Alice.9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d',
        attributes=ATTRIBUTES, capabilities=['SEND_MESSAGE']),
        {'roomIdentifier': LOBBY, 'capabilities': ['SEND_MESSAGE']}),
    'web, a moderator': ('/auth?mod=1', AXIOS, js(**MODERATOR), {
        'roomIdentifier': STAGE, 'capabilities': ALL}),
    'web, no moderator': ('/auth', AXIOS, js(**MODERATOR), {
        'roomIdentifier': STAGE, 'capabilities': ['SEND_MESSAGE']}),
    'Android': ('/auth', OKHTTP, js(
        roomIdentifier=LOBBY, userId='Bob', attributes=ATTRIBUTES,
        capabilities=['SEND_MESSAGE'], durationInMinutes=55),
        {'roomIdentifier': LOBBY, 'capabilities': ['SEND_MESSAGE'],
         'sessionDurationInMinutes': 55}),
    'iOS, reading': ('/auth', IOS, json.dumps(
        {'capabilities': [], **CAROL}, indent=2).encode(),
        {'roomIdentifier': LOBBY, 'sessionDurationInMinutes': 55}),
    'iOS, writing': ('/auth', IOS, json.dumps(
        {'capabilities': ['SEND_MESSAGE'], **CAROL}).replace(
            '/', '\\/').encode(),
        {'roomIdentifier': LOBBY, 'capabilities': ['SEND_MESSAGE'],
         'sessionDurationInMinutes': 55}),
}

REFUSED = {
    'no JSON': b'x',
    'a form': b'arn=' + LOBBY.encode(),
    'a blank': b' ',
    'half an object': b'{"arn":"x"',
    'an array': b'[]',
    'an array around it': b'[' + js(arn=LOBBY) + b']',
    'null': b'null',
    'a string': b'"x"',
    'a number': b'1',
    'single quotes': b"{'arn':1}",
    'a comma too many': b'{"a":1,}',
    'a comment': b'{}/**/',
    'NaN': b'{"x":NaN}',
    '01': b'{"durationInMinutes":01}',
    '+1': b'{"x":+1}',
    'something behind it': js(arn=LOBBY) + b'x',
    'another one behind it': js(arn=LOBBY) * 2,
    'a byte order mark': b'\xef\xbb\xbf' + js(arn=LOBBY),
    'UTF-16': json.dumps({'arn': LOBBY}).encode('utf-16'),
    'no UTF-8': b'{"x":"\xff"}',
    'an overlong form': b'{"x":"\xc0\xaf"}',
    'a surrogate in UTF-8': b'{"x":"\xed\xa0\x80"}',
    'a lone surrogate': b'{"x":"\\ud800"}',
    'NUL behind it': js(arn=LOBBY) + b'\0',
    'NUL in it': b'{"x":"a\0b"}',
    'NUL, escaped': b'{"x":"\\u0000"}',
    'NUL in a name': b'{"arn\\u0000x":1}',
    'a bare line end in a string': b'{"x":"a\nb"}',
    'a control character for a blank': b'{\x01}',
    '17 levels': b'{"x":' + b'[' * 16 + b']' * 16 + b'}',
    '4000 levels': b'[' * 4000 + b']' * 4000,
    '4000 levels that do not end': b'{"x":' * 1000,
    'a number of 64 digits': b'{"x":' + b'1' * 64 + b'}',
    'arn: a number': js(arn=1),
    'arn: null': js(arn=None),
    'arn: an array': js(arn=[LOBBY]),
    'roomIdentifier: an object': js(roomIdentifier={}),
    'arn and roomIdentifier that differ': js(arn=LOBBY, roomIdentifier=STAGE),
    'no room': b'{}',
    'no body, and so no room': b'',
    'no body at all': None,
    'the room in another case': js(ARN=LOBBY),
    'two of one name': b'{"arn":"x","arn":"x"}'.replace(
        b'x', LOBBY.encode()),
    'two of one name, one escaped': b'{"arn":"%b","\\u0061rn":"%b"}' % (
        LOBBY.encode(), STAGE.encode()),
    'two of a name that is ignored': b'{"userId":1,"userId":2}',
    'two in a part that is ignored': b'{"x":[{"a":1,"a":1}]}',
    'capabilities: a string': js(arn=LOBBY, capabilities='SEND_MESSAGE'),
    'capabilities: null': js(arn=LOBBY, capabilities=None),
    'capabilities: an object': js(arn=LOBBY, capabilities={}),
    'capabilities: a number in it': js(arn=LOBBY, capabilities=[1]),
    'capabilities: an unknown one': js(
        arn=LOBBY, capabilities=['SEND_MESSAGE', 'ADMIN']),
    'capabilities: another case': js(arn=LOBBY, capabilities=['send_message']),
    'duration: 0': js(arn=LOBBY, durationInMinutes=0),
    'duration: below 0': js(arn=LOBBY, sessionDurationInMinutes=-1),
    'duration: -0': b'{"durationInMinutes":-0}',
    'duration: a half': js(arn=LOBBY, durationInMinutes=55.5),
    'duration: infinite': b'{"durationInMinutes":1e400}',
    'duration: a string': js(arn=LOBBY, durationInMinutes='55'),
    'duration: null': js(arn=LOBBY, durationInMinutes=None),
    'duration: true': js(arn=LOBBY, durationInMinutes=True),
    'two durations that differ': js(
        arn=LOBBY, durationInMinutes=5, sessionDurationInMinutes=6),
    'attributes: an array': js(arn=LOBBY, attributes=[]),
    'attributes: null': js(arn=LOBBY, attributes=None),
    'attributes: a number': js(arn=LOBBY, attributes={'username': 1}),
    'attributes: null in it': js(arn=LOBBY, attributes={'x': None}),
    'attributes: an object in it': js(arn=LOBBY, attributes={'x': {}}),
}

# Bodies that all mean a token for LOBBY.
IGNORED = {
    'nothing but the room': js(arn=LOBBY),
    'another user': js(arn=LOBBY, userId='mallory'),
    'a user of another type': js(arn=LOBBY, userId=[{}]),
    'a user that is null': js(arn=LOBBY, userId=None),
    'unknown members': js(arn=LOBBY, x={'y': [1, None, -2.5e-3]},
                          user='bob', tokenType='admin'),
    'known names in another case': js(
        arn=LOBBY, UserId=1, Capabilities=1, ARN=7, DurationInMinutes='x',
        Attributes=0),
    'known names further in': js(arn=LOBBY, x={'arn': 1, 'capabilities': 7}),
    'both names of the room': js(arn=LOBBY, roomIdentifier=LOBBY),
    'no attributes': js(arn=LOBBY, attributes={}),
    'attributes that it may not set': js(arn=LOBBY, attributes={
        'role': 'admin', '': 'x', 'Username': 'x'}),
    'empty attributes': js(arn=LOBBY, attributes={'username': '',
                                                  'avatar': ''}),
    '16 levels': b'{"arn":"%b","x":' % LOBBY.encode() + b'[' * 15
                 + b']' * 15 + b'}',
    'blanks around it': b' \t\r\n' + js(arn=LOBBY) + b'\r\n \t',
    'escapes': b'{"\\u0061\\u0072\\u006e":"'
               + LOBBY.replace('/', '\\/').encode() + b'"}',
}

# The room, in the location and in the body (None: it names none), and the
# room of the token or the refusal.
OTHER = room('other')
NO, NONE, MISSING = ((403, 'room_forbidden'), (400, 'invalid_request'),
                     (404, 'room_not_found'))
IN_ROOMS = [
    ('/auth', LOBBY, LOBBY), ('/auth', STAGE, STAGE),
    ('/auth', OTHER, MISSING), ('/auth', 'lobby', MISSING),
    ('/auth', '', MISSING), ('/auth', LOBBY + ' ', MISSING),
    ('/auth', LOBBY.upper(), MISSING), ('/auth', STAFF, NO),
    ('/auth?staff=1', STAFF, STAFF), ('/auth', None, NONE),

    ('/picked?room=lobby', None, LOBBY), ('/picked?room=lobby', LOBBY, LOBBY),
    ('/picked?room=lobby', STAGE, NO), ('/picked?room=lobby', OTHER, NO),
    ('/picked?room=staff', STAFF, NO), ('/picked?room=other', LOBBY, MISSING),
    ('/picked', STAGE, STAGE), ('/picked', None, NONE),
    ('/picked', OTHER, MISSING),

    ('/single', None, LOBBY), ('/single', LOBBY, LOBBY),
    ('/single', STAGE, MISSING),
    ('/single-picked?room=lobby', None, LOBBY),
    ('/single-picked?room=lobby', STAGE, NO),
    ('/single-picked?room=other', None, MISSING),
    ('/single-picked', LOBBY, LOBBY), ('/single-picked', None, NONE),

    ('/twice?mod=1', LOBBY, LOBBY), ('/twice?view=1', LOBBY, LOBBY),
    ('/twice', LOBBY, NO), ('/twice?mod=1', STAGE, MISSING),

    ('/plain?room=lobby', None, LOBBY), ('/plain?room=lobby', LOBBY, LOBBY),
    ('/plain?room=lobby', STAGE, NO), ('/plain?room=lobby', '', NO),
]

# A body that says more than the room, and what AWS is asked for then.
BODY = js(arn=STAGE, capabilities=[], durationInMinutes=5)
ASKED = {'roomIdentifier': STAGE, 'userId': 'alice',
         'sessionDurationInMinutes': 5}
PLAIN = {'roomIdentifier': LOBBY, 'userId': 'alice',
         'capabilities': ['SEND_MESSAGE']}
GRANTED = ['SEND_MESSAGE', 'DELETE_MESSAGE']
TOO_LARGE = (413, 'request_too_large')
INVALID = (400, 'invalid_request')
EXPECT = [('Expect', '100-continue')]


def padded(size):
    """A good body of so many bytes."""
    body = js(arn=LOBBY)
    return body + b' ' * (size - len(body))


@pytest.fixture(scope='module')
def nginx(service):
    with Nginx(service, server=SERVER) as nginx:
        yield nginx
        check_bodies(nginx)
        assert SECRET_TEXT not in nginx.error_log()
        nginx.check()


@pytest.fixture
def client(nginx):
    with Client(nginx.port) as client:
        yield client


@pytest.fixture
def http2(nginx):
    with Http2(nginx.h2port) as client:
        yield client


@pytest.fixture
def post(nginx, service):
    """What AWS is asked for, or (status, code) when it is not asked."""
    def post(target, body, **options):
        if isinstance(body, dict):
            body = js(**body)
        answer = ask(nginx.port, request(target, body=body, **options))
        bodies = sent(service)
        assert len(bodies) == is_token(answer)
        return bodies[0] if bodies else code(answer)
    return post


# AWS's demo apps


@pytest.mark.parametrize('target, headers, body, expected', DEMOS.values(),
                         ids=DEMOS)
def test_demo_app_gets_a_token_that_it_can_read(
        nginx, service, target, headers, body, expected):
    answer = ask(nginx.port, request(target, body=body, headers=headers))
    assert told(answer) == 'token'
    assert sent(service) == [{'userId': 'alice', **expected,
                              'attributes': ATTRIBUTES}]
    # three strings, the times in the form that all three parse
    members = answer.json()
    assert all(isinstance(value, str) and value for value in members.values())
    for name in ('tokenExpirationTime', 'sessionExpirationTime'):
        assert ANDROID_TIME.fullmatch(members[name])
    found, contents = service.redeem(members['token'])
    assert (found, contents['userId']) == (200, 'alice')


# The rules


@pytest.mark.parametrize('body', REFUSED.values(), ids=REFUSED)
def test_body_is_refused_and_the_connection_goes_on(client, service, body):
    answer = client.ask(request('/auth', body=body))
    assert code(answer) == INVALID
    assert answer.get('Connection') != 'close'
    assert client.ask(AFTER).body == b'after'
    assert sent(service) == []


@pytest.mark.parametrize('target, body, options, expected', [
    ('/auth', js(arn=LOBBY), {'user': None}, (401, 'unauthenticated')),
    ('/auth', b'x', {'user': None}, (401, 'unauthenticated')),
    ('/single', js(arn=LOBBY), {'method': 'GET'}, (405, 'method_not_allowed')),
    ('/single', b'x', {'method': 'PUT'}, (405, 'method_not_allowed')),
], ids=['no user', 'no user, no JSON', 'GET', 'PUT, no JSON'])
def test_user_and_method_come_before_the_body(post, target, body, options,
                                              expected):
    assert post(target, body, **options) == expected


@pytest.mark.parametrize('body', IGNORED.values(), ids=IGNORED)
def test_body_changes_nothing(post, body):
    assert post('/auth', body) == PLAIN


def test_content_type_changes_nothing(post):
    assert post('/auth', js(arn=LOBBY), headers=[
        ('Content-Type', 'text/plain')]) == PLAIN


def test_get_may_have_a_body(post):
    assert post('/auth', js(arn=LOBBY), method='GET') == PLAIN


@pytest.mark.parametrize('target, arn, expected', IN_ROOMS, ids=str)
def test_room_of_the_body_and_of_the_location(post, target, arn, expected):
    found = post(target, {} if arn is None else {'roomIdentifier': arn})
    assert (found['roomIdentifier'] if isinstance(found, dict)
            else found) == expected


@pytest.mark.parametrize('target, name, capabilities', [
    ('/twice?mod=1&view=1', 'mod', ['SEND_MESSAGE']),
    ('/twice?view=1', 'view', None)])
def test_first_line_of_an_arn_whose_condition_holds_counts(
        post, target, name, capabilities):
    asked = post(target, {'arn': LOBBY})
    assert asked['attributes'] == {'room': name}
    assert asked.get('capabilities') == capabilities


@pytest.mark.parametrize('wish, granted', [
    ({}, GRANTED), ({'capabilities': []}, None),
    ({'capabilities': ['SEND_MESSAGE']}, ['SEND_MESSAGE']),
    ({'capabilities': ['DISCONNECT_USER']}, None),
    ({'capabilities': ALL}, GRANTED),
    ({'capabilities': ['SEND_MESSAGE'] * 3}, ['SEND_MESSAGE']),
    ({'capabilities': ['DISCONNECT_USER', 'DELETE_MESSAGE']},
     ['DELETE_MESSAGE'])], ids=str)
def test_capabilities_of_the_body_that_are_allowed_are_granted(post, wish,
                                                               granted):
    asked = post('/wishes', wish)
    assert asked.get('capabilities') == granted
    # and the variable tells what was granted
    assert asked.get('attributes') == (
        {'caps': ','.join(granted)} if granted else None)


@pytest.mark.parametrize('target, wish, minutes', [
    ('/wishes', {}, 90),
    ('/wishes', {'durationInMinutes': 1}, 1),
    ('/wishes', {'durationInMinutes': 90}, 90),
    ('/wishes', {'durationInMinutes': 91}, 90),
    ('/wishes', {'sessionDurationInMinutes': 180}, 90),
    ('/wishes', {'sessionDurationInMinutes': 30.0}, 30),
    ('/wishes', {'sessionDurationInMinutes': 10 ** 40}, 90),
    ('/wishes', {'durationInMinutes': 20, 'sessionDurationInMinutes': 20}, 20),
    ('/plain', {}, None),
    ('/plain', {'durationInMinutes': 59}, 59),
    ('/plain', {'durationInMinutes': 60}, 60),
    ('/plain', {'durationInMinutes': 61}, 60),
    ('/plain', {'sessionDurationInMinutes': 2 ** 32 + 1}, 60)], ids=str)
def test_duration_of_the_body_may_be_shorter(post, target, wish, minutes):
    assert post(target, wish).get('sessionDurationInMinutes') == minutes


@pytest.mark.parametrize('target, wish, expected', [
    ('/wishes', {'username': 'A', 'avatar': 'b'},
     {'username': 'A', 'avatar': 'b'}),
    ('/wishes', {'username': 'A', 'role': 'x', 'caps': 'ALL'},
     {'username': 'A'}),
    ('/wishes', {'badge': 'mod'}, {'badge': 'mod'}),
    ('/wishes?badge=no', {'badge': 'mod', 'username': 'A'},
     {'badge': 'no', 'username': 'A'}),
    ('/wishes', {'username': '"\\\n\u2028\U0001f600é/'},
     {'username': '"\\\n\u2028\U0001f600é/'})], ids=ascii)
def test_attributes_of_the_body_that_are_allowed_are_set(post, target, wish,
                                                         expected):
    assert post(target, {'attributes': wish})['attributes'] == {
        'caps': ','.join(GRANTED), **expected}


@pytest.mark.parametrize('target, others', [
    ('/wishes', 'caps'), ('/wishes?long=1', 'caps' + 'server' + 's' * 400)])
def test_attributes_may_have_1024_bytes(post, target, others):
    size = 1024 - len(others + ','.join(GRANTED) + 'username')
    text = 'é' * (size // 2) + 'x' * (size % 2)
    asked = post(target, {'attributes': {'username': text}})
    assert asked['attributes']['username'] == text
    assert post(target, {'attributes': {'username': text + 'y'}}) == (
        400, 'invalid_attributes')
    # one that is left out may be of any length
    assert 'userId' in post(target, {'attributes': {'other': 'x' * 2000}})


# The ways that a body can come


@pytest.mark.parametrize('size', (1000, 1024, 4096, LIMIT - 1, LIMIT))
def test_body_of_8k_is_read_in_every_form(client, size):
    for target in ('/auth', '/tiny-buffer?room=lobby'):
        for data in (request(target, body=padded(size)),
                     chunked(target, padded(size)),
                     chunked(target, padded(size), size=7,
                             extension=b';a="b"', trailers=b'A: b\r\n')):
            client.send(data + AFTER)
            assert told(client.answer()) == 'token', data[:300]
            assert then_after(client), data[:300]
    assert client.quiet()


LARGER = {
    'Content-Length': request('/auth', body=padded(LIMIT + 1)),
    'Content-Length, far over': request('/auth', body=b'{', length=900000),
    'one chunk': chunked('/auth', padded(LIMIT + 1), size=LIMIT + 1),
    'small chunks': chunked('/auth', padded(LIMIT + 1), size=100),
    'chunks that never end': chunked('/auth', padded(LIMIT + 1))[:-5],
    'blanks': request('/auth', body=b' ' * (LIMIT + 1)),
}


@pytest.mark.parametrize('data', LARGER.values(), ids=LARGER)
def test_larger_body_is_refused_and_the_connection_closed(client, data):
    answer = client.ask(data)
    assert code(answer) == TOO_LARGE
    assert answer.get('Connection') == 'close'


def test_what_follows_a_larger_body_is_not_looked_at(client):
    client.send(request('/auth', body=padded(LIMIT + 1) + EVIL * 3) + EVIL)
    assert code(client.answer()) == TOO_LARGE
    assert client.closed()


@pytest.mark.parametrize('data, expected', [
    (request('/small', body=padded(1025)), (413, None)),    # nginx's own
    (chunked('/small', padded(1025)), TOO_LARGE),
    (request('/small?room=lobby', body=padded(1024)), 'token'),
], ids=['over it', 'over it, in chunks', 'within it'])
def test_client_max_body_size_comes_first(client, data, expected):
    answer = client.ask(data)
    assert told(answer) == expected
    if expected == (413, None):
        assert answer.get('Content-Type') == 'text/html'


@pytest.mark.parametrize('data', [
    request('/auth', body=BODY),
    chunked('/auth', BODY, size=5, trailers=b'A: b\r\n')],
    ids=['Content-Length', 'chunked'])
def test_body_is_read_byte_by_byte(client, service, data):
    for byte in data + AFTER:
        client.send(bytes([byte]))
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert sent(service) == [ASKED]


def test_body_is_read_in_packets_of_one_byte(client, service):
    client.send(request('/auth', body=b'', length=len(BODY)))
    for byte in BODY:
        client.send(bytes([byte]))
        time.sleep(0.001)
    assert told(client.answer()) == 'token'
    assert sent(service) == [ASKED]


def test_half_a_body_is_waited_for(client, service):
    client.send(request('/auth', body=BODY[:10], length=len(BODY)))
    assert client.quiet()
    assert sent(service) == []
    client.send(BODY[10:] + AFTER + request('/auth', body=js(arn=LOBBY))
                + AFTER)
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert client.quiet()
    assert [one['roomIdentifier'] for one in sent(service)] == [STAGE, LOBBY]


def test_request_that_comes_while_aws_is_slow_is_answered_after_it(client):
    client.send(request('/plain?room=fault-slow-400',
                        body=b'{"x":"' + b'a' * 100 + b'"}' + b' ' * 20))
    time.sleep(0.1)
    client.send(AFTER)
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert client.quiet()


def test_expect_is_answered_and_the_body_waited_for(client):
    client.send(request('/auth', headers=EXPECT, length=len(BODY)))
    assert client.answer().status == 100
    assert client.quiet()
    assert told(client.ask(BODY)) == 'token'
    assert client.ask(AFTER).body == b'after'


def test_expect_with_a_body_that_is_too_large(client):
    assert code(client.ask(request('/auth', headers=EXPECT,
                                   length=LIMIT + 1))) == TOO_LARGE


def test_expect_with_chunks(client):
    assert client.ask(chunked('/auth', headers=EXPECT)[:-5]).status == 100
    assert told(client.ask(chunk(BODY) + b'0\r\n\r\n')) == 'token'


@pytest.mark.parametrize('data', [
    request('/auth', body=BODY), request('/single', body=None)],
    ids=['with a body', 'without'])
def test_http_1_0(client, data):
    client.send(data.replace(b' HTTP/1.1', b' HTTP/1.0'))
    assert told(client.answer()) == 'token'
    assert client.closed()


NO_BODY = {
    'GET': request('/auth', body=None, method='GET'),
    'POST, no Content-Length': request('/auth', body=None),
    'POST, Content-Length: 0': request('/auth'),
    'POST, no chunk': chunked('/auth'),
}


@pytest.mark.parametrize('data', NO_BODY.values(), ids=NO_BODY)
def test_no_body_is_an_empty_object(nginx, data):
    # which is refused only where a room must be named
    assert told(ask(nginx.port, data)) == INVALID
    assert told(ask(nginx.port, data.replace(b'/auth', b'/second'))) == 'token'


@pytest.mark.parametrize('leave', [Client.close, Client.abort],
                         ids=['FIN', 'RST'])
@pytest.mark.parametrize('data', [
    request('/auth', body=js(arn=LOBBY)[:-3], length=len(js(arn=LOBBY)),
            headers=EXPECT),
    chunked('/auth', js(arn=LOBBY), headers=EXPECT)[:-5]],
    ids=['Content-Length', 'chunked'])
def test_client_that_leaves_in_its_body_is_logged(nginx, service, leave,
                                                  data):
    count = nginx.lines_so_far()
    client = Client(nginx.port)
    client.send(data)
    client.answer()             # 100: nginx has begun to read it
    leave(client)
    line = nginx.logged(count + 1)[-1]
    assert line['status'] in (400, 499)
    assert line['result'] == 'aborted'
    assert sent(service) == []


def test_body_that_does_not_come_in_time(nginx, client, service):
    count = nginx.lines_so_far()
    client.send(request('/impatient', body=b'{', length=2))
    assert client.closed()
    assert nginx.logged(count + 1)[-1]['status'] == 408
    assert sent(service) == []


@pytest.mark.parametrize('data', [b'zz\r\n', b'3\r\n{} x',
                                  b'f' * 17 + b'\r\n'],
                         ids=['no number', 'no CRLF', 'over 64 bits'])
def test_malformed_chunk_closes_the_connection(client, service, data):
    answer = client.ask(chunked('/auth')[:-5] + chunk(b'{') + data)
    assert code(answer) == INVALID
    assert answer.get('Connection') == 'close'
    assert client.closed()
    assert sent(service) == []


# HTTP/2


@pytest.mark.parametrize('headers', [
    [('content-length', str(len(BODY)))], []],
    ids=['Content-Length', 'no Content-Length'])
def test_http2_body_is_read(http2, service, headers):
    assert told(http2.ask('/auth', body=BODY, headers=headers)) == 'token'
    assert sent(service) == [ASKED]


def test_http2_frames_of_one_byte_and_an_empty_one(http2, service):
    stream = http2.open('/auth', end=False)
    http2.send(stream, BODY, size=1)
    http2.send(stream, b'', end=True)
    assert told(http2.wait(stream)[0]) == 'token'
    assert sent(service) == [ASKED]


def test_http2_20_bodies_at_a_time_each_in_two_parts(http2, service):
    rooms = [[LOBBY, STAGE][i % 2] for i in range(20)]
    streams = [http2.open('/auth', f'user {i}', end=False) for i in range(20)]
    for i, stream in enumerate(streams):
        http2.send(stream, js(arn=rooms[i])[:20 + i % 7])
    for i, stream in enumerate(streams):
        http2.send(stream, js(arn=rooms[i])[20 + i % 7:], end=True)
    assert [told(answer) for answer in http2.wait(*streams)] == ['token'] * 20
    assert sorted((one['userId'], one['roomIdentifier'])
                  for one in sent(service)) == sorted(
        (f'user {i}', rooms[i]) for i in range(20))


@pytest.mark.parametrize('body, headers, expected', [
    (padded(LIMIT), [], 'token'),
    (padded(LIMIT + 1), [('content-length', str(LIMIT + 1))], TOO_LARGE),
    (padded(LIMIT + 1), [], TOO_LARGE),
    (b'x', [], INVALID), (None, [], INVALID),
], ids=['8k', 'larger, by Content-Length', 'larger', 'no JSON', 'no body'])
def test_http2_sizes(http2, body, headers, expected):
    assert told(http2.ask('/auth', body=body, headers=headers)) == expected


def test_http2_stream_that_is_reset_in_its_body(http2, service):
    stream = http2.open('/auth', end=False)
    http2.send(stream, BODY[:5])
    http2.reset(stream)
    assert told(http2.ask('/single')) == 'token'
    assert sent(service) == [PLAIN]


# Where others read the body, or an error page leads on


@pytest.mark.parametrize('size', (60, 2000, LIMIT))
def test_body_that_mirror_has_read_even_to_a_file(post, size):
    body = js(capabilities=[], durationInMinutes=5)
    assert post('/mirrored?room=lobby', body.ljust(size)) == {
        **ASKED, 'roomIdentifier': LOBBY}


def test_larger_body_that_mirror_has_read(post):
    assert post('/mirrored?room=lobby', b' ' * (LIMIT + 1)) == TOO_LARGE
    # it does not matter where the body does not count
    assert 'userId' in post('/mirrored-off', b'x' * 20000)


# A location that reads the client's body refuses one that was discarded.
AFTER_DISCARD = [('/first-off', INVALID), ('/first-off-off', 'token')]


@pytest.mark.parametrize('target, expected', AFTER_DISCARD)
@pytest.mark.parametrize('form', ['whole', 'in two parts', 'in chunks'])
def test_location_after_one_that_discards_the_body(
        client, service, target, expected, form):
    body = js(durationInMinutes=7)
    data, rest = {
        'whole': (request(target, body=body), b''),
        'in two parts': (request(target, body=body[:4],
                                 length=len(body) + len(EVIL)),
                         body[4:] + EVIL),
        'in chunks': (chunked(target, b'{')[:-5],
                      chunk(b'}' + EVIL) + b'0\r\n\r\n' + EVIL)}[form]
    answer = client.ask(data)
    assert told(answer) == expected
    assert sent(service) == [PLAIN] * (expected == 'token')
    if rest and expected == 'token':
        with contextlib.suppress(OSError):
            client.send(rest)
        assert answer.get('Connection') == 'close'
        assert client.closed()


@pytest.mark.parametrize('target, expected', AFTER_DISCARD)
@pytest.mark.parametrize('late', [False, True], ids=['with it', 'late'])
def test_http2_location_after_one_that_discards_the_body(
        http2, service, target, expected, late):
    stream = http2.open(target, end=False)
    if late:
        http2.pump(0.2)
    if stream not in http2.ended:
        http2.send(stream, js(durationInMinutes=7), end=True)
    assert told(http2.wait(stream)[0]) == expected
    assert sent(service) == [PLAIN] * (expected == 'token')


def test_location_of_an_error_page_sees_the_body(post):
    wish = {'durationInMinutes': 7}
    assert post('/first?staff=1', wish)['roomIdentifier'] == STAFF
    assert post('/first', wish) == {**PLAIN, 'sessionDurationInMinutes': 7}
    assert post('/first', b'x') == INVALID


def test_location_of_an_error_page_refuses_a_body_that_was_not_read(client):
    answer = client.ask(chunked('/first', b' ' * (LIMIT + 1))[:-5])
    assert code(answer) == INVALID
    assert answer.get('Connection') == 'close'


# Logs


def secrets(**changes):
    """A body with texts that must not be in a log."""
    return js(**{'arn': LOBBY, 'userId': SECRET_TEXT + '-user', 'attributes':
                 {'username': SECRET_TEXT, 'x': SECRET_TEXT}, **changes})


@pytest.mark.parametrize('data, result, line', [
    (request('/auth', body=secrets()), 'ok', ''),
    (request('/auth', body=secrets()[:-1]), 'invalid_request',
     "the client's body is rejected: not JSON"),
    (request('/auth', body=secrets()[:-1] + b',"arn":1}'), 'invalid_request',
     "the client's body is rejected: duplicate member"),
    (request('/auth', body=js(userId=SECRET_TEXT)), 'invalid_request',
     "the client's body does not name a room"),
    (request('/auth', body=secrets(arn=room('x'))), 'room_not_found',
     'no "ivschat_token_room" has the ARN in the client\'s body'),
    (request('/auth', body=secrets(arn=STAFF)), 'room_forbidden',
     "named in the client's body is false"),
    (request('/picked?room=lobby', body=secrets(arn=STAGE)), 'room_forbidden',
     'another room than the one selected'),
    (request('/auth', body=secrets() + b' ' * LIMIT), 'request_too_large',
     'bytes, the limit is 8192'),
    (chunked('/auth', secrets() + b' ' * LIMIT), 'request_too_large',
     "the client's body exceeds 8192 bytes"),
    (request('/auth', body=secrets(attributes={
        'username': SECRET_TEXT * 80})), 'invalid_attributes', ''),
], ids=['ok', 'no JSON', 'two members', 'no room', 'unknown room', 'condition',
        'another room', 'Content-Length', 'chunks', 'attributes'])
def test_logs_say_why_and_no_text_of_the_client(nginx, data, result, line):
    count, size = nginx.lines_so_far(), len(nginx.error_log())
    ask(nginx.port, data)
    logged = nginx.logged(count + 1)[-1]
    assert (logged['result'], logged['user']) == (result, 'alice')
    assert line in nginx.error_log()[size:]
    assert SECRET_TEXT not in nginx.error_log()
