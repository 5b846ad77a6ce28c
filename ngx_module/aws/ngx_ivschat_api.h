
/*
 * CreateChatToken of Amazon IVS Chat: its limits, its request, its answers.
 *
 * The rules: "CreateChatToken" in the Amazon IVS Chat API Reference, and the
 * restJson1 protocol of Smithy for the forms of errors.
 *
 * Nothing here reads a clock, does I/O or knows nginx.  Functions return 0 on
 * success and -1 on failure unless they say otherwise.  What is said to be on
 * the heap is freed with the function named beside it.
 */


#ifndef _NGX_IVSCHAT_API_H_INCLUDED_
#define _NGX_IVSCHAT_API_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


#define NGX_IVSCHAT_USER_MAX            128    /* code points */
#define NGX_IVSCHAT_ROOM_ARN_MAX        128    /* bytes: the pattern is ASCII */
#define NGX_IVSCHAT_ATTRIBUTES_MAX      1024   /* bytes of UTF-8, all names
                                                  and values together */
#define NGX_IVSCHAT_DURATION_MIN        1      /* minutes */
#define NGX_IVSCHAT_DURATION_MAX        180
#define NGX_IVSCHAT_TIME_LEN            24     /* 2026-11-24T21:01:00.000Z */
#define NGX_IVSCHAT_HOST_MAX            255

#define NGX_IVSCHAT_SEND_MESSAGE        0x1
#define NGX_IVSCHAT_DISCONNECT_USER     0x2
#define NGX_IVSCHAT_DELETE_MESSAGE      0x4

/* All names, comma-separated, and a NUL. */
#define NGX_IVSCHAT_CAPABILITIES_LEN                                          \
    sizeof("SEND_MESSAGE,DISCONNECT_USER,DELETE_MESSAGE")


/* The parts point into the ARN that was parsed. */

typedef struct {
    ngx_ivschat_str_t   region;
    ngx_ivschat_str_t   account;
    ngx_ivschat_str_t   id;
} ngx_ivschat_room_arn_t;

typedef struct {
    ngx_ivschat_str_t   name;
    ngx_ivschat_str_t   value;
} ngx_ivschat_attribute_t;

typedef struct {
    ngx_ivschat_str_t                room;          /* ARN */
    ngx_ivschat_str_t                user;
    unsigned                         capabilities;  /* NGX_IVSCHAT_* bits */
    unsigned                         duration;      /* minutes, 0: AWS's */
    const ngx_ivschat_attribute_t   *attributes;
    size_t                           nattributes;
} ngx_ivschat_request_t;

typedef struct {
    char      *token;                  /* heap, NUL-terminated, UTF-8 */
    int64_t    session_expiration;     /* milliseconds since the epoch */
    int64_t    token_expiration;
} ngx_ivschat_token_t;

typedef struct {
    char      code[64];                /* empty: none was found */
    char      message[512];            /* one printable line, cut at the end;
                                          empty: none */
} ngx_ivschat_error_t;


/*
 * Whether the whole string is a room's ARN by AWS's pattern
 * arn:aws:ivschat:[a-z0-9-]+:[0-9]+:room/[a-zA-Z0-9-]+, 128 bytes at most,
 * with a region as below.  arn may be NULL.
 */

int ngx_ivschat_room_arn_parse(ngx_ivschat_str_t s,
    ngx_ivschat_room_arn_t *arn);

/* Whether the string is a region's name: [a-z0-9-]+, 32 bytes at most. */

int ngx_ivschat_region_valid(ngx_ivschat_str_t region);

/*
 * The host of the service in a region, "ivschat.<region>.<suffix of the
 * partition>", into host with a NUL (AWS's endpoint rules: the partition is
 * found by the form of the region's name, else it is "aws").
 */

int ngx_ivschat_host(ngx_ivschat_str_t service, ngx_ivschat_str_t region,
    char *host, size_t size, size_t *len);

/* The bit of a capability's name, 0 if there is no such capability. */

unsigned ngx_ivschat_capability(ngx_ivschat_str_t name);

/* The names of the bits, comma-separated, with a NUL; returns the length. */

size_t ngx_ivschat_capabilities_text(unsigned capabilities,
    char buf[NGX_IVSCHAT_CAPABILITIES_LEN]);

/*
 * The body of the request, on the heap with a NUL that *len does not count;
 * freed with free().  Members that are not set (no capability, no attribute,
 * no duration) are left out.  The strings must be valid by
 * ngx_ivschat_utf8_length(); they arrive byte for byte.
 */

int ngx_ivschat_request_json(const ngx_ivschat_request_t *req, char **json,
    size_t *len);

/*
 * Reads the body of a 200.  It must be one JSON object and nothing behind it,
 * with a token that is a non-empty string without U+0000, and both times (ISO
 * 8601 strings; as a fallback numbers, seconds since the epoch, since AWS's
 * reference shows both).  On failure *reason is a constant text for the log.
 * On success answer->token is freed with ngx_ivschat_token_free().
 */

int ngx_ivschat_token_parse(const char *body, size_t len,
    ngx_ivschat_token_t *answer, const char **reason);

/*
 * {"token":"…","sessionExpirationTime":"…","tokenExpirationTime":"…"}, in
 * this order, times in the one form that AWS's mobile demos parse.  Heap, NUL
 * not counted, freed with free().
 */

int ngx_ivschat_token_json(const ngx_ivschat_token_t *answer, char **json,
    size_t *len);

/* Wipes and frees the token; harmless on a zeroed answer. */

void ngx_ivschat_token_free(ngx_ivschat_token_t *answer);

/*
 * ISO 8601 with "Z" or an offset (+00:00, +0000, +00), with or without a
 * fraction of any length, to milliseconds since the epoch (truncated).  Fails
 * outside the years 1970 to 9999 of UTC, and for a leap second.
 */

int ngx_ivschat_time_parse(ngx_ivschat_str_t s, int64_t *ms);

/* The form above, with a NUL.  Fails outside the years 1970 to 9999. */

int ngx_ivschat_time_format(int64_t ms, char buf[NGX_IVSCHAT_TIME_LEN + 1]);

/*
 * Code and message of an error: the code from the x-amzn-errortype header,
 * else the body's "code", else its "__type", cut as restJson1 says; the
 * message from "message" or "Message".  A body that is not JSON leaves the
 * message empty.  Control characters of the message become spaces and bytes
 * that are not UTF-8 "?", as it goes to a log; and as AWS answers a bad
 * signature with the canonical request, it ends before a session token in it.
 * Never fails.
 */

void ngx_ivschat_error_parse(ngx_ivschat_str_t errortype, const char *body,
    size_t len, ngx_ivschat_error_t *error);


#endif /* _NGX_IVSCHAT_API_H_INCLUDED_ */
