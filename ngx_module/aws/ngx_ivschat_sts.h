
/*
 * AWS STS: the requests AssumeRole and AssumeRoleWithWebIdentity, and their
 * answers.
 *
 * The rules: both actions in the AWS STS API Reference, and the query
 * protocol of AWS, whose requests are forms and whose answers are XML.
 *
 * Nothing here reads a clock, does I/O, allocates or knows nginx.  The host is
 * ngx_ivschat_host() of "sts", the path "/", the method POST; AssumeRole is
 * signed for the service "sts", AssumeRoleWithWebIdentity is not signed.
 */


#ifndef _NGX_IVSCHAT_STS_H_INCLUDED_
#define _NGX_IVSCHAT_STS_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"
#include "ngx_ivschat_api.h"
#include "ngx_ivschat_credentials.h"


#define NGX_IVSCHAT_STS_CONTENT_TYPE    "application/x-www-form-urlencoded"

#define NGX_IVSCHAT_ROLE_ARN_MAX        2048   /* bytes */
#define NGX_IVSCHAT_SESSION_NAME_MAX    64
#define NGX_IVSCHAT_EXTERNAL_ID_MAX     1224
#define NGX_IVSCHAT_WEB_TOKEN_MAX       20000
#define NGX_IVSCHAT_ROLE_DURATION_MIN   900    /* seconds */
#define NGX_IVSCHAT_ROLE_DURATION_MAX   43200


typedef enum {
    NGX_IVSCHAT_ASSUME_ROLE = 0,
    NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY
} ngx_ivschat_sts_action_e;


typedef struct {
    ngx_ivschat_sts_action_e   action;
    ngx_ivschat_str_t          role_arn;
    ngx_ivschat_str_t          session_name;
    ngx_ivschat_str_t          external_id;  /* empty: none.  Not for a web
                                                identity */
    ngx_ivschat_str_t          web_token;    /* for a web identity only */
    unsigned                   duration;     /* seconds; 0: AWS's, one hour */
} ngx_ivschat_sts_request_t;


/*
 * The checks of single parameters: NULL, or why the value cannot be used.
 * A role is arn:PARTITION:iam::12 DIGITS:role/NAME with a partition that is
 * "aws" or begins with "aws-".  Blanks and line ends around a web identity's
 * token, as files have them, are no part of it.
 */

const char *ngx_ivschat_sts_check_role(ngx_ivschat_str_t role_arn);
const char *ngx_ivschat_sts_check_session_name(ngx_ivschat_str_t name);
const char *ngx_ivschat_sts_check_external_id(ngx_ivschat_str_t id);
const char *ngx_ivschat_sts_check_web_token(ngx_ivschat_str_t token);
const char *ngx_ivschat_sts_check_duration(unsigned duration);

/*
 * The default session name of a host, "ivschat-<hostname>", into name with a
 * NUL; what may not stand in it becomes "-", and the end is cut off.  Returns
 * its length.
 */

size_t ngx_ivschat_sts_session_name(ngx_ivschat_str_t hostname,
    char name[NGX_IVSCHAT_SESSION_NAME_MAX + 1]);

/* A size that is enough for the form of this request. */

size_t ngx_ivschat_sts_form_size(const ngx_ivschat_sts_request_t *req);

/*
 * The body of the request into buf, no NUL; all parameters are checked first.
 * On failure *reason is a text for the log, "RoleArn: it is …".
 */

int ngx_ivschat_sts_form(const ngx_ivschat_sts_request_t *req, char *buf,
    size_t size, size_t *len, char *reason, size_t reason_size);

/*
 * Reads the body of a 200.  It must be a document by ngx_ivschat_xml.h whose
 * root is the action's; elements of ours that are there twice are refused,
 * unknown ones are ignored.
 *
 * AccessKeyId, SecretAccessKey, SessionToken and Expiration must all be there;
 * the account is that of AssumedRoleUser/Arn.  The result is as that of
 * ngx_ivschat_credentials_parse().
 */

int ngx_ivschat_sts_parse(ngx_ivschat_sts_action_e action, const char *body,
    size_t len, int64_t now, ngx_ivschat_credentials_t *creds, char *reason,
    size_t size);

/*
 * Code and message of <ErrorResponse><Error><Code>…, both fit for a log as
 * those of ngx_ivschat_error_parse(); empty where there are none.  Never
 * fails.
 */

void ngx_ivschat_sts_error_parse(const char *body, size_t len,
    ngx_ivschat_error_t *error);

/*
 * Whether the same request, signed anew, may succeed a moment later:
 * throttling, 500, 502, 503, 504, and the two codes by which STS says that it
 * could not reach, or not understand, the identity provider.
 */

int ngx_ivschat_sts_retryable(unsigned status, const char *code);

/*
 * A line for the error log that tells the operator what to do about this code
 * of STS's; an empty string for codes that have no remedy of their own.
 */

const char *ngx_ivschat_sts_remedy(ngx_ivschat_sts_action_e action,
    unsigned status, const char *code);


#endif /* _NGX_IVSCHAT_STS_H_INCLUDED_ */
