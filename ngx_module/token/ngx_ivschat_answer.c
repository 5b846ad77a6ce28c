
#include "ngx_ivschat_answer.h"


#define NGX_IVSCHAT_SPREAD_LEAST   600000   /* milliseconds */


static ngx_ivschat_result_e ngx_ivschat_nginx_error(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s);
static ngx_ivschat_result_e ngx_ivschat_no_answer(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_str_t *host);
static ngx_ivschat_result_e ngx_ivschat_not_whole(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s);
static ngx_ivschat_result_e ngx_ivschat_parse(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_str_t *json);
static void ngx_ivschat_spread(ngx_http_request_t *r,
    ngx_ivschat_token_t *token);
static ngx_ivschat_result_e ngx_ivschat_aws_error(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_ivschat_policy_t *policy,
    ngx_ivschat_error_t *error);
static const char *ngx_ivschat_aws_message(const char *message,
    ngx_ivschat_request_t *request);
static ngx_uint_t ngx_ivschat_quotes(const char *message,
    const ngx_ivschat_str_t *value);
static ngx_uint_t ngx_ivschat_sent_as_signed(ngx_ivschat_subrequest_t *s,
    ngx_str_t *host);


ngx_ivschat_result_e
ngx_ivschat_answer_check(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_ivschat_policy_t *policy, ngx_ivschat_answer_t *answer)
{
    if (!s->upstream) {
        return ngx_ivschat_nginx_error(r, s);
    }

    if (s->aws_status == 0) {
        return ngx_ivschat_no_answer(r, s, &policy->host);
    }

    if (!ngx_ivschat_answer_from_aws(r, s)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the answer is dropped, since it did not come over "
                      "TLS with a verified certificate: location \"%V\" "
                      "needs \"proxy_pass https://…\" and "
                      "\"proxy_ssl_verify on\", which \"include "
                      "ivschat_params\" has, and no other location may use "
                      "its upstream without them",
                      &ngx_ivschat_get_conf(r)->uri);
        return NGX_IVSCHAT_REJECTED;
    }

    if (s->aws_status != NGX_HTTP_OK) {
        return ngx_ivschat_aws_error(r, s, policy, &answer->error);
    }

    if (s->rc != NGX_OK || !s->whole || s->big_body) {
        return ngx_ivschat_not_whole(r, s);
    }

    return ngx_ivschat_parse(r, s, &answer->json);
}


ngx_uint_t
ngx_ivschat_answer_from_aws(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s)
{
    return s->aws_status != 0
           && (s->tls || !ngx_ivschat_get_conf(r)->require_tls);
}


/* The internal location has not asked anyone. */

static ngx_ivschat_result_e
ngx_ivschat_nginx_error(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s)
{
    ngx_str_t   *uri;
    ngx_uint_t   status;

    status = s->status;
    uri = &ngx_ivschat_get_conf(r)->uri;

    if (status == NGX_HTTP_TOO_MANY_REQUESTS
        || status == NGX_HTTP_SERVICE_UNAVAILABLE)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "location \"%V\" answered %ui itself, so its limits "
                      "keep the request from AWS", uri, status);
        return NGX_IVSCHAT_THROTTLED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the request was not passed to AWS, nginx answered %ui "
                  "itself: \"ivschat_token %V\" needs a location \"%V\" "
                  "with \"proxy_pass https://$ivschat_token_host"
                  NGX_IVSCHAT_PATH "\"", status, uri, uri);

    return NGX_IVSCHAT_MISCONFIGURED;
}


/* Nobody has answered; nginx itself has logged why. */

static ngx_ivschat_result_e
ngx_ivschat_no_answer(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_str_t *host)
{
    ngx_str_t   *uri;
    ngx_uint_t   status;

    status = s->status;
    uri = &ngx_ivschat_get_conf(r)->uri;

    if (s->big_header) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the head of AWS's answer does not fit: raise "
                      "\"proxy_buffer_size\" in location \"%V\"", uri);
        return NGX_IVSCHAT_BAD_RESPONSE;
    }

    if (s->not_http) {

        /* nginx takes it for HTTP/0.9 */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "what answers at \"%V\" does not speak HTTP/1", host);
        return NGX_IVSCHAT_BAD_RESPONSE;
    }

    if (s->unresolved) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "there is no \"upstream %V\" block, and no "
                      "\"resolver\" to look the name up: add one of them",
                      host);
        return NGX_IVSCHAT_MISCONFIGURED;
    }

    if (s->no_socket) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no connection to AWS at \"%V\" could be opened: the "
                      "worker has none left (\"worker_connections\", "
                      "\"worker_rlimit_nofile\"), or no memory", host);
        return NGX_IVSCHAT_UNAVAILABLE;
    }

    if (s->unverified) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "AWS at \"%V\" could not be reached; another location "
                      "uses the same upstream without a verified "
                      "certificate, and its TLS sessions fail here: add "
                      "\"include ivschat_params\" there, and "
                      "\"proxy_ssl_session_reuse off\" to location \"%V\"",
                      host, uri);
        return NGX_IVSCHAT_UNAVAILABLE;
    }

    if (status == NGX_HTTP_GATEWAY_TIME_OUT && s->connected) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "AWS at \"%V\" was silent for too long", host);
        return NGX_IVSCHAT_TIMEOUT;
    }

    if (status == NGX_HTTP_BAD_GATEWAY
        || status == NGX_HTTP_GATEWAY_TIME_OUT)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "AWS at \"%V\" could not be reached, or broke the "
                      "connection off", host);
        return NGX_IVSCHAT_UNAVAILABLE;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the request was not passed to AWS, nginx answered %ui "
                  "itself: correct the \"proxy_pass\" of location \"%V\"",
                  status, uri);

    return NGX_IVSCHAT_MISCONFIGURED;
}


/* The status came, but its body did not come, or did not fit. */

static ngx_ivschat_result_e
ngx_ivschat_not_whole(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s)
{
    if (s->big_body) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "AWS's answer does not fit: if it should, raise "
                      "\"subrequest_output_buffer_size\" in location \"%V\" "
                      "(request id \"%V\")",
                      &ngx_ivschat_get_conf(r)->uri, &s->request_id);
        return NGX_IVSCHAT_BAD_RESPONSE;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "AWS's answer broke off (request id \"%V\")",
                  &s->request_id);

    return NGX_IVSCHAT_UNAVAILABLE;
}


static ngx_ivschat_result_e
ngx_ivschat_parse(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_str_t *json)
{
    char                 *text;
    size_t                len;
    const char           *reason;
    ngx_ivschat_token_t   token;

    if (ngx_ivschat_token_parse((const char *) s->body.data, s->body.len,
                                &token, &reason)
        != 0)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "AWS's answer is not the one of CreateChatToken: %s "
                      "(request id \"%V\")",
                      reason, &s->request_id);
        return NGX_IVSCHAT_BAD_RESPONSE;
    }

    ngx_ivschat_spread(r, &token);

    if (ngx_ivschat_token_json(&token, &text, &len) == 0) {

        json->data = ngx_pnalloc(r->pool, len);

        if (json->data) {
            ngx_memcpy(json->data, text, len);
            json->len = len;
        }

        ngx_explicit_memzero(text, len);
        free(text);
    }

    ngx_ivschat_token_free(&token);

    return json->data ? NGX_IVSCHAT_OK : NGX_IVSCHAT_UNKNOWN;
}


/*
 * The official SDK gets a new token a minute before this one expires: viewers
 * who came together would all do so together.  What is short is left alone.
 */

static void
ngx_ivschat_spread(ngx_http_request_t *r, ngx_ivschat_token_t *token)
{
    int64_t     now, left;
    ngx_uint_t  percent;

    percent = ngx_ivschat_get_conf(r)->refresh_spread;

    /* by AWS's clock, as far as it is known */

    now = (int64_t) ngx_ivschat_creds_time(
                                       &ngx_ivschat_get_main_conf(r)->creds)
          * 1000 + ngx_cached_time->msec;

    left = token->token_expiration - now;

    if (percent && left > NGX_IVSCHAT_SPREAD_LEAST) {
        token->token_expiration -= ngx_random() % (left / 100 * percent);
    }
}


static ngx_ivschat_result_e
ngx_ivschat_aws_error(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_ivschat_policy_t *policy, ngx_ivschat_error_t *error)
{
    const char            *remedy;
    ngx_ivschat_result_e   result;

    ngx_ivschat_error_parse(ngx_ivschat_pure(&s->error_type),
                            (const char *) s->body.data, s->body.len, error);

    result = ngx_ivschat_result_of_aws(s->aws_status, error->code);

    if (!ngx_ivschat_sent_as_signed(s, &policy->host)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "AWS answered %ui%s%s (request id \"%V\"): the request "
                      "was signed for host \"%V\" and path \""
                      NGX_IVSCHAT_PATH "\", but location \"%V\" "
                      "sent host \"%V\" and path \"%V\"; its lines should "
                      "be \"proxy_pass https://$ivschat_token_host"
                      NGX_IVSCHAT_PATH "\" and \"include "
                      "ivschat_params\", with no \"proxy_set_header Host\"",
                      s->aws_status, *error->code ? " " : "", error->code,
                      &s->request_id, &policy->host,
                      &ngx_ivschat_get_conf(r)->uri, &s->sent_host,
                      &s->sent_path);

        /* whatever AWS calls it, the room may well exist */

        return (result == NGX_IVSCHAT_ROOM_NOT_FOUND) ? NGX_IVSCHAT_REJECTED
                                                      : result;
    }

    remedy = ngx_ivschat_remedy(s->aws_status, error->code);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "AWS answered %ui%s%s (request id \"%V\") for room \"%V\": "
                  "\"%s\"%s%s",
                  s->aws_status, *error->code ? " " : "", error->code,
                  &s->request_id, &policy->room.arn,
                  ngx_ivschat_aws_message(error->message, &policy->request),
                  *remedy ? "; " : "", remedy);

    return result;
}


/* A message that quotes the user or an attribute must not get into the log. */

static const char *
ngx_ivschat_aws_message(const char *message, ngx_ivschat_request_t *request)
{
    size_t  i;

    if (ngx_ivschat_quotes(message, &request->user)) {
        return "(not shown: it quotes the user's id)";
    }

    for (i = 0; i < request->nattributes; i++) {
        if (ngx_ivschat_quotes(message, &request->attributes[i].value)) {
            return "(not shown: it quotes an attribute)";
        }
    }

    return message;
}


static ngx_uint_t
ngx_ivschat_quotes(const char *message, const ngx_ivschat_str_t *value)
{
    return value->len != 0
           && memmem(message, ngx_strlen(message), value->data, value->len)
              != NULL;
}


static ngx_uint_t
ngx_ivschat_sent_as_signed(ngx_ivschat_subrequest_t *s, ngx_str_t *host)
{
    static ngx_str_t  path = ngx_string(NGX_IVSCHAT_PATH);

    if (s->sent_path.len == 0 || s->sent_host.len == 0) {
        return 1;                      /* not known */
    }

    return ngx_ivschat_equal(&s->sent_path, &path)
           && ngx_ivschat_equal(&s->sent_host, host);
}
