
/*
 * AWS Signature Version 4, the form with an Authorization header.
 */


#include "ngx_ivschat_sigv4.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>


#define NGX_IVSCHAT_SIGV4_ALGORITHM    "AWS4-HMAC-SHA256"
#define NGX_IVSCHAT_SIGV4_TERMINATOR   "aws4_request"

#define NGX_IVSCHAT_SIGV4_SECRET_MAX   256
#define NGX_IVSCHAT_SIGV4_STRING_MAX   250

/* All that is written besides what the request and the scope bring. */
#define NGX_IVSCHAT_SIGV4_FIXED        256


/* A bounded writer: once something did not fit, nothing more is written. */

typedef struct {
    char   *start;
    char   *pos;
    char   *end;
    int     full;
} ngx_ivschat_sigv4_out_t;

typedef const ngx_ivschat_sigv4_header_t   *ngx_ivschat_sigv4_header_ptr_t;


static int ngx_ivschat_sigv4_check_request(
    const ngx_ivschat_sigv4_request_t *req);
static int ngx_ivschat_sigv4_check_scope(
    const ngx_ivschat_sigv4_scope_t *scope);
static int ngx_ivschat_sigv4_visible(ngx_ivschat_str_t s);
static int ngx_ivschat_sigv4_value_valid(ngx_ivschat_str_t s);
static void ngx_ivschat_sigv4_sort(const ngx_ivschat_sigv4_request_t *req,
    ngx_ivschat_sigv4_header_ptr_t *sorted);
static int ngx_ivschat_sigv4_compare(ngx_ivschat_str_t a, ngx_ivschat_str_t b);
static unsigned char ngx_ivschat_sigv4_lower(char c);

static void ngx_ivschat_sigv4_put(ngx_ivschat_sigv4_out_t *out,
    const void *data, size_t len);
static void ngx_ivschat_sigv4_put_text(ngx_ivschat_sigv4_out_t *out,
    const char *text);
static void ngx_ivschat_sigv4_put_lower(ngx_ivschat_sigv4_out_t *out,
    ngx_ivschat_str_t s);
static void ngx_ivschat_sigv4_put_value(ngx_ivschat_sigv4_out_t *out,
    ngx_ivschat_str_t s);
static void ngx_ivschat_sigv4_put_signed_headers(ngx_ivschat_sigv4_out_t *out,
    const ngx_ivschat_sigv4_request_t *req,
    ngx_ivschat_sigv4_header_ptr_t *sorted);
static void ngx_ivschat_sigv4_put_scope(ngx_ivschat_sigv4_out_t *out,
    const ngx_ivschat_sigv4_scope_t *scope);
static int ngx_ivschat_sigv4_finish(ngx_ivschat_sigv4_out_t *out, size_t *len);

static int ngx_ivschat_sigv4_hmac(const void *key, size_t key_len,
    const void *data, size_t len,
    unsigned char mac[NGX_IVSCHAT_SIGV4_KEY_LEN]);
static void ngx_ivschat_sigv4_hex(const unsigned char *data,
    char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1]);
static char *ngx_ivschat_sigv4_digits(char *p, int n, int width);


int
ngx_ivschat_sigv4_time(time_t sec, char time[NGX_IVSCHAT_SIGV4_TIME_LEN + 1])
{
    char      *p;
    struct tm  tm;

    if (sec < 0 || gmtime_r(&sec, &tm) == NULL || tm.tm_year > 9999 - 1900) {
        return -1;
    }

    p = ngx_ivschat_sigv4_digits(time, tm.tm_year + 1900, 4);
    p = ngx_ivschat_sigv4_digits(p, tm.tm_mon + 1, 2);
    p = ngx_ivschat_sigv4_digits(p, tm.tm_mday, 2);
    *p++ = 'T';
    p = ngx_ivschat_sigv4_digits(p, tm.tm_hour, 2);
    p = ngx_ivschat_sigv4_digits(p, tm.tm_min, 2);
    p = ngx_ivschat_sigv4_digits(p, tm.tm_sec, 2);
    *p++ = 'Z';
    *p = '\0';

    return 0;
}


int
ngx_ivschat_sigv4_hash(const void *data, size_t len,
    char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1])
{
    unsigned int   md_len;
    unsigned char  md[EVP_MAX_MD_SIZE];

    if (EVP_Digest(len ? data : "", len, md, &md_len, EVP_sha256(), NULL) != 1
        || md_len != NGX_IVSCHAT_SIGV4_HEX_LEN / 2)
    {
        ERR_clear_error();
        return -1;
    }

    ngx_ivschat_sigv4_hex(md, hex);

    return 0;
}


size_t
ngx_ivschat_sigv4_buffer_size(const ngx_ivschat_sigv4_request_t *req,
    const ngx_ivschat_sigv4_scope_t *scope)
{
    size_t  i, size;

    /* one figure for both: the parts of either are all in this sum */

    size = NGX_IVSCHAT_SIGV4_FIXED + req->method.len + req->uri.len
           + req->query.len + scope->access_key.len + scope->region.len
           + scope->service.len;

    /* a name stands twice, with ":", line feed and ";" */

    for (i = 0; i < req->nheaders; i++) {
        size += 2 * req->headers[i].name.len + req->headers[i].value.len + 3;
    }

    return size;
}


int
ngx_ivschat_sigv4_canonical_request(const ngx_ivschat_sigv4_request_t *req,
    char *buf, size_t size, size_t *len)
{
    size_t                          i;
    ngx_ivschat_sigv4_out_t         out = { buf, buf, buf + size, 0 };
    ngx_ivschat_sigv4_header_ptr_t  sorted[NGX_IVSCHAT_SIGV4_HEADERS_MAX];

    if (ngx_ivschat_sigv4_check_request(req) != 0) {
        return -1;
    }

    ngx_ivschat_sigv4_sort(req, sorted);

    ngx_ivschat_sigv4_put(&out, req->method.data, req->method.len);
    ngx_ivschat_sigv4_put(&out, "\n", 1);
    ngx_ivschat_sigv4_put(&out, req->uri.data, req->uri.len);
    ngx_ivschat_sigv4_put(&out, "\n", 1);
    ngx_ivschat_sigv4_put(&out, req->query.data, req->query.len);

    for (i = 0; i < req->nheaders; i++) {

        if (i > 0 && ngx_ivschat_sigv4_compare(sorted[i - 1]->name,
                                               sorted[i]->name)
            == 0)
        {
            ngx_ivschat_sigv4_put(&out, ",", 1);

        } else {
            ngx_ivschat_sigv4_put(&out, "\n", 1);
            ngx_ivschat_sigv4_put_lower(&out, sorted[i]->name);
            ngx_ivschat_sigv4_put(&out, ":", 1);
        }

        ngx_ivschat_sigv4_put_value(&out, sorted[i]->value);
    }

    ngx_ivschat_sigv4_put(&out, "\n\n", 2);
    ngx_ivschat_sigv4_put_signed_headers(&out, req, sorted);
    ngx_ivschat_sigv4_put(&out, "\n", 1);
    ngx_ivschat_sigv4_put_text(&out, req->payload_hash);

    return ngx_ivschat_sigv4_finish(&out, len);
}


int
ngx_ivschat_sigv4_string_to_sign(const ngx_ivschat_sigv4_scope_t *scope,
    const char hash[NGX_IVSCHAT_SIGV4_HEX_LEN + 1], char *buf, size_t size,
    size_t *len)
{
    ngx_ivschat_sigv4_out_t  out = { buf, buf, buf + size, 0 };

    if (ngx_ivschat_sigv4_check_scope(scope) != 0) {
        return -1;
    }

    ngx_ivschat_sigv4_put_text(&out, NGX_IVSCHAT_SIGV4_ALGORITHM "\n");
    ngx_ivschat_sigv4_put_text(&out, scope->time);
    ngx_ivschat_sigv4_put(&out, "\n", 1);
    ngx_ivschat_sigv4_put_scope(&out, scope);
    ngx_ivschat_sigv4_put(&out, "\n", 1);
    ngx_ivschat_sigv4_put_text(&out, hash);

    return ngx_ivschat_sigv4_finish(&out, len);
}


int
ngx_ivschat_sigv4_signing_key(ngx_ivschat_str_t secret, const char *date,
    ngx_ivschat_str_t region, ngx_ivschat_str_t service,
    unsigned char key[NGX_IVSCHAT_SIGV4_KEY_LEN])
{
    int            rc;
    unsigned char  first[4 + NGX_IVSCHAT_SIGV4_SECRET_MAX];
    unsigned char  a[NGX_IVSCHAT_SIGV4_KEY_LEN];
    unsigned char  b[NGX_IVSCHAT_SIGV4_KEY_LEN];

    if (secret.len == 0 || secret.len > NGX_IVSCHAT_SIGV4_SECRET_MAX
        || region.len == 0 || service.len == 0)
    {
        return -1;
    }

    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret.data, secret.len);

    rc = -1;

    if (ngx_ivschat_sigv4_hmac(first, 4 + secret.len, date,
                               NGX_IVSCHAT_SIGV4_DATE_LEN, a)
        == 0
        && ngx_ivschat_sigv4_hmac(a, sizeof(a), region.data, region.len, b)
        == 0
        && ngx_ivschat_sigv4_hmac(b, sizeof(b), service.data, service.len, a)
        == 0)
    {
        rc = ngx_ivschat_sigv4_hmac(a, sizeof(a), NGX_IVSCHAT_SIGV4_TERMINATOR,
                                    sizeof(NGX_IVSCHAT_SIGV4_TERMINATOR) - 1,
                                    key);
    }

    OPENSSL_cleanse(first, sizeof(first));
    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(b, sizeof(b));

    return rc;
}


int
ngx_ivschat_sigv4_cached_key(ngx_ivschat_sigv4_cache_t *cache, uint64_t id,
    ngx_ivschat_str_t secret, const char *date, ngx_ivschat_str_t region,
    ngx_ivschat_str_t service, unsigned char key[NGX_IVSCHAT_SIGV4_KEY_LEN])
{
    size_t                       i;
    ngx_ivschat_sigv4_cached_t  *slot;

    if (region.len == 0 || region.len > sizeof(slot->region)
        || service.len == 0 || service.len > sizeof(slot->service))
    {
        return -1;
    }

    for (i = 0; i < NGX_IVSCHAT_SIGV4_CACHE_SLOTS; i++) {
        slot = &cache->slots[i];

        if (slot->id == id
            && slot->region_len == region.len
            && memcmp(slot->region, region.data, region.len) == 0
            && slot->service_len == service.len
            && memcmp(slot->service, service.data, service.len) == 0)
        {
            break;
        }
    }

    if (i == NGX_IVSCHAT_SIGV4_CACHE_SLOTS) {
        i = cache->next;
        slot = &cache->slots[i];

    } else if (memcmp(slot->date, date, NGX_IVSCHAT_SIGV4_DATE_LEN) == 0) {
        memcpy(key, slot->key, NGX_IVSCHAT_SIGV4_KEY_LEN);
        return 0;
    }

    if (ngx_ivschat_sigv4_signing_key(secret, date, region, service, key)
        != 0)
    {
        return -1;
    }

    /* yesterday's key gives its place to today's, another one moves on */

    if (i == cache->next) {
        cache->next = (i + 1) % NGX_IVSCHAT_SIGV4_CACHE_SLOTS;
    }

    slot->id = id;
    memcpy(slot->date, date, NGX_IVSCHAT_SIGV4_DATE_LEN);
    memcpy(slot->region, region.data, region.len);
    slot->region_len = region.len;
    memcpy(slot->service, service.data, service.len);
    slot->service_len = service.len;
    memcpy(slot->key, key, NGX_IVSCHAT_SIGV4_KEY_LEN);

    return 0;
}


void
ngx_ivschat_sigv4_cache_wipe(ngx_ivschat_sigv4_cache_t *cache)
{
    OPENSSL_cleanse(cache, sizeof(ngx_ivschat_sigv4_cache_t));

    /* what is left by cleansing is not documented, an empty cache is zeros */

    memset(cache, 0, sizeof(ngx_ivschat_sigv4_cache_t));
}


int
ngx_ivschat_sigv4_signature(const unsigned char key[NGX_IVSCHAT_SIGV4_KEY_LEN],
    const char *string, size_t len, char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1])
{
    unsigned char  mac[NGX_IVSCHAT_SIGV4_KEY_LEN];

    if (ngx_ivschat_sigv4_hmac(key, NGX_IVSCHAT_SIGV4_KEY_LEN, string, len,
                               mac)
        != 0)
    {
        return -1;
    }

    ngx_ivschat_sigv4_hex(mac, hex);

    return 0;
}


int
ngx_ivschat_sigv4_authorization(const ngx_ivschat_sigv4_request_t *req,
    const ngx_ivschat_sigv4_scope_t *scope, char *buf, size_t size,
    size_t *len)
{
    char                            hash[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
    char                            string[NGX_IVSCHAT_SIGV4_STRING_MAX];
    char                            signature[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
    size_t                          n;
    ngx_ivschat_sigv4_out_t         out = { buf, buf, buf + size, 0 };
    ngx_ivschat_sigv4_header_ptr_t  sorted[NGX_IVSCHAT_SIGV4_HEADERS_MAX];

    if (ngx_ivschat_sigv4_visible(scope->access_key) != 0
        || ngx_ivschat_sigv4_canonical_request(req, buf, size, &n) != 0
        || ngx_ivschat_sigv4_hash(buf, n, hash) != 0
        || ngx_ivschat_sigv4_string_to_sign(scope, hash, string,
                                            sizeof(string), &n)
        != 0
        || ngx_ivschat_sigv4_signature(scope->key, string, n, signature) != 0)
    {
        return -1;
    }

    ngx_ivschat_sigv4_sort(req, sorted);

    ngx_ivschat_sigv4_put_text(&out,
                               NGX_IVSCHAT_SIGV4_ALGORITHM " Credential=");
    ngx_ivschat_sigv4_put(&out, scope->access_key.data, scope->access_key.len);
    ngx_ivschat_sigv4_put(&out, "/", 1);
    ngx_ivschat_sigv4_put_scope(&out, scope);
    ngx_ivschat_sigv4_put_text(&out, ", SignedHeaders=");
    ngx_ivschat_sigv4_put_signed_headers(&out, req, sorted);
    ngx_ivschat_sigv4_put_text(&out, ", Signature=");
    ngx_ivschat_sigv4_put_text(&out, signature);

    return ngx_ivschat_sigv4_finish(&out, len);
}


static int
ngx_ivschat_sigv4_check_request(const ngx_ivschat_sigv4_request_t *req)
{
    size_t  i;

    /*
     * A line feed in one of these would let two requests have one signature,
     * and in a header it would end the header on the wire.
     */

    if (ngx_ivschat_sigv4_visible(req->method) != 0
        || ngx_ivschat_sigv4_visible(req->uri) != 0
        || req->uri.data[0] != '/'
        || (req->query.len != 0 && ngx_ivschat_sigv4_visible(req->query) != 0)
        || req->nheaders == 0
        || req->nheaders > NGX_IVSCHAT_SIGV4_HEADERS_MAX
        || memchr(req->payload_hash, '\0', sizeof(req->payload_hash))
        != req->payload_hash + NGX_IVSCHAT_SIGV4_HEX_LEN)
    {
        return -1;
    }

    for (i = 0; i < req->nheaders; i++) {
        if (ngx_ivschat_sigv4_visible(req->headers[i].name) != 0
            || memchr(req->headers[i].name.data, ':',
                      req->headers[i].name.len)
            != NULL
            || ngx_ivschat_sigv4_value_valid(req->headers[i].value) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
ngx_ivschat_sigv4_check_scope(const ngx_ivschat_sigv4_scope_t *scope)
{
    if (ngx_ivschat_sigv4_visible(scope->region) != 0
        || scope->region.len > NGX_IVSCHAT_SIGV4_REGION_MAX
        || ngx_ivschat_sigv4_visible(scope->service) != 0
        || memchr(scope->time, '\0', sizeof(scope->time))
        != scope->time + NGX_IVSCHAT_SIGV4_TIME_LEN)
    {
        return -1;
    }

    return 0;
}


/* 0 for a string of visible ASCII that is not empty. */

static int
ngx_ivschat_sigv4_visible(ngx_ivschat_str_t s)
{
    size_t  i;

    if (s.len == 0) {
        return -1;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f) {
            return -1;
        }
    }

    return 0;
}


/* 0 for what a header's value may hold: all but controls, tabs allowed. */

static int
ngx_ivschat_sigv4_value_valid(ngx_ivschat_str_t s)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < s.len; i++) {
        c = (unsigned char) s.data[i];

        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return -1;
        }
    }

    return 0;
}


/* Insertion sort: there are few headers, and equal names keep their order. */

static void
ngx_ivschat_sigv4_sort(const ngx_ivschat_sigv4_request_t *req,
    ngx_ivschat_sigv4_header_ptr_t *sorted)
{
    size_t  i, j;

    for (i = 0; i < req->nheaders; i++) {

        for (j = i; j > 0; j--) {
            if (ngx_ivschat_sigv4_compare(sorted[j - 1]->name,
                                          req->headers[i].name)
                <= 0)
            {
                break;
            }

            sorted[j] = sorted[j - 1];
        }

        sorted[j] = &req->headers[i];
    }
}


static int
ngx_ivschat_sigv4_compare(ngx_ivschat_str_t a, ngx_ivschat_str_t b)
{
    size_t         i;
    unsigned char  c, d;

    for (i = 0; i < a.len && i < b.len; i++) {
        c = ngx_ivschat_sigv4_lower(a.data[i]);
        d = ngx_ivschat_sigv4_lower(b.data[i]);

        if (c != d) {
            return c < d ? -1 : 1;
        }
    }

    if (a.len == b.len) {
        return 0;
    }

    return a.len < b.len ? -1 : 1;
}


/* Of tolower(), but for ASCII whatever the locale is. */

static unsigned char
ngx_ivschat_sigv4_lower(char c)
{
    return (unsigned char) ((c >= 'A' && c <= 'Z') ? (c | 0x20) : c);
}


static void
ngx_ivschat_sigv4_put(ngx_ivschat_sigv4_out_t *out, const void *data,
    size_t len)
{
    if (out->full || len > (size_t) (out->end - out->pos)) {
        out->full = 1;
        return;
    }

    if (len != 0) {
        memcpy(out->pos, data, len);
        out->pos += len;
    }
}


static void
ngx_ivschat_sigv4_put_text(ngx_ivschat_sigv4_out_t *out, const char *text)
{
    ngx_ivschat_sigv4_put(out, text, strlen(text));
}


static void
ngx_ivschat_sigv4_put_lower(ngx_ivschat_sigv4_out_t *out, ngx_ivschat_str_t s)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < s.len; i++) {
        c = ngx_ivschat_sigv4_lower(s.data[i]);
        ngx_ivschat_sigv4_put(out, &c, 1);
    }
}


static void
ngx_ivschat_sigv4_put_value(ngx_ivschat_sigv4_out_t *out, ngx_ivschat_str_t s)
{
    int     blank, first;
    size_t  i;

    blank = 0;
    first = 1;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] == ' ' || s.data[i] == '\t') {
            blank = 1;
            continue;
        }

        /* a blank is written with what follows it, so none is at the end */

        if (blank && !first) {
            ngx_ivschat_sigv4_put(out, " ", 1);
        }

        ngx_ivschat_sigv4_put(out, &s.data[i], 1);

        blank = 0;
        first = 0;
    }
}


static void
ngx_ivschat_sigv4_put_signed_headers(ngx_ivschat_sigv4_out_t *out,
    const ngx_ivschat_sigv4_request_t *req,
    ngx_ivschat_sigv4_header_ptr_t *sorted)
{
    size_t  i;

    for (i = 0; i < req->nheaders; i++) {

        if (i > 0) {
            if (ngx_ivschat_sigv4_compare(sorted[i - 1]->name,
                                          sorted[i]->name)
                == 0)
            {
                continue;
            }

            ngx_ivschat_sigv4_put(out, ";", 1);
        }

        ngx_ivschat_sigv4_put_lower(out, sorted[i]->name);
    }
}


static void
ngx_ivschat_sigv4_put_scope(ngx_ivschat_sigv4_out_t *out,
    const ngx_ivschat_sigv4_scope_t *scope)
{
    ngx_ivschat_sigv4_put(out, scope->time, NGX_IVSCHAT_SIGV4_DATE_LEN);
    ngx_ivschat_sigv4_put(out, "/", 1);
    ngx_ivschat_sigv4_put(out, scope->region.data, scope->region.len);
    ngx_ivschat_sigv4_put(out, "/", 1);
    ngx_ivschat_sigv4_put(out, scope->service.data, scope->service.len);
    ngx_ivschat_sigv4_put_text(out, "/" NGX_IVSCHAT_SIGV4_TERMINATOR);
}


static int
ngx_ivschat_sigv4_finish(ngx_ivschat_sigv4_out_t *out, size_t *len)
{
    if (out->full) {
        return -1;
    }

    *len = (size_t) (out->pos - out->start);

    return 0;
}


static int
ngx_ivschat_sigv4_hmac(const void *key, size_t key_len, const void *data,
    size_t len, unsigned char mac[NGX_IVSCHAT_SIGV4_KEY_LEN])
{
    unsigned int  mac_len;

    if (HMAC(EVP_sha256(), key, (int) key_len, data, len, mac, &mac_len)
        == NULL
        || mac_len != NGX_IVSCHAT_SIGV4_KEY_LEN)
    {
        ERR_clear_error();
        return -1;
    }

    return 0;
}


/* SHA-256 and its HMAC are 32 bytes both. */

static void
ngx_ivschat_sigv4_hex(const unsigned char *data,
    char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1])
{
    size_t             i;
    static const char  digits[] = "0123456789abcdef";

    for (i = 0; i < NGX_IVSCHAT_SIGV4_HEX_LEN / 2; i++) {
        hex[2 * i] = digits[data[i] >> 4];
        hex[2 * i + 1] = digits[data[i] & 0x0f];
    }

    hex[NGX_IVSCHAT_SIGV4_HEX_LEN] = '\0';
}


static char *
ngx_ivschat_sigv4_digits(char *p, int n, int width)
{
    int  i;

    for (i = width - 1; i >= 0; i--) {
        p[i] = (char) ('0' + n % 10);
        n /= 10;
    }

    return p + width;
}
