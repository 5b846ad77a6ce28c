
/*
 * AWS STS: AssumeRole and AssumeRoleWithWebIdentity.
 */


#include "ngx_ivschat_sts.h"

#include <stdio.h>


#define NGX_IVSCHAT_STS_WORD                                                  \
    NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS "_+=,.@-"

#define NGX_IVSCHAT_STS_UNRESERVED                                            \
    NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS "-._~"

/* For a limit with _MIN and _MAX: whether n is within, and the reason if not */

#define ngx_ivschat_sts_within(n, limit)                                      \
    ((n) >= limit ## _MIN && (n) <= limit ## _MAX)

#define ngx_ivschat_sts_range(what, limit, unit)                              \
    what " " ngx_ivschat_value(limit ## _MIN) " to "                          \
    ngx_ivschat_value(limit ## _MAX) " " unit


/* A form while it is written: after the first failure nothing is added. */

typedef struct {
    ngx_ivschat_out_t   *out;
    char                *reason;
    size_t               size;
    int                  rc;
} ngx_ivschat_sts_form_t;


/* What to do about a code; web is NULL if it is the same there. */

typedef struct {
    const char   *code;
    const char   *remedy;
    const char   *web;                 /* for a web identity */
} ngx_ivschat_sts_remedy_t;


static void ngx_ivschat_sts_put(ngx_ivschat_sts_form_t *form, const char *name,
    ngx_ivschat_str_t value, const char *why);


#define NGX_IVSCHAT_STS_REMEDY_CLOCK                                          \
    "the clock of this host is wrong: check its time synchronization"

#define NGX_IVSCHAT_STS_REMEDY_KEY                                            \
    "the credentials that the role is assumed with are not valid: check "     \
    "their source"

#define NGX_IVSCHAT_STS_REMEDY_EXPIRED                                        \
    "the credentials that the role is assumed with have expired: check "      \
    "that their source renews them"

#define NGX_IVSCHAT_STS_REMEDY_FILE                                           \
    "the token in the web identity token file has expired: check what "       \
    "renews the file"


static const ngx_ivschat_sts_remedy_t  ngx_ivschat_sts_remedies[] = {
    { "AccessDenied",
      "allow sts:AssumeRole on the role to the credentials in use, and these "
      "in the trust policy of the role; check role, external id and account",
      "allow sts:AssumeRoleWithWebIdentity in the trust policy of the role to "
      "this identity provider, with the audience and the subject that the "
      "token has" },
    { "RegionDisabledException",
      "STS is not active in this region for the account: activate it in the "
      "account settings of IAM, or set another region", NULL },
    { "MalformedPolicyDocument",
      "the trust policy of the role is malformed", NULL },
    { "PackedPolicyTooLarge",
      "the session policies and tags of the identity provider are too "
      "large", NULL },
    { "ValidationError",
      "a parameter is outside AWS's limits: check role, session name, "
      "external id, and duration against the role's maximum session duration "
      "(one hour for a role that is assumed by another one)", NULL },
    { "InvalidClientTokenId", NGX_IVSCHAT_STS_REMEDY_KEY, NULL },
    { "UnrecognizedClientException", NGX_IVSCHAT_STS_REMEDY_KEY, NULL },
    { "SignatureDoesNotMatch",
      "the secret access key that the role is assumed with is wrong, or the "
      "clock of this host is", NULL },
    { "IncompleteSignature", NGX_IVSCHAT_STS_REMEDY_KEY, NULL },
    { "MissingAuthenticationToken", NGX_IVSCHAT_STS_REMEDY_KEY, NULL },
    { "OptInRequired",
      "the AWS account is not signed up for STS", NULL },
    { "RequestExpired", NGX_IVSCHAT_STS_REMEDY_CLOCK, NULL },
    { "RequestTimeTooSkewed", NGX_IVSCHAT_STS_REMEDY_CLOCK, NULL },
    { "RequestInTheFuture", NGX_IVSCHAT_STS_REMEDY_CLOCK, NULL },
    { "ExpiredToken",
      NGX_IVSCHAT_STS_REMEDY_EXPIRED, NGX_IVSCHAT_STS_REMEDY_FILE },
    { "ExpiredTokenException",
      NGX_IVSCHAT_STS_REMEDY_EXPIRED, NGX_IVSCHAT_STS_REMEDY_FILE },
    { "InvalidAction",
      "what answers is not AWS STS: check the region and "
      "AWS_ENDPOINT_URL_STS", NULL },
    { "IDPCommunicationError",
      "STS cannot reach the identity provider: its discovery document and "
      "keys must be open to the internet", NULL },
    { "IDPRejectedClaim",
      "the identity provider rejected the token: it is revoked, or its claims "
      "are wrong", NULL },
    { "InvalidIdentityToken",
      "STS cannot verify the token: check that IAM has an OIDC provider for "
      "its issuer and audience, and that the file is the right one", NULL },
    { NULL, NULL, NULL }
};


const char *
ngx_ivschat_sts_check_role(ngx_ivschat_str_t s)
{
    ngx_ivschat_str_t  partition, account;

    if (!ngx_ivschat_sts_within(s.len, NGX_IVSCHAT_ROLE_ARN)) {
        return ngx_ivschat_sts_range("the ARN of a role has",
                                     NGX_IVSCHAT_ROLE_ARN, "characters");
    }

    if (!ngx_ivschat_str_skip(&s, "arn:aws")) {
        return "the ARN of a role begins with \"arn:aws\"";
    }

    partition = ngx_ivschat_str_cut(&s, ':');

    if (!ngx_ivschat_str_only(partition, NGX_IVSCHAT_LOWER
                                         NGX_IVSCHAT_DIGITS "-")
        || (partition.len != 0 && partition.data[0] != '-'))
    {
        return "it is in no partition of AWS";
    }

    if (ngx_ivschat_str_skip(&s, "sts::")) {
        return "it is the ARN of a session: give that of the role, "
               "arn:aws:iam::ACCOUNT:role/NAME";
    }

    if (!ngx_ivschat_str_skip(&s, "iam::")) {
        return "the ARN of a role has \":iam::\" behind the partition";
    }

    account = ngx_ivschat_str_cut(&s, ':');

    if (account.len != NGX_IVSCHAT_ACCOUNT_LEN
        || !ngx_ivschat_str_only(account, NGX_IVSCHAT_DIGITS))
    {
        return "an account is " ngx_ivschat_value(NGX_IVSCHAT_ACCOUNT_LEN)
               " digits";
    }

    if (!ngx_ivschat_str_skip(&s, "role/")) {
        return "\":role/\" must follow "
               ngx_ivschat_value(NGX_IVSCHAT_ACCOUNT_LEN)
               " digits of account";
    }

    if (s.len == 0 || s.data[s.len - 1] == '/'
        || !ngx_ivschat_str_only(s, NGX_IVSCHAT_STS_WORD "/"))
    {
        return "it has no valid name of a role";
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_session_name(ngx_ivschat_str_t name)
{
    if (!ngx_ivschat_sts_within(name.len, NGX_IVSCHAT_SESSION_NAME)) {
        return ngx_ivschat_sts_range("a session name has",
                                     NGX_IVSCHAT_SESSION_NAME, "characters");
    }

    if (!ngx_ivschat_str_only(name, NGX_IVSCHAT_STS_WORD)) {
        return "a session name has only letters, digits and \"_+=,.@-\"";
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_external_id(ngx_ivschat_str_t id)
{
    if (!ngx_ivschat_sts_within(id.len, NGX_IVSCHAT_EXTERNAL_ID)) {
        return ngx_ivschat_sts_range("an external id has",
                                     NGX_IVSCHAT_EXTERNAL_ID, "characters");
    }

    if (!ngx_ivschat_str_only(id, NGX_IVSCHAT_STS_WORD ":/")) {
        return "an external id has only letters, digits and \"_+=,.@:/-\"";
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_web_token(ngx_ivschat_str_t token)
{
    if (!ngx_ivschat_sts_within(token.len, NGX_IVSCHAT_WEB_TOKEN)) {
        return ngx_ivschat_sts_range("a web identity token has",
                                     NGX_IVSCHAT_WEB_TOKEN, "characters");
    }

    if (!ngx_ivschat_str_only(token, NGX_IVSCHAT_VISIBLE)) {
        return "a web identity token is visible ASCII in one line";
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_duration(unsigned duration)
{
    if (!ngx_ivschat_sts_within(duration, NGX_IVSCHAT_ROLE_DURATION)) {
        return ngx_ivschat_sts_range("the duration of a role's session is",
                                     NGX_IVSCHAT_ROLE_DURATION, "seconds");
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
        name[len++] = ngx_ivschat_str_only(c, NGX_IVSCHAT_STS_WORD) ? *c.data
                                                                    : '-';
    }

    name[len] = '\0';

    return len;
}


int
ngx_ivschat_sts_form(ngx_ivschat_credentials_flavour_e action,
    const ngx_ivschat_role_t *role, ngx_ivschat_str_t web_token,
    ngx_ivschat_out_t *out, char *reason, size_t size)
{
    char                    duration[16];
    ngx_ivschat_str_t       s;
    ngx_ivschat_sts_form_t  form = { out, reason, size, 0 };

    ngx_ivschat_sts_put(&form, "Action",
                        ngx_ivschat_str(action == NGX_IVSCHAT_ASSUME_ROLE
                                        ? "AssumeRole"
                                        : "AssumeRoleWithWebIdentity"),
                        NULL);
    ngx_ivschat_sts_put(&form, "Version", ngx_ivschat_str("2011-06-15"), NULL);

    s = ngx_ivschat_str(role->role_arn);
    ngx_ivschat_sts_put(&form, "RoleArn", s, ngx_ivschat_sts_check_role(s));

    s = ngx_ivschat_str(role->session_name);
    ngx_ivschat_sts_put(&form, "RoleSessionName", s,
                        ngx_ivschat_sts_check_session_name(s));

    if (role->duration != 0) {
        (void) snprintf(duration, sizeof(duration), "%u", role->duration);
        ngx_ivschat_sts_put(&form, "DurationSeconds",
                            ngx_ivschat_str(duration),
                            ngx_ivschat_sts_check_duration(role->duration));
    }

    if (role->external_id != NULL) {
        s = ngx_ivschat_str(role->external_id);
        ngx_ivschat_sts_put(&form, "ExternalId", s,
                            ngx_ivschat_sts_check_external_id(s));
    }

    if (action == NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY) {
        ngx_ivschat_sts_put(&form, "WebIdentityToken", web_token,
                            ngx_ivschat_sts_check_web_token(web_token));
    }

    return form.rc;
}


const char *
ngx_ivschat_sts_remedy(ngx_ivschat_credentials_flavour_e action,
    unsigned status, const char *code)
{
    const ngx_ivschat_sts_remedy_t  *row;

    for (row = ngx_ivschat_sts_remedies; row->code; row++) {
        if (strcmp(code, row->code) == 0) {
            return action != NGX_IVSCHAT_ASSUME_ROLE && row->web
                   ? row->web : row->remedy;
        }
    }

    if (ngx_ivschat_retry_class(status, code) == NGX_IVSCHAT_RETRY_THROTTLING) {
        return "STS throttles the account: check what else assumes roles in "
               "it, in this region";
    }

    return "";
}


/*
 * &name=value, percent-encoded but for the unreserved characters of RFC 3986;
 * or the reason why not.
 */

static void
ngx_ivschat_sts_put(ngx_ivschat_sts_form_t *form, const char *name,
    ngx_ivschat_str_t value, const char *why)
{
    char               encoded[sizeof("%ff")];
    ngx_ivschat_str_t  c;

    if (form->rc == 0 && why != NULL) {
        form->rc = ngx_ivschat_fail(form->reason, form->size, "%s: %s", name,
                                    why);
    }

    if (form->rc != 0) {
        return;
    }

    ngx_ivschat_out_text(form->out, form->out->len ? "&" : "");
    ngx_ivschat_out_text(form->out, name);
    ngx_ivschat_out_text(form->out, "=");

    c.len = 1;

    for (c.data = value.data; c.data < value.data + value.len; c.data++) {

        if (ngx_ivschat_str_only(c, NGX_IVSCHAT_STS_UNRESERVED)) {
            ngx_ivschat_out_str(form->out, c);
            continue;
        }

        (void) snprintf(encoded, sizeof(encoded), "%%%02X",
                        (unsigned char) *c.data);
        ngx_ivschat_out_text(form->out, encoded);
    }
}
