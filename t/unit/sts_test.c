
/*
 * AWS STS: the forms that are sent, and the XML that comes back.
 */


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
    ngx_ivschat_sts_request_t    req;
    const char                  *form;         /* NULL: refused */
    const char                  *reason;
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
    int           retryable;
    const char   *remedy;              /* parts; NULL: none */
    const char   *web_remedy;
} remedy_case_t;


static const check_case_t  roles[] = {
    { S(ROLE), NULL },
    { S("arn:aws-cn:iam::123456789012:role/x"), NULL },
    { S("arn:aws-us-gov:iam::123456789012:role/a/b/c+=,.@-_"), NULL },
    { S("arn:aws:iam::123456789012:role/"), "name" },
    { S("arn:aws:iam::123456789012:role/a/"), "name" },
    { S("arn:aws:iam::123456789012:role/a b"), "name" },
    { S("arn:aws:iam::123456789012:role/a\n"), "name" },
    { S("arn:aws:iam::123456789012:role/\xc3\xa9"), "name" },
    { S("arn:aws:iam::123456789012:role/a\0"), "name" },
    { S("arn:aws:iam::123456789012:user/x"), ":role/" },
    { S("arn:aws:iam::1234567890123:role/x"), ":role/" },
    { S("arn:aws:iam::123456789:role/RoleA"), "12 digits" },
    { S("arn:aws:iam:::role/xxxxxxxx"), "12 digits" },
    { S("arn:aws:iam::aws:role/xxxxxxx"), "12 digits" },
    { S("arn:aws:iam::12345678901x:role/x"), "12 digits" },
    { S("arn:aws:sts::123456789012:assumed-role/r/s"), "session" },
    { S("arn:aws:s3:::bucket-of-somebody"), ":iam::" },
    { S("arn:aws:iam:us-east-1:123456789012:role/x"), ":iam::" },
    { S("arn:awsx:iam::123456789012:role/x"), "partition" },
    { S("arn:aws-CN:iam::123456789012:role/x"), "partition" },
    { S("arn:aws-aws-aws-aws-aws"), ":iam::" },
    { S("arn:azure:iam::123456789012:role/x"), "begins" },
    { S("a role that has this name"), "begins" },
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
    { S("a b"), "only" },
    { S("a/b"), "only" },
    { S("a:b"), "only" },
    { S("a\0b"), "only" },
    { S("a\nb"), "only" },
    { S("\xc3\xa9"), "only" }
};


static const check_case_t  external_ids[] = {
    { S("ab"), NULL },
    { S("a_B9+=,.@:/-"), NULL },
    { S("a"), "2 to 1224" },
    { S("a b"), "only" },
    { S("a?"), "only" }
};


static const check_case_t  web_tokens[] = {
    { S("eyJ.token.x"), NULL },
    { S("eyJ.token.x\n"), NULL },
    { S(" \r\n\teyJ.token.x\r\n"), NULL },
    { S("abc"), "4 to 20000" },
    { S(" a b"), "4 to 20000" },
    { S("  \n  "), "4 to 20000" },
    { S(""), "4 to 20000" },
    { S("eyJ.a\neyJ.b"), "one line" },
    { S("eyJ.a b"), "one line" },
    { S("eyJ.\0"), "one line" },
    { S("eyJ.\xc3\xa9"), "one line" }
};


#define A  NGX_IVSCHAT_ASSUME_ROLE
#define W  NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY

#define ENCODED_ROLE  "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fapp"

static const form_case_t  forms[] = {

    { { A, S(ROLE), S("s1"), S(""), S(""), 0 },
      "Action=AssumeRole&Version=2011-06-15&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1", NULL },
    { { A, S(ROLE), S("s1"), S(""), S(""), 3600 },
      "Action=AssumeRole&Version=2011-06-15&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1&DurationSeconds=3600", NULL },
    { { A, S(ROLE), S("a_b+=,.@-"), S("x:/1"), S(""), 900 },
      "Action=AssumeRole&Version=2011-06-15&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=a_b%2B%3D%2C.%40-&DurationSeconds=900"
      "&ExternalId=x%3A%2F1", NULL },

    /* the request of AWS's SDK, as it was captured */

    { { W, S(ROLE), S("s1"), S(""), S("eyJ.token.x"), 0 },
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
      "&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1&WebIdentityToken=eyJ.token.x", NULL },
    { { W, S(ROLE), S("s1"), S(""), S("eyJ-_.~/+=%&\n"), 43200 },
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
      "&RoleArn=" ENCODED_ROLE
      "&RoleSessionName=s1&DurationSeconds=43200"
      "&WebIdentityToken=eyJ-_.~%2F%2B%3D%25%26", NULL },

    { { A, S("arn"), S("s1"), S(""), S(""), 0 }, NULL, "RoleArn: " },
    { { A, S(ROLE), S("s"), S(""), S(""), 0 }, NULL, "RoleSessionName: " },
    { { A, S(ROLE), S("s1"), S("a b"), S(""), 0 }, NULL, "ExternalId: " },
    { { A, S(ROLE), S("s1"), S(""), S(""), 899 }, NULL, "DurationSeconds: " },
    { { A, S(ROLE), S("s1"), S(""), S(""), 43201 }, NULL,
      "DurationSeconds: " },
    { { W, S(ROLE), S("s1"), S("x1"), S("eyJ.token.x"), 0 }, NULL,
      "ExternalId: " },
    { { W, S(ROLE), S("s1"), S(""), S("a\nbcd"), 0 }, NULL,
      "WebIdentityToken: " },
    { { W, S(ROLE), S("s1"), S(""), S(""), 0 }, NULL, "WebIdentityToken: " }
};


#define XMLNS  " xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""
#define HEAD   "<AssumeRoleResponse" XMLNS "><AssumeRoleResult>"
#define TAIL   "</AssumeRoleResult></AssumeRoleResponse>"

#define KEY    "<AccessKeyId>ASIAEXAMPLE</AccessKeyId>"
#define SKEY   "<SecretAccessKey>" SECRET "</SecretAccessKey>"
#define STOK   "<SessionToken>" TOKEN "</SessionToken>"
#define EXP    "<Expiration>2026-11-24T22:30:00Z</Expiration>"
#define CREDS  "<Credentials>" KEY SKEY STOK EXP "</Credentials>"
#define USER   "<AssumedRoleUser><Arn>arn:aws:sts::123456789012:"             \
               "assumed-role/app/s1</Arn><AssumedRoleId>AROA:s1"              \
               "</AssumedRoleId></AssumedRoleUser>"
#define GOOD   HEAD CREDS USER TAIL
#define IN(x)  HEAD "<Credentials>" x "</Credentials>" TAIL

static const parse_case_t  parses[] = {

    { "what STS sends",
      "<AssumeRoleResponse" XMLNS ">\n"
      "  <AssumeRoleResult>\n"
      "    <AssumedRoleUser>\n"
      "      <AssumedRoleId>AROAEXAMPLE:s1</AssumedRoleId>\n"
      "      <Arn>arn:aws:sts::123456789012:assumed-role/app/s1</Arn>\n"
      "    </AssumedRoleUser>\n"
      "    <Credentials>\n"
      "      " KEY "\n      " SKEY "\n      " STOK "\n      " EXP "\n"
      "    </Credentials>\n"
      "    <PackedPolicySize>6</PackedPolicySize>\n"
      "  </AssumeRoleResult>\n"
      "  <ResponseMetadata>\n"
      "    <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>\n"
      "  </ResponseMetadata>\n"
      "</AssumeRoleResponse>\n", 0, NULL },
    { "without a line end", GOOD, 0, NULL },
    { "a declaration",
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" GOOD, 0, NULL },
    { "single quotes", "<?xml version='1.0' encoding='utf-8'?>" GOOD, 0,
      NULL },
    { "a byte order mark", "\xef\xbb\xbf" GOOD, 0, NULL },
    { "no namespace",
      "<AssumeRoleResponse><AssumeRoleResult>" CREDS TAIL, 0, NULL },
    { "more attributes",
      "<AssumeRoleResponse a='>' b = \"'\"\n c:d=\"&amp;\" >"
      "<AssumeRoleResult>" CREDS TAIL, 0, NULL },
    { "values with blanks around, as in AWS's examples",
      IN("<AccessKeyId>\n ASIAEXAMPLE\n</AccessKeyId>"
         "<SecretAccessKey> " SECRET "\t</SecretAccessKey>"
         "<SessionToken>\r\n" TOKEN "\r\n</SessionToken>"
         "<Expiration> 2026-11-24T22:30:00Z </Expiration>"), 0, NULL },
    { "references",
      IN("<AccessKeyId>ASI&#65;EXAMPL&#x45;</AccessKeyId>"
         "<SecretAccessKey>wJalrXUtnFEMI&#x2f;K7MDENG&#43;bPxRfiCYEXAMPLEKEY"
         "</SecretAccessKey>" STOK EXP), 0, NULL },
    { "an empty element", HEAD CREDS "<SourceIdentity/>" TAIL, 0, NULL },
    { "unknown elements",
      HEAD "<X y=\"z\"><AccessKeyId>x</AccessKeyId></X>" CREDS TAIL, 0, NULL },
    { "an element of ours elsewhere", HEAD KEY CREDS TAIL, 0, NULL },
    { "a space in an end tag", HEAD CREDS "</AssumeRoleResult  >"
      "</AssumeRoleResponse\n>", 0, NULL },

    { "expired", IN(KEY SKEY STOK
      "<Expiration>2026-11-24T21:30:00Z</Expiration>"), NGX_IVSCHAT_EXPIRED,
      "expired at 2026-11-24T21:30:00.000Z" },

    { "nothing", "", -1, "empty" },
    { "blanks", " \n", -1, "not XML" },
    { "text", SECRET, -1, "not XML" },
    { "JSON", "{\"AssumeRoleResponse\":{}}", -1, "not XML" },
    { "HTML", "<!DOCTYPE html><html></html>", -1, "DOCTYPE" },
    { "well-formed HTML", "<html><body>" SECRET "</body></html>", -1,
      "not that of AssumeRole" },
    { "something before", "x" GOOD, -1, "not XML" },
    { "text behind", GOOD "x", -1, "behind" },
    { "an element behind", GOOD "<x/>", -1, "behind" },
    { "a comment behind", GOOD "<!-- -->", -1, "behind" },
    { "a NUL inside the text", HEAD CREDS "\x01" TAIL, -1, "text between" },
    { "bytes that are not UTF-8", HEAD CREDS "<x>\xff</x>" TAIL, -1,
      "UTF-8" },
    { "text between elements", HEAD "x" CREDS TAIL, -1, "text between" },
    { "text before an element", HEAD "<Credentials>x" KEY SKEY STOK EXP
      "</Credentials>" TAIL, -1, "text between" },
    { "text behind an element", HEAD CREDS "x" TAIL, -1, "text between" },

    { "a DOCTYPE", "<!DOCTYPE x [<!ENTITY e \"v\">]>" GOOD, -1, "DOCTYPE" },
    { "a comment", HEAD "<!-- x -->" CREDS TAIL, -1, "comment" },
    { "CDATA", IN("<AccessKeyId><![CDATA[ASIA]]></AccessKeyId>"), -1,
      "CDATA" },
    { "a processing instruction", HEAD "<?x?>" CREDS TAIL, -1, "processing" },
    { "a declaration inside", HEAD "<?xml version='1.0'?>" CREDS TAIL, -1,
      "processing" },
    { "a declaration that does not end", "<?xml version='1.0'", -1,
      "declaration" },
    { "a declaration that is none", "<?xmlx version='1.0'?>" GOOD, -1,
      "declaration" },
    { "tags that cross", HEAD "<Credentials><AccessKeyId>A</Credentials>"
      "</AccessKeyId>" TAIL, -1, "match" },
    { "a tag that is not closed", HEAD "<Credentials>" KEY SKEY STOK EXP TAIL,
      -1, "match" },
    { "an end tag first", "</AssumeRoleResponse>", -1, "match" },
    { "an end tag that is longer",
      "<AssumeRoleResponse></AssumeRoleResponses>", -1, "match" },
    { "an attribute without a value", "<AssumeRoleResponse a>" CREDS
      "</AssumeRoleResponse>", -1, "malformed tag" },
    { "an attribute without quotes", "<AssumeRoleResponse a=b>" CREDS
      "</AssumeRoleResponse>", -1, "malformed tag" },
    { "an attribute with a \"<\"", "<AssumeRoleResponse a=\"<\">" CREDS
      "</AssumeRoleResponse>", -1, "malformed tag" },
    { "a name that begins with a digit", "<1x></1x>", -1, "not XML" },
    { "no name", "<>" CREDS "</>", -1, "not XML" },
    { "a bare ampersand", IN("<AccessKeyId>A&B</AccessKeyId>"), -1,
      "reference" },
    { "an unknown entity", IN("<AccessKeyId>A&copy;</AccessKeyId>"), -1,
      "reference" },
    { "a reference to NUL", IN("<AccessKeyId>A&#0;</AccessKeyId>"), -1,
      "reference" },
    { "a reference to a surrogate", IN("<AccessKeyId>&#xd800;</AccessKeyId>"),
      -1, "reference" },
    { "a reference beyond Unicode", IN("<AccessKeyId>&#1114112;</AccessKeyId>"),
      -1, "reference" },
    { "a reference that overflows",
      IN("<AccessKeyId>&#x100000041;</AccessKeyId>"), -1, "reference" },
    { "an empty reference", IN("<AccessKeyId>&#;</AccessKeyId>"), -1,
      "reference" },
    { "a reference without an end", IN("<AccessKeyId>&#65</AccessKeyId>"), -1,
      "reference" },
    { "a bad reference in what is ignored", HEAD CREDS "<x>&</x>" TAIL, -1,
      "reference" },
    { "8 levels", HEAD CREDS "<a><b><c><d><e><f/></e></d></c></b></a>" TAIL,
      0, NULL },
    { "9 levels", HEAD CREDS
      "<a><b><c><d><e><f><g/></f></e></d></c></b></a>" TAIL, -1, "deep" },

    { "no credentials", HEAD USER TAIL, -1, "no AccessKeyId" },
    { "no result", "<AssumeRoleResponse></AssumeRoleResponse>", -1,
      "not that of AssumeRole" },
    { "an empty result", HEAD TAIL, -1, "not that of AssumeRole" },
    { "no access key", IN(SKEY STOK EXP), -1, "no AccessKeyId" },
    { "no secret", IN(KEY STOK EXP), -1, "no SecretAccessKey" },
    { "no token", IN(KEY SKEY EXP), -1, "no SessionToken" },
    { "no expiration", IN(KEY SKEY STOK), -1, "no Expiration" },
    { "an empty access key", IN("<AccessKeyId/>" SKEY STOK EXP), -1,
      "AccessKeyId of the answer cannot be used" },
    { "an empty token", IN(KEY SKEY "<SessionToken></SessionToken>" EXP), -1,
      "SessionToken of the answer cannot be used" },
    { "a secret with a blank",
      IN(KEY "<SecretAccessKey>a b</SecretAccessKey>" STOK EXP), -1,
      "SecretAccessKey of the answer cannot be used" },
    { "a token with a line feed",
      IN(KEY SKEY "<SessionToken>a&#10;b</SessionToken>" EXP), -1,
      "SessionToken of the answer cannot be used" },
    { "a secret in an element", IN(KEY "<SecretAccessKey><b>" SECRET
      "</b></SecretAccessKey>" STOK EXP), -1, "no SecretAccessKey" },
    { "an expiration that is none",
      IN(KEY SKEY STOK "<Expiration>soon</Expiration>"), -1,
      "ISO 8601: Expiration" },
    { "an access key twice", IN(KEY KEY SKEY STOK EXP), -1,
      "more than once: AccessKeyId" },
    { "a secret twice", IN(KEY SKEY STOK EXP SKEY), -1,
      "more than once: SecretAccessKey" },
    { "two sets of credentials", HEAD CREDS CREDS TAIL, -1,
      "more than once: AccessKeyId" },
    { "the other action",
      "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
      CREDS "</AssumeRoleWithWebIdentityResult>"
      "</AssumeRoleWithWebIdentityResponse>", -1, "not that of AssumeRole" },
    { "an error",
      "<ErrorResponse" XMLNS "><Error><Type>Sender</Type><Code>AccessDenied"
      "</Code><Message>no</Message></Error></ErrorResponse>", -1,
      "is an error, \"AccessDenied\": no" }
};


#define ERROR(x)                                                              \
    "<ErrorResponse" XMLNS ">\n  <Error>\n    <Type>Sender</Type>\n" x        \
    "\n  </Error>\n  <RequestId>42</RequestId>\n</ErrorResponse>\n"

static const error_case_t  errors[] = {
    { ERROR("<Code>AccessDenied</Code>\n<Message>User: arn:aws:iam::1:user/x "
            "is not authorized to perform: sts:AssumeRole</Message>"),
      "AccessDenied",
      "User: arn:aws:iam::1:user/x is not authorized to perform: "
      "sts:AssumeRole" },
    { ERROR("<Code>InvalidIdentityToken</Code>"
            "<Message>&lt;a&gt; &amp; &quot;b&quot; &#x20ac;&#8364;\xc3\xa9"
            "</Message>"),
      "InvalidIdentityToken",
      "<a> & \"b\" \xe2\x82\xac\xe2\x82\xac\xc3\xa9" },
    { ERROR("<Code>X</Code><Message>a\nb&#10;c&#x7f;d&#x85;e</Message>"),
      "X", "a b c d e" },
    { ERROR("<Code> X </Code><Message>  </Message>"), "X", "" },
    { ERROR("<Code>Signature&#68;oesNotMatch</Code>"), "SignatureDoesNotMatch",
      "" },
    { ERROR("<Code>a b</Code><Message>m</Message>"), "", "m" },
    { ERROR("<Code>a&#10;b</Code>"), "", "" },
    { ERROR("<Code>\xc3\xa9</Code>"), "", "" },
    { ERROR("<Code>SignatureDoesNotMatch</Code><Message>The canonical string "
            "should have been 'POST\n/\n\nhost:x\nx-amz-security-token:"
            TOKEN "\n'</Message>"),
      "SignatureDoesNotMatch",
      "The canonical string should have been 'POST /  host:x " },
    { "<Response><Error><Code>X</Code></Error></Response>", "", "" },
    { "<ErrorResponse><Error><Code>X</Code></Error>", "", "" },
    { "<html>503</html>", "", "" },
    { "not XML", "", "" },
    { "", "", "" }
};


static const remedy_case_t  remedies[] = {
    { 403, "AccessDenied", 0, "sts:AssumeRole ", "WithWebIdentity" },
    { 403, "RegionDisabledException", 0, "region", "region" },
    { 400, "MalformedPolicyDocument", 0, "policy", "policy" },
    { 400, "PackedPolicyTooLarge", 0, "large", "large" },
    { 400, "ValidationError", 0, "limits", "limits" },
    { 403, "InvalidClientTokenId", 0, "not valid", "not valid" },
    { 403, "SignatureDoesNotMatch", 0, "secret", "secret" },
    { 403, "ExpiredToken", 0, "credentials", "file" },
    { 400, "ExpiredTokenException", 0, "credentials", "file" },
    { 400, "RequestExpired", 0, "clock", "clock" },
    { 400, "IDPCommunicationError", 1, NULL, "reach" },
    { 403, "IDPRejectedClaim", 0, NULL, "rejected" },
    { 400, "InvalidIdentityToken", 1, NULL, "OIDC" },
    { 400, "InvalidAction", 0, "not AWS STS", "not AWS STS" },
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
parse(ngx_ivschat_sts_action_e action, const char *body, size_t len,
    ngx_ivschat_credentials_t *creds, char *reason)
{
    int    rc;
    char  *copy;

    copy = exact(body, len);
    reason[0] = '\0';

    rc = ngx_ivschat_sts_parse(action, copy, len, NOW, creds, reason,
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

    is_int((long long) ngx_ivschat_sts_session_name(
               str("a234567890123456789012345678901234567890"
                   "123456789012345678901234567890"), name),
           64, "cut at the end");
    ok(ngx_ivschat_sts_check_session_name(str(name)) == NULL, "%s", name);
}


static void
test_forms(void)
{
    int                 rc;
    char               *buf, reason[NGX_IVSCHAT_REASON_LEN];
    size_t              i, len, size;
    const form_case_t  *f;

    for (i = 0; i < size(forms); i++) {
        f = &forms[i];

        size = ngx_ivschat_sts_form_size(&f->req);
        buf = calloc(1, size + 1);

        if (buf == NULL) {
            abort();
        }

        reason[0] = '\0';
        rc = ngx_ivschat_sts_form(&f->req, buf, size, &len, reason,
                                  sizeof(reason));

        if (f->form == NULL) {
            is_int(rc, -1, "form %d is refused", (int) i);
            ok(strncmp(reason, f->reason, strlen(f->reason)) == 0, "%s",
               reason);
            free(buf);
            continue;
        }

        is_int(rc, 0, "form %d", (int) i);
        is_str(buf, f->form, "form %d: its bytes", (int) i);
        is_int((long long) len, (long long) strlen(f->form),
               "form %d: its length", (int) i);
        ok(ngx_ivschat_sts_form(&f->req, buf, len, &len, reason,
                                sizeof(reason)) == 0,
           "form %d: a buffer that just holds it", (int) i);
        ok(ngx_ivschat_sts_form(&f->req, buf, len - 1, &len, reason,
                                sizeof(reason)) == -1
           && strstr(reason, "small") != NULL,
           "form %d: a buffer that is too small", (int) i);

        free(buf);
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

    static const char  body[] =
        "<AssumeRoleWithWebIdentityResponse" XMLNS ">"
        "<AssumeRoleWithWebIdentityResult>"
        "<SubjectFromWebIdentityToken>system:serviceaccount:ns:sa"
        "</SubjectFromWebIdentityToken><Audience>sts.amazonaws.com</Audience>"
        USER CREDS "<Provider>arn:aws:iam::123456789012:oidc-provider/x"
        "</Provider></AssumeRoleWithWebIdentityResult>"
        "<ResponseMetadata><RequestId>ad4156e9</RequestId></ResponseMetadata>"
        "</AssumeRoleWithWebIdentityResponse>";

    is_int(parse(W, body, sizeof(body) - 1, &creds, reason), 0,
           "an answer to a web identity");
    is_str(creds.access_key, "ASIAEXAMPLE", "the access key");
    is_str(creds.secret_key, SECRET, "the secret");
    is_str(creds.session_token, TOKEN, "the token");
    is_str(creds.account_id, "123456789012", "the account");
    is_int(creds.expiration, NOW + 3600, "the expiration");

    is_int(parse(W, GOOD, sizeof(GOOD) - 1, &creds, reason), -1,
           "but not that of AssumeRole");
    ok(strstr(reason, "not that of AssumeRoleWithWebIdentity") != NULL, "%s",
       reason);
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
        ngx_ivschat_sts_error_parse(body, len, &error);
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

    (void) snprintf(body, sizeof(body), "%s<Credentials>%s%s<SessionToken>%s"
                    "</SessionToken>%s</Credentials>%s", HEAD, KEY, SKEY,
                    value, EXP, TAIL);
    is_int(parse(A, body, strlen(body), &creds, reason), 0,
           "the longest token");
    is_int((long long) creds.session_token_len, 8192, "is there whole");

    value[8192] = 'x';
    value[8193] = '\0';

    (void) snprintf(body, sizeof(body), "%s<Credentials>%s%s<SessionToken>%s"
                    "</SessionToken>%s</Credentials>%s", HEAD, KEY, SKEY,
                    value, EXP, TAIL);
    is_int(parse(A, body, strlen(body), &creds, reason), -1, "one longer");
    ok(strstr(reason, "too long: SessionToken") != NULL, "%s", reason);

    memset(value, 'x', 2000);
    memcpy(value + 510, "\xe2\x82\xac", 3);
    value[2000] = '\0';

    (void) snprintf(body, sizeof(body), "<ErrorResponse><Error><Code>C</Code>"
                    "<Message>%s</Message></Error></ErrorResponse>", value);
    ngx_ivschat_sts_error_parse(body, strlen(body), &error);
    is_int((long long) strlen(error.message), 510,
           "a message is cut between characters");

    value[80] = '\0';

    (void) snprintf(body, sizeof(body), "<ErrorResponse><Error><Code>%s</Code>"
                    "</Error></ErrorResponse>", value);
    ngx_ivschat_sts_error_parse(body, strlen(body), &error);
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
        ngx_ivschat_sts_error_parse(copy, strlen(errors[i].body), &error);
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

        is_int(ngx_ivschat_sts_retryable(r->status, r->code), r->retryable,
               "%u %s: again?", r->status, r->code);

        text = ngx_ivschat_sts_remedy(A, r->status, r->code);
        ok(r->remedy != NULL ? strstr(text, r->remedy) != NULL
                             : text[0] == '\0',
           "%u %s, AssumeRole: %s", r->status, r->code, text);

        text = ngx_ivschat_sts_remedy(W, r->status, r->code);
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
