
/*
 * How a request ends: the codes of the contract, the body of an error, and
 * what AWS's answers are taken for.
 */


#include "aws/ngx_ivschat_errors.h"

#include <stdlib.h>

#include <cjson/cJSON.h>

#include "tap.h"


#define size(a)  (sizeof(a) / sizeof((a)[0]))


typedef struct {
    ngx_ivschat_result_e   result;
    const char            *code;
    unsigned               status;
} info_case_t;

typedef struct {
    unsigned               status;
    const char            *code;
    ngx_ivschat_result_e   result;
    const char            *remedy;     /* a part of it; NULL: none */
} aws_case_t;


static const info_case_t  no_errors[] = {
    { NGX_IVSCHAT_UNKNOWN, "", 0 },
    { NGX_IVSCHAT_OK, "ok", 200 },
    { NGX_IVSCHAT_ABORTED, "aborted", 499 }
};


static const info_case_t  errors[] = {
    { NGX_IVSCHAT_UNAUTHENTICATED, "unauthenticated", 401 },
    { NGX_IVSCHAT_ROOM_FORBIDDEN, "room_forbidden", 403 },
    { NGX_IVSCHAT_ROOM_NOT_FOUND, "room_not_found", 404 },
    { NGX_IVSCHAT_METHOD_NOT_ALLOWED, "method_not_allowed", 405 },
    { NGX_IVSCHAT_INVALID_USER, "invalid_user", 400 },
    { NGX_IVSCHAT_INVALID_ATTRIBUTES, "invalid_attributes", 400 },
    { NGX_IVSCHAT_INVALID_REQUEST, "invalid_request", 400 },
    { NGX_IVSCHAT_REQUEST_TOO_LARGE, "request_too_large", 413 },
    { NGX_IVSCHAT_THROTTLED, "throttled", 429 },
    { NGX_IVSCHAT_MISCONFIGURED, "misconfigured", 500 },
    { NGX_IVSCHAT_REJECTED, "rejected", 502 },
    { NGX_IVSCHAT_BAD_RESPONSE, "bad_response", 502 },
    { NGX_IVSCHAT_UNAVAILABLE, "unavailable", 502 },
    { NGX_IVSCHAT_TIMEOUT, "timeout", 504 },
    { NGX_IVSCHAT_NO_CREDENTIALS, "no_credentials", 503 }
};


#define THROTTLING(code)                                                      \
    { 400, code, NGX_IVSCHAT_THROTTLED, "quota" },                            \
    { 503, code, NGX_IVSCHAT_THROTTLED, "quota" }

#define REFUSED(status, code, remedy)                                         \
    { status, code, NGX_IVSCHAT_REJECTED, remedy }


static const aws_case_t  aws[] = {

    /* declared by CreateChatToken */

    REFUSED(403, "AccessDeniedException", "ivschat:CreateChatToken"),
    REFUSED(403, "PendingVerification", "AWS support"),
    REFUSED(400, "ValidationException", "limits"),
    { 404, "ResourceNotFoundException", NGX_IVSCHAT_ROOM_NOT_FOUND,
      "room does not exist" },

    /* throttling, by code and by status */

    THROTTLING("BandwidthLimitExceeded"),
    THROTTLING("EC2ThrottledException"),
    THROTTLING("LimitExceededException"),
    THROTTLING("PriorRequestNotComplete"),
    THROTTLING("ProvisionedThroughputExceededException"),
    THROTTLING("RequestLimitExceeded"),
    THROTTLING("RequestThrottled"),
    THROTTLING("RequestThrottledException"),
    THROTTLING("SlowDown"),
    THROTTLING("ThrottledException"),
    THROTTLING("Throttling"),
    THROTTLING("ThrottlingException"),
    THROTTLING("TooManyRequestsException"),
    THROTTLING("TransactionInProgressException"),
    { 429, "ThrottlingException", NGX_IVSCHAT_THROTTLED, "quota" },
    { 429, "", NGX_IVSCHAT_THROTTLED, "quota" },
    { 429, "FooError", NGX_IVSCHAT_THROTTLED, "quota" },

    /* credentials, signature, clock, path */

    REFUSED(403, "UnrecognizedClientException", "access key id"),
    REFUSED(403, "InvalidClientTokenId", "access key id"),
    REFUSED(403, "ExpiredTokenException", "expired"),
    REFUSED(400, "ExpiredToken", "expired"),
    REFUSED(400, "InvalidToken", "expired"),
    REFUSED(403, "InvalidSignatureException", "internal location"),
    REFUSED(403, "SignatureDoesNotMatch", "internal location"),
    REFUSED(400, "IncompleteSignature", "internal location"),
    REFUSED(400, "IncompleteSignatureException", "internal location"),
    REFUSED(400, "RequestExpired", "clock"),
    REFUSED(403, "RequestTimeTooSkewed", "clock"),
    REFUSED(403, "RequestInTheFuture", "clock"),
    REFUSED(403, "MissingAuthenticationTokenException", "/CreateChatToken"),
    REFUSED(404, "UnknownOperationException", "/CreateChatToken"),
    REFUSED(404, "", "/CreateChatToken"),

    /* other 4xx */

    REFUSED(400, "", NULL),
    REFUSED(401, "", NULL),
    REFUSED(402, "ServiceQuotaExceededException", NULL),
    REFUSED(403, "", NULL),
    REFUSED(403, "ForbiddenException", NULL),
    REFUSED(404, "FooError", NULL),
    REFUSED(409, "ConflictException", NULL),
    REFUSED(413, "", NULL),
    REFUSED(499, "", NULL),
    REFUSED(400, "throttlingexception", NULL),
    REFUSED(400, "ThrottlingExceptions", NULL),
    REFUSED(404, "ResourceNotFound", NULL),

    /* 5xx */

    { 500, "InternalServerException", NGX_IVSCHAT_UNAVAILABLE, NULL },
    { 500, "", NGX_IVSCHAT_UNAVAILABLE, NULL },
    { 501, "", NGX_IVSCHAT_UNAVAILABLE, NULL },
    { 502, "", NGX_IVSCHAT_UNAVAILABLE, NULL },
    { 503, "ServiceUnavailable", NGX_IVSCHAT_UNAVAILABLE, NULL },
    { 504, "", NGX_IVSCHAT_UNAVAILABLE, NULL },
    { 599, "", NGX_IVSCHAT_UNAVAILABLE, NULL },

    /* what the service never gives */

    { 0, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 100, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 101, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 201, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 204, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 206, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 301, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 302, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 307, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 399, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 600, "", NGX_IVSCHAT_BAD_RESPONSE, NULL },
    { 999, "", NGX_IVSCHAT_BAD_RESPONSE, NULL }
};


static int
plain_text(const char *text)
{
    for ( /* void */ ; *text; text++) {
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') {
            return 0;
        }
    }

    return 1;
}


/* Whether a text for clients names what is the operator's business. */

static int
tells_too_much(const char *text)
{
    size_t              i;
    static const char  *words[] = { "AWS", "aws", "ARN", "arn:", "Amazon",
                                    "IAM", "account", "key", "secret",
                                    "redential", "region", "nginx" };

    for (i = 0; i < size(words); i++) {
        if (strstr(text, words[i]) != NULL) {
            return 1;
        }
    }

    return 0;
}


static void
test_info(void)
{
    size_t                            i, j;
    const info_case_t                *c;
    const ngx_ivschat_result_info_t  *info;

    is_int(size(errors) + size(no_errors), NGX_IVSCHAT_NRESULTS,
           "every result is here");

    for (i = 0; i < size(errors) + size(no_errors); i++) {
        c = i < size(errors) ? &errors[i] : &no_errors[i - size(errors)];
        info = ngx_ivschat_result_info(c->result);

        is_str(info->code.data, c->code, "code %s", c->code);
        is_int(info->status, c->status, "status of %s", c->code);
        ok(info->code.len == strlen(info->code.data)
           && info->title.len == strlen(info->title.data)
           && info->detail.len == strlen(info->detail.data),
           "lengths of %s", c->code);
        ok(plain_text(info->title.data) && plain_text(info->detail.data),
           "texts of %s need no escaping", c->code);
        ok(!tells_too_much(info->title.data)
           && !tells_too_much(info->detail.data),
           "texts of %s tell nothing of the operator's", c->code);
    }

    for (i = 0; i < size(errors); i++) {
        info = ngx_ivschat_result_info(errors[i].result);
        ok(info->title.len > 0 && info->title.len <= 40,
           "%s has a short title", errors[i].code);
        ok(info->detail.len > 0 && info->detail.data[info->detail.len - 1]
           == '.', "%s has a sentence", errors[i].code);

        for (j = 0; j < i; j++) {
            if (strcmp(info->title.data,
                       ngx_ivschat_result_info(errors[j].result)->title.data)
                == 0)
            {
                break;
            }
        }

        ok(j == i, "%s has a title of its own", errors[i].code);
    }

    ok(ngx_ivschat_result_info(NGX_IVSCHAT_NRESULTS)->status == 0,
       "no result above the last");
    ok(ngx_ivschat_result_info((ngx_ivschat_result_e) -1)->status == 0,
       "no result below the first");
}


static void
test_operator(void)
{
    size_t                       i;
    static ngx_ivschat_result_e  results[] = { NGX_IVSCHAT_MISCONFIGURED,
                                               NGX_IVSCHAT_REJECTED,
                                               NGX_IVSCHAT_NO_CREDENTIALS };

    for (i = 0; i < size(results); i++) {
        ok(strstr(ngx_ivschat_result_info(results[i])->detail.data,
                  "error log")
           != NULL, "%s points to the error log",
           ngx_ivschat_result_info(results[i])->code.data);
    }
}


static void
test_problem(const info_case_t *c, unsigned retry_after)
{
    int           n;
    char          buf[512], members[128], text[32];
    cJSON        *object;
    size_t        len;
    const cJSON  *item;

    len = ngx_ivschat_problem_json(c->result, retry_after, buf, sizeof(buf));

    ok(len > 0 && len == strlen(buf), "the problem %s", c->code);

    object = cJSON_ParseWithLengthOpts(buf, len + 1, NULL, 1);
    members[0] = '\0';

    cJSON_ArrayForEach(item, object) {
        n = (int) strlen(members);
        snprintf(members + n, sizeof(members) - n, "%s ", item->string);
    }

    is_str(members, retry_after
                    ? "type title status code detail retryAfter "
                    : "type title status code detail ", "members of %s",
           c->code);

    snprintf(text, sizeof(text), "%u", c->status);
    is_str(cJSON_GetStringValue(cJSON_GetObjectItem(object, "type")),
           "about:blank", "type of %s", c->code);
    is_str(cJSON_GetStringValue(cJSON_GetObjectItem(object, "code")),
           c->code, "code of %s", c->code);
    is_str(cJSON_GetStringValue(cJSON_GetObjectItem(object, "title")),
           ngx_ivschat_result_info(c->result)->title.data, "title of %s",
           c->code);
    is_str(cJSON_GetStringValue(cJSON_GetObjectItem(object, "detail")),
           ngx_ivschat_result_info(c->result)->detail.data, "detail of %s",
           c->code);
    is_int((long long) cJSON_GetNumberValue(
               cJSON_GetObjectItem(object, "status")),
           c->status, "status of %s", c->code);

    if (retry_after) {
        is_int((long long) cJSON_GetNumberValue(
                   cJSON_GetObjectItem(object, "retryAfter")),
               retry_after, "retryAfter of %s", c->code);
    }

    cJSON_Delete(object);
}


static void
test_problems(void)
{
    int     failed;
    char    buf[512], *p;
    size_t  i, len;

    for (i = 0; i < size(errors); i++) {
        test_problem(&errors[i], 0);
        test_problem(&errors[i], 3);
        test_problem(&errors[i], 4294967295U);
    }

    for (i = 0; i < size(no_errors); i++) {
        is_int((long long) ngx_ivschat_problem_json(no_errors[i].result, 1,
                                                    buf, sizeof(buf)),
               0, "no problem: \"%s\"", no_errors[i].code);
    }

    is_int((long long) ngx_ivschat_problem_json(NGX_IVSCHAT_NRESULTS, 0, buf,
                                                sizeof(buf)),
           0, "no problem: no result");

    /* nothing is written behind a buffer too small, and no part is taken */

    len = ngx_ivschat_problem_json(NGX_IVSCHAT_THROTTLED, 3, buf, sizeof(buf));
    failed = 1;

    for (i = 0; i <= len; i++) {
        p = malloc(i + 1);
        failed &= ngx_ivschat_problem_json(NGX_IVSCHAT_THROTTLED, 3, p, i)
                  == 0;
        free(p);
    }

    ok(failed, "a buffer too small");

    p = malloc(len + 1);
    is_int((long long) ngx_ivschat_problem_json(NGX_IVSCHAT_THROTTLED, 3, p,
                                                len + 1),
           (long long) len, "a buffer just large enough");
    free(p);
}


static void
test_aws(void)
{
    size_t       i;
    const char  *remedy;

    for (i = 0; i < size(aws); i++) {
        is_int(ngx_ivschat_result_of_aws(aws[i].status, aws[i].code),
               aws[i].result, "AWS: %u %s", aws[i].status, aws[i].code);

        remedy = ngx_ivschat_remedy(aws[i].status, aws[i].code);

        if (aws[i].remedy == NULL) {
            is_str(remedy, "", "no remedy");
            continue;
        }

        ok(strstr(remedy, aws[i].remedy) != NULL, "its remedy: %s", remedy);
        ok(plain_text(remedy) && remedy[0] >= 'a' && remedy[0] <= 'z'
           && remedy[strlen(remedy) - 1] != '.' && strlen(remedy) <= 160,
           "reads well in a line of the log");
    }

    for (i = 600; i < 70000; i++) {
        if (ngx_ivschat_result_of_aws((unsigned) i, "")
            != NGX_IVSCHAT_BAD_RESPONSE)
        {
            break;
        }
    }

    is_int((long long) i, 70000, "statuses that HTTP does not have");
}


/* Only what new credentials can cure is worth fetching new ones. */

static void
test_expired(void)
{
    size_t              i;
    static const char  *others[] = {
        "", "Expired", "ExpiredTokenExceptions", "expiredtoken",
        "ExpiredToken ", "InvalidTokenException", "RequestExpired",
        "RequestTimeTooSkewed", "AccessDeniedException", "PendingVerification",
        "InvalidClientTokenId", "UnrecognizedClientException",
        "InvalidSignatureException", "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException", "ThrottlingException"
    };

    ok(ngx_ivschat_expired_credentials("ExpiredTokenException"),
       "expired: ExpiredTokenException");
    ok(ngx_ivschat_expired_credentials("ExpiredToken"),
       "expired: ExpiredToken");
    ok(ngx_ivschat_expired_credentials("InvalidToken"),
       "expired: InvalidToken");

    for (i = 0; i < size(others); i++) {
        ok(!ngx_ivschat_expired_credentials(others[i]), "not expired: \"%s\"",
           others[i]);
    }
}


int
main(void)
{
    test_info();
    test_operator();
    test_problems();
    test_aws();
    test_expired();

    return done_testing();
}
