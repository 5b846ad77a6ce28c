
/*
 * AWS's errors: one table of the codes, and a reader.
 */


#include "ngx_ivschat_errors.h"
#include "ngx_ivschat_api.h"

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_ERROR_THROTTLING   0x01
#define NGX_IVSCHAT_ERROR_TRANSIENT    0x02
#define NGX_IVSCHAT_ERROR_CLOCK        0x04
#define NGX_IVSCHAT_ERROR_EXPIRED      0x08
#define NGX_IVSCHAT_ERROR_NO_ROOM      0x10


/* STS and IVS Chat share codes, but not always the remedies. */

typedef struct {
    const char   *code;
    unsigned      kind;                /* NGX_IVSCHAT_ERROR_* bits */
    const char   *remedy;              /* of IVS Chat */
    const char   *sts;
    const char   *web;                 /* of AssumeRoleWithWebIdentity, if not
                                          that of STS */
} ngx_ivschat_error_row_t;


static const ngx_ivschat_error_row_t *ngx_ivschat_error_row(unsigned status,
    const char *code);
static int ngx_ivschat_error_set_code(ngx_ivschat_error_t *error,
    ngx_ivschat_str_t s);
static void ngx_ivschat_error_set_message(ngx_ivschat_error_t *error,
    ngx_ivschat_str_t s);


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
    "the quota is " ngx_ivschat_value(NGX_IVSCHAT_QUOTA) " tokens per "       \
    "second for an account and region: check what else uses this account"

#define NGX_IVSCHAT_STS_KEY                                                   \
    "the credentials used to assume the role are invalid: check their source"
#define NGX_IVSCHAT_STS_SIGNATURE                                             \
    "the secret access key used to assume the role, or the clock of this "    \
    "host is wrong"
#define NGX_IVSCHAT_STS_EXPIRED                                               \
    "the credentials used to assume the role have expired: check that their " \
    "source renews them"
#define NGX_IVSCHAT_STS_FILE                                                  \
    "the token in the web identity token file has expired: check what "       \
    "renews the file"
#define NGX_IVSCHAT_STS_THROTTLING                                            \
    "STS throttles the account: check what else assumes roles in it in this " \
    "region"

#define ngx_ivschat_row(code, kind, remedy, sts)                              \
    { code, kind, remedy, sts, NULL }
#define ngx_ivschat_chat(code, kind, remedy)                                  \
    ngx_ivschat_row(code, kind, remedy, "")
#define ngx_ivschat_sts(code, remedy)                                         \
    ngx_ivschat_row(code, 0, "", remedy)
#define ngx_ivschat_transient(code)                                           \
    ngx_ivschat_row(code, NGX_IVSCHAT_ERROR_TRANSIENT, "", "")
#define ngx_ivschat_clock(code)                                               \
    ngx_ivschat_row(code, NGX_IVSCHAT_ERROR_CLOCK, NGX_IVSCHAT_REMEDY_CLOCK,  \
                    NGX_IVSCHAT_REMEDY_CLOCK)
#define ngx_ivschat_throttling(code)                                          \
    ngx_ivschat_row(code, NGX_IVSCHAT_ERROR_THROTTLING,                       \
                    NGX_IVSCHAT_REMEDY_THROTTLING, NGX_IVSCHAT_STS_THROTTLING)
#define ngx_ivschat_expired(code)                                             \
    { code, NGX_IVSCHAT_ERROR_EXPIRED, NGX_IVSCHAT_REMEDY_EXPIRED,            \
      NGX_IVSCHAT_STS_EXPIRED, NGX_IVSCHAT_STS_FILE }


static const ngx_ivschat_error_row_t  ngx_ivschat_error_rows[] = {

    /* errors of CreateChatToken */

    ngx_ivschat_chat("AccessDeniedException", NGX_IVSCHAT_ERROR_CLOCK,
      "allow the IAM action ivschat:CreateChatToken on this room to the "
      "credentials in use"),
    ngx_ivschat_chat("PendingVerification", 0,
      "the AWS account is still being verified: contact AWS support"),
    ngx_ivschat_chat("ResourceNotFoundException", NGX_IVSCHAT_ERROR_NO_ROOM,
      "the room does not exist in that account and region"),
    ngx_ivschat_chat("ValidationException", 0,
      "a value of the request is outside AWS's limits: check room, user, "
      "capabilities, session duration and attributes"),

    /* credentials, signature, clock, path */

    ngx_ivschat_row("UnrecognizedClientException", 0, NGX_IVSCHAT_REMEDY_KEY,
                    NGX_IVSCHAT_STS_KEY),
    ngx_ivschat_row("InvalidClientTokenId", 0, NGX_IVSCHAT_REMEDY_KEY,
                    NGX_IVSCHAT_STS_KEY),
    ngx_ivschat_expired("ExpiredTokenException"),
    ngx_ivschat_expired("ExpiredToken"),
    ngx_ivschat_chat("InvalidToken", NGX_IVSCHAT_ERROR_EXPIRED,
                     NGX_IVSCHAT_REMEDY_EXPIRED),
    ngx_ivschat_chat("InvalidSignatureException", NGX_IVSCHAT_ERROR_CLOCK,
                     NGX_IVSCHAT_REMEDY_SIGNATURE),
    ngx_ivschat_row("SignatureDoesNotMatch", NGX_IVSCHAT_ERROR_CLOCK,
                    NGX_IVSCHAT_REMEDY_SIGNATURE, NGX_IVSCHAT_STS_SIGNATURE),
    ngx_ivschat_row("IncompleteSignature", 0, NGX_IVSCHAT_REMEDY_SIGNATURE,
                    NGX_IVSCHAT_STS_KEY),
    ngx_ivschat_chat("IncompleteSignatureException", 0,
                     NGX_IVSCHAT_REMEDY_SIGNATURE),
    ngx_ivschat_chat("AuthFailure", NGX_IVSCHAT_ERROR_CLOCK, ""),
    ngx_ivschat_clock("RequestExpired"),
    ngx_ivschat_clock("RequestTimeTooSkewed"),
    ngx_ivschat_clock("RequestInTheFuture"),
    ngx_ivschat_chat("MissingAuthenticationTokenException", 0,
                     NGX_IVSCHAT_REMEDY_PATH),
    ngx_ivschat_chat("UnknownOperationException", 0, NGX_IVSCHAT_REMEDY_PATH),

    /* errors of STS */

    { "AccessDenied", 0, "",
      "allow sts:AssumeRole on the role to the credentials in use, in their "
      "policy and in the role's trust policy; check role, external id and "
      "account",
      "allow sts:AssumeRoleWithWebIdentity to this identity provider in the "
      "role's trust policy, with the audience and subject of the token" },
    ngx_ivschat_sts("RegionDisabledException",
      "STS is not active in this region for the account: activate it in the "
      "account settings of IAM, or set another region"),
    ngx_ivschat_sts("MalformedPolicyDocument",
      "the trust policy of the role is malformed"),
    ngx_ivschat_sts("PackedPolicyTooLarge",
      "the session policies and tags of the identity provider are too large"),
    ngx_ivschat_sts("ValidationError",
      "a parameter is outside AWS's limits: check role, session name, "
      "external id, and duration against the role's maximum session duration "
      "(one hour for a role that is assumed by another one)"),
    ngx_ivschat_sts("MissingAuthenticationToken", NGX_IVSCHAT_STS_KEY),
    ngx_ivschat_sts("OptInRequired",
      "the AWS account is not signed up for STS"),
    ngx_ivschat_sts("InvalidAction",
      "the answer does not come from AWS STS: check the region and "
      "AWS_ENDPOINT_URL_STS"),
    ngx_ivschat_sts("IDPRejectedClaim",
      "the identity provider rejected the token: it is revoked, or its claims "
      "are wrong"),
    ngx_ivschat_row("IDPCommunicationError", NGX_IVSCHAT_ERROR_TRANSIENT, "",
      "STS cannot reach the identity provider: its discovery document and "
      "keys must be open to the internet"),
    ngx_ivschat_row("InvalidIdentityToken", NGX_IVSCHAT_ERROR_TRANSIENT, "",
      "STS cannot verify the token: check that IAM has an OIDC provider for "
      "its issuer and audience, and that the file is the right one"),

    /* AWS's SDKs retry these with any status */

    ngx_ivschat_transient("RequestTimeout"),
    ngx_ivschat_transient("RequestTimeoutException"),
    ngx_ivschat_transient("TimeoutError"),

    ngx_ivschat_throttling("BandwidthLimitExceeded"),
    ngx_ivschat_throttling("EC2ThrottledException"),
    ngx_ivschat_throttling("LimitExceededException"),
    ngx_ivschat_throttling("PriorRequestNotComplete"),
    ngx_ivschat_throttling("ProvisionedThroughputExceededException"),
    ngx_ivschat_throttling("RequestLimitExceeded"),
    ngx_ivschat_throttling("RequestThrottled"),
    ngx_ivschat_throttling("RequestThrottledException"),
    ngx_ivschat_throttling("SlowDown"),
    ngx_ivschat_throttling("ThrottledException"),
    ngx_ivschat_throttling("Throttling"),
    ngx_ivschat_throttling("ThrottlingException"),
    ngx_ivschat_throttling("TooManyRequestsException"),
    ngx_ivschat_throttling("TransactionInProgressException"),

    { NULL, 0, NULL, NULL, NULL }
};


static const ngx_ivschat_error_row_t  ngx_ivschat_error_429 =
    ngx_ivschat_throttling("");
static const ngx_ivschat_error_row_t  ngx_ivschat_error_404 =
    ngx_ivschat_chat("", 0, NGX_IVSCHAT_REMEDY_PATH);
static const ngx_ivschat_error_row_t  ngx_ivschat_error_other =
    ngx_ivschat_chat("", 0, "");


void
ngx_ivschat_error_parse(ngx_ivschat_str_t errortype, const char *body,
    size_t len, ngx_ivschat_error_t *error)
{
    size_t              i;
    cJSON              *object;
    const char         *reason;
    const cJSON        *item;
    ngx_ivschat_str_t   message, text = { body, len };

    ngx_ivschat_json_member_t  inner = { "Error", NULL };
    ngx_ivschat_json_member_t  codes[] = {
        { "code", NULL }, { "Code", NULL }, { "__type", NULL }
    };
    ngx_ivschat_json_member_t  messages[] = {
        { "message", NULL }, { "Message", NULL }
    };

    memset(error, 0, sizeof(ngx_ivschat_error_t));

    (void) ngx_ivschat_error_set_code(error, errortype);

    object = ngx_ivschat_json_object(text, NGX_IVSCHAT_ANSWER_DEPTH, &reason);
    if (object == NULL) {
        return;
    }

    (void) ngx_ivschat_json_members(object, &inner, 1);

    item = cJSON_IsObject(inner.item) ? inner.item : object;

    (void) ngx_ivschat_json_members(item, codes, 3);
    (void) ngx_ivschat_json_members(item, messages, 2);

    for (i = 0; i < 3 && error->code[0] == '\0'; i++) {
        (void) ngx_ivschat_error_set_code(error,
                                       ngx_ivschat_json_text(codes[i].item));
    }

    message = ngx_ivschat_json_text(messages[0].item);

    if (message.len == 0) {
        message = ngx_ivschat_json_text(messages[1].item);
    }

    ngx_ivschat_error_set_message(error, message);

    ngx_ivschat_json_delete(object);
}


/*
 * The forms of restJson1: "Error", "Error:http://...", "ns#Error",
 * "ns#Error:http://...", and lists of them.
 */

static int
ngx_ivschat_error_set_code(ngx_ivschat_error_t *error, ngx_ivschat_str_t s)
{
    ngx_ivschat_str_t  code, ns;

    code = ngx_ivschat_str_cut(&s, ',');
    code = ngx_ivschat_str_cut(&code, ':');
    s = code;
    ns = ngx_ivschat_str_cut(&s, '#');

    if (ns.len != code.len) {
        code = s;
    }

    code = ngx_ivschat_str_trim(code, " ");

    if (code.len == 0 || code.len >= sizeof(error->code)
        || !ngx_ivschat_str_only(code, NGX_IVSCHAT_VISIBLE))
    {
        return -1;
    }

    (void) ngx_ivschat_str_copy(error->code, code);

    return 0;
}


/* AWS answers an invalid signature with the canonical request. */

static void
ngx_ivschat_error_set_message(ngx_ivschat_error_t *error, ngx_ivschat_str_t s)
{
    char  *p;

    ngx_ivschat_str_printable(error->message, sizeof(error->message), s);

    /* cut before the session token */

    p = strstr(error->message, "x-amz-security-token:");

    if (p != NULL) {
        *p = '\0';
    }
}


ngx_ivschat_result_e
ngx_ivschat_result_of_aws(unsigned status, const char *code)
{
    unsigned  kind;

    /* the service has no redirects and no other success than 200 */

    if (status < 400 || status > 599) {
        return NGX_IVSCHAT_BAD_RESPONSE;
    }

    kind = ngx_ivschat_error_row(status, code)->kind;

    if (kind & NGX_IVSCHAT_ERROR_THROTTLING) {
        return NGX_IVSCHAT_THROTTLED;
    }

    if (status >= 500) {
        return NGX_IVSCHAT_UNAVAILABLE;
    }

    /*
     * A 404 without the code does not concern a room: the path or host of the
     * internal location is wrong.
     */

    return kind & NGX_IVSCHAT_ERROR_NO_ROOM ? NGX_IVSCHAT_ROOM_NOT_FOUND
                                            : NGX_IVSCHAT_REJECTED;
}


ngx_ivschat_retry_e
ngx_ivschat_retry_class(unsigned status, const char *code)
{
    unsigned  kind;

    if (status == 0) {
        return NGX_IVSCHAT_RETRY_TRANSIENT;
    }

    if (status < 400) {
        return NGX_IVSCHAT_RETRY_NEVER;
    }

    kind = ngx_ivschat_error_row(status, code)->kind;

    if (kind & NGX_IVSCHAT_ERROR_THROTTLING) {
        return NGX_IVSCHAT_RETRY_THROTTLING;
    }

    return (kind & NGX_IVSCHAT_ERROR_TRANSIENT)
           || status == 500 || status == 502 || status == 503 || status == 504
           ? NGX_IVSCHAT_RETRY_TRANSIENT : NGX_IVSCHAT_RETRY_NEVER;
}


int
ngx_ivschat_expired_credentials(const char *code)
{
    return (ngx_ivschat_error_row(0, code)->kind & NGX_IVSCHAT_ERROR_EXPIRED)
           != 0;
}


int
ngx_ivschat_skew_code(const char *code)
{
    return (ngx_ivschat_error_row(0, code)->kind & NGX_IVSCHAT_ERROR_CLOCK)
           != 0;
}


const char *
ngx_ivschat_remedy(unsigned status, const char *code)
{
    return ngx_ivschat_error_row(status, code)->remedy;
}


const char *
ngx_ivschat_sts_remedy(int web, unsigned status, const char *code)
{
    const ngx_ivschat_error_row_t  *row;

    row = ngx_ivschat_error_row(status, code);

    return web && row->web != NULL ? row->web : row->sts;
}


/* Never NULL: without a row for the code, the status decides. */

static const ngx_ivschat_error_row_t *
ngx_ivschat_error_row(unsigned status, const char *code)
{
    const ngx_ivschat_error_row_t  *row;

    for (row = ngx_ivschat_error_rows; row->code; row++) {
        if (strcmp(code, row->code) == 0) {
            return row;
        }
    }

    if (status == 429) {
        return &ngx_ivschat_error_429;
    }

    return status == 404 && code[0] == '\0' ? &ngx_ivschat_error_404
                                            : &ngx_ivschat_error_other;
}
