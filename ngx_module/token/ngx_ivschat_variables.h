
/*
 * The variables.  None of them has a token, a key or an attribute.
 */


#ifndef _NGX_IVSCHAT_VARIABLES_H_INCLUDED_
#define _NGX_IVSCHAT_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* preconfiguration */

ngx_int_t ngx_ivschat_variables_add(ngx_conf_t *cf);


#endif /* _NGX_IVSCHAT_VARIABLES_H_INCLUDED_ */
