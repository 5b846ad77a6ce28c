
/*
 * AWS credentials: what is accepted, the answers of metadata services, and
 * when new ones are got.
 */


#include "aws/ngx_ivschat_credentials.h"

#include <stdlib.h>

#include "tap.h"


#define size(a)  (sizeof(a) / sizeof((a)[0]))

#define NOW      INT64_C(1795555800)             /* 2026-11-24T21:30:00Z */

#define SECRET   "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TOKEN    "AQoDYXdzEPT//////////wEXAMPLEtoken=="

#define KEYS     "\"AccessKeyId\":\"ASIAEXAMPLE\",\"SecretAccessKey\":\""     \
                 SECRET "\""
#define REST     ",\"Token\":\"" TOKEN "\","                                  \
                 "\"Expiration\":\"2026-11-25T03:30:00Z\""
#define GOOD     "{" KEYS REST "}"


typedef struct {
    ngx_ivschat_str_t                 key;
    ngx_ivschat_str_t                 secret;
    ngx_ivschat_str_t                 token;
    ngx_ivschat_credentials_field_e   field;
    const char                       *reason;    /* a part; NULL: accepted */
} check_case_t;

typedef struct {
    const char                          *name;
    ngx_ivschat_credentials_flavour_e    flavour;
    const char                          *body;
    int                                  rc;
    const char                          *reason;
} parse_case_t;

typedef struct {
    int64_t      lifetime;
    int64_t      advisory;             /* before the expiration */
    int64_t      mandatory;
} window_case_t;


#define S(literal)   ngx_ivschat_string(literal)

static const check_case_t  checks[] = {
    { S("AKIDEXAMPLE"), S(SECRET), S(""), 0, NULL },
    { S("AKIDEXAMPLE"), S(SECRET), S(TOKEN), 0, NULL },
    { S("a_Z9"), S("!~"), S("!~"), 0, NULL },
    { S(""), S(SECRET), S(""), NGX_IVSCHAT_ACCESS_KEY, "missing" },
    { S("AKID EXAMPLE"), S(SECRET), S(""), NGX_IVSCHAT_ACCESS_KEY, "only" },
    { S("AKID/EXAMPLE"), S(SECRET), S(""), NGX_IVSCHAT_ACCESS_KEY, "only" },
    { S("AKID\0"), S(SECRET), S(""), NGX_IVSCHAT_ACCESS_KEY, "only" },
    { S("AKID\xc3\xa9"), S(SECRET), S(""), NGX_IVSCHAT_ACCESS_KEY, "only" },
    { S("AKID\n"), S(SECRET), S(""), NGX_IVSCHAT_ACCESS_KEY, "only" },
    { S("AKID"), S(""), S(""), NGX_IVSCHAT_SECRET_KEY, "missing" },
    { S("AKID"), S("a b"), S(""), NGX_IVSCHAT_SECRET_KEY, "visible" },
    { S("AKID"), S("a\n"), S(""), NGX_IVSCHAT_SECRET_KEY, "visible" },
    { S("AKID"), S("a\x7f"), S(""), NGX_IVSCHAT_SECRET_KEY, "visible" },
    { S("AKID"), S("\xc3\xa9"), S(""), NGX_IVSCHAT_SECRET_KEY, "visible" },
    { S("AKID"), S("a\0b"), S(""), NGX_IVSCHAT_SECRET_KEY, "visible" },
    { S("AKID"), S("a"), S("a b"), NGX_IVSCHAT_SESSION_TOKEN, "visible" },
    { S("AKID"), S("a"), S("a\r\nHost: x"), NGX_IVSCHAT_SESSION_TOKEN,
      "visible" },
    { S("AKID"), S("a"), S("\xff"), NGX_IVSCHAT_SESSION_TOKEN, "visible" }
};


#define BOTH(name, body, rc, reason)                                          \
    { name, NGX_IVSCHAT_CONTAINER, body, rc, reason },                        \
    { name " (IMDS)", NGX_IVSCHAT_IMDS, body, rc, reason }

static const parse_case_t  parses[] = {

    BOTH("the documented members", GOOD, 0, NULL),
    BOTH("what ECS sends",
         "{\"RoleArn\":\"arn:aws:iam::123456789012:role/r\"," KEYS REST "}",
         0, NULL),
    BOTH("what IMDS sends",
         "{\n  \"Code\" : \"Success\",\n"
         "  \"LastUpdated\" : \"2026-11-24T21:29:00Z\",\n"
         "  \"Type\" : \"AWS-HMAC\",\n  " KEYS REST "\n}\n", 0, NULL),
    BOTH("an account", "{" KEYS REST ",\"AccountId\":\"123456789012\"}", 0,
         NULL),
    BOTH("an account that is a number",
         "{" KEYS REST ",\"AccountId\":123456789012}", 0, NULL),
    BOTH("white space around", " \r\n\t" GOOD " \n", 0, NULL),
    BOTH("escapes", "{\"Access\\u004beyId\":\"ASIA\\u0045XAMPLE\","
         "\"SecretAccessKey\":\"wJalrXUtnFEMI\\/K7MDENG+bPxRfiCYEXAMPLEKEY\""
         REST "}", 0, NULL),
    BOTH("members that are unknown",
         "{\"x\":[1,{\"AccessKeyId\":2}],\"y\":null," KEYS REST "}", 0, NULL),
    BOTH("null where absent is allowed",
         "{" KEYS REST ",\"Code\":null,\"Message\":null}", 0, NULL),

    { "no token", NGX_IVSCHAT_CONTAINER,
      "{" KEYS ",\"Expiration\":\"2026-11-25T03:30:00Z\"}", 0, NULL },
    { "a token that is null", NGX_IVSCHAT_CONTAINER,
      "{" KEYS ",\"Token\":null,\"Expiration\":\"2026-11-25T03:30:00Z\"}", 0,
      NULL },
    { "no token (IMDS)", NGX_IVSCHAT_IMDS,
      "{" KEYS ",\"Expiration\":\"2026-11-25T03:30:00Z\"}", -1,
      "no \"Token\"" },
    { "an empty token (IMDS)", NGX_IVSCHAT_IMDS,
      "{" KEYS ",\"Token\":\"\",\"Expiration\":\"2026-11-25T03:30:00Z\"}", -1,
      "\"Token\" in the answer is empty" },

    BOTH("an offset and a fraction", "{" KEYS ",\"Token\":\"t\","
         "\"Expiration\":\"2026-11-25T04:30:00.5+01:00\"}", 0, NULL),
    BOTH("expired, which the caller sees", "{" KEYS ",\"Token\":\"t\","
         "\"Expiration\":\"2026-11-24T21:29:59Z\"}", 0, NULL),
    BOTH("expired at the epoch", "{" KEYS ",\"Token\":\"t\","
         "\"Expiration\":\"1970-01-01T00:00:00Z\"}", -1, "\"Expiration\""),

    BOTH("an error", "{\"Code\":\"AssumeRoleUnauthorizedAccess\","
         "\"Message\":\"EC2 cannot assume the role x.\"}", -1,
         "\"AssumeRoleUnauthorizedAccess\": EC2 cannot assume the role x."),
    BOTH("an error without a text", "{\"Code\":\"Failed\"}", -1,
         "is an error, \"Failed\""),
    BOTH("an error that forges a log line", "{\"Code\":\"Failed\","
         "\"Message\":\"a\\nb\"}", -1, "\"Failed\": a b"),
    BOTH("an error with keys",
         "{\"Code\":\"Failed\",\"Message\":\"" SECRET "\"," KEYS REST "}", -1,
         "has keys, but"),
    BOTH("a success without keys", "{\"Code\":\"Success\"}", -1,
         "no \"AccessKeyId\""),
    BOTH("a code that is no string", "{\"Code\":1," KEYS REST "}", -1,
         "\"Code\" in the answer is not a string"),

    BOTH("nothing", "", -1, "empty"),
    BOTH("white space", " \n", -1, "not JSON"),
    BOTH("HTML", "<html><body>" SECRET "</body></html>", -1,
         "XML or HTML instead of JSON"),
    BOTH("text", SECRET, -1, "not JSON"),
    BOTH("a string", "\"" SECRET "\"", -1, "not a JSON object"),
    BOTH("an array", "[" GOOD "]", -1, "not a JSON object"),
    BOTH("null", "null", -1, "not a JSON object"),
    BOTH("an empty object", "{}", -1, "no \"AccessKeyId\""),
    BOTH("two objects", GOOD GOOD, -1, "not JSON"),
    BOTH("something behind", GOOD "x", -1, "not JSON"),
    BOTH("a comma at the end", "{" KEYS REST ",}", -1, "not JSON"),
    BOTH("other letters", "{\"accesskeyid\":\"A\",\"SecretAccessKey\":\"b\""
         REST "}", -1, "no \"AccessKeyId\""),

    BOTH("a key twice", "{" KEYS REST ",\"AccessKeyId\":\"ASIAEXAMPLE\"}", -1,
         "duplicate \"AccessKeyId\""),
    BOTH("a secret twice", "{\"SecretAccessKey\":null," KEYS REST "}", -1,
         "duplicate \"SecretAccessKey\""),
    BOTH("a token twice", "{" KEYS REST ",\"T\\u006fken\":\"x\"}", -1,
         "duplicate \"Token\""),
    BOTH("an expiration twice", "{" KEYS REST ",\"Expiration\":\"x\"}", -1,
         "duplicate \"Expiration\""),
    BOTH("a code twice",
         "{\"Code\":\"Success\",\"Code\":\"Success\"," KEYS REST "}", -1,
         "duplicate \"Code\""),

    BOTH("a key that is a number", "{\"AccessKeyId\":1,"
         "\"SecretAccessKey\":\"" SECRET "\"" REST "}", -1,
         "\"AccessKeyId\" in the answer is not a string"),
    BOTH("a key that is null", "{\"AccessKeyId\":null,"
         "\"SecretAccessKey\":\"" SECRET "\"" REST "}", -1,
         "no \"AccessKeyId\""),
    BOTH("a key that is empty", "{\"AccessKeyId\":\"\","
         "\"SecretAccessKey\":\"" SECRET "\"" REST "}", -1,
         "\"AccessKeyId\" in the answer is empty"),
    BOTH("a key with a blank", "{\"AccessKeyId\":\"A B\","
         "\"SecretAccessKey\":\"" SECRET "\"" REST "}", -1,
         "invalid \"AccessKeyId\" in the answer"),
    BOTH("a secret that is an object", "{\"AccessKeyId\":\"A\","
         "\"SecretAccessKey\":{\"x\":\"" SECRET "\"}" REST "}", -1,
         "\"SecretAccessKey\" in the answer is not a string"),
    BOTH("a secret with a line feed", "{\"AccessKeyId\":\"A\","
         "\"SecretAccessKey\":\"" SECRET "\\n\"" REST "}", -1,
         "invalid \"SecretAccessKey\" in the answer"),
    BOTH("no secret", "{\"AccessKeyId\":\"A\"" REST "}", -1,
         "no \"SecretAccessKey\""),
    BOTH("a token that is true", "{" KEYS ",\"Token\":true,"
         "\"Expiration\":\"2026-11-25T03:30:00Z\"}", -1,
         "\"Token\" in the answer is not a string"),
    BOTH("a token with a header in it", "{" KEYS ",\"Token\":\"t\\r\\nX: y\","
         "\"Expiration\":\"2026-11-25T03:30:00Z\"}", -1,
         "invalid \"Token\" in the answer"),

    BOTH("no expiration", "{" KEYS ",\"Token\":\"t\"}", -1,
         "no \"Expiration\""),
    BOTH("an expiration that is a number",
         "{" KEYS ",\"Token\":\"t\",\"Expiration\":1795577400}", -1,
         "\"Expiration\" in the answer is not a string"),
    BOTH("an expiration without a zone",
         "{" KEYS ",\"Token\":\"t\",\"Expiration\":\"2026-11-25T03:30:00\"}",
         -1, "invalid \"Expiration\" in"),
    BOTH("an expiration that is a text",
         "{" KEYS ",\"Token\":\"t\",\"Expiration\":\"tomorrow\"}", -1,
         "invalid \"Expiration\" in"),
    BOTH("an expiration on the 30th of February",
         "{" KEYS ",\"Token\":\"t\",\"Expiration\":\"2026-02-30T00:00:00Z\"}",
         -1, "invalid \"Expiration\" in"),

    BOTH("a U+0000", "{" KEYS REST ",\"x\":\"a\\u0000b\"}", -1, "U+0000"),
    BOTH("a U+0000 in a name", "{" KEYS REST ",\"Token\\u0000\":\"b\"}", -1,
         "U+0000"),
    BOTH("a backslash before u0000",
         "{" KEYS REST ",\"x\":\"a\\\\u0000b\"}", 0, NULL),
    BOTH("8 levels", "{" KEYS REST ",\"x\":[[[[[[[]]]]]]]}", 0, NULL),
    BOTH("9 levels", "{" KEYS REST ",\"x\":[[[[[[[[]]]]]]]]}", -1,
         "nested too deeply"),
    BOTH("brackets in a string", "{" KEYS REST ",\"x\":\"[[[[[[[[[[\"}", 0,
         NULL)
};


static const window_case_t  windows[] = {
    { 43200, 3600, 60 },               /* 12 hours */
    { 21600, 3600, 60 },               /* 6 hours: IMDS */
    { 5401, 3600, 60 },
    { 5400, 3600, 60 },                /* 90 minutes */
    { 5399, 900, 60 },
    { 3600, 900, 60 },                 /* an hour: STS */
    { 1801, 900, 60 },
    { 1201, 900, 60 },
    { 1200, 300, 60 },                 /* 20 minutes */
    { 900, 300, 60 },                  /* 15 minutes: the least of STS */
    { 600, 300, 60 },
    { 599, 299, 60 },
    { 240, 120, 60 },
    { 239, 119, 59 },
    { 60, 30, 15 },
    { 20, 10, 5 },
    { 4, 2, 1 },
    { 3, 1, 0 },
    { 2, 1, 0 },
    { 1, 0, 0 }
};


static int parse(ngx_ivschat_credentials_flavour_e flavour, const char *body,
    size_t len, ngx_ivschat_credentials_t *creds, char *reason);


/* Nothing behind the bytes, so that a sanitizer sees who reads there. */

static int
parse(ngx_ivschat_credentials_flavour_e flavour, const char *body, size_t len,
    ngx_ivschat_credentials_t *creds, char *reason)
{
    int    rc;
    char  *copy;

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, body, len);

    reason[0] = '\0';

    rc = ngx_ivschat_credentials_parse(flavour, copy, len, NOW, creds, reason,
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
test_check(void)
{
    size_t                            i;
    const char                       *why;
    const check_case_t               *c;
    ngx_ivschat_credentials_t         creds;
    ngx_ivschat_credentials_field_e   field;

    for (i = 0; i < size(checks); i++) {
        c = &checks[i];

        memset(&creds, 0x55, sizeof(creds));

        why = ngx_ivschat_credentials_set(&creds, c->key, c->secret, c->token,
                                          &field);

        if (c->reason == NULL) {
            ok(why == NULL && creds.access_key_len == c->key.len
               && strcmp(creds.secret_key, c->secret.data) == 0
               && strcmp(creds.session_token, c->token.data) == 0
               && creds.session_token_len == c->token.len
               && creds.expiration == 0,
               "check %d: accepted and copied", (int) i);

        } else {
            ok(why != NULL && strstr(why, c->reason) != NULL,
               "check %d: %s", (int) i, why ? why : "accepted");
            ok(why != NULL && field == c->field, "check %d: the field",
               (int) i);
            ok(is_wiped(&creds), "check %d: nothing is left", (int) i);
        }
    }
}


static void
test_limits(void)
{
    char                              text[NGX_IVSCHAT_SESSION_TOKEN_MAX + 2];
    ngx_ivschat_str_t                 key, secret, token, none = S("");
    ngx_ivschat_credentials_t         creds;
    ngx_ivschat_credentials_field_e   field;

    memset(text, 'A', sizeof(text));

    key.data = secret.data = token.data = text;
    key.len = NGX_IVSCHAT_ACCESS_KEY_MAX;
    secret.len = NGX_IVSCHAT_SECRET_KEY_MAX;
    token.len = NGX_IVSCHAT_SESSION_TOKEN_MAX;

    ok(ngx_ivschat_credentials_set(&creds, key, secret, token, &field) == NULL
       && strlen(creds.access_key) == 128
       && strlen(creds.secret_key) == 256
       && strlen(creds.session_token) == 8192, "the longest of each");

    key.len++;
    ok(ngx_ivschat_credentials_set(&creds, key, secret, token, &field) != NULL
       && field == NGX_IVSCHAT_ACCESS_KEY, "an access key of 129");

    key.len--;
    secret.len++;
    ok(ngx_ivschat_credentials_set(&creds, key, secret, token, &field) != NULL
       && field == NGX_IVSCHAT_SECRET_KEY, "a secret of 257");

    secret.len--;
    token.len++;
    ok(ngx_ivschat_credentials_set(&creds, key, secret, token, &field) != NULL
       && field == NGX_IVSCHAT_SESSION_TOKEN, "a session token of 8193");

    none.data = NULL;
    ok(ngx_ivschat_credentials_set(&creds, key, secret, none, &field) == NULL
       && creds.session_token_len == 0, "no session token at all");
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

        rc = parse(c->flavour, c->body, strlen(c->body), &creds, reason);

        is_int(rc, c->rc, "%s", c->name);

        if (c->reason != NULL) {
            ok(strstr(reason, c->reason) != NULL, "%s: %s", c->name, reason);
        }

        ok(strstr(reason, SECRET) == NULL && strstr(reason, TOKEN) == NULL
           && strstr(reason, "ASIAEXAMPLE") == NULL,
           "%s: no secret in the reason", c->name);

        if (rc == -1) {
            ok(is_wiped(&creds), "%s: nothing is left", c->name);

        } else {
            ok(strcmp(creds.access_key, "ASIAEXAMPLE") == 0
               && strcmp(creds.secret_key, SECRET) == 0
               && creds.access_key_len == strlen(creds.access_key)
               && creds.secret_key_len == strlen(creds.secret_key)
               && creds.session_token_len == strlen(creds.session_token),
               "%s: the keys", c->name);
        }
    }
}


static void
test_values(void)
{
    char                       reason[NGX_IVSCHAT_REASON_LEN];
    ngx_ivschat_credentials_t  creds;

    is_int(parse(NGX_IVSCHAT_IMDS, GOOD, sizeof(GOOD) - 1, &creds, reason), 0,
           "all members");
    is_str(creds.access_key, "ASIAEXAMPLE", "the access key");
    is_str(creds.secret_key, SECRET, "the secret");
    is_str(creds.session_token, TOKEN, "the token");
    is_int(creds.expiration, NOW + 6 * 3600, "the expiration");

    ngx_ivschat_credentials_wipe(&creds);
    ok(is_wiped(&creds), "wiped");
}


/* Every answer that is cut, and every one with one byte broken. */

static void
test_broken(void)
{
    int                         rc, whole;
    char                        body[sizeof(GOOD)];
    char                        reason[NGX_IVSCHAT_REASON_LEN];
    size_t                      i, len, leaks;
    ngx_ivschat_credentials_t   creds;

    len = sizeof(GOOD) - 1;
    whole = 0;
    leaks = 0;

    for (i = 0; i < len; i++) {
        rc = parse(NGX_IVSCHAT_IMDS, GOOD, i, &creds, reason);
        whole += (rc != -1 || !is_wiped(&creds));
        leaks += strstr(reason, "wJalr") != NULL;
    }

    is_int(whole, 0, "no part of an answer is taken for one");
    is_int((long long) leaks, 0, "and none is repeated");

    whole = 0;

    for (i = 0; i < len; i++) {
        memcpy(body, GOOD, len);
        body[i] = '\0';
        whole += parse(NGX_IVSCHAT_IMDS, body, len, &creds, reason) != -1;
    }

    is_int(whole, 0, "no answer with a NUL is taken");

    for (i = 0; i < len * 256; i++) {
        memcpy(body, GOOD, len);
        body[i / 256] = (char) (i % 256);
        (void) parse(NGX_IVSCHAT_CONTAINER, body, len, &creds, reason);
        leaks += strstr(reason, "wJalr") != NULL;
    }

    is_int((long long) leaks, 0, "no broken answer is repeated");
}


static void
test_reason(void)
{
    char                        small[8];
    size_t                      i;
    ngx_ivschat_credentials_t   creds;

    for (i = 0; i < sizeof(small); i++) {
        memset(small, '!', sizeof(small));
        (void) ngx_ivschat_credentials_parse(NGX_IVSCHAT_IMDS, "{}", 2, NOW,
                                             &creds, small, i);

        ok(i == 0 ? small[0] == '!' : strlen(small) == i - 1,
           "a reason of %d bytes", (int) i);
    }
}


static void
test_windows(void)
{
    size_t                  i;
    const window_case_t    *w;
    ngx_ivschat_refresh_t   times;

    for (i = 0; i < size(windows); i++) {
        w = &windows[i];

        ngx_ivschat_refresh_times(NOW, NOW + w->lifetime, &times);

        is_int(NOW + w->lifetime - times.advisory, w->advisory,
               "%lld s: advisory", (long long) w->lifetime);
        is_int(NOW + w->lifetime - times.mandatory, w->mandatory,
               "%lld s: mandatory", (long long) w->lifetime);
        ok(times.advisory > NOW && times.advisory <= times.mandatory,
           "%lld s: in order", (long long) w->lifetime);
    }

    ngx_ivschat_refresh_times(NOW, 0, &times);
    ok(times.advisory == NGX_IVSCHAT_NEVER
       && times.mandatory == NGX_IVSCHAT_NEVER, "what never expires");

    ngx_ivschat_refresh_times(NOW, NOW, &times);
    ok(times.advisory == NOW && times.mandatory == NOW, "expired");

    ngx_ivschat_refresh_times(NOW, NOW - 1000, &times);
    ok(times.advisory == NOW && times.mandatory == NOW, "long expired");
}


static void
test_delay(void)
{
    uint32_t               d, min, max, i;
    ngx_ivschat_refresh_t  times;

    times.advisory = NOW - 1800;
    times.mandatory = NOW + 1800;

    min = UINT32_MAX;
    max = 0;

    for (i = 0; i < 400000; i++) {
        d = ngx_ivschat_refresh_delay(&times, NOW, 1 + i % 9, i);
        min = d < min ? d : min;
        max = d > max ? d : max;
    }

    is_int(min, 300000, "the least pause while there are credentials");
    is_int(max, 600000, "the longest");

    d = ngx_ivschat_refresh_delay(&times, NOW, 1, UINT32_MAX);
    ok(d >= 300000 && d <= 600000, "any random number");

    times.mandatory = NOW + 100;
    is_int(ngx_ivschat_refresh_delay(&times, NOW, 1, 12345), 100000,
           "but not past the mandatory time");

    times.mandatory = NOW + 1;
    is_int(ngx_ivschat_refresh_delay(&times, NOW, 1, 12345), 1000,
           "a second before it");

    times.mandatory = NGX_IVSCHAT_NEVER;
    is_int(ngx_ivschat_refresh_delay(&times, NOW, 1, 0), 300000,
           "credentials that never expire");

    times.mandatory = NOW;
    is_int(ngx_ivschat_refresh_delay(&times, NOW, 1, 0), 1000,
           "from the mandatory time on soon");

    is_int(ngx_ivschat_refresh_delay(NULL, NOW, 0, 0), 1000, "no failure");
    is_int(ngx_ivschat_refresh_delay(NULL, NOW, 1, 0), 1000, "the first");
    is_int(ngx_ivschat_refresh_delay(NULL, NOW, 1, 4000), 5000, "at most");
    is_int(ngx_ivschat_refresh_delay(NULL, NOW, 2, 0), 2000, "the second");
    is_int(ngx_ivschat_refresh_delay(NULL, NOW, 3, 4000), 20000, "the third");
    is_int(ngx_ivschat_refresh_delay(NULL, NOW, 5, 4000), 80000, "the fifth");
    is_int(ngx_ivschat_refresh_delay(NULL, NOW, 6, 4000), 80000, "the sixth");
    is_int(ngx_ivschat_refresh_delay(NULL, NOW, UINT32_MAX, 4000), 80000,
           "and so on");
}


int
main(void)
{
    test_check();
    test_limits();
    test_parse();
    test_values();
    test_broken();
    test_reason();
    test_windows();
    test_delay();

    return done_testing();
}
