
/*
 * The policy: who gets into which room, with which capabilities and
 * attributes, for how long.  It is evaluated once for a request, in this
 * order, and each step sees the variables of those before it.  A client's
 * body, where one is accepted, is read between the user and the room; it can
 * make less of what is granted, and never more.
 */


#include "ngx_ivschat_policy.h"


typedef struct {
    ngx_uint_t                   bits;
    ngx_http_complex_value_t    *condition;
} ngx_ivschat_capabilities_t;


typedef struct {
    ngx_str_t                    name;
    ngx_http_complex_value_t     value;
    ngx_http_complex_value_t    *condition;
} ngx_ivschat_attribute_conf_t;


static char *ngx_ivschat_check_attributes(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf);
static char *ngx_ivschat_check_region(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf);
static ngx_ivschat_result_e ngx_ivschat_policy_room(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_host(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_capabilities(
    ngx_http_request_t *r, const ngx_ivschat_body_t *asked,
    ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_attributes(
    ngx_http_request_t *r, const ngx_ivschat_body_t *asked,
    ngx_ivschat_policy_t *policy);
static size_t ngx_ivschat_attributes_size(ngx_ivschat_request_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_lines(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy, ngx_ivschat_attribute_t *attrs);
static ngx_ivschat_result_e ngx_ivschat_policy_attribute(ngx_http_request_t *r,
    ngx_ivschat_attribute_conf_t *line, ngx_ivschat_attribute_t *attr);
static ngx_uint_t ngx_ivschat_has_attribute(ngx_ivschat_request_t *policy,
    ngx_str_t *name);
static ngx_ivschat_result_e ngx_ivschat_policy_duration(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_body(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy);
static ngx_uint_t ngx_ivschat_minutes(ngx_str_t *value);


typedef ngx_ivschat_result_e (*ngx_ivschat_policy_pt)(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy);


static ngx_ivschat_policy_pt  ngx_ivschat_policy_steps[] = {
    ngx_ivschat_policy_room,
    ngx_ivschat_policy_host,
    ngx_ivschat_policy_capabilities,
    ngx_ivschat_policy_attributes,
    ngx_ivschat_policy_duration,
    ngx_ivschat_policy_body,
    NULL
};


char *
ngx_ivschat_capabilities(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t                  *value;
    ngx_uint_t                  i, bit;
    ngx_ivschat_capabilities_t  caps;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "none") == 0) {
        return ngx_ivschat_list(cf, &ilcf->capabilities, sizeof(caps), NULL);
    }

    ngx_memzero(&caps, sizeof(ngx_ivschat_capabilities_t));

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_ivschat_is_condition(&value[i])) {

            if (i != cf->args->nelts - 1 || i == 1) {
                return ngx_ivschat_invalid(cf, &value[i],
                                 "it stands last, after the capabilities");
            }

            if (ngx_ivschat_condition(cf, &value[i],
                                      &caps.condition)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

            break;
        }

        bit = ngx_ivschat_capability(ngx_ivschat_pure(&value[i]));

        if (bit == 0) {
            return ngx_ivschat_invalid(cf, &value[i],
                                       "the capabilities are SEND_MESSAGE, "
                                       "DISCONNECT_USER and DELETE_MESSAGE");
        }

        if (caps.bits & bit) {
            return ngx_ivschat_invalid(cf, &value[i], "it is there twice");
        }

        caps.bits |= bit;
    }

    return ngx_ivschat_list(cf, &ilcf->capabilities, sizeof(caps), &caps);
}


char *
ngx_ivschat_attribute(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t                    *value;
    ngx_ivschat_attribute_conf_t  attr;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "none") == 0) {
            return ngx_ivschat_list(cf, &ilcf->attributes, sizeof(attr), NULL);
        }

        return ngx_ivschat_invalid(cf, &value[1],
                           "a name and a value are needed, or \"none\"");
    }

    ngx_memzero(&attr, sizeof(ngx_ivschat_attribute_conf_t));

    attr.name = value[1];

    if (attr.name.len == 0
        || ngx_ivschat_utf8_length(ngx_ivschat_pure(&attr.name)) < 0)
    {
        return ngx_ivschat_invalid(cf, &value[1],
                        "an attribute's name is UTF-8 and not empty");
    }

    if (ngx_strlchr(attr.name.data, attr.name.data + attr.name.len, '$')) {
        return ngx_ivschat_invalid(cf, &value[1],
                        "no variables are allowed in an attribute's name");
    }

    if (ngx_ivschat_is_condition(&value[2])) {
        return ngx_ivschat_invalid(cf, &value[2],
                                   "the attribute's value comes before it");
    }

    if (ngx_ivschat_compile(cf, &value[2], &attr.value) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_ivschat_literal(&attr.value)
        && ngx_ivschat_utf8_length(ngx_ivschat_pure(&value[2])) < 0)
    {
        return ngx_ivschat_invalid(cf, &value[2], "it is not UTF-8");
    }

    if (cf->args->nelts == 4
        && ngx_ivschat_condition(cf, &value[3], &attr.condition)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_list(cf, &ilcf->attributes, sizeof(attr), &attr);
}


char *
ngx_ivschat_session_duration(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rc;
    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    value = cf->args->elts;
    cv = (ngx_http_complex_value_t **) ((char *) conf + cmd->offset);

    rc = ngx_ivschat_once(cf, cv);

    if (rc != NGX_CONF_OK) {
        return rc;
    }

    if (ngx_ivschat_literal(*cv) && ngx_ivschat_minutes(&value[1]) == 0) {
        return ngx_ivschat_invalid(cf, &value[1],
                       "whole minutes from \"1m\" to \"180m\" are needed, "
                                   "with a unit");
    }

    return NGX_CONF_OK;
}


char *
ngx_ivschat_region(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rc;
    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    value = cf->args->elts;
    cv = (ngx_http_complex_value_t **) ((char *) conf + cmd->offset);

    rc = ngx_ivschat_once(cf, cv);

    if (rc != NGX_CONF_OK) {
        return rc;
    }

    if (ngx_ivschat_literal(*cv)
        && !ngx_ivschat_region_valid(ngx_ivschat_pure(&value[1])))
    {
        return ngx_ivschat_invalid(cf, &value[1],
                               "it is no region's name like \"us-west-2\"");
    }

    return NGX_CONF_OK;
}


char *
ngx_ivschat_policy_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    if (ngx_ivschat_rooms_check(cf, conf) != NGX_CONF_OK
        || ngx_ivschat_check_attributes(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_check_region(cf, conf);
}


/*
 * Of the lines that always count, no name may be there twice, and together
 * they must not exceed what AWS takes.
 */

static char *
ngx_ivschat_check_attributes(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    size_t                         size, len;
    ngx_uint_t                     i, j;
    ngx_ivschat_attribute_conf_t  *attr;

    if (conf->attributes == NULL) {
        return NGX_CONF_OK;
    }

    size = 0;
    attr = conf->attributes->elts;

    for (i = 0; i < conf->attributes->nelts; i++) {

        for (j = 0; j < i; j++) {
            if (ngx_ivschat_always(attr[j].condition)
                && attr[j].name.len == attr[i].name.len
                && ngx_memcmp(attr[j].name.data, attr[i].name.data,
                              attr[i].name.len) == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"ivschat_token_attribute %V\" is "
                                   "duplicate: the line above it always "
                                   "counts", &attr[i].name);
                return NGX_CONF_ERROR;
            }
        }

        if (!ngx_ivschat_literal(&attr[i].value)
            || attr[i].value.value.len == 0)
        {
            continue;
        }

        len = attr[i].name.len + attr[i].value.value.len;

        if (ngx_ivschat_always(attr[i].condition)) {
            size += len;

        } else if (len > NGX_IVSCHAT_ATTRIBUTES_MAX
                   && !ngx_ivschat_never(attr[i].condition))
        {
            size = len;                /* too large whenever it counts */
            break;
        }
    }

    if (size > NGX_IVSCHAT_ATTRIBUTES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the \"ivschat_token_attribute\" lines have %uz "
                           "bytes of names and values, and %d are allowed",
                           size, NGX_IVSCHAT_ATTRIBUTES_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* AWS signs for the room's own region; another one is possible, but odd. */

static char *
ngx_ivschat_check_region(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_str_t              *region;
    ngx_uint_t              i;
    ngx_ivschat_room_t     *room;
    ngx_ivschat_room_arn_t  arn;

    if (conf->region == NULL || !ngx_ivschat_literal(conf->region))
    {
        return NGX_CONF_OK;
    }

    region = &conf->region->value;
    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {

        if (ngx_ivschat_room_arn_parse(
                        ngx_ivschat_pure(&room[i].value.value), &arn)
            != 0)
        {
            continue;
        }

        if (arn.region.len != region->len
            || ngx_memcmp(arn.region.data, region->data, region->len) != 0)
        {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"ivschat_token_region %V\" is not the "
                               "region of the room \"%V\"",
                               region, &room[i].value.value);
        }
    }

    return NGX_CONF_OK;
}


ngx_ivschat_result_e
ngx_ivschat_policy_evaluate(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy)
{
    ngx_uint_t            i;
    ngx_ivschat_result_e  result;

    for (i = 0; ngx_ivschat_policy_steps[i]; i++) {
        result = ngx_ivschat_policy_steps[i](r, asked, policy);

        if (result != NGX_IVSCHAT_OK) {
            return result;
        }
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ivschat token policy room:\"%V\" capabilities:\"%V\" "
                   "host:\"%V\"", &policy->room.arn, &policy->capabilities,
                   &policy->host);

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_room(ngx_http_request_t *r, const ngx_ivschat_body_t *asked,
    ngx_ivschat_policy_t *policy)
{
    return ngx_ivschat_rooms_choose(r, asked->room, &policy->room);
}


static ngx_ivschat_result_e
ngx_ivschat_policy_host(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy)
{
    size_t     len;
    ngx_str_t  value;
    ngx_ivschat_str_t   service = ngx_ivschat_string(NGX_IVSCHAT_SERVICE);
    ngx_ivschat_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    policy->region = policy->room.region;

    if (conf->region) {

        if (ngx_http_complex_value(r, conf->region, &value) != NGX_OK) {
            return NGX_IVSCHAT_UNKNOWN;
        }

        if (!ngx_ivschat_region_valid(ngx_ivschat_pure(&value))) {
            value = ngx_ivschat_printable(r, &value);

            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "the value of \"ivschat_token_region\" is no "
                          "region's name: \"%V\"", &value);

            return NGX_IVSCHAT_MISCONFIGURED;
        }

        policy->region = value;
    }

    if (conf->endpoint.len) {
        policy->host = conf->endpoint;
        return NGX_IVSCHAT_OK;
    }

    policy->host.data = ngx_pnalloc(r->pool, NGX_IVSCHAT_HOST_MAX + 1);
    if (policy->host.data == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (ngx_ivschat_host(service, ngx_ivschat_pure(&policy->region),
                         (char *) policy->host.data, NGX_IVSCHAT_HOST_MAX + 1,
                         &len)
        != 0)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    policy->host.len = len;

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_capabilities(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_array_t                 *lines;
    ngx_ivschat_capabilities_t  *line;
    ngx_ivschat_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    lines = conf->capabilities;

    if (lines) {
        line = lines->elts;

        for (i = 0; i < lines->nelts; i++) {

            rc = ngx_ivschat_holds(r, line[i].condition);

            if (rc == NGX_ERROR) {
                return NGX_IVSCHAT_UNKNOWN;
            }

            if (rc == NGX_OK) {
                policy->request.capabilities |= line[i].bits;
            }
        }
    }

    policy->request.capabilities &= asked->capabilities;

    policy->capabilities.data = ngx_pnalloc(r->pool,
                                         NGX_IVSCHAT_CAPABILITIES_LEN);
    if (policy->capabilities.data == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    policy->capabilities.len = ngx_ivschat_capabilities_text(
                                          policy->request.capabilities,
                                          (char *) policy->capabilities.data);

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_attributes(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy)
{
    size_t                    size;
    ngx_uint_t                n;
    ngx_ivschat_result_e      result;
    ngx_ivschat_attribute_t  *attrs;
    ngx_ivschat_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    n = asked->nattributes
        + (conf->attributes ? conf->attributes->nelts : 0);

    if (n == 0) {
        return NGX_IVSCHAT_OK;
    }

    attrs = ngx_palloc(r->pool, n * sizeof(ngx_ivschat_attribute_t));
    if (attrs == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    policy->request.attributes = attrs;

    result = ngx_ivschat_policy_lines(r, policy, attrs);

    if (result != NGX_IVSCHAT_OK) {
        return result;
    }

    size = ngx_ivschat_attributes_size(&policy->request);

    if (size > NGX_IVSCHAT_ATTRIBUTES_MAX) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the values of \"ivschat_token_attribute\" have %uz "
                      "bytes with their names, and AWS takes %d",
                      size, NGX_IVSCHAT_ATTRIBUTES_MAX);
        return NGX_IVSCHAT_INVALID_ATTRIBUTES;
    }

    policy->request.nattributes = ngx_ivschat_body_attributes(asked, attrs,
                                                   policy->request.nattributes);

    size = ngx_ivschat_attributes_size(&policy->request);

    if (size > NGX_IVSCHAT_ATTRIBUTES_MAX) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the attributes have %uz bytes with those of the "
                      "client's body, and AWS takes %d",
                      size, NGX_IVSCHAT_ATTRIBUTES_MAX);
        return NGX_IVSCHAT_INVALID_ATTRIBUTES;
    }

    return NGX_IVSCHAT_OK;
}


static size_t
ngx_ivschat_attributes_size(ngx_ivschat_request_t *policy)
{
    size_t  i, size;

    size = 0;

    for (i = 0; i < policy->nattributes; i++) {
        size += policy->attributes[i].name.len
                + policy->attributes[i].value.len;
    }

    return size;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_lines(ngx_http_request_t *r,
    ngx_ivschat_policy_t *policy, ngx_ivschat_attribute_t *attrs)
{
    ngx_uint_t                     i;
    ngx_array_t                   *lines;
    ngx_ivschat_result_e           result;
    ngx_ivschat_attribute_t       *attr;
    ngx_ivschat_attribute_conf_t  *line;
    ngx_ivschat_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    lines = conf->attributes;

    if (lines == NULL) {
        return NGX_IVSCHAT_OK;
    }

    line = lines->elts;

    for (i = 0; i < lines->nelts; i++) {

        if (ngx_ivschat_has_attribute(&policy->request, &line[i].name)) {
            continue;
        }

        attr = &attrs[policy->request.nattributes];

        result = ngx_ivschat_policy_attribute(r, &line[i], attr);

        if (result != NGX_IVSCHAT_OK) {
            return result;
        }

        if (attr->value.len) {
            policy->request.nattributes++;
        }
    }

    return NGX_IVSCHAT_OK;
}


/* An empty value means that this line adds nothing. */

static ngx_ivschat_result_e
ngx_ivschat_policy_attribute(ngx_http_request_t *r,
    ngx_ivschat_attribute_conf_t *line, ngx_ivschat_attribute_t *attr)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    attr->value.len = 0;

    rc = ngx_ivschat_holds(r, line->condition);

    if (rc == NGX_ERROR) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (rc == NGX_DECLINED) {
        return NGX_IVSCHAT_OK;
    }

    if (ngx_http_complex_value(r, &line->value, &value) != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (ngx_ivschat_utf8_length(ngx_ivschat_pure(&value)) < 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the value of \"ivschat_token_attribute %V\" is not "
                      "UTF-8", &line->name);
        return NGX_IVSCHAT_INVALID_ATTRIBUTES;
    }

    attr->name = ngx_ivschat_pure(&line->name);
    attr->value = ngx_ivschat_pure(&value);

    return NGX_IVSCHAT_OK;
}


static ngx_uint_t
ngx_ivschat_has_attribute(ngx_ivschat_request_t *policy, ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < policy->nattributes; i++) {
        if (policy->attributes[i].name.len == name->len
            && ngx_memcmp(policy->attributes[i].name.data, name->data,
                          name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_duration(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy)
{
    ngx_str_t  value;
    ngx_ivschat_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    ngx_str_null(&value);

    if (conf->session_duration
        && ngx_http_complex_value(r, conf->session_duration, &value)
        != NGX_OK)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    policy->request.duration = ngx_ivschat_minutes(&value);

    if (policy->request.duration == 0 && value.len) {
        value = ngx_ivschat_printable(r, &value);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the value of \"ivschat_token_session_duration\" is "
                      "\"%V\", and whole minutes from \"1m\" to \"180m\" "
                      "are needed, with a unit", &value);

        return NGX_IVSCHAT_MISCONFIGURED;
    }

    policy->request.duration = ngx_ivschat_body_duration(asked,
                                                  policy->request.duration);

    return NGX_IVSCHAT_OK;
}


/* Every attempt sends the same bytes, so they are written and hashed once. */

static ngx_ivschat_result_e
ngx_ivschat_policy_body(ngx_http_request_t *r,
    const ngx_ivschat_body_t *asked, ngx_ivschat_policy_t *policy)
{
    char   *json;
    size_t  len;

    policy->request.user = ngx_ivschat_pure(&policy->user);
    policy->request.room = ngx_ivschat_pure(&policy->room.arn);

    if (ngx_ivschat_request_json(&policy->request, &json, &len) != 0) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    policy->body.data = ngx_pnalloc(r->pool, len);

    if (policy->body.data) {
        ngx_memcpy(policy->body.data, json, len);
        policy->body.len = len;
    }

    free(json);

    if (policy->body.data == NULL
        || ngx_ivschat_sigv4_hash(policy->body.data, policy->body.len,
                                  policy->body_hash)
        != 0)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    return NGX_IVSCHAT_OK;
}


static ngx_uint_t
ngx_ivschat_minutes(ngx_str_t *value)
{
    u_char     last;
    ngx_int_t  sec;

    if (value->len == 0) {
        return 0;
    }

    last = value->data[value->len - 1];

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
