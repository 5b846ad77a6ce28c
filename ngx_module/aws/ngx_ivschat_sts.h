
/*
 * AWS STS: the requests AssumeRole and AssumeRoleWithWebIdentity, and their
 * answers.
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


typedef enum {
    NGX_IVSCHAT_ASSUME_ROLE = 0,
    NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY,
    NGX_IVSCHAT_STS_NACTIONS
} ngx_ivschat_sts_action_e;


typedef struct {
    ngx_ivschat_sts_action_e   action;
    ngx_ivschat_str_t          role_arn;
    ngx_ivschat_str_t          session_name;
    ngx_ivschat_str_t          external_id;  /* empty: none */
    ngx_ivschat_str_t          web_token;    /* for a web identity only */
    unsigned                   duration;     /* seconds; 0: AWS's, one hour */
} ngx_ivschat_sts_request_t;


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
 * Writes the body of the request, no NUL; all parameters are checked.  On
 * failure (-1) the reason is a text for the log, "RoleArn: it is …".
 */

int ngx_ivschat_sts_form(const ngx_ivschat_sts_request_t *req,
    ngx_ivschat_out_t *out, char *reason, size_t size);

/*
 * Reads the body of a 200: {"<action>Response": {"<action>Result":
 * {"Credentials": {"AccessKeyId", "SecretAccessKey", "SessionToken",
 * "Expiration"}}}}.  Result and reasons are those of
 * ngx_ivschat_credentials_read().
 */

int ngx_ivschat_sts_parse(ngx_ivschat_sts_action_e action, const char *body,
    size_t len, int64_t now, ngx_ivschat_credentials_t *creds, char *reason,
    size_t size);

/*
 * Code and message of {"Error": {"Code", "Message"}}; empty where there are
 * none, and a message of ours for XML.
 */

void ngx_ivschat_sts_error_parse(const char *body, size_t len,
    ngx_ivschat_error_t *error);

/*
 * A line for the error log that tells the operator what to do about this code
 * of STS's; an empty string for codes that have no remedy of their own.
 */

const char *ngx_ivschat_sts_remedy(ngx_ivschat_sts_action_e action,
    unsigned status, const char *code);


#endif /* _NGX_IVSCHAT_STS_H_INCLUDED_ */
