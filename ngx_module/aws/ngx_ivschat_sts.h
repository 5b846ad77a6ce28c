
/*
 * AWS STS: the requests AssumeRole and AssumeRoleWithWebIdentity.  Their
 * answers are read by ngx_ivschat_credentials.h, and errors by
 * ngx_ivschat_errors.h.
 *
 * The rules: both actions in the AWS STS API Reference.  A request is a form;
 * the answer is JSON if the request has NGX_IVSCHAT_STS_ACCEPT.  The host is
 * ngx_ivschat_host() of "sts", the path "/", the method POST; AssumeRole is
 * signed for the service "sts", the other action is not signed.
 */


#ifndef _NGX_IVSCHAT_STS_H_INCLUDED_
#define _NGX_IVSCHAT_STS_H_INCLUDED_


#include "ngx_ivschat_credentials.h"
#include "ngx_ivschat_role.h"


#define NGX_IVSCHAT_STS_CONTENT_TYPE    "application/x-www-form-urlencoded"
#define NGX_IVSCHAT_STS_ACCEPT          "application/json"

/* Bytes, and seconds; messages are made of them. */

#define NGX_IVSCHAT_ROLE_ARN_MIN        20
#define NGX_IVSCHAT_ROLE_ARN_MAX        2048
#define NGX_IVSCHAT_ACCOUNT_LEN         12
#define NGX_IVSCHAT_SESSION_NAME_MIN    2
#define NGX_IVSCHAT_SESSION_NAME_MAX    64
#define NGX_IVSCHAT_EXTERNAL_ID_MIN     2
#define NGX_IVSCHAT_EXTERNAL_ID_MAX     1224
#define NGX_IVSCHAT_WEB_TOKEN_MIN       4
#define NGX_IVSCHAT_WEB_TOKEN_MAX       20000
#define NGX_IVSCHAT_ROLE_DURATION_MIN   900
#define NGX_IVSCHAT_ROLE_DURATION_MAX   43200


/*
 * Each check returns NULL, or the reason why the value is invalid.  A role is
 * arn:PARTITION:iam::<12 digits>:role/NAME with the partition "aws" or
 * "aws-…".
 */

const char *ngx_ivschat_sts_check_role(ngx_ivschat_str_t role_arn);
const char *ngx_ivschat_sts_check_session_name(ngx_ivschat_str_t name);
const char *ngx_ivschat_sts_check_external_id(ngx_ivschat_str_t id);
const char *ngx_ivschat_sts_check_web_token(ngx_ivschat_str_t token);
const char *ngx_ivschat_sts_check_duration(unsigned duration);

/*
 * The default session name, "ivschat-<hostname>", into name with a NUL.  A
 * character that AWS does not allow becomes "-", and the end is cut off.
 */

void ngx_ivschat_sts_session_name(ngx_ivschat_str_t hostname,
    char name[NGX_IVSCHAT_SESSION_NAME_MAX + 1]);

/*
 * Checks all parameters and writes the body of the request, without a NUL.
 * web_token is used for a web identity only.  Returns 0, or -1 and a reason
 * for the log, "RoleArn: the ARN of a role …".
 */

int ngx_ivschat_sts_form(ngx_ivschat_credentials_flavour_e action,
    const ngx_ivschat_role_t *role, ngx_ivschat_str_t web_token,
    ngx_ivschat_out_t *out, char *reason, size_t size);


#endif /* _NGX_IVSCHAT_STS_H_INCLUDED_ */
