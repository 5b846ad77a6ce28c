
/*
 * SigV4: the signing of AWS's own public test suite (the figures of
 * aws-c-auth's tests/aws-signing-test-suite/v4, Apache License 2.0), that of
 * CreateChatToken as AWS's SDKs sign it, and the key cache.
 */


#include "aws/ngx_ivschat_sigv4.h"

#include <ctype.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "tap.h"


#define SECRET       "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TIME         "20150830T123600Z"
#define TOKEN        "AQoDYXdzEPT//////////wEXAMPLEtoken=="

#define SUITE_HOST   "example.amazonaws.com"
#define SUITE_TOKEN                                                           \
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsK" \
    "WHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeeh" \
    "M4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q" \
    "6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypN" \
    "C9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
#define GET_TOKEN                                                             \
    "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"

#define UNRESERVED                                                            \
    "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#define EMPTY                                                                 \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define PARAM1                                                                \
    "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
#define BODY_HASH                                                             \
    "f7d32eff75148cc520dcfe54c1e64d259d336d0c9487b82273ad8122b82d9448"

#define BODY                                                                  \
    "{\"roomIdentifier\":"                                                    \
    "\"arn:aws:ivschat:us-west-2:123456789012:room/g1H2I3j4k5L6\","           \
    "\"userId\":\"11231234\",\"capabilities\":[\"SEND_MESSAGE\"],"            \
    "\"sessionDurationInMinutes\":30,"                                        \
    "\"attributes\":{\"displayName\":\"DemoUser\"}}"

#define FORM   "application/x-www-form-urlencoded"

#define DATE_ONLY      "host:" SUITE_HOST "\nx-amz-date:" TIME "\n\n"         \
                       "host;x-amz-date\n" EMPTY
#define MY_HEADER1(v)  "host:" SUITE_HOST "\nmy-header1:" v                   \
                       "\nx-amz-date:" TIME "\n\n"                            \
                       "host;my-header1;x-amz-date\n" EMPTY
#define FORM_POST(t)   "POST\n/\n\ncontent-length:13\ncontent-type:" t        \
                       "\nhost:" SUITE_HOST                                   \
                       "\nx-amz-content-sha256:" PARAM1                       \
                       "\nx-amz-date:" TIME "\n\n"                            \
                       "content-length;content-type;host;"                    \
                       "x-amz-content-sha256;x-amz-date\n" PARAM1


typedef struct {
    const char   *name;
    const char   *method;
    const char   *uri;
    const char   *headers[17][2];
    const char   *payload;
    const char   *canonical;
    const char   *hash;                /* of the canonical request */
    const char   *signature;
} vector_t;


/*
 * The cases that have no query, and a path that is canonical already, as ours
 * is.  Their headers are made canonical by this test, not by the module, which
 * signs only what is canonical.  The header that is folded over lines has
 * blanks for the folds here, since line feeds are refused.
 */

static const vector_t  suite[] = {

    { "get-header-key-duplicate", "GET", "/",
      { { "Host", SUITE_HOST }, { "My-Header1", "value2" },
        { "My-Header1", "value2" }, { "My-Header1", "value1" },
        { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/\n\n" MY_HEADER1("value2,value2,value1"),
      "dc7f04a3abfde8d472b0ab1a418b741b7c67174dad1551b4117b15527fbe966c",
      "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },

    { "get-header-value-multiline", "GET", "/",
      { { "Host", SUITE_HOST }, { "My-Header1", "value1   value2\t  value3" },
        { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/\n\n" MY_HEADER1("value1 value2 value3"),
      "e99419459a677bc11de234014be3c4e72c1ea5b454ceb58b613061f5d7a162e8",
      "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd" },

    { "get-header-value-order", "GET", "/",
      { { "Host", SUITE_HOST }, { "My-Header1", "value4" },
        { "My-Header1", "value1" }, { "X-Amz-Date", TIME },
        { "My-Header1", "value3" }, { "My-Header1", "value2" } }, EMPTY,
      "GET\n/\n\n" MY_HEADER1("value4,value1,value3,value2"),
      "31ce73cd3f3d9f66977ad3dd957dc47af14df92fcd8509f59b349e9137c58b86",
      "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01" },

    { "get-header-value-trim", "GET", "/",
      { { "Host", SUITE_HOST }, { "My-Header1", " value1" },
        { "My-Header2", " \"a   b   c\" \t" }, { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/\n\nhost:" SUITE_HOST "\nmy-header1:value1\n"
      "my-header2:\"a b c\"\nx-amz-date:" TIME "\n\n"
      "host;my-header1;my-header2;x-amz-date\n" EMPTY,
      "a726db9b0df21c14f559d0a978e563112acb1b9e05476f0a6a1c7d68f28605c7",
      "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },

    { "get-relative-unnormalized", "GET", "/example/..",
      { { "Host", SUITE_HOST }, { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/example/..\n\n" DATE_ONLY,
      "0511f456aa502b456d135fcb9d749374a55228f9dbeedda1eacf659e05b0615b",
      "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282" },

    { "get-slashes-unnormalized", "GET", "//example//",
      { { "Host", SUITE_HOST }, { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n//example//\n\n" DATE_ONLY,
      "528ec3105ee1f34ab014bb0a1a45da0ed2742a4fea3555149e5b4d5d201eb240",
      "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5" },

    { "get-space-normalized", "GET", "/example%20space/",
      { { "Host", SUITE_HOST }, { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/example%20space/\n\n" DATE_ONLY,
      "63ee75631ed7234ae61b5f736dfc7754cdccfedbff4b5128a915706ee9390d86",
      "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741" },

    { "get-unreserved", "GET", "/" UNRESERVED,
      { { "Host", SUITE_HOST }, { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/" UNRESERVED "\n\n" DATE_ONLY,
      "6a968768eefaa713e2a6b16b589a8ea192661f098f37349f4e2c0082757446f9",
      "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },

    { "get-utf8", "GET", "/%E1%88%B4",
      { { "Host", SUITE_HOST }, { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/%E1%88%B4\n\n" DATE_ONLY,
      "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102",
      "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },

    { "get-vanilla", "GET", "/",
      { { "X-Amz-Date", TIME }, { "Host", SUITE_HOST } }, EMPTY,
      "GET\n/\n\n" DATE_ONLY,
      "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },

    { "get-vanilla-with-session-token", "GET", "/",
      { { "X-Amz-Security-Token", GET_TOKEN }, { "Host", SUITE_HOST },
        { "X-Amz-Date", TIME } }, EMPTY,
      "GET\n/\n\nhost:" SUITE_HOST "\nx-amz-date:" TIME
      "\nx-amz-security-token:" GET_TOKEN "\n\n"
      "host;x-amz-date;x-amz-security-token\n" EMPTY,
      "067b36aa60031588cea4a4cde1f21215227a047690c72247f1d70b32fbbfad2b",
      "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8" },

    { "post-header-key-case", "POST", "/",
      { { "HOST", SUITE_HOST }, { "x-aMz-dATE", TIME } }, EMPTY,
      "POST\n/\n\n" DATE_ONLY,
      "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },

    { "post-header-key-sort", "POST", "/",
      { { "X-Amz-Date", TIME }, { "My-Header1", "value1" },
        { "Host", SUITE_HOST } }, EMPTY,
      "POST\n/\n\n" MY_HEADER1("value1"),
      "9368318c2967cf6de74404b30c65a91e8f6253e0a8659d6d5319f1a812f87d65",
      "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },

    { "post-header-value-case", "POST", "/",
      { { "Host", SUITE_HOST }, { "My-Header1", "VALUE1" },
        { "X-Amz-Date", TIME } }, EMPTY,
      "POST\n/\n\n" MY_HEADER1("VALUE1"),
      "d51ced243e649e3de6ef63afbbdcbca03131a21a7103a1583706a64618606a93",
      "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },

    { "post-sts-header-before", "POST", "/",
      { { "Host", SUITE_HOST }, { "X-Amz-Date", TIME },
        { "X-Amz-Security-Token", SUITE_TOKEN } }, EMPTY,
      "POST\n/\n\nhost:" SUITE_HOST "\nx-amz-date:" TIME
      "\nx-amz-security-token:" SUITE_TOKEN "\n\n"
      "host;x-amz-date;x-amz-security-token\n" EMPTY,
      "c237e1b440d4c63c32ca95b5b99481081cb7b13c7e40434868e71567c1a882f6",
      "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },

    { "post-vanilla", "POST", "/",
      { { "Host", SUITE_HOST }, { "X-Amz-Date", TIME } }, EMPTY,
      "POST\n/\n\n" DATE_ONLY,
      "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },

    { "post-x-www-form-urlencoded", "POST", "/",
      { { "Content-Type", FORM }, { "Host", SUITE_HOST },
        { "Content-Length", "13" }, { "X-Amz-Date", TIME },
        { "X-Amz-Content-Sha256", PARAM1 } }, PARAM1,
      FORM_POST(FORM),
      "b1edd1d03544c25390e32085d55b57acc9a3961bb59415ff86c45c3d89d16cfb",
      "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b" },

    { "post-x-www-form-urlencoded-parameters", "POST", "/",
      { { "Content-Type", FORM "; charset=utf-8" }, { "Host", SUITE_HOST },
        { "Content-Length", "13" }, { "X-Amz-Date", TIME },
        { "X-Amz-Content-Sha256", PARAM1 } }, PARAM1,
      FORM_POST(FORM "; charset=utf-8"),
      "a89f1a5b53e37702ee6363ce1da3ce8f54386f3c8f352ae652153c2982a0bc4d",
      "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422" },

    { NULL, NULL, NULL, { { NULL, NULL } }, NULL, NULL, NULL, NULL }
};


#define IVSCHAT_HOST   "ivschat.us-west-2.amazonaws.com"

#define IVSCHAT_CANONICAL(host, sha, token, names)                            \
    "POST\n/CreateChatToken\n\ncontent-type:application/json\nhost:" host     \
    sha "\nx-amz-date:" TIME token "\n\n" names "\n" BODY_HASH


/* As the Python and the JavaScript SDK sign the same request. */

static const vector_t  ivschat[] = {

    { "CreateChatToken A", "POST", "/CreateChatToken",
      { { "Host", IVSCHAT_HOST }, { "Content-Type", "application/json" },
        { "X-Amz-Date", TIME } }, BODY_HASH,
      IVSCHAT_CANONICAL(IVSCHAT_HOST, "", "", "content-type;host;x-amz-date"),
      "c1a9b2f8593e589adf76ea4ab9cb840324502a5a752c08fd06e1f15779f84e63",
      "1234e65727247570b2af159bd5ac152bae520baa62f6d62567523a08f1b27201" },

    { "CreateChatToken B", "POST", "/CreateChatToken",
      { { "Host", IVSCHAT_HOST }, { "Content-Type", "application/json" },
        { "X-Amz-Date", TIME }, { "X-Amz-Security-Token", TOKEN } }, BODY_HASH,
      IVSCHAT_CANONICAL(IVSCHAT_HOST, "", "\nx-amz-security-token:" TOKEN,
                        "content-type;host;x-amz-date;x-amz-security-token"),
      "013fc0fd0ed1419982c9d11cd5cf89797ad2bc6145bd1873bac19f762befebbd",
      "30bcead791cb32205825cce7cba15d69d5bd1a6698439e4c4b317d30e66e54d8" },

    { "CreateChatToken C", "POST", "/CreateChatToken",
      { { "X-Amz-Content-Sha256", BODY_HASH }, { "Host", IVSCHAT_HOST },
        { "Content-Type", "application/json" }, { "X-Amz-Date", TIME } },
      BODY_HASH,
      IVSCHAT_CANONICAL(IVSCHAT_HOST, "\nx-amz-content-sha256:" BODY_HASH, "",
                        "content-type;host;x-amz-content-sha256;x-amz-date"),
      "e008ac543fa99b6f212afd1d87dc0cb1ff14b3fdbd9cd2508ed4e2453e4f9ab4",
      "fe272963b6090cd2221c8d711fe5d97bbedc23a14b09f7c23ba04dbedf4e977f" },

    { "CreateChatToken D", "POST", "/CreateChatToken",
      { { "X-Amz-Security-Token", TOKEN },
        { "X-Amz-Content-Sha256", BODY_HASH }, { "Host", IVSCHAT_HOST },
        { "Content-Type", "application/json" }, { "X-Amz-Date", TIME } },
      BODY_HASH,
      IVSCHAT_CANONICAL(IVSCHAT_HOST, "\nx-amz-content-sha256:" BODY_HASH,
                        "\nx-amz-security-token:" TOKEN,
                        "content-type;host;x-amz-content-sha256;x-amz-date;"
                        "x-amz-security-token"),
      "cb60934605c4c053a783541af8fda4f44807ff95e7555e8848806c3ee2d0e613",
      "0f6f54884afce8f0d391a766e8adc985251a9cb59ac17aa3871db5c48ae28b4a" },

    { "CreateChatToken E", "POST", "/CreateChatToken",
      { { "host", "127.0.0.1:18080" }, { "content-type", "application/json" },
        { "x-amz-date", TIME } }, BODY_HASH,
      IVSCHAT_CANONICAL("127.0.0.1:18080", "", "",
                        "content-type;host;x-amz-date"),
      "bb56757f857b09f99c6fbb9463400243b79ba27dade2c90ad3bc1a8a04c9a97b",
      "10af8738ebe0ddf6c0efbd9ec48dc4a10919674fecc6a71b1187660a5c31d23f" },

    { NULL, NULL, NULL, { { NULL, NULL } }, NULL, NULL, NULL, NULL }
};


typedef struct {
    time_t        sec;
    const char   *text;                /* NULL: refused */
} time_case_t;


static const time_case_t  times[] = {
    { 0, "19700101T000000Z" },
    { 1440938160, "20150830T123600Z" },
    { 951782399, "20000228T235959Z" },
    { 951782400, "20000229T000000Z" },
    { 951868800, "20000301T000000Z" },
    { 1709251199, "20240229T235959Z" },
    { 4107542399, "21000228T235959Z" },
    { 4107542400, "21000301T000000Z" },
    { 2147483647, "20380119T031407Z" },
    { 2147483648, "20380119T031408Z" },
    { 1798761599, "20261231T235959Z" },
    { 1798761600, "20270101T000000Z" },
    { 253402300799, "99991231T235959Z" },
    { 253402300800, NULL },
    { INT64_MAX, NULL },
    { -1, NULL },
    { INT64_MIN, NULL }
};


static ngx_ivschat_sigv4_header_t   headers[17];
static ngx_ivschat_sigv4_request_t  req;
static ngx_ivschat_sigv4_scope_t    scope;


static ngx_ivschat_str_t
str(const char *text)
{
    ngx_ivschat_str_t  s = { text, strlen(text) };

    return s;
}


/* The key of a date, region and service. */

static int
derive(ngx_ivschat_str_t secret, const char *date, ngx_ivschat_str_t region,
    ngx_ivschat_str_t service, unsigned char *key)
{
    int                        rc;
    ngx_ivschat_sigv4_scope_t  s = { str(""), region, service, "", "" };

    memcpy(s.time, date, NGX_IVSCHAT_SIGV4_DATE_LEN);
    rc = ngx_ivschat_sigv4_signing_key(&s, secret);
    memcpy(key, s.key, sizeof(s.key));

    return rc;
}


static int
derive_cached(ngx_ivschat_sigv4_cache_t *cache, uint64_t id,
    ngx_ivschat_str_t secret, const char *date, ngx_ivschat_str_t region,
    ngx_ivschat_str_t service, unsigned char *key)
{
    int                        rc;
    ngx_ivschat_sigv4_scope_t  s = { str(""), region, service, "", "" };

    memcpy(s.time, date, NGX_IVSCHAT_SIGV4_DATE_LEN);
    rc = ngx_ivschat_sigv4_cached_key(cache, id, &s, secret);
    memcpy(key, s.key, sizeof(s.key));

    return rc;
}


static const char *
hex(const unsigned char *key)
{
    size_t       i;
    static char  text[2 * NGX_IVSCHAT_SIGV4_KEY_LEN + 1];

    for (i = 0; i < NGX_IVSCHAT_SIGV4_KEY_LEN; i++) {
        sprintf(text + 2 * i, "%02x", key[i]);
    }

    return text;
}


/* Appends a value without blanks at its ends, and with single ones inside. */

static void
append_value(char *text, const char *value)
{
    char  *p;

    for (p = text + strlen(text); *value; value++) {

        if (*value != ' ' && *value != '\t') {
            *p++ = *value;

        } else if (p != text && p[-1] != ' ' && p[-1] != ',') {
            *p++ = ' ';
        }
    }

    while (p != text && p[-1] == ' ') {
        p--;
    }

    *p = '\0';
}


/* Lower case, sorted, trimmed, and values of one name joined. */

static void
canonical_headers(const vector_t *v)
{
    char         name[32];
    size_t       i, j, k;
    static char  names[17][32], values[17][600];

    for (i = 0; v->headers[i][0] != NULL; i++) {

        for (k = 0; v->headers[i][0][k]; k++) {
            name[k] = (char) tolower((unsigned char) v->headers[i][0][k]);
        }

        name[k] = '\0';

        for (j = 0; j < req.nheaders && strcmp(names[j], name) < 0; j++) {
            /* void */
        }

        if (j < req.nheaders && strcmp(names[j], name) == 0) {
            strcat(values[j], ",");

        } else {
            memmove(names[j + 1], names[j],
                    (req.nheaders - j) * sizeof(names[0]));
            memmove(values[j + 1], values[j],
                    (req.nheaders - j) * sizeof(values[0]));
            strcpy(names[j], name);
            values[j][0] = '\0';
            req.nheaders++;
        }

        append_value(values[j], v->headers[i][1]);
    }

    for (j = 0; j < req.nheaders; j++) {
        headers[j].name = str(names[j]);
        headers[j].value = str(values[j]);
    }
}


static void
load(const vector_t *v, const char *region, const char *service)
{
    memset(&req, 0, sizeof(req));
    memset(&scope, 0, sizeof(scope));

    req.method = str(v->method);
    req.uri = str(v->uri);
    req.headers = headers;
    strcpy(req.payload_hash, v->payload);

    canonical_headers(v);

    scope.access_key = str("AKIDEXAMPLE");
    scope.region = str(region);
    scope.service = str(service);
    strcpy(scope.time, TIME);

    if (ngx_ivschat_sigv4_signing_key(&scope, str(SECRET)) != 0) {
        ok(0, "a signing key");
    }
}


/* The names of the signed headers, as they stand in the canonical request. */

static void
signed_names(const char *canonical, char *names)
{
    size_t       len;
    const char  *p;

    p = strstr(canonical, "\n\n");

    while (strstr(p + 1, "\n\n") != NULL) {
        p = strstr(p + 1, "\n\n");
    }

    p += 2;
    len = strcspn(p, "\n");
    memcpy(names, p, len);
    names[len] = '\0';
}


static void
test_vector(const vector_t *v, const char *region, const char *service)
{
    char   *buf, names[512], hash[65], expected[1024];
    size_t  len, size;

    load(v, region, service);

    /* exactly as large as it is said to be, so that ASan sees one too many */

    size = ngx_ivschat_sigv4_buffer_size(&req, &scope);
    buf = malloc(size + 1);

    ngx_ivschat_sigv4_hash(v->canonical, strlen(v->canonical), hash);
    is_str(hash, v->hash, "%s: the hash of the canonical request", v->name);

    signed_names(v->canonical, names);
    snprintf(expected, sizeof(expected),
             "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/%s/%s"
             "/aws4_request, SignedHeaders=%s, Signature=%s",
             region, service, names, v->signature);

    if (ngx_ivschat_sigv4_authorization(&req, &scope, buf, size, &len) != 0) {
        len = 0;
    }

    buf[len] = '\0';
    is_str(buf, expected, "%s: authorization", v->name);

    free(buf);
}


static void
test_vectors(void)
{
    char             hash[65];
    unsigned char    key[NGX_IVSCHAT_SIGV4_KEY_LEN];
    const vector_t  *v;

    is_int(sizeof(BODY) - 1, 199, "the body is of 199 bytes");
    ngx_ivschat_sigv4_hash(BODY, sizeof(BODY) - 1, hash);
    is_str(hash, BODY_HASH, "the body's hash");
    ngx_ivschat_sigv4_hash(NULL, 0, hash);
    is_str(hash, EMPTY, "the hash of nothing");

    derive(str(SECRET), "20150830", str("us-west-2"),
           str("ivschat"), key);
    is_str(hex(key),
           "a4415f4d3403a0030399198cfea29db96a6c30d0e138275acbb0a815d661d099",
           "the signing key");

    for (v = suite; v->name; v++) {
        test_vector(v, "us-east-1", "service");
    }

    for (v = ivschat; v->name; v++) {
        test_vector(v, "us-west-2", "ivschat");
    }
}


static void
test_times(void)
{
    int     rc;
    char    buf[NGX_IVSCHAT_SIGV4_TIME_LEN + 1];
    size_t  i;

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        rc = ngx_ivschat_sigv4_time(times[i].sec, buf);

        if (times[i].text == NULL) {
            ok(rc == -1, "time %lld is refused", (long long) times[i].sec);

        } else {
            ok(rc == 0 && strcmp(buf, times[i].text) == 0, "time %s",
               times[i].text);
        }
    }
}


/* No size is exceeded; the size that is said to be enough is. */

static void
test_sizes(void)
{
    int     rc;
    char   *buf;
    size_t  size, enough, len;

    load(&ivschat[3], "us-west-2", "ivschat");

    enough = ngx_ivschat_sigv4_buffer_size(&req, &scope);

    for (size = 0; size < enough; size++) {
        buf = malloc(size + 1);
        rc = ngx_ivschat_sigv4_authorization(&req, &scope, buf, size, &len);
        free(buf);

        if (rc == 0) {
            break;
        }
    }

    ok(size > strlen(ivschat[3].canonical) - 1,
       "too small for the canonical request");
    ok(size <= enough, "the size is enough");
}


static int
refused(void)
{
    char    buf[4096];
    size_t  len;

    return ngx_ivschat_sigv4_authorization(&req, &scope, buf, sizeof(buf),
                                           &len)
           == -1;
}


static void
reload(void)
{
    load(&ivschat[1], "us-west-2", "ivschat");
}


static void
test_refused_requests(void)
{
    size_t              i;
    ngx_ivschat_str_t   none = { NULL, 0 };
    static const char  *bad[] = { "a\nb", "a\rb", "\n", "a\r\nX-B: c", "a\x7f",
                                  "a\x01", "\x1f", "a\tb" };

    reload();
    ok(!refused(), "the request itself is not refused");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reload();
        headers[1].value = str(bad[i]);
        ok(refused(), "a bad header value, %zu", i);

        reload();
        scope.access_key = str(bad[i]);
        ok(refused(), "a bad access key id, %zu", i);
    }

    reload();
    headers[1].value.data = "a\0b";
    headers[1].value.len = 3;
    ok(refused(), "NUL in a header value");

    reload();
    headers[1].value = none;
    ok(!refused(), "an empty header value is allowed");

    reload();
    headers[1].value = str("caf\xc3\xa9 x");
    ok(!refused(), "a header value in UTF-8 is allowed");
}


static void
test_signing_key(void)
{
    char                secret[257];
    unsigned char       key[NGX_IVSCHAT_SIGV4_KEY_LEN];
    ngx_ivschat_str_t   s = { secret, 256 };
    ngx_ivschat_str_t   none = { NULL, 0 };
    ngx_ivschat_str_t   region = str("us-east-1");
    ngx_ivschat_str_t   service = str("iam");

    memset(secret, 0xff, sizeof(secret));

    is_int(derive(s, "20150830", region, service, key),
           0, "a secret of 256 bytes, none of them ASCII");

    s.len = 257;
    is_int(derive(s, "20150830", region, service, key),
           -1, "a secret of 257 bytes");
    is_int(derive(none, "20150830", region, service,
                  key), -1, "an empty secret");
    is_int(derive(str(SECRET), "20150830", none,
                  service, key), -1, "no region");
    is_int(derive(str(SECRET), "20150830", region,
                  none, key), -1, "no service");
    is_int((long long) ERR_peek_error(), 0, "no error is left in libcrypto");
}


static ngx_ivschat_sigv4_cache_t  cache;


/* Whether the cache gives what is derived without it. */

static int
cached(uint64_t id, const char *secret, const char *date, const char *region,
    const char *service)
{
    unsigned char  a[NGX_IVSCHAT_SIGV4_KEY_LEN];
    unsigned char  b[NGX_IVSCHAT_SIGV4_KEY_LEN];

    return derive_cached(&cache, id, str(secret), date,
                         str(region), str(service), a)
           == 0
           && derive(str(secret), date, str(region),
                     str(service), b)
              == 0
           && memcmp(a, b, sizeof(a)) == 0;
}


static void
test_cache(void)
{
    char               region[32], zeros[sizeof(cache)];
    unsigned char      key[NGX_IVSCHAT_SIGV4_KEY_LEN];
    ngx_ivschat_str_t  longest = { region, sizeof(region) };

    ok(cached(1, SECRET, "20150830", "us-west-2", "ivschat"), "derived");
    ok(cached(1, SECRET, "20150830", "us-west-2", "ivschat"), "found again");

    /* the secret is not looked at: what stands for it is the id */

    derive_cached(&cache, 1, str("another"), "20150830",
                  str("us-west-2"), str("ivschat"), key);
    is_str(hex(key),
           "a4415f4d3403a0030399198cfea29db96a6c30d0e138275acbb0a815d661d099",
           "a hit derives nothing");

    ok(cached(1, SECRET, "20150831", "us-west-2", "ivschat"),
       "past midnight");
    ok(cached(1, SECRET, "20150830", "us-west-2", "ivschat"),
       "and derived anew, should the clock step back");

    ok(cached(1, SECRET, "20150830", "eu-west-1", "ivschat"),
       "another region");
    ok(cached(1, SECRET, "20150830", "us-west-2", "sts"), "another service");
    ok(cached(2, "another", "20150830", "us-west-2", "ivschat"),
       "another secret under another id");
    ok(cached(UINT64_MAX, "third", "20150830", "us-west-2", "ivschat"),
       "the largest id");
    ok(cached(1, SECRET, "20150830", "us-west-", "2ivschat"),
       "where a region ends matters");

    is_int(derive_cached(&cache, 9, str(""), "20150830",
                         str("r"), str("s"), key),
           -1, "an empty secret");
    ok(cached(9, SECRET, "20150830", "r", "s"), "is not cached");

    memset(region, 'r', sizeof(region));

    is_int(derive_cached(&cache, 9, str(SECRET), "20150830",
                         longest, str("s"), key),
           0, "the longest region");
    is_int(derive_cached(&cache, 9, str(SECRET), "20150830",
                         str("r"), str("sixteen-letters-"),
                         key), 0, "the longest service");
    is_int(derive_cached(&cache, 9, str(SECRET), "20150830",
                         str("a-region-that-is-longer-than-32-"
                             "letters"), str("s"), key),
           -1, "a region too long");
    is_int(derive_cached(&cache, 9, str(SECRET), "20150830",
                         str("r"), str("seventeen-letters"),
                         key), -1, "a service too long");
    is_int(derive_cached(&cache, 9, str(SECRET), "20150830",
                         str(""), str("s"), key),
           -1, "an empty region");

    ngx_ivschat_sigv4_cache_wipe(&cache);
    memset(zeros, 0, sizeof(zeros));
    ok(memcmp(&cache, zeros, sizeof(cache)) == 0, "wiped");
    ok(cached(1, SECRET, "20150830", "us-west-2", "ivschat"),
       "and usable after that");
}


int
main(void)
{
    test_vectors();
    test_times();
    test_sizes();
    test_refused_requests();
    test_signing_key();
    test_cache();

    return done_testing();
}
