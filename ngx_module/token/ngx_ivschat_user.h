
/*
 * The user, and whether auth_basic has verified it.
 *
 * nginx takes $remote_user from the Authorization header even if nothing has
 * verified the password: without auth_basic, or if "satisfy any" has let the
 * client in by its address, the client chooses the name.  No public function
 * tells whether auth_basic has verified it, so its access handler is called
 * by ours, which sees the result.  A name that is not verified is hidden while
 * the policy is evaluated, from maps too.
 */


#ifndef _NGX_IVSCHAT_USER_H_INCLUDED_
#define _NGX_IVSCHAT_USER_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_result.h"


/* What is put back. */

typedef struct {
    ngx_str_t                    name;       /* headers_in.user */
    ngx_http_variable_value_t    value;      /* of $remote_user */
    unsigned                     active:1;
    unsigned                     sent:1;     /* there is a Basic name */
} ngx_ivschat_hidden_t;


extern ngx_ivschat_line_rule_t  ngx_ivschat_user_rule;

/* Replaces the access handler of auth_basic by this one, which calls it. */

ngx_int_t ngx_ivschat_user_init(ngx_conf_t *cf, ngx_http_handler_pt handler);

/*
 * Evaluates the user of a request, into *user; verified: auth_basic has
 * accepted the request.  Anything but NGX_IVSCHAT_OK is logged.
 */

ngx_ivschat_result_e ngx_ivschat_user_evaluate(ngx_http_request_t *r,
    ngx_uint_t verified, ngx_str_t *user);

/*
 * Hides a Basic name that is not verified, and puts it back; the latter
 * returns 1 if it has been asked for.
 */

void ngx_ivschat_user_hide(ngx_http_request_t *r, ngx_uint_t verified,
    ngx_ivschat_hidden_t *hidden);
ngx_uint_t ngx_ivschat_user_show(ngx_http_request_t *r,
    ngx_ivschat_hidden_t *hidden);


#endif /* _NGX_IVSCHAT_USER_H_INCLUDED_ */
