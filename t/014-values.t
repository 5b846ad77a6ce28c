#!/usr/bin/python3
"""Users and attributes arrive at AWS exactly as they are."""

import base64
import json
import pathlib
import random
import sys
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Nginx, attempt, bounded, code, is_token,
                           request)

tap = Tap()

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

    location = /header {
        ivschat_token           /ivschat;
        ivschat_token_attribute value $http_x_value;
    }

    location = /around {
        ivschat_token           /ivschat;
        ivschat_token_user      "\\"<$remote_user>\\\\" trusted;
        ivschat_token_attribute "a\\"\\\\ñ" "{\\"v\\":\\"$http_x_value\\"}";
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

BAD = [
    (b'a\x00b', 'NUL in the middle'), (b'\x00', 'NUL alone'),
    (b'alice\x00', 'NUL at the end'), (b'\xff', '0xff'),
    (b'\x80', 'a continuation alone'), (b'\xc3', 'cut off'),
    (b'\xe2\x82', 'cut off in a character of three bytes'),
    (b'\xf0\x9f\x98', 'cut off in a character of four bytes'),
    (b'\xc0\x80', 'overlong NUL'), (b'\xc1\xbf', 'overlong'),
    (b'\xe0\x80\xaf', 'overlong, three bytes'),
    (b'\xf0\x80\x80\xaf', 'overlong, four bytes'),
    (b'\xed\xa0\x80', 'a surrogate'), (b'\xed\xb0\x80', 'the other surrogate'),
    (b'\xf4\x90\x80\x80', 'beyond U+10FFFF'), (b'\xf5\x80\x80\x80', '0xf5'),
    (b'a' * 129, '129 characters'), ('😀'.encode() * 129, '129 emoji'),
]


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


def seen(service, count):
    """The last requests that the service saw: user, attributes, status."""
    found = []
    for record in service.requests()[-count:]:
        body = json.loads(base64.b64decode(record['body_base64'])
                          .decode('utf-8', 'strict'))
        found.append((body['userId'], body.get('attributes'),
                      record['verdict']['status']))
    return found


def send_all(client, service, target, wanted, name):
    """One request after the other; wanted: (user, header, attributes)."""
    service.forget()
    answers = []

    for user, header, *_ in wanted:
        headers = [] if header is None else [('X-Value', header)]
        answers.append(client.ask(request(target, user, headers=headers)))

    tap.ok(all(is_token(answer) for answer in answers),
           f'{name}: {len(wanted)} tokens',
           *[f'{want[0]!r}: {code(answer)}'
             for want, answer in zip(wanted, answers)
             if not is_token(answer)][:10])

    got = seen(service, len(wanted))
    expected = [(want[2], want[3], 200) for want in wanted]
    tap.ok(got == expected, f'{name}: each arrives exactly as it was, '
                            'its signature accepted',
           f'{len(got)} of {len(expected)}',
           *[f'got {a!r}, expected {b!r}' for a, b in zip(got, expected)
             if a != b][:10])

    tokens = {answer.json()['token'] for answer in answers
              if is_token(answer)}
    tap.equal(len(tokens), len(wanted), f'{name}: no token twice')


def good(client, service):
    """All good values, by every way."""
    everything = values()
    tap.ok(len(everything) > 300, 'over 300 different values')
    tap.equal({len(value) for value in everything}, set(range(1, 129)),
              'of all lengths from 1 to 128 characters')

    checked = [value for value in everything if fits_file(value)]
    send_all(client, service, '/checked',
             [(value, None, value, {'value': value}) for value in checked],
             'user of auth_basic, as user and attribute')

    send_all(client, service, '/trusted',
             [(value, None, value, {'value': value})
              for value in everything],
             'user of the header, as user and attribute')

    headers = [value for value in everything if fits_header(value)]
    send_all(client, service, '/header',
             [('bob', value, 'bob', {'value': value}) for value in headers],
             'header as attribute')

    short = [value for value in headers if len(value) <= 100][:60]
    send_all(client, service, '/around',
             [(value, value, f'"<{value}>\\',
               {'a"\\ñ': '{"v":"%s"}' % value}) for value in short],
             'within other text')


def limits(client, service):
    """1024 bytes of attributes, names included."""
    name = len('value')
    for text in ('x' * (1024 - name), 'é' * ((1024 - name) // 2)):
        answer = client.ask(request('/header', 'bob',
                                    headers=[('X-Value', text)]))
        tap.ok(is_token(answer), f'{len(text.encode())} bytes of an '
                                 'attribute and its name of 5', answer.body)

    answer = client.ask(request('/header', 'bob',
                                headers=[('X-Value', 'x' * (1025 - name))]))
    tap.equal(code(answer), (400, 'invalid_attributes'), 'one byte more')

    answer = client.ask(request('/header', 'bob',
                                headers=[('X-Value', b'\xed\xa0\x80')]))
    tap.equal(code(answer), (400, 'invalid_attributes'),
              'an attribute that is no UTF-8')

    answer = client.ask(request('/header', 'bob'))
    tap.ok(is_token(answer), 'an empty attribute')
    tap.equal(seen(service, 1), [('bob', None, 200)], 'it is left out')


def bad(client, service):
    """What is refused, and never reaches AWS."""
    service.forget()
    for user, name in BAD:
        answer = client.ask(request('/trusted', user))
        tap.equal(code(answer), (400, 'invalid_user'), f'user with {name}')

    for user, name in ((b'', 'an empty user'), (b'-', 'the user "-"')):
        answer = client.ask(request('/trusted', user))
        tap.equal(code(answer), (401, 'unauthenticated'), name)

    tap.equal(service.requests(), [], 'none of these was sent to AWS')


def main():
    """All of it over one connection of the client and one to AWS."""
    bounded(60)
    with Service(args=['--rate', 'off']) as service:
        nginx = Nginx(service, server=LOCATIONS)
        nginx.file('users', b''.join(
            value.encode() + b':{PLAIN}x\n' for value in values()
            if fits_file(value)))

        with nginx, Client(nginx.port) as client:
            attempt(tap, good, client, service)
            tap.equal(service.connections()['opened'], 1,
                      'all over one connection to AWS')
            attempt(tap, limits, client, service)
            attempt(tap, bad, client, service)
            tap.equal(service.connections()['opened'], 1,
                      'still the same connection')
            client.close()
            nginx.check(tap)

    tap.done()


main()
