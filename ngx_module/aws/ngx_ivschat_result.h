
/*
 * How a request for a token ends: the codes that clients and logs see, and
 * which of AWS's answers means which.
 */


#ifndef _NGX_IVSCHAT_RESULT_H_INCLUDED_
#define _NGX_IVSCHAT_RESULT_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


typedef enum {
    NGX_IVSCHAT_UNKNOWN = 0,           /* not ended yet */
    NGX_IVSCHAT_OK,
    NGX_IVSCHAT_ABORTED,               /* the client left */
    NGX_IVSCHAT_UNAUTHENTICATED,
    NGX_IVSCHAT_ROOM_FORBIDDEN,
    NGX_IVSCHAT_ROOM_NOT_FOUND,
    NGX_IVSCHAT_METHOD_NOT_ALLOWED,
    NGX_IVSCHAT_INVALID_USER,
    NGX_IVSCHAT_INVALID_ATTRIBUTES,
    NGX_IVSCHAT_INVALID_REQUEST,
    NGX_IVSCHAT_REQUEST_TOO_LARGE,
    NGX_IVSCHAT_THROTTLED,
    NGX_IVSCHAT_MISCONFIGURED,
    NGX_IVSCHAT_REJECTED,
    NGX_IVSCHAT_BAD_RESPONSE,
    NGX_IVSCHAT_UNAVAILABLE,
    NGX_IVSCHAT_TIMEOUT,
    NGX_IVSCHAT_NO_CREDENTIALS,
    NGX_IVSCHAT_NRESULTS
} ngx_ivschat_result_e;


typedef struct {
    ngx_ivschat_str_t   code;          /* "throttled" */
    unsigned            status;        /* 429 */
    ngx_ivschat_str_t   title;         /* short, the same for every case */
    ngx_ivschat_str_t   detail;        /* one sentence for the front-end's
                                          developer; tells nothing of AWS */
} ngx_ivschat_result_info_t;


/*
 * Constant; never NULL.  UNKNOWN has an empty code, OK and ABORTED have "ok"
 * with 200 and "aborted" with 499.
 */

const ngx_ivschat_result_info_t *ngx_ivschat_result_info(
    ngx_ivschat_result_e result);

/*
 * The body of an error (RFC 9457) into buf: type, title, status, code, detail
 * and, if it is not 0, retryAfter in seconds.  Returns its length, or 0 if
 * size (512 is enough) is too small.
 */

size_t ngx_ivschat_problem_json(ngx_ivschat_result_e result,
    unsigned retry_after, char *buf, size_t size);

/*
 * What an answer of AWS that is no 200 means for the client, by its status
 * and its error code (may be empty).
 */

ngx_ivschat_result_e ngx_ivschat_result_of_aws(unsigned status,
    const char *code);

/*
 * Whether this code of AWS's says that credentials have expired, so that newer
 * ones may help.
 */

int ngx_ivschat_expired_credentials(const char *code);

/*
 * A line for the error log that tells the operator what to do about this code
 * of AWS's; an empty string for codes that have no remedy of their own.
 */

const char *ngx_ivschat_remedy(unsigned status, const char *code);


#endif /* _NGX_IVSCHAT_RESULT_H_INCLUDED_ */
