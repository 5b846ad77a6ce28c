
/*
 * AWS STS: AssumeRole and AssumeRoleWithWebIdentity.
 */


#include "ngx_ivschat_sts.h"
#include "ngx_ivschat_result.h"
#include "ngx_ivschat_xml.h"

#include <stdarg.h>
#include <stdio.h>


#define NGX_IVSCHAT_ACCOUNT_MARK  "::"


/* A bounded writer: once something did not fit, nothing more is written. */

typedef struct {
    char   *start;
    char   *pos;
    char   *end;
    int     full;
} ngx_ivschat_sts_out_t;


typedef struct {
    const char                  *root;
    ngx_ivschat_credentials_t   *creds;
    unsigned                     seen;         /* fields, a bit for each */
    int                          root_seen;
    char                         field[32];    /* that is at fault */
} ngx_ivschat_sts_answer_t;

typedef struct {
    const char   *code;
    const char   *text;
} ngx_ivschat_sts_remedy_t;


static int ngx_ivschat_sts_word(ngx_ivschat_str_t s, const char *others);
static ngx_ivschat_str_t ngx_ivschat_sts_trim(ngx_ivschat_str_t s);
static int ngx_ivschat_sts_take(ngx_ivschat_str_t *s, const char *prefix);
static int ngx_ivschat_sts_blank(char c);
static void ngx_ivschat_sts_put(ngx_ivschat_sts_out_t *out, const void *data,
    size_t len);
static void ngx_ivschat_sts_put_parameter(ngx_ivschat_sts_out_t *out,
    const char *name, ngx_ivschat_str_t value);
static const char *ngx_ivschat_sts_check(const ngx_ivschat_sts_request_t *req,
    const char **parameter);
static int ngx_ivschat_sts_refuse(char *reason, size_t size, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

static const char *ngx_ivschat_sts_leaf(void *data, const char *path,
    ngx_ivschat_str_t text);
static const char *ngx_ivschat_sts_set(ngx_ivschat_sts_answer_t *answer,
    size_t field, ngx_ivschat_str_t text);
static void ngx_ivschat_sts_set_account(ngx_ivschat_credentials_t *creds,
    ngx_ivschat_str_t arn);
static int ngx_ivschat_sts_check_answer(ngx_ivschat_sts_answer_t *answer,
    char *reason, size_t size);
static const char *ngx_ivschat_sts_error_leaf(void *data, const char *path,
    ngx_ivschat_str_t text);
static void ngx_ivschat_sts_set_message(ngx_ivschat_error_t *error,
    ngx_ivschat_str_t text);
static size_t ngx_ivschat_sts_code_point(ngx_ivschat_str_t s);


static const char  *ngx_ivschat_sts_roots[] = {
    "/AssumeRoleResponse/AssumeRoleResult/",
    "/AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/"
};


#define NGX_IVSCHAT_STS_ACCESS_KEY      0
#define NGX_IVSCHAT_STS_SECRET_KEY      1
#define NGX_IVSCHAT_STS_SESSION_TOKEN   2
#define NGX_IVSCHAT_STS_EXPIRATION      3
#define NGX_IVSCHAT_STS_ARN             4
#define NGX_IVSCHAT_STS_REQUIRED        4      /* all before this one */

static const char  *ngx_ivschat_sts_fields[] = {
    "Credentials/AccessKeyId",
    "Credentials/SecretAccessKey",
    "Credentials/SessionToken",
    "Credentials/Expiration",
    "AssumedRoleUser/Arn",
    NULL
};


#define NGX_IVSCHAT_STS_REMEDY_CLOCK                                          \
    "the clock of this host is wrong: check its time synchronization"

#define NGX_IVSCHAT_STS_REMEDY_KEY                                            \
    "the credentials that the role is assumed with are not valid: check "     \
    "their source"

#define NGX_IVSCHAT_STS_REMEDY_EXPIRED                                        \
    "the credentials that the role is assumed with have expired: check "      \
    "that their source renews them"


static const ngx_ivschat_sts_remedy_t  ngx_ivschat_sts_remedies[] = {
    { "AccessDenied",
      "allow sts:AssumeRole on the role to the credentials in use, and these "
      "in the trust policy of the role; check role, external id and account" },
    { "RegionDisabledException",
      "STS is not active in this region for the account: activate it in the "
      "account settings of IAM, or set another region" },
    { "MalformedPolicyDocument", "the trust policy of the role is malformed" },
    { "PackedPolicyTooLarge",
      "the session policies and tags of the identity provider are too large" },
    { "ValidationError",
      "a parameter is outside AWS's limits: check role, session name, "
      "external id, and duration against the role's maximum session duration "
      "(one hour for a role that is assumed by another one)" },
    { "InvalidClientTokenId", NGX_IVSCHAT_STS_REMEDY_KEY },
    { "UnrecognizedClientException", NGX_IVSCHAT_STS_REMEDY_KEY },
    { "SignatureDoesNotMatch",
      "the secret access key that the role is assumed with is wrong, or the "
      "clock of this host is" },
    { "IncompleteSignature", NGX_IVSCHAT_STS_REMEDY_KEY },
    { "MissingAuthenticationToken", NGX_IVSCHAT_STS_REMEDY_KEY },
    { "OptInRequired", "the AWS account is not signed up for STS" },
    { "RequestExpired", NGX_IVSCHAT_STS_REMEDY_CLOCK },
    { "RequestTimeTooSkewed", NGX_IVSCHAT_STS_REMEDY_CLOCK },
    { "RequestInTheFuture", NGX_IVSCHAT_STS_REMEDY_CLOCK },
    { "ExpiredToken", NGX_IVSCHAT_STS_REMEDY_EXPIRED },
    { "ExpiredTokenException", NGX_IVSCHAT_STS_REMEDY_EXPIRED },
    { "InvalidAction",
      "what answers is not AWS STS: check the region and AWS_ENDPOINT_URL_STS"
    },
    { NULL, NULL }
};


/* What means something else, or occurs only, with a web identity. */

static const ngx_ivschat_sts_remedy_t  ngx_ivschat_sts_web_remedies[] = {
    { "AccessDenied",
      "allow sts:AssumeRoleWithWebIdentity in the trust policy of the role to "
      "this identity provider, with the audience and the subject that the "
      "token has" },
    { "ExpiredToken",
      "the token in the web identity token file has expired: check what "
      "renews the file" },
    { "ExpiredTokenException",
      "the token in the web identity token file has expired: check what "
      "renews the file" },
    { "IDPCommunicationError",
      "STS cannot reach the identity provider: its discovery document and "
      "keys must be open to the internet" },
    { "IDPRejectedClaim",
      "the identity provider rejected the token: it is revoked, or its claims "
      "are wrong" },
    { "InvalidIdentityToken",
      "STS cannot verify the token: check that IAM has an OIDC provider for "
      "its issuer and audience, and that the file is the right one" },
    { NULL, NULL }
};


const char *
ngx_ivschat_sts_check_role(ngx_ivschat_str_t s)
{
    char    c;
    size_t  i;

    if (s.len < 20 || s.len > NGX_IVSCHAT_ROLE_ARN_MAX) {
        return "the ARN of a role has 20 to 2048 characters";
    }

    if (ngx_ivschat_sts_take(&s, "arn:aws") != 0) {
        return "the ARN of a role begins with \"arn:aws\"";
    }

    /* the rest of the partition's name */

    for (i = 0; i < s.len && s.data[i] != ':'; i++) {
        c = s.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')
            || (i == 0 && c != '-'))
        {
            return "it is in no partition of AWS";
        }
    }

    s.data += i;
    s.len -= i;

    if (ngx_ivschat_sts_take(&s, ":sts::") == 0) {
        return "it is the ARN of a session: give that of the role, "
               "arn:aws:iam::ACCOUNT:role/NAME";
    }

    if (ngx_ivschat_sts_take(&s, ":iam::") != 0) {
        return "the ARN of a role has \":iam::\" behind the partition";
    }

    for (i = 0; i < NGX_IVSCHAT_ACCOUNT_LEN; i++) {
        if (i >= s.len || s.data[i] < '0' || s.data[i] > '9') {
            return "an account is 12 digits";
        }
    }

    s.data += i;
    s.len -= i;

    if (ngx_ivschat_sts_take(&s, ":role/") != 0) {
        return "\":role/\" must follow 12 digits of account";
    }

    if (s.len == 0 || s.data[s.len - 1] == '/'
        || !ngx_ivschat_sts_word(s, "+=,.@-/"))
    {
        return "it has no valid name of a role";
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_session_name(ngx_ivschat_str_t name)
{
    if (name.len < 2 || name.len > NGX_IVSCHAT_SESSION_NAME_MAX) {
        return "a session name has 2 to 64 characters";
    }

    if (!ngx_ivschat_sts_word(name, "+=,.@-")) {
        return "a session name has only letters, digits and \"_+=,.@-\"";
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_external_id(ngx_ivschat_str_t id)
{
    if (id.len < 2 || id.len > NGX_IVSCHAT_EXTERNAL_ID_MAX) {
        return "an external id has 2 to 1224 characters";
    }

    if (!ngx_ivschat_sts_word(id, "+=,.@:/-")) {
        return "an external id has only letters, digits and \"_+=,.@:/-\"";
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_web_token(ngx_ivschat_str_t token)
{
    size_t  i;

    token = ngx_ivschat_sts_trim(token);

    if (token.len < 4 || token.len > NGX_IVSCHAT_WEB_TOKEN_MAX) {
        return "a web identity token has 4 to 20000 characters";
    }

    for (i = 0; i < token.len; i++) {
        if (token.data[i] <= ' ' || token.data[i] >= 0x7f) {
            return "a web identity token is visible ASCII in one line";
        }
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_duration(unsigned duration)
{
    if (duration < NGX_IVSCHAT_ROLE_DURATION_MIN
        || duration > NGX_IVSCHAT_ROLE_DURATION_MAX)
    {
        return "the duration of a role's session is 900 to 43200 seconds";
    }

    return NULL;
}


size_t
ngx_ivschat_sts_session_name(ngx_ivschat_str_t hostname,
    char name[NGX_IVSCHAT_SESSION_NAME_MAX + 1])
{
    size_t             i, len;
    ngx_ivschat_str_t  c;

    len = sizeof("ivschat-") - 1;
    memcpy(name, "ivschat-", len);

    c.len = 1;

    for (i = 0; i < hostname.len && len < NGX_IVSCHAT_SESSION_NAME_MAX; i++) {
        c.data = &hostname.data[i];
        name[len++] = ngx_ivschat_sts_word(c, "+=,.@-") ? *c.data : '-';
    }

    name[len] = '\0';

    return len;
}


size_t
ngx_ivschat_sts_form_size(const ngx_ivschat_sts_request_t *req)
{
    /* three bytes for each at worst, and the names of all parameters */

    return 3 * (req->role_arn.len + req->session_name.len
                + req->external_id.len + req->web_token.len)
           + 256;
}


int
ngx_ivschat_sts_form(const ngx_ivschat_sts_request_t *req, char *buf,
    size_t size, size_t *len, char *reason, size_t reason_size)
{
    char                   number[16];
    const char            *why, *parameter;
    ngx_ivschat_str_t      s;
    ngx_ivschat_sts_out_t  out = { buf, buf, buf + size, 0 };

    static const ngx_ivschat_str_t  version = ngx_ivschat_string("2011-06-15");
    static const ngx_ivschat_str_t  actions[] = {
        ngx_ivschat_string("AssumeRole"),
        ngx_ivschat_string("AssumeRoleWithWebIdentity")
    };

    why = ngx_ivschat_sts_check(req, &parameter);

    if (why != NULL) {
        return ngx_ivschat_sts_refuse(reason, reason_size, "%s: %s",
                                      parameter, why);
    }

    ngx_ivschat_sts_put_parameter(&out, "Action", actions[req->action]);
    ngx_ivschat_sts_put_parameter(&out, "Version", version);
    ngx_ivschat_sts_put_parameter(&out, "RoleArn", req->role_arn);
    ngx_ivschat_sts_put_parameter(&out, "RoleSessionName", req->session_name);

    if (req->duration != 0) {
        s.data = number;
        s.len = (size_t) snprintf(number, sizeof(number), "%u", req->duration);
        ngx_ivschat_sts_put_parameter(&out, "DurationSeconds", s);
    }

    if (req->external_id.len != 0) {
        ngx_ivschat_sts_put_parameter(&out, "ExternalId", req->external_id);
    }

    if (req->action == NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY) {
        ngx_ivschat_sts_put_parameter(&out, "WebIdentityToken",
                                      ngx_ivschat_sts_trim(req->web_token));
    }

    if (out.full) {
        return ngx_ivschat_sts_refuse(reason, reason_size,
                                      "the buffer is too small");
    }

    *len = (size_t) (out.pos - out.start);

    return 0;
}


int
ngx_ivschat_sts_parse(ngx_ivschat_sts_action_e action, const char *body,
    size_t len, int64_t now, ngx_ivschat_credentials_t *creds, char *reason,
    size_t size)
{
    const char               *why;
    ngx_ivschat_error_t       error;
    ngx_ivschat_sts_answer_t  answer;

    ngx_ivschat_credentials_wipe(creds);

    memset(&answer, 0, sizeof(ngx_ivschat_sts_answer_t));
    answer.root = ngx_ivschat_sts_roots[action];
    answer.creds = creds;

    why = ngx_ivschat_xml_read(body, len, ngx_ivschat_sts_leaf, &answer);

    if (why != NULL) {
        ngx_ivschat_credentials_wipe(creds);
        return ngx_ivschat_sts_refuse(reason, size, "%s%s%s", why,
                                      answer.field[0] ? ": " : "",
                                      answer.field);
    }

    if (answer.root_seen == 0) {
        ngx_ivschat_sts_error_parse(body, len, &error);

        if (error.code[0]) {
            return ngx_ivschat_sts_refuse(reason, size, "the answer is an "
                                          "error, \"%s\"%s%s", error.code,
                                          error.message[0] ? ": " : "",
                                          error.message);
        }

        return ngx_ivschat_sts_refuse(reason, size, "the answer is XML, but "
                                      "not that of %s",
                                      action == NGX_IVSCHAT_ASSUME_ROLE
                                      ? "AssumeRole"
                                      : "AssumeRoleWithWebIdentity");
    }

    if (ngx_ivschat_sts_check_answer(&answer, reason, size) != 0) {
        ngx_ivschat_credentials_wipe(creds);
        return -1;
    }

    return ngx_ivschat_credentials_expired(creds, now, reason, size);
}


void
ngx_ivschat_sts_error_parse(const char *body, size_t len,
    ngx_ivschat_error_t *error)
{
    memset(error, 0, sizeof(ngx_ivschat_error_t));

    if (ngx_ivschat_xml_read(body, len, ngx_ivschat_sts_error_leaf, error)
        != NULL)
    {
        memset(error, 0, sizeof(ngx_ivschat_error_t));
    }
}


int
ngx_ivschat_sts_retryable(unsigned status, const char *code)
{
    if (ngx_ivschat_result_of_aws(status, code) == NGX_IVSCHAT_THROTTLED
        || strcmp(code, "IDPCommunicationError") == 0
        || strcmp(code, "InvalidIdentityToken") == 0
        || strcmp(code, "RequestTimeout") == 0
        || strcmp(code, "RequestTimeoutException") == 0)
    {
        return 1;
    }

    return status == 500 || status == 502 || status == 503 || status == 504;
}


const char *
ngx_ivschat_sts_remedy(ngx_ivschat_sts_action_e action, unsigned status,
    const char *code)
{
    const ngx_ivschat_sts_remedy_t  *remedy;

    if (action == NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY) {

        for (remedy = ngx_ivschat_sts_web_remedies; remedy->code; remedy++) {
            if (strcmp(code, remedy->code) == 0) {
                return remedy->text;
            }
        }
    }

    for (remedy = ngx_ivschat_sts_remedies; remedy->code; remedy++) {
        if (strcmp(code, remedy->code) == 0) {
            return remedy->text;
        }
    }

    if (ngx_ivschat_result_of_aws(status, code) == NGX_IVSCHAT_THROTTLED) {
        return "STS throttles the account: check what else assumes roles in "
               "it, in this region";
    }

    return "";
}


/* Whether all are letters, digits, "_" or one of the others. */

static int
ngx_ivschat_sts_word(ngx_ivschat_str_t s, const char *others)
{
    char    c;
    size_t  i;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
              || (c >= 'a' && c <= 'z') || c == '_'
              || (c != '\0' && strchr(others, c) != NULL)))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_ivschat_str_t
ngx_ivschat_sts_trim(ngx_ivschat_str_t s)
{
    while (s.len != 0 && ngx_ivschat_sts_blank(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && ngx_ivschat_sts_blank(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


/* Takes the prefix off, if it is there. */

static int
ngx_ivschat_sts_take(ngx_ivschat_str_t *s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    if (s->len < len || memcmp(s->data, prefix, len) != 0) {
        return -1;
    }

    s->data += len;
    s->len -= len;

    return 0;
}


static int
ngx_ivschat_sts_blank(char c)
{
    return  c == ' ' || c == '\t' || c == '\n' || c == '\r';
}


static void
ngx_ivschat_sts_put(ngx_ivschat_sts_out_t *out, const void *data, size_t len)
{
    if (out->full || (size_t) (out->end - out->pos) < len) {
        out->full = 1;
        return;
    }

    if (len != 0) {
        memcpy(out->pos, data, len);
        out->pos += len;
    }
}


/* &name=value, percent-encoded but for the unreserved of RFC 3986. */

static void
ngx_ivschat_sts_put_parameter(ngx_ivschat_sts_out_t *out, const char *name,
    ngx_ivschat_str_t value)
{
    char               encoded[3];
    size_t             i;
    unsigned char      byte;
    ngx_ivschat_str_t  c;

    static const char  hex[] = "0123456789ABCDEF";

    if (out->pos != out->start) {
        ngx_ivschat_sts_put(out, "&", 1);
    }

    ngx_ivschat_sts_put(out, name, strlen(name));
    ngx_ivschat_sts_put(out, "=", 1);

    c.len = 1;

    for (i = 0; i < value.len; i++) {
        c.data = &value.data[i];

        if (ngx_ivschat_sts_word(c, "-.~")) {
            ngx_ivschat_sts_put(out, c.data, 1);
            continue;
        }

        byte = (unsigned char) *c.data;
        encoded[0] = '%';
        encoded[1] = hex[byte >> 4];
        encoded[2] = hex[byte & 0xf];

        ngx_ivschat_sts_put(out, encoded, 3);
    }
}


static const char *
ngx_ivschat_sts_check(const ngx_ivschat_sts_request_t *req,
    const char **parameter)
{
    const char  *why;

    *parameter = "RoleArn";
    why = ngx_ivschat_sts_check_role(req->role_arn);

    if (why == NULL) {
        *parameter = "RoleSessionName";
        why = ngx_ivschat_sts_check_session_name(req->session_name);
    }

    if (why == NULL && req->duration != 0) {
        *parameter = "DurationSeconds";
        why = ngx_ivschat_sts_check_duration(req->duration);
    }

    if (why == NULL && req->external_id.len != 0) {
        *parameter = "ExternalId";
        why = req->action == NGX_IVSCHAT_ASSUME_ROLE
              ? ngx_ivschat_sts_check_external_id(req->external_id)
              : "a web identity has no external id";
    }

    if (why == NULL
        && req->action == NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY)
    {
        *parameter = "WebIdentityToken";
        why = ngx_ivschat_sts_check_web_token(req->web_token);
    }

    return why;
}


static int
ngx_ivschat_sts_refuse(char *reason, size_t size, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(reason, size, fmt, args);
    va_end(args);

    return -1;
}


static const char *
ngx_ivschat_sts_leaf(void *data, const char *path, ngx_ivschat_str_t text)
{
    size_t                     i, len;
    const char                *name, *why;
    ngx_ivschat_sts_answer_t  *answer;

    answer = data;
    len = strlen(answer->root);

    if (strncmp(path, answer->root, len) != 0) {
        return NULL;
    }

    answer->root_seen = 1;

    for (i = 0; ngx_ivschat_sts_fields[i] != NULL; i++) {

        if (strcmp(path + len, ngx_ivschat_sts_fields[i]) != 0) {
            continue;
        }

        if (answer->seen & (1u << i)) {
            why = "the answer has an element more than once";

        } else {
            answer->seen |= 1u << i;
            why = ngx_ivschat_sts_set(answer, i, text);
        }

        if (why != NULL) {
            name = strchr(ngx_ivschat_sts_fields[i], '/') + 1;
            (void) snprintf(answer->field, sizeof(answer->field), "%s", name);
        }

        return why;
    }

    return NULL;
}


/* White space around a value, as in AWS's own examples, is no part of it. */

static const char *
ngx_ivschat_sts_set(ngx_ivschat_sts_answer_t *answer, size_t field,
    ngx_ivschat_str_t text)
{
    int                         rc;
    char                        buf[NGX_IVSCHAT_ROLE_ARN_MAX + 1];
    ngx_ivschat_str_t           value;
    ngx_ivschat_credentials_t  *creds;

    creds = answer->creds;
    text = ngx_ivschat_sts_trim(text);
    value.data = buf;

    switch (field) {

    case NGX_IVSCHAT_STS_ACCESS_KEY:
        rc = ngx_ivschat_xml_decode(text, creds->access_key,
                                    sizeof(creds->access_key),
                                    &creds->access_key_len);
        break;

    case NGX_IVSCHAT_STS_SECRET_KEY:
        rc = ngx_ivschat_xml_decode(text, creds->secret_key,
                                    sizeof(creds->secret_key),
                                    &creds->secret_key_len);
        break;

    case NGX_IVSCHAT_STS_SESSION_TOKEN:
        rc = ngx_ivschat_xml_decode(text, creds->session_token,
                                    sizeof(creds->session_token),
                                    &creds->session_token_len);
        break;

    case NGX_IVSCHAT_STS_EXPIRATION:
        rc = ngx_ivschat_xml_decode(text, buf, sizeof(buf), &value.len);

        if (rc == 0 && ngx_ivschat_credentials_set_expiration(creds, value)
            != 0)
        {
            return "a time is not one of ISO 8601";
        }

        break;

    default: /* NGX_IVSCHAT_STS_ARN */
        rc = ngx_ivschat_xml_decode(text, buf, sizeof(buf), &value.len);

        if (rc == 0) {
            ngx_ivschat_sts_set_account(creds, value);
        }
    }

    return rc == 0 ? NULL : "a value is too long";
}


/* arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION */

static void
ngx_ivschat_sts_set_account(ngx_ivschat_credentials_t *creds,
    ngx_ivschat_str_t arn)
{
    const char        *p;
    ngx_ivschat_str_t  account;

    p = strstr(arn.data, NGX_IVSCHAT_ACCOUNT_MARK);

    if (p == NULL) {
        return;
    }

    account.data = p + sizeof(NGX_IVSCHAT_ACCOUNT_MARK) - 1;
    account.len = strcspn(account.data, ":");

    ngx_ivschat_credentials_set_account(creds, account);
}


static int
ngx_ivschat_sts_check_answer(ngx_ivschat_sts_answer_t *answer, char *reason,
    size_t size)
{
    size_t                           i;
    const char                      *why, *name;
    ngx_ivschat_str_t                access_key, secret_key, session_token;
    ngx_ivschat_credentials_t       *creds;
    ngx_ivschat_credentials_field_e  field;

    creds = answer->creds;

    for (i = 0; i < NGX_IVSCHAT_STS_REQUIRED; i++) {
        name = strchr(ngx_ivschat_sts_fields[i], '/') + 1;

        if (!(answer->seen & (1u << i))) {
            return ngx_ivschat_sts_refuse(reason, size, "there is no %s in the "
                                          "answer", name);
        }
    }

    access_key.data = creds->access_key;
    access_key.len = creds->access_key_len;
    secret_key.data = creds->secret_key;
    secret_key.len = creds->secret_key_len;
    session_token.data = creds->session_token;
    session_token.len = creds->session_token_len;

    why = ngx_ivschat_credentials_check(access_key, secret_key, session_token,
                                        &field);

    if (why == NULL && session_token.len == 0) {
        field = NGX_IVSCHAT_SESSION_TOKEN;
        why = "it is missing";
    }

    if (why != NULL) {
        name = strchr(ngx_ivschat_sts_fields[field], '/') + 1;
        return ngx_ivschat_sts_refuse(reason, size, "%s of the answer cannot "
                                      "be used: %s", name, why);
    }

    return 0;
}


static const char *
ngx_ivschat_sts_error_leaf(void *data, const char *path, ngx_ivschat_str_t text)
{
    size_t                i, len;
    ngx_ivschat_error_t  *error;

    error = data;
    text = ngx_ivschat_sts_trim(text);

    if (strcmp(path, "/ErrorResponse/Error/Message") == 0) {
        ngx_ivschat_sts_set_message(error, text);
        return NULL;
    }

    if (strcmp(path, "/ErrorResponse/Error/Code") != 0
        || text.len == 0 || text.len >= sizeof(error->code))
    {
        return NULL;
    }

    /* what could spoil a log line is no code at all */

    for (i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f) {
            return NULL;
        }
    }

    if (ngx_ivschat_xml_decode(text, error->code, sizeof(error->code), &len)
        != 0)
    {
        error->code[0] = '\0';
    }

    for (i = 0; error->code[i]; i++) {
        if (error->code[i] <= ' ' || error->code[i] >= 0x7f) {
            error->code[0] = '\0';
        }
    }

    return NULL;
}


/* A document that is read is UTF-8, and so are its references, decoded. */

static void
ngx_ivschat_sts_set_message(ngx_ivschat_error_t *error, ngx_ivschat_str_t text)
{
    char              *p, *end, utf8[4];
    size_t             n, len;
    ngx_ivschat_str_t  c;

    p = error->message;
    end = error->message + sizeof(error->message) - 1;

    while (text.len != 0) {

        if (*text.data == '&') {
            n = ngx_ivschat_xml_reference(text, utf8, &len);
            c.data = utf8;
            c.len = len;

        } else {
            n = ngx_ivschat_sts_code_point(text);
            c.data = text.data;
            c.len = n;
        }

        /* a code point is written whole or not at all */

        if (n == 0 || (size_t) (end - p) < c.len) {
            break;
        }

        if (c.len == 1 && (*c.data < ' ' || *c.data == 0x7f)) {
            *p++ = ' ';

        } else if (c.len == 2 && memcmp(c.data, "\xc2\x80", 2) >= 0
                   && memcmp(c.data, "\xc2\xa0", 2) < 0)
        {
            *p++ = ' ';                /* a control of C1 */

        } else {
            memcpy(p, c.data, c.len);
            p += c.len;
        }

        text.data += n;
        text.len -= n;
    }

    *p = '\0';

    /*
     * For a bad signature AWS's message repeats the canonical request, and
     * with it the session token: that must not reach a log.
     */

    p = strstr(error->message, "x-amz-security-token:");

    if (p != NULL) {
        *p = '\0';
    }
}


/* The bytes of the code point that s begins with. */

static size_t
ngx_ivschat_sts_code_point(ngx_ivschat_str_t s)
{
    ngx_ivschat_str_t  c;

    c.data = s.data;

    for (c.len = 1; c.len <= 4 && c.len <= s.len; c.len++) {
        if (ngx_ivschat_utf8_length(c) == 1) {
            return c.len;
        }
    }

    return 0;
}
