
/*
 * AWS credentials: their form, the answers that contain them, and when to get
 * new ones.
 *
 * The forms of the answers: "Container credential provider" and "IMDS
 * credential provider" in the AWS SDKs and Tools Reference Guide.
 *
 * Reasons are texts for the log, cut if size is too small; they never contain
 * a part of a key, a secret or a session token.
 */


#ifndef _NGX_IVSCHAT_CREDENTIALS_H_INCLUDED_
#define _NGX_IVSCHAT_CREDENTIALS_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


/*
 * Bytes.  AWS documents 128 for an access key id, and no maximum for the
 * others; a session token must fit into a header of the request.
 */

#define NGX_IVSCHAT_ACCESS_KEY_MAX      128
#define NGX_IVSCHAT_SECRET_KEY_MAX      256
#define NGX_IVSCHAT_SESSION_TOKEN_MAX   8192
#define NGX_IVSCHAT_REASON_LEN          512    /* enough for any reason */

/* the reason if an answer begins with "<" */
#define NGX_IVSCHAT_XML                 "XML or HTML instead of JSON"

#define NGX_IVSCHAT_NEVER               INT64_MAX


/*
 * One set of credentials, without pointers, for shared memory.  A length does
 * not count the terminating NUL.
 */

typedef struct {
    int64_t    expiration;             /* seconds since the epoch; 0: never */
    size_t     access_key_len;
    size_t     secret_key_len;
    size_t     session_token_len;      /* 0: none */
    char       access_key[NGX_IVSCHAT_ACCESS_KEY_MAX + 1];
    char       secret_key[NGX_IVSCHAT_SECRET_KEY_MAX + 1];
    char       session_token[NGX_IVSCHAT_SESSION_TOKEN_MAX + 1];
} ngx_ivschat_credentials_t;


typedef enum {
    NGX_IVSCHAT_ACCESS_KEY = 0,
    NGX_IVSCHAT_SECRET_KEY,
    NGX_IVSCHAT_SESSION_TOKEN
} ngx_ivschat_credentials_field_e;


/* The service that sent an answer, and the action of STS. */

typedef enum {
    NGX_IVSCHAT_CONTAINER = 0,         /* ECS, EKS Pod Identity, Greengrass */
    NGX_IVSCHAT_IMDS,                  /* EC2 instance metadata */
    NGX_IVSCHAT_ASSUME_ROLE,
    NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY,
    NGX_IVSCHAT_NFLAVOURS
} ngx_ivschat_credentials_flavour_e;


/* In seconds since the epoch, or NGX_IVSCHAT_NEVER. */

typedef struct {
    int64_t    advisory;               /* get new ones in the background */
    int64_t    mandatory;              /* do not rely on these: a request that
                                          is signed now may arrive too late */
} ngx_ivschat_refresh_t;


/*
 * Copies a set that never expires to *creds.  An access key id is 1 to 128
 * letters, digits and "_"; a secret is 1 to 256, a session token 0 to 8192
 * characters of visible ASCII.  Returns NULL, or the reason with *creds wiped
 * and *field set.
 */

const char *ngx_ivschat_credentials_set(ngx_ivschat_credentials_t *creds,
    ngx_ivschat_str_t access_key, ngx_ivschat_str_t secret_key,
    ngx_ivschat_str_t session_token, ngx_ivschat_credentials_field_e *field);

/*
 * Reads the body of a 200, one JSON object as in ngx_ivschat_json.h.  Metadata
 * services send {"AccessKeyId", "SecretAccessKey", "Token", "Expiration",
 * "Code", …}; STS sends {"<action>Response": {"<action>Result":
 * {"Credentials": {"AccessKeyId", "SecretAccessKey", "SessionToken",
 * "Expiration"}}}} if JSON is requested, possibly with the expiration as a
 * number of seconds.
 *
 * Keys and expiration are required, as by all SDKs.  Those of STS must be
 * valid after "now"; a metadata service that cannot renew them may answer with
 * expired ones, which the caller uses.  Only a container's answer may lack
 * Token, since long-term keys have none.  null is the same as absent.  A
 * "Code" other than "Success" is an error that IMDS sends with a status of
 * 200.  Unknown members are ignored, and duplicates of known ones refused.
 *
 * Returns 0, or -1 with *creds wiped and a reason.
 */

int ngx_ivschat_credentials_parse(ngx_ivschat_credentials_flavour_e flavour,
    const char *body, size_t len, int64_t now,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size);

void ngx_ivschat_credentials_wipe(ngx_ivschat_credentials_t *creds);

/*
 * When to renew credentials issued at "issued".  The windows are those of
 * AWS's SDKs of 2026, except that credentials that live less than 10 (4)
 * minutes are renewed after half (three quarters) of that time, while the SDKs
 * would renew them for each request.
 */

void ngx_ivschat_refresh_times(int64_t issued, int64_t expiration,
    ngx_ivschat_refresh_t *times);

/*
 * Milliseconds from a refresh that failed at "now" to the next one.  While
 * there are credentials: 300 to 600 seconds, as in AWS's SDKs, but not past
 * their mandatory time.  After it, or if times is NULL: 1 to 5 seconds, doubled
 * with each failure in a row, up to 16 times.  random: any 32 bits; failures:
 * in a row, including this one.
 */

uint32_t ngx_ivschat_refresh_delay(const ngx_ivschat_refresh_t *times,
    int64_t now, unsigned failures, uint32_t random);


#endif /* _NGX_IVSCHAT_CREDENTIALS_H_INCLUDED_ */
