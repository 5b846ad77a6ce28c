"""The fakes of AWS's credential sources do what docs/local-service.md says.

AWS's own client gets credentials from each and mints with them; what AWS
would refuse is refused; each fault does what its name says.
"""

import contextlib
import functools
import http.client
import json
import os
import socket
import ssl
import time
import xml.etree.ElementTree as ElementTree
from urllib.parse import urlencode, urlsplit

import botocore.session
import pytest
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
PUT = {TTL: '60', 'Content-Length': '0'}
QUICK = Config(retries={'max_attempts': 0})

each_source = pytest.mark.parametrize('source', aws_fakes.ALL)


@pytest.fixture(scope='module', autouse=True)
def environment():
    """AWS's client finds nothing in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith('AWS_') or name.lower().endswith('_proxy'):
                patch.delenv(name)
        yield


@pytest.fixture(scope='module')
def all_fakes(service):
    """The fakes for all tests."""
    with lib.Fakes(service, args=['--bad-tls', '--san',
                                  'sts.example.test']) as fakes:
        fakes.config(sts={'web_identity':
                          aws_fakes.make_jwt(time.time() + 600)})
        yield fakes


@pytest.fixture
def fakes(service, all_fakes):
    """Each test finds them as the first one does."""
    before = all_fakes.config()
    all_fakes.forget()
    yield all_fakes
    all_fakes.clear_faults()
    all_fakes.config(**{name: before[name] for name in (
        'clock_offset', 'lifetime', 'token_length', *aws_fakes.ALL)})
    service.config(clock_offset=0)


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
                            {**PUT, TTL: str(ttl)})
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


# AWS's own code gets credentials, and they are good


def test_container(service, fakes):
    """ContainerProvider; the path of ECS; one CA for all."""
    provider = ContainerProvider({
        'AWS_CONTAINER_CREDENTIALS_FULL_URI':
        fakes.container + '/v1/credentials',
        'AWS_CONTAINER_AUTHORIZATION_TOKEN': aws_fakes.AUTHORIZATION})

    assert mint(service, provider.load().get_frozen_credentials()) == 'ok'
    assert container_get(fakes, TASK)[0] == 200
    assert fakes.sts_ca == service.ca


def test_authorization_file(fakes, tmp_path):
    """The Authorization of a file is read each time."""
    path = tmp_path / 'pod-token'
    fakes.config(container={'authorization_file': str(path)})

    for written, sent, status in (
            ('one', 'one', 200), ('two', 'two', 200),
            ('three\n', 'two', 403), ('three\n', 'three', 200)):
        path.write_text(written, 'utf-8')
        assert container_get(fakes, headers={
            'Authorization': sent})[0] == status


def test_imds(service, fakes):
    """InstanceMetadataProvider takes the three steps of IMDSv2."""
    fetcher = InstanceMetadataFetcher(base_url=fakes.imds + '/', env={})
    credentials = InstanceMetadataProvider(fetcher).load()

    assert mint(service, credentials.get_frozen_credentials()) == 'ok'
    assert [(record['method'], record['step'])
            for record in fakes.requests(source='imds')] == [
        ('PUT', 'token'), ('GET', 'role'), ('GET', 'credentials')]


def profiles():
    """A configuration whose profile "app" is a role."""
    return {'profiles': {
        'app': {'role_arn': role('external'), 'source_profile': 'base',
                'external_id': 'external+id'},
        'base': {'aws_access_key_id': lib.KEY,
                 'aws_secret_access_key': lib.SECRET},
        'default': {'role_arn': role('web')}}}


def sts_creator(fakes):
    """Makes the client that a provider uses."""
    return functools.partial(
        botocore.session.Session().create_client, region_name=lib.REGION,
        endpoint_url=fakes.sts, verify=fakes.sts_ca)


def test_profile_role(service, fakes):
    """AssumeRoleProvider, for a role of a profile."""
    provider = AssumeRoleProvider(profiles, sts_creator(fakes), {}, 'app')
    assert mint(service, provider.load().get_frozen_credentials()) == 'ok'


def assumed(answer):
    """(key, secret, token) of an answer of AWS's client."""
    found = answer['Credentials']
    return (found['AccessKeyId'], found['SecretAccessKey'],
            found['SessionToken'])


def test_assume_role(service, fakes):
    """AWS's client assumes a role, and with it one of another account."""
    answer = sts_client(fakes).assume_role(
        RoleArn=ROLE, RoleSessionName='one', DurationSeconds=900)
    life = answer['Credentials']['Expiration'].timestamp() - time.time()
    assert answer['AssumedRoleUser']['Arn'] == (
        f'arn:aws:sts::{ACCOUNT}:assumed-role/app/one')
    assert 895 < life <= 900

    chained = assumed(sts_client(fakes, credentials=assumed(
        answer)).assume_role(RoleArn=role('app', aws_fakes.OTHER_ACCOUNT),
                             RoleSessionName='two'))
    assert mint(service, chained, aws_fakes.OTHER_ACCOUNT) == 'ok'
    assert mint(service, chained) == 'AccessDeniedException'


def test_web_identity(service, fakes, tmp_path, monkeypatch):
    """AssumeRoleWithWebIdentity; the token of a file is read each time."""
    path = tmp_path / 'web-identity'
    fakes.config(sts={'web_identity_file': str(path)})
    old, new = (aws_fakes.make_jwt(time.time() + 600) for _ in range(2))
    path.write_text(old, 'utf-8')

    monkeypatch.setenv('AWS_ROLE_ARN', role('web'))
    monkeypatch.setenv('AWS_WEB_IDENTITY_TOKEN_FILE', str(path))
    credentials = AssumeRoleWithWebIdentityProvider(
        profiles, sts_creator(fakes), 'default',
        {}).load().get_frozen_credentials()
    assert mint(service, credentials) == 'ok'

    call = functools.partial(
        sts_client(fakes, config=Config(
            signature_version=UNSIGNED, retries={'max_attempts': 0})
        ).assume_role_with_web_identity,
        RoleArn=role('web'), RoleSessionName='web')
    path.write_text(new, 'utf-8')
    with pytest.raises(ClientError) as caught:
        call(WebIdentityToken=old)
    refusal = caught.value.response
    assert (refusal['ResponseMetadata']['HTTPStatusCode'],
            refusal['Error']['Code']) == (400, 'InvalidIdentityToken')
    assert call(WebIdentityToken=new)


# What is handed out


def test_credentials(fakes):
    """Credentials are fresh, and have the odd characters."""
    found = [document(imds_get(fakes)[2]) for _ in range(20)]

    assert len({key for key, _, _ in found}) == 20
    for key, secret, token in found:
        assert key.startswith('ASIA') and len(key) == 20
        assert len(secret) == 40 and '/' in secret and '+' in secret
        assert len(token) == 900
    assert [(known['key'], known['secret'], known['token'])
            for known in fakes.issued()] == found


def test_lifetime(service, fakes):
    """Each credential is good until its own time is over."""
    fakes.config(lifetime=20, token_length=4000)
    short = document(container_get(fakes)[2])
    fakes.config(lifetime=40, token_length=900)
    longer = document(container_get(fakes)[2])
    assert len(short[2]) == 4000

    expired = 'ExpiredTokenException'
    for offset, results in ((0, ('ok', 'ok')), (25, (expired, 'ok')),
                            (45, (expired, expired))):
        service.config(clock_offset=offset)
        assert (mint(service, short), mint(service, longer)) == results


def test_times_at_the_service(service, fakes):
    """The service tells when credentials expire, and refuses what is none."""
    container_get(fakes)
    assert all(known['expires'] is None or known['expires'] > 1e9
               for known in service.config()['credentials'])
    assert service.control('PUT', '/config', {'credentials': [
        {'key': 'a', 'secret': 'b', 'expires': 'soon'}]})[0] == 400


def test_expire(service, fakes):
    """A credential that is told to expire is good nowhere."""
    key, secret, token = known = document(container_get(fakes)[2])
    fakes.config(expire_credentials=[key])
    refusal = sts_once(fakes, sts_request(ASSUME, key=key, secret=secret,
                                          token=token))

    assert mint(service, known) == 'ExpiredTokenException'
    assert (refusal.status, xml_code(refusal.body)) == (403, 'ExpiredToken')


def test_lifetime_of_a_source(fakes):
    """A source may have a lifetime of its own."""
    fakes.config(imds={'lifetime': 60})
    imds_get(fakes)
    container_get(fakes)
    assert [round(known['expires'] - time.time(), -1)
            for known in fakes.issued()] == [60, 3600]


def test_add_credentials(service, fakes):
    """A credential is added, here and there."""
    fakes.config(credentials=[{'key': 'AKIDMORE', 'secret': 'more',
                               'arn': 'arn:aws:iam::123456789012:user/m'}])
    assert sts_once(fakes, sts_request(ASSUME, key='AKIDMORE',
                                       secret='more')).status == 200
    assert mint(service, ('AKIDMORE', 'more', None)) == 'ok'


def test_imds_answers(fakes):
    """The answers of IMDS, to the header."""
    status, headers, body = fetch(fakes.imds, 'PUT', TOKEN_PATH, PUT)
    assert (status, headers[TTL], headers['Server'], headers['Content-Type'],
            body) == (200, '60', 'EC2ws', 'text/plain', body.strip())
    assert imds_get(fakes, LISTING)[2] == b'app'

    members = json.loads(imds_get(fakes)[2])
    assert list(members) == ['Code', 'LastUpdated', 'Type', 'AccessKeyId',
                             'SecretAccessKey', 'Token', 'Expiration']
    assert members['Code'] == 'Success'


@pytest.mark.parametrize('form, action, kind', [
    (ASSUME, 'AssumeRole', float),
    (None, 'AssumeRoleWithWebIdentity', int)])
def test_sts_json(fakes, form, action, kind):
    wanted = [('Accept', 'application/json')]
    data = (sts_request(form, extra=wanted) if form else unsigned(
        web_identity(fakes.config()['sts']['web_identity']), wanted))
    answer = sts_once(fakes, data)
    assert answer.get('Content-Type') == 'application/json'
    found = json.loads(answer.body)[f'{action}Response'][f'{action}Result']
    assert sorted(found['Credentials']) == [
        'AccessKeyId', 'Expiration', 'SecretAccessKey', 'SessionToken']
    assert isinstance(found['Credentials']['Expiration'], kind)


def test_sts_json_error(fakes):
    answer = sts_once(fakes, unsigned(web_identity('abcd'),
                                      [('Accept', 'application/json')]))
    error = json.loads(answer.body)
    assert (answer.status, sorted(error), error['Error']['Code']) == (
        400, ['Error', 'RequestId'], 'InvalidIdentityToken')


def test_sts_xml(fakes):
    answer = sts_once(fakes, sts_request(
        ASSUME, extra=[('Accept', 'application/*')]))
    assert answer.get('Content-Type') == 'text/xml'
    fakes.faults('sts', 'xml')
    assert xml_credentials(sts_once(fakes, sts_request(
        ASSUME, extra=[('Accept', 'application/json')])).body)


def test_sts_answer(fakes):
    """The answer of STS."""
    answer = sts_once(fakes)
    root = ElementTree.fromstring(answer.body)

    assert root.tag == NAMESPACE + 'AssumeRoleResponse'
    assert [child.tag for child in root] == [
        NAMESPACE + 'AssumeRoleResult', NAMESPACE + 'ResponseMetadata']
    assert answer.get('Content-Type') == 'text/xml'
    assert root.find(f'{NAMESPACE}ResponseMetadata/'
                     f'{NAMESPACE}RequestId') is not None


JSON = [('Accept', 'application/json')]


@pytest.mark.parametrize('action, kind', [
    ('AssumeRole', float), ('AssumeRoleWithWebIdentity', int)])
def test_sts_answer_in_json(fakes, action, kind):
    """JSON, when exactly that is asked for."""
    if action == 'AssumeRole':
        data = sts_request(ASSUME, extra=JSON)
    else:
        data = unsigned(web_identity(fakes.config()['sts']['web_identity']),
                        JSON)
    answer = sts_once(fakes, data)
    found = json.loads(answer.body)[f'{action}Response'][
        f'{action}Result']['Credentials']

    assert answer.get('Content-Type') == 'application/json'
    assert sorted(found) == ['AccessKeyId', 'Expiration', 'SecretAccessKey',
                             'SessionToken']
    assert isinstance(found['Expiration'], kind)


def test_sts_error_in_json(fakes):
    refusal = sts_once(fakes, unsigned(web_identity('abcd'), JSON))
    error = json.loads(refusal.body)

    assert refusal.status == 400
    assert sorted(error) == ['Error', 'RequestId']
    assert error['Error']['Code'] == 'InvalidIdentityToken'


def test_sts_answers_another_accept_in_xml(fakes):
    answer = sts_once(fakes, sts_request(
        ASSUME, extra=[('Accept', 'application/*')]))

    assert answer.get('Content-Type') == 'text/xml'


def test_sts_fault_xml(fakes):
    fakes.faults('sts', 'xml')

    assert xml_credentials(
        sts_once(fakes, sts_request(ASSUME, extra=JSON)).body)


@pytest.mark.parametrize('host, region', [
    (STS_HOST, 'us-west-2'), ('localhost', 'eu-west-1'),
    ('sts.amazonaws.com', 'us-east-1'), ('127.0.0.1:PORT', 'us-west-2'),
    ('sts.eu-west-1.api.aws', 'eu-west-1')])
def test_sts_names(fakes, host, region):
    """STS by its names."""
    host = host.replace('PORT', str(fakes.port))
    assert sts_once(
        fakes, sts_request(ASSUME, host=host, region=region),
        server_hostname=host.partition(':')[0]).status == 200


# Refusals


def imds_put_refusals():
    """(name, headers, status) of what is no request for a token."""
    return [
        ('no TTL', {'Content-Length': '0'}, 400),
        ('a TTL of 0', {**PUT, TTL: '0'}, 400),
        ('a TTL of 21601', {**PUT, TTL: '21601'}, 400),
        ('a TTL that is no number', {**PUT, TTL: '6h'}, 400),
        ('a negative TTL', {**PUT, TTL: '-1'}, 400),
        ('two TTLs', {**PUT, TTL: ['60', '60']}, 400),
        ('no Content-Length', {TTL: '60'}, 400),
        ('X-Forwarded-For', {**PUT, 'X-Forwarded-For': '10.0.0.1'}, 403),
    ]


@pytest.mark.parametrize(**lib.cases(imds_put_refusals))
def test_imds_refuses_put(fakes, case):
    """What IMDSv2 does not take when a token is asked for."""
    headers, status = case()
    assert fetch(fakes.imds, 'PUT', TOKEN_PATH, headers)[0] == status


def imds_refusals(token):
    """(name, method, path, headers, status) of what IMDSv2 does not take."""
    return [
        ('GET for a token', 'GET', TOKEN_PATH, {}, 405),
        ('POST for a token', 'POST', TOKEN_PATH, PUT, 405),
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


@pytest.mark.parametrize(**lib.cases(imds_refusals, ''))
def test_imds_refuses(fakes, case):
    """Only a GET with a token, and of what there is, is answered."""
    method, path, headers, status = case(imds_token(fakes))
    assert fetch(fakes.imds, method, path, headers)[0] == status


def test_imds_token_expires(fakes):
    """A token of IMDS is good for its time."""
    old = imds_token(fakes, 30)
    fakes.config(clock_offset=31)
    assert fetch(fakes.imds, path=LISTING, headers={TOKEN: old})[0] == 401


def test_imds_role(fakes):
    """An instance without a role, and with another one."""
    fakes.config(imds={'role': None})
    assert (imds_get(fakes, LISTING)[0], imds_get(fakes)[0]) == (404, 404)
    fakes.config(imds={'role': role('path/to/other')})
    assert imds_get(fakes, LISTING)[2] == b'other'
    assert imds_get(fakes, LISTING + 'other')[0] == 200


def container_refusals():
    """(name, method, path, headers, status, code) of the same."""
    right = aws_fakes.AUTHORIZATION

    return [
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


@pytest.mark.parametrize(**lib.cases(container_refusals))
def test_container_refuses(fakes, case):
    """What the container endpoint does not take."""
    method, path, headers, status, code = case()
    got, _, body = fetch(fakes.container, method, path, headers)
    error = json.loads(body)
    assert (got, error['code'], error['HTTPErrorCode']) == (
        status, code, status)


def test_container_without_authorization(fakes):
    """Where no Authorization is wanted, none is needed."""
    fakes.config(container={'authorization': None})
    assert fetch(fakes.container, path=TASK)[0] == 200


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


def sts_cases(temporary, token):
    """All of them."""
    return [*signature_cases(temporary), *form_cases(),
            *web_identity_cases(token)]


@pytest.fixture(scope='module')
def temporary(all_fakes):
    """Credentials of a role."""
    return xml_credentials(sts_once(all_fakes).body)


@pytest.mark.parametrize(**lib.cases(sts_cases, [''] * 4, ''))
def test_sts_refuses(fakes, temporary, case):
    """What STS does not take, and what it takes where the code is None."""
    data, status, code = case(temporary,
                              fakes.config()['sts']['web_identity'])
    answer = sts_once(fakes, data)
    assert answer.status == status, answer.body
    assert status == 200 or xml_code(answer.body) == code


def test_chain_of_roles(fakes, temporary):
    """A chain of roles has an hour."""
    key, secret, token, _ = temporary
    long = {**ASSUME, 'RoleArn': role('long'), 'DurationSeconds': 7200}
    chained = sts_once(fakes, sts_request(long, key=key, secret=secret,
                                          token=token))

    assert sts_once(fakes, sts_request(long)).status == 200
    assert xml_code(chained.body) == 'ValidationError'


def test_trust(fakes):
    """A role may trust one source only."""
    fakes.config(sts={'roles': {ROLE: {'trust': ['imds']}}})
    key, secret, token = document(imds_get(fakes)[2])

    assert xml_code(sts_once(fakes).body) == 'AccessDenied'
    assert sts_once(fakes, sts_request(
        ASSUME, key=key, secret=secret, token=token)).status == 200


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


def faulty(fakes, source, name, **order):
    """(status, headers, body) of one answer with a fault."""
    fakes.faults(source, name, **order)
    return once(fakes, source)


@pytest.mark.parametrize('source, name, status', [
    ('imds', 'status-500', 500), ('imds', 'status-404', 404),
    ('imds', 'throttling', 503), ('imds', 'unauthorized', 401),
    ('container', 'status-429', 429), ('container', 'status-403', 403),
    ('container', 'error-503-CredentialsUninitialized', 503),
    ('container', 'throttling', 429), ('sts', 'status-500', 500),
    ('sts', 'throttling', 400), ('sts', 'error-403-RegionDisabled', 403),
    ('sts', 'idp-communication-error', 400)])
def test_error_fault(fakes, source, name, status):
    """Errors, by each source's own form, once."""
    assert faulty(fakes, source, name, step='credentials')[0] == status
    assert once(fakes, source)[0] == 200


def test_twice(fakes):
    """An error comes twice, then a good answer."""
    fakes.faults('sts', 'idp-communication-error', count=2)
    assert [sts_once(fakes).status for _ in range(3)] == [400, 400, 200]


def test_imds_unauthorized(fakes):
    """A token is gone in the middle; a new one is good."""
    token = imds_token(fakes)
    fakes.faults('imds', 'unauthorized')

    assert [fetch(fakes.imds, path=path, headers={TOKEN: token})[0]
            for path in (LISTING, DOCUMENT, DOCUMENT)] == [200, 401, 401]
    assert imds_get(fakes)[0] == 200


def test_imds_code_failed(fakes):
    """A document that says that it has none."""
    status, _, body = faulty(fakes, 'imds', 'code-failed')
    assert status == 200
    assert json.loads(body)['Code'] == 'AssumeRoleUnauthorizedAccess'


@each_source
def test_silence(fakes, source):
    """Nothing is answered for a while."""
    fakes.faults(source, 'silence', step='credentials')
    with pytest.raises(socket.timeout):
        once(fakes, source, timeout=0.2)


@each_source
@pytest.mark.parametrize('name', ['slow-100', 'pause-100'])
def test_slow(fakes, source, name):
    """An answer that is slow, and good."""
    start = time.monotonic()
    status, _, body = faulty(fakes, source, name, step='credentials')
    assert time.monotonic() - start > 0.1
    assert (status, key_of(source, body)[:4]) == (200, 'ASIA')


def ending(fakes, source):
    """How the connection ends: 'reset', 'closed' or 'incomplete'."""
    try:
        return once(fakes, source)[0]
    except ConnectionResetError:
        return 'reset'
    except http.client.IncompleteRead:
        return 'incomplete'
    except (http.client.RemoteDisconnected, ssl.SSLEOFError,
            ssl.SSLZeroReturnError):
        return 'closed'


@each_source
@pytest.mark.parametrize('name, ends', [
    ('reset', {'reset'}), ('reset-body', {'reset'}),
    ('close-before', {'closed', 'reset'}), ('truncated', {'incomplete'}),
    ('refuse', {'closed', 'reset'})])
def test_connection_fault(fakes, source, name, ends):
    """The connection's end.  Over TLS, a reset may look like one."""
    fakes.faults(source, name, step=None if name == 'refuse'
                 else 'credentials')
    if source == 'sts' and ends == {'reset'}:
        ends = {'reset', 'closed'}
    assert ending(fakes, source) in ends


@each_source
def test_redirect(fakes, source):
    """A redirection to elsewhere."""
    status, headers, _ = faulty(fakes, source, 'redirect', step='credentials')
    assert status == 302 and headers['Location'].endswith('/elsewhere')


@each_source
def test_http10(fakes, source):
    """HTTP/1.0."""
    status, _, body = faulty(fakes, source, 'http10', step='credentials')
    assert (status, key_of(source, body)[:4]) == (200, 'ASIA')


@contextlib.contextmanager
def kept_alive(fakes):
    """A connection to the container endpoint, and how to ask by it."""
    data = lib.render(b'', [('Host', 'localhost'), *AUTHORIZED.items()],
                      'GET', '/v1/credentials')
    with socket.create_connection(
            ('127.0.0.1', urlsplit(fakes.container).port), 5) as sock:
        yield sock, lambda: lib.exchange(sock, data)


def test_keepalive(fakes):
    """A connection is kept alive."""
    with kept_alive(fakes) as (_, ask):
        assert (ask().status, ask().status) == (200, 200)


def test_stale(fakes):
    """A FIN on an idle connection."""
    fakes.faults('container', 'stale-100')
    with kept_alive(fakes) as (sock, ask):
        assert ask().get('Connection') == 'keep-alive'
        start = time.monotonic()
        assert sock.recv(1) == b''
        assert time.monotonic() - start > 0.09


def test_stale_next(fakes):
    """A reset when the next request comes."""
    fakes.faults('container', 'stale-next')
    with kept_alive(fakes) as (_, ask):
        assert ask().status == 200
        with pytest.raises(ConnectionResetError):
            ask()


@each_source
def test_down(fakes, source):
    """A port that nobody listens on, and then again."""
    fakes.config(**{source: {'down': True}})
    with pytest.raises(ConnectionRefusedError):
        once(fakes, source)
    fakes.config(**{source: {'down': False}})
    assert once(fakes, source)[0] == 200


@each_source
@pytest.mark.parametrize('name', ['html', 'empty', 'half', 'badutf8'])
def test_body_fault(fakes, source, name):
    """Bodies that cannot be read at all."""
    status, _, body = faulty(fakes, source, name)
    assert status == 200
    with pytest.raises((ValueError, AttributeError, ElementTree.ParseError)):
        key_of(source, body)


@each_source
def test_chunked(fakes, source):
    """Chunks."""
    _, headers, body = faulty(fakes, source, 'chunked', step='credentials')
    assert headers['Transfer-Encoding'] == 'chunked'
    assert key_of(source, body)[:4] == 'ASIA'


@each_source
@pytest.mark.parametrize('name, size', [('big-65536', 65536),
                                        ('huge', aws_fakes.HUGE)])
def test_size(fakes, source, name, size):
    """Bodies that are large."""
    body = faulty(fakes, source, name)[2]
    assert len(body) == size
    assert key_of(source, body)[:4] == 'ASIA'


def test_faults_of_imds(fakes):
    """Faults of the steps before the document."""
    fakes.faults('imds', 'drip-1', 'silence', 'html', step='token')
    start = time.monotonic()
    imds_token(fakes)
    assert time.monotonic() - start > 0.1
    with pytest.raises(socket.timeout):
        fetch(fakes.imds, 'PUT', TOKEN_PATH, PUT, timeout=0.2)
    assert imds_token(fakes).startswith('<html>')
    fakes.faults('imds', 'empty', step='role')
    assert imds_get(fakes, LISTING)[2] == b''
    fakes.faults('imds', 'inject', step='role')
    assert imds_get(fakes, LISTING)[2] == b'app\r\nX-Injected: 1'


def members_of(source, body):
    """The members of an answer, a text or a type each."""
    if source != 'sts':
        return json.loads(body)
    found = ElementTree.fromstring(body).iter()
    return {element.tag[len(NAMESPACE):]: element.text for element in found}


def minted(service, members):
    """What becomes of CreateChatToken with them."""
    token = members.get('SessionToken') or members['Token']
    return mint(service, (members['AccessKeyId'], members['SecretAccessKey'],
                          token))


@each_source
def test_document_fault(service, fakes, source):
    """Documents that are not as they should be."""
    token = 'SessionToken' if source == 'sts' else 'Token'

    def seen(name):
        return members_of(source, faulty(fakes, source, name)[2])

    members = seen('expired')
    assert time.strptime(members['Expiration'],
                         aws_fakes.UTC) < time.gmtime()
    assert minted(service, members) == 'ExpiredTokenException'
    assert token not in seen('missing-' + token)
    assert not seen('blank-' + token)[token]
    assert seen('wrongtypes')['AccessKeyId'] == ('1' if source == 'sts'
                                                 else 1)
    assert '\nX-Injected' in seen('inject')['AccessKeyId']
    assert [seen('times-' + name)['Expiration'][19:] for name in (
        'milliseconds', 'offset', 'garbage')] == ['.000Z', '+00:00', '']
    assert minted(service, seen('escaped')) == 'ok'

    body = faulty(fakes, source, 'duplicate')[2]
    assert 2 in (body.count(b'"AccessKeyId"'), body.count(b'<AccessKeyId>'))
    assert key_of(source, body)[:3] == 'ASI'
    body = faulty(fakes, source, 'nul')[2]
    assert b'\\u0000' in body or b'&#0;' in body


def test_doctype(fakes):
    """XML with a document type."""
    assert b'<!ENTITY e9' in faulty(fakes, 'sts', 'doctype')[2]


# The control port


def test_queue(fakes):
    """For ever, after one, each second; and one source's are cleared."""
    fakes.faults('container', 'status-500', count=None, after=1, every=2)
    assert [container_get(fakes)[0] for _ in range(5)] == [
        200, 500, 200, 500, 200]
    fakes.faults('imds', 'status-500', step='token', count=None)
    fakes.clear_faults('container')
    assert container_get(fakes)[0] == 200
    assert fakes.control('GET', '/faults')[1][0]['source'] == 'imds'


def test_faults_of_a_role(fakes):
    """The faults of one role."""
    fakes.faults('sts', 'throttling', role=role('long'))
    assert [sts_once(fakes, sts_request({**ASSUME, 'RoleArn': arn})).status
            for arn in (ROLE, role('long'))] == [200, 400]


def test_refusals_and_faults(fakes):
    """A refused request uses up no fault."""
    fakes.faults('container', 'status-500')
    assert fetch(fakes.container, path='/v1/credentials')[0] == 401
    assert container_get(fakes)[0] == 500


@pytest.mark.parametrize('order', [
    {'source': 'imds', 'fault': 'nonsense'},
    {'source': 'imds', 'fault': 'slow-x'},
    {'source': 'imds', 'fault': 'slow'},
    {'source': 'nowhere', 'fault': 'html'},
    {'source': 'imds', 'fault': 'doctype'},
    {'source': 'imds', 'fault': 'expired', 'step': 'role'},
    {'source': 'sts', 'fault': 'html', 'step': 'token'},
    {'source': 'imds', 'fault': 'html', 'every': 0},
    {'source': 'imds', 'fault': 'html', 'often': 1}], ids=str)
def test_faults_refuses(fakes, order):
    """Orders that make no sense."""
    assert fakes.control('POST', '/faults', order)[0] == 400


def test_journal(fakes):
    """Requests and counters."""
    imds_get(fakes)
    fetch(fakes.imds, path=LISTING)
    container_get(fakes)
    faulty(fakes, 'sts', 'throttling')
    assert fakes.counters() == {
        'imds': {'token': 1, 'credentials': 1, 'issued': 1, 'refused': 1},
        'container': {'credentials': 1, 'issued': 1},
        'sts': {'AssumeRole': 1, 'faults': 1}}

    seen = fakes.requests()
    assert [(record['source'], record['verdict']['status'])
            for record in seen] == [
        ('imds', 200), ('imds', 200), ('imds', 401), ('container', 200),
        ('sts', 400)]
    assert ['Authorization', aws_fakes.AUTHORIZATION] in seen[3]['headers']
    assert 'RoleSessionName=test' in seen[4]['body']
    assert (seen[4]['access_key'], seen[4]['sni']) == (lib.KEY, 'localhost')
    assert [len(fakes.requests(source='imds')),
            len(fakes.requests(status='401')),
            len(fakes.requests(action='AssumeRole', limit=5))] == [3, 1, 1]

    fakes.forget()
    assert (fakes.requests(), fakes.issued(), fakes.counters()['imds']) == (
        [], [], {})


@pytest.mark.parametrize('value', [
    [], {'lifetim': 20}, {'lifetime': '20'}, {'lifetime': True},
    {'imds': {'rol': 'x'}}, {'imds': {'role': 'app'}},
    {'container': {'role': None}}, {'sts': {'roles': {ROLE: {}}}},
    {'sts': {'roles': {'app': {'trust': []}}}},
    {'expire_credentials': ['AKIDNOBODY']},
    {'credentials': [{'key': 'a'}]}], ids=str)
def test_config_refuses(fakes, value):
    """Settings that make no sense."""
    assert fakes.control('PUT', '/config', value)[0] == 400


def test_control_path(fakes):
    """A path that is unknown to the control port."""
    assert fakes.control('GET', '/nothing')[0] == 404


# The process


@pytest.mark.parametrize('name, reason', [
    ('unknown_ca', 'unable to get local issuer'),
    ('wrong_name', 'Hostname mismatch'),
    ('expired', 'certificate has expired')])
def test_bad_certificate(fakes, name, reason):
    """--bad-tls: certificates that are bad."""
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        fakes.connect(port=fakes.bad_tls[name]).close()


def test_san(fakes):
    """--san: a name of the certificate."""
    with fakes.connect(server_hostname='sts.example.test') as sock:
        assert sock.version()


def test_alone(tmp_path):
    """Without an IVS Chat service, and on IPv6; SIGTERM ends the fakes."""
    with lib.Fakes(dir=tmp_path, args=['--ipv6']) as fakes:
        assert container_get(fakes)[0] == 200
        urls = json.loads((tmp_path / 'fakes.json').read_text('utf-8'))
        assert set(urls) == {'pid', 'imds', 'container', 'sts', 'sts_ca',
                             'control', 'bad_tls', 'imds6', 'container6'}
        assert fetch(urls['imds6'], 'PUT', TOKEN_PATH, PUT)[0] == 200

        fakes.faults('imds', 'silence')
        waiting = socket.create_connection(
            ('127.0.0.1', urlsplit(fakes.imds).port))
        waiting.sendall(f'PUT {TOKEN_PATH} HTTP/1.1\r\nHost: a\r\n'
                        f'{TTL}: 60\r\nContent-Length: 0\r\n\r\n'.encode())

    assert fakes.exit_status == 0
    assert not (tmp_path / 'fakes.json').exists()
    waiting.close()
