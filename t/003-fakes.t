#!/usr/bin/python3
"""The fakes of AWS's credential sources do what docs/local-service.md says.

AWS's own client gets credentials from each and mints with them; what AWS
would refuse is refused; each fault does what its name says.
"""

import functools
import http.client
import json
import os
import pathlib
import socket
import ssl
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from urllib.parse import urlencode, urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleProvider, AssumeRoleWithWebIdentityProvider, ContainerProvider,
    InstanceMetadataProvider)
from botocore.exceptions import ClientError
from botocore.utils import InstanceMetadataFetcher

import aws_fakes
import ivschat_testlib as lib

TOKEN_PATH = '/latest/api/token'
TTL = 'X-aws-ec2-metadata-token-ttl-seconds'
TOKEN = 'X-aws-ec2-metadata-token'
LISTING = '/latest/meta-data/iam/security-credentials/'
DOCUMENT = LISTING + 'app'
TASK = '/v2/credentials/' + aws_fakes.TASK_ID
AUTHORIZED = {'Authorization': aws_fakes.AUTHORIZATION}
FORM = 'application/x-www-form-urlencoded'
STS_HOST = 'sts.us-west-2.amazonaws.com'
ROLE, ACCOUNT = aws_fakes.ROLE, aws_fakes.ACCOUNT
ASSUME = {'Action': 'AssumeRole', 'Version': '2011-06-15', 'RoleArn': ROLE,
          'RoleSessionName': 'test'}
NAMESPACE = '{https://sts.amazonaws.com/doc/2011-06-15/}'
QUICK = Config(retries={'max_attempts': 0})

tap = lib.Tap()


def role(name, account=ACCOUNT):
    """A role's ARN."""
    return f'arn:aws:iam::{account}:role/{name}'


# Clients


def fetch(url, method='GET', path='/', headers=None, timeout=10):
    """(status, headers, body) of one request over plain HTTP.

    Only what is given is sent, and Host.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc,
                                            timeout=timeout)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            for one in value if isinstance(value, list) else [value]:
                connection.putheader(name, one)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def imds_token(fakes, ttl=21600):
    """A token of the metadata service."""
    status, _, body = fetch(fakes.imds, 'PUT', TOKEN_PATH,
                            {TTL: str(ttl), 'Content-Length': '0'})
    if status != 200:
        raise RuntimeError(f'no token: {status}')
    return body.decode()


def imds_get(fakes, path=DOCUMENT, **options):
    """A GET with a fresh token."""
    return fetch(fakes.imds, 'GET', path, {TOKEN: imds_token(fakes)},
                 **options)


def container_get(fakes, path='/v1/credentials', headers=None, **options):
    """A GET with the right Authorization."""
    return fetch(fakes.container, 'GET', path, headers or AUTHORIZED,
                 **options)


def sts_request(form, host=STS_HOST, content_type=FORM, method='POST',
                target='/', extra=(), **options):
    """A signed request of STS: bytes."""
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    headers = lib.sign(body, host, [('Content-Type', content_type)],
                       service=options.pop('service', 'sts'), method=method,
                       target=target, **options)
    return lib.render(body, [*headers, *extra], method, target)


def unsigned(form, extra=(), **options):
    """A request without a signature: bytes."""
    return lib.render(urlencode(form).encode(),
                      [('Host', STS_HOST), ('Content-Type', FORM), *extra],
                      target='/', **options)


def web_identity(token, **changes):
    """The form of AssumeRoleWithWebIdentity."""
    return {**ASSUME, 'Action': 'AssumeRoleWithWebIdentity',
            'RoleArn': role('web'), 'WebIdentityToken': token, **changes}


def sts_once(fakes, data=None, **options):
    """One request on its own connection."""
    with fakes.connect(**options) as sock:
        return lib.exchange(sock, data or sts_request(ASSUME))


def xml_code(body):
    """The code of an ErrorResponse, which must be AWS's in every element."""
    root = ElementTree.fromstring(body)
    error = root.find(NAMESPACE + 'Error')

    if (root.tag != NAMESPACE + 'ErrorResponse' or error is None
            or [child.tag for child in root]
            != [NAMESPACE + 'Error', NAMESPACE + 'RequestId']
            or [child.tag for child in error] != [
                NAMESPACE + name for name in ('Type', 'Code', 'Message')]):
        return None

    return error.find(NAMESPACE + 'Code').text


def xml_credentials(body, action='AssumeRole'):
    """(key, secret, token, expiration) of an answer of STS."""
    found = ElementTree.fromstring(body).find(
        f'{NAMESPACE}{action}Result/{NAMESPACE}Credentials')
    return tuple(found.find(NAMESPACE + name).text for name in (
        'AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration'))


def document(body):
    """(key, secret, token) of a JSON document."""
    members = json.loads(body)
    return (members['AccessKeyId'], members['SecretAccessKey'],
            members['Token'])


def client(name, endpoint, verify, credentials=(lib.KEY, lib.SECRET, None),
           config=QUICK):
    """AWS's own client, pointed at a local service."""
    session = botocore.session.Session()
    session.set_credentials(*credentials)
    return session.create_client(name, region_name=lib.REGION,
                                 verify=verify, endpoint_url=endpoint,
                                 config=config)


def sts_client(fakes, **options):
    """AWS's client for STS."""
    return client('sts', fakes.sts, fakes.sts_ca, **options)


def mint(service, credentials, account=ACCOUNT):
    """'ok', or the error's code, of CreateChatToken."""
    chat = client('ivschat', f'https://127.0.0.1:{service.port}', service.ca,
                  tuple(credentials)[:3])
    try:
        chat.create_chat_token(roomIdentifier=lib.room(account=account),
                               userId='alice')
    except ClientError as error:
        return error.response['Error']['Code']
    return 'ok'


def client_error(call, **arguments):
    """(status, code) that AWS's client reports."""
    try:
        call(**arguments)
    except ClientError as error:
        return (error.response['ResponseMetadata']['HTTPStatusCode'],
                error.response['Error']['Code'])
    return None


# AWS's own code gets credentials, and they are good


def test_container(service, fakes):
    """ContainerProvider."""
    provider = ContainerProvider({
        'AWS_CONTAINER_CREDENTIALS_FULL_URI':
        fakes.container + '/v1/credentials',
        'AWS_CONTAINER_AUTHORIZATION_TOKEN': aws_fakes.AUTHORIZATION})
    frozen = provider.load().get_frozen_credentials()
    tap.equal(mint(service, frozen), 'ok', 'botocore: container')
    tap.equal(container_get(fakes, TASK)[0], 200, 'the path of ECS')

    path = service.dir / 'pod-token'
    fakes.config(container={'authorization_file': str(path)})
    statuses = []

    for written, sent in (('one', 'one'), ('two', 'two'), ('three\n', 'two'),
                          ('three\n', 'three')):
        path.write_text(written, 'utf-8')
        statuses.append(container_get(fakes,
                                      headers={'Authorization': sent})[0])

    tap.equal(statuses, [200, 200, 403, 200],
              'the Authorization of a file is read each time')
    fakes.config(container={'authorization_file': None})


def test_imds(service, fakes):
    """InstanceMetadataProvider."""
    fetcher = InstanceMetadataFetcher(base_url=fakes.imds + '/', env={})
    credentials = InstanceMetadataProvider(fetcher).load()
    tap.equal(mint(service, credentials.get_frozen_credentials()), 'ok',
              'botocore: imds')
    methods = [(record['method'], record['step'])
               for record in fakes.requests(source='imds')]
    tap.equal(methods, [('PUT', 'token'), ('GET', 'role'),
                        ('GET', 'credentials')], 'the three steps of IMDSv2')


def profiles():
    """A configuration whose profile "app" is a role."""
    return {'profiles': {
        'app': {'role_arn': role('external'), 'source_profile': 'base',
                'external_id': 'external+id'},
        'base': {'aws_access_key_id': lib.KEY,
                 'aws_secret_access_key': lib.SECRET},
        'default': {'role_arn': role('web')}}}


def test_assume_role(service, fakes):
    """AssumeRoleProvider, and the client itself."""
    session = botocore.session.Session()
    create = functools.partial(
        session.create_client, region_name=lib.REGION,
        endpoint_url=fakes.sts, verify=fakes.sts_ca)
    provider = AssumeRoleProvider(profiles, create, {}, 'app')
    credentials = provider.load()
    tap.equal(mint(service, credentials.get_frozen_credentials()), 'ok',
              'botocore: assume_role of a profile')

    answer = sts_client(fakes).assume_role(
        RoleArn=ROLE, RoleSessionName='one', DurationSeconds=900)
    found = answer['Credentials']
    life = found['Expiration'].timestamp() - time.time()
    tap.equal((answer['AssumedRoleUser']['Arn'], 895 < life <= 900),
              (f'arn:aws:sts::{ACCOUNT}:assumed-role/app/one', True),
              'botocore: assume_role, and its duration')

    chained = sts_client(fakes, credentials=(
        found['AccessKeyId'], found['SecretAccessKey'],
        found['SessionToken'])).assume_role(
            RoleArn=role('app', aws_fakes.OTHER_ACCOUNT),
            RoleSessionName='two')['Credentials']
    chained = (chained['AccessKeyId'], chained['SecretAccessKey'],
               chained['SessionToken'])
    tap.equal((mint(service, chained, aws_fakes.OTHER_ACCOUNT),
               mint(service, chained)), ('ok', 'AccessDeniedException'),
              'a role of another account, assumed by a role')


def test_web_identity(service, fakes):
    """AssumeRoleWithWebIdentity with a file that changes."""
    path = service.dir / 'web-identity'
    fakes.config(sts={'web_identity_file': str(path)})
    old, new = (aws_fakes.make_jwt(time.time() + 600) for _ in range(2))
    path.write_text(old, 'utf-8')

    session = botocore.session.Session()
    create = functools.partial(
        session.create_client, region_name=lib.REGION,
        endpoint_url=fakes.sts, verify=fakes.sts_ca)
    os.environ.update(AWS_ROLE_ARN=role('web'),
                      AWS_WEB_IDENTITY_TOKEN_FILE=str(path))
    provider = AssumeRoleWithWebIdentityProvider(profiles, create, 'default',
                                                 {})
    credentials = provider.load().get_frozen_credentials()
    del os.environ['AWS_ROLE_ARN'], os.environ['AWS_WEB_IDENTITY_TOKEN_FILE']
    tap.equal(mint(service, credentials), 'ok', 'botocore: web identity')

    call = sts_client(fakes, config=Config(
        signature_version=UNSIGNED, retries={'max_attempts': 0})
    ).assume_role_with_web_identity
    arguments = {'RoleArn': role('web'), 'RoleSessionName': 'web'}
    path.write_text(new, 'utf-8')
    tap.equal((client_error(call, **arguments, WebIdentityToken=old),
               client_error(call, **arguments, WebIdentityToken=new)),
              ((400, 'InvalidIdentityToken'), None),
              'the token of a file is read each time')
    fakes.config(sts={'web_identity_file': None, 'web_identity': new})


def test_credentials(service, fakes):
    """What is handed out: fresh, odd characters, and it expires."""
    fakes.forget()
    found = [document(imds_get(fakes)[2]) for _ in range(20)]
    tap.ok(len({key for key, _, _ in found}) == 20 and all(
        key.startswith('ASIA') and len(key) == 20 and len(secret) == 40
        and '/' in secret and '+' in secret and len(token) == 900
        for key, secret, token in found), 'credentials are fresh, and have '
           'the odd characters', found[0])
    issued = fakes.issued()
    tap.equal([(known['key'], known['secret'], known['token'])
               for known in issued], found, 'GET /issued has all of it')

    fakes.config(lifetime=20, token_length=4000)
    short = document(container_get(fakes)[2])
    fakes.config(lifetime=40, token_length=900)
    longer = document(container_get(fakes)[2])
    results = []

    for offset in (0, 25, 45):
        service.config(clock_offset=offset)
        results.append((mint(service, short), mint(service, longer)))

    service.config(clock_offset=0)
    expired = 'ExpiredTokenException'
    tap.equal((len(short[2]), results),
              (4000, [('ok', 'ok'), (expired, 'ok'), (expired, expired)]),
              'each is good until its own time is over')
    tap.ok(all(known['expires'] is None or known['expires'] > 1e9
               for known in service.config()['credentials']),
           'the service tells when they expire')
    tap.equal(service.control('PUT', '/config', {'credentials': [
        {'key': 'a', 'secret': 'b', 'expires': 'soon'}]})[0], 400,
              'the service refuses a time that is none')
    fakes.config(lifetime=None)
    test_expire(service, fakes)


def test_expire(service, fakes):
    """Expiry by order, the sources' own lifetimes, added credentials."""
    known = document(container_get(fakes)[2])
    fakes.config(expire_credentials=[known[0]])
    refusal = sts_once(fakes, sts_request(ASSUME, key=known[0],
                                          secret=known[1], token=known[2]))
    tap.equal((mint(service, known), refusal.status, xml_code(refusal.body)),
              ('ExpiredTokenException', 403, 'ExpiredToken'),
              'a credential that is told to expire')

    fakes.config(imds={'lifetime': 60})
    imds_get(fakes)
    container_get(fakes)
    lives = [round(known['expires'] - time.time(), -1)
             for known in fakes.issued()[-2:]]
    fakes.config(imds={'lifetime': None})
    tap.equal(lives, [60, 3600], 'a lifetime of one source')

    fakes.config(credentials=[{'key': 'AKIDMORE', 'secret': 'more',
                               'arn': 'arn:aws:iam::123456789012:user/m'}])
    answer = sts_once(fakes, sts_request(ASSUME, key='AKIDMORE',
                                         secret='more'))
    tap.equal((answer.status, mint(service, ('AKIDMORE', 'more', None))),
              (200, 'ok'), 'a credential is added, here and there')


def test_answers(fakes):
    """The answers' forms, to the header."""
    status, headers, body = fetch(fakes.imds, 'PUT', TOKEN_PATH,
                                  {TTL: '60', 'Content-Length': '0'})
    tap.equal((status, headers[TTL], headers['Server'],
               headers['Content-Type'], body.strip() == body),
              (200, '60', 'EC2ws', 'text/plain', True), 'imds: the token')
    tap.equal(imds_get(fakes, LISTING)[2], b'app', 'imds: the role')
    members = json.loads(imds_get(fakes)[2])
    tap.equal((list(members), members['Code']),
              (['Code', 'LastUpdated', 'Type', 'AccessKeyId',
                'SecretAccessKey', 'Token', 'Expiration'], 'Success'),
              'imds: the document')

    answer = sts_once(fakes)
    root = ElementTree.fromstring(answer.body)
    tap.equal((root.tag, [child.tag for child in root],
               answer.get('Content-Type'),
               root.find(f'{NAMESPACE}ResponseMetadata/{NAMESPACE}RequestId')
               is not None),
              (NAMESPACE + 'AssumeRoleResponse',
               [NAMESPACE + 'AssumeRoleResult',
                NAMESPACE + 'ResponseMetadata'], 'text/xml', True),
              'sts: the answer')

    test_json_answers(fakes)

    for host, region in ((STS_HOST, 'us-west-2'), ('localhost', 'eu-west-1'),
                         ('sts.amazonaws.com', 'us-east-1'),
                         (f'127.0.0.1:{fakes.port}', 'us-west-2'),
                         ('sts.eu-west-1.api.aws', 'eu-west-1')):
        answer = sts_once(fakes, sts_request(ASSUME, host=host,
                                             region=region),
                          server_hostname=host.partition(':')[0])
        tap.equal(answer.status, 200, f'sts: by the name {host}')


def test_json_answers(fakes):
    """STS answers in JSON when that is asked for."""
    wanted = [('Accept', 'application/json')]
    token = fakes.config()['sts']['web_identity']

    for data, action, kind in (
            (sts_request(ASSUME, extra=wanted), 'AssumeRole', float),
            (unsigned(web_identity(token), wanted),
             'AssumeRoleWithWebIdentity', int)):
        answer = sts_once(fakes, data)
        found = json.loads(answer.body)[f'{action}Response'][
            f'{action}Result']['Credentials']
        tap.equal((answer.get('Content-Type'), sorted(found),
                   type(found['Expiration'])),
                  ('application/json', ['AccessKeyId', 'Expiration',
                                        'SecretAccessKey', 'SessionToken'],
                   kind), f'sts: {action} in JSON')

    refusal = sts_once(fakes, unsigned(web_identity('abcd'), wanted))
    error = json.loads(refusal.body)
    tap.equal((refusal.status, sorted(error), error['Error']['Code']),
              (400, ['Error', 'RequestId'], 'InvalidIdentityToken'),
              'sts: an error in JSON')
    answer = sts_once(fakes, sts_request(
        ASSUME, extra=[('Accept', 'application/*')]))
    tap.equal(answer.get('Content-Type'), 'text/xml',
              'sts: another Accept gets XML')
    fakes.faults('sts', 'xml')
    tap.ok(xml_credentials(sts_once(fakes, sts_request(
        ASSUME, extra=wanted)).body), 'sts: xml')


# Refusals


def test_imds_refusals(fakes):
    """What IMDSv2 does not take."""
    good = {TTL: '21600', 'Content-Length': '0'}
    puts = [
        ('no TTL', {'Content-Length': '0'}, 400),
        ('a TTL of 0', {**good, TTL: '0'}, 400),
        ('a TTL of 21601', {**good, TTL: '21601'}, 400),
        ('a TTL that is no number', {**good, TTL: '6h'}, 400),
        ('a negative TTL', {**good, TTL: '-1'}, 400),
        ('two TTLs', {**good, TTL: ['60', '60']}, 400),
        ('no Content-Length', {TTL: '60'}, 400),
        ('X-Forwarded-For', {**good, 'X-Forwarded-For': '10.0.0.1'}, 403),
    ]
    for name, headers, status in puts:
        tap.equal(fetch(fakes.imds, 'PUT', TOKEN_PATH, headers)[0], status,
                  f'imds refuses: {name}')

    token = imds_token(fakes)
    old = imds_token(fakes, 30)
    fakes.config(clock_offset=31)
    tap.equal(fetch(fakes.imds, path=LISTING, headers={TOKEN: old})[0], 401,
              'imds refuses: a token after its time')
    fakes.config(clock_offset=0)

    gets = [
        ('GET for a token', 'GET', TOKEN_PATH, {}, 405),
        ('POST for a token', 'POST', TOKEN_PATH, good, 405),
        ('version 1', 'GET', LISTING, {}, 401),
        ('version 1 for the document', 'GET', DOCUMENT, {}, 401),
        ('an empty token', 'GET', DOCUMENT, {TOKEN: ''}, 401),
        ('an unknown token', 'GET', DOCUMENT, {TOKEN: 'AQAAAA=='}, 401),
        ('two tokens', 'GET', DOCUMENT, {TOKEN: [token, token]}, 401),
        ('POST', 'POST', DOCUMENT, {TOKEN: token, 'Content-Length': '0'},
         405),
        ('no slash', 'GET', LISTING[:-1], {TOKEN: token}, 301),
        ('a slash too many', 'GET', DOCUMENT + '/', {TOKEN: token}, 404),
        ('another role', 'GET', LISTING + 'other', {TOKEN: token}, 404),
        ('a query', 'GET', DOCUMENT + '?a=b', {TOKEN: token}, 404),
        ('another path', 'GET', '/latest/elsewhere', {TOKEN: token}, 404),
    ]
    for name, method, path, headers, status in gets:
        tap.equal(fetch(fakes.imds, method, path, headers)[0], status,
                  f'imds refuses: {name}')

    fakes.config(imds={'role': None})
    tap.equal((imds_get(fakes, LISTING)[0], imds_get(fakes)[0]), (404, 404),
              'imds: no role')
    fakes.config(imds={'role': role('path/to/other')})
    tap.equal((imds_get(fakes, LISTING)[2], imds_get(fakes, LISTING
                                                     + 'other')[0]),
              (b'other', 200), 'imds: another role')
    fakes.config(imds={'role': ROLE})


def test_container_refusals(fakes):
    """What the container endpoint does not take."""
    right = aws_fakes.AUTHORIZATION
    cases = [
        ('no Authorization', 'GET', '/v1/credentials', {}, 401,
         'Unauthorized'),
        ('no Authorization for ECS', 'GET', TASK, {}, 401, 'Unauthorized'),
        ('a wrong one', 'GET', '/v1/credentials',
         {'Authorization': right + 'x'}, 403, 'AccessDeniedException'),
        ('a scheme', 'GET', '/v1/credentials',
         {'Authorization': 'Bearer ' + right}, 403, 'AccessDeniedException'),
        ('two of them', 'GET', '/v1/credentials',
         {'Authorization': [right, right]}, 403, 'AccessDeniedException'),
        ('POST', 'POST', '/v1/credentials', AUTHORIZED, 405,
         'Method Not Allowed'),
        ('another path', 'GET', '/v1/other', AUTHORIZED, 404, 'Not Found'),
        ('a slash too many', 'GET', '/v1/credentials/', AUTHORIZED, 404,
         'Not Found'),
        ('a query', 'GET', '/v1/credentials?a=b', AUTHORIZED, 404,
         'Not Found'),
        ('another task', 'GET', '/v2/credentials/0', AUTHORIZED, 400,
         'InvalidIdInRequest'),
    ]
    for name, method, path, headers, status, code in cases:
        got, _, body = fetch(fakes.container, method, path, headers)
        error = json.loads(body)
        tap.equal((got, error['code'], error['HTTPErrorCode']),
                  (status, code, status), f'container refuses: {name}')

    fakes.config(container={'authorization': None})
    tap.equal(fetch(fakes.container, path=TASK)[0], 200,
              'container: no Authorization, when none is wanted')
    fakes.config(container={'authorization': right})


def signature_cases(temporary):
    """(name, bytes, status, code): what is wrong with a signature."""
    mismatch = (403, 'SignatureDoesNotMatch')
    invalid = (403, 'InvalidClientTokenId')
    key, secret, token, _ = temporary

    return [
        ('no signature', unsigned(ASSUME), 403, 'MissingAuthenticationToken'),
        ('Basic', unsigned(ASSUME, [('Authorization', 'Basic YTpi')]),
         400, 'IncompleteSignature'),
        ('an unknown key', sts_request(ASSUME, key='AKIDUNKNOWN'), *invalid),
        ('a wrong secret', sts_request(ASSUME, secret='wrong'), *mismatch),
        ('a changed body', sts_request(ASSUME).replace(
            b'=test', b'=tesT'), *mismatch),
        ('another service', sts_request(ASSUME, service='ivschat'),
         *mismatch),
        ('a region other than the host\'s',
         sts_request(ASSUME, region='eu-west-1'), *mismatch),
        ('a region that is none', sts_request(
            ASSUME, host='localhost', region='us-west-9'), *mismatch),
        ('the global name with another region', sts_request(
            ASSUME, host='sts.amazonaws.com', region='us-west-2'), *mismatch),
        ('a date too old', sts_request(ASSUME, at=time.time() - 302),
         *mismatch),
        ('a date too new', sts_request(ASSUME, at=time.time() + 302),
         *mismatch),
        ('no session token', sts_request(ASSUME, key=key, secret=secret),
         *invalid),
        ('a wrong session token', sts_request(
            ASSUME, key=key, secret=secret, token=token[:-1]), *invalid),
        ('a needless session token', sts_request(ASSUME, token=token),
         *invalid),
        ('an unsigned session token', sts_request(
            ASSUME, key=key, secret=secret,
            extra=[('X-Amz-Security-Token', token)]), *mismatch),
    ]


def form_cases():
    """(name, bytes, status, code): what is wrong with a request."""
    def changed(**changes):
        form = {**ASSUME, **changes}
        return sts_request({name: value for name, value in form.items()
                            if value is not None})

    validation = (400, 'ValidationError')
    missing = (400, 'MissingAction')
    bad = (400, 'MalformedInput')
    denied = (403, 'AccessDenied')

    return [
        ('GET', sts_request(b'', method='GET'), 302, 'Found'),
        ('another path', sts_request(ASSUME, target='/sts'), 404,
         'Not Found'),
        ('a query', sts_request(ASSUME, target='/?a=b'), 404, 'Not Found'),
        ('another host', sts_request(ASSUME, host='example.com'), 403,
         'Forbidden'),
        ('JSON', sts_request(ASSUME, content_type='application/json'),
         *missing),
        ('no form', sts_request(b'hello'), *bad),
        ('no Action', changed(Action=None), *missing),
        ('another Action', changed(Action='GetRole'), 400, 'InvalidAction'),
        ('no Version', changed(Version=None), 400, 'InvalidAction'),
        ('another Version', changed(Version='2012-10-17'), 400,
         'InvalidAction'),
        ('an unknown parameter', changed(Colour='blue'), *bad),
        ('a web identity token', changed(WebIdentityToken='abcd'), *bad),
        ('a parameter twice', sts_request(
            list(ASSUME.items()) + [('RoleArn', ROLE)]), *bad),
        ('no RoleArn', changed(RoleArn=None), *validation),
        ('a short RoleArn', changed(RoleArn='arn:aws:iam::1:x'), *validation),
        ('no RoleSessionName', changed(RoleSessionName=None), *validation),
        ('a short RoleSessionName', changed(RoleSessionName='a'),
         *validation),
        ('a long RoleSessionName', changed(RoleSessionName='a' * 65),
         *validation),
        ('a blank in RoleSessionName', changed(RoleSessionName='a b'),
         *validation),
        ('an umlaut in RoleSessionName', changed(RoleSessionName='äöü'),
         *validation),
        ('a short ExternalId', changed(ExternalId='a'), *validation),
        ('DurationSeconds below 900', changed(DurationSeconds=899),
         *validation),
        ('DurationSeconds above 43200', changed(DurationSeconds=43201),
         *validation),
        ('DurationSeconds that are no number', changed(DurationSeconds='1h'),
         *bad),
        ('DurationSeconds above the role\'s', changed(DurationSeconds=3601),
         *validation),
        ('an unknown role', changed(RoleArn=role('unknown')), *denied),
        ('a role for others', changed(RoleArn=role('web')), *denied),
        ('no ExternalId', changed(RoleArn=role('external')), *denied),
        ('a wrong ExternalId', changed(RoleArn=role('external'),
                                       ExternalId='external-id'), *denied),
    ]


def web_identity_cases(token):
    """(name, bytes, status, code): what is wrong with a web identity."""
    def form(**changes):
        return web_identity(token, **changes)

    identity = (400, 'InvalidIdentityToken')
    later = time.time() + 60

    return [
        ('a signature', sts_request(form()), 400, 'UnexpectedAuthorization'),
        ('a session token', unsigned(form(), [('X-Amz-Security-Token', 'x')]),
         400, 'UnexpectedAuthorization'),
        ('another token', unsigned(form(
            WebIdentityToken=aws_fakes.make_jwt(later))), *identity),
        ('a token with a line end', unsigned(form(
            WebIdentityToken=token + '\n')), *identity),
        ('no JWT', unsigned(form(WebIdentityToken='abcd')), *identity),
        ('an audience of others', unsigned(form(
            WebIdentityToken=aws_fakes.make_jwt(later, aud='me'))),
         *identity),
        ('an expired token', unsigned(form(
            WebIdentityToken=aws_fakes.make_jwt(time.time() - 1))),
         400, 'ExpiredTokenException'),
        ('no token', unsigned(dict(ASSUME, Action='AssumeRoleWithWebIdentity'
                                   )), 400, 'ValidationError'),
        ('a long token', unsigned(form(WebIdentityToken='a' * 20001)),
         400, 'ValidationError'),
        ('an ExternalId', unsigned(form(ExternalId='external+id')),
         400, 'MalformedInput'),
        ('a role for others', unsigned(form(RoleArn=role('external'))),
         200, None),
        ('an unknown role', unsigned(form(RoleArn=role('unknown'))),
         403, 'AccessDenied'),
    ]


def test_sts_refusals(fakes):
    """What STS does not take."""
    token = fakes.config()['sts']['web_identity']
    temporary = xml_credentials(sts_once(fakes).body)
    cases = [*signature_cases(temporary), *form_cases(),
             *web_identity_cases(token)]

    for name, data, status, code in cases:
        answer = sts_once(fakes, data)
        got = xml_code(answer.body) if status != 200 else None
        tap.equal((answer.status, got), (status, code),
                  f'sts {"refuses" if code else "takes"}: {name}')

    key, secret, session, _ = temporary
    long = {**ASSUME, 'RoleArn': role('long'), 'DurationSeconds': 7200}
    answers = (sts_once(fakes, sts_request(long)),
               sts_once(fakes, sts_request(long, key=key, secret=secret,
                                           token=session)))
    tap.equal((answers[0].status, xml_code(answers[1].body)),
              (200, 'ValidationError'), 'sts: a chain of roles has an hour')

    fakes.config(sts={'roles': {ROLE: {'trust': ['imds']}}})
    source = document(imds_get(fakes)[2])
    answers = (sts_once(fakes), sts_once(fakes, sts_request(
        ASSUME, key=source[0], secret=source[1], token=source[2])))
    tap.equal((xml_code(answers[0].body), answers[1].status),
              ('AccessDenied', 200), 'sts: a role that trusts one source')
    fakes.config(sts={'roles': aws_fakes.Sts.ROLES})


# Faults


def once(fakes, source, **options):
    """(status, headers, body) of what gives credentials."""
    if source == 'sts':
        answer = sts_once(fakes, **options)
        return answer.status, dict(answer.headers), answer.body
    return (imds_get if source == 'imds' else container_get)(fakes, **options)


def key_of(source, body):
    """The access key of a good answer."""
    return (xml_credentials(body) if source == 'sts' else document(body))[0]


def test_error_faults(fakes):
    """Errors, by each source's own form."""
    for source, name, status in (
            ('imds', 'status-500', 500), ('imds', 'status-404', 404),
            ('imds', 'throttling', 503), ('imds', 'unauthorized', 401),
            ('container', 'status-429', 429), ('container', 'status-403', 403),
            ('container', 'error-503-CredentialsUninitialized', 503),
            ('container', 'throttling', 429), ('sts', 'status-500', 500),
            ('sts', 'throttling', 400), ('sts', 'error-403-RegionDisabled',
                                         403),
            ('sts', 'idp-communication-error', 400)):
        fakes.faults(source, name, step='credentials')
        tap.equal((once(fakes, source)[0], once(fakes, source)[0]),
                  (status, 200), f'{source}: {name}, once')

    fakes.faults('sts', 'idp-communication-error', count=2)
    tap.equal([sts_once(fakes).status for _ in range(3)], [400, 400, 200],
              'sts: idp-communication-error twice, then good')

    token = imds_token(fakes)
    fakes.faults('imds', 'unauthorized')
    paths = (LISTING, DOCUMENT, DOCUMENT)
    tap.equal([fetch(fakes.imds, path=path, headers={TOKEN: token})[0]
               for path in paths], [200, 401, 401],
              'imds: unauthorized in the middle, and the token is gone')
    tap.equal(imds_get(fakes)[0], 200, 'imds: a new token is good')

    fakes.faults('imds', 'code-failed')
    status, _, body = imds_get(fakes)
    tap.equal((status, json.loads(body)['Code']),
              (200, 'AssumeRoleUnauthorizedAccess'), 'imds: code-failed')


def is_quiet(fakes, source):
    """Whether nothing is answered for a while."""
    try:
        once(fakes, source, timeout=0.2)
    except socket.timeout:
        return True
    return False


def test_time_faults(fakes):
    """Silence, and what is slow."""
    for source in aws_fakes.ALL:
        fakes.faults(source, 'silence', step='credentials')
        tap.ok(is_quiet(fakes, source), f'{source}: silence')

        for name in ('slow-100', 'pause-100'):
            fakes.faults(source, name, step='credentials')
            start = time.monotonic()
            status, _, body = once(fakes, source)
            tap.equal((status, time.monotonic() - start > 0.1,
                       key_of(source, body)[:4]), (200, True, 'ASIA'),
                      f'{source}: {name}')

    fakes.faults('imds', 'drip-1', step='token')
    start = time.monotonic()
    imds_token(fakes)
    tap.ok(time.monotonic() - start > 0.1, 'imds: drip-1 of the token')
    fakes.faults('imds', 'silence', step='token')
    try:
        fetch(fakes.imds, 'PUT', TOKEN_PATH,
              {TTL: '60', 'Content-Length': '0'}, timeout=0.2)
        tap.ok(False, 'imds: silence of the token')
    except socket.timeout:
        tap.ok(True, 'imds: silence of the token')


def ending(fakes, source):
    """How the connection ends: 'reset', 'closed', 'incomplete' or a code."""
    try:
        return once(fakes, source)[0]
    except ConnectionResetError:
        return 'reset'
    except http.client.IncompleteRead:
        return 'incomplete'
    except (http.client.RemoteDisconnected, ssl.SSLEOFError,
            ssl.SSLZeroReturnError):
        return 'closed'


def test_connection_faults(fakes):
    """The connection's end."""
    for source in aws_fakes.ALL:
        over_tls = source == 'sts'
        for name, wanted in (
                ('reset', {'reset', 'closed'} if over_tls else {'reset'}),
                ('reset-body', {'reset', 'closed'} if over_tls
                 else {'reset'}),
                ('close-before', {'closed', 'reset'}),
                ('truncated', {'incomplete'})):
            fakes.faults(source, name, step='credentials')
            got = ending(fakes, source)
            tap.ok(got in wanted, f'{source}: {name}', got)

        fakes.faults(source, 'refuse')
        got = ending(fakes, source)
        tap.ok(got in ('closed', 'reset'), f'{source}: refuse', got)

        fakes.faults(source, 'redirect', step='credentials')
        status, headers, _ = once(fakes, source)
        tap.equal((status, headers['Location'].endswith('/elsewhere')),
                  (302, True), f'{source}: redirect')

        fakes.faults(source, 'http10', step='credentials')
        status, _, body = once(fakes, source)
        tap.equal((status, key_of(source, body)[:4]), (200, 'ASIA'),
                  f'{source}: http10')

    test_stale(fakes)
    test_down(fakes)


def test_stale(fakes):
    """Connections that are kept alive, and closed all the same."""
    address = ('127.0.0.1', urlsplit(fakes.container).port)
    data = lib.render(b'', [('Host', 'localhost'), *AUTHORIZED.items()],
                      'GET', '/v1/credentials')

    def seen(*faults):
        fakes.faults('container', *faults)
        with socket.create_connection(address, 5) as sock:
            first = lib.exchange(sock, data)
            start = time.monotonic()
            if faults == ('stale-100',):
                return (first.get('Connection'), sock.recv(1),
                        time.monotonic() - start > 0.09)
            try:
                return first.status, lib.exchange(sock, data).status
            except ConnectionResetError:
                return first.status, 'reset'

    tap.equal(seen(), (200, 200), 'a connection is kept alive')
    tap.equal(seen('stale-100'), ('keep-alive', b'', True),
              'stale: FIN on an idle connection')
    tap.equal(seen('stale-next'), (200, 'reset'), 'stale-next')


def test_down(fakes):
    """A port that nobody listens on, and then again."""
    for source in aws_fakes.ALL:
        fakes.config(**{source: {'down': True}})
        try:
            once(fakes, source)
            tap.ok(False, f'{source}: down')
        except ConnectionRefusedError:
            fakes.config(**{source: {'down': False}})
            tap.equal(once(fakes, source)[0], 200,
                      f'{source}: down, and up again')


def is_garbage(source, body):
    """Whether a body cannot be read at all."""
    try:
        if source == 'sts':
            xml_credentials(body)
        else:
            json.loads(body)
    except (ValueError, AttributeError, ElementTree.ParseError):
        return True
    return False


def test_body_faults(fakes):
    """Bodies that are none."""
    for source in aws_fakes.ALL:
        for name in ('html', 'empty', 'half', 'badutf8'):
            fakes.faults(source, name)
            status, _, body = once(fakes, source)
            tap.ok(status == 200 and is_garbage(source, body),
                   f'{source}: {name}', body[:100])

        fakes.faults(source, 'chunked', step='credentials')
        status, headers, body = once(fakes, source)
        tap.equal((headers['Transfer-Encoding'], key_of(source, body)[:4]),
                  ('chunked', 'ASIA'), f'{source}: chunked')

        for name, size in (('big-65536', 65536), ('huge', aws_fakes.HUGE)):
            fakes.faults(source, name)
            body = once(fakes, source)[2]
            tap.equal((len(body), key_of(source, body)[:4]), (size, 'ASIA'),
                      f'{source}: {name}')

    fakes.faults('imds', 'html', step='token')
    tap.ok(imds_token(fakes).startswith('<html>'), 'imds: html for a token')
    fakes.faults('imds', 'empty', step='role')
    tap.equal(imds_get(fakes, LISTING)[2], b'', 'imds: empty for a role')
    fakes.faults('imds', 'inject', step='role')
    tap.equal(imds_get(fakes, LISTING)[2], b'app\r\nX-Injected: 1',
              'imds: inject for a role')


def members_of(source, body):
    """The members of an answer, a text or a type each."""
    if source != 'sts':
        return json.loads(body)
    found = ElementTree.fromstring(body).iter()
    return {element.tag[len(NAMESPACE):]: element.text for element in found}


def test_document_faults(service, fakes):
    """Documents that are not as they should be."""
    for source, token in (('imds', 'Token'), ('container', 'Token'),
                          ('sts', 'SessionToken')):
        def seen(name, source=source):
            fakes.faults(source, name)
            return members_of(source, once(fakes, source)[2])

        members = seen('expired')
        at = time.strptime(members['Expiration'], aws_fakes.UTC)
        tap.equal((at < time.gmtime(), mint(service, (
            members['AccessKeyId'], members['SecretAccessKey'],
            members[token]))), (True, 'ExpiredTokenException'),
                  f'{source}: expired')
        tap.ok(token not in seen('missing-' + token),
               f'{source}: missing-{token}')
        tap.ok(not seen('blank-' + token)[token], f'{source}: blank-{token}')
        key = seen('wrongtypes')['AccessKeyId']
        tap.equal(key, '1' if source == 'sts' else 1, f'{source}: wrongtypes')
        tap.ok('\nX-Injected' in seen('inject')['AccessKeyId'],
               f'{source}: inject')
        tap.equal([seen('times-' + name)['Expiration'][19:] for name in
                   ('milliseconds', 'offset', 'garbage')],
                  ['.000Z', '+00:00', ''], f'{source}: times')
        members = seen('escaped')
        tap.equal(mint(service, (members['AccessKeyId'],
                                 members['SecretAccessKey'],
                                 members[token])), 'ok', f'{source}: escaped')
        fakes.faults(source, 'duplicate', 'nul')
        body = once(fakes, source)[2]
        tap.ok(body.count(b'"AccessKeyId"') == 2
               or body.count(b'<AccessKeyId>') == 2, f'{source}: duplicate')
        tap.equal(key_of(source, body)[:3], 'ASI',
                  f'{source}: a duplicate can be parsed')
        body = once(fakes, source)[2]
        tap.ok(b'\\u0000' in body or b'&#0;' in body, f'{source}: nul')

    fakes.faults('sts', 'doctype')
    tap.ok(b'<!ENTITY e9' in sts_once(fakes).body, 'sts: doctype')


def test_queue(fakes):
    """How faults are ordered."""
    fakes.faults('container', 'status-500', count=None, after=1, every=2)
    tap.equal([container_get(fakes)[0] for _ in range(5)],
              [200, 500, 200, 500, 200], 'for ever, after one, each second')
    fakes.faults('imds', 'status-500', step='token', count=None)
    fakes.clear_faults('container')
    tap.equal((container_get(fakes)[0],
               fakes.control('GET', '/faults')[1][0]['source']),
              (200, 'imds'), 'the faults of one source are cleared')
    fakes.clear_faults()
    fakes.faults('sts', 'throttling', role=role('long'))
    answers = [sts_once(fakes, sts_request({**ASSUME, 'RoleArn': arn})).status
               for arn in (ROLE, role('long'))]
    tap.equal(answers, [200, 400], 'the faults of one role')

    fakes.faults('container', 'status-500')
    tap.equal((fetch(fakes.container, path='/v1/credentials')[0],
               container_get(fakes)[0]), (401, 500),
              'a refused request uses up no fault')

    mistakes = [{'source': 'imds', 'fault': 'nonsense'},
                {'source': 'imds', 'fault': 'slow-x'},
                {'source': 'imds', 'fault': 'slow'},
                {'source': 'nowhere', 'fault': 'html'},
                {'source': 'imds', 'fault': 'doctype'},
                {'source': 'imds', 'fault': 'expired', 'step': 'role'},
                {'source': 'sts', 'fault': 'html', 'step': 'token'},
                {'source': 'imds', 'fault': 'html', 'every': 0},
                {'source': 'imds', 'fault': 'html', 'often': 1}]
    tap.equal([fakes.control('POST', '/faults', order)[0]
               for order in mistakes], [400] * len(mistakes),
              'orders that make no sense')


def test_control(fakes):
    """Requests, counters, settings."""
    fakes.forget()
    imds_get(fakes)
    fetch(fakes.imds, path=LISTING)
    container_get(fakes)
    fakes.faults('sts', 'throttling')
    sts_once(fakes)
    counters = fakes.counters()
    tap.equal(counters, {
        'imds': {'token': 1, 'credentials': 1, 'issued': 1, 'refused': 1},
        'container': {'credentials': 1, 'issued': 1},
        'sts': {'AssumeRole': 1, 'faults': 1}}, 'GET /counters')

    seen = fakes.requests()
    tap.equal([(record['source'], record['verdict']['status'])
               for record in seen],
              [('imds', 200), ('imds', 200), ('imds', 401),
               ('container', 200), ('sts', 400)], 'GET /requests')
    tap.ok(['Authorization', aws_fakes.AUTHORIZATION] in seen[3]['headers']
           and 'RoleSessionName=test' in seen[4]['body']
           and seen[4]['access_key'] == lib.KEY
           and seen[4]['sni'] == 'localhost',
           'headers and bodies are as they came')
    tap.equal([len(fakes.requests(source='imds')),
               len(fakes.requests(status='401')),
               len(fakes.requests(action='AssumeRole', limit=5))],
              [3, 1, 1], 'filters')
    fakes.forget()
    tap.equal((fakes.requests(), fakes.issued(), fakes.counters()['imds']),
              ([], [], {}), 'DELETE /requests')

    mistakes = [[], {'lifetim': 20}, {'lifetime': '20'}, {'lifetime': True},
                {'imds': {'rol': 'x'}}, {'imds': {'role': 'app'}},
                {'container': {'role': None}}, {'sts': {'roles': {ROLE: {}}}},
                {'sts': {'roles': {'app': {'trust': []}}}},
                {'expire_credentials': ['AKIDNOBODY']},
                {'credentials': [{'key': 'a'}]}]
    tap.equal([fakes.control('PUT', '/config', value)[0]
               for value in mistakes], [400] * len(mistakes),
              'settings that make no sense')
    tap.equal(fakes.control('GET', '/nothing')[0], 404, 'an unknown path')


# The process


def test_tls(fakes):
    """Certificates, good and bad."""
    reasons = {'unknown_ca': 'unable to get local issuer',
               'wrong_name': 'Hostname mismatch',
               'expired': 'certificate has expired'}

    for name, reason in reasons.items():
        try:
            fakes.connect(port=fakes.bad_tls[name]).close()
            tap.ok(False, f'sts: a certificate that is bad: {name}')
        except ssl.SSLCertVerificationError as error:
            tap.ok(reason in str(error),
                   f'sts: a certificate that is bad: {name}', error)

    with fakes.connect(server_hostname='sts.example.test') as sock:
        tap.ok(sock.version(), 'sts: --san')


def test_alone():
    """Without an IVS Chat service, and on IPv6."""
    with tempfile.TemporaryDirectory() as directory:
        with aws_fakes.Fakes(dir=directory, args=['--ipv6']) as fakes:
            tap.equal(container_get(fakes)[0], 200, 'without a service')
            urls = json.loads((pathlib.Path(directory)
                               / 'fakes.json').read_text('utf-8'))
            tap.equal(set(urls), {'pid', 'imds', 'container', 'sts', 'sts_ca',
                                  'control', 'bad_tls', 'imds6',
                                  'container6'}, 'fakes.json')
            status = fetch(urls['imds6'], 'PUT', TOKEN_PATH,
                           {TTL: '60', 'Content-Length': '0'})[0]
            tap.equal(status, 200, 'imds on [::1]')
            fakes.faults('imds', 'silence')
            waiting = socket.create_connection(
                ('127.0.0.1', urlsplit(fakes.imds).port))
            waiting.sendall(b'PUT ' + TOKEN_PATH.encode()
                            + b' HTTP/1.1\r\nHost: a\r\n'
                            + TTL.encode() + b': 60\r\n'
                            b'Content-Length: 0\r\n\r\n')

        tap.equal((fakes.exit_status, os.path.exists(fakes.dir
                                                     / 'fakes.json')),
                  (0, False), 'SIGTERM ends the fakes at once')
        waiting.close()


def main():
    """Run everything against one IVS Chat service."""
    for name in [name for name in os.environ
                 if name.startswith('AWS_') or name.lower().endswith('_proxy')
                 ]:
        del os.environ[name]

    with lib.Service(args=['--rate', 'off']) as service:
        with aws_fakes.Fakes(service, args=[
                '--bad-tls', '--san', 'sts.example.test']) as fakes:
            tap.equal(fakes.sts_ca, service.ca, 'one CA for both')
            test_container(service, fakes)
            test_imds(service, fakes)
            test_assume_role(service, fakes)
            test_web_identity(service, fakes)
            test_credentials(service, fakes)
            test_answers(fakes)
            test_imds_refusals(fakes)
            test_container_refusals(fakes)
            test_sts_refusals(fakes)
            test_error_faults(fakes)
            test_time_faults(fakes)
            test_connection_faults(fakes)
            test_body_faults(fakes)
            test_document_faults(service, fakes)
            test_queue(fakes)
            test_control(fakes)
            test_tls(fakes)

    test_alone()
    tap.done()


if __name__ == '__main__':
    main()
