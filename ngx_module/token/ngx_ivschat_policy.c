
#include "ngx_ivschat_policy.h"


#define NGX_IVSCHAT_MINUTES                                                   \
    "whole minutes from \"" ngx_ivschat_value(NGX_IVSCHAT_DURATION_MIN)       \
    "m\" to \"" ngx_ivschat_value(NGX_IVSCHAT_DURATION_MAX)                   \
    "m\" with a unit are expected"


static char *ngx_ivschat_parse_capabilities(ngx_conf_t *cf,
    ngx_array_t *above, ngx_ivschat_line_t *line);
static char *ngx_ivschat_parse_attribute(ngx_conf_t *cf, ngx_array_t *above,
    ngx_ivschat_line_t *line);
static const char *ngx_ivschat_check_text(ngx_str_t *value);
static const char *ngx_ivschat_check_duration(ngx_str_t *value);
static const char *ngx_ivschat_check_region(ngx_str_t *value);

#if (NGX_PCRE)
static char *ngx_ivschat_policy_check_captures(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf);
static char *ngx_ivschat_policy_check_regex(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf, ngx_http_regex_t *regex);
#endif
static char *ngx_ivschat_policy_check_attributes(ngx_conf_t *cf,
    ngx_array_t *lines);
static void ngx_ivschat_policy_check_region(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf);

static ngx_ivschat_result_e ngx_ivschat_policy_region(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_host(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_capabilities(
    ngx_http_request_t *r, ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_attributes(
    ngx_http_request_t *r, ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_lines(ngx_http_request_t *r,
    ngx_ivschat_request_t *request, ngx_ivschat_attribute_t *attrs);
static ngx_uint_t ngx_ivschat_has_attribute(ngx_ivschat_request_t *request,
    ngx_str_t *name);
static ngx_ivschat_result_e ngx_ivschat_attributes_fit(ngx_http_request_t *r,
    ngx_ivschat_request_t *request, ngx_uint_t level, const char *fmt);
static ngx_ivschat_result_e ngx_ivschat_policy_duration(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_body(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy);
static ngx_uint_t ngx_ivschat_minutes(ngx_str_t *value);


typedef ngx_ivschat_result_e (*ngx_ivschat_policy_pt)(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy);


/* After the room. */

static ngx_ivschat_policy_pt  ngx_ivschat_policy_steps[] = {
    ngx_ivschat_policy_region,
    ngx_ivschat_policy_host,
    ngx_ivschat_policy_capabilities,
    ngx_ivschat_policy_attributes,
    ngx_ivschat_policy_duration,
    ngx_ivschat_policy_body,
    NULL
};


ngx_ivschat_line_rule_t  ngx_ivschat_capabilities_rule = {
    .parse = ngx_ivschat_parse_capabilities
};

ngx_ivschat_line_rule_t  ngx_ivschat_attribute_rule = {
    .condition = 1,
    .check = ngx_ivschat_check_text,
    .parse = ngx_ivschat_parse_attribute
};

ngx_ivschat_line_rule_t  ngx_ivschat_duration_rule = {
    .check = ngx_ivschat_check_duration
};

ngx_ivschat_line_rule_t  ngx_ivschat_region_rule = {
    .check = ngx_ivschat_check_region
};


static char *
ngx_ivschat_parse_capabilities(ngx_conf_t *cf, ngx_array_t *above,
    ngx_ivschat_line_t *line)
{
    ngx_uint_t  last;

    if (ngx_ivschat_line_params(cf, 1, 1, line, &last) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_bits(cf, last, ngx_ivschat_capability,
                            "SEND_MESSAGE, DISCONNECT_USER or DELETE_MESSAGE "
                            "is expected", &line->bits);
}


static char *
ngx_ivschat_parse_attribute(ngx_conf_t *cf, ngx_array_t *above,
    ngx_ivschat_line_t *line)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {
        return ngx_ivschat_invalid(cf, &value[1],
                           "a name and a value, or \"none\", are expected");
    }

    line->name = value[1];

    if (ngx_ivschat_check_name(cf, &value[1], &value[1]) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_line(cf, 2, &ngx_ivschat_attribute_rule, line);
}


static const char *
ngx_ivschat_check_text(ngx_str_t *value)
{
    return ngx_ivschat_utf8_length(ngx_ivschat_pure(value)) < 0
           ? "it is not valid UTF-8" : NULL;
}


static const char *
ngx_ivschat_check_duration(ngx_str_t *value)
{
    return ngx_ivschat_minutes(value) ? NULL : NGX_IVSCHAT_MINUTES;
}


static const char *
ngx_ivschat_check_region(ngx_str_t *value)
{
    return ngx_ivschat_region_valid(ngx_ivschat_pure(value))
           ? NULL : "a region such as \"us-west-2\" is expected";
}


char *
ngx_ivschat_policy_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    if (conf->region && ngx_ivschat_literal(&conf->region->value)) {
        ngx_ivschat_policy_check_region(cf, conf);
    }

    if (conf->attributes
        && ngx_ivschat_policy_check_attributes(cf, conf->attributes)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

#if (NGX_PCRE)
    if (ngx_ivschat_policy_check_captures(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
#endif

    return ngx_ivschat_rooms_check(cf, conf);
}


#if (NGX_PCRE)

/*
 * A line may be inherited, so that named captures of locations and server
 * names, which the client writes too, are known only here.
 */

static char *
ngx_ivschat_policy_check_captures(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_uint_t                 i;
    ngx_http_server_name_t    *name;
    ngx_ivschat_loc_conf_t    *level;
    ngx_http_core_srv_conf_t  *cscf;

    for (level = conf; level; level = level->outer) {
        if (level->regex
            && ngx_ivschat_policy_check_regex(cf, conf, level->regex)
               != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    name = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {
        if (name[i].regex
            && ngx_ivschat_policy_check_regex(cf, conf, name[i].regex)
               != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_policy_check_regex(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf,
    ngx_http_regex_t *regex)
{
    ngx_uint_t           i, n;
    ngx_array_t         *lists[] = { conf->rooms, conf->capabilities,
                                     conf->attributes };
    ngx_ivschat_line_t  *lines[] = { conf->user, conf->session_duration,
                                     conf->region };

    for (i = 0; i < 3; i++) {

        if (lines[i]
            && ngx_ivschat_line_captures(cf, lines[i], regex) != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        for (n = 0; lists[i] && n < lists[i]->nelts; n++) {
            if (ngx_ivschat_line_captures(cf,
                                (ngx_ivschat_line_t *) lists[i]->elts + n,
                                regex)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }
        }
    }

    return NGX_CONF_OK;
}

#endif


/*
 * The lines that always apply must not have duplicate names, and together must
 * not exceed AWS's limit.
 */

static char *
ngx_ivschat_policy_check_attributes(ngx_conf_t *cf, ngx_array_t *lines)
{
    size_t               size, len;
    ngx_uint_t           i, j;
    ngx_ivschat_line_t  *attr;

    size = 0;
    attr = lines->elts;

    for (i = 0; i < lines->nelts; i++) {

        for (j = 0; j < i; j++) {
            if (ngx_ivschat_always(&attr[j])
                && ngx_ivschat_equal(&attr[j].name, &attr[i].name))
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "duplicate \"ivschat_token_attribute %V\": "
                                   "a line above always applies",
                                   &attr[i].name);
                return NGX_CONF_ERROR;
            }
        }

        if (!ngx_ivschat_literal(&attr[i].value)
            || attr[i].value.value.len == 0
            || ngx_ivschat_never(&attr[i]))
        {
            continue;
        }

        len = attr[i].name.len + attr[i].value.value.len;

        if (ngx_ivschat_always(&attr[i])) {
            size += len;

        } else if (len > NGX_IVSCHAT_ATTRIBUTES_MAX) {
            size = len;                /* too large if it applies */
            break;
        }
    }

    if (size > NGX_IVSCHAT_ATTRIBUTES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the \"ivschat_token_attribute\" lines have %uz "
                           "bytes of names and values, the limit is %d",
                           size, NGX_IVSCHAT_ATTRIBUTES_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* Another region than the room's is possible, but unusual. */

static void
ngx_ivschat_policy_check_region(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_str_t              *region, *room;
    ngx_uint_t              i;
    ngx_ivschat_line_t     *line;
    ngx_ivschat_room_arn_t  arn;

    region = &conf->region->value.value;
    line = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {

        room = &line[i].value.value;

        if (ngx_ivschat_room_arn_parse(ngx_ivschat_pure(room), &arn) == 0
            && !ngx_ivschat_str_equal(arn.region, ngx_ivschat_pure(region)))
        {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"ivschat_token_region %V\" is not the "
                               "region of the room \"%V\"", region, room);
        }
    }
}


ngx_ivschat_result_e
ngx_ivschat_policy_evaluate(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy)
{
    ngx_uint_t            i;
    ngx_ivschat_result_e  result;

    policy->asked = asked;

    result = ngx_ivschat_rooms_choose(r, asked->room, &policy->room);

    for (i = 0; result == NGX_IVSCHAT_OK && ngx_ivschat_policy_steps[i]; i++) {
        result = ngx_ivschat_policy_steps[i](r, policy);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ivschat token policy room:\"%V\" capabilities:\"%V\" "
                   "host:\"%V\"", &policy->room.arn, &policy->capabilities,
                   &policy->host);

    return result;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_region(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy)
{
    ngx_str_t                value;
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_ivschat_get_conf(r);

    if (conf->region == NULL) {
        policy->region = policy->room.region;
        return NGX_IVSCHAT_OK;
    }

    if (ngx_ivschat_line_value(r, conf->region, &value) != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (!ngx_ivschat_region_valid(ngx_ivschat_pure(&value))) {
        value = ngx_ivschat_printable(r, &value);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the value of \"ivschat_token_region\" is not a region: "
                      "\"%V\"", &value);

        return NGX_IVSCHAT_MISCONFIGURED;
    }

    policy->region = value;

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_host(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy)
{
    ngx_str_t          *host;
    ngx_ivschat_str_t   service = ngx_ivschat_string(NGX_IVSCHAT_SERVICE);

    host = &policy->host;

    *host = ngx_ivschat_get_conf(r)->endpoint;

    if (host->len) {
        return NGX_IVSCHAT_OK;
    }

    host->data = ngx_pnalloc(r->pool, NGX_IVSCHAT_HOST_MAX + 1);

    if (host->data == NULL
        || ngx_ivschat_host(service, ngx_ivschat_pure(&policy->region),
                            (char *) host->data, NGX_IVSCHAT_HOST_MAX + 1,
                            &host->len)
           != 0)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_capabilities(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy)
{
    ngx_int_t            rc;
    ngx_str_t            value, *text;
    ngx_uint_t           i;
    ngx_array_t         *lines;
    ngx_ivschat_line_t  *line;

    text = &policy->capabilities;
    lines = ngx_ivschat_get_conf(r)->capabilities;

    for (i = 0; lines && i < lines->nelts; i++) {

        line = (ngx_ivschat_line_t *) lines->elts + i;

        rc = ngx_ivschat_line_value(r, line, &value);

        if (rc == NGX_ERROR) {
            return NGX_IVSCHAT_UNKNOWN;
        }

        if (rc == NGX_OK) {
            policy->request.capabilities |= line->bits;
        }
    }

    policy->request.capabilities &= policy->asked->capabilities;

    text->data = ngx_pnalloc(r->pool, NGX_IVSCHAT_CAPABILITIES_LEN);
    if (text->data == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    text->len = ngx_ivschat_capabilities_text(policy->request.capabilities,
                                              (char *) text->data);

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_attributes(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy)
{
    size_t                    n;
    ngx_array_t              *lines;
    ngx_ivschat_result_e      result;
    ngx_ivschat_request_t    *request;
    ngx_ivschat_attribute_t  *attrs;

    request = &policy->request;
    lines = ngx_ivschat_get_conf(r)->attributes;

    n = policy->asked->nattributes + (lines ? lines->nelts : 0);

    attrs = ngx_palloc(r->pool, n * sizeof(ngx_ivschat_attribute_t) + 1);
    if (attrs == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    request->attributes = attrs;

    result = ngx_ivschat_policy_lines(r, request, attrs);

    if (result == NGX_IVSCHAT_OK) {
        result = ngx_ivschat_attributes_fit(r, request, NGX_LOG_ERR,
                     "the \"ivschat_token_attribute\" lines have %uz bytes "
                     "of names and values, the limit is %d");
    }

    if (result != NGX_IVSCHAT_OK) {
        return result;
    }

    request->nattributes = ngx_ivschat_body_attributes(policy->asked, attrs,
                                                       request->nattributes);

    return ngx_ivschat_attributes_fit(r, request, NGX_LOG_INFO,
                     "the attributes, with those of the client's body, have "
                     "%uz bytes of names and values, the limit is %d");
}


/* Of the lines with one name, the first one that sets a value applies. */

static ngx_ivschat_result_e
ngx_ivschat_policy_lines(ngx_http_request_t *r,
    ngx_ivschat_request_t *request, ngx_ivschat_attribute_t *attrs)
{
    ngx_int_t            rc;
    ngx_str_t            value;
    ngx_uint_t           i;
    ngx_array_t         *lines;
    ngx_ivschat_line_t  *line;

    lines = ngx_ivschat_get_conf(r)->attributes;

    for (i = 0; lines && i < lines->nelts; i++) {

        line = (ngx_ivschat_line_t *) lines->elts + i;

        if (ngx_ivschat_has_attribute(request, &line->name)) {
            continue;
        }

        rc = ngx_ivschat_line_value(r, line, &value);

        if (rc == NGX_ERROR) {
            return NGX_IVSCHAT_UNKNOWN;
        }

        if (rc == NGX_DECLINED || value.len == 0) {
            continue;
        }

        if (ngx_ivschat_check_text(&value) != NULL) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "the value of \"ivschat_token_attribute %V\" is "
                          "not valid UTF-8", &line->name);
            return NGX_IVSCHAT_INVALID_ATTRIBUTES;
        }

        attrs[request->nattributes].name = ngx_ivschat_pure(&line->name);
        attrs[request->nattributes].value = ngx_ivschat_pure(&value);
        request->nattributes++;
    }

    return NGX_IVSCHAT_OK;
}


static ngx_uint_t
ngx_ivschat_has_attribute(ngx_ivschat_request_t *request, ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < request->nattributes; i++) {
        if (ngx_ivschat_str_equal(request->attributes[i].name,
                                  ngx_ivschat_pure(name)))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_ivschat_result_e
ngx_ivschat_attributes_fit(ngx_http_request_t *r,
    ngx_ivschat_request_t *request, ngx_uint_t level, const char *fmt)
{
    size_t  i, size;

    size = 0;

    for (i = 0; i < request->nattributes; i++) {
        size += request->attributes[i].name.len
                + request->attributes[i].value.len;
    }

    if (size <= NGX_IVSCHAT_ATTRIBUTES_MAX) {
        return NGX_IVSCHAT_OK;
    }

    ngx_log_error(level, r->connection->log, 0, fmt, size,
                  NGX_IVSCHAT_ATTRIBUTES_MAX);

    return NGX_IVSCHAT_INVALID_ATTRIBUTES;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_duration(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy)
{
    ngx_str_t            value;
    ngx_uint_t           minutes;
    ngx_ivschat_line_t  *line;

    ngx_str_null(&value);

    line = ngx_ivschat_get_conf(r)->session_duration;

    if (line && ngx_ivschat_line_value(r, line, &value) != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    minutes = ngx_ivschat_minutes(&value);

    if (minutes == 0 && value.len) {
        value = ngx_ivschat_printable(r, &value);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "invalid value \"%V\" of "
                      "\"ivschat_token_session_duration\": "
                      NGX_IVSCHAT_MINUTES, &value);

        return NGX_IVSCHAT_MISCONFIGURED;
    }

    policy->request.duration = ngx_ivschat_body_duration(policy->asked,
                                                          minutes);

    return NGX_IVSCHAT_OK;
}


/* All attempts send the same bytes: they are written and hashed once. */

static ngx_ivschat_result_e
ngx_ivschat_policy_body(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy)
{
    char       *json;
    ngx_str_t  *body;

    body = &policy->body;

    policy->request.user = ngx_ivschat_pure(&policy->user);
    policy->request.room = ngx_ivschat_pure(&policy->room.arn);

    if (ngx_ivschat_request_json(&policy->request, &json, &body->len) != 0) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    body->data = ngx_pnalloc(r->pool, body->len);

    if (body->data) {
        ngx_memcpy(body->data, json, body->len);
    }

    free(json);

    if (body->data == NULL
        || ngx_ivschat_sigv4_hash(body->data, body->len, policy->body_hash)
           != 0)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    return NGX_IVSCHAT_OK;
}


/* Returns 0 if the value is not a duration with a unit, within AWS's limits. */

static ngx_uint_t
ngx_ivschat_minutes(ngx_str_t *value)
{
    u_char     last;
    ngx_int_t  sec;

    last = value->len ? value->data[value->len - 1] : '0';

    if (last >= '0' && last <= '9') {
        return 0;
    }

    sec = ngx_parse_time(value, 1);

    if (sec == NGX_ERROR || sec % 60 != 0
        || sec < NGX_IVSCHAT_DURATION_MIN * 60
        || sec > NGX_IVSCHAT_DURATION_MAX * 60)
    {
        return 0;
    }

    return sec / 60;
}
