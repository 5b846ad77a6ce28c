"""Checks a request's Signature Version 4 with botocore's own code.

Nothing of the algorithm is written again here: botocore builds the canonical
request, the string to sign and the signature, from the headers that the
request itself names.  What stands here are the rules around it.
"""

import calendar
import hashlib
import hmac
import re
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from .errors import ServiceError

SERVICE = 'ivschat'
ALGORITHM = 'AWS4-HMAC-SHA256'
WINDOW = 300
DATE = re.compile(r'[0-9]{8}T[0-9]{6}Z')
HEX_SIGNATURE = re.compile(r'[0-9a-f]{64}')

MISMATCH = (
    'The request signature we calculated does not match the signature you '
    'provided. Check your AWS Secret Access Key and signing method. Consult '
    'the service documentation for details.'
)


class OwnHeadersAuth(SigV4Auth):
    """botocore signs what it likes to; this signs what the request named."""

    def headers_to_sign(self, request):
        """Every header that was put into the request."""
        headers = HTTPHeaders()

        for name, value in request.headers.items():
            headers[name.lower()] = value

        return headers


class Authorization:
    """The parts of an Authorization header."""

    def __init__(self, access_key, date, region, service, signed, signature):
        self.access_key = access_key
        self.date = date
        self.region = region
        self.service = service
        self.signed = signed
        self.signature = signature


def incomplete(message):
    """The refusal of a header that cannot even be checked."""
    return ServiceError(400, 'IncompleteSignatureException', message)


def invalid(message):
    """The refusal of a signature that was checked and is wrong."""
    return ServiceError(403, 'InvalidSignatureException', message)


def unrecognized():
    """The refusal of a key or session token that AWS does not know."""
    return ServiceError(403, 'UnrecognizedClientException',
                        'The security token included in the request is '
                        'invalid.')


def parse_authorization(request):
    """Take the one Authorization header apart."""
    values = request.get_all('authorization')

    if not values:
        raise ServiceError(403, 'MissingAuthenticationTokenException',
                           'Missing Authentication Token')

    if len(values) > 1:
        raise incomplete('More than one Authorization header.')

    algorithm, _, rest = values[0].partition(' ')

    if algorithm != ALGORITHM:
        raise incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.")

    fields = split_fields(rest)
    missing = [name for name in ('Credential', 'SignedHeaders', 'Signature')
               if not fields.get(name)]

    if missing:
        raise incomplete(' '.join(
            f"Authorization header requires '{name}' parameter."
            for name in missing))

    return build_authorization(fields)


def split_fields(text):
    """'A=b, C=d' as a dict; a name given twice is refused."""
    fields = {}

    for part in text.split(','):
        name, _, value = part.strip().partition('=')

        if name in fields:
            raise incomplete(f"'{name}' is given twice.")

        fields[name] = value

    return fields


def build_authorization(fields):
    """Check the forms of the three fields."""
    scope = fields['Credential'].split('/')

    if len(scope) != 5:
        raise incomplete("Credential must have exactly 5 slash-delimited "
                         "elements, e.g. "
                         "keyid/date/region/service/term.")

    if scope[4] != 'aws4_request':
        raise invalid("Credential should be scoped with a valid terminator: "
                      f"'aws4_request', not '{scope[4]}'.")

    signed = fields['SignedHeaders'].split(';')

    if signed != sorted(set(name.lower() for name in signed)):
        raise invalid('SignedHeaders must be lower case, sorted and unique.')

    if not HEX_SIGNATURE.fullmatch(fields['Signature']):
        raise invalid(MISMATCH)

    return Authorization(*scope[:4], signed, fields['Signature'])


def check_headers(request, auth, need_content_type):
    """What AWS wants signed is signed, and nothing stands there twice."""
    names = [name.lower() for name, _ in request.headers]
    strict = [name for name in names
              if name in auth.signed or name.startswith('x-amz-')
              or name == 'content-type']

    doubled = sorted({name for name in strict if strict.count(name) > 1})

    if doubled:
        raise invalid('Given more than once: ' + ', '.join(doubled))

    absent = [name for name in auth.signed if name not in names]

    if absent:
        raise invalid('Signed, but not in the request: ' + ', '.join(absent))

    if 'host' not in auth.signed:
        raise invalid("'Host' or ':authority' must be a 'SignedHeader' in "
                      "the AWS Authorization.")

    unsigned = [name for name in strict if name not in auth.signed
                and (need_content_type or name != 'content-type')]

    if unsigned:
        raise invalid('There were headers present in the request which were '
                      'not signed: ' + ', '.join(unsigned))


def check_date(request, auth, now):
    """The time of signing is near the service's own, and the scope's day."""
    value = request.get('x-amz-date')

    if value is None:
        raise incomplete("Authorization header requires existence of an "
                         "'X-Amz-Date' header.")

    signed_at = parse_date(value)

    if signed_at is None:
        raise incomplete("Date must be in ISO-8601 'basic format'. Got "
                         f"'{value}'.")

    if auth.date != value[:8]:
        raise invalid('Date in Credential scope does not match YYYYMMDD from '
                      "ISO-8601 version of date from HTTP: "
                      f"'{auth.date}' != '{value[:8]}', from '{value}'.")

    if signed_at < now - WINDOW:
        raise invalid(f'Signature expired: {value} is now earlier than '
                      f'{basic(now - WINDOW)} ({basic(now)} - 5 min.)')

    if signed_at > now + WINDOW:
        raise invalid(f'Signature not yet current: {value} is still later '
                      f'than {basic(now + WINDOW)} ({basic(now)} + 5 min.)')

    return value


def parse_date(value):
    """Seconds since 1970 of an x-amz-date, or None."""
    if not DATE.fullmatch(value):
        return None

    try:
        return calendar.timegm(time.strptime(value, '%Y%m%dT%H%M%SZ'))
    except ValueError:
        return None


def basic(seconds):
    """Seconds since 1970 in the form of x-amz-date."""
    return time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(seconds))


def check_scope(auth, host_region, regions, service=SERVICE):
    """The signature was made for this service in this region."""
    if auth.service != service:
        raise invalid('Credential should be scoped to correct service: '
                      f"'{service}'.")

    if auth.region not in regions or host_region not in (None, auth.region):
        raise invalid('Credential should be scoped to a valid region.')


def check_session_token(request, credential):
    """The session token is the key's own, and there only when it has one."""
    if request.get('x-amz-security-token') != credential.token:
        raise unrecognized()

    if credential.is_expired(request.now):
        raise ServiceError(403, 'ExpiredTokenException',
                           'The security token included in the request is '
                           'expired')


def check_signature(request, auth, credential, date):
    """Compute the signature with botocore and compare."""
    digest = hashlib.sha256(request.body).hexdigest()

    if request.get('x-amz-content-sha256') not in (None, digest):
        raise invalid("The value of 'x-amz-content-sha256' is not the hash "
                      'of the body.')

    aws_request = AWSRequest(method=request.method, data=request.body,
                             url='https://host' + request.target)
    aws_request.context['timestamp'] = date

    for name, value in request.headers:
        if name.lower() in auth.signed:
            aws_request.headers[name] = value

    signer = OwnHeadersAuth(
        Credentials(credential.key, credential.secret), auth.service,
        auth.region)
    canonical = signer.canonical_request(aws_request)
    string = signer.string_to_sign(aws_request, canonical)
    signature = signer.signature(string, aws_request)

    if not hmac.compare_digest(signature, auth.signature):
        raise invalid(f'{MISMATCH}\n\nThe Canonical String for this request '
                      f"should have been\n'{canonical}'\n\n"
                      f"The String-to-Sign should have been\n'{string}'\n")
