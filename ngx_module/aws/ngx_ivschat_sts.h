
/*
 * AWS STS: the requests AssumeRole and AssumeRoleWithWebIdentity, and what to
 * do about their errors.  ngx_ivschat_credentials.h reads their answers.
 *
 * The rules: both actions in the AWS STS API Reference.  The requests are
 * forms; the answers are JSON if the request has NGX_IVSCHAT_STS_ACCEPT.
 *
 * The host is ngx_ivschat_host() of "sts", the path "/", the method POST;
 * AssumeRole is signed for the service "sts", the other is not signed.
 */


#ifndef _NGX_IVSCHAT_STS_H_INCLUDED_
#define _NGX_IVSCHAT_STS_H_INCLUDED_


#include "ngx_ivschat_credentials.h"
#include "ngx_ivschat_errors.h"
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
 * The checks of single parameters: NULL, or why the value cannot be used.
 * A role is arn:PARTITION:iam::12 DIGITS:role/NAME with a partition that is
 * "aws" or begins with "aws-".
 */

const char *ngx_ivschat_sts_check_role(ngx_ivschat_str_t role_arn);
const char *ngx_ivschat_sts_check_session_name(ngx_ivschat_str_t name);
const char *ngx_ivschat_sts_check_external_id(ngx_ivschat_str_t id);
const char *ngx_ivschat_sts_check_web_token(ngx_ivschat_str_t token);
const char *ngx_ivschat_sts_check_duration(unsigned duration);

/*
 * The default session name of a host, "ivschat-<hostname>", into name with a
 * NUL; a character that AWS does not allow becomes "-", and the end is cut
 * off.  Returns its length.
 */

size_t ngx_ivschat_sts_session_name(ngx_ivschat_str_t hostname,
    char name[NGX_IVSCHAT_SESSION_NAME_MAX + 1]);

/*
 * Writes the body of the request, no NUL; all parameters are checked.
 * web_token is for a web identity only.  On failure (-1) the reason is a text
 * for the log, "RoleArn: it is …".
 */

int ngx_ivschat_sts_form(ngx_ivschat_credentials_flavour_e action,
    const ngx_ivschat_role_t *role, ngx_ivschat_str_t web_token,
    ngx_ivschat_out_t *out, char *reason, size_t size);

/*
 * A line for the error log that tells the operator what to do about this code
 * of STS's; an empty string for codes that have no remedy of their own.
 */

const char *ngx_ivschat_sts_remedy(ngx_ivschat_credentials_flavour_e action,
    unsigned status, const char *code);


#endif /* _NGX_IVSCHAT_STS_H_INCLUDED_ */
