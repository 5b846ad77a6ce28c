"""Users and attributes arrive at AWS exactly as they are."""

import base64
import json
import random
import unicodedata

import pytest

from nginx_testlib import Client, Nginx, code, request, told

LOCATIONS = '''
    location = /checked {
        auth_basic              chat;
        auth_basic_user_file    users;
        ivschat_token           /ivschat;
        ivschat_token_user      $remote_user;
        ivschat_token_attribute value $remote_user;
    }

    location = /trusted {
        ivschat_token           /ivschat;
        ivschat_token_attribute value $remote_user;
    }

    location = /attribute {
        ivschat_token           /ivschat;
        ivschat_token_user      guest trusted;
        ivschat_token_attribute value $remote_user;
    }

    location = /header {
        ivschat_token           /ivschat;
        ivschat_token_attribute value $http_x_value trusted;
    }

    location = /around {
        ivschat_token           /ivschat;
        ivschat_token_user      "\\"<$remote_user>\\\\" trusted;
        ivschat_token_attribute "a\\"\\\\ñ" "{\\"v\\":\\"$http_x_value\\"}" trusted;
    }
'''

SPECIAL = [
    '"', '\\', '\\"', '"\\', '\\\\"', '\\u0041', '\\u0000', '\\n', '\\x00',
    '{"a":"b"}', '","userId":"mallory', '"}', '\\', "'", '`', '/', '</script>',
    '%', '%41', '%00', '%2541', '%u0041', '%s%s%n', '%V', '+', 'a+b', 'a b',
    ' leading', 'trailing ', '  ', ' ', '\t', 'a\tb', '&', 'a=b&c=d', '?', '#',
    '#comment', '$remote_user', '${arg_room}', '$', '$1', '*', '~', '^',
    '--', '-a', 'null', 'true', '0', 'false', '1e9', 'NaN', 'undefined',
    'Привет', 'مرحبا', 'שלום', '\u202eevil\u202c', '\u2066rtl\u2069', '\u200f',
    '你好', 'こんにちは', '한국어', '\u1112\u1161\u11ab', 'ก็', 'नि',
    'é', 'e\u0301', 'a' + '\u0301' * 100, '\u0301', 'ﬁ', 'ß', 'İ', 'ı',
    'ZWJ\u200d', '\u200b', '\u00a0', '\u3000', '\u00ad', '\u034f',
    '\u2028', '\u2029', 'a\u2028b\u2029c', '\ufeff', '\ufeffbom', 'bom\ufeff',
    '\ufffd', '\ufffe', '\uffff', '\U0001fffe', '\U0010ffff', '\ue000',
    '\ud7ff', '\u0080', '\u0085', '\u009f', '\u07ff', '\u0800', '\U00010000',
    '😀', '👩‍👩‍👧‍👦', '🇩🇪', '👍🏽', '❤️', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '😀' * 128, '\ufffd' * 128,
    '"' * 128, '\\' * 128, '\x01' * 128, '\x7f' * 128, '%' * 128, ' ' * 128,
    '\r\n', 'a\r\nX-Evil: 1', '\n', '\r', 'a\nb', '\x1b[31mred', '\b\f',
    '../../etc/passwd', 'a@b.example', 'urn:uuid'.replace(':', '.'),
]

BAD_USERS = {
    'NUL in the middle': b'a\x00b', 'NUL alone': b'\x00',
    'NUL at the end': b'alice\x00', '0xff': b'\xff',
    'a continuation alone': b'\x80', 'cut off': b'\xc3',
    'cut off in a character of three bytes': b'\xe2\x82',
    'cut off in a character of four bytes': b'\xf0\x9f\x98',
    'overlong NUL': b'\xc0\x80', 'overlong': b'\xc1\xbf',
    'overlong, three bytes': b'\xe0\x80\xaf',
    'overlong, four bytes': b'\xf0\x80\x80\xaf',
    'a surrogate': b'\xed\xa0\x80', 'the other surrogate': b'\xed\xb0\x80',
    'beyond U+10FFFF': b'\xf4\x90\x80\x80', '0xf5': b'\xf5\x80\x80\x80',
    **{f'control {number:#x}': b'a%cb' % number
       for number in [*range(1, 32), 127]},
    '129 characters': b'a' * 129, '129 emoji': '😀'.encode() * 129,
}


def values():
    """All that is sent; none of it has a colon, which ends a user's name."""
    dice = random.Random(20261124)
    alphabets = ['abcXYZ019 ', '"\\%+&=/\'<>', 'éßñΩж', '\u2028\u2029€\ufeffא',
                 '😀🇪👍\U0010ffff', ''.join(map(chr, [*range(1, 32), 127]))]
    found = [*SPECIAL]
    found += ['a%cb' % number for number in [*range(1, 32), 127]]
    found += [chr(number) for number in [*range(1, 32), 127]]

    for length in range(1, 129):
        letters = alphabets[length % len(alphabets)]
        found.append(''.join(dice.choices(letters, k=length)))
        found.append(''.join(dice.choices(''.join(alphabets), k=length)))

    unique = dict.fromkeys(found)
    return [value for value in unique if ':' not in value and value != '-']


def fits_header(value):
    """Whether HTTP lets a header have it, unchanged."""
    return (not any(unicodedata.category(char) == 'Cc' and char != '\t'
                    and char < '\x80' for char in value)
            and value == value.strip(' \t') and value != '')


def fits_file(value):
    """Whether a line of a password file can begin with it."""
    return '\n' not in value and value[0] not in '#\r'


def fits_user(value):
    """Whether a user's id may have it."""
    return not any(char < ' ' or char == '\x7f' for char in value)


VALUES = values()
USERS = [value for value in VALUES if fits_user(value)]
IN_HEADERS = [value for value in VALUES if fits_header(value)]

# The location, and for each request: user and header as they are sent, user
# and attributes as AWS is to see them.
WAYS = {
    'user of auth_basic, as user and attribute': ('/checked', [
        (value, None, value, {'value': value})
        for value in USERS if fits_file(value)]),
    'user of the header, as user and attribute': ('/trusted', [
        (value, None, value, {'value': value}) for value in USERS]),
    'user of the header, as attribute': ('/attribute', [
        (value, None, 'guest', {'value': value}) for value in VALUES]),
    'header as attribute': ('/header', [
        ('bob', value, 'bob', {'value': value}) for value in IN_HEADERS]),
    'within other text': ('/around', [
        (value, value, f'"<{value}>\\', {'a"\\ñ': '{"v":"%s"}' % value})
        for value in IN_HEADERS
        if fits_user(value) and len(value) <= 100][:60]),
}


@pytest.fixture(scope='module')
def nginx(service):
    nginx = Nginx(service, server=LOCATIONS)
    nginx.file('users', b''.join(value.encode() + b':{PLAIN}x\n'
                                 for value in VALUES if fits_file(value)))
    with nginx:
        yield nginx
        assert service.connections()['opened'] == 1, 'all over one connection'
        nginx.check()


@pytest.fixture
def client(nginx, service):
    service.forget()
    with Client(nginx.port) as client:
        yield client


def seen(service):
    """The requests that the service saw: user, attributes, status."""
    found = []
    for record in service.requests():
        body = json.loads(base64.b64decode(record['body_base64'])
                          .decode('utf-8', 'strict'))
        found.append((body['userId'], body.get('attributes'),
                      record['verdict']['status']))
    return found


def test_values_are_many_and_of_all_lengths():
    assert len(VALUES) > 300
    assert {len(value) for value in VALUES} == set(range(1, 129))


@pytest.mark.parametrize('way', WAYS)
def test_each_value_arrives_exactly_as_it_is(client, service, way):
    target, cases = WAYS[way]
    answers = [client.ask(request(target, user, headers=(
        [] if header is None else [('X-Value', header)])))
        for user, header, *_ in cases]
    assert [(case[0], told(answer)) for case, answer in zip(cases, answers)
            if told(answer) != 'token'] == []
    # with a signature that is accepted
    assert seen(service) == [(*expected, 200) for _, _, *expected in cases]
    tokens = {answer.json()['token'] for answer in answers}
    assert len(tokens) == len(cases), 'no token twice'


@pytest.mark.parametrize('value, expected', [
    ('x' * (1024 - len('value')), 'token'),
    ('é' * ((1024 - len('value')) // 2), 'token'),
    ('x' * (1025 - len('value')), (400, 'invalid_attributes')),
    (b'\xed\xa0\x80', (400, 'invalid_attributes')),
], ids=['1024 bytes', '1023 bytes in UTF-8', '1025 bytes', 'no UTF-8'])
def test_attributes_and_their_names_may_have_1024_bytes(client, value,
                                                        expected):
    answer = client.ask(request('/header', 'bob',
                                headers=[('X-Value', value)]))
    assert told(answer) == expected


def test_empty_attribute_is_left_out(client, service):
    assert told(client.ask(request('/header', 'bob'))) == 'token'
    assert seen(service) == [('bob', None, 200)]


@pytest.mark.parametrize('user, expected', [
    *((user, (400, 'invalid_user')) for user in BAD_USERS.values()),
    (b'', (401, 'unauthenticated')), (b'-', (401, 'unauthenticated')),
], ids=[*BAD_USERS, 'empty', '-'])
def test_bad_user_is_refused_and_never_reaches_aws(client, service, user,
                                                   expected):
    assert code(client.ask(request('/trusted', user))) == expected
    assert service.requests() == []
