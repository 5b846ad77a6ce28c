
/*
 * AWS Signature Version 4 in an Authorization header.
 */


#include "ngx_ivschat_sigv4.h"

#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>


#define NGX_IVSCHAT_SIGV4_ALGORITHM    "AWS4-HMAC-SHA256"
#define NGX_IVSCHAT_SIGV4_TERMINATOR   "aws4_request"

#define NGX_IVSCHAT_SIGV4_SECRET_MAX   256
#define NGX_IVSCHAT_SIGV4_SCOPE_MAX                                           \
    (NGX_IVSCHAT_SIGV4_DATE_LEN + NGX_IVSCHAT_SIGV4_REGION_MAX                \
     + NGX_IVSCHAT_SIGV4_SERVICE_MAX                                          \
     + sizeof("///" NGX_IVSCHAT_SIGV4_TERMINATOR))

/* Everything that is not from the request and the scope. */
#define NGX_IVSCHAT_SIGV4_FIXED        256


static int ngx_ivschat_sigv4_signature(const ngx_ivschat_sigv4_scope_t *scope,
    const char *of, char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1]);
static int ngx_ivschat_sigv4_canonical_request(ngx_ivschat_out_t *out,
    const ngx_ivschat_sigv4_request_t *req);
static void ngx_ivschat_sigv4_names(ngx_ivschat_out_t *out,
    const ngx_ivschat_sigv4_request_t *req);
static int ngx_ivschat_sigv4_hmac(const void *key, size_t key_len,
    const void *data, size_t len,
    unsigned char mac[NGX_IVSCHAT_SIGV4_KEY_LEN]);
static void ngx_ivschat_sigv4_hex(const unsigned char *data,
    char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1]);


int
ngx_ivschat_sigv4_time(time_t sec, char time[NGX_IVSCHAT_SIGV4_TIME_LEN + 1])
{
    struct tm  tm;

    if (sec < 0 || gmtime_r(&sec, &tm) == NULL || tm.tm_year > 9999 - 1900) {
        return -1;
    }

    return strftime(time, NGX_IVSCHAT_SIGV4_TIME_LEN + 1, "%Y%m%dT%H%M%SZ",
                    &tm)
           == NGX_IVSCHAT_SIGV4_TIME_LEN ? 0 : -1;
}


int
ngx_ivschat_sigv4_hash(const void *data, size_t len,
    char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1])
{
    unsigned char  md[EVP_MAX_MD_SIZE];

    if (EVP_Digest(len ? data : "", len, md, NULL, EVP_sha256(), NULL) != 1) {
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

    /* enough for both the canonical request and the header */

    size = NGX_IVSCHAT_SIGV4_FIXED + req->method.len + req->uri.len
           + scope->access_key.len + scope->region.len + scope->service.len;

    /* a name is written twice, with ":", line feed and ";" */

    for (i = 0; i < req->nheaders; i++) {
        size += 2 * req->headers[i].name.len + req->headers[i].value.len + 3;
    }

    return size;
}


int
ngx_ivschat_sigv4_signing_key(ngx_ivschat_sigv4_scope_t *scope,
    ngx_ivschat_str_t secret)
{
    int            rc;
    unsigned char  first[4 + NGX_IVSCHAT_SIGV4_SECRET_MAX];
    unsigned char  a[NGX_IVSCHAT_SIGV4_KEY_LEN];
    unsigned char  b[NGX_IVSCHAT_SIGV4_KEY_LEN];

    if (secret.len == 0 || secret.len > NGX_IVSCHAT_SIGV4_SECRET_MAX
        || scope->region.len == 0 || scope->service.len == 0)
    {
        return -1;
    }

    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret.data, secret.len);

    rc = ngx_ivschat_sigv4_hmac(first, 4 + secret.len, scope->time,
                                NGX_IVSCHAT_SIGV4_DATE_LEN, a)
         || ngx_ivschat_sigv4_hmac(a, sizeof(a), scope->region.data,
                                   scope->region.len, b)
         || ngx_ivschat_sigv4_hmac(b, sizeof(b), scope->service.data,
                                   scope->service.len, a)
         || ngx_ivschat_sigv4_hmac(a, sizeof(a), NGX_IVSCHAT_SIGV4_TERMINATOR,
                                   sizeof(NGX_IVSCHAT_SIGV4_TERMINATOR) - 1,
                                   scope->key);

    OPENSSL_cleanse(first, sizeof(first));
    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(b, sizeof(b));

    return rc ? -1 : 0;
}


int
ngx_ivschat_sigv4_cached_key(ngx_ivschat_sigv4_cache_t *cache, uint64_t id,
    ngx_ivschat_sigv4_scope_t *scope, ngx_ivschat_str_t secret)
{
    ngx_ivschat_sigv4_owner_t  owner;

    if (scope->region.len > sizeof(owner.region)
        || scope->service.len > sizeof(owner.service))
    {
        return -1;
    }

    memset(&owner, 0, sizeof(owner));
    owner.id = id;
    memcpy(owner.date, scope->time, sizeof(owner.date));
    memcpy(owner.region, scope->region.data, scope->region.len);
    memcpy(owner.service, scope->service.data, scope->service.len);

    if (memcmp(&cache->owner, &owner, sizeof(owner)) == 0) {
        memcpy(scope->key, cache->key, sizeof(scope->key));
        return 0;
    }

    ngx_ivschat_sigv4_cache_wipe(cache);

    if (ngx_ivschat_sigv4_signing_key(scope, secret) != 0) {
        return -1;
    }

    cache->owner = owner;
    memcpy(cache->key, scope->key, sizeof(cache->key));

    return 0;
}


void
ngx_ivschat_sigv4_cache_wipe(ngx_ivschat_sigv4_cache_t *cache)
{
    explicit_bzero(cache, sizeof(ngx_ivschat_sigv4_cache_t));
}


int
ngx_ivschat_sigv4_authorization(const ngx_ivschat_sigv4_request_t *req,
    const ngx_ivschat_sigv4_scope_t *scope, char *buf, size_t size,
    size_t *len)
{
    int                n;
    char               of[NGX_IVSCHAT_SIGV4_SCOPE_MAX];
    char               hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
    ngx_ivschat_out_t  canonical = { buf, size, 0 }, out = { buf, size, 0 };

    n = snprintf(of, sizeof(of), "%.*s/%.*s/%.*s/"
                 NGX_IVSCHAT_SIGV4_TERMINATOR,
                 NGX_IVSCHAT_SIGV4_DATE_LEN, scope->time,
                 (int) scope->region.len, scope->region.data,
                 (int) scope->service.len, scope->service.data);

    if (n < 0 || (size_t) n >= sizeof(of)
        || !ngx_ivschat_str_line(scope->access_key)
        || ngx_ivschat_sigv4_canonical_request(&canonical, req) != 0
        || ngx_ivschat_sigv4_hash(buf, canonical.len, hex) != 0
        || ngx_ivschat_sigv4_signature(scope, of, hex) != 0)
    {
        return -1;
    }

    ngx_ivschat_out_text(&out, NGX_IVSCHAT_SIGV4_ALGORITHM " Credential=");
    ngx_ivschat_out_str(&out, scope->access_key);
    ngx_ivschat_out_text(&out, "/");
    ngx_ivschat_out_text(&out, of);
    ngx_ivschat_out_text(&out, ", SignedHeaders=");
    ngx_ivschat_sigv4_names(&out, req);
    ngx_ivschat_out_text(&out, ", Signature=");
    ngx_ivschat_out_text(&out, hex);

    *len = out.len;

    return out.len <= size ? 0 : -1;
}


/* hex is the hash of the canonical request, and becomes the signature. */

static int
ngx_ivschat_sigv4_signature(const ngx_ivschat_sigv4_scope_t *scope,
    const char *of, char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1])
{
    int            n;
    char           string[sizeof(NGX_IVSCHAT_SIGV4_ALGORITHM)
                          + NGX_IVSCHAT_SIGV4_TIME_LEN
                          + NGX_IVSCHAT_SIGV4_SCOPE_MAX
                          + NGX_IVSCHAT_SIGV4_HEX_LEN + 4];
    unsigned char  mac[NGX_IVSCHAT_SIGV4_KEY_LEN];

    n = snprintf(string, sizeof(string),
                 NGX_IVSCHAT_SIGV4_ALGORITHM "\n%s\n%s\n%s", scope->time, of,
                 hex);

    if (n < 0 || (size_t) n >= sizeof(string)
        || ngx_ivschat_sigv4_hmac(scope->key, sizeof(scope->key), string,
                                  (size_t) n, mac)
        != 0)
    {
        return -1;
    }

    ngx_ivschat_sigv4_hex(mac, hex);

    return 0;
}


/* A line feed in a value would forge another header. */

static int
ngx_ivschat_sigv4_canonical_request(ngx_ivschat_out_t *out,
    const ngx_ivschat_sigv4_request_t *req)
{
    size_t  i;

    ngx_ivschat_out_str(out, req->method);
    ngx_ivschat_out_text(out, "\n");
    ngx_ivschat_out_str(out, req->uri);
    ngx_ivschat_out_text(out, "\n\n");

    for (i = 0; i < req->nheaders; i++) {

        if (!ngx_ivschat_str_line(req->headers[i].value)) {
            return -1;
        }

        ngx_ivschat_out_str(out, req->headers[i].name);
        ngx_ivschat_out_text(out, ":");
        ngx_ivschat_out_str(out, req->headers[i].value);
        ngx_ivschat_out_text(out, "\n");
    }

    ngx_ivschat_out_text(out, "\n");
    ngx_ivschat_sigv4_names(out, req);
    ngx_ivschat_out_text(out, "\n");
    ngx_ivschat_out_text(out, req->payload_hash);

    return out->len <= out->size ? 0 : -1;
}


static void
ngx_ivschat_sigv4_names(ngx_ivschat_out_t *out,
    const ngx_ivschat_sigv4_request_t *req)
{
    size_t  i;

    for (i = 0; i < req->nheaders; i++) {
        ngx_ivschat_out_text(out, i == 0 ? "" : ";");
        ngx_ivschat_out_str(out, req->headers[i].name);
    }
}


static int
ngx_ivschat_sigv4_hmac(const void *key, size_t key_len, const void *data,
    size_t len, unsigned char mac[NGX_IVSCHAT_SIGV4_KEY_LEN])
{
    if (HMAC(EVP_sha256(), key, (int) key_len, data, len, mac, NULL) == NULL) {
        ERR_clear_error();
        return -1;
    }

    return 0;
}


/* Both SHA-256 and HMAC-SHA256 have 32 bytes. */

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
