#!/usr/bin/python3
"""The client's body is read to its end, thrown away, and never obeyed."""

import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from ivschat_testlib import Service, Tap
from nginx_testlib import (Client, Http2, Nginx, attempt, bounded, chunk,
                           chunked, code, is_token, request, rss, sanitized)

tap = Tap()

EVIL = b'GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n'
AFTER = request('/after', None, None, method='GET')
MEGABYTE = 1024 * 1024
SIZES = [0, 1, 2, 1023, 1024, 1025, 8191, 8192, 8193, 16383, 16384, 16385,
         100 * 1024, MEGABYTE - 1, MEGABYTE]
SLOW_ROOM = '/token?room=fault-slow-500'

LOCATIONS = '''
    location = /small {
        ivschat_token           /ivschat;
        client_body_buffer_size 1k;
        client_max_body_size    8k;
    }

    location = /impatient {
        ivschat_token           /ivschat;
        client_body_timeout     500ms;
    }

    location = /unlimited {
        ivschat_token           /ivschat;
        client_max_body_size    0;
    }

    location = /buffering {
        ivschat_token           /ivschat;
        client_body_in_file_only on;
    }

    location = /refused {
        ivschat_token           /ivschat;
        ivschat_token_room      $arg_nothing;
    }
'''


def filler(size):
    """A body that is full of requests, and ends in one."""
    return (EVIL * (size // len(EVIL) + 1))[-size:] if size else b''


def then_after(client):
    """Whether the next, pipelined request is answered, and nothing more."""
    answer = client.answer()
    return answer.status == 200 and answer.body == b'after'


# Request smuggling


def smuggling(nginx, service):
    """The rest of a body, sent while AWS is slow, is no request."""
    body = b'x' * 100 + EVIL
    cut = len(body) - len(EVIL)

    with Client(nginx.port) as client:
        service.forget()
        client.send(request(SLOW_ROOM, body=body[:cut], length=len(body)))
        tap.ok(client.quiet(), 'half a body: no answer yet')
        tap.equal(service.requests(), [], 'and AWS is not asked before the '
                                          'body is whole')
        client.send(body[cut:])
        tap.ok(client.quiet(), 'the second half, which is a request: AWS is '
                               'slow')
        tap.equal(len(service.requests()), 1, 'AWS is asked now')
        tap.ok(is_token(client.answer()), 'the token comes')
        tap.ok(client.quiet(0.3), 'nothing else is answered')
        tap.ok(client.ask(AFTER).body == b'after',
               'a real request on the same connection is')

    with Client(nginx.port) as client:
        client.send(request(SLOW_ROOM, body=body[:cut], length=len(body)))
        time.sleep(0.1)
        client.send(body[cut:] + AFTER + request('/token', body=b'{}'))
        tap.ok(is_token(client.answer()), 'a second half with two requests '
                                          'behind it: a token')
        tap.ok(then_after(client), 'the first one behind it')
        tap.ok(is_token(client.answer()), 'the second one, a token again')
        tap.ok(client.quiet(), 'and no more')

    with Client(nginx.port) as client:
        client.send(request(SLOW_ROOM, body=body))
        time.sleep(0.1)
        client.send(AFTER)
        tap.ok(is_token(client.answer()), 'a request sent while AWS is slow')
        tap.ok(then_after(client), 'is answered after the token')
        tap.ok(client.quiet(), 'once')

    with Client(nginx.port) as client:
        pieces = chunk(b'x' * 100) + chunk(EVIL) + b'0\r\n\r\n'
        client.send(chunked(SLOW_ROOM)[:-5] + pieces[:150])
        time.sleep(0.1)
        client.send(pieces[150:] + AFTER)
        tap.ok(is_token(client.answer()), 'the same in chunks: a token')
        tap.ok(then_after(client), 'the real request behind it')
        tap.ok(client.quiet(), 'and no more')


def smuggling_past_refusals(nginx):
    """Where the request is refused before its body, too."""
    body = b'x' * 100 + EVIL
    cut = len(body) - len(EVIL)

    for name, target, user, status in (
            ('401', '/token', None, (401, 'unauthenticated')),
            ('404', '/refused', 'alice', (404, 'room_not_found')),
            ('405', '/token', 'alice', (405, 'method_not_allowed'))):
        with Client(nginx.port) as client:
            method = 'PUT' if name == '405' else 'POST'
            client.send(request(target, user, body[:cut], method=method,
                                length=len(body)))
            time.sleep(0.1)
            client.send(body[cut:] + AFTER)
            tap.equal(code(client.answer()), status, f'{name} to a body in '
                                                     'two parts')
            tap.ok(then_after(client) and client.quiet(),
                   f'{name}: the next answer is that of the real request')


# Sizes


def sizes(nginx):
    """Bodies of all sizes, on one connection."""
    with Client(nginx.port) as client:
        for size in SIZES:
            body = filler(size)

            forms = [('Content-Length', request(body=body)),
                     ('chunks of 8k', chunked(body=body)),
                     ('one chunk', chunked(body=body, size=size or 1))]
            if size <= 16385:
                forms.append(('chunks of 1', chunked(body=body, size=1)))
                forms.append(('chunks of 7, extensions, trailers', chunked(
                    body=body, size=7, extension=b';a=b;c="d;e"',
                    trailers=b'X-Trailer: 1\r\nX-Other: GET /evil\r\n')))

            bad = []
            for name, data in forms:
                for pipelined in (False, True):
                    client.send(data + (AFTER if pipelined else b''))
                    if not is_token(client.answer()):
                        bad.append(name)
                    if pipelined and not then_after(client):
                        bad.append(name + ', pipelined')
            tap.ok(not bad, f'{size} bytes in {len(forms)} forms, alone and '
                            'with the next request in the same send', *bad)

        tap.ok(client.quiet(), 'nothing else was answered')


def parts(nginx):
    """Bodies that come in parts, cut anywhere."""
    dice = random.Random(1)

    with Client(nginx.port) as client:
        bad = []
        for size in (1, 500, 1024, 5000, 16384, 40000):
            body = filler(size)
            for data in (request(body=body), chunked(body=body, size=999),
                         request('/small', body=filler(size % 8000)),
                         request('/buffering', body=body)):
                data += AFTER
                cuts = sorted(dice.choices(range(1, len(data)), k=3))
                for start, end in zip([0, *cuts], [*cuts, len(data)]):
                    client.send(data[start:end])
                    time.sleep(0.002)
                if not (is_token(client.answer()) and then_after(client)):
                    bad.append(size)
        tap.ok(not bad, 'requests cut at random places', *bad)

        for name, data in (
                ('Content-Length', request(body=filler(200))),
                ('chunked', chunked(body=filler(120), size=13,
                                    extension=b';a', trailers=b'A: b\r\n'))):
            for byte in data + AFTER:
                client.send(bytes([byte]))
            tap.ok(is_token(client.answer()) and then_after(client),
                   f'byte by byte, {name}')

        head = request(length=400)
        client.send(head)
        for byte in filler(400):
            client.send(bytes([byte]))
            time.sleep(0.0005)
        tap.ok(is_token(client.answer()),
               'byte by byte, each in a packet of its own')
        tap.ok(client.quiet(), 'nothing else was answered')


def too_large(nginx, service):
    """Over client_max_body_size."""
    service.forget()
    over = filler(MEGABYTE + 1)

    for name, length, head in (
            ('one byte over the limit', MEGABYTE + 1, '/token'),
            ('far over the limit', 10 ** 15, '/token'),
            ('one byte over 8k', 8193, '/small')):
        with Client(nginx.port) as client:
            client.send(request(head, length=length))
            answer = client.answer()
            tap.ok(answer.status == 413
                   and answer.get('Content-Type') == 'text/html'
                   and answer.get('Connection') == 'close',
                   f'{name}, by Content-Length: nginx\'s own 413',
                   answer.status, answer.headers)

    for name, target, body in (('one byte over the limit', '/token', over),
                               ('one byte over 8k', '/small', over[:8193])):
        with Client(nginx.port) as client:
            client.send(chunked(target, body) + EVIL)
            answer = client.answer()
            tap.equal(code(answer), (413, 'request_too_large'),
                      f'{name}, in chunks')
            tap.equal(answer.get('Connection'), 'close',
                      f'{name}, in chunks: the connection is closed')

    with Client(nginx.port) as client:
        client.send(request('/small', None, None, [
            ('Transfer-Encoding', 'chunked')]) + b'2001\r\n')
        tap.equal(client.answer().status, 401, 'who has no user gets 401 '
                                               'whatever the size')

    tap.equal(service.requests(), [], 'AWS is never asked')


def malformed(nginx, service):
    """Chunks that are none."""
    service.forget()
    head = request('/token', body=None,
                   headers=[('Transfer-Encoding', 'chunked')])

    for name, data in (
            ('no number', b'zz\r\n'), ('an empty line', b'\r\n'),
            ('a sign', b'-1\r\n'), ('0x', b'0x1\r\na\r\n0\r\n\r\n'),
            ('a size over 64 bits', b'f' * 17 + b'\r\n'),
            ('no CRLF behind the data', b'3\r\nabcdef\r\n0\r\n\r\n'),
            ('LF for the first digit', b'\n')):
        for late in (False, True):
            with Client(nginx.port) as client:
                if late:
                    client.send(head + chunk(b'x' * 2000))
                    time.sleep(0.05)
                    client.send(data)
                else:
                    client.send(head + data)
                answer = client.answer()
                when = 'after a good chunk' if late else 'at once'
                tap.ok(code(answer) == (400, 'invalid_request')
                       and answer.get('Connection') == 'close',
                       f'malformed chunk, {name}, {when}: 400',
                       answer.status, answer.headers, answer.body)
                tap.ok(client.closed(), 'and the connection is closed')

    with Client(nginx.port) as client:
        client.send(head + b'zz\r\n' + EVIL * 10)
        tap.ok(client.answer().status == 400 and client.closed(),
               'what follows a malformed chunk is not looked at')

    tap.equal(service.requests(), [], 'AWS is never asked')


def waiting(nginx, service):
    """Bodies that never end, and clients that ask before they send."""
    service.forget()
    count = nginx.lines_so_far()

    for name, data in (
            ('Content-Length', request('/impatient', body=b'x', length=9)),
            ('chunked', chunked('/impatient', b'x')[:-5])):
        with Client(nginx.port) as client:
            client.send(data)
            tap.ok(client.quiet(0.2), f'{name}: half a body, nothing happens')
            tap.ok(client.closed(), f'{name}: closed after '
                                    'client_body_timeout')
        count += 1
        line = nginx.logged(count)[-1]
        tap.equal(line['status'], 408, f'{name}: logged as 408')

    tap.equal(service.requests(), [], 'AWS is not asked')

    expect = [('Expect', '100-continue')]
    for name, head, body in (
            ('Content-Length', request(headers=expect, length=5000),
             filler(5000)),
            ('chunked', chunked(headers=expect)[:-5],
             chunk(filler(5000)) + b'0\r\n\r\n')):
        with Client(nginx.port) as client:
            tap.equal(client.ask(head).status, 100,
                      f'{name}: Expect: 100-continue is answered')
            tap.ok(client.quiet(), f'{name}: and then the body waited for')
            tap.ok(is_token(client.ask(body)), f'{name}: then the token')
            tap.equal(client.ask(AFTER).body, b'after',
                      f'{name}: and the connection goes on')

    with Client(nginx.port) as client:
        answer = client.ask(request(user=None, headers=expect, length=5000))
        if answer.status == 100:            # so does nginx when it discards
            answer = client.answer()
        tap.equal(code(answer), (401, 'unauthenticated'),
                  'no user: 401 to Expect')


# HTTP/2


def http2(nginx, service):
    """The same over HTTP/2."""
    with Http2(nginx.h2port) as client:
        for size in SIZES:
            body = filler(size)
            length = [('content-length', str(size))]
            tap.ok(is_token(client.ask(body=body, headers=length))
                   and is_token(client.ask(body=body)),
                   f'HTTP/2: {size} bytes, with and without Content-Length')

        tap.ok(is_token(client.ask()), 'HTTP/2: no body')

        stream = client.open(end=False)
        client.send(stream, filler(3000), end=True, size=1)
        tap.ok(is_token(client.wait(stream)[0]), 'HTTP/2: frames of one byte')

        stream = client.open(end=False)
        client.send(stream, filler(3000))
        client.send(stream, b'', end=True)
        tap.ok(is_token(client.wait(stream)[0]),
               'HTTP/2: an empty frame at the end')

        service.forget()
        stream = client.open(SLOW_ROOM, end=False)
        client.send(stream, b'x' * 100)
        client.pump(0.2)
        tap.equal(service.requests(), [], 'HTTP/2: AWS is not asked before '
                                          'the body is whole')
        client.send(stream, EVIL, end=True)
        tap.ok(is_token(client.wait(stream)[0]), 'HTTP/2: then it is')

        other = client.open('/after', None, method='GET')
        tap.equal(client.wait(other)[0].body, b'after',
                  'HTTP/2: the connection goes on')

        answer = client.ask(body=filler(MEGABYTE + 1))
        tap.equal(code(answer), (413, 'request_too_large'),
                  'HTTP/2: one byte over the limit')

        answer = client.ask('/small', body=filler(8193))
        tap.equal(code(answer), (413, 'request_too_large'),
                  'HTTP/2: one byte over 8k')

        stream = client.open(headers=[('content-length',
                                       str(MEGABYTE + 1))], end=False)
        answer, = client.wait(stream)
        tap.ok(answer.status == 413
               and answer.get('content-type') == 'text/html',
               'HTTP/2: over the limit by Content-Length, nginx\'s own 413')

        tap.ok(is_token(client.ask(body=filler(70000))),
               'HTTP/2: the connection goes on after these')

        stream = client.open('/impatient', end=False)
        client.send(stream, b'x')
        client.wait(stream)
        tap.ok(stream in client.ended, 'HTTP/2: half a body, the stream ends '
                                       'after client_body_timeout')
        tap.ok(is_token(client.ask(body=b'{}')),
               'HTTP/2: and the others go on')

    streams(nginx, service)


def streams(nginx, service):
    """50 at once on one connection."""
    service.forget()
    users = [f'user {number} é' for number in range(50)]

    with Http2(nginx.h2port) as client:
        numbers = [client.open(f'/token?room=fault-slow-{100 + i * 7 % 50}',
                               user, end=i % 2 == 0)
                   for i, user in enumerate(users)]
        for i, stream in enumerate(numbers):
            if i % 2:
                client.send(stream, filler(i * 40), end=True)
        answers = client.wait(*numbers)

    tap.ok(all(answer and is_token(answer) for answer in answers),
           'HTTP/2: 50 streams at once on one connection, 50 tokens',
           *[answer and (answer.status, answer.body) for answer in answers
             if not answer or not is_token(answer)][:5])

    got = []
    for answer in answers:
        found, contents = service.token(answer.json()['token'])
        got.append(contents['userId'] if found == 200 else found)
    tap.equal(got, users, 'HTTP/2: each for its own user')


# Memory


def memory(nginx):
    """A large body is not kept."""
    worker = nginx.worker()
    # freed memory stays in quarantine with AddressSanitizer
    bound = 400 * 1024 if sanitized() else 2 * 1024
    size = 20 if sanitized() else 200

    with Client(nginx.port) as client:
        for name, piece, count in (
                (f'{size} MB in chunks of 64k', chunk(b'x' * 65536),
                 size * 16),
                ('4 MB in chunks of 16', chunk(b'x' * 16) * 64, 4096)):
            head = request('/unlimited', body=None,
                           headers=[('Transfer-Encoding', 'chunked')])
            client.send(head + piece * 4 + b'0\r\n\r\n')
            client.answer()
            before = rss(worker)
            client.send(head)
            for _ in range(count):
                client.send(piece)
            inside = rss(worker)
            client.send(b'0\r\n\r\n')
            tap.ok(is_token(client.answer()), f'{name}: a token')
            grown = max(inside, rss(worker)) - before
            tap.ok(grown <= bound, f'{name}: the worker does not grow by '
                                   f'more than {bound} kB', f'{grown} kB')

        size *= MEGABYTE
        before = rss(worker)
        client.send(request('/unlimited', length=size))
        piece = filler(65536)
        for _ in range(size // len(piece)):
            client.send(piece)
        inside = rss(worker)
        tap.ok(is_token(client.answer()), 'the same by Content-Length')
        grown = max(inside, rss(worker)) - before
        tap.ok(grown <= bound, 'and the worker does not grow', f'{grown} kB')


def no_evil(nginx):
    """What the access log and the disk say in the end."""
    lines = nginx.access_log()
    tap.equal([line for line in lines if '/evil' in line['request']], [],
              'no body was ever taken for a request')
    tap.ok(any(line['request'] == 'GET /after HTTP/1.1' for line in lines),
           'and the real ones are in the log')
    tap.equal([path.name for path in (nginx.dir / 'body').rglob('*')
               if path.is_file()], [], 'no temporary file is left')


def main():
    """One nginx for all."""
    bounded(100)
    with Service(args=['--rate', 'off']) as service, \
            Nginx(service, server=LOCATIONS) as nginx:
        attempt(tap, smuggling, nginx, service)
        attempt(tap, smuggling_past_refusals, nginx)
        attempt(tap, sizes, nginx)
        attempt(tap, parts, nginx)
        attempt(tap, too_large, nginx, service)
        attempt(tap, malformed, nginx, service)
        attempt(tap, waiting, nginx, service)
        attempt(tap, http2, nginx, service)
        attempt(tap, memory, nginx)
        attempt(tap, no_evil, nginx)
        nginx.check(tap)

    tap.done()


main()
