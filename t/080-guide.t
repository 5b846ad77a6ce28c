#!/usr/bin/python3
"""The configurations of docs/guide, as they stand there, and its commands.

Each ```nginx block whose first line is "# conf.d/NAME.conf" is a recipe.  The
blocks after it, up to the next one, belong to it: files that it includes
(their first line names them) and curl's commands, with the status that each
is to get ("curl ...  # 200").  What is changed in a configuration is in
SUBSTITUTIONS.
"""

import base64
import functools
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from ivschat_testlib import KEY, SECRET, Answer, Service, Tap, room
from nginx_testlib import (PARAMS, TOP, Client, Nginx, attempt, basic, binary,
                           bounded, code, is_token, modules, sanitized,
                           version, wait_for)

tap = Tap()

GUIDE = TOP / 'docs' / 'guide'


def substitutions(site):
    """All that is changed in a recipe: (expression, replacement)."""
    return [
        # where nginx listens
        (r'listen( +)443 quic reuseport;',
         rf'listen\g<1>127.0.0.1:{site.port} quic reuseport;'),
        (r'listen( +)443 ssl;', rf'listen\g<1>127.0.0.1:{site.port} ssl;'),
        (r'listen 127\.0\.0\.1:8080;', f'listen 127.0.0.1:{site.port};'),
        # where AWS and the application are
        (r'(\n    server +)ivschat[a-z0-9.-]+:443;',
         rf'\g<1>127.0.0.1:{site.service.port};'),
        (r'http://127\.0\.0\.1:8000/', f'http://127.0.0.1:{site.app}/'),
        # directories
        (r'/etc/nginx/', f'{site.dir}/'),
        (r'/var/log/nginx/', f'{site.dir}/'),
    ]


class Needs:
    """What a recipe needs: an nginx, a flag of its configure, a package.

    allow: what else than nothing may be an alert in its log.
    """

    def __init__(self, nginx='1.22.1', flag=None, module=None, allow=None):
        self.nginx = tuple(map(int, nginx.split('.')))
        self.flag, self.module, self.allow = flag, module, allow

    def why_not(self):
        """Why this nginx cannot run it, or None where it has to."""
        if numbers() < self.nginx:
            return 'nginx is older than ' + '.'.join(map(str, self.nginx))
        if not packaged() and self.module:
            return f'{self.module} does not fit an nginx that is not Debian\'s'
        if not packaged() and self.flag and self.flag not in version():
            return f'this nginx was built without {self.flag}'
        return None


# What others leave behind in OpenSSL's queue of errors when a signature is
# wrong, that of a JWT (njs, libjwt) or of a client's certificate (nginx).
STALE = 'ignoring stale global SSL error'

RECIPES = {
    'basic-auth': Needs(),
    'auth-request': Needs(),
    'front-proxy': Needs(),
    'jwt-njs': Needs(module='ngx_http_js_module.so', allow=STALE),
    'jwt-module': Needs('1.30.0', module='ngx_http_auth_jwt_module.so',
                        allow=STALE),
    'mutual-tls': Needs(allow=STALE),
    'signed-cookie': Needs(flag='--with-http_secure_link_module'),
    'roles': Needs(),
    'bans': Needs(),
    'other-origin': Needs(),
    'csrf': Needs(),
    'user-limits': Needs(),
    'two-regions': Needs(),
    'two-accounts': Needs(),
    'endpoints': Needs(),
    'http3': Needs('1.25.1', flag='--with-http_v3_module'),
    'health': Needs(),
}

# What does not run where, said once more, so that nothing gets lost.
NOT_ON = {(1, 22): {'jwt-module', 'http3'}, (1, 26): {'jwt-module'},
          (1, 30): set()}
NOT_SANITIZED = {'jwt-njs', 'jwt-module', 'http3'}

SEND = ['SEND_MESSAGE']
MODERATE = ['SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE']
LOBBY = room('AbCdEfGhIjKl')
OTHER = room('MnOpQrStUvWx')
CHAT = '/chat/token'


@functools.lru_cache
def numbers():
    """The version of nginx."""
    return tuple(map(int, re.search(r'nginx/([\d.]+)',
                                    version())[1].split('.')))


def packaged():
    """Whether it is the distribution's, with modules in packages."""
    return modules_path() is not None and not sanitized()


def modules_path():
    """Where packages put modules, or None."""
    found = re.search(r'--modules-path=(\S+)', version())
    return found and pathlib.Path(found[1])


# The pages


class Recipe:
    """A configuration, the files that belong to it, its commands."""

    def __init__(self, page, text):
        self.page, self.text = page, text
        self.files = {}
        self.commands = []
        self.python = ''


def recipes():
    """All of them, {name: Recipe}."""
    found, files = {}, {}
    for path in sorted(GUIDE.glob('*.md')):
        recipe = None
        for language, text in re.findall(r'^ *```(\w+)\n(.*?)^ *```$',
                                         path.read_text('utf-8'),
                                         re.M | re.S):
            name = re.match(r'(?:#|//) ([\w./-]+\.(?:conf|map|js))\n', text)
            if name and language == 'nginx' and (
                    name[1].startswith('conf.d/')):
                recipe = Recipe(path.name, text)
                key = name[1][len('conf.d/'):-len('.conf')]
                if key in found:
                    raise RuntimeError(f'{key} is there twice')
                found[key] = recipe
            elif name and recipe:
                recipe.files[name[1]] = text
            elif language == 'python' and recipe:
                recipe.python += text
            elif language == 'sh' and recipe:
                recipe.commands += re.findall(r'^(curl .*?) +# (\d{3})$',
                                              text, re.M)
    return found


# Certificates


def openssl(*arguments, stdin=None):
    """Run it."""
    done = subprocess.run(['openssl', *map(str, arguments)], input=stdin,
                          capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f'openssl {arguments}: {done.stderr.decode()}')
    return done.stdout


class Authority:
    """A CA of users or servers."""

    EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
          '-nodes']

    def __init__(self, path, name='users CA'):
        self.path = path
        path.mkdir()
        self.pem, self._key = path / 'ca.pem', path / 'ca.key'
        openssl('req', '-x509', *self.EC, '-subj', f'/CN={name}', '-days',
                '30', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
                '-keyout', self._key, '-out', self.pem)

    def issue(self, name, subject, *hosts):
        """(certificate, key)."""
        pem, key, csr, ext = (self.path / f'{name}.{end}'
                              for end in ('pem', 'key', 'csr', 'ext'))
        ext.write_text('basicConstraints=critical,CA:FALSE\n'
                       'subjectKeyIdentifier=hash\n'
                       'authorityKeyIdentifier=keyid\n' + (
                           'subjectAltName=' + ','.join(
                               f'DNS:{host}' for host in hosts)
                           if hosts else ''), 'ascii')
        openssl('req', '-new', *self.EC, '-subj', subject, '-keyout', key,
                '-out', csr)
        openssl('x509', '-req', '-in', csr, '-CA', self.pem, '-CAkey',
                self._key, '-CAcreateserial', '-days', '30', '-extfile', ext,
                '-out', pem)
        return pem, key


class Jwts:
    """An identity provider: a key pair, and a secret shared with nginx."""

    SECRET = '9a4f' * 16

    def __init__(self, path):
        self._key, self.public = path / 'jwt.key', path / 'jwt.pem'
        openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt',
                'rsa_keygen_bits:2048', '-out', self._key)
        openssl('pkey', '-in', self._key, '-pubout', '-out', self.public)

    def sign(self, changes=None, alg='RS256', secret=SECRET):
        """A JWT; members that are None are left out."""
        claims = {'iss': 'https://login.example.com/', 'aud': 'chat',
                  'sub': 'alice', 'exp': int(time.time()) + 600,
                  **(changes or {})}
        claims = {name: value for name, value in claims.items()
                  if value is not None}
        text = '.'.join(base64url(json.dumps(part).encode()) for part in (
            {'alg': alg, 'typ': 'JWT'}, claims))
        signature = b''
        if alg == 'RS256':
            signature = openssl('dgst', '-sha256', '-sign', self._key,
                                stdin=text.encode())
        elif alg == 'HS256':
            signature = hmac.digest(bytes.fromhex(secret), text.encode(),
                                    'sha256')
        return f'{text}.{base64url(signature)}'

    def confused(self):
        """Signed with HS256, the public key being the secret."""
        return self.sign(alg='HS256', secret=self.public.read_bytes().hex())


def base64url(data):
    """Without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


# The application


class Application:
    """Knows sessions: /session, and /session-or-nobody."""

    SESSIONS = {'s-alice': {'X-User': 'alice', 'X-Name': 'Alice A.'},
                's-Alice': {'X-User': 'Alice'},
                's-no': {'X-User': 'no', 'X-Moderator': 'no'},
                's-carol': {'X-User': 'carol', 'X-Moderator': 'yes'},
                's-anon': {'X-User': 'anon-1'},
                's-nobody': {}}

    def __init__(self):
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One question."""

            def do_GET(self):
                """Whose session is it?"""
                application.asked.append(dict(self.headers.items()))
                found = re.search(r'session=([\w-]+)',
                                  self.headers.get('Cookie') or '')
                headers = application.SESSIONS.get(found and found[1])
                good = headers is not None or (
                    not found and self.path == '/session-or-nobody')
                self.send_response(204 if good else 401)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_arguments):
                """Not to standard error."""

        self.asked = []
        self._server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                                       Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._server.shutdown()
        self._server.server_close()


# nginx


FRAME = '''\
@LOAD@
@USER@
daemon     off;
pid        nginx.pid;
lock_file  nginx.lock;
error_log  error.log info;

events {}

http {
    client_body_temp_path body;
    proxy_temp_path       proxy;
    fastcgi_temp_path     fastcgi;
    uwsgi_temp_path       uwsgi;
    scgi_temp_path        scgi;
    access_log            access.log;

    include conf.d/*.conf;
}
'''


class World:
    """What all recipes share: the service, certificates, the application."""

    def __init__(self, path, service, application):
        self.path, self.service = path, service
        self.application = application
        self.servers = Authority(path / 'servers', 'servers CA')
        self.users = Authority(path / 'users')
        self.strangers = Authority(path / 'strangers', 'another CA')
        self.impostors = Authority(path / 'impostors')
        self.jwts = Jwts(path)
        self.other_jwts = Jwts(self.strangers.path)
        self.recipes = recipes()
        self.www = self.servers.issue('www', '/CN=www', 'www.example.com',
                                      'chat.example.com')
        self.net = self.servers.issue('net', '/CN=net', 'www.example.net')


class Site(Nginx):
    """An nginx with one recipe."""

    def __init__(self, world, name, env=None, change=None):
        super().__init__(world.service, env={
            **{key: None for key in os.environ if key.startswith('AWS_')},
            'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET,
            'HOME': '/nonexistent', **(env or {})})
        self._env = {key: value for key, value in self._env.items()
                     if value is not None}
        self.world, self.service = world, world.service
        self.recipe, self.name = world.recipes[name], name
        self._change = change
        self.app = world.application.port
        self._modules = modules()
        if RECIPES[name].module:
            self._modules.append(modules_path() / RECIPES[name].module)
        self.file('chat-cookie.secret',
                  f'set $chat_secret {COOKIE_SECRET};\n')
        self.file('jwt.secret', f'auth_jwt_key {Jwts.SECRET};\n')
        self._passwords({'chat': ('alice', 'carol', 'CAROL', 'mallory'),
                         'chat-net': ('bob',)})
        self._certificates()

    def _passwords(self, files):
        for name, users in files.items():
            self.file(f'{name}.htpasswd', ''.join(
                f'{user}:{{PLAIN}}{user}-s\n' for user in users))

    def _certificates(self):
        tls = self.dir / 'tls'
        tls.mkdir()
        for host, pair in (('www.example.com', self.world.www),
                           ('www.example.net', self.world.net)):
            for path in pair:
                (tls / f'{host}{path.suffix}').write_bytes(path.read_bytes())
        for name, path in (('chat-users-ca.pem', self.world.users.pem),
                           ('jwt-issuer.pem', self.world.jwts.public)):
            (tls / name).write_bytes(path.read_bytes())

    def configure(self, **values):
        """Write the recipe; called when the ports are known."""
        self.port = self.h2port = values['port']
        self._write('nginx.conf', FRAME.replace(
            '@LOAD@', '\n'.join(f'load_module {path};'
                                for path in self._modules)).replace(
            '@USER@', 'user root;' if os.geteuid() == 0 else ''))
        changed = 0
        for name, text in {f'conf.d/{self.name}.conf': self.recipe.text,
                           **self.recipe.files}.items():
            for expression, replacement in substitutions(self):
                text = re.sub(expression, replacement, text)
            if self._change:
                text, count = re.subn(*self._change, text)
                changed += count
            self._write(name, text)
        if self._change and not changed:
            raise RuntimeError(f'{self._change[0]} is not in {self.name}')

    def renew(self, configure=False):
        """Reload; the old workers take no request any more."""
        if configure:
            self.configure(port=self.port)
        old = self.reload()
        wait_for(lambda: not set(old) & set(self.workers()))

    def _write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, 'utf-8')

    def ask(self, headers=(), target=CHAT, method='POST', plain=False,
            **options):
        """An answer; by TLS, unless plain."""
        options.setdefault('host', 'www.example.com')
        lines = [f'{method} {target} HTTP/1.1', f'Host: {options["host"]}',
                 'Content-Length: 0', 'Connection: close',
                 *(f'{name}: {value}' for name, value in dict(
                     headers).items())]
        data = '\r\n'.join(lines).encode() + b'\r\n\r\n'
        with Connection(self, plain, **options) as connection:
            connection.send(data)
            return connection.answer(method != 'HEAD')

    def commands(self):
        """The page's commands have the statuses that it says."""
        got = [(command, status, self._curl(command))
               for command, status in self.recipe.commands]
        tap.ok(got and all(seen == status for _, status, seen in got),
               f'{self.recipe.page}: {self.name}: {len(got)} commands of the '
               'page', *(f'{command}: {seen}, not {status}'
                         for command, status, seen in got if seen != status))

    def _curl(self, command):
        """The status that a command of the page gets."""
        world = self.world
        env = {**os.environ, **self.variables(),
               'CURL_HOME': str(self.dir)}
        self.file('.curlrc', '\n'.join([
            'silent', 'show-error', 'output = "/dev/null"',
            f'cacert = "{world.servers.pem}"',
            f'connect-to = "::127.0.0.1:{self.port}"',
            'write-out = "%{http_code}"', 'noproxy = "*"',
            'max-time = 50']) + '\n')
        done = subprocess.run(['sh', '-c', command], env=env, text=True,
                              cwd=self.dir / 'tls', capture_output=True,
                              stdin=subprocess.DEVNULL, check=False)
        return done.stdout or done.stderr.strip()

    def variables(self):
        """What the pages' commands have in variables and files."""
        tls = self.dir / 'tls'
        if self.name == 'mutual-tls' and not (tls / 'alice.pem').exists():
            for name, authority in (('alice', self.world.users),
                                    ('other-ca', self.world.strangers)):
                for path in authority.issue(name, f'/O=Example/CN={name}'):
                    (tls / path.name).write_bytes(path.read_bytes())
        program = {}
        exec(self.recipe.python, program)
        make = program.get('chat_cookie', lambda *_arguments: '')
        alg = 'HS256' if self.name == 'jwt-module' else 'RS256'
        return {'SESSION': 's-alice', 'JWT': self.world.jwts.sign(alg=alg),
                'COOKIE': make('alice', COOKIE_SECRET)}


class Connection(Client):
    """TLS, with a certificate if wanted, from an address if wanted."""

    def __init__(self, site, plain, host, certificate=None, source=None):
        self.sock = socket.create_connection(
            ('127.0.0.1', site.port), 30, source and (source, 0))
        self.buffer = b''
        if not plain:
            context = ssl.create_default_context(
                cafile=site.world.servers.pem)
            if certificate:
                context.load_cert_chain(*certificate)
            self.sock = context.wrap_socket(self.sock, server_hostname=host,
                                            suppress_ragged_eofs=True)

    def answer(self, body=True):
        """The answer; to HEAD, it has a length and no body."""
        if body:
            return super().answer()
        lines = self._line_end(b'\r\n\r\n').decode('latin-1').split('\r\n')
        return Answer(int(lines[0].split()[1]),
                      [tuple(line.split(': ', 1)) for line in lines[1:]], b'')


def asked(service):
    """What AWS was asked since the last call: [(user, room, rights)]."""
    bodies = [json.loads(one['body']) for one in service.requests()]
    service.forget()
    return [(body['userId'], body['roomIdentifier'],
             body.get('capabilities', [])) for body in bodies]


def granted(site, name, answer, *expected):
    """A token, and AWS was asked for exactly this."""
    got = asked(site.service)
    tap.ok(is_token(answer) and got == [expected],
           f'{site.name}: {name}: {", ".join(map(str, expected))}',
           shown(answer), got, site.error_log()[-600:])


def refused(site, name, answer, status):
    """An error, and AWS was not asked."""
    got = asked(site.service)
    tap.ok(answer.status == status and b'token"' not in answer.body
           and not got, f'{site.name}: {name}: {status}, and AWS is not asked',
           shown(answer), got, site.error_log()[-600:])


def shown(answer):
    """An answer, for a note."""
    return f'{answer.status} {answer.headers} {answer.body[:300]}'


def bearer(jwt):
    """The header."""
    return {'Authorization': f'Bearer {jwt}'}


def session(name):
    """The header."""
    return {'Cookie': f'session={name}'}


def login(user, password=None):
    """The header."""
    return {'Authorization': basic(user, password or f'{user}-s')}


COOKIE_SECRET = '5f0c1d9e8a574b1c9c560e2a8f3b7d41'


def cookie(user, expires=None, secret=COOKIE_SECRET, signed_user=None):
    """The value of a signed cookie, good or not."""
    expires = int(time.time()) + 600 if expires is None else expires
    digest = hashlib.md5(
        f'{expires} {signed_user or user} {secret}'.encode()).digest()
    return f'{user}.{expires}.{base64url(digest)}'


# What each recipe has to do


def basic_auth(site):
    """Passwords."""
    refused(site, 'nobody', site.ask(), 401)
    refused(site, 'a wrong password', site.ask(login('alice', 'x')), 401)
    refused(site, 'an unknown user', site.ask(login('eve')), 401)
    refused(site, 'the internal location',
            site.ask(login('alice'), '/ivschat'), 404)
    granted(site, 'alice', site.ask(login('alice')), 'alice', LOBBY, SEND)
    granted(site, 'carol', site.ask(login('carol')), 'carol', LOBBY, MODERATE)
    granted(site, 'CAROL is somebody else', site.ask(login('CAROL')),
            'CAROL', LOBBY, SEND)
    granted(site, 'headers that are made up',
            site.ask({**login('alice'), 'X-User': 'carol',
                      'X-Moderator': 'yes'}), 'alice', LOBBY, SEND)


def auth_request(site):
    """The application decides."""
    refused(site, 'no session', site.ask(), 401)
    refused(site, 'an unknown session', site.ask(session('s-evil')), 401)
    refused(site, 'a session of nobody', site.ask(session('s-nobody')), 401)
    refused(site, 'a header of the client\'s in its place',
            site.ask({'X-User': 'carol'}), 401)
    refused(site, 'the location that asks', site.ask(session('s-alice'),
                                                     '/session'), 404)
    site.world.application.asked.clear()
    granted(site, 'alice, who says that she is carol',
            site.ask({**session('s-alice'), 'X-User': 'carol',
                      'X-Moderator': 'yes'}), 'alice', LOBBY, SEND)
    question = site.world.application.asked[-1]
    tap.ok('X-User' not in question and 'Content-Length' not in question,
           'auth-request: the application gets neither body nor X-User',
           question)
    granted(site, 'carol', site.ask(session('s-carol')), 'carol', LOBBY,
            MODERATE)
    granted(site, '"no" grants nothing', site.ask(session('s-no')), 'no',
            LOBBY, SEND)


def auth_request_attribute(site):
    """The display name, and an application that is not there."""
    site.ask(session('s-alice'))
    body = json.loads(site.service.requests()[-1]['body'])
    tap.equal(body.get('attributes'), {'displayName': 'Alice A.'},
              'auth-request: the display name is the application\'s')
    site.service.forget()
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        site.app = closed.getsockname()[1]
        site.renew(configure=True)
        refused(site, 'the application is down', site.ask(
            session('s-alice')), 500)
    site.app = site.world.application.port
    site.renew(configure=True)


def front_proxy(site):
    """The header of a proxy."""
    ask = functools.partial(site.ask, plain=True)
    refused(site, 'no header', ask(), 401)
    refused(site, 'an empty header', ask({'X-User': ''}), 401)
    granted(site, 'alice', ask({'X-User': 'alice'}), 'alice', LOBBY, SEND)
    refused(site, 'from another address',
            ask({'X-User': 'alice'}, source='127.0.0.2'), 403)


def jwt_bad(site, alg, *forged):
    """What is no token of the provider's, for either recipe."""
    jwts = site.world.jwts
    sign = functools.partial(jwts.sign, alg=alg)
    head, claims, signature = sign().split('.')
    other = sign({'sub': 'carol'}).split('.')[1]
    refused(site, 'none', site.ask(), 401)
    for name, jwt in (
            ('no JWT', 'abc'), ('not even that', '..'),
            ('other claims under a signature', f'{head}.{other}.{signature}'),
            ('a part of the signature', f'{head}.{claims}.{signature[:-8]}'),
            ('no signature', f'{head}.{claims}.'),
            ('alg none', jwts.sign(alg='none')),
            ('over', sign({'exp': int(time.time()) - 5})),
            ('without an end', sign({'exp': None})),
            ('nobody\'s', sign({'sub': None})), *forged):
        refused(site, name, site.ask(bearer(jwt)), 401)
    refused(site, 'headers that are made up',
            site.ask({'X-JWT-Sub': 'carol', 'sub': 'carol'}), 401)


def jwt_njs(site):
    """A JWT, verified by njs."""
    jwts = site.world.jwts
    jwt_bad(site, 'RS256', ('HS256 with the public key', jwts.confused()),
            ('HS256', jwts.sign(alg='HS256')),
            ('another key', site.world.other_jwts.sign()))
    for name, changes in (
            ('another issuer', {'iss': 'https://evil.example/'}),
            ('for somebody else', {'aud': 'billing'}),
            ('for several others', {'aud': ['billing', 'mail']}),
            ('for nobody', {'aud': None}),
            ('an id that is no string', {'sub': {'a': 1}}),
            ('an empty id', {'sub': ''}),
            ('an end that is no number', {'exp': '99999999999'}),
            ('not yet good', {'nbf': int(time.time()) + 600})):
        refused(site, name, site.ask(bearer(jwts.sign(changes))), 401)
    refused(site, 'the location that checks',
            site.ask(bearer(jwts.sign()), '/jwt'), 404)
    granted(site, 'alice', site.ask(bearer(jwts.sign())), 'alice', LOBBY,
            SEND)
    granted(site, 'one of several audiences', site.ask(bearer(jwts.sign(
        {'aud': ['mail', 'chat'], 'nbf': int(time.time()) - 5}))), 'alice',
        LOBBY, SEND)
    granted(site, 'a moderator', site.ask(bearer(jwts.sign(
        {'sub': 'carol', 'moderator': True}))), 'carol', LOBBY, MODERATE)
    granted(site, 'no moderator', site.ask({**bearer(jwts.sign(
        {'moderator': 'true'})), 'X-JWT-Moderator': 'yes'}), 'alice', LOBBY,
        SEND)


def jwt_module(site):
    """A JWT, verified by a module."""
    jwts = site.world.jwts
    sign = functools.partial(jwts.sign, alg='HS256')
    jwt_bad(site, 'HS256', ('another secret', sign(secret='00' * 32)),
            ('an empty secret', sign(secret='')),
            ('the secret as text', sign(secret=Jwts.SECRET.encode().hex())),
            ('RS256', jwts.sign()), ('HS256 with a key', jwts.confused()))
    for name, changes in (('another issuer', {'iss': 'https://evil.x/'}),
                          ('for somebody else', {'aud': 'billing'}),
                          ('several audiences', {'aud': ['chat', 'mail']}),
                          ('for nobody', {'aud': None})):
        refused(site, name, site.ask(bearer(sign(changes))), 403)
    granted(site, 'alice', site.ask({**bearer(sign()), 'sub': 'carol'}),
            'alice', LOBBY, SEND)
    granted(site, 'a moderator', site.ask(bearer(sign(
        {'sub': 'carol', 'role': 'moderator'}))), 'carol', LOBBY, MODERATE)
    granted(site, 'a role of another spelling', site.ask(bearer(sign(
        {'sub': 'dave', 'role': 'MODERATOR'}))), 'dave', LOBBY, SEND)


def mutual_tls(site):
    """Client certificates."""
    users = site.world.users
    refused(site, 'no certificate', site.ask(), 401)
    refused(site, 'no certificate, but a header',
            site.ask({'X-Ssl-Client-Verify': 'SUCCESS',
                      'Ssl-Client-Verify': 'SUCCESS'}), 401)
    for name, authority in (('another authority', site.world.strangers),
                            ('one that takes its name',
                             site.world.impostors)):
        refused(site, f'of {name}', site.ask(certificate=authority.issue(
            'carol', '/O=Example/CN=carol')), 400)
    granted(site, 'alice', site.ask(certificate=users.issue(
        'alice', '/O=Example/CN=alice')), 'alice', LOBBY, SEND)
    granted(site, 'carol', site.ask(certificate=users.issue(
        'carol', '/O=Example/CN=carol')), 'carol', LOBBY, MODERATE)
    refused(site, 'a subject that quotes another one', site.ask(
        certificate=users.issue('mallory', '/O=x,CN=carol/OU=y')), 401)
    refused(site, 'a name with a comma', site.ask(
        certificate=users.issue('comma', '/CN=carol\\,O=Example')), 401)
    granted(site, 'a carol of another organisation', site.ask(
        certificate=users.issue('carol2', '/O=Other/CN=carol')), 'carol',
        LOBBY, SEND)


def signed_cookie(site):
    """A signed cookie."""
    def ask(value):
        return site.ask({'Cookie': f'chat={value}'})

    soon = int(time.time()) + 600
    refused(site, 'no cookie', site.ask(), 401)
    granted(site, 'alice', ask(cookie('alice')), 'alice', LOBBY, SEND)
    for name, value in (
            ('another user under a signature',
             cookie('mallory', signed_user='alice')),
            ('another time under a signature', '.'.join([
                'alice', str(soon + 1000),
                cookie('alice', soon).split('.')[2]])),
            ('another secret', cookie('alice', secret='guess')),
            ('over', cookie('alice', int(time.time()) - 5)),
            ('no signature', f'alice.{soon}.'),
            ('a signature of another form', f'alice.{soon}.x'),
            ('a user of another form', cookie('al ice')),
            ('nobody', cookie('')),
            ('garbage', 'x' * 2000)):
        refused(site, name, ask(value), 401)
    refused(site, 'a time in the address', site.ask(
        target=f'{CHAT}?expires={soon}'), 401)


def roles(site):
    """Viewers, senders, owners."""
    def ask(name, chosen):
        return site.ask({} if name is None else session(name),
                        f'{CHAT}?room={chosen}')

    answers = [ask(None, 'lobby') for _ in range(2)]
    got = asked(site.service)
    tap.ok(all(map(is_token, answers)) and len(got) == 2
           and len({user for user, _, _ in got}) == 2
           and all(re.fullmatch('anon-[0-9a-f]{32}', user)
                   and (where, rights) == (LOBBY, [])
                   for user, where, rights in got),
           'roles: viewers, each with an id of their own, may only view', got)
    granted(site, 'alice in the lobby', ask('s-alice', 'lobby'),
            'user-alice', LOBBY, SEND)
    granted(site, 'alice in her room', ask('s-alice', 'alice-live'),
            'user-alice', OTHER, MODERATE)
    granted(site, 'Alice in the room of alice', ask('s-Alice', 'alice-live'),
            'user-Alice', OTHER, SEND)
    granted(site, 'carol in the room of alice', ask('s-carol', 'alice-live'),
            'user-carol', OTHER, SEND)
    granted(site, 'carol in the lobby', ask('s-carol', 'lobby'),
            'user-carol', LOBBY, MODERATE)
    granted(site, 'a user who is called "no"', ask('s-no', 'lobby'),
            'user-no', LOBBY, SEND)
    granted(site, 'a user who is called "anon-1"', ask('s-anon', 'lobby'),
            'user-anon-1', LOBBY, SEND)
    refused(site, 'a wrong session', ask('s-evil', 'lobby'), 401)
    refused(site, 'an unknown room', ask('s-alice', 'secret'), 404)
    refused(site, 'an ARN', ask('s-alice', LOBBY), 404)
    refused(site, 'no room', site.ask(session('s-alice')), 404)
    site.commands()
    asked(site.service)

    answers = [ask(None, 'lobby') for _ in range(30)]
    minted = len(asked(site.service))
    late = [answer.status for answer in answers[-5:]]
    tap.ok(429 in late and minted == sum(map(is_token, answers)),
           'roles: a machine that asks in a loop gets 429', late, minted)


def bans(site):
    """Bans."""
    granted(site, 'alice', site.ask(login('alice')), 'alice', LOBBY, SEND)
    site.ask(login('alice'))
    body = json.loads(site.service.requests()[-1]['body'])
    tap.equal(body.get('sessionDurationInMinutes'), 15,
              'bans: sessions are short')
    site.service.forget()
    answer = site.ask(login('mallory'))
    refused(site, 'mallory', answer, 403)
    tap.equal(code(answer), (403, 'room_forbidden'), 'bans: the code')
    refused(site, 'mallory, without the password',
            site.ask(login('mallory', 'x')), 401)
    site.commands()
    site.service.forget()
    site.file('chat-bans.map', 'alice 0;\n')
    site.renew()
    refused(site, 'alice, after the list was changed',
            site.ask(login('alice')), 403)
    granted(site, 'mallory, after it', site.ask(login('mallory')),
            'mallory', LOBBY, SEND)


def other_origin(site):
    """Another origin."""
    good, evil = 'https://www.example.com', 'https://evil.example'
    names = ('Access-Control-Allow-Origin',
             'Access-Control-Allow-Credentials',
             'Access-Control-Expose-Headers')
    ask = functools.partial(site.ask, host='chat.example.com')

    def cors(name, answer, *values):
        tap.equal([answer.get(header) for header in names], list(values),
                  f'other-origin: {name}: what a page may read')
        tap.equal(answer.get('Vary'), 'Origin',
                  f'other-origin: {name}: Vary')

    allowed = (good, 'true', 'Retry-After, Date')
    answer = ask({**session('s-alice'), 'Origin': good})
    granted(site, 'an origin of the list', answer, 'alice', LOBBY, SEND)
    cors('an origin of the list', answer, *allowed)
    answer = ask({'Origin': good})
    refused(site, 'an origin of the list, and no session', answer, 401)
    cors('401', answer, *allowed)
    answer = ask({**session('s-alice'), 'Origin': good}, method='GET')
    refused(site, 'GET', answer, 405)
    cors('405', answer, *allowed)
    answer = ask(session('s-alice'))
    granted(site, 'no origin', answer, 'alice', LOBBY, SEND)
    cors('no origin', answer, None, None, None)

    site.service.faults({'fault': 'retry-after-30000', 'count': None})
    answer = ask({**session('s-alice'), 'Origin': good})
    site.service.clear_faults()
    cors('429', answer, *allowed)
    tap.ok(answer.status == 429 and answer.get('Retry-After'),
           'other-origin: which has Retry-After', shown(answer))
    site.service.forget()

    for origin in (evil, 'null', good + '.evil.example', good + ':444',
                   'http://www.example.com', 'x>', ':', '>:' + good):
        answer = ask({**session('s-alice'), 'Origin': origin})
        refused(site, f'origin {origin}', answer, 403)
        tap.ok(not [name for name, _ in answer.headers
                    if name.lower().startswith('access-control')],
               f'other-origin: {origin}: no header for it', shown(answer))
        tap.equal(answer.get('Vary'), 'Origin',
                  f'other-origin: {origin}: Vary')

    site.world.application.asked.clear()
    preflight = {'Access-Control-Request-Method': 'POST',
                 'Access-Control-Request-Headers': 'authorization'}
    answer = ask({'Origin': good, **preflight}, method='OPTIONS')
    tap.ok(answer.status == 204 and not site.world.application.asked
           and answer.get('Access-Control-Allow-Headers') == 'Authorization'
           and answer.get('Access-Control-Allow-Methods') == 'POST'
           and answer.get('Access-Control-Max-Age') == '7200',
           'other-origin: the preflight is answered before authentication',
           shown(answer), site.world.application.asked)
    cors('preflight', answer, good, 'true', None)
    answer = ask({'Origin': evil, **preflight}, method='OPTIONS')
    cors('the preflight of an evil page', answer, None, None, None)
    tap.equal(asked(site.service), [], 'other-origin: AWS saw none of these')


def csrf(site):
    """Forged requests."""
    good = session('s-alice')
    site.world.application.asked.clear()
    for headers in ({'Sec-Fetch-Site': 'cross-site'},
                    {'Sec-Fetch-Site': 'same-site'},
                    {'Sec-Fetch-Site': 'none'},
                    {'Origin': 'https://evil.example'}, {'Origin': 'null'},
                    {'Origin': 'https://www.example.com.evil.example'},
                    {'Sec-Fetch-Site': 'same-origin',
                     'Origin': 'https://evil.example'},
                    {'Sec-Fetch-Site': 'cross-site',
                     'Origin': 'https://www.example.com'}):
        refused(site, str(headers), site.ask({**good, **headers}), 403)
    tap.equal(site.world.application.asked, [],
              'csrf: the application was not asked either')
    for headers in ({}, {'Sec-Fetch-Site': 'same-origin'},
                    {'Origin': 'https://www.example.com'},
                    {'Sec-Fetch-Site': 'same-origin',
                     'Origin': 'https://www.example.com'}):
        granted(site, str(headers), site.ask({**good, **headers}), 'alice',
                LOBBY, SEND)
    refused(site, 'GET', site.ask(good, method='GET'), 405)
    refused(site, 'no session', site.ask({'Sec-Fetch-Site': 'same-origin'}),
            401)


def user_limits(site):
    """A limit for each user."""
    start = time.monotonic()
    answers = [site.ask(login('CAROL')) for _ in range(9)]
    most = 6 + (time.monotonic() - start) / 5 + 1
    minted = len(asked(site.service))
    tap.ok(6 <= minted <= most and minted == sum(map(is_token, answers)),
           'user-limits: six at once, no more', minted, most)
    over = [answer for answer in answers if not is_token(answer)]
    tap.ok(over and {code(answer) for answer in over} == {(429, 'throttled')}
           and all(answer.get('Retry-After') for answer in over),
           'user-limits: then 429, throttled, with Retry-After',
           *map(shown, answers))
    granted(site, 'another user', site.ask(login('carol')), 'carol', LOBBY,
            SEND)
    refused(site, 'who is not let in', site.ask(login('alice', 'x')), 401)


def two_regions(site):
    """Two regions."""
    for name, region, where in (('lobby', 'us-west-2', LOBBY),
                                ('studio', 'eu-west-1',
                                 room('MnOpQrStUvWx', 'eu-west-1'))):
        answer = site.ask(login('alice'), f'{CHAT}?room={name}')
        tap.equal([(dict(one['headers']).get('Host'), one['sni'])
                   for one in site.service.requests()],
                  [(f'ivschat.{region}.amazonaws.com',) * 2],
                  f'two-regions: {name} is asked for in {region}')
        granted(site, name, answer, 'alice', where, SEND)
    refused(site, 'no room', site.ask(login('alice')), 404)
    refused(site, 'another room', site.ask(login('alice'), f'{CHAT}?room=x'),
            404)
    refused(site, 'nobody', site.ask(target=f'{CHAT}?room=lobby'), 401)


def two_accounts(site):
    """Two accounts."""
    theirs = room('YzAbCdEfGhIj', account='210987654321')
    granted(site, 'the first', site.ask(login('alice')), 'alice', LOBBY, SEND)
    granted(site, 'the second', site.ask(login('bob'),
                                         host='www.example.net'),
            'bob', theirs, SEND)
    refused(site, 'a user of the first at the second', site.ask(
        login('alice'), host='www.example.net'), 401)
    refused(site, 'a user of the second at the first',
            site.ask(login('bob')), 401)


def endpoints(site):
    """FIPS and dual-stack."""
    for name, host in (('fips', 'ivschat-fips.us-west-2.amazonaws.com'),
                       ('dual-stack', 'ivschat.us-west-2.api.aws')):
        answer = site.ask(login('alice'), f'/chat/{name}/token')
        tap.equal([(dict(one['headers']).get('Host'), one['sni'])
                   for one in site.service.requests()], [(host, host)],
                  f'endpoints: {name} goes to {host}')
        granted(site, name, answer, 'alice', LOBBY, SEND)
        refused(site, f'nobody at {name}', site.ask(
            target=f'/chat/{name}/token'), 401)


def http3(site):
    """HTTP/3, with curl."""
    granted(site, 'HTTP/1.1 beside it', site.ask(login('alice')), 'alice',
            LOBBY, SEND)
    tap.equal(site.ask(login('alice')).get('Alt-Svc'), 'h3=":443"; ma=86400',
              'http3: Alt-Svc')
    site.service.forget()
    command = ('curl --http3-only -X POST %s -w "%%{http_version} '
               '%%{http_code}" https://www.example.com/chat/token')
    got = site._curl(command % '-u carol:carol-s')
    tap.ok(got.startswith('3 200'), 'http3: a token by HTTP/3', got)
    tap.equal(asked(site.service), [('carol', LOBBY, SEND)],
              'http3: AWS was asked for it')
    got = site._curl(command % '-u carol:x')
    tap.ok(got.startswith('3 401') and not asked(site.service),
           'http3: a wrong password: 401', got)


def health(site):
    """A health check."""
    for headers in ({}, login('alice')):
        answer = site.ask(headers, '/healthz', 'GET')
        refused(site, 'the check', answer, 200)
    for method in ('GET', 'HEAD'):
        refused(site, f'{method} for a token', site.ask(
            login('alice'), method=method), 405)
    refused(site, 'GET without a password', site.ask(method='GET'), 401)
    granted(site, 'a token', site.ask(login('alice')), 'alice', LOBBY, SEND)
    path = site.dir / 'chat.log'
    lines = wait_for(lambda: path.read_text('utf-8').count('\n') >= 4
                     and path.read_text('utf-8').splitlines())
    tap.ok(lines and [line.split()[2:4] for line in lines][-1]
           == ['200', 'ok'] and 'healthz' not in ''.join(lines),
           'health: the log says what became of it', lines)


def ninth(site):
    """The answer to the last of nine requests, and AWS's list of it only."""
    for _ in range(8):
        site.ask(login('alice'))
    site.service.forget()
    return site.ask(login('alice'))


# What the pages say of a line that is missing or other: each is a mistake that
# the tests above would see.

WITHOUT = [
    # recipe, what stands there (an expression), what in its place, what is
    # asked, what comes: a status, or what AWS is asked for
    ('basic-auth', 'auth_basic  .*', '',
     lambda site: site.ask(login('alice')), 401),
    ('basic-auth', r'~\^carol\$', 'carol',
     lambda site: site.ask(login('CAROL')), ('CAROL', LOBBY, MODERATE)),
    ('basic-auth', r' if=\$moderator', '',
     lambda site: site.ask(login('alice')), ('alice', LOBBY, MODERATE)),
    ('auth-request', 'auth_request  .*', '',
     lambda site: site.ask(session('s-alice')), 401),
    ('auth-request', r'\$upstream_http_x_user', '$http_x_user',
     lambda site: site.ask({**session('s-alice'), 'X-User': 'carol'}),
     ('carol', LOBBY, SEND)),
    ('front-proxy', 'deny  .*', '',
     lambda site: site.ask({'X-User': 'eve'}, plain=True,
                           source='127.0.0.2'), ('eve', LOBBY, SEND)),
    ('jwt-njs', 'claims.iss === .*;', 'true;',
     lambda site: site.ask(bearer(site.world.jwts.sign({'aud': 'mail'}))),
     ('alice', LOBBY, SEND)),
    ('jwt-njs', '&& now < claims.exp', '',
     lambda site: site.ask(bearer(site.world.jwts.sign({'exp': 1}))),
     ('alice', LOBBY, SEND)),
    ('jwt-module', r' if=\$meant_for_us', '',
     lambda site: site.ask(bearer(site.world.jwts.sign({'aud': 'mail'},
                                                       'HS256'))),
     ('alice', LOBBY, SEND)),
    # that module takes the algorithm from the token
    ('jwt-module', r'HS256;\n( +)include .*;',
     r'RS256;\n\1auth_jwt_use_keyfile on;\n'
     r'\1auth_jwt_keyfile_path tls/jwt-issuer.pem;',
     lambda site: site.ask(bearer(site.world.jwts.confused())),
     ('alice', LOBBY, SEND)),
    ('mutual-tls', 'ssl_verify_client .*', '',
     lambda site: site.ask(certificate=site.world.users.issue(
         'any', '/O=Example/CN=any')), 401),
    ('mutual-tls', r'~\^CN=\(.*?\)\(.*?\)', '~CN=(?<cn>[^,]+)',
     lambda site: site.ask(certificate=site.world.users.issue(
         'm', '/OU=y/O=x,CN=carol')), ('carol', LOBBY, SEND)),
    ('mutual-tls', r'(?s)optional;(.*)if .*?\n        }',
     r'optional_no_ca;\1', lambda site: site.ask(
         certificate=site.world.strangers.issue('n', '/O=Example/CN=carol')),
     ('carol', LOBBY, MODERATE)),
    ('signed-cookie', r'if \(\$secure_link != 1\)', 'if ($secure_link = 2)',
     lambda site: site.ask({'Cookie': 'chat=' + cookie(
         'mallory', secret='guess')}), ('mallory', LOBBY, SEND)),
    ('roles', 'anon-.*;', 'anon;', lambda site: site.ask(
        target=f'{CHAT}?room=lobby'), ('anon', LOBBY, [])),
    ('roles', r'"~\^alice-live alice\$"', '"alice-live alice"',
     lambda site: site.ask(session('s-Alice'), f'{CHAT}?room=alice-live'),
     ('user-Alice', OTHER, MODERATE)),
    ('roles', r'if=\$signed_in', 'if=$auth_user', lambda site: site.ask(
        session('s-no'), f'{CHAT}?room=lobby'), ('user-no', LOBBY, [])),
    ('bans', r' if=\$welcome', '', lambda site: site.ask(login('mallory')),
     ('mallory', LOBBY, SEND)),
    ('other-origin', r'if \(\$stranger\)', 'if ($stranger = 2)',
     lambda site: site.ask({**session('s-alice'), 'Origin': 'https://e.x'},
                           host='chat.example.com'), ('alice', LOBBY, SEND)),
    ('other-origin', r'if \(\$request_method = OPTIONS\)',
     'if ($request_method = NONE)',
     lambda site: site.ask({'Origin': 'https://www.example.com'},
                           host='chat.example.com', method='OPTIONS'), 401),
    ('csrf', r'if \(\$foreign_origin\)', 'if ($foreign_origin = 2)',
     lambda site: site.ask({**session('s-alice'), 'Origin': 'null'}),
     ('alice', LOBBY, SEND)),
    ('csrf', 'ivschat_token_methods .*', 'ivschat_token_methods GET;',
     lambda site: site.ask(session('s-alice'), method='GET'),
     ('alice', LOBBY, SEND)),
    # in the token location, it knows no user, and limits nobody
    ('user-limits', r'(?s)(auth_basic  .*)(limit_req  .*?;)', r'\2\n\1',
     ninth, ('alice', LOBBY, SEND)),
    ('two-regions', r'(?s)upstream ivschat.eu-west-1.*?\n}\n', '',
     lambda site: site.ask(login('alice'), f'{CHAT}?room=studio'), 500),
    ('endpoints', 'ivschat_token_endpoint .*', '',
     lambda site: site.ask(login('alice'), '/chat/fips/token'), 500),
    ('two-accounts', r'(?s)ivschat_token_credentials .*?;', '',
     lambda site: site.ask(login('bob'), host='www.example.net'), 502),
]

REFUSED = [
    ('basic-auth', 'ivschat_token_user .*', '', 'ivschat_token_user'),
    ('auth-request', r'(ivschat_token_user +)\$auth_user', r'\1$http_x_user',
     'trusted'),
    ('front-proxy', ' trusted', '', 'trusted'),
]


def without(world, name, old, new, asks, comes):
    """A recipe with one line missing, or another one."""
    world.service.forget()
    with Site(world, name, change=(old, new)) as site:
        answer = asks(site)
        got = asked(world.service)
        tap.ok(got == [comes] if isinstance(comes, tuple)
               else answer.status == comes and not is_token(answer),
               f'{name}: {old} -> {new}: {comes}',
               shown(answer), got, site.error_log()[-600:])


def not_accepted(world, name, old, new, says):
    """nginx -t refuses a recipe with one line missing, or another one."""
    site = Site(world, name, change=(old, new))
    try:
        site.configure(port=1)
        done = subprocess.run(
            [binary(), '-t', '-p', f'{site.dir}/', '-c',
             str(site.dir / 'nginx.conf')], env=site._env, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        tap.ok(done.returncode and says in done.stderr,
               f'{name}: {old} -> {new}: nginx -t refuses it',
               done.stderr)
    finally:
        site.__exit__()


def run(world, name, *parts, env=None):
    """One recipe."""
    world.service.forget()
    with Site(world, name, env) as site:
        for part in parts:
            part(site)
        if name not in ('roles', 'bans'):
            site.commands()
        site.check(tap, name, RECIPES[name].allow)


def parts_of(name):
    """The functions above that belong to a recipe."""
    names = [name.replace('-', '_')]
    if name == 'auth-request':
        names.append('auth_request_attribute')
    return [globals()[one] for one in names]


def accounts(world):
    """Two accounts need an STS."""
    with Fakes(world.service) as fakes:
        fakes.config(sts={'roles': {
            'arn:aws:iam::210987654321:role/chat':
            {'trust': ['*'], 'external_id': 'chat-of-example-net'}}})
        run(world, 'two-accounts', two_accounts,
            env={'AWS_ENDPOINT_URL_STS': fakes.sts,
                 'AWS_CA_BUNDLE': str(fakes.sts_ca)})


def planned(world):
    """Which recipes run here; the others with their reasons."""
    tap.equal(sorted(world.recipes), sorted(RECIPES),
              'the pages have the recipes that are tested, and no others')
    why = {name: needs.why_not() for name, needs in RECIPES.items()}
    run_here = [name for name in RECIPES if why[name] is None]
    not_here = {name for name in RECIPES if why[name] is not None}

    for name in sorted(not_here):
        print(f'# not here: {name}: {why[name]}')

    if sanitized():
        tap.equal(not_here, NOT_SANITIZED | NOT_ON.get(numbers()[:2], set()),
                  'the static build lacks modules of packages, and HTTP/3')
    elif packaged() and numbers()[:2] in NOT_ON:
        tap.equal(not_here, NOT_ON[numbers()[:2]],
                  f'what does not run on nginx {numbers()}: these, no others')
        index(not_here)

    for name in run_here:
        module = RECIPES[name].module
        if module:
            tap.ok((modules_path() / module).exists(),
                   f'{name}: {module} is installed')
    return run_here


def index(not_here):
    """The table in the guide's README says the same."""
    column = 4 + [(1, 22), (1, 26), (1, 30)].index(numbers()[:2])
    said = {}
    for line in (GUIDE / 'README.md').read_text('utf-8').splitlines():
        cells = line.split('|')
        link = re.search(r'\]\(([\w-]+)\.md(#[\w-]+)?\)', line)
        if len(cells) == 8 and link:
            said[link[1] + (link[2] or '')] = cells[column].strip()
    names = {'auth-request': 'auth-request#the-application-is-asked',
             'front-proxy': 'auth-request#a-proxy-in-front-has-asked',
             'jwt-njs': 'jwt#with-njs', 'jwt-module': 'jwt#with-a-module'}
    tap.equal(said, {names.get(name, name):
                     'no' if name in not_here else 'yes' for name in RECIPES},
              'the table of the guide says so')


ROOM_ARN = re.compile(r'arn:aws:ivschat:[a-z0-9-]+:[0-9]{12}:room/'
                      r'(\*|[a-zA-Z0-9-]+)')
ROLE_ARN = re.compile(r'arn:aws:iam::[0-9]{12}:role/[\w+=,.@-]+')


def policies():
    """The JSON of docs/iam.md and docs/credentials.md."""
    for name in ('iam', 'credentials', 'install'):
        text = (TOP / 'docs' / f'{name}.md').read_text('utf-8')
        blocks = [json.loads(block) for block in re.findall(
            r'^ *```json\n(.*?)^ *```$', text, re.M | re.S)]
        wrong = [block for block in blocks if 'Statement' in block
                 and not well_formed(block)]
        tap.ok(blocks and not wrong, f'{name}.md: its {len(blocks)} blocks of '
               'JSON are well-formed, and policies allow what they should',
               *map(json.dumps, wrong))


def links():
    """The links of the documentation lead somewhere."""
    lost = []
    for path in [TOP / 'README.md', *sorted((TOP / 'docs').rglob('*.md'))]:
        for target in re.findall(r'\]\(([^)\s]+)\)', prose(path)):
            name, _, anchor = target.partition('#')
            file = path.parent / name if name else path
            if not target.startswith('http') and not (
                    file.exists() and (not anchor
                                       or anchor in headings(file))):
                lost.append(f'{path.relative_to(TOP)}: {target}')
    tap.ok(not lost, 'the links of the documentation lead somewhere', *lost)


@functools.lru_cache
def prose(path):
    """A page without its blocks of code."""
    return re.sub(r'^ *```.*?^ *```$', '', path.read_text('utf-8'),
                  flags=re.M | re.S)


def headings(path):
    """The anchors of a page, as they are made of its headings."""
    return {re.sub(r'[^\w -]', '', re.sub(r'\]\([^)]*\)', '', line)).strip()
            .lower().replace(' ', '-')
            for line in re.findall(r'^#+ +(.*)', prose(path), re.M)}


def well_formed(policy):
    """A policy of ours: one action, and on what, or for whom."""
    if policy['Version'] != '2012-10-17' or len(policy['Statement']) != 1:
        return False
    statement, = policy['Statement']
    action = statement['Action']
    if statement['Effect'] != 'Allow':
        return False
    if 'Principal' in statement:
        return ('Resource' not in statement
                and action in ('sts:AssumeRole',
                               'sts:AssumeRoleWithWebIdentity',
                               ['sts:AssumeRole', 'sts:TagSession']))
    resources = statement['Resource']
    resources = [resources] if isinstance(resources, str) else resources
    pattern = {'ivschat:CreateChatToken': ROOM_ARN,
               'ivschat:DisconnectUser': ROOM_ARN,
               'sts:AssumeRole': ROLE_ARN}.get(action)
    return bool(pattern) and all(map(pattern.fullmatch, resources))


def mistakes(world, here):
    """What the pages say of lines that are missing."""
    for part, table in ((without, WITHOUT), (not_accepted, REFUSED)):
        for name, *arguments in table:
            if name in here:
                attempt(tap, part, world, name, *arguments)


def main():
    """All of it."""
    bounded(240)
    attempt(tap, policies)
    attempt(tap, links)
    with tempfile.TemporaryDirectory(prefix='ivschat-guide.') as path, \
            Service(args=['--rate', 'off']) as service, \
            Application() as application:
        world = World(pathlib.Path(path), service, application)
        here = planned(world)
        for name in here:
            if name == 'two-accounts':
                attempt(tap, accounts, world)
            else:
                attempt(tap, run, world, name, *parts_of(name))
            service.clear_faults()
        mistakes(world, here)
    tap.done()


main()
