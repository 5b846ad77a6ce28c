
/*
 * CreateChatToken of Amazon IVS Chat: limits, request, answer and times.
 *
 * The rules: "CreateChatToken" in the Amazon IVS Chat API Reference, and
 * "Service Quotas" in its User Guide.
 *
 * Functions return 0 on success and -1 on failure unless stated otherwise.
 */


#ifndef _NGX_IVSCHAT_API_H_INCLUDED_
#define _NGX_IVSCHAT_API_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


/* AWS's limits; for messages see ngx_ivschat_value(). */

#define NGX_IVSCHAT_USER_MAX            128    /* code points */
#define NGX_IVSCHAT_ROOM_ARN_MAX        128    /* bytes, all of them ASCII */
#define NGX_IVSCHAT_ATTRIBUTES_KB       1
#define NGX_IVSCHAT_ATTRIBUTES_MAX      (NGX_IVSCHAT_ATTRIBUTES_KB * 1024)
                                               /* bytes, all names and values */
#define NGX_IVSCHAT_DURATION_MIN        1      /* minutes */
#define NGX_IVSCHAT_DURATION_MAX        180
#define NGX_IVSCHAT_DURATION_DEFAULT    60     /* if none is requested */
#define NGX_IVSCHAT_QUOTA               200    /* calls per second of an
                                                  account and region */

#define NGX_IVSCHAT_TIME_LEN            24     /* 2026-11-24T21:01:00.000Z */
#define NGX_IVSCHAT_HOST_MAX            255
#define NGX_IVSCHAT_ANSWER_DEPTH        1000   /* of JSON: cJSON's own limit */

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


/*
 * Parses the ARN of a room by AWS's pattern
 * arn:aws:ivschat:[a-z0-9-]+:[0-9]+:room/[a-zA-Z0-9-]+, with at most
 * NGX_IVSCHAT_ROOM_ARN_MAX bytes and a valid region.  arn may be NULL.
 */

int ngx_ivschat_room_arn_parse(ngx_ivschat_str_t s,
    ngx_ivschat_room_arn_t *arn);

/* Returns 1 for the name of a region, 1 to 32 of [a-z0-9-]; else 0. */

int ngx_ivschat_region_valid(ngx_ivschat_str_t region);

/*
 * Writes "<service>.<region>.amazonaws.com" and a NUL that *len does not count
 * to host, which has "size" bytes.  Rooms exist in the partition "aws" only.
 */

int ngx_ivschat_host(ngx_ivschat_str_t service, ngx_ivschat_str_t region,
    char *host, size_t size, size_t *len);

/* Returns the bit of the capability, or 0 if the name is unknown. */

unsigned ngx_ivschat_capability(ngx_ivschat_str_t name);

/* Writes the names, comma-separated, and a NUL; returns the length. */

size_t ngx_ivschat_capabilities_text(unsigned capabilities,
    char buf[NGX_IVSCHAT_CAPABILITIES_LEN]);

/*
 * Allocates the body of the request, to be freed with free(), with a NUL that
 * *len does not count.  Capabilities, duration and attributes are optional.
 * Fails if a string is not UTF-8 or has U+0000.
 */

int ngx_ivschat_request_json(const ngx_ivschat_request_t *req, char **json,
    size_t *len);

/*
 * Reads the body of a 200: a JSON object with a non-empty "token" and both
 * times, as ISO 8601 strings or numbers of seconds since the epoch (AWS's
 * reference shows both).  Free answer->token with ngx_ivschat_token_free().
 * On failure *reason is a constant text for the log.
 */

int ngx_ivschat_token_parse(const char *body, size_t len,
    ngx_ivschat_token_t *answer, const char **reason);

/*
 * {"token":"...","sessionExpirationTime":"...","tokenExpirationTime":"..."},
 * with times in the only form that AWS's mobile demos parse.  Allocated as
 * above.
 */

int ngx_ivschat_token_json(const ngx_ivschat_token_t *answer, char **json,
    size_t *len);

/* Wipes and frees the token, if any. */

void ngx_ivschat_token_free(ngx_ivschat_token_t *answer);

/*
 * Converts ISO 8601 with "Z" or an offset (+00:00, +0000, +00), and an optional
 * fraction of any length, to milliseconds since the epoch.  Fails for leap
 * seconds and outside the years 1970 to 9999.
 */

int ngx_ivschat_time_parse(const char *s, int64_t *ms);

/*
 * Milliseconds since the epoch as "2026-11-24T21:01:00.000Z", with a NUL.
 * Fails outside the years 1970 to 9999.
 */

int ngx_ivschat_time_format(int64_t ms, char buf[NGX_IVSCHAT_TIME_LEN + 1]);


#endif /* _NGX_IVSCHAT_API_H_INCLUDED_ */
