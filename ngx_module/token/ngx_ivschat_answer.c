
#include "ngx_ivschat_answer.h"


#define NGX_IVSCHAT_SPREAD_LEAST   600000   /* milliseconds */


static ngx_ivschat_result_e ngx_ivschat_nginx_error(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s);
static ngx_ivschat_result_e ngx_ivschat_no_answer(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_str_t *host);
static ngx_ivschat_result_e ngx_ivschat_failed(ngx_http_request_t *r,
    ngx_ivschat_result_e result, const char *format, ngx_str_t *value);
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
        return ngx_ivschat_failed(r, NGX_IVSCHAT_REJECTED,
                                  "the response was rejected, because it was "
                                  "not received over TLS with a verified "
                                  "certificate: location \"%V\" requires "
                                  "\"proxy_pass https://…\" and \"include "
                                  "ivschat_params\", and so does any other "
                                  "location that uses its upstream",
                                  &ngx_ivschat_get_conf(r)->uri);
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


/* The internal location has not passed the request on. */

static ngx_ivschat_result_e
ngx_ivschat_nginx_error(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s)
{
    ngx_str_t  *uri;

    uri = &ngx_ivschat_get_conf(r)->uri;

    if (s->status == NGX_HTTP_TOO_MANY_REQUESTS
        || s->status == NGX_HTTP_SERVICE_UNAVAILABLE)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "location \"%V\" returned %ui itself: its limits "
                      "rejected the request", uri, s->status);
        return NGX_IVSCHAT_THROTTLED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the request was not passed to AWS, nginx returned %ui "
                  "itself: \"ivschat_token %V\" requires a location \"%V\" "
                  "with \"proxy_pass https://$ivschat_token_host"
                  NGX_IVSCHAT_PATH "\"", s->status, uri, uri);

    return NGX_IVSCHAT_MISCONFIGURED;
}


/* There is no response; nginx itself has logged why. */

static ngx_ivschat_result_e
ngx_ivschat_no_answer(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s,
    ngx_str_t *host)
{
    ngx_str_t  *uri;

    uri = &ngx_ivschat_get_conf(r)->uri;

    if (s->big_header) {
        return ngx_ivschat_failed(r, NGX_IVSCHAT_BAD_RESPONSE,
                                  "AWS's response header is too big: increase "
                                  "\"proxy_buffer_size\" in location \"%V\"",
                                  uri);
    }

    if (s->not_http) {

        /* nginx takes it for HTTP/0.9 */

        return ngx_ivschat_failed(r, NGX_IVSCHAT_BAD_RESPONSE,
                                  "the server at \"%V\" does not speak HTTP/1",
                                  host);
    }

    if (s->unresolved) {
        return ngx_ivschat_failed(r, NGX_IVSCHAT_MISCONFIGURED,
                                  "neither \"upstream %V\" nor a "
                                  "\"resolver\" for this name is defined: "
                                  "add one of them",
                                  host);
    }

    if (s->no_socket) {
        return ngx_ivschat_failed(r, NGX_IVSCHAT_UNAVAILABLE,
                                  "failed to open a connection to AWS at "
                                  "\"%V\": \"worker_connections\", "
                                  "\"worker_rlimit_nofile\" or memory is "
                                  "exhausted", host);
    }

    if (s->unverified) {
        return ngx_ivschat_failed(r, NGX_IVSCHAT_UNAVAILABLE,
                                  "AWS at \"%V\" could not be reached; another "
                                  "location uses the same upstream without a "
                                  "verified certificate, and its TLS sessions "
                                  "fail here: add \"include ivschat_params\" "
                                  "there, or use \"proxy_ssl_session_reuse "
                                  "off\"", host);
    }

    if (s->status == NGX_HTTP_GATEWAY_TIME_OUT && s->connected) {
        return ngx_ivschat_failed(r, NGX_IVSCHAT_TIMEOUT,
                                  "AWS at \"%V\" did not respond in time",
                                  host);
    }

    if (s->status == NGX_HTTP_BAD_GATEWAY
        || s->status == NGX_HTTP_GATEWAY_TIME_OUT)
    {
        return ngx_ivschat_failed(r, NGX_IVSCHAT_UNAVAILABLE,
                                  "AWS at \"%V\" could not be reached or "
                                  "closed the connection prematurely", host);
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the request was not passed to AWS, nginx returned %ui "
                  "itself: correct \"proxy_pass\" of location \"%V\"",
                  s->status, uri);

    return NGX_IVSCHAT_MISCONFIGURED;
}


static ngx_ivschat_result_e
ngx_ivschat_failed(ngx_http_request_t *r, ngx_ivschat_result_e result,
    const char *format, ngx_str_t *value)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, format, value);

    return result;
}


/* The status has been received, but not the whole body. */

static ngx_ivschat_result_e
ngx_ivschat_not_whole(ngx_http_request_t *r, ngx_ivschat_subrequest_t *s)
{
    if (s->big_body) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "AWS's response is too big: if it is valid, increase "
                      "\"subrequest_output_buffer_size\" in location \"%V\" "
                      "(request id \"%V\")",
                      &ngx_ivschat_get_conf(r)->uri, &s->request_id);
        return NGX_IVSCHAT_BAD_RESPONSE;
    }

    return ngx_ivschat_failed(r, NGX_IVSCHAT_UNAVAILABLE,
                              "AWS closed the connection before the end of "
                              "its response (request id \"%V\")",
                              &s->request_id);
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
                      "AWS's response is not a CreateChatToken response: %s "
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
 * The official SDK requests a new token a minute before this one expires.
 * Viewers who joined together would all do so together.
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


/* A message with the user id or an attribute must not get into the log. */

static const char *
ngx_ivschat_aws_message(const char *message, ngx_ivschat_request_t *request)
{
    size_t  i;

    if (ngx_ivschat_quotes(message, &request->user)) {
        return "(not shown: contains the user id)";
    }

    for (i = 0; i < request->nattributes; i++) {
        if (ngx_ivschat_quotes(message, &request->attributes[i].value)) {
            return "(not shown: contains an attribute)";
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
