"""The configurations of docs/guide, as they stand there, and its commands.

Each ```nginx block whose first line is "# conf.d/NAME.conf" is a recipe.  The
blocks after it, up to the next one, belong to it: files that it includes
(their first line names them) and curl's commands, with the status that each
is to get ("curl ...  # 200").  What is changed in a configuration is in
substitutions().
"""

import base64
import collections
import contextlib
import functools
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import types

import pytest

from ivschat_testlib import KEY, SECRET, Answer, Fakes, Service, room
from nginx_testlib import (TOP, Nginx, basic, binary, code, is_token, modules,
                           sanitized, version, wait_for)

pytestmark = pytest.mark.timeout(240)

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

    allow: what may be an alert in its log.
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

# What a static build lacks besides: modules of packages, and HTTP/3.
NOT_SANITIZED = {'jwt-njs', 'jwt-module', 'http3'}

SEND = ['SEND_MESSAGE']
MODERATE = ['SEND_MESSAGE', 'DISCONNECT_USER', 'DELETE_MESSAGE']
LOBBY = room('AbCdEfGhIjKl')
OTHER = room('MnOpQrStUvWx')
THEIRS = room('YzAbCdEfGhIj', account='210987654321')
STUDIO = room('MnOpQrStUvWx', 'eu-west-1')
ALICE = ('alice', LOBBY, SEND)
CAROL = ('carol', LOBBY, MODERATE)
CHAT = '/chat/token'
THEIR_ROLE = 'arn:aws:iam::210987654321:role/chat'
COOKIE_SECRET = '5f0c1d9e8a574b1c9c560e2a8f3b7d41'


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


@functools.lru_cache
def recipes():
    """A configuration, the files that belong to it, its commands, by name."""
    found = {}
    for path in sorted(GUIDE.glob('*.md')):
        if path.name == 'hub.md':
            continue                   # several nginx: test_hub.py
        recipe = None
        for language, text in re.findall(r'^ *```(\w+)\n(.*?)^ *```$',
                                         path.read_text('utf-8'),
                                         re.M | re.S):
            name = re.match(r'(?:#|//) ([\w./-]+\.(?:conf|map|js))\n', text)
            if name and language == 'nginx' and (
                    name[1].startswith('conf.d/')):
                recipe = types.SimpleNamespace(
                    text=text, files={}, commands=[], python='')
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

    def __init__(self, path, name):
        self.path = path
        path.mkdir(parents=True)
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


# What a client sends


def bearer(jwt):
    """The header."""
    return {'Authorization': f'Bearer {jwt}'}


def jwt(claims=None, **options):
    """The header with a JWT of the provider's, in a world."""
    return lambda world: bearer(world.jwts.sign(claims, **options))


def altered(alter, **options):
    """The header with such a JWT, its three parts being altered."""
    return lambda world: bearer(alter(*world.jwts.sign(
        **options).split('.')))


def certificate(authority, subject):
    """A client's certificate, in a world."""
    return lambda world: getattr(world, authority).issue('client', subject)


def session(name):
    """The header."""
    return {'Cookie': f'session={name}'}


def login(user, password=None):
    """The header."""
    return {'Authorization': basic(user, password or f'{user}-s')}


def cookie(user, expires=None, secret=COOKIE_SECRET, signed_user=None):
    """The header with a signed cookie, good or not."""
    expires = int(time.time()) + 600 if expires is None else expires
    digest = hashlib.md5(
        f'{expires} {signed_user or user} {secret}'.encode()).digest()
    return {'Cookie': f'chat={user}.{expires}.{base64url(digest)}'}


# The application


class Application(http.server.BaseHTTPRequestHandler):
    """Knows sessions: /session, and /session-or-nobody."""

    SESSIONS = {'s-alice': {'X-User': 'alice', 'X-Name': 'Alice A.'},
                's-Alice': {'X-User': 'Alice'},
                's-no': {'X-User': 'no', 'X-Moderator': 'no'},
                's-carol': {'X-User': 'carol', 'X-Moderator': 'yes'},
                's-anon': {'X-User': 'anon-1'},
                's-nobody': {}}

    def do_GET(self):
        """Whose session is it?"""
        self.server.asked.append(dict(self.headers.items()))
        found = re.search(r'session=([\w-]+)',
                          self.headers.get('Cookie') or '')
        headers = self.SESSIONS.get(found and found[1])
        good = headers is not None or (
            not found and self.path == '/session-or-nobody')
        self.send_response(204 if good else 401)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_arguments):
        """Not to standard error."""


@contextlib.contextmanager
def application():
    """Its server; "asked" are the headers of what it was asked."""
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                         Application) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


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

    def __init__(self, path, service, fakes, application):
        self.service, self.application = service, application
        self.users = Authority(path / 'users', 'chat users CA')
        self.strangers = Authority(path / 'strangers', 'another CA')
        self.impostors = Authority(path / 'impostors', 'chat users CA')
        self.jwts = Jwts(path)
        self.other_jwts = Jwts(self.strangers.path)
        self.env = {'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET,
                    'AWS_ENDPOINT_URL_STS': fakes.sts,
                    'AWS_CA_BUNDLE': fakes.sts_ca, 'HOME': '/nonexistent'}

        # The files that the recipes and the commands of the pages name.
        self.etc = path / 'etc'
        tls = self.etc / 'tls'
        self.servers = Authority(tls, 'servers CA')
        self.servers.issue('www.example.com', '/CN=www', 'www.example.com',
                           'chat.example.com')
        self.servers.issue('www.example.net', '/CN=net', 'www.example.net')
        for pair in (self.users.issue('alice', '/O=Example/CN=alice'),
                     self.strangers.issue('other-ca', '/O=Example/CN=alice')):
            for file in pair:
                shutil.copy(file, tls)
        shutil.copy(self.users.pem, tls / 'chat-users-ca.pem')
        (tls / 'partners-ca.pem').write_bytes(
            self.strangers.pem.read_bytes() + self.impostors.pem.read_bytes())
        shutil.copy(self.jwts.public, tls / 'jwt-issuer.pem')
        for name, text in {
                'chat-cookie.secret': f'set $chat_secret {COOKIE_SECRET};\n',
                'jwt.secret': f'auth_jwt_key {Jwts.SECRET};\n',
                'chat.htpasswd': passwords('alice', 'carol', 'CAROL',
                                           'mallory'),
                'chat-net.htpasswd': passwords('bob')}.items():
            (self.etc / name).write_text(text, 'ascii')


def passwords(*users):
    """The lines of a file of passwords."""
    return ''.join(f'{user}:{{PLAIN}}{user}-s\n' for user in users)


class Site(Nginx):
    """An nginx with one recipe."""

    def __init__(self, world, name, *changes):
        super().__init__(world.service)
        self._env = {**{name: value for name, value in os.environ.items()
                        if not name.startswith('AWS_')}, **world.env}
        self.world, self.service = world, world.service
        self.name, self.recipe = name, recipes()[name]
        self._changes = changes
        self.app = world.application.server_port
        found = re.search(r'server_name +(\S+);', self.recipe.text)
        self._tls, self._host = found, found and found[1]
        self._modules = modules()
        if RECIPES[name].module:
            self._modules.append(modules_path() / RECIPES[name].module)
        shutil.copytree(world.etc, self.dir, dirs_exist_ok=True)

    def configure(self, **values):
        """Write the recipe; called when the ports are known."""
        self.port = self.h2port = values['port']
        self._write('nginx.conf', FRAME.replace(
            '@LOAD@', '\n'.join(f'load_module {path};'
                                for path in self._modules)).replace(
            '@USER@', 'user root;' if os.geteuid() == 0 else ''))
        changed = collections.Counter()
        for name, text in {f'conf.d/{self.name}.conf': self.recipe.text,
                           **self.recipe.files}.items():
            for expression, replacement in substitutions(self):
                text = re.sub(expression, replacement, text)
            for change in self._changes:
                text, count = re.subn(*change, text)
                changed[change] += count
            self._write(name, text)
        for change in self._changes:
            if not changed[change]:
                raise RuntimeError(f'{change[0]} is not in {self.name}')

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

    def ask(self, headers=(), target=CHAT, method='POST', host=None,
            certificate=None, source=None, sni=True):
        """An answer; with a certificate if wanted, from an address."""
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.port, 30, source_address=source and (source, 0))
        host = host or self._host or 'www.example.com'
        connection.connect()
        if self._tls:
            context = ssl.create_default_context(
                cafile=self.world.servers.pem)
            if certificate:
                context.load_cert_chain(*certificate)
            context.check_hostname = sni
            connection.sock = context.wrap_socket(
                connection.sock, server_hostname=host if sni else None)
        with contextlib.closing(connection):
            connection.request(method, target, headers={
                'Host': host, **dict(headers)})
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())

    def mint(self, *arguments, **options):
        """What comes of a request: outcome()."""
        return self.outcome(self.ask(*arguments, **options))

    def outcome(self, answer):
        """(user, room, rights) that AWS was asked for with a token, or the
        status of what is no token, where AWS was not asked."""
        got = self.asked()
        if is_token(answer) and len(got) == 1:
            return got[0]
        if b'token"' not in answer.body and not got:
            return answer.status
        return answer.status, answer.body, got

    def asked(self):
        """What AWS was asked since the last call: [(user, room, rights)]."""
        bodies = [json.loads(one['body']) for one in self.service.requests()]
        self.service.forget()
        return [(body['userId'], body['roomIdentifier'],
                 body.get('capabilities', [])) for body in bodies]

    def curl(self, command):
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
        """What the pages' commands have in variables."""
        program = {}
        exec(self.recipe.python, program)
        make = program.get('chat_cookie', lambda *_arguments: '')
        alg = 'HS256' if self.name == 'jwt-module' else 'RS256'
        return {'SESSION': 's-alice', 'JWT': self.world.jwts.sign(alg=alg),
                'COOKIE': make('alice', COOKIE_SECRET)}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """One world for all."""
    with Service(args=['--rate', 'off']) as service, \
            Fakes(service) as fakes, application() as server:
        fakes.config(sts={'roles': {THEIR_ROLE: {
            'trust': ['*'], 'external_id': 'chat-of-example-net'}}})
        yield World(tmp_path_factory.mktemp('guide'), service, fakes,
                    server)


@contextlib.contextmanager
def started(world, name):
    """An nginx with a recipe; nothing is wrong with it."""
    world.service.forget()
    world.service.clear_faults()
    world.application.asked.clear()
    with Site(world, name) as site:
        yield site
        print(site.error_log()[-2000:])
        site.check(allow=RECIPES[name].allow)


@pytest.fixture
def site(world, request):
    """An nginx with a recipe for one test."""
    with started(world, request.param) as site:
        yield site


@pytest.fixture(scope='module')
def shared(world, request):
    """An nginx with a recipe for the tests of OUTCOMES."""
    with started(world, request.param) as site:
        yield site


def where(name, *values, id=None):
    """A parameter whose first value is a recipe: where that can run."""
    why_not = RECIPES[name].why_not()
    return pytest.param(name, *values, id=name + (f': {id}' if id else ''),
                        marks=[pytest.mark.skip(why_not)] if why_not else [])


def recipe(*names):
    """A test with an nginx of its own for each recipe."""
    return pytest.mark.parametrize('site', list(map(where, names)),
                                   indirect=True)


# What each recipe has to do


def case(name, comes, headers=(), **options):
    """(name, what comes, what Site.ask() is given).

    What comes is an outcome(); what is a function is given the world.
    """
    return name, comes, {'headers': headers, **options}


def given(world, options):
    """The same, its functions called."""
    return {name: value(world) if callable(value) else value
            for name, value in options.items()}


def in_room(name, user=None):
    """A request for a room, of a session or of nobody."""
    return {'headers': session(user) if user else {},
            'target': f'{CHAT}?room={name}'}


def jwt_cases(alg, *forged):
    """What is no token of the provider's, for either recipe."""
    sign = functools.partial(jwt, alg=alg)
    alter = functools.partial(altered, alg=alg)

    def others(world):
        """Other claims under a signature."""
        head, _, signature = world.jwts.sign(alg=alg).split('.')
        claims = world.jwts.sign({'sub': 'carol'}, alg).split('.')[1]
        return bearer(f'{head}.{claims}.{signature}')

    return [case(name, 401, headers) for name, headers in (
        ('none', {}),
        ('no JWT', bearer('abc')),
        ('not even that', bearer('..')),
        ('other claims under a signature', others),
        ('a part of the signature', alter(
            lambda head, claims, signature:
            f'{head}.{claims}.{signature[:-8]}')),
        ('no signature', alter(
            lambda head, claims, signature: f'{head}.{claims}.')),
        ('alg none', jwt(alg='none')),
        ('over', sign({'exp': int(time.time()) - 5})),
        ('without an end', sign({'exp': None})),
        ('nobody\'s', sign({'sub': None})),
        ('headers that are made up', {'X-JWT-Sub': 'carol', 'sub': 'carol'}),
        *forged)]


hs256 = functools.partial(jwt, alg='HS256')
SOON = int(time.time()) + 600
HOST = 'https://www.example.com'
FORGED = [{'Sec-Fetch-Site': 'cross-site'}, {'Sec-Fetch-Site': 'same-site'},
          {'Sec-Fetch-Site': 'none'}, {'Origin': 'https://evil.example'},
          {'Origin': 'null'}, {'Origin': HOST + '.evil.example'},
          {'Sec-Fetch-Site': 'same-origin', 'Origin': 'https://evil.example'},
          {'Sec-Fetch-Site': 'cross-site', 'Origin': HOST}]

OUTCOMES = {
    'basic-auth': [
        case('nobody', 401),
        case('a wrong password', 401, login('alice', 'x')),
        case('an unknown user', 401, login('eve')),
        case('the internal location', 404, login('alice'),
             target='/ivschat'),
        case('alice', ALICE, login('alice')),
        case('carol', CAROL, login('carol')),
        case('CAROL is somebody else', ('CAROL', LOBBY, SEND),
             login('CAROL')),
        case('headers that are made up', ALICE, {
            **login('alice'), 'X-User': 'carol', 'X-Moderator': 'yes'}),
    ],
    'auth-request': [
        case('no session', 401),
        case('an unknown session', 401, session('s-evil')),
        case('a session of nobody', 401, session('s-nobody')),
        case('a header of the client\'s in its place', 401,
             {'X-User': 'carol'}),
        case('the location that asks', 404, session('s-alice'),
             target='/session'),
        case('carol', CAROL, session('s-carol')),
        case('"no" grants nothing', ('no', LOBBY, SEND), session('s-no')),
    ],
    'front-proxy': [
        case('no header', 401),
        case('an empty header', 401, {'X-User': ''}),
        case('alice', ALICE, {'X-User': 'alice'}),
        case('from another address', 403, {'X-User': 'alice'},
             source='127.0.0.2'),
    ],
    'jwt-njs': [
        *jwt_cases(
            'RS256',
            ('HS256 with the public key',
             lambda world: bearer(world.jwts.confused())),
            ('HS256', hs256()),
            ('another key', lambda world: bearer(world.other_jwts.sign())),
            ('another issuer', jwt({'iss': 'https://evil.example/'})),
            ('for somebody else', jwt({'aud': 'billing'})),
            ('for several others', jwt({'aud': ['billing', 'mail']})),
            ('for nobody', jwt({'aud': None})),
            ('an id that is no string', jwt({'sub': {'a': 1}})),
            ('an empty id', jwt({'sub': ''})),
            ('an end that is no number', jwt({'exp': '99999999999'})),
            ('not yet good', jwt({'nbf': SOON}))),
        case('the location that checks', 404, jwt(), target='/jwt'),
        case('alice', ALICE, jwt()),
        case('one of several audiences', ALICE, jwt(
            {'aud': ['mail', 'chat'], 'nbf': int(time.time()) - 5})),
        case('a moderator', CAROL, jwt({'sub': 'carol', 'moderator': True})),
        case('no moderator', ALICE, lambda world: {
            **jwt({'moderator': 'true'})(world), 'X-JWT-Moderator': 'yes'}),
    ],
    'jwt-module': [
        *jwt_cases(
            'HS256',
            ('another secret', hs256(secret='00' * 32)),
            ('an empty secret', hs256(secret='')),
            ('the secret as text', hs256(secret=Jwts.SECRET.encode().hex())),
            ('RS256', jwt()),
            ('HS256 with a key',
             lambda world: bearer(world.jwts.confused()))),
        case('another issuer', 403, hs256({'iss': 'https://evil.x/'})),
        case('for somebody else', 403, hs256({'aud': 'billing'})),
        case('several audiences', 403, hs256({'aud': ['chat', 'mail']})),
        case('for nobody', 403, hs256({'aud': None})),
        case('alice', ALICE, lambda world: {**hs256()(world),
                                            'sub': 'carol'}),
        case('a moderator', CAROL, hs256({'sub': 'carol',
                                          'role': 'moderator'})),
        case('a role of another spelling', ('dave', LOBBY, SEND),
             hs256({'sub': 'dave', 'role': 'MODERATOR'})),
    ],
    'mutual-tls': [
        case('no certificate', 401),
        case('no certificate, but a header', 401, {
            'X-Ssl-Client-Verify': 'SUCCESS',
            'Ssl-Client-Verify': 'SUCCESS'}),
        case('of another authority', 400,
             certificate=certificate('strangers', '/O=Example/CN=carol')),
        case('of one that takes its name', 400,
             certificate=certificate('impostors', '/O=Example/CN=carol')),
        case('alice', ALICE,
             certificate=certificate('users', '/O=Example/CN=alice')),
        case('carol', CAROL,
             certificate=certificate('users', '/O=Example/CN=carol')),
        case('a subject that quotes another one', 401,
             certificate=certificate('users', '/O=x,CN=carol/OU=y')),
        case('a name with a comma', 401,
             certificate=certificate('users', '/CN=carol\\,O=Example')),
        case('a carol of another organisation', ('carol', LOBBY, SEND),
             certificate=certificate('users', '/O=Other/CN=carol')),
    ],
    'signed-cookie': [
        case('no cookie', 401),
        case('alice', ALICE, cookie('alice')),
        case('another user under a signature', 401,
             cookie('mallory', signed_user='alice')),
        case('another time under a signature', 401, {
            'Cookie': cookie('alice', SOON)['Cookie'].replace(
                str(SOON), str(SOON + 1000))}),
        case('another secret', 401, cookie('alice', secret='guess')),
        case('over', 401, cookie('alice', int(time.time()) - 5)),
        case('no signature', 401, {'Cookie': f'chat=alice.{SOON}.'}),
        case('a signature of another form', 401,
             {'Cookie': f'chat=alice.{SOON}.x'}),
        case('a user of another form', 401, cookie('al ice')),
        case('nobody', 401, cookie('')),
        case('garbage', 401, {'Cookie': 'chat=' + 'x' * 2000}),
        case('a time in the address', 401, target=f'{CHAT}?expires={SOON}'),
    ],
    'roles': [
        case('alice in the lobby', ('user-alice', LOBBY, SEND),
             **in_room('lobby', 's-alice')),
        case('alice in her room', ('user-alice', OTHER, MODERATE),
             **in_room('alice-live', 's-alice')),
        case('Alice in the room of alice', ('user-Alice', OTHER, SEND),
             **in_room('alice-live', 's-Alice')),
        case('carol in the room of alice', ('user-carol', OTHER, SEND),
             **in_room('alice-live', 's-carol')),
        case('carol in the lobby', ('user-carol', LOBBY, MODERATE),
             **in_room('lobby', 's-carol')),
        case('a user who is called "no"', ('user-no', LOBBY, SEND),
             **in_room('lobby', 's-no')),
        case('a user who is called "anon-1"', ('user-anon-1', LOBBY, SEND),
             **in_room('lobby', 's-anon')),
        case('a wrong session', 401, **in_room('lobby', 's-evil')),
        case('an unknown room', 404, **in_room('secret', 's-alice')),
        case('an ARN', 404, **in_room(LOBBY, 's-alice')),
        case('no room', 404, session('s-alice')),
    ],
    'bans': [
        case('alice', ALICE, login('alice')),
        case('mallory', 403, login('mallory')),
        case('mallory, without the password', 401, login('mallory', 'x')),
    ],
    'csrf': [
        *(case(str(headers), ALICE, {**session('s-alice'), **headers})
          for headers in ({}, {'Sec-Fetch-Site': 'same-origin'},
                          {'Origin': HOST},
                          {'Sec-Fetch-Site': 'same-origin',
                           'Origin': HOST})),
        case('GET', 405, session('s-alice'), method='GET'),
        case('no session', 401, {'Sec-Fetch-Site': 'same-origin'}),
    ],
    'two-regions': [
        case('the lobby', ALICE, login('alice'), target=f'{CHAT}?room=lobby'),
        case('the studio', ('alice', STUDIO, SEND), login('alice'),
             target=f'{CHAT}?room=studio'),
        case('no room', 404, login('alice')),
        case('another room', 404, login('alice'), target=f'{CHAT}?room=x'),
        case('nobody', 401, target=f'{CHAT}?room=lobby'),
    ],
    'two-accounts': [
        case('the first', ALICE, login('alice')),
        case('the second', ('bob', THEIRS, SEND), login('bob'),
             host='www.example.net'),
        case('a user of the first at the second', 401, login('alice'),
             host='www.example.net'),
        case('a user of the second at the first', 401, login('bob')),
    ],
    'endpoints': [
        case('FIPS', ALICE, login('alice'), target='/chat/fips/token'),
        case('nobody by FIPS', 401, target='/chat/fips/token'),
        case('dual-stack', ALICE, login('alice'),
             target='/chat/dual-stack/token'),
        case('nobody by dual-stack', 401, target='/chat/dual-stack/token'),
    ],
    'http3': [
        case('HTTP/1.1 beside it', ALICE, login('alice')),
    ],
    'health': [
        case('the check', 200, target='/healthz', method='GET'),
        case('the check, by a user', 200, login('alice'), target='/healthz',
             method='GET'),
        case('GET for a token', 405, login('alice'), method='GET'),
        case('HEAD for a token', 405, login('alice'), method='HEAD'),
        case('GET without a password', 401, method='GET'),
        case('a token', ALICE, login('alice')),
    ],
}


@pytest.mark.parametrize('shared, comes, options', [
    where(name, *values, id=id) for name, cases in OUTCOMES.items()
    for id, *values in cases], indirect=['shared'])
def test_outcome(world, shared, comes, options):
    """A token for the user, the room and the rights meant, or none."""
    assert shared.mint(**given(world, options)) == comes


@recipe(*RECIPES)
def test_commands(site):
    """The page's commands have the statuses that it says."""
    assert site.recipe.commands
    assert [(command, site.curl(command)) for command, _ in
            site.recipe.commands] == site.recipe.commands


@recipe('auth-request')
def test_application_is_asked(site):
    """The application gets neither a body nor a client's X-User."""
    assert site.mint({**session('s-alice'), 'X-User': 'carol',
                      'X-Moderator': 'yes'}) == ALICE
    question = site.world.application.asked[-1]
    assert 'X-User' not in question and 'Content-Length' not in question


@recipe('auth-request')
def test_display_name(site):
    """The display name is the application's."""
    site.ask(session('s-alice'))
    body = json.loads(site.service.requests()[-1]['body'])
    assert body.get('attributes') == {'displayName': 'Alice A.'}


@recipe('auth-request')
def test_application_is_down(site):
    """An application that is not there is an error."""
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        site.app = closed.getsockname()[1]
        site.renew(configure=True)
        assert site.mint(session('s-alice')) == 500


@recipe('roles')
def test_viewers(site):
    """Viewers, each with an id of their own, may only view."""
    got = [site.mint(**in_room('lobby')) for _ in range(2)]

    assert len({user for user, _, _ in got}) == 2
    for user, where, rights in got:
        assert re.fullmatch('anon-[0-9a-f]{32}', user)
        assert (where, rights) == (LOBBY, [])


@recipe('roles')
def test_loop_of_a_viewer(site):
    """A machine that asks in a loop gets 429."""
    answers = [site.ask(**in_room('lobby')) for _ in range(30)]

    assert 429 in [answer.status for answer in answers[-5:]]
    assert len(site.asked()) == sum(map(is_token, answers))


@recipe('bans')
def test_ban(site):
    """Sessions are short, the code is told, and the list may be changed."""
    site.ask(login('alice'))
    body = json.loads(site.service.requests()[-1]['body'])
    assert body.get('sessionDurationInMinutes') == 15
    assert code(site.ask(login('mallory'))) == (403, 'room_forbidden')

    site.service.forget()
    site.file('chat-bans.map', 'alice 0;\n')
    site.renew()
    assert site.mint(login('alice')) == 403
    assert site.mint(login('mallory')) == ('mallory', LOBBY, SEND)


def cors(answer):
    """What the page may read; Vary is always there."""
    assert answer.get('Vary') == 'Origin'
    return [answer.get('Access-Control-' + name) for name in (
        'Allow-Origin', 'Allow-Credentials', 'Expose-Headers')]


ALLOWED = [HOST, 'true', 'Retry-After, Date']
PREFLIGHT = {'Access-Control-Request-Method': 'POST',
             'Access-Control-Request-Headers': 'authorization'}


@recipe('other-origin')
@pytest.mark.parametrize('headers, method, comes, allowed', [
    pytest.param({**session('s-alice'), 'Origin': HOST}, 'POST', ALICE,
                 ALLOWED, id='an origin of the list'),
    pytest.param({'Origin': HOST}, 'POST', 401, ALLOWED, id='no session'),
    pytest.param({**session('s-alice'), 'Origin': HOST}, 'GET', 405, ALLOWED,
                 id='GET'),
    pytest.param(session('s-alice'), 'POST', ALICE, [None] * 3,
                 id='no origin')])
def test_origin(site, headers, method, comes, allowed):
    """A page of an origin of the list may read the answer."""
    answer = site.ask(headers, method=method)
    assert site.outcome(answer) == comes
    assert cors(answer) == allowed


@recipe('other-origin')
def test_origin_429(site):
    """It may read a 429, too, which has Retry-After."""
    site.service.faults({'fault': 'retry-after-30000', 'count': None})
    answer = site.ask({**session('s-alice'), 'Origin': HOST})
    assert cors(answer) == ALLOWED
    assert answer.status == 429 and answer.get('Retry-After')


@recipe('other-origin')
@pytest.mark.parametrize('origin', [
    'https://evil.example', 'null', HOST + '.evil.example', HOST + ':444',
    'http://www.example.com', 'x>', ':', '>:' + HOST])
def test_other_origin(site, origin):
    """A page of another origin gets nothing, and no header."""
    answer = site.ask({**session('s-alice'), 'Origin': origin})
    assert site.outcome(answer) == 403
    assert answer.get('Vary') == 'Origin'
    assert not [name for name, _ in answer.headers
                if name.lower().startswith('access-control')]


@recipe('other-origin')
def test_preflight(site):
    """A preflight is answered before authentication."""
    answer = site.ask({'Origin': HOST, **PREFLIGHT}, method='OPTIONS')
    assert site.outcome(answer) == 204
    assert site.world.application.asked == []
    assert cors(answer) == [HOST, 'true', None]
    assert answer.get('Access-Control-Allow-Headers') == 'Authorization'
    assert answer.get('Access-Control-Allow-Methods') == 'POST'
    assert answer.get('Access-Control-Max-Age') == '7200'

    evil = site.ask({'Origin': 'https://evil.example', **PREFLIGHT},
                    method='OPTIONS')
    assert cors(evil) == [None] * 3
    assert site.asked() == []


# Another server at the same address, with authorities of its own.
PARTNER = (r'\nserver \{\n( +listen +\S+) ssl;', r'''
server {
\1 ssl default_server;
    server_name partner.example.com;
    ssl_certificate tls/www.example.com.pem;
    ssl_certificate_key tls/www.example.com.key;
    ssl_client_certificate tls/partners-ca.pem;
    ssl_verify_client optional;
}
server {
\1 ssl;''')
NO_421 = (r'(?s)if \(\$ssl_server_name .*?}', '')
NO_ISSUER = (r'"~\^CN=chat users CA\\z" yes', 'default yes')


@pytest.mark.parametrize('name, authority, changes, comes', [
    where('mutual-tls', 'strangers', [], 421, id='another name'),
    where('mutual-tls', 'impostors', [], 421, id='the same name'),
    where('mutual-tls', 'strangers', [NO_421], 401, id='issuer'),
    where('mutual-tls', 'strangers', [NO_ISSUER], 421, id='421'),
    where('mutual-tls', 'impostors', [NO_421], CAROL, id='no 421'),
    where('mutual-tls', 'strangers', [NO_421, NO_ISSUER], CAROL,
          id='neither')])
def test_other_authority(world, name, authority, changes, comes):
    """A certificate of another server's authority is of no use here."""
    with Site(world, name, PARTNER, *changes) as site:
        world.service.forget()
        pair = getattr(world, authority).issue('client', '/O=Example/CN=carol')
        assert site.mint(certificate=pair, sni=False) == comes
        alice = world.users.issue('client', '/O=Example/CN=alice')
        assert site.mint(certificate=alice) == ALICE


@recipe('auth-request', 'csrf', 'other-origin', 'roles')
def test_cleared(site):
    """The application gets no header of the client's that is read from it."""
    names = {name.replace('_', '-') for name in re.findall(
        r'\$upstream_http_(\w+)', site.recipe.text)}
    site.ask({**session('s-alice'), **{name: 'carol' for name in names}},
             f'{CHAT}?room=lobby')
    asked, = site.world.application.asked
    assert names and not names & {name.lower() for name in asked}


@recipe('csrf')
@pytest.mark.parametrize('headers', FORGED, ids=str)
def test_forged(site, headers):
    """A forged request is refused; the application is not asked either."""
    assert site.mint({**session('s-alice'), **headers}) == 403
    assert site.world.application.asked == []


@recipe('user-limits')
def test_user_limits(site):
    """Six at once, no more for this user; others are not concerned."""
    start = time.monotonic()
    answers = [site.ask(login('CAROL')) for _ in range(9)]
    most = 6 + (time.monotonic() - start) / 5 + 1
    minted = len(site.asked())
    assert 6 <= minted <= most and minted == sum(map(is_token, answers))

    over = [answer for answer in answers if not is_token(answer)]
    assert over and all(answer.get('Retry-After') for answer in over)
    assert {code(answer) for answer in over} == {(429, 'throttled')}

    assert site.mint(login('carol')) == ('carol', LOBBY, SEND)
    assert site.mint(login('alice', 'x')) == 401


@pytest.mark.parametrize('site, target, host', [
    where('two-regions', f'{CHAT}?room=lobby',
          'ivschat.us-west-2.amazonaws.com', id='lobby'),
    where('two-regions', f'{CHAT}?room=studio',
          'ivschat.eu-west-1.amazonaws.com', id='studio'),
    where('endpoints', '/chat/fips/token',
          'ivschat-fips.us-west-2.amazonaws.com', id='FIPS'),
    where('endpoints', '/chat/dual-stack/token', 'ivschat.us-west-2.api.aws',
          id='dual-stack')], indirect=['site'])
def test_host(site, target, host):
    """AWS is asked by the right name."""
    site.ask(login('alice'), target)
    assert [(dict(one['headers']).get('Host'), one['sni'])
            for one in site.service.requests()] == [(host, host)]


@recipe('http3')
def test_http3(site):
    """HTTP/3, with curl."""
    assert site.ask(login('alice')).get('Alt-Svc') == 'h3=":443"; ma=86400'
    site.service.forget()

    command = ('curl --http3-only -X POST %s -w "%%{http_version} '
               '%%{http_code}" https://www.example.com/chat/token')
    assert site.curl(command % '-u carol:carol-s').startswith('3 200')
    assert site.asked() == [('carol', LOBBY, SEND)]
    assert site.curl(command % '-u carol:x').startswith('3 401')
    assert site.asked() == []


@recipe('health')
def test_log(site):
    """The log says what became of a token; checks are not in it."""
    site.ask(target='/healthz', method='GET')
    site.ask(login('alice'), method='GET')
    site.ask(login('alice'))
    path = site.dir / 'chat.log'
    wait_for(lambda: path.read_text('utf-8').count('\n') >= 2)
    text = path.read_text('utf-8')
    assert text.splitlines()[-1].split()[2:4] == ['200', 'ok']
    assert 'healthz' not in text


# What the pages say of a line that is missing or other: each is a mistake that
# the tests above would see.


WITHOUT = [
    # recipe, what stands there (an expression), what in its place, what comes
    # (a status, or what AWS is asked for), what is asked
    ('basic-auth', 'auth_basic  .*', '', 401, {'headers': login('alice')}),
    ('basic-auth', r'~\^carol\\z', 'carol', ('CAROL', LOBBY, MODERATE),
     {'headers': login('CAROL')}),
    ('basic-auth', r' if=\$moderator', '', ('alice', LOBBY, MODERATE),
     {'headers': login('alice')}),
    ('auth-request', 'auth_request  .*', '', 401,
     {'headers': session('s-alice')}),
    ('auth-request', r'\$upstream_http_x_user', '$http_x_user',
     ('carol', LOBBY, SEND),
     {'headers': {**session('s-alice'), 'X-User': 'carol'}}),
    ('front-proxy', 'deny  .*', '', ('eve', LOBBY, SEND),
     {'headers': {'X-User': 'eve'}, 'source': '127.0.0.2'}),
    ('jwt-njs', 'claims.iss === .*;', 'true;', ALICE,
     {'headers': jwt({'aud': 'mail'})}),
    ('jwt-njs', '&& now < claims.exp', '', ALICE,
     {'headers': jwt({'exp': 1})}),
    ('jwt-module', r' if=\$meant_for_us', '', ALICE,
     {'headers': hs256({'aud': 'mail'})}),
    # that module takes the algorithm from the token
    ('jwt-module', r'HS256;\n( +)include .*;',
     r'RS256;\n\1auth_jwt_use_keyfile on;\n'
     r'\1auth_jwt_keyfile_path tls/jwt-issuer.pem;', ALICE,
     {'headers': lambda world: bearer(world.jwts.confused())}),
    ('mutual-tls', 'ssl_verify_client .*', '', 401,
     {'certificate': certificate('users', '/O=Example/CN=any')}),
    ('mutual-tls', r'~\^yes:CN=\(.*?\)\(.*?\)', '~CN=(?<cn>[^,]+)',
     ('carol', LOBBY, SEND),
     {'certificate': certificate('users', '/OU=y/O=x,CN=carol')}),
    ('mutual-tls', r'(?s)optional;(.*)if .*?\n        }',
     r'optional_no_ca;\1', CAROL,
     {'certificate': certificate('impostors', '/O=Example/CN=carol')}),
    ('signed-cookie', r'if \(\$secure_link != 1\)', 'if ($secure_link = 2)',
     ('mallory', LOBBY, SEND),
     {'headers': cookie('mallory', secret='guess')}),
    ('roles', 'anon-.*;', 'anon;', ('anon', LOBBY, []), in_room('lobby')),
    ('roles', r'"~\^alice-live alice\\z"', '"alice-live alice"',
     ('user-Alice', OTHER, MODERATE), in_room('alice-live', 's-Alice')),
    ('roles', r'if=\$signed_in', 'if=$auth_user', ('user-no', LOBBY, []),
     in_room('lobby', 's-no')),
    ('bans', r' if=\$welcome', '', ('mallory', LOBBY, SEND),
     {'headers': login('mallory')}),
    ('other-origin', r'if \(\$stranger\)', 'if ($stranger = 2)', ALICE,
     {'headers': {**session('s-alice'), 'Origin': 'https://e.x'}}),
    ('other-origin', r'if \(\$request_method = OPTIONS\)',
     'if ($request_method = NONE)', 401,
     {'headers': {'Origin': HOST}, 'method': 'OPTIONS'}),
    ('csrf', r'if \(\$foreign_origin\)', 'if ($foreign_origin = 2)', ALICE,
     {'headers': {**session('s-alice'), 'Origin': 'null'}}),
    ('csrf', 'ivschat_token_methods .*', 'ivschat_token_methods GET;', ALICE,
     {'headers': session('s-alice'), 'method': 'GET'}),
    # in the token location, it knows no user, and limits nobody
    ('user-limits', r'(?s)(auth_basic  .*)(limit_req  .*?;)', r'\2\n\1',
     ALICE, {'headers': login('alice')}),
    ('two-regions', r'(?s)upstream ivschat.eu-west-1.*?\n}\n', '', 500,
     {'headers': login('alice'), 'target': f'{CHAT}?room=studio'}),
    ('endpoints', 'ivschat_token_endpoint .*', '', 500,
     {'headers': login('alice'), 'target': '/chat/fips/token'}),
    ('two-accounts', r'(?s)ivschat_token_credentials .*?;', '', 502,
     {'headers': login('bob'), 'host': 'www.example.net'}),
]



@pytest.mark.parametrize('name, old, new, comes, options', [
    where(name, old, new, comes, options, id=old)
    for name, old, new, comes, options in WITHOUT])
def test_without(world, name, old, new, comes, options):
    """A recipe with one line missing, or another one, fails."""
    with Site(world, name, (old, new)) as site:
        for _ in range(9 if name == 'user-limits' else 1):
            world.service.forget()
            answer = site.ask(**given(world, options))
        if isinstance(comes, tuple):
            assert site.asked() == [comes], answer.body
        else:
            assert answer.status == comes and not is_token(answer)


@pytest.mark.parametrize('name, old, new, says', [
    where('basic-auth', 'ivschat_token_user .*', '', 'ivschat_token_user',
          id='no user'),
    where('auth-request', r'(ivschat_token_user +)\$auth_user',
          r'\1$http_x_user', 'trusted', id='a header'),
    where('front-proxy', ' trusted', '', 'trusted', id='no "trusted"')])
def test_not_accepted(world, name, old, new, says):
    """nginx -t refuses a recipe with one line missing, or another one."""
    site = Site(world, name, (old, new))
    try:
        site.configure(port=1)
        done = subprocess.run(
            [binary(), '-t', '-p', f'{site.dir}/', '-c',
             str(site.dir / 'nginx.conf')], env=site._env, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        assert done.returncode and says in done.stderr, done.stderr
    finally:
        site.__exit__()


# Where recipes run


def test_recipes():
    """The pages have the recipes that are tested, and no others."""
    assert sorted(recipes()) == sorted(RECIPES)
    assert set(OUTCOMES) | {'other-origin', 'user-limits'} == set(RECIPES)


def test_where_they_run():
    """They run where the table in the guide's README says so."""
    versions = [(1, 22), (1, 26), (1, 30)]
    if numbers()[:2] not in versions or not (packaged() or sanitized()):
        pytest.skip(f'the table has no column for nginx {numbers()}')

    column = 4 + versions.index(numbers()[:2])
    said = {}
    for line in (GUIDE / 'README.md').read_text('utf-8').splitlines():
        cells = line.split('|')
        link = re.search(r'\]\(([\w-]+)\.md(#[\w-]+)?\)', line)
        if len(cells) == 8 and link:
            said[link[1] + (link[2] or '')] = cells[column].strip()

    names = {'auth-request': 'auth-request#the-application-is-asked',
             'front-proxy': 'auth-request#a-proxy-in-front-has-asked',
             'jwt-njs': 'jwt#with-njs', 'jwt-module': 'jwt#with-a-module'}
    not_here = {name for name, needs in RECIPES.items() if needs.why_not()}
    if sanitized():
        assert NOT_SANITIZED <= not_here
        not_here -= {name for name in NOT_SANITIZED
                     if said[names.get(name, name)] == 'yes'}
    assert said == {names.get(name, name): 'no' if name in not_here
                    else 'yes' for name in RECIPES}


@pytest.mark.parametrize('name', [
    where(name) for name, needs in RECIPES.items() if needs.module])
def test_module(name):
    """The module that a recipe needs is installed."""
    assert (modules_path() / RECIPES[name].module).exists()


# The rest of the documentation


ROOM_ARN = re.compile(r'arn:aws:ivschat:[a-z0-9-]+:[0-9]{12}:room/'
                      r'(\*|[a-zA-Z0-9-]+)')
ROLE_ARN = re.compile(r'arn:aws:iam::[0-9]{12}:role/[\w+=,.@-]+')


@pytest.mark.parametrize('name', ['iam', 'credentials', 'install'])
def test_policies(name):
    """The JSON is well-formed, and policies allow what they should."""
    text = (TOP / 'docs' / f'{name}.md').read_text('utf-8')
    blocks = [json.loads(block) for block in re.findall(
        r'^ *```json\n(.*?)^ *```$', text, re.M | re.S)]

    assert blocks
    assert not [block for block in blocks if 'Statement' in block
                and not well_formed(block)]


def test_links():
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
    assert not lost


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
