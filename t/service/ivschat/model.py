"""Checks the body of a request by botocore's model of the service.

botocore itself enforces required members and minimums only; maximums,
patterns and enums are in the model for the service to enforce.
"""

import json
import re

import botocore.session

from .errors import serialization, validation

ATTRIBUTES_MAX = 1024
OPERATION = 'CreateChatToken'


def load_input_shape():
    """The shape of CreateChatToken's input."""
    session = botocore.session.Session()
    return session.get_service_model('ivschat').operation_model(
        OPERATION).input_shape


def parse_json(body):
    """Strict JSON: UTF-8, one value, no duplicate names, no NaN."""
    try:
        value = json.loads(body.decode('utf-8'),
                           object_pairs_hook=unique_members,
                           parse_constant=refuse_constant)
        json.dumps(value, ensure_ascii=False).encode('utf-8')
    except (ValueError, RecursionError):
        raise serialization('The body is not valid JSON.') from None

    if not isinstance(value, dict):
        raise serialization('Start of structure or map found where not '
                            'expected.')

    return value


def unique_members(pairs):
    """Refuse an object that names a member twice."""
    members = dict(pairs)

    if len(members) != len(pairs):
        raise ValueError('a duplicate member')

    return members


def refuse_constant(name):
    """Refuse NaN and Infinity, which Python reads."""
    raise ValueError(name)


class InputValidator:
    """Validates parsed bodies against the model and the server's limits."""

    def __init__(self, shape):
        self.shape = shape

    def validate(self, body):
        """The members that were given; raises a ServiceError."""
        value = parse_json(body) if body else {}
        failures = []
        value = self._structure(self.shape, value, failures)

        total = sum(len(name.encode()) + len(text.encode())
                    for name, text in value.get('attributes', {}).items())

        if total > ATTRIBUTES_MAX:
            failures.append(('attributes', f'is larger than {ATTRIBUTES_MAX} '
                                           'bytes in total'))

        if failures:
            raise validation(failures)

        return value

    def _structure(self, shape, value, failures):
        unknown = [name for name in value if name not in shape.members]

        if unknown:
            raise serialization('A member that the operation does not have.')

        given = {name: member for name, member in value.items()
                 if member is not None}

        for name in shape.required_members:
            if name not in given:
                failures.append((name, 'is required'))

        for name, member in given.items():
            self._check(shape.members[name], member, name, failures)

        return given

    def _check(self, shape, value, path, failures):
        """Check one value; types are refused at once, limits collected."""
        checks = {'string': self._string, 'integer': self._integer,
                  'list': self._list, 'map': self._map}
        checks[shape.type_name](shape, value, path, failures)

    def _string(self, shape, value, path, failures):
        if not isinstance(value, str):
            raise serialization(f'{path} must be a string.')

        self._range(shape, len(value), path, 'has a length', failures)
        pattern = shape.metadata.get('pattern')

        if pattern and not re.fullmatch(pattern, value, re.ASCII):
            failures.append((path, f'does not match {pattern}'))

        if shape.enum and value not in shape.enum:
            failures.append((path, 'must be one of '
                             + ', '.join(sorted(shape.enum))))

    def _integer(self, shape, value, path, failures):
        if not isinstance(value, int) or isinstance(value, bool):
            raise serialization(f'{path} must be an integer.')

        self._range(shape, value, path, 'is a number', failures)

    def _list(self, shape, value, path, failures):
        if not isinstance(value, list):
            raise serialization(f'{path} must be a list.')

        self._range(shape, len(value), path, 'has a size', failures)

        for index, member in enumerate(value):
            self._check(shape.member, member, f'{path}.{index}', failures)

    def _map(self, shape, value, path, failures):
        if not isinstance(value, dict):
            raise serialization(f'{path} must be a map.')

        self._range(shape, len(value), path, 'has a size', failures)

        for key, member in value.items():
            self._check(shape.key, key, f'{path}.key', failures)
            self._check(shape.value, member, f'{path}.value', failures)

    @staticmethod
    def _range(shape, size, path, what, failures):
        low = shape.metadata.get('min')
        high = shape.metadata.get('max')

        if low is not None and size < low:
            failures.append((path, f'{what} below {low}'))

        if high is not None and size > high:
            failures.append((path, f'{what} above {high}'))
