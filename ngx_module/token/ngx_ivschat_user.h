
/*
 * The user, and whether auth_basic has checked it.
 *
 * nginx takes $remote_user from the Authorization header, whether or not
 * anything has checked the password: without auth_basic, or where "satisfy
 * any" has let the client in by its address, it is what the client says.
 * Nothing public tells that auth_basic has checked it, so we stand before its
 * access handler and see what it returns.
 */


#ifndef _NGX_IVSCHAT_USER_H_INCLUDED_
#define _NGX_IVSCHAT_USER_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_result.h"


extern ngx_ivschat_line_rule_t  ngx_ivschat_user_rule;

/*
 * Replaces the access handler of auth_basic by this one, and returns the
 * original, or NULL without auth_basic.
 */

ngx_http_handler_pt ngx_ivschat_user_wrap_auth(ngx_conf_t *cf,
    ngx_http_handler_pt handler);

/*
 * Evaluates the user of a request, into *user; checked: auth_basic has
 * accepted the request.  Anything but NGX_IVSCHAT_OK is logged.
 */

ngx_ivschat_result_e ngx_ivschat_user_evaluate(ngx_http_request_t *r,
    ngx_uint_t checked, ngx_str_t *user);


#endif /* _NGX_IVSCHAT_USER_H_INCLUDED_ */
