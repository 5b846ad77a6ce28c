"""The client's body is read to its end, thrown away, and never obeyed."""

import random
import time

import pytest

from nginx_testlib import (AFTER, EVIL, Client, Http2, Nginx, check_bodies,
                           chunk, chunked, code, request, rss, sanitized,
                           then_after, told)

pytestmark = pytest.mark.usefixtures('fresh')

MEGABYTE = 1024 * 1024
SIZES = [0, 1, 2, 1023, 1024, 1025, 8191, 8192, 8193, 16383, 16384, 16385,
         100 * 1024, MEGABYTE - 1, MEGABYTE]
SLOW_ROOM = '/token?room=fault-slow-500'
EXPECT = [('Expect', '100-continue')]
TOO_LARGE = (413, 'request_too_large')

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
        ivschat_token_room      $arg_nothing trusted;
    }
'''


def filler(size):
    """A body that is full of requests, and ends in one."""
    return (EVIL * (size // len(EVIL) + 1))[-size:] if size else b''


@pytest.fixture(scope='module')
def nginx(service):
    with Nginx(service, server=LOCATIONS) as nginx:
        yield nginx
        check_bodies(nginx)
        nginx.check()


@pytest.fixture
def client(nginx):
    with Client(nginx.port) as client:
        yield client


@pytest.fixture
def http2(nginx):
    with Http2(nginx.h2port) as client:
        yield client


# Request smuggling

BODY = b'x' * 100 + EVIL
CUT = len(BODY) - len(EVIL)


def test_rest_of_a_body_sent_while_aws_is_slow_is_no_request(
        nginx, client, service):
    count = nginx.lines_so_far()
    client.send(request(SLOW_ROOM, body=BODY[:CUT], length=len(BODY)))
    assert client.quiet()
    assert service.requests() == []
    client.send(BODY[CUT:])
    assert client.quiet()
    assert len(service.requests()) == 1
    assert told(client.answer()) == 'token'
    assert client.quiet(0.3)
    # a real request on the same connection is
    assert client.ask(AFTER).body == b'after'
    assert nginx.logged(count + 2)[-1]['request'] == 'GET /after HTTP/1.1'


def test_requests_behind_the_rest_of_a_body_are_answered(client):
    client.send(request(SLOW_ROOM, body=BODY[:CUT], length=len(BODY)))
    time.sleep(0.1)
    client.send(BODY[CUT:] + AFTER + request('/token', body=b'{}'))
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert told(client.answer()) == 'token'
    assert client.quiet()


def test_request_sent_while_aws_is_slow_is_answered_once(client):
    client.send(request(SLOW_ROOM, body=BODY))
    time.sleep(0.1)
    client.send(AFTER)
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert client.quiet()


def test_request_behind_the_rest_of_chunks_is_answered(client):
    pieces = chunk(b'x' * 100) + chunk(EVIL) + b'0\r\n\r\n'
    client.send(chunked(SLOW_ROOM)[:-5] + pieces[:150])
    time.sleep(0.1)
    client.send(pieces[150:] + AFTER)
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert client.quiet()


@pytest.mark.parametrize('target, user, method, expected', [
    ('/token', None, 'POST', (401, 'unauthenticated')),
    ('/refused', 'alice', 'POST', (404, 'room_not_found')),
    ('/token', 'alice', 'PUT', (405, 'method_not_allowed'))],
    ids=['401', '404', '405'])
def test_rest_of_a_body_that_is_refused_is_no_request(client, target, user,
                                                      method, expected):
    client.send(request(target, user, BODY[:CUT], method=method,
                        length=len(BODY)))
    time.sleep(0.1)
    client.send(BODY[CUT:] + AFTER)
    assert code(client.answer()) == expected
    assert then_after(client)
    assert client.quiet()


# Sizes


@pytest.mark.parametrize('size', SIZES)
def test_body_of_every_size_is_read_in_every_form(client, size):
    body = filler(size)
    forms = [request(body=body), chunked(body=body),
             chunked(body=body, size=size or 1)]
    if size <= 16385:
        forms += [chunked(body=body, size=1), chunked(
            body=body, size=7, extension=b';a=b;c="d;e"',
            trailers=b'X-Trailer: 1\r\nX-Other: GET /evil\r\n')]

    for data in forms:
        client.send(data)
        assert told(client.answer()) == 'token', data[:200]
        client.send(data + AFTER)
        assert told(client.answer()) == 'token', data[:200]
        assert then_after(client), data[:200]
    assert client.quiet()


@pytest.mark.parametrize('size', (1, 500, 1024, 5000, 16384, 40000))
def test_body_is_read_wherever_it_is_cut(client, size):
    dice = random.Random(size)
    body = filler(size)

    for data in (request(body=body), chunked(body=body, size=999),
                 request('/small', body=filler(size % 8000)),
                 request('/buffering', body=body)):
        data += AFTER
        cuts = sorted(dice.choices(range(1, len(data)), k=3))
        for start, end in zip([0, *cuts], [*cuts, len(data)]):
            client.send(data[start:end])
            time.sleep(0.002)
        assert told(client.answer()) == 'token', (data[:200], cuts)
        assert then_after(client), (data[:200], cuts)


@pytest.mark.parametrize('data', [
    request(body=filler(200)),
    chunked(body=filler(120), size=13, extension=b';a', trailers=b'A: b\r\n')],
    ids=['Content-Length', 'chunked'])
def test_body_is_read_byte_by_byte(client, data):
    for byte in data + AFTER:
        client.send(bytes([byte]))
    assert told(client.answer()) == 'token'
    assert then_after(client)
    assert client.quiet()


def test_body_is_read_in_packets_of_one_byte(client):
    client.send(request(length=400))
    for byte in filler(400):
        client.send(bytes([byte]))
        time.sleep(0.0005)
    assert told(client.answer()) == 'token'
    assert client.quiet()


@pytest.mark.parametrize('target, length', [
    ('/token', MEGABYTE + 1), ('/token', 10 ** 15), ('/small', 8193)])
def test_larger_content_length_gets_413_of_nginx(client, service, target,
                                                 length):
    answer = client.ask(request(target, length=length))
    assert answer.status == 413
    assert answer.get('Content-Type') == 'text/html'
    assert answer.get('Connection') == 'close'
    assert service.requests() == []


@pytest.mark.parametrize('target, size', [('/token', MEGABYTE + 1),
                                          ('/small', 8193)])
def test_larger_body_in_chunks_closes_the_connection(client, service, target,
                                                     size):
    answer = client.ask(chunked(target, filler(size)) + EVIL)
    assert code(answer) == TOO_LARGE
    assert answer.get('Connection') == 'close'
    assert service.requests() == []


def test_no_user_gets_401_whatever_the_size(client):
    answer = client.ask(request('/small', None, None, [
        ('Transfer-Encoding', 'chunked')]) + b'2001\r\n')
    assert answer.status == 401


# Chunks that are none

CHUNKED = request(body=None, headers=[('Transfer-Encoding', 'chunked')])
MALFORMED = {
    'no number': b'zz\r\n', 'an empty line': b'\r\n', 'a sign': b'-1\r\n',
    '0x': b'0x1\r\na\r\n0\r\n\r\n', 'over 64 bits': b'f' * 17 + b'\r\n',
    'no CRLF behind the data': b'3\r\nabcdef\r\n0\r\n\r\n',
    'LF for the first digit': b'\n',
}


@pytest.mark.parametrize('late', (False, True),
                         ids=['first', 'after a good one'])
@pytest.mark.parametrize('data', MALFORMED.values(), ids=MALFORMED)
def test_malformed_chunk_closes_the_connection(client, service, data, late):
    if late:
        client.send(CHUNKED + chunk(b'x' * 2000))
        time.sleep(0.05)
        client.send(data)
    else:
        client.send(CHUNKED + data)
    answer = client.answer()
    assert code(answer) == (400, 'invalid_request')
    assert answer.get('Connection') == 'close'
    assert client.closed()
    assert service.requests() == []


def test_what_follows_a_malformed_chunk_is_not_looked_at(client, service):
    client.send(CHUNKED + b'zz\r\n' + EVIL * 10)
    assert client.answer().status == 400
    assert client.closed()
    assert service.requests() == []


# Bodies that never end, and clients that ask before they send


@pytest.mark.parametrize('data', [
    request('/impatient', body=b'x', length=9),
    chunked('/impatient', b'x')[:-5]], ids=['Content-Length', 'chunked'])
def test_body_that_does_not_come_in_time(nginx, client, service, data):
    count = nginx.lines_so_far()
    client.send(data)
    assert client.quiet(0.2)
    assert client.closed()
    assert nginx.logged(count + 1)[-1]['status'] == 408
    assert service.requests() == []


@pytest.mark.parametrize('head, body', [
    (request(headers=EXPECT, length=5000), filler(5000)),
    (chunked(headers=EXPECT)[:-5], chunk(filler(5000)) + b'0\r\n\r\n')],
    ids=['Content-Length', 'chunked'])
def test_expect_is_answered_and_the_body_waited_for(client, head, body):
    assert client.ask(head).status == 100
    assert client.quiet()
    assert told(client.ask(body)) == 'token'
    assert client.ask(AFTER).body == b'after'


def test_no_user_gets_401_to_expect(client):
    answer = client.ask(request(user=None, headers=EXPECT, length=5000))
    if answer.status == 100:            # so does nginx when it discards
        answer = client.answer()
    assert code(answer) == (401, 'unauthenticated')


# HTTP/2


@pytest.mark.parametrize('size', SIZES)
def test_http2_body_of_every_size_is_read(http2, size):
    body = filler(size)
    length = [('content-length', str(size))]
    assert told(http2.ask(body=body, headers=length)) == 'token'
    assert told(http2.ask(body=body)) == 'token'


def test_http2_no_body(http2):
    assert told(http2.ask()) == 'token'


def test_http2_frames_of_one_byte(http2):
    stream = http2.open(end=False)
    http2.send(stream, filler(3000), end=True, size=1)
    assert told(http2.wait(stream)[0]) == 'token'


def test_http2_empty_frame_at_the_end(http2):
    stream = http2.open(end=False)
    http2.send(stream, filler(3000))
    http2.send(stream, b'', end=True)
    assert told(http2.wait(stream)[0]) == 'token'


def test_http2_aws_is_not_asked_before_the_body_is_whole(http2, service):
    stream = http2.open(SLOW_ROOM, end=False)
    http2.send(stream, b'x' * 100)
    http2.pump(0.2)
    assert service.requests() == []
    http2.send(stream, EVIL, end=True)
    assert told(http2.wait(stream)[0]) == 'token'
    other = http2.open('/after', None, method='GET')
    assert http2.wait(other)[0].body == b'after'


def test_http2_larger_body_and_the_connection_goes_on(http2):
    assert code(http2.ask(body=filler(MEGABYTE + 1))) == TOO_LARGE
    assert code(http2.ask('/small', body=filler(8193))) == TOO_LARGE

    answer, = http2.wait(http2.open(end=False, headers=[
        ('content-length', str(MEGABYTE + 1))]))
    assert answer.status == 413
    assert answer.get('content-type') == 'text/html'        # nginx's own

    assert told(http2.ask(body=filler(70000))) == 'token'


def test_http2_body_that_does_not_come_in_time(http2):
    stream = http2.open('/impatient', end=False)
    http2.send(stream, b'x')
    http2.wait(stream)
    assert stream in http2.ended
    assert told(http2.ask(body=b'{}')) == 'token'


def test_http2_50_streams_at_a_time_each_for_its_own_user(http2, service):
    users = [f'user {number} é' for number in range(50)]
    streams = [http2.open(f'/token?room=fault-slow-{100 + i * 7 % 50}', user,
                          end=i % 2 == 0) for i, user in enumerate(users)]
    for i, stream in enumerate(streams):
        if i % 2:
            http2.send(stream, filler(i * 40), end=True)
    answers = http2.wait(*streams)
    assert [told(answer) for answer in answers] == ['token'] * 50
    contents = [service.token(answer.json()['token']) for answer in answers]
    assert [(found, value['userId']) for found, value in contents] == [
        (200, user) for user in users]


# Memory

MEGABYTES = 20 if sanitized() else 200


UNLIMITED = request('/unlimited', body=None,
                    headers=[('Transfer-Encoding', 'chunked')])


@pytest.mark.parametrize('head, piece, count, end', [
    (UNLIMITED, chunk(b'x' * 65536), MEGABYTES * 16, b'0\r\n\r\n'),
    (UNLIMITED, chunk(b'x' * 16) * 64, 4096, b'0\r\n\r\n'),
    (request('/unlimited', length=MEGABYTES * MEGABYTE), filler(65536),
     MEGABYTES * 16, b''),
], ids=['chunks of 64k', 'chunks of 16', 'Content-Length'])
def test_large_body_is_not_kept(nginx, client, head, piece, count, end):
    worker = nginx.worker()
    client.ask(chunked('/unlimited', filler(4 * 65536), size=65536))
    before = rss(worker)
    client.send(head)
    for _ in range(count):
        client.send(piece)
    inside = rss(worker)
    client.send(end)
    assert told(client.answer()) == 'token'
    # freed memory stays in quarantine with AddressSanitizer
    bound = 400 * 1024 if sanitized() else 2 * 1024
    assert max(inside, rss(worker)) - before <= bound
