
/*
 * The results of a request for a chat token, for clients and logs.
 */


#ifndef _NGX_IVSCHAT_RESULT_H_INCLUDED_
#define _NGX_IVSCHAT_RESULT_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


/*
 * One row for each result: the value of the enum, the code, the HTTP status,
 * the title and the detail of the response.  Both the enum and the table are
 * made from this list.
 *
 * A title is the same for all requests.  A detail is a sentence for the
 * developer of the front end, and does not disclose anything about AWS or the
 * server.  Neither needs escaping in JSON.  Results without a detail are not
 * errors.
 */

#define NGX_IVSCHAT_RESULTS(row)                                              \
    row(NGX_IVSCHAT_UNKNOWN,           /* not known yet */                    \
        "", 0, "", "")                                                        \
    row(NGX_IVSCHAT_OK,                                                       \
        "ok", 200, "OK", "")                                                  \
    row(NGX_IVSCHAT_ABORTED,           /* the client left */                  \
        "aborted", 499, "Client closed the request", "")                      \
    row(NGX_IVSCHAT_UNAUTHENTICATED,                                          \
        "unauthenticated", 401, "Not signed in",                              \
        "Chat tokens are for signed-in users only: sign in and try again.")   \
    row(NGX_IVSCHAT_ROOM_FORBIDDEN,                                           \
        "room_forbidden", 403, "Room not allowed",                            \
        "This user may not join this chat room.")                             \
    row(NGX_IVSCHAT_ROOM_NOT_FOUND,                                           \
        "room_not_found", 404, "Room not found",                              \
        "This chat room does not exist.")                                     \
    row(NGX_IVSCHAT_METHOD_NOT_ALLOWED,                                       \
        "method_not_allowed", 405, "Method not allowed",                      \
        "Use a method listed in the Allow header.")                           \
    row(NGX_IVSCHAT_INVALID_USER,                                             \
        "invalid_user", 400, "Invalid user id",                               \
        "The user id must be 1 to " ngx_ivschat_value(NGX_IVSCHAT_USER_MAX)   \
        " characters of UTF-8, without control characters.")                  \
    row(NGX_IVSCHAT_INVALID_ATTRIBUTES,                                       \
        "invalid_attributes", 400, "Invalid attributes",                      \
        "The attributes must be UTF-8 text of at most "                       \
        ngx_ivschat_value(NGX_IVSCHAT_ATTRIBUTES_KB) " KB, with names "       \
        "and values counted together.")                                       \
    row(NGX_IVSCHAT_INVALID_REQUEST,                                          \
        "invalid_request", 400, "Invalid request",                            \
        "The body must be a JSON object whose members have the types and "    \
        "values documented for this service.")                                \
    row(NGX_IVSCHAT_REQUEST_TOO_LARGE,                                        \
        "request_too_large", 413, "Request too large",                        \
        "The body of the request is too large.")                              \
    row(NGX_IVSCHAT_THROTTLED,                                                \
        "throttled", 429, "Too many requests",                                \
        "More tokens are requested than can be issued now: wait as long as "  \
        "Retry-After says and try again.")                                    \
    row(NGX_IVSCHAT_MISCONFIGURED,                                            \
        "misconfigured", 500, "Server misconfigured",                         \
        "The configuration of the server is invalid: " NGX_IVSCHAT_SEE_LOG)   \
    row(NGX_IVSCHAT_REJECTED,                                                 \
        "rejected", 502, "Refused by the chat service",                       \
        "The chat service refused the request of the server: "                \
        NGX_IVSCHAT_SEE_LOG)                                                  \
    row(NGX_IVSCHAT_BAD_RESPONSE,                                             \
        "bad_response", 502, "Invalid response from the chat service",        \
        "The chat service sent a response that is not a chat token.")         \
    row(NGX_IVSCHAT_UNAVAILABLE,                                              \
        "unavailable", 502, "Chat service unavailable",                       \
        "The chat service is failing or cannot be reached: try again later.") \
    row(NGX_IVSCHAT_TIMEOUT,                                                  \
        "timeout", 504, "Chat service timed out",                             \
        "The chat service did not respond in time: try again later.")         \
    row(NGX_IVSCHAT_NO_CREDENTIALS,                                           \
        "no_credentials", 503, "Server not ready",                            \
        "The server cannot call the chat service now: " NGX_IVSCHAT_SEE_LOG)

#define NGX_IVSCHAT_SEE_LOG   "see the error log of the server."


#define ngx_ivschat_result_enum(result, code, status, title, detail)  result,

typedef enum {
    NGX_IVSCHAT_RESULTS(ngx_ivschat_result_enum)
    NGX_IVSCHAT_NRESULTS
} ngx_ivschat_result_e;


typedef struct {
    ngx_ivschat_str_t   code;
    unsigned            status;
    ngx_ivschat_str_t   title;
    ngx_ivschat_str_t   detail;
} ngx_ivschat_result_info_t;


/* Never NULL; any other value is the same as NGX_IVSCHAT_UNKNOWN. */

const ngx_ivschat_result_info_t *ngx_ivschat_result_info(
    ngx_ivschat_result_e result);

/*
 * The body of an error (RFC 9457) into buf: type, title, status, code, detail
 * and, if it is not 0, retryAfter in seconds.  Returns the length.  0 if the
 * result is not an error or size is too small (512 bytes are enough).
 */

size_t ngx_ivschat_problem_json(ngx_ivschat_result_e result,
    unsigned retry_after, char *buf, size_t size);


#endif /* _NGX_IVSCHAT_RESULT_H_INCLUDED_ */
