#!/usr/bin/python3
"""A client's body that counts: AWS's demo apps, the rules, and the ways that
a body can come."""

import json
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap, room
from nginx_testlib import (Client, Http2, Nginx, ask, attempt, bounded, chunk,
                           chunked, code, is_token, request, wait_for)

tap = Tap()

AFTER = request('/after', None, None, method='GET')
EVIL = b'GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n'
LIMIT = 8192
LOBBY, STAGE, STAFF = room('lobby'), room('stage'), room('staff')
ALL = ['SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE']
SECRET_TEXT = 'never-in-a-log'

# What the demo for Android parses, and nothing else.
ANDROID_TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z')


ROOMS = f'''
        ivschat_token_room name=lobby {LOBBY};
        ivschat_token_room name=stage {STAGE};
        ivschat_token_room name=staff {STAFF} if=$arg_staff;
'''

SERVER = f'''
    # as an operator would serve the demo apps
    location = /auth {{
        ivschat_token                   /ivschat;
        {ROOMS}
        ivschat_token_capabilities      SEND_MESSAGE;
        ivschat_token_capabilities      DELETE_MESSAGE DISCONNECT_USER
                                        if=$arg_mod;
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
        ivschat_token_room         name=mod  {LOBBY} if=$arg_mod;
        ivschat_token_room         name=view {LOBBY} if=$arg_view;
        ivschat_token_capabilities SEND_MESSAGE if=$arg_mod;
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
        ivschat_token_attribute         badge  $arg_badge;
        ivschat_token_attribute         caps   $ivschat_token_capabilities;
        ivschat_token_attribute         server "{'s' * 400}" if=$arg_long;
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
        ivschat_token_room             {STAFF} if=$arg_staff;
        ivschat_token_client_body      on;
        ivschat_token_intercept_errors on;
        error_page                     400 403 413 = /second;
    }}

    location = /first-off {{
        ivschat_token                  /ivschat;
        ivschat_token_room             {STAFF} if=$arg_staff;
        ivschat_token_intercept_errors on;
        error_page                     403 = /second;
    }}

    location = /second {{
        ivschat_token                  /ivschat;
        ivschat_token_room             {LOBBY};
        ivschat_token_capabilities     SEND_MESSAGE;
        ivschat_token_client_body      on;
        ivschat_token_methods          POST GET;
    }}
'''


def js(**members):
    """A compact JSON object, as JSON.stringify() makes it."""
    return json.dumps(members, separators=(',', ':'),
                      ensure_ascii=False).encode()


def sent(service):
    """What AWS was asked for since the last look, one object a request."""
    bodies = [json.loads(record['body']) for record in service.requests()]
    service.forget()
    return bodies


def told(answer):
    """'token', or (status, code)."""
    return 'token' if is_token(answer) else code(answer)


class Asker:
    """Posts bodies, and sees what becomes of them."""

    def __init__(self, nginx, service):
        self.nginx, self.service = nginx, service
        service.forget()

    def __call__(self, target, body, **options):
        """(what the client is told, what AWS is asked for or None)."""
        if isinstance(body, dict):
            body = js(**body)
        found = told(ask(self.nginx.port, request(target, body=body,
                                                  **options)))
        bodies = sent(self.service)
        return found, bodies[0] if len(bodies) == 1 else bodies or None


# AWS's demo apps


def demos(nginx, service):
    """The bodies that they post, and the answers as they read them."""
    attributes = {'username': 'Alice É', 'avatar': 'https://example.com/1.png'}
    axios = [('Accept', 'application/json, text/plain, */*'),
             ('Content-Type', 'application/json'),
             ('Origin', 'http://localhost:3000')]
    okhttp = [('Content-Type', 'application/json; charset=UTF-8'),
              ('Accept-Encoding', 'gzip'), ('User-Agent', 'okhttp/4.9.3')]
    ios = [('Content-Type', 'application/json'), ('Accept', '*/*')]
    moderator = ['SEND_MESSAGE', 'DELETE_MESSAGE', 'DISCONNECT_USER']

    for name, target, headers, body, expected in (
            ('web', '/auth', axios, js(
                arn=LOBBY, userId='Alice.9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d',
                attributes=attributes, capabilities=['SEND_MESSAGE']),
             {'roomIdentifier': LOBBY, 'capabilities': ['SEND_MESSAGE']}),
            ('web, a moderator that is one', '/auth?mod=1', axios, js(
                arn=STAGE, userId='m', attributes=attributes,
                capabilities=moderator),
             {'roomIdentifier': STAGE, 'capabilities': ALL}),
            ('web, a moderator that is none', '/auth', axios, js(
                arn=STAGE, userId='m', attributes=attributes,
                capabilities=moderator),
             {'roomIdentifier': STAGE, 'capabilities': ['SEND_MESSAGE']}),
            ('Android', '/auth', okhttp, js(
                roomIdentifier=LOBBY, userId='Bob', attributes=attributes,
                capabilities=['SEND_MESSAGE'], durationInMinutes=55),
             {'roomIdentifier': LOBBY, 'capabilities': ['SEND_MESSAGE'],
              'sessionDurationInMinutes': 55}),
            ('iOS, who views', '/auth', ios, json.dumps({
                'capabilities': [], 'durationInMinutes': 55,
                'attributes': attributes, 'userId': 'Carol',
                'roomIdentifier': LOBBY}, indent=2).encode(),
             {'roomIdentifier': LOBBY, 'sessionDurationInMinutes': 55}),
            ('iOS, who writes', '/auth', ios, json.dumps({
                'capabilities': ['SEND_MESSAGE'], 'durationInMinutes': 55,
                'attributes': attributes, 'userId': 'Carol',
                'roomIdentifier': LOBBY}).replace('/', '\\/').encode(),
             {'roomIdentifier': LOBBY, 'capabilities': ['SEND_MESSAGE'],
              'sessionDurationInMinutes': 55})):
        service.forget()
        answer = ask(nginx.port, request(target, body=body, headers=headers))
        tap.ok(is_token(answer), f'{name}: a token', answer.status,
               answer.body)
        tap.equal(sent(service), [{'userId': 'alice', **expected,
                                   'attributes': attributes}],
                  f'{name}: what AWS is asked for')
        members = answer.json()
        tap.ok(all(isinstance(value, str) and value
                   for value in members.values())
               and all(ANDROID_TIME.fullmatch(members[time_]) for time_ in (
                   'tokenExpirationTime', 'sessionExpirationTime')),
               f'{name}: three strings, the times in the form that all three '
               'parse', members)
        found, contents = service.redeem(members['token'])
        tap.ok(found == 200 and contents['userId'] == 'alice',
               f'{name}: the chat takes it', found, contents)


# The rules


def refused(nginx, service):
    """What is not that JSON."""
    post = Asker(nginx, service)
    good = {'arn': LOBBY}

    cases = [
        ('no JSON', b'x'), ('a form', b'arn=' + LOBBY.encode()),
        ('a blank', b' '), ('half an object', b'{"arn":"x"'),
        ('an array', b'[]'), ('an array around it', b'[' + js(**good) + b']'),
        ('null', b'null'), ('a string', b'"x"'), ('a number', b'1'),
        ('single quotes', b"{'arn':1}"), ('a comma too many', b'{"a":1,}'),
        ('a comment', b'{}/**/'), ('NaN', b'{"x":NaN}'),
        ('01', b'{"durationInMinutes":01}'), ('+1', b'{"x":+1}'),
        ('something behind it', js(**good) + b'x'),
        ('another one behind it', js(**good) * 2),
        ('a byte order mark', b'\xef\xbb\xbf' + js(**good)),
        ('UTF-16', json.dumps(good).encode('utf-16')),
        ('no UTF-8', b'{"x":"\xff"}'), ('an overlong form', b'{"x":"\xc0\xaf"}'),
        ('a surrogate in UTF-8', b'{"x":"\xed\xa0\x80"}'),
        ('a lone surrogate', b'{"x":"\\ud800"}'),
        ('NUL behind it', js(**good) + b'\0'),
        ('NUL in it', b'{"x":"a\0b"}'), ('NUL, escaped', b'{"x":"\\u0000"}'),
        ('NUL in a name', b'{"arn\\u0000x":1}'),
        ('a bare line end in a string', b'{"x":"a\nb"}'),
        ('a control character for a blank', b'{\x01}'),
        ('17 levels', b'{"x":' + b'[' * 16 + b']' * 16 + b'}'),
        ('4000 levels', b'[' * 4000 + b']' * 4000),
        ('4000 levels that do not end', b'{"x":' * 1000),
        ('a number of 64 digits', b'{"x":' + b'1' * 64 + b'}'),

        ('arn: a number', js(arn=1)), ('arn: null', js(arn=None)),
        ('arn: an array', js(arn=[LOBBY])),
        ('roomIdentifier: an object', js(roomIdentifier={})),
        ('arn and roomIdentifier that differ',
         js(arn=LOBBY, roomIdentifier=STAGE)),
        ('no room', b'{}'), ('no body, and so no room', b''),
        ('no body at all', None),
        ('the room in another case', js(ARN=LOBBY)),

        ('two of one name', b'{"arn":"%b","arn":"%b"}'
         % (LOBBY.encode(), LOBBY.encode())),
        ('two of one name, one escaped', b'{"arn":"%b","\\u0061rn":"%b"}'
         % (LOBBY.encode(), STAGE.encode())),
        ('two of a name that is ignored', b'{"userId":1,"userId":2}'),
        ('two in a part that is ignored', b'{"x":[{"a":1,"a":1}]}'),

        ('capabilities: a string', js(**good, capabilities='SEND_MESSAGE')),
        ('capabilities: null', js(**good, capabilities=None)),
        ('capabilities: an object', js(**good, capabilities={})),
        ('capabilities: a number in it', js(**good, capabilities=[1])),
        ('capabilities: an unknown one',
         js(**good, capabilities=['SEND_MESSAGE', 'ADMIN'])),
        ('capabilities: another case',
         js(**good, capabilities=['send_message'])),

        ('duration: 0', js(**good, durationInMinutes=0)),
        ('duration: below 0', js(**good, sessionDurationInMinutes=-1)),
        ('duration: -0', b'{"durationInMinutes":-0}'),
        ('duration: a half', js(**good, durationInMinutes=55.5)),
        ('duration: infinite', b'{"durationInMinutes":1e400}'),
        ('duration: a string', js(**good, durationInMinutes='55')),
        ('duration: null', js(**good, durationInMinutes=None)),
        ('duration: true', js(**good, durationInMinutes=True)),
        ('two durations that differ', js(**good, durationInMinutes=5,
                                         sessionDurationInMinutes=6)),

        ('attributes: an array', js(**good, attributes=[])),
        ('attributes: null', js(**good, attributes=None)),
        ('attributes: a number', js(**good, attributes={'username': 1})),
        ('attributes: null in it', js(**good, attributes={'x': None})),
        ('attributes: an object in it', js(**good, attributes={'x': {}}))]

    with Client(nginx.port) as client:
        for name, body in cases:
            answer = client.ask(request('/auth', body=body))
            tap.ok(code(answer) == (400, 'invalid_request')
                   and answer.get('Connection') != 'close',
                   f'400: {name}', answer.status, answer.headers, answer.body)
        tap.equal(client.ask(AFTER).body, b'after',
                  'the connection has outlived them all')

    tap.equal(sent(service), [], 'AWS was asked for none')
    tap.equal(post('/auth', {'arn': LOBBY}, user=None)[0],
              (401, 'unauthenticated'), 'no user: 401')
    tap.equal(post('/auth', b'x', user=None)[0],
              (401, 'unauthenticated'), 'and that is before the body')
    tap.equal(post('/single', {'arn': LOBBY}, method='GET')[0],
              (405, 'method_not_allowed'), 'a method that does not mint: 405')
    tap.equal(post('/single', b'x', method='PUT')[0],
              (405, 'method_not_allowed'), 'before the body, too')


def ignored(nginx, service):
    """What changes nothing."""
    post = Asker(nginx, service)
    plain = {'roomIdentifier': LOBBY, 'userId': 'alice',
             'capabilities': ['SEND_MESSAGE']}

    for name, body in (
            ('nothing but the room', {'arn': LOBBY}),
            ('another user', {'arn': LOBBY, 'userId': 'mallory'}),
            ('a user of another type', {'arn': LOBBY, 'userId': [{}]}),
            ('a user that is null', {'arn': LOBBY, 'userId': None}),
            ('unknown members', {'arn': LOBBY, 'x': {'y': [1, None, -2.5e-3]},
                                 'user': 'bob', 'tokenType': 'admin'}),
            ('known names in another case', {
                'arn': LOBBY, 'UserId': 1, 'Capabilities': 1, 'ARN': 7,
                'DurationInMinutes': 'x', 'Attributes': 0}),
            ('known names further in', {
                'arn': LOBBY, 'x': {'arn': 1, 'capabilities': 7}}),
            ('both names of the room', {'arn': LOBBY,
                                        'roomIdentifier': LOBBY}),
            ('no attributes', {'arn': LOBBY, 'attributes': {}}),
            ('attributes that it may not set', {
                'arn': LOBBY, 'attributes': {'role': 'admin', '': 'x',
                                             'Username': 'x'}}),
            ('empty attributes', {'arn': LOBBY, 'attributes': {
                'username': '', 'avatar': ''}}),
            ('16 levels', b'{"arn":"%b","x":' % LOBBY.encode() + b'[' * 15
             + b']' * 15 + b'}'),
            ('blanks around it', b' \t\r\n' + js(arn=LOBBY) + b'\r\n \t'),
            ('escapes', b'{"\\u0061\\u0072\\u006e":"'
             + LOBBY.replace('/', '\\/').encode() + b'"}')):
        tap.equal(post('/auth', body), ('token', plain), f'ignored: {name}')

    tap.equal(post('/auth', js(arn=LOBBY), headers=[
        ('Content-Type', 'text/plain')]), ('token', plain),
        'ignored: the content type')
    tap.equal(post('/auth', js(arn=LOBBY), method='GET'), ('token', plain),
              'a GET with a body')


def rooms(nginx, service):
    """The table of the rooms."""
    post = Asker(nginx, service)
    other = room('other')
    inside = 'token'
    no, none, missing = ((403, 'room_forbidden'), (400, 'invalid_request'),
                         (404, 'room_not_found'))

    for target, arn, result, where in (
            ('/auth', LOBBY, inside, LOBBY), ('/auth', STAGE, inside, STAGE),
            ('/auth', other, missing, None), ('/auth', 'lobby', missing, None),
            ('/auth', '', missing, None), ('/auth', LOBBY + ' ', missing, None),
            ('/auth', LOBBY.upper(), missing, None),
            ('/auth', STAFF, no, None),
            ('/auth?staff=1', STAFF, inside, STAFF),
            ('/auth', None, none, None),

            ('/picked?room=lobby', None, inside, LOBBY),
            ('/picked?room=lobby', LOBBY, inside, LOBBY),
            ('/picked?room=lobby', STAGE, no, None),
            ('/picked?room=lobby', other, no, None),
            ('/picked?room=staff', STAFF, no, None),
            ('/picked?room=other', LOBBY, missing, None),
            ('/picked', STAGE, inside, STAGE), ('/picked', None, none, None),
            ('/picked', other, missing, None),

            ('/single', None, inside, LOBBY), ('/single', LOBBY, inside, LOBBY),
            ('/single', STAGE, missing, None),
            ('/single-picked?room=lobby', None, inside, LOBBY),
            ('/single-picked?room=lobby', STAGE, no, None),
            ('/single-picked?room=other', None, missing, None),
            ('/single-picked', LOBBY, inside, LOBBY),
            ('/single-picked', None, none, None),

            ('/twice?mod=1', LOBBY, inside, LOBBY),
            ('/twice?view=1', LOBBY, inside, LOBBY),
            ('/twice', LOBBY, no, None), ('/twice?mod=1', STAGE, missing, None),

            ('/plain?room=lobby', None, inside, LOBBY),
            ('/plain?room=lobby', LOBBY, inside, LOBBY),
            ('/plain?room=lobby', STAGE, no, None),
            ('/plain?room=lobby', '', no, None)):
        body = js() if arn is None else js(roomIdentifier=arn)
        found, asked = post(target, body)
        tap.equal((found, asked and asked['roomIdentifier']), (result, where),
                  f'{target} and {arn or repr(arn)}: {result}')

    for target, name, caps in (('/twice?mod=1&view=1', 'mod',
                                ['SEND_MESSAGE']),
                               ('/twice?view=1', 'view', None)):
        _, asked = post(target, {'arn': LOBBY})
        tap.equal((asked.get('attributes'), asked.get('capabilities')),
                  ({'room': name}, caps),
                  f'{target}: the first line of that ARN whose condition '
                  'holds')


def wishes(nginx, service):
    """Less is granted, more is cut."""
    post = Asker(nginx, service)
    granted = ['SEND_MESSAGE', 'DELETE_MESSAGE']

    for asked, got in ((None, granted), ([], None), (['SEND_MESSAGE'],
                                                     ['SEND_MESSAGE']),
                       (['DISCONNECT_USER'], None), (ALL, granted),
                       (['SEND_MESSAGE'] * 3, ['SEND_MESSAGE']),
                       (['DISCONNECT_USER', 'DELETE_MESSAGE'],
                        ['DELETE_MESSAGE'])):
        body = {} if asked is None else {'capabilities': asked}
        found, sent_ = post('/wishes', body)
        tap.equal((found, sent_.get('capabilities')), ('token', got),
                  f'capabilities {asked}: {got}')
        tap.equal(sent_.get('attributes'), {'caps': ','.join(got)} if got
                  else None, 'and the variable tells what was granted')

    for target, member, asked, got in (
            ('/wishes', 'durationInMinutes', None, 90),
            ('/wishes', 'durationInMinutes', 1, 1),
            ('/wishes', 'durationInMinutes', 90, 90),
            ('/wishes', 'durationInMinutes', 91, 90),
            ('/wishes', 'sessionDurationInMinutes', 180, 90),
            ('/wishes', 'sessionDurationInMinutes', 30.0, 30),
            ('/wishes', 'sessionDurationInMinutes', 10 ** 40, 90),
            ('/plain', 'durationInMinutes', None, None),
            ('/plain', 'durationInMinutes', 59, 59),
            ('/plain', 'durationInMinutes', 60, 60),
            ('/plain', 'durationInMinutes', 61, 60),
            ('/plain', 'sessionDurationInMinutes', 2 ** 32 + 1, 60)):
        body = {} if asked is None else {member: asked}
        found, sent_ = post(target, body)
        tap.equal((found, sent_.get('sessionDurationInMinutes')),
                  ('token', got), f'{target}, {member} {asked}: {got}')

    tap.equal(post('/wishes', {'durationInMinutes': 20,
                               'sessionDurationInMinutes': 20})[1].get(
        'sessionDurationInMinutes'), 20, 'both durations, the same')

    for target, asked, got in (
            ('/wishes', {'username': 'A', 'avatar': 'b'},
             {'username': 'A', 'avatar': 'b'}),
            ('/wishes', {'username': 'A', 'role': 'x', 'caps': 'ALL'},
             {'username': 'A'}),
            ('/wishes', {'badge': 'mod'}, {'badge': 'mod'}),
            ('/wishes?badge=no', {'badge': 'mod', 'username': 'A'},
             {'badge': 'no', 'username': 'A'}),
            ('/wishes', {'username': '"\\\n\u2028\U0001f600é/'},
             {'username': '"\\\n\u2028\U0001f600é/'})):
        found, sent_ = post(target, {'attributes': asked})
        caps = {'caps': ','.join(granted)}
        tap.equal((found, sent_.get('attributes')), ('token', {**caps, **got}),
                  f'{target}, attributes {sorted(asked)}')

    caps = len('caps' + ','.join(granted))
    for target, room_ in (('/wishes', 1024 - caps - len('username')),
                          ('/wishes?long=1',
                           1024 - caps - len('username') - 406)):
        text = 'é' * (room_ // 2) + 'x' * (room_ % 2)
        found, sent_ = post(target, {'attributes': {'username': text}})
        tap.ok(found == 'token'
               and sent_['attributes']['username'] == text,
               f'{target}: attributes of 1024 bytes', found)
        found, sent_ = post(target, {'attributes': {'username': text + 'y'}})
        tap.equal((found, sent_), ((400, 'invalid_attributes'), None),
                  f'{target}: of 1025 bytes')
        found, _ = post(target, {'attributes': {'other': 'x' * 2000}})
        tap.equal(found, 'token', f'{target}: one that is left out may be '
                                  'of any length')


# The ways that a body can come


def padded(size, **members):
    """A good body of so many bytes."""
    body = js(arn=LOBBY, **members)
    return body + b' ' * (size - len(body))


def sizes(nginx, service):
    """8 KB, and more."""
    service.forget()

    with Client(nginx.port) as client:
        for size in (1000, 1024, 4096, LIMIT - 1, LIMIT):
            bad = []
            for target in ('/auth', '/tiny-buffer?room=lobby'):
                for name, data in (
                        ('Content-Length', request(target, body=padded(size))),
                        ('one chunk', chunked(target, padded(size))),
                        ('chunks of 7, extensions, trailers', chunked(
                            target, padded(size), size=7,
                            extension=b';a="b"', trailers=b'A: b\r\n'))):
                    client.send(data + AFTER)
                    if not (is_token(client.answer())
                            and client.answer().body == b'after'):
                        bad.append(f'{target} {name}')
            tap.ok(not bad, f'{size} bytes in 6 forms, and the next request '
                            'behind each', *bad)
        tap.ok(client.quiet(), 'nothing else was answered')
    service.forget()

    for name, data in (
            ('by Content-Length', request('/auth', body=padded(LIMIT + 1))),
            ('by Content-Length, far over', request('/auth', body=b'{',
                                                    length=900000)),
            ('in one chunk', chunked('/auth', padded(LIMIT + 1),
                                     size=LIMIT + 1)),
            ('in small chunks', chunked('/auth', padded(LIMIT + 1), size=100)),
            ('in chunks that never end', chunked('/auth', padded(LIMIT + 1)
                                                 )[:-5]),
            ('of blanks', request('/auth', body=b' ' * (LIMIT + 1)))):
        with Client(nginx.port) as client:
            client.send(data)
            answer = client.answer()
            tap.ok(code(answer) == (413, 'request_too_large')
                   and answer.get('Connection') == 'close',
                   f'413: {LIMIT + 1} bytes, {name}', answer.status,
                   answer.headers, answer.body)

    with Client(nginx.port) as client:
        client.send(request('/auth', body=padded(LIMIT + 1) + EVIL * 3)
                    + EVIL)
        tap.ok(code(client.answer())[0] == 413 and client.closed(),
               '413: what follows is not looked at')

    with Client(nginx.port) as client:
        answer = client.ask(request('/small', body=padded(1025)))
        tap.ok(answer.status == 413
               and answer.get('Content-Type') == 'text/html',
               'client_max_body_size comes first: nginx\'s own 413')
    with Client(nginx.port) as client:
        tap.equal(code(client.ask(chunked('/small', padded(1025)))),
                  (413, 'request_too_large'), 'and in chunks: ours')
    with Client(nginx.port) as client:
        tap.ok(is_token(client.ask(request('/small?room=lobby',
                                           body=padded(1024)))),
               'what it allows is taken')
    service.forget()


def forms(nginx, service):
    """Byte by byte, late, by HTTP/1.0, with Expect."""
    service.forget()
    body = js(arn=STAGE, capabilities=[], durationInMinutes=5)
    expected = [{'roomIdentifier': STAGE, 'userId': 'alice',
                 'sessionDurationInMinutes': 5}]

    for name, data in (('Content-Length', request('/auth', body=body)),
                       ('chunked', chunked('/auth', body, size=5,
                                           trailers=b'A: b\r\n'))):
        with Client(nginx.port) as client:
            for byte in data + AFTER:
                client.send(bytes([byte]))
            tap.ok(is_token(client.answer())
                   and client.answer().body == b'after',
                   f'byte by byte, {name}')
            tap.equal(sent(service), expected, 'and read as it was sent')

    with Client(nginx.port) as client:
        data = request('/auth', body=body)
        client.send(data[:-len(body)])
        for byte in body:
            client.send(bytes([byte]))
            time.sleep(0.001)
        tap.ok(is_token(client.answer()),
               'each byte in a packet of its own')
        tap.equal(sent(service), expected, 'and read as it was sent')

    with Client(nginx.port) as client:
        client.send(request('/auth', body=body[:10], length=len(body)))
        tap.ok(client.quiet(), 'half a body: no answer yet')
        tap.equal(sent(service), [], 'and AWS is not asked')
        client.send(body[10:] + AFTER + request('/auth', body=js(arn=LOBBY))
                    + AFTER)
        found = [client.answer() for _ in range(4)]
        tap.ok(is_token(found[0]) and is_token(found[2])
               and [found[1].body, found[3].body] == [b'after'] * 2,
               'the rest, with three requests behind it', *[
                   (answer.status, answer.body) for answer in found])
        tap.ok(client.quiet(), 'and no more')
        tap.equal([one['roomIdentifier'] for one in sent(service)],
                  [STAGE, LOBBY], 'each with its own body')

    evil = b'{"x":"' + b'a' * 100 + b'"}'
    with Client(nginx.port) as client:
        client.send(request('/plain?room=fault-slow-400',
                            body=evil + b' ' * 20))
        time.sleep(0.1)
        client.send(EVIL.replace(b'evil', b'after'))
        tap.ok(is_token(client.answer())
               and client.answer().body == b'after' and client.quiet(),
               'a request that comes while AWS is slow is answered after it')

    expect = [('Expect', '100-continue')]
    with Client(nginx.port) as client:
        client.send(request('/auth', headers=expect, length=len(body)))
        tap.ok(client.answer().status == 100 and client.quiet(),
               'Expect: 100-continue is answered, and the body waited for')
        tap.ok(is_token(client.ask(body))
               and client.ask(AFTER).body == b'after',
               'then comes the token, and the connection goes on')
    with Client(nginx.port) as client:
        client.send(request('/auth', headers=expect, length=LIMIT + 1))
        tap.equal(code(client.answer()), (413, 'request_too_large'),
                  'one that would be too large is not asked for')
    with Client(nginx.port) as client:
        client.send(chunked('/auth', headers=expect)[:-5])
        tap.equal(client.answer().status, 100, 'Expect with chunks')
        tap.ok(is_token(client.ask(chunk(body) + b'0\r\n\r\n')),
               'then the token')

    for name, data in (
            ('with a body', request('/auth', body=body)),
            ('without', request('/single', body=None, method='POST'))):
        with Client(nginx.port) as client:
            client.send(data.replace(b' HTTP/1.1', b' HTTP/1.0'))
            tap.ok(is_token(client.answer()) and client.closed(),
                   f'HTTP/1.0, {name}: a token, and the end')

    for name, data in (
            ('GET', request('/auth', body=None, method='GET')),
            ('POST, no Content-Length', request('/auth', body=None)),
            ('POST, Content-Length: 0', request('/auth')),
            ('POST, no chunk', chunked('/auth'))):
        tap.equal(told(ask(nginx.port, data)), (400, 'invalid_request'),
                  f'{name}: "{{}}", which names no room')
        tap.equal(told(ask(nginx.port, data.replace(b'/auth', b'/second'))),
                  'token', f'{name}: "{{}}", where none is needed')
    service.forget()


def broken(nginx, service):
    """Clients that leave, that are silent, that send no chunks."""
    service.forget()
    count = nginx.lines_so_far()
    body = js(arn=LOBBY)

    expect = [('Expect', '100-continue')]

    for name, leave in (('FIN', Client.close), ('RST', Client.abort)):
        for data in (request('/auth', body=body[:-3], length=len(body),
                             headers=expect),
                     chunked('/auth', body, headers=expect)[:-5]):
            client = Client(nginx.port)
            client.send(data)
            client.answer()             # 100: nginx has begun to read it
            leave(client)
            count += 1
            line = nginx.logged(count)[-1]
            tap.ok(line['status'] in (400, 499)
                   and line['result'] == 'aborted',
                   f'a client that leaves in its body ({name}) is logged so',
                   line)

    with Client(nginx.port) as client:
        client.send(request('/impatient', body=b'{', length=2))
        tap.ok(client.closed(), 'half a body: closed after '
                                'client_body_timeout')
    line = nginx.logged(count + 1)[-1]
    tap.equal(line['status'], 408, 'and logged as 408')

    for name, data in (('no number', b'zz\r\n'), ('no CRLF', b'3\r\n{} x'),
                       ('a size over 64 bits', b'f' * 17 + b'\r\n')):
        with Client(nginx.port) as client:
            client.send(chunked('/auth')[:-5] + chunk(b'{') + data)
            answer = client.answer()
            tap.ok(code(answer) == (400, 'invalid_request')
                   and answer.get('Connection') == 'close'
                   and client.closed(), f'a malformed chunk, {name}: 400, and '
                                        'the end', answer.headers)

    tap.equal(sent(service), [], 'AWS is not asked')


def http2(nginx, service):
    """The same over HTTP/2."""
    service.forget()
    body = js(arn=STAGE, capabilities=[], durationInMinutes=5)
    expected = [{'roomIdentifier': STAGE, 'userId': 'alice',
                 'sessionDurationInMinutes': 5}]

    with Http2(nginx.h2port) as client:
        for name, headers in (('with', [('content-length', str(len(body)))]),
                              ('without', [])):
            tap.ok(is_token(client.ask('/auth', body=body, headers=headers)),
                   f'HTTP/2, {name} Content-Length')
            tap.equal(sent(service), expected, 'and read as it was sent')

        stream = client.open('/auth', end=False)
        client.send(stream, body, size=1)
        client.send(stream, b'', end=True)
        tap.ok(is_token(client.wait(stream)[0]),
               'HTTP/2: frames of one byte, and an empty one')
        tap.equal(sent(service), expected, 'and read as it was sent')

        streams = [client.open('/auth', f'user {i}', end=False)
                   for i in range(20)]
        for i, stream in enumerate(streams):
            client.send(stream, js(arn=[LOBBY, STAGE][i % 2])[:20 + i % 7])
        for i, stream in enumerate(streams):
            client.send(stream, js(arn=[LOBBY, STAGE][i % 2])[20 + i % 7:],
                        end=True)
        tap.ok(all(map(is_token, client.wait(*streams))),
               'HTTP/2: 20 bodies at once, each in two parts')
        tap.equal(sorted((one['userId'], one['roomIdentifier'])
                         for one in sent(service)),
                  sorted((f'user {i}', [LOBBY, STAGE][i % 2])
                         for i in range(20)), 'each is its own')

        tap.ok(is_token(client.ask('/auth', body=padded(LIMIT))),
               f'HTTP/2: {LIMIT} bytes')
        service.forget()

        for name, headers in (('by Content-Length',
                               [('content-length', str(LIMIT + 1))]),
                              ('as it comes', [])):
            answer = client.ask('/auth', body=padded(LIMIT + 1),
                                headers=headers)
            tap.equal(answer and code(answer), (413, 'request_too_large'),
                      f'HTTP/2: {LIMIT + 1} bytes, {name}')

        tap.equal(code(client.ask('/auth', body=b'x')),
                  (400, 'invalid_request'), 'HTTP/2: no JSON')
        tap.equal(code(client.ask('/auth')), (400, 'invalid_request'),
                  'HTTP/2: no body, no room')

        stream = client.open('/auth', end=False)
        client.send(stream, body[:5])
        client.reset(stream)
        tap.ok(is_token(client.ask('/single')),
               'HTTP/2: a stream that is reset in its body, and the next one')

    tap.equal(sent(service), [{'roomIdentifier': LOBBY, 'userId': 'alice',
                               'capabilities': ['SEND_MESSAGE']}],
              'AWS is asked for that one only')


# Where others read the body, or an error page leads on


def read_before(nginx, service):
    """"mirror" reads the body before us, even to a file."""
    post = Asker(nginx, service)

    for size in (60, 2000, LIMIT):
        body = js(capabilities=[], durationInMinutes=5)
        found, asked = post('/mirrored?room=lobby',
                            body + b' ' * (size - len(body)))
        tap.equal((found, asked), ('token', {
            'roomIdentifier': LOBBY, 'userId': 'alice',
            'sessionDurationInMinutes': 5}),
            f'{size} bytes that mirror has read')

    tap.equal(post('/mirrored?room=lobby', b' ' * (LIMIT + 1))[0],
              (413, 'request_too_large'), 'and one more')
    tap.equal(post('/mirrored-off', b'x' * 20000)[0], 'token',
              'nor is it missed where it does not count')


def led_on(nginx, service):
    """An error page that leads to another location of ours."""
    post = Asker(nginx, service)
    wish = {'durationInMinutes': 7}
    second = {'roomIdentifier': LOBBY, 'userId': 'alice',
              'capabilities': ['SEND_MESSAGE']}

    tap.equal(post('/first?staff=1', wish)[1]['roomIdentifier'], STAFF,
              'no error')
    tap.equal(post('/first', wish), ('token', {
        **second, 'sessionDurationInMinutes': 7}),
        'the next location sees the body that the first has read')
    tap.equal(post('/first', b'x'), ((400, 'invalid_request'), None),
              'and refuses it as well')

    # the first one throws it away, and the second finds none
    for name, data, rest in (
            ('at once', request('/first-off', body=js(**wish)), b''),
            ('in two parts', request('/first-off', body=js(**wish)[:4],
                                     length=len(js(**wish)) + len(EVIL)),
             js(**wish)[4:] + EVIL),
            ('in chunks', chunked('/first-off', b'{')[:-5],
             chunk(b'}' + EVIL) + b'0\r\n\r\n' + EVIL)):
        with Client(nginx.port) as client:
            client.send(data)
            answer = client.answer()
            tap.ok(is_token(answer), f'a body that the first throws away, '
                   f'{name}: a token', answer.status, answer.body)
            tap.equal(sent(service), [second], 'as if there were none')
            if rest:
                try:
                    client.send(rest)
                except OSError:
                    pass
                tap.ok(answer.get('Connection') == 'close'
                       and client.closed(),
                       'and the connection ends, whatever follows',
                       answer.headers)

    with Client(nginx.port) as client:
        client.send(chunked('/first', b' ' * (LIMIT + 1))[:-5])
        answer = client.answer()
        tap.ok(code(answer) == (400, 'invalid_request')
               and answer.get('Connection') == 'close',
               'one that is too large, and not read to its end: an error',
               answer.status, answer.headers, answer.body)
    service.forget()


def logs(nginx, service):
    """What the logs say, and do not say."""
    count = nginx.lines_so_far()
    secret = {'arn': LOBBY, 'userId': SECRET_TEXT + '-user',
              'attributes': {'username': SECRET_TEXT, 'x': SECRET_TEXT}}

    for target, body, result in (
            ('/auth', js(**secret), 'ok'),
            ('/auth', js(**secret)[:-1], 'invalid_request'),
            ('/auth', js(**{**secret, 'arn': room('x')}), 'room_not_found'),
            ('/auth', js(**{**secret, 'arn': STAFF}), 'room_forbidden'),
            ('/auth', js(**secret) + b' ' * LIMIT, 'request_too_large'),
            ('/auth', js(**{**secret, 'attributes': {
                'username': SECRET_TEXT * 80}}), 'invalid_attributes')):
        ask(nginx.port, request(target, body=body))
        count += 1
        line = nginx.logged(count)[-1]
        tap.equal((line['result'], line['user']), (result, 'alice'),
                  f'$ivschat_token_result: {result}')

    text = nginx.error_log()
    tap.ok(SECRET_TEXT not in text, 'nothing that a client calls itself, and '
                                    'no attribute, is in the error log')
    for wanted in ("the client's body is refused: it is not JSON",
                   "the client's body is refused: an object has two members "
                   'of one name',
                   "the client's body names no room",
                   'no "ivschat_token_room" has the ARN in the client\'s body',
                   'that the client\'s body names does not hold',
                   'is not the one that this request is for',
                   'bytes, and may have 8192',
                   "the client's body has more than 8192 bytes"):
        tap.ok(wanted in text, f'the error log says: {wanted}')

    lines = nginx.access_log()
    tap.equal([line for line in lines if '/evil' in line['request']], [],
              'no body was ever taken for a request')
    left = (nginx.dir / 'body')
    tap.ok(wait_for(lambda: not [path for path in left.rglob('*')
                                 if path.is_file()]),
           'no temporary file is left')


def main():
    """One nginx for all."""
    bounded(120)
    with Service(args=['--rate', 'off']) as service, \
            Nginx(service, server=SERVER) as nginx:
        for part in (demos, refused, ignored, rooms, wishes, sizes, forms,
                     broken, http2, read_before, led_on, logs):
            attempt(tap, part, nginx, service)
        nginx.check(tap)

    tap.done()


main()
