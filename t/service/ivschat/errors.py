"""The refusals of the service, in AWS's form."""


class ServiceError(Exception):
    """An error answer: status, error type, message and further members."""

    def __init__(self, status, code, message, **members):
        super().__init__(message)
        self.status = status
        self.code = code
        self.members = {'message': message, **members}


def throttling(room_id, limit):
    """429, as the model has it (though not declared for CreateChatToken)."""
    return ServiceError(429, 'ThrottlingException', 'Rate exceeded',
                        resourceId=room_id, resourceType='ROOM',
                        limit=int(limit))


def not_found(room_id):
    """404 for a room."""
    return ServiceError(404, 'ResourceNotFoundException',
                        'Resource could not be found.',
                        resourceId=room_id, resourceType='ROOM')


def access_denied(account, arn):
    """403 in the words of IAM."""
    return ServiceError(403, 'AccessDeniedException',
                        f'User: arn:aws:iam::{account}:user/local is not '
                        'authorized to perform: ivschat:CreateChatToken on '
                        f'resource: {arn}')


def validation(fields, reason='FIELD_VALIDATION_FAILED'):
    """400 for [(name, message), ...]."""
    text = '; '.join(f'{name}: {message}' for name, message in fields)
    return ServiceError(400, 'ValidationException', text, reason=reason,
                        fieldList=[{'name': name, 'message': message}
                                   for name, message in fields])


def serialization(message):
    """400 for a body that cannot be read as the operation's input."""
    return ServiceError(400, 'SerializationException', message)
