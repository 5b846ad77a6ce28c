
/*
 * How a request for a token ends: the codes that clients and logs see.
 */


#include "ngx_ivschat_result.h"

#include <stdio.h>


#define NGX_IVSCHAT_OPERATOR                                                  \
    "the reason is in the error log of the server."


typedef struct {
    const char   *code;
    const char   *text;
} ngx_ivschat_remedy_t;


static int ngx_ivschat_is_throttling(const char *code);


/* In the order of ngx_ivschat_result_e. */

static const ngx_ivschat_result_info_t  ngx_ivschat_results[] = {

    { ngx_ivschat_string(""), 0,
      ngx_ivschat_string(""),
      ngx_ivschat_string("") },

    { ngx_ivschat_string("ok"), 200,
      ngx_ivschat_string("OK"),
      ngx_ivschat_string("") },

    { ngx_ivschat_string("aborted"), 499,
      ngx_ivschat_string("Client closed the request"),
      ngx_ivschat_string("") },

    { ngx_ivschat_string("unauthenticated"), 401,
      ngx_ivschat_string("Not signed in"),
      ngx_ivschat_string("A chat token is given to a signed-in user only: "
                         "sign in, then ask again.") },

    { ngx_ivschat_string("room_forbidden"), 403,
      ngx_ivschat_string("Room not allowed"),
      ngx_ivschat_string("This user may not join this chat room.") },

    { ngx_ivschat_string("room_not_found"), 404,
      ngx_ivschat_string("Room not found"),
      ngx_ivschat_string("There is no chat room of this name.") },

    { ngx_ivschat_string("method_not_allowed"), 405,
      ngx_ivschat_string("Method not allowed"),
      ngx_ivschat_string("Ask for a token with a method that the Allow header "
                         "names.") },

    { ngx_ivschat_string("invalid_user"), 400,
      ngx_ivschat_string("Invalid user id"),
      ngx_ivschat_string("The user id must be 1 to 128 characters of "
                         "UTF-8.") },

    { ngx_ivschat_string("invalid_attributes"), 400,
      ngx_ivschat_string("Invalid attributes"),
      ngx_ivschat_string("The attributes must be UTF-8 text, 1 KB at most, "
                         "names and values together.") },

    { ngx_ivschat_string("invalid_request"), 400,
      ngx_ivschat_string("Invalid request"),
      ngx_ivschat_string("The body must be one JSON object whose members have "
                         "the types and values described for this "
                         "service.") },

    { ngx_ivschat_string("request_too_large"), 413,
      ngx_ivschat_string("Request too large"),
      ngx_ivschat_string("The body is larger than a request for a token may "
                         "be.") },

    { ngx_ivschat_string("throttled"), 429,
      ngx_ivschat_string("Too many requests"),
      ngx_ivschat_string("More tokens are asked for than can be given now: "
                         "wait as long as Retry-After says, then ask "
                         "again.") },

    { ngx_ivschat_string("misconfigured"), 500,
      ngx_ivschat_string("Server misconfigured"),
      ngx_ivschat_string("A setting of the server is wrong and no request can "
                         "change that: " NGX_IVSCHAT_OPERATOR) },

    { ngx_ivschat_string("rejected"), 502,
      ngx_ivschat_string("Chat service refused"),
      ngx_ivschat_string("The chat service refused the server's request: "
                         NGX_IVSCHAT_OPERATOR) },

    { ngx_ivschat_string("bad_response"), 502,
      ngx_ivschat_string("Bad answer from the chat service"),
      ngx_ivschat_string("The chat service gave an answer that is not a chat "
                         "token.") },

    { ngx_ivschat_string("unavailable"), 502,
      ngx_ivschat_string("Chat service unavailable"),
      ngx_ivschat_string("The chat service cannot be reached or is failing: "
                         "ask again later.") },

    { ngx_ivschat_string("timeout"), 504,
      ngx_ivschat_string("Chat service timed out"),
      ngx_ivschat_string("The chat service did not answer in time: ask again "
                         "later.") },

    { ngx_ivschat_string("no_credentials"), 503,
      ngx_ivschat_string("Server not ready"),
      ngx_ivschat_string("The server cannot ask the chat service at this time: "
                         NGX_IVSCHAT_OPERATOR) }
};


/* The codes that AWS's SDKs take for throttling, whatever the status. */

static const char  *ngx_ivschat_throttling[] = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
    NULL
};


#define NGX_IVSCHAT_REMEDY_KEY                                                \
    "the access key id is unknown: check the credentials in use"
#define NGX_IVSCHAT_REMEDY_EXPIRED                                            \
    "the session token has expired or is invalid: check that the source of "  \
    "the credentials renews them"
#define NGX_IVSCHAT_REMEDY_SIGNATURE                                          \
    "the secret access key is wrong, or the internal location changed the "   \
    "Host header, the path or the body after they were signed"
#define NGX_IVSCHAT_REMEDY_CLOCK                                              \
    "the clock of this host is wrong: check its time synchronization"
#define NGX_IVSCHAT_REMEDY_PATH                                               \
    "the path is wrong: proxy_pass of the internal location must end in "     \
    "/CreateChatToken"
#define NGX_IVSCHAT_REMEDY_THROTTLING                                         \
    "the quota is 200 tokens a second for an account and region: see what "   \
    "else uses this account"


static const ngx_ivschat_remedy_t  ngx_ivschat_remedies[] = {
    { "AccessDeniedException",
      "allow the IAM action ivschat:CreateChatToken on this room to the "
      "credentials in use" },
    { "PendingVerification",
      "the AWS account is still being verified: contact AWS support" },
    { "ValidationException",
      "a value of the request is outside AWS's limits: check room, user, "
      "capabilities, session duration and attributes" },
    { "ResourceNotFoundException",
      "there is no such room in that account and region" },
    { "UnrecognizedClientException", NGX_IVSCHAT_REMEDY_KEY },
    { "InvalidClientTokenId", NGX_IVSCHAT_REMEDY_KEY },
    { "ExpiredTokenException", NGX_IVSCHAT_REMEDY_EXPIRED },
    { "ExpiredToken", NGX_IVSCHAT_REMEDY_EXPIRED },
    { "InvalidToken", NGX_IVSCHAT_REMEDY_EXPIRED },
    { "InvalidSignatureException", NGX_IVSCHAT_REMEDY_SIGNATURE },
    { "SignatureDoesNotMatch", NGX_IVSCHAT_REMEDY_SIGNATURE },
    { "IncompleteSignature", NGX_IVSCHAT_REMEDY_SIGNATURE },
    { "IncompleteSignatureException", NGX_IVSCHAT_REMEDY_SIGNATURE },
    { "RequestExpired", NGX_IVSCHAT_REMEDY_CLOCK },
    { "RequestTimeTooSkewed", NGX_IVSCHAT_REMEDY_CLOCK },
    { "RequestInTheFuture", NGX_IVSCHAT_REMEDY_CLOCK },
    { "MissingAuthenticationTokenException", NGX_IVSCHAT_REMEDY_PATH },
    { "UnknownOperationException", NGX_IVSCHAT_REMEDY_PATH },
    { NULL, NULL }
};


const ngx_ivschat_result_info_t *
ngx_ivschat_result_info(ngx_ivschat_result_e result)
{
    if ((unsigned) result >= NGX_IVSCHAT_NRESULTS) {
        result = NGX_IVSCHAT_UNKNOWN;
    }

    return &ngx_ivschat_results[result];
}


size_t
ngx_ivschat_problem_json(ngx_ivschat_result_e result, unsigned retry_after,
    char *buf, size_t size)
{
    int                               n;
    char                              retry[sizeof(",\"retryAfter\":") + 10];
    const ngx_ivschat_result_info_t  *info;

    info = ngx_ivschat_result_info(result);

    /* no error, no problem */

    if (info->detail.len == 0) {
        return 0;
    }

    retry[0] = '\0';

    if (retry_after != 0) {
        (void) snprintf(retry, sizeof(retry), ",\"retryAfter\":%u",
                        retry_after);
    }

    /* the texts of the table need no escaping */

    n = snprintf(buf, size,
                 "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,"
                 "\"code\":\"%s\",\"detail\":\"%s\"%s}",
                 info->title.data, info->status, info->code.data,
                 info->detail.data, retry);

    if (n < 0 || (size_t) n >= size) {
        return 0;
    }

    return (size_t) n;
}


ngx_ivschat_result_e
ngx_ivschat_result_of_aws(unsigned status, const char *code)
{
    /* the service has no redirects and no other success than 200 */

    if (status < 400 || status > 599) {
        return NGX_IVSCHAT_BAD_RESPONSE;
    }

    if (status == 429 || ngx_ivschat_is_throttling(code)) {
        return NGX_IVSCHAT_THROTTLED;
    }

    if (status >= 500) {
        return NGX_IVSCHAT_UNAVAILABLE;
    }

    /*
     * A 404 without the code is not about a room: the path or the host of
     * the internal location is wrong.
     */

    if (strcmp(code, "ResourceNotFoundException") == 0) {
        return NGX_IVSCHAT_ROOM_NOT_FOUND;
    }

    return NGX_IVSCHAT_REJECTED;
}


int
ngx_ivschat_expired_credentials(const char *code)
{
    return strcmp(code, "ExpiredTokenException") == 0
           || strcmp(code, "ExpiredToken") == 0
           || strcmp(code, "InvalidToken") == 0;
}


const char *
ngx_ivschat_remedy(unsigned status, const char *code)
{
    const ngx_ivschat_remedy_t  *remedy;

    for (remedy = ngx_ivschat_remedies; remedy->code; remedy++) {
        if (strcmp(code, remedy->code) == 0) {
            return remedy->text;
        }
    }

    if (status == 429 || ngx_ivschat_is_throttling(code)) {
        return NGX_IVSCHAT_REMEDY_THROTTLING;
    }

    if (status == 404 && code[0] == '\0') {
        return NGX_IVSCHAT_REMEDY_PATH;
    }

    return "";
}


static int
ngx_ivschat_is_throttling(const char *code)
{
    const char  **name;

    for (name = ngx_ivschat_throttling; *name; name++) {
        if (strcmp(code, *name) == 0) {
            return 1;
        }
    }

    return 0;
}
