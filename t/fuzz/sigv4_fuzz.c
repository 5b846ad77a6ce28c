
/*
 * AWS Signature Version 4 against a plain second implementation.  Lines of the
 * input: secret, access key, region, service, seconds, method, path, headers
 * in any order, an empty line; then the payload.
 */


#include "aws/ngx_ivschat_sigv4.h"

#include "fuzz.h"

#include <openssl/evp.h>


enum { SECRET, KEY, REGION, SERVICE, SECONDS, METHOD, PATH, NFIELDS };


static char                        *fields[NFIELDS], *payload;
static ngx_ivschat_sigv4_header_t   headers[8];
static size_t                       nheaders;


/* Lower case, no blanks but single ones inside, and in its place. */

static void
read_header(char *line)
{
    int      diff;
    char    *name, *value, *to;
    size_t   i;

    value = line;
    name = strsep(&value, ":");

    if (value == NULL || nheaders == size(headers)) {
        return;
    }

    for (to = name; *to; to++) {
        *to = (char) tolower((unsigned char) *to);
    }

    for (line = to = value; *line; line++) {
        if (*line != ' ' || (to != value && to[-1] != ' ')) {
            *to++ = *line;
        }
    }

    to -= to != value && to[-1] == ' ';
    *to = '\0';

    for (i = 0, diff = 1; i < nheaders; i++) {
        diff = strcmp(headers[i].name.data, name);

        if (diff >= 0) {
            break;
        }
    }

    if (diff != 0) {
        memmove(&headers[i + 1], &headers[i],
                (nheaders++ - i) * sizeof(headers[0]));
        headers[i].name = ngx_ivschat_str(name);
        headers[i].value = ngx_ivschat_str(value);
    }
}


static void
read_input(char *text)
{
    char    *line;
    size_t   i;

    for (i = 0; i < NFIELDS; i++) {
        line = strsep(&text, "\n");
        fields[i] = line ? line : "";
    }

    nheaders = 0;

    while ((line = strsep(&text, "\n")) != NULL && *line) {
        read_header(line);
    }

    payload = text ? text : "";
}


static void
hex(const unsigned char *md, char *text)
{
    size_t  i;

    for (i = 0; i < 32; i++) {
        sprintf(text + 2 * i, "%02x", md[i]);
    }
}


static void
sha256(const char *data, char *text)
{
    unsigned char  md[32];

    must(EVP_Q_digest(NULL, "SHA256", NULL, data, strlen(data), md, NULL));
    hex(md, text);
}


/* The result takes the place of the key. */

static void
hmac(unsigned char *key, size_t len, const char *data)
{
    unsigned char  mac[32];

    must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, len,
                   (const unsigned char *) data, strlen(data), mac,
                   sizeof(mac), NULL) != NULL);
    memcpy(key, mac, 32);
}


static char *
second(const char *time)
{
    char           *text, *names, *result, day[9], sum[65];
    FILE           *f, *list;
    size_t          i, len;
    unsigned char   key[512];

    f = open_memstream(&text, &len);
    list = open_memstream(&names, &len);

    fprintf(f, "%s\n%s\n\n", fields[METHOD], fields[PATH]);

    for (i = 0; i < nheaders; i++) {
        fprintf(f, "%s:%s\n", headers[i].name.data, headers[i].value.data);
        fprintf(list, "%s%s", i ? ";" : "", headers[i].name.data);
    }

    fclose(list);
    sha256(payload, sum);
    fprintf(f, "\n%s\n%s", names, sum);
    fclose(f);
    sha256(text, sum);
    free(text);

    snprintf(day, sizeof(day), "%.8s", time);
    must(asprintf(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s",
                  time, day, fields[REGION], fields[SERVICE], sum) > 0);

    len = (size_t) sprintf((char *) key, "AWS4%s", fields[SECRET]);
    hmac(key, len, day);
    hmac(key, 32, fields[REGION]);
    hmac(key, 32, fields[SERVICE]);
    hmac(key, 32, "aws4_request");
    hmac(key, 32, text);
    hex(key, sum);
    free(text);

    must(asprintf(&result, "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s"
                  "/aws4_request, SignedHeaders=%s, Signature=%s",
                  fields[KEY], day, fields[REGION], fields[SERVICE], names,
                  sum) > 0);
    free(names);

    return result;
}


static int
one_line(const char *s)
{
    while (*s && !iscntrl((unsigned char) *s)) {
        s++;
    }

    return *s == '\0';
}


static void
compare(ngx_ivschat_sigv4_scope_t *scope)
{
    int                           valid;
    char                         *buf, *other;
    size_t                        i, size, len;
    ngx_ivschat_sigv4_request_t   req;

    req.method = ngx_ivschat_str(fields[METHOD]);
    req.uri = ngx_ivschat_str(fields[PATH]);
    req.headers = headers;
    req.nheaders = nheaders;
    must(ngx_ivschat_sigv4_hash(payload, strlen(payload), req.payload_hash)
         == 0);

    valid = one_line(fields[KEY]);

    for (i = 0; i < nheaders; i++) {
        valid = valid && one_line(headers[i].value.data);
    }

    size = ngx_ivschat_sigv4_buffer_size(&req, scope);
    buf = malloc(size);
    must((ngx_ivschat_sigv4_authorization(&req, scope, buf, size, &len) == 0)
         == valid);

    if (valid) {
        fuzz_accepted++;

        other = second(scope->time);
        must(strlen(other) == len && memcmp(buf, other, len) == 0);
        free(other);
    }

    free(buf);
}


/* What cannot be signed is refused before. */

static void
check(void)
{
    int                         valid;
    char                        date[32];
    size_t                      len;
    time_t                      sec;
    struct tm                   tm;
    ngx_ivschat_str_t           secret;
    ngx_ivschat_sigv4_scope_t   scope;
    ngx_ivschat_sigv4_cache_t   cache = { 0 };

    sec = (time_t) strtoll(fields[SECONDS], NULL, 10);
    valid = sec >= 0 && sec <= INT64_C(253402300799);
    must((ngx_ivschat_sigv4_time(sec, scope.time) == 0) == valid);

    if (!valid) {
        return;
    }

    gmtime_r(&sec, &tm);
    strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
    must(strcmp(date, scope.time) == 0);

    secret = ngx_ivschat_str(fields[SECRET]);
    scope.access_key = ngx_ivschat_str(fields[KEY]);
    scope.region = ngx_ivschat_str(fields[REGION]);
    scope.service = ngx_ivschat_str(fields[SERVICE]);

    len = scope.region.len;
    valid = secret.len && secret.len <= 256 && len && len <= 32
            && scope.service.len && scope.service.len <= 16;

    must((ngx_ivschat_sigv4_cached_key(&cache, 1, &scope, secret) == 0)
         == valid);

    if (valid) {
        compare(&scope);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char               *text;
    ngx_ivschat_str_t   s;

    s.data = (const char *) data;
    s.len = len;
    text = fuzz_text(s);

    read_input(text);
    check();

    free(text);

    return 0;
}
