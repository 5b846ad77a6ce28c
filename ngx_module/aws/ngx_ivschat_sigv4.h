
/*
 * AWS Signature Version 4 in an Authorization header.
 *
 * The rules: "Create a signed AWS API request" in the AWS IAM User Guide
 * (reference_sigv-create-signed-request).
 *
 * All our requests are similar: a POST with a fixed path, no query and three
 * or four headers.  The caller gives them in canonical form, and nothing is
 * sorted, joined, trimmed or encoded here.
 *
 * Functions return 0 on success, and -1 if a buffer is too small, an argument
 * is invalid or libcrypto fails; its error queue is then empty, and outputs are
 * undefined.
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
#define NGX_IVSCHAT_SIGV4_SERVICE_MAX   16


typedef struct {
    ngx_ivschat_str_t   name;                /* lower case */
    ngx_ivschat_str_t   value;               /* no blanks but single ones
                                                inside */
} ngx_ivschat_sigv4_header_t;


/* All headers of the request are signed. */

typedef struct {
    ngx_ivschat_str_t                   method;
    ngx_ivschat_str_t                   uri;     /* the path */
    const ngx_ivschat_sigv4_header_t   *headers; /* sorted by name */
    size_t                              nheaders;
    char    payload_hash[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
} ngx_ivschat_sigv4_request_t;


/* The credential scope, the time and the key. */

typedef struct {
    ngx_ivschat_str_t   access_key;
    ngx_ivschat_str_t   region;
    ngx_ivschat_str_t   service;
    char                time[NGX_IVSCHAT_SIGV4_TIME_LEN + 1];
    unsigned char       key[NGX_IVSCHAT_SIGV4_KEY_LEN];   /* signing key */
} ngx_ivschat_sigv4_scope_t;


/*
 * The last signing key that was derived, and what it depends on.  Zeroed memory
 * is an empty cache.
 */

typedef struct {
    uint64_t   id;                           /* of the secret */
    char       date[NGX_IVSCHAT_SIGV4_DATE_LEN];         /* empty: no key */
    char       region[NGX_IVSCHAT_SIGV4_REGION_MAX];
    char       service[NGX_IVSCHAT_SIGV4_SERVICE_MAX];
} ngx_ivschat_sigv4_owner_t;

typedef struct {
    ngx_ivschat_sigv4_owner_t   owner;
    unsigned char               key[NGX_IVSCHAT_SIGV4_KEY_LEN];
} ngx_ivschat_sigv4_cache_t;


/*
 * Seconds since the epoch as "20150830T123600Z" in UTC, with a NUL; the first 8
 * characters are the date.  Fails outside the years 1970 to 9999.
 */

int ngx_ivschat_sigv4_time(time_t sec,
    char time[NGX_IVSCHAT_SIGV4_TIME_LEN + 1]);

/* SHA-256 of len bytes as lower-case hex with a NUL. */

int ngx_ivschat_sigv4_hash(const void *data, size_t len,
    char hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1]);

/* Returns the size of the buffer for ngx_ivschat_sigv4_authorization(). */

size_t ngx_ivschat_sigv4_buffer_size(const ngx_ivschat_sigv4_request_t *req,
    const ngx_ivschat_sigv4_scope_t *scope);

/*
 * Derives scope->key from a secret access key of at most 256 bytes, and the
 * date, region and service of the scope.  Intermediate keys are wiped.
 */

int ngx_ivschat_sigv4_signing_key(ngx_ivschat_sigv4_scope_t *scope,
    ngx_ivschat_str_t secret);

/* The same through the cache, where id identifies the secret. */

int ngx_ivschat_sigv4_cached_key(ngx_ivschat_sigv4_cache_t *cache, uint64_t id,
    ngx_ivschat_sigv4_scope_t *scope, ngx_ivschat_str_t secret);

/* Wipes the key; the cache is then empty. */

void ngx_ivschat_sigv4_cache_wipe(ngx_ivschat_sigv4_cache_t *cache);

/*
 * Writes the value of the Authorization header to buf, without a NUL.  buf is
 * also used for the canonical request; its size must be that returned by
 * ngx_ivschat_sigv4_buffer_size().  Fails if a header has a control character.
 */

int ngx_ivschat_sigv4_authorization(const ngx_ivschat_sigv4_request_t *req,
    const ngx_ivschat_sigv4_scope_t *scope, char *buf, size_t size,
    size_t *len);


#endif /* _NGX_IVSCHAT_SIGV4_H_INCLUDED_ */
