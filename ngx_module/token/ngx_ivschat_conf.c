
#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_api.h"


static unsigned ngx_ivschat_method(ngx_ivschat_str_t name);


ngx_ivschat_number_rule_t  ngx_ivschat_tries_rule = {
    10, 0, "1 to 10 attempts are possible"
};

ngx_ivschat_number_rule_t  ngx_ivschat_spread_rule = {
    90, 1, "\"off\", or 1% to 90%, is needed"
};


char *
ngx_ivschat_methods(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    if (ilcf->methods) {
        return "is duplicate";
    }

    return ngx_ivschat_bits(cf, cf->args->nelts - 1, ngx_ivschat_method,
                             "it must be POST or GET", &ilcf->methods);
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
                   "a host without a scheme is needed, it is always https");
    }

    if (!ngx_ivschat_str_only(ngx_ivschat_pure(&value[1]),
                              NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS ".-:[]"))
    {
        return ngx_ivschat_invalid(cf, &value[1],
                         "only a host and perhaps a port are allowed here");
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = 443;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.host.len == 0
        || u.host.len > NGX_IVSCHAT_HOST_MAX)
    {
        return ngx_ivschat_invalid(cf, &value[1],
                                   u.err ? u.err : "it is no host");
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
                                   ms ? "it is no time like \"5s\""
                                      : "no answer could come in time");
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
