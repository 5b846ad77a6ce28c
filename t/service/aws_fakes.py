#!/usr/bin/python3
"""Fakes of the places where a host of AWS finds its credentials.

The instance metadata service (IMDSv2), the container endpoint (ECS, EKS Pod
Identity) and STS, each as strict as the real one; docs/local-service.md
describes them.  What they hand out is made known to the local IVS Chat
service, which takes it until it expires.  In tests, ivschat_testlib.Fakes
starts them.
"""

import argparse
import asyncio
import base64
import binascii
import calendar
import collections
import http.client
import json
import os
import pathlib
import re
import secrets
import socket
import string
import sys
import time
import uuid
import weakref
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

import botocore.session

from ivschat import sigv4, tls
from ivschat.control import ControlConnection
from ivschat.errors import ServiceError
from ivschat.faults import FLUSH, HUGE, PIECE, dump, iso
from ivschat.http1 import connection_header, render_head
from ivschat.reply import CLOSE, DOOM, HANG, RESET, Reply, send, sleep
from ivschat.server import Connection
from ivschat.service import LOCAL_NAMES, REGIONS, http_date
from ivschat.state import Credential, Journal
from ivschat_service import (DEFAULT_KEY, DEFAULT_SECRET,
                             allow_many_connections, wait_for_end,
                             write_atomically)

ACCOUNT = '123456789012'
OTHER_ACCOUNT = '210987654321'
USER = f'arn:aws:iam::{ACCOUNT}:user/local'
ROLE = f'arn:aws:iam::{ACCOUNT}:role/app'
TASK_ID = '5f0c1d9e-8a57-4b1c-9c56-0e2a8f3b7d41'
AUTHORIZATION = 'pod+identity/token=='
LIFETIME = 3600

UTC = '%Y-%m-%dT%H:%M:%SZ'
NUMBER = (int, float)
TEXT_OR_NONE = (str, type(None))
NUMBER_OR_NONE = (*NUMBER, type(None))
REGISTER_TIMEOUT = 10

DECIMAL = re.compile(r'[0-9]{1,9}')
ROLE_ARN = re.compile(r'arn:aws:iam::([0-9]{12}):role/(?:[!-~]+/)?'
                      r'([\w+=,.@-]{1,64})', re.ASCII)


# Credentials


class Known(Credential):
    """A credential, where it came from, and whom it stands for."""

    FIELDS = Credential.FIELDS | {'source', 'arn'}

    def __init__(self, key, secret, account, token=None, expired=False,
                 expires=None, source='static', arn=USER):
        super().__init__(key, secret, account, token, expired, expires)
        self.source = source
        self.arn = arn

    def as_dict(self):
        """All of it: tests look for the secrets where they must not be."""
        return {name: getattr(self, name) for name in sorted(self.FIELDS)}


class Vault:
    """Every credential that the fakes know; the IVS Chat service too."""

    def __init__(self, service_control):
        self._control = service_control and urlsplit(service_control).netloc
        self.known = {}
        self.issued = []

    def add(self, known):
        """Know a credential here and there, or know it anew."""
        self._register(known)
        self.known[known.key] = known

    def issue(self, source, role, session, expires, token_length):
        """A fresh credential of a role's session."""
        account, name = ROLE_ARN.fullmatch(role).groups()
        known = Known('ASIA' + random_text(16, string.ascii_uppercase
                                           + '234567'),
                      random_secret(), account, random_base64(token_length),
                      expires=expires, source=source,
                      arn=f'arn:aws:sts::{account}:assumed-role/'
                          f'{name}/{session}')
        self.add(known)
        self.issued.append(known)
        return known

    def expire(self, key):
        """Let one expire at once."""
        if key not in self.known:
            raise ValueError(f'no such key: {key}')

        self.known[key].expired = True
        self._register(self.known[key])

    def _register(self, known):
        """Tell the IVS Chat service, before anybody has the credential.

        This blocks the loop on purpose: it takes a millisecond, and nothing
        may be answered until it is done.
        """
        if not self._control:
            return

        fields = {name: getattr(known, name)
                  for name in sorted(Credential.FIELDS)}
        connection = http.client.HTTPConnection(self._control,
                                                timeout=REGISTER_TIMEOUT)
        try:
            connection.request('PUT', '/config',
                               json.dumps({'credentials': [fields]}))
            status = connection.getresponse().status
        except OSError as error:
            status = error
        finally:
            connection.close()

        if status != 200:
            raise ServiceError(500, 'RegistrationFailed',
                               f'The IVS Chat service: {status}')


def random_text(length, characters):
    """Random characters."""
    return ''.join(secrets.choice(characters) for _ in range(length))


def random_base64(length):
    """Characters as of base64."""
    return random_text(length, string.ascii_letters + string.digits + '+/')


def random_secret():
    """A secret access key; the odd characters of base64 are in all of them."""
    place = 1 + secrets.randbelow(37)
    text = random_base64(40)
    return text[:place] + '/+' + text[place + 2:]


def make_jwt(expires, **claims):
    """A token as a cluster's identity provider issues them."""
    parts = ({'alg': 'RS256', 'kid': 'local', 'typ': 'JWT'},
             {'iss': 'https://oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE',
              'aud': ['sts.amazonaws.com'], 'exp': int(expires),
              'sub': 'system:serviceaccount:default:chat',
              'jti': str(uuid.uuid4()), **claims})
    return '.'.join([*(base64url(dump(part)) for part in parts),
                     base64url(os.urandom(256))])


def base64url(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


def jwt_claims(token):
    """The claims of a JWT; ValueError when it is none."""
    parts = token.split('.')

    if len(parts) != 3:
        raise ValueError('not three parts')

    padded = parts[1] + '=' * (-len(parts[1]) % 4)
    claims = json.loads(base64.b64decode(padded, '-_', validate=True))

    if not isinstance(claims, dict) or type(claims.get('exp')) not in NUMBER:
        raise ValueError('no claims')

    return claims


def from_file(path):
    """A token file's present content, its last newline left out."""
    try:
        return pathlib.Path(path).read_text('utf-8').rstrip('\n')
    except OSError as error:
        raise ServiceError(500, 'NoTokenFile', str(error)) from None


# The sources


class Call:
    """A request that was verified."""

    def __init__(self, request, step, role=None, session=None, duration=None):
        self.request = request
        self.step = step
        self.role = role
        self.session = session
        self.duration = duration

    @property
    def gives_credentials(self):
        """Whether credentials are the answer."""
        return self.step not in ('token', 'role')


class Source:
    """What the three have in common.

    A source verifies a request, produces what it asks for (a text, or the
    members of a document), and renders that.  SETTINGS are (default, types).
    """

    name = None
    token_member = 'Token'
    throttled = 429, 'ThrottlingException'
    SETTINGS = {'lifetime': (None, NUMBER_OR_NONE), 'down': (False, (bool,))}

    def __init__(self, world):
        self.world = world
        self.journal = world.journal
        self.latency = 0
        self.settings = {name: default for name, (default, _)
                         in self.SETTINGS.items()}
        self.counters = collections.Counter()

    def configure(self, changes):
        """Change settings; ValueError for what is none."""
        if not isinstance(changes, dict) or set(changes) - set(self.SETTINGS):
            raise ValueError(f'{self.name} has the settings '
                             + ', '.join(sorted(self.SETTINGS)))

        for name, value in changes.items():
            if type(value) not in self.SETTINGS[name][1]:
                raise ValueError(f'{self.name}.{name} cannot be {value!r}')

        self.check(changes)
        self.settings.update(changes)

    def check(self, changes):
        """What types do not tell; ValueError."""

    def handle(self, request, port, details):
        """The reply to a request; details are filled in for the record."""
        request.now = self.world.now()

        try:
            reply = self._reply(self.verify(request, port, details), details)
        except ServiceError as error:
            self.counters['refused'] += 1
            reply = self.refuse(request, error)

        reply.close = reply.close or not request.keep_alive
        return reply

    def _reply(self, call, details):
        details.update(step=call.step, role=call.role)
        self.counters[call.step] += 1
        found = self.world.queue.take(self, call)

        if found is None:
            return Case(self, call).good()

        self.counters['faults'] += 1
        return run_fault(found, self, call)

    def verify(self, request, port, details):
        """All that the real one checks; a Call."""
        raise NotImplementedError

    def produce(self, call):
        """A text, or the members of a document with fresh credentials."""
        return self.members(call, self.issue(call))

    def members(self, call, known):
        """The members of the document."""
        raise NotImplementedError

    def render(self, call, value):
        """The body for what was produced: bytes."""
        raise NotImplementedError

    def headers(self, call):
        """The headers of a good answer, but those of its body's length."""
        raise NotImplementedError

    def error(self, request, error):
        """(headers, body) of a refusal."""
        raise NotImplementedError

    def issue(self, call, lifetime=None):
        """A fresh credential; whole seconds, as they are told."""
        wanted = (lifetime, self.settings['lifetime'], self.world.lifetime,
                  call.duration, LIFETIME)
        lifetime = next(value for value in wanted if value is not None)
        self.counters['issued'] += 1
        return self.world.vault.issue(
            self.name, call.role, call.session,
            int(self.world.now() + lifetime), self.world.token_length)

    def refuse(self, request, error):
        """An error as the source words it."""
        headers, body = self.error(request, error)

        if 'location' in error.members:
            headers = [*headers, ('Location', error.members['location'])]

        head = render_head(error.status, [
            *headers, ('Content-Length', len(body)),
            connection_header(request)])
        return Reply(error.status, error.code, head + body,
                     message=error.members['message'])


def role_setting(value):
    """A role's ARN; ValueError."""
    if not ROLE_ARN.fullmatch(value):
        raise ValueError(f'{value!r} is no ARN of a role')


class Imds(Source):
    """The instance metadata service, version 2 only."""

    name = 'imds'
    throttled = 503, 'ServiceUnavailable'
    TOKEN_PATH = '/latest/api/token'
    LISTING = '/latest/meta-data/iam/security-credentials/'
    TTL_HEADER = 'x-aws-ec2-metadata-token-ttl-seconds'
    TTL_MAX = 21600
    SESSION = 'i-0123456789abcdef0'
    SETTINGS = {**Source.SETTINGS, 'role': (ROLE, TEXT_OR_NONE)}

    def __init__(self, world):
        super().__init__(world)
        self.tokens = {}

    def check(self, changes):
        """The role is an ARN, or there is none."""
        if changes.get('role') is not None:
            role_setting(changes['role'])

    def verify(self, request, port, details):
        """A token is asked for with PUT, all else with GET and a token."""
        if request.target == self.TOKEN_PATH:
            return self._verify_put(request)

        if request.method != 'GET':
            raise status_error(405)

        tokens = request.get_all('x-aws-ec2-metadata-token')

        if len(tokens) != 1 or self.tokens.get(tokens[0], 0) <= request.now:
            raise status_error(401)

        return self._verify_path(request)

    def _verify_put(self, request):
        if request.method != 'PUT':
            raise status_error(405)

        if request.get_all('x-forwarded-for'):
            raise status_error(403)

        ttls = request.get_all(self.TTL_HEADER)

        if (request.get_all('content-length') != ['0'] or len(ttls) != 1
                or not DECIMAL.fullmatch(ttls[0])
                or not 1 <= int(ttls[0]) <= self.TTL_MAX):
            raise status_error(400)

        return Call(request, 'token', duration=int(ttls[0]))

    def _verify_path(self, request):
        role = self.settings['role']

        if request.target == self.LISTING[:-1]:
            raise ServiceError(301, 'MovedPermanently', 'A slash is missing',
                               location=self.LISTING)

        if role is not None:
            name = role.rpartition('/')[2]
            steps = {self.LISTING: 'role', self.LISTING + name: 'credentials'}

            if request.target in steps:
                return Call(request, steps[request.target], role,
                            self.SESSION)

        raise status_error(404)

    def produce(self, call):
        """A token, the role's name, or the document."""
        if call.step == 'token':
            token = 'AQAAA' + random_base64(49) + '=='
            self.tokens[token] = call.request.now + call.duration
            return token

        if call.step == 'role':
            return call.role.rpartition('/')[2]

        return super().produce(call)

    def members(self, call, known):
        """The document's members, in its order."""
        return {'Code': 'Success', 'LastUpdated': iso(call.request.now, UTC),
                'Type': 'AWS-HMAC', 'AccessKeyId': known.key,
                'SecretAccessKey': known.secret, 'Token': known.token,
                'Expiration': iso(known.expires, UTC)}

    def render(self, call, value):
        """A text as it is, a document in lines."""
        if isinstance(value, str):
            return value.encode()
        return json.dumps(value, indent=2, separators=(',', ' : ')).encode()

    def headers(self, call):
        """As the real one: a document is text, too."""
        ttl = ([('X-Aws-Ec2-Metadata-Token-Ttl-Seconds', call.duration)]
               if call.step == 'token' else [])
        return [('Date', http_date(int(call.request.now))),
                ('Server', 'EC2ws'), ('Content-Type', 'text/plain'), *ttl]

    def error(self, request, error):
        """A page of HTML."""
        title = f'{error.status} - {error.code}'
        body = ('<?xml version="1.0" encoding="iso-8859-1"?>\n'
                '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" '
                f'lang="en">\n <head>\n  <title>{title}</title>\n </head>\n'
                f' <body>\n  <h1>{title}</h1>\n </body>\n</html>\n')
        return [('Date', http_date(int(request.now))), ('Server', 'EC2ws'),
                ('Content-Type', 'text/html')], body.encode()


class Container(Source):
    """The endpoint of ECS and of EKS Pod Identity."""

    name = 'container'
    SETTINGS = {**Source.SETTINGS, 'role': (ROLE, (str,)),
                'authorization': (AUTHORIZATION, TEXT_OR_NONE),
                'authorization_file': (None, TEXT_OR_NONE)}
    POD_PATH = '/v1/credentials'
    TASK_PREFIX = '/v2/credentials/'

    def check(self, changes):
        """The role is an ARN."""
        role_setting(changes.get('role', ROLE))

    def verify(self, request, port, details):
        """The exact path, then the exact Authorization."""
        if request.method != 'GET':
            raise status_error(405)

        if request.target not in (self.POD_PATH, self.TASK_PREFIX + TASK_ID):
            if request.target.startswith(self.TASK_PREFIX):
                raise ServiceError(400, 'InvalidIdInRequest',
                                   'CredentialsV2Request: No credentials '
                                   'found with given ID')
            raise status_error(404)

        self._check_authorization(request.get_all('authorization'))
        return Call(request, 'credentials', self.settings['role'], TASK_ID)

    def _check_authorization(self, given):
        path = self.settings['authorization_file']
        wanted = (self.settings['authorization'] if path is None
                  else from_file(path))

        if wanted is None:
            return

        if not given:
            raise ServiceError(401, 'Unauthorized',
                               'The Authorization header is missing')

        if given != [wanted]:
            raise ServiceError(403, 'AccessDeniedException',
                               'The Authorization is not the right one')

    def members(self, call, known):
        """The document's members."""
        return {'RoleArn': call.role, 'AccessKeyId': known.key,
                'SecretAccessKey': known.secret, 'Token': known.token,
                'Expiration': iso(known.expires, UTC),
                'AccountId': known.account}

    def render(self, call, value):
        """One line of JSON."""
        return dump(value)

    def headers(self, call):
        """The headers of JSON."""
        return [('Date', http_date(int(call.request.now))),
                ('Content-Type', 'application/json')]

    def error(self, request, error):
        """An object of JSON, as the agent of ECS has it."""
        return [('Date', http_date(int(request.now))),
                ('Content-Type', 'application/json')], dump(
                    {'code': error.code, 'message': error.members['message'],
                     'HTTPErrorCode': error.status})


STATUS_CODES = {400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden',
                404: 'Not Found', 405: 'Method Not Allowed',
                429: 'Too Many Requests', 500: 'Internal Server Error',
                503: 'Service Unavailable'}


def status_error(status):
    """A refusal that says no more than its status."""
    text = STATUS_CODES.get(status, 'Unknown')
    return ServiceError(status, text, text)


class Sts(Source):
    """STS: AssumeRole and AssumeRoleWithWebIdentity, over TLS."""

    name = 'sts'
    token_member = 'SessionToken'
    throttled = 400, 'Throttling'
    VERSION = '2011-06-15'
    NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'
    ACTIONS = ('AssumeRole', 'AssumeRoleWithWebIdentity')
    FORM = re.compile(r'application/x-www-form-urlencoded'
                      r'(?:\s*;\s*charset=utf-8)?', re.I)
    CODES = {'MissingAuthenticationTokenException':
             'MissingAuthenticationToken',
             'IncompleteSignatureException': 'IncompleteSignature',
             'InvalidSignatureException': 'SignatureDoesNotMatch',
             'UnrecognizedClientException': 'InvalidClientTokenId',
             'ExpiredTokenException': 'ExpiredToken'}
    ROLES = {ROLE: {'trust': ['*']},
             f'arn:aws:iam::{ACCOUNT}:role/web': {'trust': ['web_identity']},
             f'arn:aws:iam::{ACCOUNT}:role/external':
             {'trust': ['*'], 'external_id': 'external+id'},
             f'arn:aws:iam::{ACCOUNT}:role/long':
             {'trust': ['*'], 'max_duration': 43200},
             f'arn:aws:iam::{OTHER_ACCOUNT}:role/app': {'trust': ['*']}}
    SETTINGS = {**Source.SETTINGS, 'roles': (ROLES, (dict,)),
                'region': (None, TEXT_OR_NONE),
                'web_identity': (None, TEXT_OR_NONE),
                'web_identity_file': (None, TEXT_OR_NONE)}

    def __init__(self, world, names):
        super().__init__(world)
        self.hosts = {**sts_hosts(), **dict.fromkeys(names)}
        session = botocore.session.Session()
        self.model = session.get_service_model('sts')
        self.regions = session.get_available_regions('sts')

    def check(self, changes):
        """The trust policies can be read."""
        for arn, role in changes.get('roles', {}).items():
            role_setting(arn)

            if (not isinstance(role, dict)
                    or set(role) - {'trust', 'external_id', 'max_duration'}
                    or not isinstance(role.get('trust'), list)):
                raise ValueError('a role has trust (a list), and may have '
                                 'external_id and max_duration')

    def verify(self, request, port, details):
        """Everything that AWS checks, in about its order."""
        host_region = self._host_region(request, port)
        action, form = self._operation(request)
        details['action'] = action

        if action == 'AssumeRole':
            caller = self._authenticate(request, host_region, details)
        else:
            caller = None
            refuse_signature(request)

        shape = self.model.operation_model(action).input_shape
        members = validate_form(shape, form)

        if caller is None:
            self._check_web_identity(request, members)
            self._authorize_web_identity(members)
        else:
            self._authorize(caller, members)

        return Call(request, action, members['RoleArn'],
                    members['RoleSessionName'],
                    members.get('DurationSeconds'))

    def _host_region(self, request, port):
        host = request.get('host')
        name = host[:-len(f':{port}')] if host.endswith(f':{port}') else host

        if name not in self.hosts:
            raise ServiceError(403, 'Forbidden', 'Forbidden')

        return self.hosts[name] or self.settings['region']

    def _operation(self, request):
        """The action, and the other parameters."""
        if request.method != 'POST':
            raise ServiceError(302, 'Found', 'Read about IAM',
                               location='https://aws.amazon.com/iam')

        if request.target != '/':
            raise status_error(404)

        if not self.FORM.fullmatch(request.get('content-type') or ''):
            raise ServiceError(400, 'MissingAction',
                               'The request is missing an Action')

        form = parse_form(request.body)
        action, version = form.pop('Action', ''), form.pop('Version', '')

        if not action:
            raise ServiceError(400, 'MissingAction',
                               'The request is missing an Action')

        if action not in self.ACTIONS or version != self.VERSION:
            raise ServiceError(
                400, 'InvalidAction', f'Could not find operation {action} for '
                f'version {version or "NO_VERSION_SPECIFIED"}')

        return action, form

    def _authenticate(self, request, host_region, details):
        """The credential that signed; STS's own error codes."""
        try:
            auth = sigv4.parse_authorization(request)
            details.update(access_key=auth.access_key, region=auth.region)
            sigv4.check_headers(request, auth, need_content_type=True)
            date = sigv4.check_date(request, auth, request.now)
            sigv4.check_scope(auth, host_region, self.regions, 'sts')
            known = self.world.vault.known.get(auth.access_key)

            if known is None:
                raise sigv4.unrecognized()

            sigv4.check_session_token(request, known)
            sigv4.check_signature(request, auth, known, date)
        except ServiceError as error:
            raise ServiceError(
                error.status, self.CODES.get(error.code, error.code),
                error.members['message']) from None

        return known

    def _authorize(self, caller, members):
        """The role's trust policy, and how long it may be used."""
        arn = members['RoleArn']
        role = self.settings['roles'].get(arn)
        trust = role['trust'] if role else []
        wanted = role and role.get('external_id')

        if (not {'*', caller.source, caller.arn} & set(trust)
                or wanted not in (None, members.get('ExternalId'))
                or 'TokenCode' in members):
            raise ServiceError(
                403, 'AccessDenied', f'User: {caller.arn} is not authorized '
                f'to perform: sts:AssumeRole on resource: {arn}')

        check_duration(members, role, caller.token is not None)

    def _authorize_web_identity(self, members):
        role = self.settings['roles'].get(members['RoleArn'])

        if not role or not {'*', 'web_identity'} & set(role['trust']):
            raise ServiceError(403, 'AccessDenied', 'Not authorized to '
                               'perform sts:AssumeRoleWithWebIdentity')

        check_duration(members, role, False)

    def _check_web_identity(self, request, members):
        """The token is a JWT of now, and the one that is configured."""
        token = members['WebIdentityToken']

        try:
            claims = jwt_claims(token)
        except (ValueError, binascii.Error):
            raise invalid_identity('The ID Token provided is not a valid '
                                   'JWT. (You may see this error if you sent '
                                   'an Access Token)') from None

        if claims['exp'] <= request.now:
            raise ServiceError(
                400, 'ExpiredTokenException', 'Token expired: current '
                f'date/time {int(request.now)} must be before the expiration '
                f'date/time {int(claims["exp"])}')

        if claims.get('aud') not in ('sts.amazonaws.com',
                                     ['sts.amazonaws.com']):
            raise invalid_identity('Incorrect token audience')

        path = self.settings['web_identity_file']
        wanted = (self.settings['web_identity'] if path is None
                  else from_file(path))

        if token != wanted:
            raise invalid_identity("Couldn't retrieve verification key from "
                                   'your identity provider,  please reference '
                                   'AssumeRoleWithWebIdentity documentation '
                                   'for requirements')

    def members(self, call, known):
        """The members of Credentials."""
        return {'AccessKeyId': known.key, 'SecretAccessKey': known.secret,
                'SessionToken': known.token,
                'Expiration': iso(known.expires, UTC)}

    def render(self, call, value):
        """JSON, if it was asked for, else XML."""
        if not wants_json(call.request):
            return self.render_xml(call, value)

        return dump({f'{call.step}Response': {
            f'{call.step}Result': {
                'AssumedRoleUser': {
                    'Arn': self._session_arn(call),
                    'AssumedRoleId': f'AROAEXAMPLEEXAMPLEABC:{call.session}'},
                'Credentials': json_time(call, value),
                'PackedPolicySize': None, 'SourceIdentity': None},
            'ResponseMetadata': {'RequestId': str(uuid.uuid4())}}})

    @staticmethod
    def _session_arn(call):
        account, name = ROLE_ARN.fullmatch(call.role).groups()
        return f'arn:aws:sts::{account}:assumed-role/{name}/{call.session}'

    def render_xml(self, call, value):
        """The answer's XML."""
        lines = '\n'.join(f'      <{name}>{escape(str(text))}</{name}>'
                          for name, text in value.items())
        identity = ('    <SubjectFromWebIdentityToken>system:serviceaccount:'
                    'default:chat</SubjectFromWebIdentityToken>\n'
                    '    <Audience>sts.amazonaws.com</Audience>\n'
                    if call.step != 'AssumeRole' else '')
        return (
            f'<{call.step}Response xmlns="{self.NAMESPACE}">\n'
            f'  <{call.step}Result>\n{identity}'
            '    <AssumedRoleUser>\n'
            f'      <AssumedRoleId>AROAEXAMPLEEXAMPLEABC:{call.session}'
            '</AssumedRoleId>\n'
            f'      <Arn>{escape(self._session_arn(call))}</Arn>\n'
            '    </AssumedRoleUser>\n'
            f'    <Credentials>\n{lines}\n    </Credentials>\n'
            f'  </{call.step}Result>\n'
            '  <ResponseMetadata>\n'
            f'    <RequestId>{uuid.uuid4()}</RequestId>\n'
            '  </ResponseMetadata>\n'
            f'</{call.step}Response>\n').encode()

    def headers(self, call):
        """The headers of JSON or XML."""
        return sts_headers(call.request, uuid.uuid4())

    def error(self, request, error):
        """An ErrorResponse, or what it is in JSON."""
        request_id = uuid.uuid4()
        kind = 'Receiver' if error.status >= 500 else 'Sender'

        if wants_json(request):
            return sts_headers(request, request_id), dump(
                {'Error': {'Code': error.code,
                           'Message': error.members['message'],
                           'Type': kind},
                 'RequestId': str(request_id)})

        return sts_headers(request, request_id), (
            f'<ErrorResponse xmlns="{self.NAMESPACE}">\n  <Error>\n'
            f'    <Type>{kind}</Type>\n    <Code>{escape(error.code)}</Code>\n'
            f'    <Message>{escape(error.members["message"])}</Message>\n'
            f'  </Error>\n  <RequestId>{request_id}</RequestId>\n'
            '</ErrorResponse>\n').encode()


def sts_hosts():
    """Host names of STS and the region each belongs to."""
    hosts = {form.format(region): region for region in REGIONS
             for form in ('sts.{}.amazonaws.com', 'sts.{}.api.aws')}
    return {'sts.amazonaws.com': 'us-east-1', **hosts,
            **dict.fromkeys(LOCAL_NAMES)}


def wants_json(request):
    """STS answers in XML unless it is asked for JSON."""
    return request.get('accept') == 'application/json'


def json_time(call, members):
    """The members of Credentials: in JSON, the time is a number, with a
    fraction or without.  A fault's own time stays as it is."""
    try:
        at = calendar.timegm(time.strptime(members['Expiration'], UTC))
    except (KeyError, TypeError, ValueError):
        return members

    return {**members,
            'Expiration': float(at) if call.step == 'AssumeRole' else at}


def sts_headers(request, request_id):
    """The headers that every answer of STS has."""
    return [('x-amzn-RequestId', request_id),
            ('Date', http_date(int(request.now))),
            ('Content-Type', 'application/json' if wants_json(request)
             else 'text/xml')]


def invalid_identity(message):
    """The refusal of a web identity token."""
    return ServiceError(400, 'InvalidIdentityToken', message)


def malformed(message):
    """The refusal of a form that is not as it should be."""
    return ServiceError(400, 'MalformedInput', message)


def refuse_signature(request):
    """A web identity is the only proof; a signature would be of others."""
    names = {name.lower() for name, _ in request.headers}

    if names & {'authorization', 'x-amz-security-token'}:
        raise ServiceError(400, 'UnexpectedAuthorization',
                           'This operation must not be signed')


def parse_form(body):
    """The parameters of a form; none twice."""
    try:
        pairs = parse_qsl(body.decode('ascii'), keep_blank_values=True,
                          strict_parsing=True, errors='strict')
    except ValueError:
        raise malformed('The body is not a form') from None

    if len(dict(pairs)) != len(pairs):
        raise malformed('A parameter is given twice')

    return dict(pairs)


def validate_form(shape, form):
    """The members, checked by the model; numbers as numbers.

    Lists and structures are not known here: no credential needs them.
    """
    failures = [constraint(name, None, 'Member must not be null')
                for name in shape.required_members if name not in form]
    members = {}

    for name, text in form.items():
        member = shape.members.get(name)

        if member is None or member.type_name not in ('string', 'integer'):
            raise malformed(f'Unexpected parameter: {name}')

        if member.type_name == 'integer' and not DECIMAL.fullmatch(text):
            raise malformed(f'{name} is no number')

        members[name] = int(text) if member.type_name == 'integer' else text
        failures += [constraint(name, text, rule)
                     for rule in broken_rules(member, members[name])]

    if failures:
        raise ServiceError(
            400, 'ValidationError', f'{len(failures)} validation '
            f'error{"s" if len(failures) > 1 else ""} detected: '
            + '; '.join(failures))

    return members


def broken_rules(shape, value):
    """The rules of the model that a value breaks."""
    is_text = isinstance(value, str)
    size, what = (len(value), 'length') if is_text else (value, 'value')
    low, high = shape.metadata.get('min'), shape.metadata.get('max')
    pattern = shape.metadata.get('pattern')

    if low is not None and size < low:
        yield f'Member must have {what} greater than or equal to {low}'

    if high is not None and size > high:
        yield f'Member must have {what} less than or equal to {high}'

    if is_text and pattern and not re.fullmatch(pattern, value, re.ASCII):
        yield f'Member must satisfy regular expression pattern: {pattern}'


def constraint(name, value, rule):
    """A broken rule in AWS's words."""
    shown = 'null' if value is None else f"'{value}'"
    return (f'Value {shown} at \'{name[0].lower()}{name[1:]}\' failed to '
            f'satisfy constraint: {rule}')


def check_duration(members, role, chained):
    """The duration is one that the role, or a chain of roles, may have."""
    duration = members.get('DurationSeconds', 0)

    if duration > role.get('max_duration', LIFETIME):
        raise ServiceError(400, 'ValidationError', 'The requested '
                           'DurationSeconds exceeds the MaxSessionDuration '
                           'set for this role.')

    if chained and duration > LIFETIME:
        raise ServiceError(400, 'ValidationError', 'The requested '
                           'DurationSeconds exceeds the 1 hour session limit '
                           'for roles assumed by role chaining.')


# Faults


FAULTS = {}
ALL = ('imds', 'container', 'sts')


class Fault:
    """A way to fail: what it takes, and where it makes sense.

    kind: 'wire' concerns any answer; 'body' those with credentials, unless a
    step is named; 'document' those only.
    """

    def __init__(self, function, kind, argument, sources):
        self.function = function
        self.kind = kind
        self.argument = argument
        self.sources = sources

    def fits(self, call, step):
        """Whether it, ordered for a step or for none, is for this call."""
        if step is None or step == 'credentials':
            return (self.kind == 'wire' and step is None
                    or call.gives_credentials)
        return step == call.step


def fault(name, kind='wire', argument=None, sources=ALL):
    """Register a fault under its name."""
    def register(function):
        FAULTS[name] = Fault(function, kind, argument, sources)
        return function
    return register


def parse_fault(text):
    """(fault, argument) of 'name' or 'name-argument'; ValueError."""
    for name in sorted(FAULTS, key=len, reverse=True):
        known = FAULTS[name]

        if text == name and known.argument is None:
            return known, None

        if text.startswith(name + '-') and known.argument is not None:
            return known, known.argument(text[len(name) + 1:])

    raise ValueError(f'there is no fault {text!r}')


def run_fault(text, source, call):
    """The reply of a fault."""
    known, argument = parse_fault(text)

    try:
        reply = known.function(Case(source, call, argument))
    except ServiceError as error:
        reply = source.refuse(call.request, error)

    reply.fault = text
    return reply


class FaultQueue:
    """Faults that the control port ordered, first come first served."""

    FIELDS = {'source', 'fault', 'count', 'after', 'every', 'step', 'role'}
    STEPS = {'imds': ('token', 'role', 'credentials'),
             'container': ('credentials',),
             'sts': ('credentials', *Sts.ACTIONS)}

    def __init__(self):
        self.orders = []

    def add(self, order):
        """Queue one order; raises ValueError when it makes no sense."""
        if not isinstance(order, dict) or set(order) - self.FIELDS:
            raise ValueError('a fault has the members '
                             + ', '.join(sorted(self.FIELDS)))

        order = {'count': 1, 'after': 0, 'every': 1, 'step': None,
                 'role': None, **order, 'seen': 0}
        known, _ = parse_fault(str(order.get('fault')))

        if order.get('source') not in known.sources:
            raise ValueError('this fault is one of '
                             + ', '.join(known.sources))

        steps = self.STEPS[order['source']]

        if order['step'] not in (None, *steps) or (
                known.kind == 'document'
                and order['step'] in ('token', 'role')):
            raise ValueError('the fault has no such step')

        if not all(type(order[name]) is int for name in ('after', 'every')
                   ) or order['every'] < 1:
            raise ValueError('after and every are numbers')

        self.orders.append(order)

    def clear(self, source=None):
        """Forget those of a source, or all."""
        self.orders = [order for order in self.orders
                       if source not in (None, order['source'])]

    def take(self, source, call):
        """The fault for a call, or None."""
        return self._take(lambda order: (
            order['source'] == source.name and order['fault'] != 'refuse'
            and order['role'] in (None, call.role)
            and parse_fault(order['fault'])[0].fits(call, order['step'])))

    def take_refusal(self, source):
        """Whether a connection is not to be served at all."""
        return self._take(lambda order: order['source'] == source.name
                          and order['fault'] == 'refuse') is not None

    def _take(self, fits):
        for order in self.orders:
            if fits(order):
                order['seen'] += 1
                turn = order['seen'] - order['after'] - 1
                if turn >= 0 and turn % order['every'] == 0:
                    return self._use(order)
        return None

    def _use(self, order):
        if order['count'] is not None:
            order['count'] -= 1
            if order['count'] <= 0:
                self.orders.remove(order)
        return order['fault']


class Case:
    """All that a fault may need; also what a good answer is made with."""

    def __init__(self, source, call, argument=None):
        self.source = source
        self.call = call
        self.argument = argument

    @property
    def is_xml(self):
        """Whether the answer is XML."""
        return (isinstance(self.source, Sts)
                and not wants_json(self.call.request))

    def body(self):
        """A good answer's body."""
        return self.render(self.source.produce(self.call))

    def render(self, value):
        """The body of a text or of members."""
        return self.source.render(self.call, value)

    def headers(self, *more):
        """All headers but those of the length."""
        return [*self.source.headers(self.call), *more]

    def answer(self, body, *more, status=200, code='ok', headers=None):
        """A complete answer."""
        headers = self.headers() if headers is None else headers
        return Reply(status, code, render_head(status, [
            *headers, *more, ('Content-Length', len(body)),
            connection_header(self.call.request)]) + body)

    def good(self):
        """The answer that was asked for."""
        return self.answer(self.body())

    def changed(self, change):
        """A good answer but for a change of its members."""
        members = self.source.produce(self.call)
        change(members)
        return self.answer(self.render(members))

    @staticmethod
    def play(*steps, status=200, code='ok'):
        """An answer that is more than one piece of bytes."""
        return Reply(status, code, steps=steps)


# Faults that the source reports


def _code_and_status(text):
    status, _, code = text.partition('-')
    return int(status), code or 'InternalFailure'


@fault('status', argument=int)
def _status(case):
    raise status_error(case.argument)


@fault('error', argument=_code_and_status)
def _error(case):
    raise ServiceError(*case.argument, 'An error by request.')


@fault('throttling')
def _throttling(case):
    raise ServiceError(*case.source.throttled, 'Rate exceeded')


@fault('idp-communication-error', sources=('sts',))
def _idp_communication_error(case):
    raise ServiceError(400, 'IDPCommunicationError',
                       'The identity provider could not be reached.')


@fault('unauthorized', 'body')
def _unauthorized(case):
    """401 although all was right; IMDS knows the token no more."""
    if isinstance(case.source, Imds):
        case.source.tokens.clear()

    raise status_error(401)


@fault('code-failed', 'document', sources=('imds',))
def _code_failed(case):
    name = case.call.role.rpartition('/')[2]
    return case.answer(case.render({
        'Code': 'AssumeRoleUnauthorizedAccess',
        'Message': 'EC2 cannot assume the role ' + name
                   + '.  Please see documentation.',
        'LastUpdated': iso(case.call.request.now, UTC)}))


# Time and silence


@fault('silence')
def _silence(case):
    return case.play(HANG, status=None, code='silence')


@fault('slow', argument=int)
def _slow(case):
    return case.play(sleep(case.argument / 1000), send(case.good().data))


@fault('pause', argument=int)
def _pause(case):
    data = case.good().data
    return case.play(send(data[:-20]), sleep(case.argument / 1000),
                     send(data[-20:]))


@fault('drip', argument=int)
def _drip(case):
    pause = sleep(case.argument / 1000)
    return case.play(*(step for byte in case.good().data
                       for step in (pause, send(bytes([byte])))))


# The connection


@fault('refuse')
def _refuse(_case):
    """Done where connections are accepted, long before there is a call."""
    raise AssertionError('not for a call')


@fault('reset')
def _reset(case):
    return case.play(RESET, status=None, code='reset')


@fault('reset-body')
def _reset_body(case):
    return case.play(send(case.good().data[:-20]), sleep(FLUSH), RESET,
                     status=None, code='reset')


@fault('close-before')
def _close_before(case):
    return case.play(CLOSE, status=None, code='closed')


@fault('truncated')
def _truncated(case):
    return case.play(send(case.good().data[:-20]), CLOSE, code='truncated')


@fault('stale', argument=int)
def _stale(case):
    return case.play(send(case.good().data), sleep(case.argument / 1000),
                     CLOSE)


@fault('stale-next')
def _stale_next(case):
    return case.play(send(case.good().data), DOOM)


@fault('http10')
def _http10(case):
    head = render_head(200, case.headers(), 'HTTP/1.0')
    return case.play(send(head + case.body()), CLOSE)


@fault('redirect')
def _redirect(case):
    """To this server's own /elsewhere, so that following it is seen."""
    scheme = 'https' if isinstance(case.source, Sts) else 'http'
    host = case.call.request.get('host')
    return case.answer(b'', ('Location', f'{scheme}://{host}/elsewhere'),
                       status=302, code='redirect')


# The form of a 200


@fault('chunked')
def _chunked(case):
    body = case.body()
    cut = len(body) // 2
    head = render_head(200, case.headers(
        ('Transfer-Encoding', 'chunked'),
        connection_header(case.call.request)))
    return Reply(200, 'ok', head + b''.join(
        b'%x\r\n%s\r\n' % (len(piece), piece)
        for piece in (body[:cut], body[cut:], b'')))


def _padded(case, size):
    """A good body with blanks after it, so many bytes in all."""
    body = case.body()
    left = max(size - len(body), 0)
    head = render_head(200, case.headers(
        ('Content-Length', len(body) + left),
        connection_header(case.call.request)))
    pieces = [send(b' ' * PIECE)] * (left // PIECE)
    return case.play(send(head + body), *pieces, send(b' ' * (left % PIECE)))


@fault('big', 'body', int)
def _big(case):
    return _padded(case, case.argument)


@fault('huge', 'body')
def _huge(case):
    return _padded(case, HUGE)


@fault('html', 'body')
def _html(case):
    return case.answer(b'<html><body>Welcome!</body></html>',
                       headers=[('Content-Type', 'text/html')])


@fault('empty', 'body')
def _empty(case):
    return case.answer(b'')


@fault('half', 'body')
def _half(case):
    body = case.body()
    return case.answer(body[:len(body) // 2])


@fault('badutf8', 'body')
def _badutf8(case):
    body = case.body()
    return case.answer(body.replace(b'ASIA', b'ASIA\xff') if
                       case.call.gives_credentials else body + b'\xff')


@fault('inject', 'body')
def _inject(case):
    """A line end in what the client will put into a header."""
    value = case.source.produce(case.call)
    tail = '\r\nX-Injected: 1'

    if isinstance(value, str):
        return case.answer(case.render(value + tail))

    for name in ('AccessKeyId', case.source.token_member):
        value[name] += tail

    return case.answer(case.render(value))


@fault('escaped', 'document')
def _escaped(case):
    """Good, with each character of the secret as an escape."""
    members = case.source.produce(case.call)
    form = '&#x{:x};' if case.is_xml else '\\u{:04x}'
    text = ''.join(form.format(ord(char))
                   for char in members['SecretAccessKey'])
    return case.answer(case.render(members).replace(
        members['SecretAccessKey'].encode(), text.encode()))


@fault('nul', 'document')
def _nul(case):
    escaped = b'&#0;' if case.is_xml else b'\\u0000'
    return case.answer(case.body().replace(b'ASIA', b'ASIA' + escaped))


@fault('duplicate', 'document')
def _duplicate(case):
    """The key stands there twice, with two values."""
    lines = case.body().replace(b',"', b',\n"').split(b'\n')
    again = [line for line in lines if b'AccessKeyId' in line][0]
    place = lines.index(again)
    lines.insert(place, again.replace(b'ASIA', b'ASIB'))
    return case.answer(b'\n'.join(lines))


@fault('xml', 'document', sources=('sts',))
def _xml(case):
    """Good, but XML although JSON was asked for."""
    return case.answer(case.source.render_xml(
        case.call, case.source.produce(case.call)))


@fault('doctype', 'document', sources=('sts',))
def _doctype(case):
    """Entities that grow without end in a careless parser."""
    entities = ''.join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">'
                       for i in range(1, 10))
    head = f'<!DOCTYPE x [<!ENTITY e0 "0123456789">{entities}]>\n'
    return case.answer(head.encode() + case.body().replace(b'ASIA',
                                                           b'ASIA&e9;'))


# The members of the document


@fault('expired', 'document')
def _expired(case):
    """Credentials whose time is over, and that the chat service refuses."""
    known = case.source.issue(case.call, lifetime=-60)
    return case.answer(case.render(case.source.members(case.call, known)))


@fault('past', 'document')
def _past(case):
    """Credentials whose Expiration has passed, and that the chat service
    accepts."""
    return case.changed(lambda members: members.update({
        'Expiration': time.strftime(UTC, time.gmtime(time.time() - 60))}))


@fault('missing', 'document', str)
def _missing(case):
    return case.changed(lambda members: members.pop(case.argument, None))


@fault('blank', 'document', str)
def _blank(case):
    return case.changed(lambda members: members.update({case.argument: ''}))


@fault('wrongtypes', 'document')
def _wrongtypes(case):
    """Numbers, truth values and lists for texts."""
    return case.changed(lambda members: members.update({
        'AccessKeyId': 1, 'SecretAccessKey': True,
        case.source.token_member: [], 'Expiration': {}}))


def _expiration(case, form):
    def change(members):
        at = time.strptime(members['Expiration'], UTC)
        members['Expiration'] = time.strftime(form, at)
    return case.changed(change)


@fault('times-milliseconds', 'document')
def _times_milliseconds(case):
    return _expiration(case, '%Y-%m-%dT%H:%M:%S.000Z')


@fault('times-offset', 'document')
def _times_offset(case):
    return _expiration(case, '%Y-%m-%dT%H:%M:%S+00:00')


@fault('times-garbage', 'document')
def _times_garbage(case):
    return _expiration(case, 'soon')


# The wire


class NoTls:
    """Stands for TLS where there is none."""

    session_reused = False

    @staticmethod
    def version():
        """None."""


class FakesJournal(Journal):
    """Connections without TLS, too; each record knows its source."""

    def connect(self, listener, sni, tls, peer_port):
        """A connection was opened."""
        return super().connect(listener, sni, tls or NoTls, peer_port)

    def add(self, connection, request=None, raw=b''):
        """Record a request before anything is decided about it."""
        record = super().add(connection, request, raw)
        record.details['source'] = connection['listener'].partition(':')[0]
        return record


class Listener:
    """A port that can refuse what comes, and can be gone for a while."""

    def __init__(self, source, name, host='127.0.0.1', port=0, context=None):
        self.source = source
        self.name = name
        self.host = host
        self.port = port
        self.context = context
        self._connections = weakref.WeakSet()
        self._tasks = set()
        self._listening = False
        self._socket = self._bind()
        self.port = self._socket.getsockname()[1]
        self.open()

    def _bind(self):
        """A socket that has the port; as long as it does not listen, the
        system refuses connections, and gives the port to nobody else."""
        family = socket.AF_INET6 if ':' in self.host else socket.AF_INET
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.host, self.port))
        sock.setblocking(False)
        return sock

    def open(self):
        """Be there."""
        if not self._listening:
            self._socket.listen(4096)
            asyncio.get_running_loop().add_reader(self._socket, self._accept)
            self._listening = True

    def close(self):
        """Be gone, with all connections."""
        if not self._listening:
            return

        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = self._bind()
        self._listening = False

        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.abort()

    @property
    def url(self):
        """Where it is."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        scheme = 'http' if self.context is None else 'https'
        return f'{scheme}://{host}:{self.port}'

    def _accept(self):
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return

        if self.source.world.queue.take_refusal(self.source):
            self.source.counters['connections_refused'] += 1
            sock.close()
            return

        sock.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock):
        """TLS, if it is to be; a client that gives up is none of ours."""
        options = ({} if self.context is None else
                   {'ssl_handshake_timeout': 30, 'ssl_shutdown_timeout': 5})
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connection, sock, ssl=self.context, **options)
        except OSError:
            self.source.counters['handshakes_failed'] += 1

    def _connection(self):
        connection = Connection(self.source, self.name)
        self._connections.add(connection)
        return connection


# The control port


class World:
    """Everything that is shared: clock, credentials, faults, sources."""

    SETTINGS = {'lifetime': NUMBER_OR_NONE, 'clock_offset': NUMBER,
                'token_length': (int,)}

    def __init__(self, service_control=None, names=(), keep=10000):
        self.lifetime = None
        self.clock_offset = 0
        self.token_length = 900
        self.vault = Vault(service_control)
        self.queue = FaultQueue()
        self.journal = FakesJournal(keep)
        self.sources = {source.name: source for source in
                        (Imds(self), Container(self), Sts(self, names))}
        self.listeners = []
        self.vault.known[DEFAULT_KEY] = Known(DEFAULT_KEY, DEFAULT_SECRET,
                                              ACCOUNT)

    def now(self):
        """The fakes' own clock."""
        return time.time() + self.clock_offset

    def configure(self, changes):
        """Change settings; ValueError when there is none of that name."""
        lists = {'credentials', 'expire_credentials'}

        if not isinstance(changes, dict) or set(changes) - {
                *self.SETTINGS, *self.sources, *lists}:
            raise ValueError('the settings are ' + ', '.join(sorted(
                {*self.SETTINGS, *self.sources, *lists})))

        for name in self.SETTINGS.keys() & changes.keys():
            if type(changes[name]) not in self.SETTINGS[name]:
                raise ValueError(f'{name} cannot be {changes[name]!r}')
            setattr(self, name, changes[name])

        for name in self.sources.keys() & changes.keys():
            self.sources[name].configure(changes[name])

        for fields in changes.get('credentials', []):
            self.vault.add(Known.from_dict(fields, ACCOUNT))

        for key in changes.get('expire_credentials', []):
            self.vault.expire(key)

        self._open_or_close()

    def _open_or_close(self):
        for listener in self.listeners:
            if listener.source.settings['down']:
                listener.close()
            else:
                listener.open()

    def settings(self):
        """What is in force."""
        return {**{name: getattr(self, name) for name in self.SETTINGS},
                **{name: source.settings
                   for name, source in self.sources.items()}}


class Control:
    """What each path and method does; a pair of status and value."""

    FILTERS = {'id', 'source', 'step', 'action', 'role', 'access_key',
               'status', 'code', 'fault', 'connection'}

    def __init__(self, world):
        self.world = world
        self.routes = {
            ('GET', '/requests'): self.requests,
            ('DELETE', '/requests'): self.forget,
            ('GET', '/connections'): self.connections,
            ('GET', '/counters'): self.counters,
            ('GET', '/issued'): self.issued,
            ('GET', '/faults'): self.list_faults,
            ('POST', '/faults'): self.add_faults,
            ('DELETE', '/faults'): self.clear_faults,
            ('GET', '/config'): self.config,
            ('PUT', '/config'): self.configure,
        }

    def handle(self, request):
        """Answer a request; mistakes are explained."""
        parts = urlsplit(request.target)
        route = self.routes.get((request.method, parts.path))

        if route is None:
            return 404, {'error': 'no such path or method'}

        try:
            body = json.loads(request.body) if request.body else None
            return route(dict(parse_qsl(parts.query)), body)
        except (ValueError, TypeError, ServiceError) as error:
            return 400, {'error': str(error)}

    def requests(self, query, _body):
        """The requests that fit all filters."""
        limit = int(query.pop('limit', 0))
        unknown = set(query) - self.FILTERS

        if unknown:
            raise ValueError('no such filter: ' + ', '.join(sorted(unknown)))

        return 200, self.world.journal.requests(query, limit)

    def forget(self, _query, _body):
        """Start again: requests, counters, and what was issued."""
        self.world.journal.forget()
        self.world.vault.issued.clear()

        for source in self.world.sources.values():
            source.counters.clear()

        return 204, None

    def connections(self, _query, _body):
        """Counters and connections."""
        return 200, self.world.journal.connections()

    def counters(self, _query, _body):
        """How often what was asked for, by source."""
        return 200, {name: source.counters
                     for name, source in self.world.sources.items()}

    def issued(self, _query, _body):
        """The credentials handed out, oldest first, secrets and all."""
        return 200, [known.as_dict() for known in self.world.vault.issued]

    def list_faults(self, _query, _body):
        """What is queued."""
        return 200, self.world.queue.orders

    def add_faults(self, _query, body):
        """Queue a fault, or a list of them."""
        for order in body if isinstance(body, list) else [body]:
            self.world.queue.add(order)
        return 204, None

    def clear_faults(self, query, _body):
        """Forget what is queued, for one source or for all."""
        self.world.queue.clear(query.get('source'))
        return 204, None

    def config(self, _query, _body):
        """The settings in force."""
        return 200, self.world.settings()

    def configure(self, query, body):
        """Change settings while running."""
        self.world.configure(body)
        return self.config(query, None)


# The process


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Start the fakes of AWS\'s credential sources; '
                    'docs/local-service.md describes them.')
    add = parser.add_argument
    add('--dir', required=True, type=pathlib.Path,
        help='state directory: fakes.json, the CA of STS; may be that of '
             'the IVS Chat service, whose CA is then used')
    add('--imds-port', type=int, default=0, help='0: any')
    add('--container-port', type=int, default=0, help='0: any')
    add('--sts-port', type=int, default=0, help='TLS (0: any)')
    add('--control-port', type=int, default=0, help='0: any')
    add('--service-control', metavar='URL',
        help='control port of the IVS Chat service, which is told of every '
             'credential')
    add('--ipv6', action='store_true',
        help='IMDS and the container endpoint on [::1], too')
    add('--bad-tls', action='store_true',
        help='three more ports of STS with bad certificates')
    add('--san', action='append', default=[], metavar='NAME',
        help='one more host name of STS (repeatable)')
    add('--keep', default=10000, type=int, metavar='N',
        help='how many requests and connections are remembered')
    add('--parent', type=int, metavar='PID',
        help='exit when this process is gone')
    return parser.parse_args()


def open_listeners(world, options):
    """Every listener of the sources: {name in fakes.json: Listener}."""
    imds, container, sts = world.sources.values()
    names = sorted(sts.hosts)
    authority = tls.Authority(options.dir.resolve())
    bad = tls.bad_contexts(authority, names) if options.bad_tls else {}
    found = {
        'imds': Listener(imds, 'imds', port=options.imds_port),
        'container': Listener(container, 'container',
                              port=options.container_port),
        'sts': Listener(sts, 'sts', port=options.sts_port,
                        context=authority.issue('sts', names)),
    }

    if options.ipv6:
        found['imds6'] = Listener(imds, 'imds:6', '::1')
        found['container6'] = Listener(container, 'container:6', '::1')

    found.update((name, Listener(sts, 'sts:' + name, context=context))
                 for name, context in bad.items())
    return found, str(authority.certificate), list(bad)


async def main():
    """Run until told to stop."""
    options = parse_arguments()
    options.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = options.dir / 'fakes.json'
    path.unlink(missing_ok=True)
    allow_many_connections()

    world = World(options.service_control, options.san, options.keep)
    listeners, ca, bad = open_listeners(world, options)
    world.listeners = list(listeners.values())
    control = Control(world)
    server = await asyncio.get_running_loop().create_server(
        lambda: ControlConnection(control), '127.0.0.1',
        options.control_port)
    port = server.sockets[0].getsockname()[1]

    write_atomically(path, {
        'pid': os.getpid(), 'control': f'http://127.0.0.1:{port}',
        'sts_ca': ca, 'bad_tls': {name: listeners[name].port for name in bad},
        **{name: listener.url for name, listener in listeners.items()
           if name not in bad}})
    print(f'fakes are ready: {path}', flush=True)

    await wait_for_end(options.parent)
    path.unlink(missing_ok=True)
    server.close()

    for listener in world.listeners:
        listener.close()


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
