
/*
 * AWS's errors: how they are read, and what each code means for the client,
 * for a retry and for the operator.  A new code is a row of the table in
 * ngx_ivschat_errors.c.
 *
 * The rules: the errors of the restJson1 protocol of Smithy; the errors of
 * CreateChatToken, AssumeRole and AssumeRoleWithWebIdentity and AWS's common
 * errors; the "standard" retry mode of AWS's SDKs in its form of 2026 ("Retry
 * behavior", AWS SDKs and Tools Reference Guide), with any HTTP 429 as
 * throttling, as in @smithy/core.
 *
 * "code" is never NULL below, and is empty if AWS gave none.
 */


#ifndef _NGX_IVSCHAT_ERRORS_H_INCLUDED_
#define _NGX_IVSCHAT_ERRORS_H_INCLUDED_


#include "ngx_ivschat_result.h"


typedef enum {
    NGX_IVSCHAT_RETRY_NEVER = 0,
    NGX_IVSCHAT_RETRY_TRANSIENT,
    NGX_IVSCHAT_RETRY_THROTTLING
} ngx_ivschat_retry_e;


typedef struct {
    char   code[64];                   /* visible ASCII; may be empty */
    char   message[512];               /* one printable line; may be empty */
} ngx_ivschat_error_t;


/*
 * Reads an error: the code from the x-amzn-errortype header, or from "code",
 * "Code" or "__type" of the body, and the message from "message" or "Message".
 * STS has these in an "Error" object.  An invalid code is ignored, and a body
 * that is not JSON leaves the message empty.
 */

void ngx_ivschat_error_parse(ngx_ivschat_str_t errortype, const char *body,
    size_t len, ngx_ivschat_error_t *error);

/* The result for the client if AWS does not answer 200. */

ngx_ivschat_result_e ngx_ivschat_result_of_aws(unsigned status,
    const char *code);

/* Status 0: no answer, since the connection failed or timed out. */

ngx_ivschat_retry_e ngx_ivschat_retry_class(unsigned status,
    const char *code);

/* Whether the credentials have expired, so that new ones may help. */

int ngx_ivschat_expired_credentials(const char *code);

/* Whether AWS may accept the request if it is signed with the right time. */

int ngx_ivschat_skew_code(const char *code);

/*
 * What the operator must do, for the error log, about an error of IVS Chat,
 * and about one of STS; empty if nothing is known.
 */

const char *ngx_ivschat_remedy(unsigned status, const char *code);
const char *ngx_ivschat_sts_remedy(int web, unsigned status,
    const char *code);


#endif /* _NGX_IVSCHAT_ERRORS_H_INCLUDED_ */
