
#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_api.h"


static ngx_http_core_loc_conf_t *ngx_ivschat_find_location(
    ngx_http_core_loc_conf_t *outer, ngx_str_t *uri, ngx_uint_t *unknown);
static unsigned ngx_ivschat_method(ngx_ivschat_str_t name);


ngx_ivschat_number_rule_t  ngx_ivschat_tries_rule = {
    10, 0, "a number from 1 to 10 is expected"
};

ngx_ivschat_number_rule_t  ngx_ivschat_spread_rule = {
    90, 1, "\"off\" or 1% to 90% is expected"
};


void
ngx_ivschat_check_internal(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_uint_t                 unknown;
    ngx_http_core_srv_conf_t  *cscf;
    ngx_http_core_loc_conf_t  *clcf, *target;

    unknown = 0;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    target = ngx_ivschat_find_location(
                  cscf->ctx->loc_conf[ngx_http_core_module.ctx_index],
                  &conf->uri, &unknown);

    if (target && !unknown && target->internal != 1) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "location \"%V\", to which \"ivschat_token\" in "
                           "location \"%V\" passes requests, is not "
                           "\"internal\": clients can send requests of their "
                           "own through it", &target->name, &clcf->name);
    }
}


/*
 * The exact location, or that of the longest prefix; *unknown is set if a
 * regular expression may match instead.
 */

static ngx_http_core_loc_conf_t *
ngx_ivschat_find_location(ngx_http_core_loc_conf_t *outer, ngx_str_t *uri,
    ngx_uint_t *unknown)
{
    ngx_uint_t                  regex;
    ngx_queue_t                *q;
    ngx_http_core_loc_conf_t   *clcf, *found, *nested;
    ngx_http_location_queue_t  *lq;

    if (outer->locations == NULL) {
        return NULL;
    }

    regex = 0;
    found = NULL;

    for (q = ngx_queue_head(outer->locations);
         q != ngx_queue_sentinel(outer->locations);
         q = ngx_queue_next(q))
    {
        lq = (ngx_http_location_queue_t *) q;
        clcf = lq->exact ? lq->exact : lq->inclusive;

        if (clcf->exact_match) {
            if (ngx_ivschat_equal(&clcf->name, uri)) {
                return clcf;
            }

        } else if (lq->exact) {
            regex |= !clcf->named && !clcf->noname;

        } else if (clcf->name.len <= uri->len
                   && ngx_strncmp(clcf->name.data, uri->data, clcf->name.len)
                      == 0
                   && (found == NULL || clcf->name.len > found->name.len))
        {
            found = clcf;
        }
    }

    nested = found ? ngx_ivschat_find_location(found, uri, unknown) : NULL;

    if (nested && nested->exact_match) {
        return nested;
    }

    *unknown |= regex && !(found && found->noregex);

    return nested ? nested : found;
}


char *
ngx_ivschat_methods(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    if (ilcf->methods) {
        return "is duplicate";
    }

    return ngx_ivschat_bits(cf, cf->args->nelts - 1, ngx_ivschat_method,
                             "POST or GET is expected", &ilcf->methods);
}


static unsigned
ngx_ivschat_method(ngx_ivschat_str_t name)
{
    return ngx_ivschat_str_is(name, "POST") ? NGX_HTTP_POST
           : ngx_ivschat_str_is(name, "GET") ? NGX_HTTP_GET : 0;
}


char *
ngx_ivschat_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_url_t   u;
    ngx_str_t  *value;

    if (ilcf->endpoint.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strstr(value[1].data, "://")) {
        return ngx_ivschat_invalid(cf, &value[1],
                   "a host without a scheme is expected");
    }

    if (!ngx_ivschat_str_only(ngx_ivschat_pure(&value[1]),
                              NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS ".-:[]"))
    {
        return ngx_ivschat_invalid(cf, &value[1],
                         "a host with an optional port is expected");
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = 443;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.host.len == 0
        || u.host.len > NGX_IVSCHAT_HOST_MAX)
    {
        return ngx_ivschat_invalid(cf, &value[1],
                                   u.err ? u.err : "invalid host");
    }

    /* nginx leaves the default port out of the Host header, too */

    ilcf->endpoint.data = value[1].data;
    ilcf->endpoint.len = (u.port == 443) ? u.host.len : value[1].len;

    ngx_strlow(ilcf->endpoint.data, value[1].data, ilcf->endpoint.len);

    return NGX_CONF_OK;
}


char *
ngx_ivschat_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value;

    if (ilcf->timeout != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR || ms == 0) {
        return ngx_ivschat_invalid(cf, &value[1],
                                   ms ? "invalid time"
                                      : "the time must not be zero");
    }

    ilcf->timeout = ms;

    return NGX_CONF_OK;
}


char *
ngx_ivschat_number_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                   n;
    ngx_str_t                  *value, text;
    ngx_uint_t                 *number;
    ngx_ivschat_number_rule_t  *rule;

    rule = cmd->post;
    number = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*number != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    text = value[1];

    if (rule->percent && ngx_strcmp(text.data, "off") == 0) {
        *number = 0;
        return NGX_CONF_OK;
    }

    if (rule->percent && text.len && text.data[text.len - 1] == '%') {
        text.len--;
    }

    n = ngx_atoi(text.data, text.len);

    if (n < 1 || n > rule->max) {
        return ngx_ivschat_invalid(cf, &value[1], rule->fault);
    }

    *number = n;

    return NGX_CONF_OK;
}
