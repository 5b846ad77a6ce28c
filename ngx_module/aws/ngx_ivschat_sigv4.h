
/*
 * AWS Signature Version 4, the form with an Authorization header.
 *
 * The rules: "Create a signed AWS API request" in the AWS IAM User Guide
 * (reference_sigv-create-signed-request).  Each stage is a function of its
 * own, so that a test can say at which stage a signature went wrong.
 *
 * Nothing here allocates what outlives the call, reads a clock or knows
 * nginx.  Functions return 0 on success and -1 when a buffer is too small, an
 * argument is out of its bounds or libcrypto refused; outputs are then
 * undefined.  libcrypto's error queue is left empty.
 */


#ifndef _NGX_IVSCHAT_SIGV4_H_INCLUDED_
#define _NGX_IVSCHAT_SIGV4_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"

#include <time.h>


#define NGX_IVSCHAT_SIGV4_KEY_LEN       32   /* bytes, HMAC-SHA256 */
#define NGX_IVSCHAT_SIGV4_HEX_LEN       64   /* SHA-256 in lower-case hex */
#define NGX_IVSCHAT_SIGV4_DATE_LEN      8    /* 20150830 */
#define NGX_IVSCHAT_SIGV4_TIME_LEN      16   /* 20150830T123600Z */
#define NGX_IVSCHAT_SIGV4_REGION_MAX    32   /* bytes; the longest is 16 */
#define NGX_IVSCHAT_SIGV4_HEADERS_MAX   16   /* headers in one request */
#define NGX_IVSCHAT_SIGV4_CACHE_SLOTS   16


typedef struct {
    ngx_ivschat_str_t   name;                /* any case */
    ngx_ivschat_str_t   value;               /* as it will be sent */
} ngx_ivschat_sigv4_header_t;


/* The request, with exactly the headers that are to be signed. */

typedef struct {
    ngx_ivschat_str_t                   method;
    ngx_ivschat_str_t                   uri;     /* canonical, "/" at least */
    ngx_ivschat_str_t                   query;   /* canonical or empty */
    const ngx_ivschat_sigv4_header_t   *headers; /* any order, host included */
    size_t                              nheaders;
    char    payload_hash[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
} ngx_ivschat_sigv4_request_t;


/* What is signed with, and when. */

typedef struct {
    ngx_ivschat_str_t   access_key;
    ngx_ivschat_str_t   region;
    ngx_ivschat_str_t   service;
    char                time[NGX_IVSCHAT_SIGV4_TIME_LEN + 1];
    unsigned char       key[NGX_IVSCHAT_SIGV4_KEY_LEN];   /* signing key */
} ngx_ivschat_sigv4_scope_t;


/*
 * Signing keys already derived: a key depends on secret, day, region and
 * service only.  One cache per process; zeroed memory is an empty cache.
 */

typedef struct {
    uint64_t        id;
    char            date[NGX_IVSCHAT_SIGV4_DATE_LEN];
    char            region[NGX_IVSCHAT_SIGV4_REGION_MAX];
    size_t          region_len;              /* 0: the slot is free */
    char            service[16];
    size_t          service_len;
    unsigned char   key[NGX_IVSCHAT_SIGV4_KEY_LEN];
} ngx_ivschat_sigv4_cached_t;

typedef struct {
    ngx_ivschat_sigv4_cached_t   slots[NGX_IVSCHAT_SIGV4_CACHE_SLOTS];
    size_t                       next;       /* the slot to replace next */
} ngx_ivschat_sigv4_cache_t;


/*
 * Seconds since the epoch as "20150830T123600Z" in UTC, with a final NUL; the
 * first 8 characters are the date of the credential scope, so that both come
 * from one reading of the clock.  Fails outside the years 1970 to 9999.
 */

int ngx_ivschat_sigv4_time(time_t sec,
    char time[NGX_IVSCHAT_SIGV4_TIME_LEN + 1]);

/* SHA-256 of len bytes, as lower-case hex with a final NUL. */

int ngx_ivschat_sigv4_hash(const void *data, size_t len,
    char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1]);

/*
 * A size that is enough for the canonical request, and for the value of the
 * Authorization header, of this request.
 */

size_t ngx_ivschat_sigv4_buffer_size(const ngx_ivschat_sigv4_request_t *req,
    const ngx_ivschat_sigv4_scope_t *scope);

/*
 * The canonical request, into buf; *len is its length (no NUL counted).
 * Header names are lower-cased and sorted, values trimmed and their inner
 * runs of blanks made one; equal names are joined with "," in their order.
 * Refused: controls but tabs in a value (a line feed would forge a header),
 * anything but visible ASCII elsewhere, no header at all or too many.
 */

int ngx_ivschat_sigv4_canonical_request(const ngx_ivschat_sigv4_request_t *req,
    char *buf, size_t size, size_t *len);

/*
 * The string to sign, from the hex hash of the canonical request.  250 bytes
 * are enough for buf (checked all the same).
 */

int ngx_ivschat_sigv4_string_to_sign(const ngx_ivschat_sigv4_scope_t *scope,
    const char hash[NGX_IVSCHAT_SIGV4_HEX_LEN + 1], char *buf, size_t size,
    size_t *len);

/*
 * The signing key of a day (8 characters of date), by four HMACs from the
 * secret access key (any bytes, at most 256).  Intermediate keys are wiped.
 */

int ngx_ivschat_sigv4_signing_key(ngx_ivschat_str_t secret, const char *date,
    ngx_ivschat_str_t region, ngx_ivschat_str_t service,
    unsigned char key[NGX_IVSCHAT_SIGV4_KEY_LEN]);

/*
 * The same through the cache.  id stands for the secret: the caller gives
 * another id whenever the secret is another one.
 */

int ngx_ivschat_sigv4_cached_key(ngx_ivschat_sigv4_cache_t *cache, uint64_t id,
    ngx_ivschat_str_t secret, const char *date, ngx_ivschat_str_t region,
    ngx_ivschat_str_t service, unsigned char key[NGX_IVSCHAT_SIGV4_KEY_LEN]);

/* Wipes every key of the cache. */

void ngx_ivschat_sigv4_cache_wipe(ngx_ivschat_sigv4_cache_t *cache);

/* The signature over the string to sign, as lower-case hex with a NUL. */

int ngx_ivschat_sigv4_signature(
    const unsigned char key[NGX_IVSCHAT_SIGV4_KEY_LEN],
    const char *string, size_t len, char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1]);

/*
 * All stages at once: the value of the Authorization header, into buf.  The
 * same buf is the scratch space for the canonical request, so size must be
 * what ngx_ivschat_sigv4_buffer_size() says.
 */

int ngx_ivschat_sigv4_authorization(const ngx_ivschat_sigv4_request_t *req,
    const ngx_ivschat_sigv4_scope_t *scope, char *buf, size_t size,
    size_t *len);


#endif /* _NGX_IVSCHAT_SIGV4_H_INCLUDED_ */
