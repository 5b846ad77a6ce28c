"""What other modules, and other locations, do to a request for a token."""

import socket
import threading

import pytest

from nginx_testlib import (Client, Http2, Nginx, ask, chunked, code, is_token,
                           no_keepalive, request, upstream)

pytestmark = pytest.mark.usefixtures('fresh')

THROTTLED = (429, 'throttled')
INVALID = (400, 'invalid_request')
JS = '/usr/lib/nginx/modules/ngx_http_js_module.so'


# limit_req and limit_conn

LIMITS = '''
    limit_req_zone  $server_port        zone=all:1m  rate=1000r/s;
    limit_req_zone  $ivschat_token_user zone=user:1m rate=1r/m;
    limit_conn_zone $server_port        zone=port:1m;
    limit_conn_zone $ivschat_token_user zone=name:1m;
    ivschat_token_tries 3;
'''
LIMITED = '''
    location = /requests {
        limit_req     zone=all burst=1000 nodelay;
        ivschat_token /requests-inside;
    }
    location = /requests-inside {
        internal;
        limit_req     zone=user;
        proxy_pass    https://$ivschat_token_host/CreateChatToken;
        include       ivschat_params;
    }

    location = /connections {
        limit_conn    port 100;
        ivschat_token /connections-inside;
    }
    location = /connections-inside {
        internal;
        limit_conn    name 1;
        proxy_pass    https://$ivschat_token_host/CreateChatToken;
        include       ivschat_params;
    }
'''


@pytest.fixture(scope='module')
def limited(service):
    """An nginx with limits in both locations."""
    with Nginx(service, http=LIMITS, server=LIMITED) as nginx:
        yield nginx
        nginx.check()


def test_limit_req_in_both_locations(limited):
    assert is_token(ask(limited.port, request('/requests', 'one')))
    assert code(ask(limited.port, request('/requests', 'one'))) == THROTTLED
    assert is_token(ask(limited.port, request('/requests', 'two')))


@pytest.mark.parametrize('target', ('/requests', '/connections'))
def test_retries_do_not_count(limited, service, target):
    user = f'again {target}'
    service.faults({'fault': 'status-500', 'count': 2, 'user': user})
    assert is_token(ask(limited.port, request(target, user)))
    assert len(service.requests(user=user)) == 3


def test_limit_conn_in_both_locations(limited, service):
    service.config(latency=500)
    with Client(limited.port) as first:
        first.send(request('/connections', 'conn'))
        assert code(ask(limited.port, request('/connections', 'conn'))) == (
            THROTTLED)
        assert is_token(ask(limited.port, request('/connections', 'other')))
        assert is_token(first.answer())


# Filters

def test_filter_of_a_module_that_is_loaded_later(service, tmp_path):
    script = tmp_path / 'filter.js'
    script.write_text('''
        function head(r) { delete r.headersOut['Content-Length'] }
        function body(r, data, flags) {
            r.sendBuffer(data.toUpperCase(), flags);
        }
        export default {head, body};
    ''', 'ascii')
    tmp_path.chmod(0o755)
    with Nginx(service, main=f'load_module {JS};',
               http=f'js_import filter from {script};', server='''
            location = /filtered {
                js_header_filter filter.head;
                js_body_filter   filter.body;
                return 200 "filtered";
            }
            location = /js { ivschat_token /js-inside; }
            location = /js-inside {
                internal;
                js_header_filter filter.head;
                js_body_filter   filter.body;
                proxy_pass       https://$ivschat_token_host/CreateChatToken;
                include          ivschat_params;
            }''') as nginx:
        assert ask(nginx.port, request('/filtered')).body == b'FILTERED'
        answer = ask(nginx.port, request('/js'))
        assert is_token(answer), answer.body
        nginx.check()


@pytest.mark.parametrize('expires', ('1h', 'max', 'epoch', '@12h', '$arg_e'))
def test_expires_makes_no_token_cacheable(service, expires):
    with Nginx(service, location=f'expires {expires};', server=f'''
            location = /other {{ expires {expires}; return 200 other; }}'''
               ) as nginx:
        other = ask(nginx.port, request('/other?e=1h'))
        assert other.get('Expires')
        answer = ask(nginx.port, request('/token?e=1h'))
        assert is_token(answer)
        assert answer.get('Expires') is None
        assert [value for name, value in answer.headers
                if name.lower() == 'cache-control'] == ['no-store']
        nginx.check()


# A body that was discarded

DISCARDED = '''
    location = /refused {
        error_page                     401 = @token;
        ivschat_token                  /ivschat;
        ivschat_token_user             $no_user;
        ivschat_token_intercept_errors on;
    }
    location = /read-by-another {
        error_page              502 = @token;
        proxy_pass              http://127.0.0.1:1;
    }
    location @token {
        ivschat_token             /ivschat;
        ivschat_token_client_body on;
    }
'''
BODY = b'{"userId": "alice"}'


@pytest.fixture(scope='module')
def discarding(service):
    """An nginx where an error page leads to the token location."""
    with Nginx(service, http='map $uri $no_user { default ""; }',
               server=DISCARDED) as nginx:
        yield nginx
        nginx.check()


@pytest.mark.parametrize('data', (
    request('/refused', body=BODY), chunked('/refused', BODY),
    request('/refused', body=BODY + b' ' * 30000)),
    ids=('length', 'chunked', 'large'))
def test_discarded_body_is_invalid(discarding, service, data):
    assert code(ask(discarding.port, data)) == INVALID
    assert not service.requests()


def test_discarded_body_of_a_stream(discarding, service):
    with Http2(discarding.h2port) as client:
        assert code(client.ask('/refused', body=BODY)) == INVALID
    assert not service.requests()


@pytest.mark.parametrize('data', (
    request('/refused'), request('/refused', body=None),
    request('/read-by-another', body=BODY)),
    ids=('empty', 'none', 'read by another module'))
def test_body_that_is_there(discarding, data):
    assert is_token(ask(discarding.port, data))


# AWS's answers

class Raw:
    """A server that answers each request with the same bytes."""

    def __init__(self, data):
        self._data = data
        self._server = socket.create_server(('127.0.0.1', 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            with sock:
                sock.recv(65536)
                sock.sendall(self._data)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._server.close()


@pytest.mark.parametrize('value, shown', (
    (b'a\x1b[31mb', ''), (b'a\x07b', ''), (b'a\x7fb', ''), (b'a\tb', ''),
    ('\u00e9'.encode(), ''), (b'abc-DEF-123', 'abc-DEF-123')))
def test_request_id_with_control_characters(service, value, shown):
    data = (b'HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n'
            b'x-amzn-RequestId: ' + value + b'\r\nConnection: close\r\n\r\n{}')
    with Raw(data) as raw, Nginx(service, server='''
            location = /raw {
                ivschat_token             /raw-inside;
                ivschat_token_require_tls off;
                add_header                X-Id "[$ivschat_token_aws_request_id]"
                                          always;
            }
            location = /raw-inside {
                internal;
                include    ivschat_params;
                proxy_pass http://127.0.0.1:%d/CreateChatToken;
            }''' % raw.port) as nginx:
        answer = ask(nginx.port, request('/raw'))
        assert code(answer) == (502, 'rejected')
        assert answer.get('X-Id') == f'[{shown}]'
        assert f'request id "{shown}"' in nginx.error_log()
        log = (nginx.dir / 'error.log').read_bytes()
        assert value in log if shown else value not in log
        nginx.check()


def test_tls_session_of_a_request_without_verification(service):
    """It fails the next token, and the log says why."""
    with Nginx(service, http=upstream('eu-west-1', more=no_keepalive()),
               server='''
            location = /unverified {
                proxy_ssl_server_name on;
                proxy_ssl_name        ivschat.eu-west-1.amazonaws.com;
                proxy_pass https://ivschat.eu-west-1.amazonaws.com/;
            }''') as nginx:
        target = '/token?region=eu-west-1'
        ask(nginx.port, request('/unverified'))
        assert code(ask(nginx.port, request(target))) == (
            502, 'unavailable')
        assert ('another location uses the same upstream without a verified '
                'certificate' in nginx.error_log())
        nginx.check()
