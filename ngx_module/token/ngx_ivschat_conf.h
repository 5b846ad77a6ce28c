
/*
 * The configuration, and the directives that no slot of nginx fits.
 */


#ifndef _NGX_IVSCHAT_CONF_H_INCLUDED_
#define _NGX_IVSCHAT_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../aws/ngx_ivschat_sigv4.h"
#include "../creds/ngx_ivschat_creds.h"
#include "ngx_ivschat_line.h"
#include "ngx_ivschat_rate.h"


#if !(NGX_HTTP_SSL)
#error "ngx_http_ivschat_token_module needs nginx with http_ssl_module"
#endif


#define NGX_IVSCHAT_SERVICE   "ivschat"
#define NGX_IVSCHAT_PATH      "/CreateChatToken"


typedef struct {
    ngx_ivschat_creds_conf_t     creds;
    ngx_ivschat_rate_conf_t      rate;
    size_t                       zone_size;

    ngx_http_handler_pt          auth_basic; /* the access handler that is
                                                called by ours, or NULL */
    ngx_int_t                    remote_user;    /* index of the variable */

    ngx_ivschat_sigv4_cache_t    keys;       /* of this worker */
} ngx_ivschat_main_conf_t;


typedef struct ngx_ivschat_loc_conf_s  ngx_ivschat_loc_conf_t;

struct ngx_ivschat_loc_conf_s {
    ngx_str_t                    uri;        /* of the internal location;
                                                empty: no tokens here */

    ngx_ivschat_line_t          *user;

    /* ngx_ivschat_line_t; NULL or empty: none */
    ngx_array_t                 *rooms;
    ngx_array_t                 *capabilities;
    ngx_array_t                 *attributes;

    ngx_http_complex_value_t    *room_name;
    ngx_ivschat_line_t          *session_duration;
    ngx_ivschat_line_t          *region;
    ngx_str_t                    endpoint;
    unsigned                     methods;    /* NGX_HTTP_* bits */
    ngx_msec_t                   timeout;
    ngx_uint_t                   tries;
    ngx_flag_t                   client_body;
    ngx_array_t                 *client_attributes;  /* their names,
                                                        ngx_ivschat_str_t */
    ngx_flag_t                   require_tls;
    ngx_flag_t                   intercept_errors;
    ngx_uint_t                   refresh_spread;     /* percent, 0: off */

    ngx_ivschat_slot_t          *credentials;

    ngx_ivschat_loc_conf_t      *outer;
#if (NGX_PCRE)
    ngx_http_regex_t            *regex;      /* of this location */
#endif

    unsigned                     own_room_name:1;    /* not inherited */
    unsigned                     own_client_attributes:1;
};


/* The key of the configuration and of contexts, defined by the module. */

extern ngx_module_t  ngx_http_ivschat_token_module;

#define ngx_ivschat_get_conf(r)                                               \
    ((ngx_ivschat_loc_conf_t *)                                               \
        ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module))

#define ngx_ivschat_get_main_conf(r)                                          \
    ((ngx_ivschat_main_conf_t *)                                              \
        ngx_http_get_module_main_conf(r, ngx_http_ivschat_token_module))


/* Warns if clients can reach the location that "ivschat_token" names. */

void ngx_ivschat_check_internal(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf);

char *ngx_ivschat_methods(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_ivschat_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Numbers from 1 to "max", with the rule in the "post" field. */

typedef struct {
    ngx_int_t                    max;
    ngx_uint_t                   percent;    /* "%" and "off" are allowed */
    const char                  *fault;
} ngx_ivschat_number_rule_t;

extern ngx_ivschat_number_rule_t  ngx_ivschat_tries_rule;
extern ngx_ivschat_number_rule_t  ngx_ivschat_spread_rule;

char *ngx_ivschat_number_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_IVSCHAT_CONF_H_INCLUDED_ */
