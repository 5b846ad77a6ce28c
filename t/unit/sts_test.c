
/*
 * AWS STS: the forms that are sent, and the JSON that comes back.
 */


#include "aws/ngx_ivschat_api.h"
#include "aws/ngx_ivschat_errors.h"
#include "aws/ngx_ivschat_sts.h"

#include <stdlib.h>

#include "tap.h"


#define size(a)  (sizeof(a) / sizeof((a)[0]))

#define NOW      INT64_C(1795555800)             /* 2026-11-24T21:30:00Z */

#define ROLE     "arn:aws:iam::123456789012:role/app"
#define SECRET   "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TOKEN    "AQoDYXdzEPT//////////wEXAMPLEtoken=="

#define S(literal)   ngx_ivschat_string(literal)


typedef const char *(*check_pt)(ngx_ivschat_str_t s);

typedef struct {
    ngx_ivschat_str_t    value;
    const char          *reason;       /* a part; NULL: valid */
} check_case_t;

typedef struct {
    ngx_ivschat_credentials_flavour_e    action;
    ngx_ivschat_role_t                   role;
    const char                          *web_token;
    const char                          *form;         /* NULL: refused */
    const char                          *reason;
} form_case_t;

typedef struct {
    const char   *name;
    const char   *body;
    int           rc;
    const char   *reason;              /* a part */
} parse_case_t;

typedef struct {
    const char   *body;
    const char   *code;
    const char   *message;
} error_case_t;

typedef struct {
    unsigned      status;
    const char   *code;
    int           retry;
    const char   *remedy;              /* parts; NULL: none */
    const char   *web_remedy;
} remedy_case_t;


static const check_case_t  roles[] = {
    { S(ROLE), NULL },
    { S("arn:aws-cn:iam::123456789012:role/x"), NULL },
    { S("arn:aws-us-gov:iam::123456789012:role/a/b/c+=,.@-_"), NULL },
    { S("arn:aws:iam::123456789012:role/"), "form" },
    { S("arn:aws:iam::123456789012:role/a/"), "form" },
    { S("arn:aws:iam::123456789012:role/a b"), "form" },
    { S("arn:aws:iam::123456789012:role/a\n"), "form" },
    { S("arn:aws:iam::123456789012:role/\xc3\xa9"), "form" },
    { S("arn:aws:iam::123456789012:role/a\0"), "form" },
    { S("arn:aws:iam::123456789012:user/x"), "form" },
    { S("arn:aws:iam::1234567890123:role/x"), "form" },
    { S("arn:aws:iam::123456789:role/RoleA"), "form" },
    { S("arn:aws:iam:::role/xxxxxxxx"), "form" },
    { S("arn:aws:iam::aws:role/xxxxxxx"), "form" },
    { S("arn:aws:iam::12345678901x:role/x"), "form" },
    { S("arn:aws:sts::123456789012:assumed-role/r/s"), "session" },
    { S("arn:aws:s3:::bucket-of-somebody"), "form" },
    { S("arn:aws:iam:us-east-1:123456789012:role/x"), "form" },
    { S("arn:awsx:iam::123456789012:role/x"), "form" },
    { S("arn:aws-CN:iam::123456789012:role/x"), "form" },
    { S("arn:aws-aws-aws-aws-aws"), "form" },
    { S("arn:azure:iam::123456789012:role/x"), "form" },
    { S("a role that has this name"), "form" },
    { S("arn:aws:iam::123"), "20 to 2048" },
    { S(""), "20 to 2048" }
};


static const check_case_t  session_names[] = {
    { S("ab"), NULL },
    { S("a_B9+=,.@-"), NULL },
    { S("1234567890123456789012345678901234567890123456789012345678901234"),
      NULL },
    { S("12345678901234567890123456789012345678901234567890123456789012345"),
      "2 to 64" },
    { S("a"), "2 to 64" },
    { S(""), "2 to 64" },
    { S("a b"), "letters, digits and" },
    { S("a/b"), "letters, digits and" },
    { S("a:b"), "letters, digits and" },
    { S("a\0b"), "letters, digits and" },
    { S("a\nb"), "letters, digits and" },
    { S("\xc3\xa9"), "letters, digits and" }
};


static const check_case_t  external_ids[] = {
    { S("ab"), NULL },
    { S("a_B9+=,.@:/-"), NULL },
    { S("a"), "2 to 1224" },
    { S("a b"), "letters, digits and" },
    { S("a?"), "letters, digits and" }
};


static const check_case_t  web_tokens[] = {
    { S("eyJ.token.x"), NULL },
    { S("abc"), "4 to 20000" },
    { S("eyJ.token.x\n"), "visible ASCII" },
    { S(""), "4 to 20000" },
    { S("eyJ.a\neyJ.b"), "visible ASCII" },
    { S("eyJ.a b"), "visible ASCII" },
    { S("eyJ.\0"), "visible ASCII" },
    { S("eyJ.\xc3\xa9"), "visible ASCII" }
};


#define A  NGX_IVSCHAT_ASSUME_ROLE
#define W  NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY

#define R(arn, name, id, duration)                                            \
    { arn, name, id, duration, NULL, NULL, NULL }

#define ENCODED_ROLE  "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fapp"

static const form_case_t  forms[] = {

    { A, R(ROLE, "s1", NULL, 0), "",
      "Action=AssumeRole&Version=2011-06-15&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1", NULL },
    { A, R(ROLE, "s1", NULL, 3600), "",
      "Action=AssumeRole&Version=2011-06-15&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1&DurationSeconds=3600", NULL },
    { A, R(ROLE, "a_b+=,.@-", "x:/1", 900), "",
      "Action=AssumeRole&Version=2011-06-15&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=a_b%2B%3D%2C.%40-&DurationSeconds=900"
      "&ExternalId=x%3A%2F1", NULL },

    /* the request of AWS's SDK, as it was captured */

    { W, R(ROLE, "s1", NULL, 0), "eyJ.token.x",
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
      "&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1&WebIdentityToken=eyJ.token.x", NULL },
    { W, R(ROLE, "s1", NULL, 43200), "eyJ-_.~/+=%&",
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
      "&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1&DurationSeconds=43200"
      "&WebIdentityToken=eyJ-_.~%2F%2B%3D%25%26", NULL },

    { A, R("arn", "s1", NULL, 0), "", NULL, "RoleArn: " },
    { A, R(ROLE, "s", NULL, 0), "", NULL, "RoleSessionName: " },
    { A, R(ROLE, "s1", "a b", 0), "", NULL, "ExternalId: " },
    { A, R(ROLE, "s1", NULL, 899), "", NULL, "DurationSeconds: " },
    { A, R(ROLE, "s1", NULL, 43201), "", NULL,
      "DurationSeconds: " },
    { W, R(ROLE, "s1", NULL, 0), "a\nbcd", NULL,
      "WebIdentityToken: " },
    { W, R(ROLE, "s1", NULL, 0), "", NULL, "WebIdentityToken: " }
};


#define KEY    "\"AccessKeyId\":\"ASIAEXAMPLE\""
#define SKEY   "\"SecretAccessKey\":\"" SECRET "\""
#define STOK   "\"SessionToken\":\"" TOKEN "\""
#define EXP    "\"Expiration\":1795559400"
#define KEYS   KEY "," SKEY "," STOK
#define CREDS  "\"Credentials\":{" KEYS "," EXP "}"

#define ROLED(x)  "{\"AssumeRoleResponse\":{\"AssumeRoleResult\":{" x "}}}"
#define WEBBED(x) "{\"AssumeRoleWithWebIdentityResponse\":"                   \
                  "{\"AssumeRoleWithWebIdentityResult\":{" x "}}}"
#define IN(x)     ROLED("\"Credentials\":{" x "}")
#define AT(time)  IN(KEYS ",\"Expiration\":" time)
#define GOOD      ROLED(CREDS)

#define ERROR(x)  "{\"Error\":{" x ",\"Type\":\"Sender\"},"                   \
                  "\"RequestId\":\"42\"}"

static const parse_case_t  parses[] = {

    { "what STS sends",
      "{\"AssumeRoleResponse\":{\"AssumeRoleResult\":{"
      "\"AssumedRoleUser\":{\"Arn\":\"arn:aws:sts::123456789012:assumed-role/"
      "app/s1\",\"AssumedRoleId\":\"AROAEXAMPLE:s1\"},"
      "\"Credentials\":{" KEY ",\"Expiration\":1.7955594E9," SKEY "," STOK "},"
      "\"PackedPolicySize\":null,\"SourceIdentity\":null},"
      "\"ResponseMetadata\":{\"RequestId\":\"c6104cbe\"}}}\n", 0, NULL },

    /* the time */

    { "a float", AT("1795559400.0"), 0, NULL },
    { "a fraction", AT("1795559400.999"), 0, NULL },
    { "an integer", AT("1795559400"), 0, NULL },
    { "ISO 8601", AT("\"2026-11-24T22:30:00Z\""), 0, NULL },
    { "ISO 8601 with an offset", AT("\"2026-11-24T23:30:00.5+01:00\""), 0,
      NULL },
    { "a number as a string", AT("\"1795559400\""), -1,
      "invalid \"Expiration\"" },
    { "a time of the past", AT("1795555800"), -1,
      "expired at 2026-11-24T21:30:00.000Z" },
    { "zero", AT("0"), -1, "\"Expiration\" in the answer" },
    { "a negative time", AT("-1795559400"), -1, "invalid" },
    { "milliseconds", AT("1795559400000"), -1, "invalid" },
    { "an infinite time", AT("1e999"), -1, "invalid" },
    { "soon", AT("\"soon\""), -1, "invalid \"Expiration\"" },
    { "no time", AT("{}"), -1, "\"Expiration\" in the answer is not a str" },
    { "null", AT("null"), -1, "no \"Expiration\"" },
    { "no expiration", IN(KEYS), -1, "no \"Expiration\"" },

    /* the keys */

    { "escapes", IN("\"Access\\u004beyId\":\"ASIA\\u0045XAMPLE\"," SKEY ","
                    STOK "," EXP), 0, NULL },
    { "a member of ours elsewhere", ROLED(KEY "," CREDS), 0, NULL },
    { "no access key", IN(SKEY "," STOK "," EXP), -1, "no \"AccessKeyId\"" },
    { "no secret", IN(KEY "," STOK "," EXP), -1, "no \"SecretAccessKey\"" },
    { "no token", IN(KEY "," SKEY "," EXP), -1, "no \"SessionToken\"" },
    { "the token of others", IN(KEY "," SKEY ",\"Token\":\"x\"," EXP), -1,
      "no \"SessionToken\"" },
    { "an empty token", IN(KEY "," SKEY ",\"SessionToken\":\"\"," EXP), -1,
      "\"SessionToken\" in the answer is empty" },
    { "a key that is a number", IN("\"AccessKeyId\":1," SKEY "," STOK ","
                                   EXP), -1,
      "\"AccessKeyId\" in the answer is not a string" },
    { "a secret with a blank", IN(KEY ",\"SecretAccessKey\":\"a b\"," STOK ","
                                  EXP), -1,
      "invalid \"SecretAccessKey\" in the answer" },
    { "a token with a line end", IN(KEY "," SKEY ",\"SessionToken\":"
                                    "\"a\\r\\nb\"," EXP), -1,
      "invalid \"SessionToken\" in the answer" },
    { "a key twice", IN(KEY "," KEYS "," EXP), -1,
      "duplicate \"AccessKeyId\"" },
    { "two sets", ROLED(CREDS "," CREDS), -1,
      "duplicate \"Credentials\"" },
    { "two results", "{\"AssumeRoleResponse\":{\"AssumeRoleResult\":{},"
      "\"AssumeRoleResult\":{" CREDS "}}}", -1,
      "duplicate \"AssumeRoleResult\"" },

    /* what is around them */

    { "no credentials", ROLED("\"PackedPolicySize\":6"), -1,
      "no \"AccessKeyId\"" },
    { "credentials that are a list", ROLED("\"Credentials\":[" KEYS "]"), -1,
      "not JSON" },
    { "a result that is a list",
      "{\"AssumeRoleResponse\":{\"AssumeRoleResult\":[1]}}", -1,
      "no \"AccessKeyId\"" },
    { "an empty object", "{}", -1, "no \"AccessKeyId\"" },
    { "bare credentials", "{" CREDS "}", -1, "no \"AccessKeyId\"" },
    { "the other action", WEBBED(CREDS), -1, "no \"AccessKeyId\"" },
    { "an error", ERROR("\"Code\":\"AccessDenied\",\"Message\":\"no\""), -1,
      "is an error, \"AccessDenied\": no" },
    { "an error that is a list", "{\"Error\":[1]}", -1,
      "no \"AccessKeyId\"" },

    /* garbage */

    { "XML", "<AssumeRoleResponse><AssumeRoleResult>" SECRET
      "</AssumeRoleResult></AssumeRoleResponse>", -1,
      "XML or HTML instead of JSON" },
    { "a declaration", "<?xml version=\"1.0\"?>", -1, "XML or HTML" },
    { "a DOCTYPE", "<!DOCTYPE x [<!ENTITY e \"v\">]>", -1, "XML or HTML" },
    { "nothing", "", -1, "empty" },
    { "blanks", " \n", -1, "not JSON" },
    { "text", SECRET, -1, "not JSON" },
    { "a list", "[" GOOD "]", -1, "not a JSON object" },
    { "two answers", GOOD GOOD, -1, "not JSON" },
    { "bytes that are not UTF-8", IN(KEYS "," EXP ",\"x\":\"\xff\""), -1,
      "UTF-8" },
    { "a U+0000", IN(KEYS "," EXP ",\"x\":\"\\u0000\""), -1, "U+0000" },
    { "9 levels", IN(KEYS "," EXP ",\"x\":[[[[[]]]]]"), -1, "deep" }
};


static const error_case_t  errors[] = {
    { ERROR("\"Code\":\"AccessDenied\",\"Message\":\"User: arn:aws:iam::1:"
            "user/x is not authorized to perform: sts:AssumeRole\""),
      "AccessDenied",
      "User: arn:aws:iam::1:user/x is not authorized to perform: "
      "sts:AssumeRole" },
    { ERROR("\"Code\":\"X\",\"Message\":\"a\\nb\\u007fc\xc2\x85""d\""), "X",
      "a b c d" },
    { ERROR("\"Code\":\"X\",\"Message\":null"), "X", "" },
    { ERROR("\"Code\":1,\"Message\":\"m\""), "", "m" },
    { ERROR("\"Code\":\"a b\",\"Message\":\"m\""), "", "m" },
    { ERROR("\"Code\":\"\xc3\xa9\",\"Message\":\"m\""), "", "m" },
    { ERROR("\"Code\":\"SignatureDoesNotMatch\",\"Message\":\"The canonical "
            "string should have been 'POST\\n/\\n\\nhost:x\\n"
            "x-amz-security-token:" TOKEN "\\n'\""),
      "SignatureDoesNotMatch",
      "The canonical string should have been 'POST /  host:x " },
    { "{\"Error\":\"Code\"}", "", "" },
    { "{\"Error\":[\"Code\"]}", "", "" },
    { "{\"Code\":\"X\"}", "X", "" },
    { "<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>", "",
      "" },
    { "not JSON", "", "" },
    { "", "", "" }
};


static const remedy_case_t  remedies[] = {
    { 403, "AccessDenied", 0, "sts:AssumeRole ", "WithWebIdentity" },
    { 403, "RegionDisabledException", 0, "region", "region" },
    { 400, "MalformedPolicyDocument", 0, "policy", "policy" },
    { 400, "PackedPolicyTooLarge", 0, "large", "large" },
    { 400, "ValidationError", 0, "limits", "limits" },
    { 403, "InvalidClientTokenId", 0, "invalid", "invalid" },
    { 403, "SignatureDoesNotMatch", 0, "secret", "secret" },
    { 403, "ExpiredToken", 0, "credentials", "file" },
    { 400, "ExpiredTokenException", 0, "credentials", "file" },
    { 400, "RequestExpired", 0, "clock", "clock" },
    { 400, "IDPCommunicationError", 1, "reach", "reach" },
    { 403, "IDPRejectedClaim", 0, "rejected", "rejected" },
    { 400, "InvalidIdentityToken", 1, "OIDC", "OIDC" },
    { 400, "InvalidAction", 0, "not come from AWS", "not come from AWS" },
    { 400, "Throttling", 1, "throttles", "throttles" },
    { 429, "", 1, "throttles", "throttles" },
    { 500, "InternalFailure", 1, NULL, NULL },
    { 502, "", 1, NULL, NULL },
    { 503, "ServiceUnavailable", 1, NULL, NULL },
    { 504, "", 1, NULL, NULL },
    { 501, "", 0, NULL, NULL },
    { 400, "RequestTimeout", 1, NULL, NULL },
    { 404, "", 0, NULL, NULL },
    { 403, "", 0, NULL, NULL }
};


static ngx_ivschat_str_t
str(const char *s)
{
    ngx_ivschat_str_t  v;

    v.data = s;
    v.len = strlen(s);

    return v;
}


/* Nothing behind the bytes, so that a sanitizer sees who reads there. */

static char *
exact(const char *data, size_t len)
{
    char  *p;

    p = malloc(len ? len : 1);
    if (p == NULL) {
        abort();
    }

    memcpy(p, data, len);

    return p;
}


static int
parse(ngx_ivschat_credentials_flavour_e action, const char *body, size_t len,
    ngx_ivschat_credentials_t *creds, char *reason)
{
    int    rc;
    char  *copy;

    copy = exact(body, len);
    reason[0] = '\0';

    rc = ngx_ivschat_credentials_parse(action, copy, len, NOW, creds, reason,
                                       NGX_IVSCHAT_REASON_LEN);
    free(copy);

    return rc;
}


static int
is_wiped(const ngx_ivschat_credentials_t *creds)
{
    size_t                i;
    const unsigned char  *p;

    p = (const unsigned char *) creds;

    for (i = 0; i < sizeof(ngx_ivschat_credentials_t); i++) {
        if (p[i] != 0) {
            return 0;
        }
    }

    return 1;
}


static void
test_checks(const char *name, check_pt check, const check_case_t *cases,
    size_t n)
{
    size_t       i;
    const char  *why;

    for (i = 0; i < n; i++) {
        why = check(cases[i].value);

        ok(cases[i].reason == NULL ? why == NULL
           : why != NULL && strstr(why, cases[i].reason) != NULL,
           "%s \"%s\": %s", name, cases[i].value.data, why ? why : "valid");
    }
}


static void
test_lengths(void)
{
    char               text[NGX_IVSCHAT_WEB_TOKEN_MAX + 1];
    ngx_ivschat_str_t  s;

    memset(text, 'a', sizeof(text));
    s.data = text;

    s.len = 20000;
    ok(ngx_ivschat_sts_check_web_token(s) == NULL, "a token of 20000");
    s.len = 20001;
    ok(ngx_ivschat_sts_check_web_token(s) != NULL, "a token of 20001");

    s.len = 1224;
    ok(ngx_ivschat_sts_check_external_id(s) == NULL, "an external id of 1224");
    s.len = 1225;
    ok(ngx_ivschat_sts_check_external_id(s) != NULL, "an external id of 1225");

    memcpy(text, ROLE, sizeof(ROLE) - 1);

    s.len = 2048;
    ok(ngx_ivschat_sts_check_role(s) == NULL, "a role of 2048");
    s.len = 2049;
    ok(ngx_ivschat_sts_check_role(s) != NULL, "a role of 2049");

    ok(ngx_ivschat_sts_check_duration(900) == NULL
       && ngx_ivschat_sts_check_duration(43200) == NULL
       && ngx_ivschat_sts_check_duration(899) != NULL
       && ngx_ivschat_sts_check_duration(43201) != NULL
       && ngx_ivschat_sts_check_duration(0) != NULL, "durations");
}


static void
test_session_name(void)
{
    char  name[NGX_IVSCHAT_SESSION_NAME_MAX + 1];

    ngx_ivschat_sts_session_name(str("web-1.example.com"), name);
    is_str(name, "ivschat-web-1.example.com", "a hostname");

    ngx_ivschat_sts_session_name(str("a b/\xc3\xa9:"), name);
    is_str(name, "ivschat-a-b----", "what may not stand there");

    ngx_ivschat_sts_session_name(str(""), name);
    is_str(name, "ivschat-", "no hostname");
    ok(ngx_ivschat_sts_check_session_name(str(name)) == NULL, "is valid, too");

    ngx_ivschat_sts_session_name(str("a234567890123456789012345678901234567890"
                                     "123456789012345678901234567890"), name);
    is_int((long long) strlen(name), 64, "cut at the end");
    ok(ngx_ivschat_sts_check_session_name(str(name)) == NULL, "%s", name);
}


static void
test_forms(void)
{
    int                 rc;
    char                buf[512], reason[NGX_IVSCHAT_REASON_LEN];
    size_t              i;
    const form_case_t  *f;
    ngx_ivschat_out_t   out, count;

    for (i = 0; i < size(forms); i++) {
        f = &forms[i];

        memset(buf, 0, sizeof(buf));
        memset(&count, 0, sizeof(count));
        reason[0] = '\0';

        out.data = buf;
        out.size = sizeof(buf) - 1;
        out.len = 0;

        rc = ngx_ivschat_sts_form(f->action, &f->role, str(f->web_token),
                                  &out, reason, sizeof(reason));

        if (f->form == NULL) {
            is_int(rc, -1, "form %d is refused", (int) i);
            ok(strncmp(reason, f->reason, strlen(f->reason)) == 0, "%s",
               reason);
            continue;
        }

        is_int(rc, 0, "form %d", (int) i);
        is_str(buf, f->form, "form %d: its bytes", (int) i);
        ok(ngx_ivschat_sts_form(f->action, &f->role, str(f->web_token),
                                &count, reason, sizeof(reason)) == 0
           && count.len == strlen(f->form) && out.len == count.len,
           "form %d: its length", (int) i);
    }
}


static void
test_parse(void)
{
    int                         rc;
    char                        reason[NGX_IVSCHAT_REASON_LEN];
    size_t                      i;
    const parse_case_t         *c;
    ngx_ivschat_credentials_t   creds;

    for (i = 0; i < size(parses); i++) {
        c = &parses[i];

        memset(&creds, 0x55, sizeof(creds));

        rc = parse(A, c->body, strlen(c->body), &creds, reason);

        is_int(rc, c->rc, "%s", c->name);

        if (c->reason != NULL) {
            ok(strstr(reason, c->reason) != NULL, "%s: %s", c->name, reason);
        }

        ok(strstr(reason, "wJalr") == NULL && strstr(reason, TOKEN) == NULL,
           "%s: no secret in the reason", c->name);

        if (rc == -1) {
            ok(is_wiped(&creds), "%s: nothing is left", c->name);

        } else {
            ok(strcmp(creds.access_key, "ASIAEXAMPLE") == 0
               && strcmp(creds.secret_key, SECRET) == 0
               && strcmp(creds.session_token, TOKEN) == 0
               && creds.access_key_len == strlen(creds.access_key)
               && creds.secret_key_len == strlen(creds.secret_key)
               && creds.session_token_len == strlen(creds.session_token),
               "%s: the keys", c->name);
        }
    }
}


static void
test_web_identity(void)
{
    char                       reason[NGX_IVSCHAT_REASON_LEN];
    ngx_ivschat_credentials_t  creds;

    static const char  body[] = WEBBED(
        "\"SubjectFromWebIdentityToken\":\"system:serviceaccount:ns:sa\","
        "\"Audience\":\"sts.amazonaws.com\"," CREDS ",\"Provider\":"
        "\"arn:aws:iam::123456789012:oidc-provider/x\"");

    is_int(parse(W, body, sizeof(body) - 1, &creds, reason), 0,
           "an answer to a web identity");
    is_str(creds.access_key, "ASIAEXAMPLE", "the access key");
    is_str(creds.secret_key, SECRET, "the secret");
    is_str(creds.session_token, TOKEN, "the token");
    is_int(creds.expiration, NOW + 3600, "the expiration");

    is_int(parse(W, GOOD, sizeof(GOOD) - 1, &creds, reason), -1,
           "but not that of AssumeRole");
    ok(strstr(reason, "no \"AccessKeyId\"") != NULL,
       "%s", reason);
}


/* Every answer that is cut, and every one with one byte broken. */

static void
test_broken(void)
{
    char                        body[sizeof(GOOD)], code[sizeof(GOOD)];
    char                        reason[NGX_IVSCHAT_REASON_LEN];
    size_t                      i, len, whole, leaks;
    ngx_ivschat_error_t         error;
    ngx_ivschat_credentials_t   creds;

    len = sizeof(GOOD) - 1;
    whole = 0;
    leaks = 0;

    for (i = 0; i < len; i++) {
        whole += parse(A, GOOD, i, &creds, reason) != -1;
        whole += !is_wiped(&creds);
        leaks += strstr(reason, "wJalr") != NULL;
    }

    is_int((long long) whole, 0, "no part of an answer is taken for one");

    for (i = 0; i < len; i++) {
        memcpy(body, GOOD, len);
        body[i] = '\0';
        whole += parse(A, body, len, &creds, reason) != -1;
    }

    is_int((long long) whole, 0, "no answer with a NUL is taken");

    for (i = 0; i < len * 128; i++) {
        memcpy(body, GOOD, len);
        body[i / 128] = (char) (i % 128);
        (void) parse(A, body, len, &creds, reason);
        leaks += strstr(reason, "wJalr") != NULL;
    }

    is_int((long long) leaks, 0, "no broken answer is repeated");

    (void) snprintf(code, sizeof(code), "%s", errors[1].body);
    len = strlen(code);

    for (i = 0; i < len * 256; i++) {
        memcpy(body, code, len);
        body[i / 256] = (char) (i % 256);
        ngx_ivschat_error_parse(str(""), body, len, &error);
        leaks += strlen(error.message) >= sizeof(error.message);
    }

    is_int((long long) leaks, 0, "broken errors do no harm");
}


static void
test_long_values(void)
{
    char                        body[20000], value[9000];
    char                        reason[NGX_IVSCHAT_REASON_LEN];
    ngx_ivschat_error_t         error;
    ngx_ivschat_credentials_t   creds;

    memset(value, 'x', sizeof(value));
    value[8192] = '\0';

    (void) snprintf(body, sizeof(body), IN(KEY "," SKEY
                    ",\"SessionToken\":\"%s\"," EXP), value);
    is_int(parse(A, body, strlen(body), &creds, reason), 0,
           "the longest token");
    is_int((long long) creds.session_token_len, 8192, "is there whole");

    value[8192] = 'x';
    value[8193] = '\0';

    (void) snprintf(body, sizeof(body), IN(KEY "," SKEY
                    ",\"SessionToken\":\"%s\"," EXP), value);
    is_int(parse(A, body, strlen(body), &creds, reason), -1, "one longer");
    ok(strstr(reason, "in the answer: it is too long") != NULL, "%s", reason);

    memset(value, 'x', 2000);
    memcpy(value + 510, "\xe2\x82\xac", 3);
    value[2000] = '\0';

    (void) snprintf(body, sizeof(body),
                    ERROR("\"Code\":\"C\",\"Message\":\"%s\""), value);
    ngx_ivschat_error_parse(str(""), body, strlen(body), &error);
    is_int((long long) strlen(error.message), 510,
           "a message is cut between characters");

    value[80] = '\0';

    (void) snprintf(body, sizeof(body), ERROR("\"Code\":\"%s\""), value);
    ngx_ivschat_error_parse(str(""), body, strlen(body), &error);
    is_str(error.code, "", "a code of 80 characters is none");
}


static void
test_errors(void)
{
    char                 *copy;
    size_t                i;
    ngx_ivschat_error_t   error;

    for (i = 0; i < size(errors); i++) {
        copy = exact(errors[i].body, strlen(errors[i].body));
        ngx_ivschat_error_parse(str(""), copy, strlen(errors[i].body), &error);
        free(copy);

        is_str(error.code, errors[i].code, "error %d: the code", (int) i);
        is_str(error.message, errors[i].message, "error %d: the message",
               (int) i);
    }
}


static void
test_remedies(void)
{
    size_t                i;
    const char           *text;
    const remedy_case_t  *r;

    for (i = 0; i < size(remedies); i++) {
        r = &remedies[i];

        is_int(ngx_ivschat_retry_class(r->status, r->code)
               != NGX_IVSCHAT_RETRY_NEVER, r->retry,
               "%u %s: again?", r->status, r->code);

        text = ngx_ivschat_sts_remedy(0, r->status, r->code);
        ok(r->remedy != NULL ? strstr(text, r->remedy) != NULL
                             : text[0] == '\0',
           "%u %s, AssumeRole: %s", r->status, r->code, text);

        text = ngx_ivschat_sts_remedy(1, r->status, r->code);
        ok(r->web_remedy != NULL ? strstr(text, r->web_remedy) != NULL
                                 : text[0] == '\0',
           "%u %s, web identity: %s", r->status, r->code, text);
    }
}


static void
test_host(void)
{
    char               host[NGX_IVSCHAT_HOST_MAX + 1];
    size_t             len;
    ngx_ivschat_str_t  sts = S("sts");

    ok(ngx_ivschat_host(sts, str("eu-central-1"), host, sizeof(host), &len)
       == 0, "the host of STS");
    is_str(host, "sts.eu-central-1.amazonaws.com", "in a region");

    ok(ngx_ivschat_host(sts, str("cn-north-1"), host, sizeof(host), &len)
       == 0, "the host of STS");
    is_str(host, "sts.cn-north-1.amazonaws.com", "in another region");
}


int
main(void)
{
    test_checks("role", ngx_ivschat_sts_check_role, roles, size(roles));
    test_checks("session name", ngx_ivschat_sts_check_session_name,
                session_names, size(session_names));
    test_checks("external id", ngx_ivschat_sts_check_external_id,
                external_ids, size(external_ids));
    test_checks("web identity token", ngx_ivschat_sts_check_web_token,
                web_tokens, size(web_tokens));
    test_lengths();
    test_session_name();
    test_forms();
    test_parse();
    test_web_identity();
    test_broken();
    test_long_values();
    test_errors();
    test_remedies();
    test_host();

    return done_testing();
}
