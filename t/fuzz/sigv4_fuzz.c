
/*
 * AWS Signature Version 4 against a plain second implementation, which gets
 * the headers unsorted.  Lines of the input: secret, access key, region,
 * service, seconds, method, path, headers, an empty line; then the payload.
 */


#include "aws/ngx_ivschat_sigv4.h"

#include "fuzz.h"

#include <openssl/evp.h>


#define HEADERS   8


typedef struct {
    char        *fields[7];
    char        *names[HEADERS];
    char        *values[HEADERS];
    size_t       n;
    const char  *payload;
} input_t;

enum { SECRET, KEY, REGION, SERVICE, SECONDS, METHOD, PATH };


static void
read_header(input_t *in, char *line)
{
    char    *value, *to, *from;
    size_t   i;

    value = line;
    strsep(&value, ":");

    if (value == NULL || in->n == HEADERS) {
        return;
    }

    for (to = line; *to; to++) {
        *to = (char) tolower((unsigned char) *to);
    }

    for (i = 0; i < in->n; i++) {
        if (strcmp(in->names[i], line) == 0) {
            return;
        }
    }

    /* no blanks but single ones inside */

    for (from = to = value; *from; from++) {
        if (*from != ' ' || (to != value && to[-1] != ' ')) {
            *to++ = *from;
        }
    }

    to -= to != value && to[-1] == ' ';
    *to = '\0';

    in->names[in->n] = line;
    in->values[in->n++] = value;
}


static void
read_input(input_t *in, char *text)
{
    char    *line;
    size_t   i;

    memset(in, 0, sizeof(input_t));

    for (i = 0; i < size(in->fields); i++) {
        line = strsep(&text, "\n");
        in->fields[i] = line ? line : "";
    }

    while ((line = strsep(&text, "\n")) != NULL && *line) {
        read_header(in, line);
    }

    in->payload = text ? text : "";
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


static void
hmac(unsigned char *key, size_t len, const char *data)
{
    unsigned char  mac[32];

    must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, len,
                   (const unsigned char *) data, strlen(data), mac,
                   sizeof(mac), NULL) != NULL);
    memcpy(key, mac, 32);
}


/* Writes the canonical headers, and returns their names, smallest first. */

static char *
write_headers(FILE *f, const input_t *in)
{
    char        *names;
    size_t       i, k, least, len;
    FILE        *list;
    const char  *last;

    list = open_memstream(&names, &len);
    last = NULL;

    for (k = 0; k < in->n; k++) {

        for (i = 0, least = HEADERS; i < in->n; i++) {
            if ((last == NULL || strcmp(in->names[i], last) > 0)
                && (least == HEADERS
                    || strcmp(in->names[i], in->names[least]) < 0))
            {
                least = i;
            }
        }

        last = in->names[least];
        fprintf(f, "%s:%s\n", last, in->values[least]);
        fprintf(list, "%s%s", k ? ";" : "", last);
    }

    fclose(list);

    return names;
}


static char *
second(const input_t *in, const char *date)
{
    char            *text, *names, *result, of[128], sum[65];
    FILE            *f;
    size_t           len;
    unsigned char    key[512];
    char    *const  *v = in->fields;

    f = open_memstream(&text, &len);
    fprintf(f, "%s\n%s\n\n", v[METHOD], v[PATH]);
    names = write_headers(f, in);
    sha256(in->payload, sum);
    fprintf(f, "\n%s\n%s", names, sum);
    fclose(f);
    sha256(text, sum);
    free(text);

    snprintf(of, sizeof(of), "%.8s/%s/%s/aws4_request", date, v[REGION],
             v[SERVICE]);
    must(asprintf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, of, sum) > 0);

    len = (size_t) sprintf((char *) key, "AWS4%s", v[SECRET]);
    snprintf(sum, sizeof(sum), "%.8s", date);
    hmac(key, len, sum);
    hmac(key, 32, v[REGION]);
    hmac(key, 32, v[SERVICE]);
    hmac(key, 32, "aws4_request");
    hmac(key, 32, text);
    hex(key, sum);
    free(text);

    must(asprintf(&result, "AWS4-HMAC-SHA256 Credential=%s/%s, "
                  "SignedHeaders=%s, Signature=%s", v[KEY], of, names, sum)
         > 0);
    free(names);

    return result;
}


static int
by_name(const void *one, const void *two)
{
    return strcmp(((const ngx_ivschat_sigv4_header_t *) one)->name.data,
                  ((const ngx_ivschat_sigv4_header_t *) two)->name.data);
}


/* The header, or NULL. */

static char *
first(const input_t *in, ngx_ivschat_sigv4_scope_t *scope)
{
    int                          rc;
    char                        *buf;
    size_t                       i, size, len;
    ngx_ivschat_sigv4_header_t   headers[HEADERS];
    ngx_ivschat_sigv4_request_t  req;

    for (i = 0; i < in->n; i++) {
        headers[i].name = ngx_ivschat_str(in->names[i]);
        headers[i].value = ngx_ivschat_str(in->values[i]);
    }

    qsort(headers, in->n, sizeof(headers[0]), by_name);

    req.method = ngx_ivschat_str(in->fields[METHOD]);
    req.uri = ngx_ivschat_str(in->fields[PATH]);
    req.headers = headers;
    req.nheaders = in->n;
    must(ngx_ivschat_sigv4_hash(in->payload, strlen(in->payload),
                                req.payload_hash) == 0);

    size = ngx_ivschat_sigv4_buffer_size(&req, scope);
    buf = malloc(size + 1);
    rc = ngx_ivschat_sigv4_authorization(&req, scope, buf, size, &len);

    if (rc != 0) {
        free(buf);
        return NULL;
    }

    buf[len] = '\0';

    return buf;
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
compare(const input_t *in)
{
    int                         valid;
    char                       *one, *two;
    size_t                      i;
    time_t                      sec;
    struct tm                   tm;
    char                        date[32];
    ngx_ivschat_sigv4_scope_t   scope;
    ngx_ivschat_sigv4_cache_t   cache;

    sec = (time_t) strtoll(in->fields[SECONDS], NULL, 10);
    valid = sec >= 0 && gmtime_r(&sec, &tm) != NULL && tm.tm_year <= 8099;
    must((ngx_ivschat_sigv4_time(sec, scope.time) == 0) == valid);

    if (!valid) {
        return;
    }

    snprintf(date, sizeof(date), "%04d%02d%02dT%02d%02d%02dZ",
             (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    must(strcmp(date, scope.time) == 0);

    scope.access_key = ngx_ivschat_str(in->fields[KEY]);
    scope.region = ngx_ivschat_str(in->fields[REGION]);
    scope.service = ngx_ivschat_str(in->fields[SERVICE]);
    memset(&cache, 0, sizeof(cache));

    i = strlen(in->fields[SECRET]);
    valid = i >= 1 && i <= 256
            && scope.region.len >= 1 && scope.region.len <= 32
            && scope.service.len >= 1 && scope.service.len <= 16;

    must((ngx_ivschat_sigv4_cached_key(&cache, 1,
                                       ngx_ivschat_str(in->fields[SECRET]),
                                       date, scope.region, scope.service,
                                       scope.key) == 0) == valid);
    if (!valid) {
        return;
    }

    valid = one_line(in->fields[KEY]);

    for (i = 0; i < in->n; i++) {
        valid = valid && one_line(in->values[i]);
    }

    one = first(in, &scope);
    must((one != NULL) == valid);

    if (one != NULL) {
        fuzz_accepted++;

        two = second(in, date);
        must(strcmp(one, two) == 0);
        free(two);
    }

    free(one);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char               *text;
    input_t             in;
    ngx_ivschat_str_t   s;

    s.data = (const char *) data;
    s.len = len;
    text = fuzz_text(s);

    read_input(&in, text);
    compare(&in);

    free(text);

    return 0;
}
