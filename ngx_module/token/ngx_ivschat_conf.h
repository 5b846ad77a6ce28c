
/*
 * The configuration, and the values of its directives: parsing what an
 * operator writes, and evaluating it for a request.
 */


#ifndef _NGX_IVSCHAT_CONF_H_INCLUDED_
#define _NGX_IVSCHAT_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../aws/ngx_ivschat_sigv4.h"
#include "../creds/ngx_ivschat_creds.h"
#include "../creds/ngx_ivschat_nginx.h"
#include "ngx_ivschat_rate.h"


#if !(NGX_HTTP_SSL)
#error "ngx_http_ivschat_token_module needs nginx with http_ssl_module"
#endif


#define NGX_IVSCHAT_SERVICE   "ivschat"
#define NGX_IVSCHAT_PATH      "/CreateChatToken"


typedef struct ngx_ivschat_user_s  ngx_ivschat_user_t;


typedef struct {
    ngx_ivschat_creds_conf_t     creds;
    ngx_ivschat_rate_conf_t      rate;
    size_t                       zone_size;

    ngx_http_handler_pt          auth_basic; /* the access handler that is
                                                called by ours, or NULL */

    ngx_ivschat_sigv4_cache_t    keys;       /* of this worker */
} ngx_ivschat_main_conf_t;


typedef struct {
    ngx_str_t                    uri;        /* of the internal location;
                                                empty: no tokens here */

    ngx_ivschat_user_t          *user;

    ngx_array_t                 *rooms;      /* NULL or empty: none */
    ngx_http_complex_value_t    *room_name;
    ngx_array_t                 *capabilities;
    ngx_array_t                 *attributes;

    ngx_http_complex_value_t    *session_duration;
    ngx_http_complex_value_t    *region;
    ngx_str_t                    endpoint;
    ngx_uint_t                   methods;    /* NGX_HTTP_* bits */
    ngx_msec_t                   timeout;
    ngx_uint_t                   tries;
    ngx_flag_t                   client_body;
    ngx_array_t                 *client_attributes;  /* their names,
                                                        ngx_ivschat_str_t */
    ngx_flag_t                   require_tls;
    ngx_flag_t                   intercept_errors;
    ngx_uint_t                   refresh_spread;     /* percent, 0: off */

    ngx_ivschat_slot_t          *credentials;

    unsigned                     own_room_name:1;    /* not inherited */
    unsigned                     own_client_attributes:1;
} ngx_ivschat_loc_conf_t;


/* The key of the configuration and of contexts, defined by the module. */

extern ngx_module_t  ngx_http_ivschat_token_module;

#define ngx_ivschat_get_conf(r)                                               \
    ((ngx_ivschat_loc_conf_t *)                                               \
        ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module))

#define ngx_ivschat_get_main_conf(r)                                          \
    ((ngx_ivschat_main_conf_t *)                                              \
        ngx_http_get_module_main_conf(r, ngx_http_ivschat_token_module))


/* Directives that no stock slot fits. */

char *ngx_ivschat_methods(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_tries(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_refresh_spread(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Appends an item to a list of this level.  NULL is "none": it empties the
 * list, and is the only line of its level.
 */

char *ngx_ivschat_list(ngx_conf_t *cf, ngx_array_t **list, size_t size,
    void *item);

char *ngx_ivschat_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv);

/*
 * Compiles the only parameter of a directive that is allowed once at a level;
 * *cv is NGX_CONF_UNSET_PTR before.
 */

char *ngx_ivschat_once(ngx_conf_t *cf, ngx_http_complex_value_t **cv);

#define ngx_ivschat_literal(cv)   ((cv)->lengths == NULL)

/* Whether the value begins with "if="; what follows, compiled. */

ngx_uint_t ngx_ivschat_is_condition(ngx_str_t *value);
char *ngx_ivschat_condition(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **condition);

/* Whether a condition is known to hold, or not to hold, for all requests. */

ngx_uint_t ngx_ivschat_always(ngx_http_complex_value_t *condition);
ngx_uint_t ngx_ivschat_never(ngx_http_complex_value_t *condition);

/* Whether it holds: NGX_OK, NGX_DECLINED, or NGX_ERROR without memory. */

ngx_int_t ngx_ivschat_holds(ngx_http_request_t *r,
    ngx_http_complex_value_t *condition);

static ngx_inline ngx_uint_t
ngx_ivschat_equal(ngx_str_t *one, ngx_str_t *two)
{
    return one->len == two->len
           && ngx_memcmp(one->data, two->data, one->len) == 0;
}

/* A value that may come from the client, made safe for a log line. */

ngx_str_t ngx_ivschat_printable(ngx_http_request_t *r, ngx_str_t *value);


#endif /* _NGX_IVSCHAT_CONF_H_INCLUDED_ */
