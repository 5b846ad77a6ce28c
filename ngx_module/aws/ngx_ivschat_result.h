
/*
 * How a request for a chat token ends, for clients and logs.
 */


#ifndef _NGX_IVSCHAT_RESULT_H_INCLUDED_
#define _NGX_IVSCHAT_RESULT_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


/*
 * One row for each result: the value of the enum, the code, the HTTP status,
 * the title and the detail of the answer.  The enum and the table are both
 * made of this list, so that neither can have a value that the other lacks.
 *
 * A title is the same for all requests.  A detail is one sentence for the
 * developer of the front end, and tells nothing of AWS and the server.
 * Neither needs escaping in JSON.  The values that are not errors have none.
 */

#define NGX_IVSCHAT_RESULTS(row)                                              \
    row(NGX_IVSCHAT_UNKNOWN,           /* not ended yet */                    \
        "", 0, "", "")                                                        \
    row(NGX_IVSCHAT_OK,                                                       \
        "ok", 200, "OK", "")                                                  \
    row(NGX_IVSCHAT_ABORTED,           /* the client left */                  \
        "aborted", 499, "Client closed the request", "")                      \
    row(NGX_IVSCHAT_UNAUTHENTICATED,                                          \
        "unauthenticated", 401, "Not signed in",                              \
        "A chat token is given to a signed-in user only: sign in, then ask "  \
        "again.")                                                             \
    row(NGX_IVSCHAT_ROOM_FORBIDDEN,                                           \
        "room_forbidden", 403, "Room not allowed",                            \
        "This user may not join this chat room.")                             \
    row(NGX_IVSCHAT_ROOM_NOT_FOUND,                                           \
        "room_not_found", 404, "Room not found",                              \
        "There is no chat room of this name.")                                \
    row(NGX_IVSCHAT_METHOD_NOT_ALLOWED,                                       \
        "method_not_allowed", 405, "Method not allowed",                      \
        "Ask for a token with a method that the Allow header names.")         \
    row(NGX_IVSCHAT_INVALID_USER,                                             \
        "invalid_user", 400, "Invalid user id",                               \
        "The user id must be 1 to " ngx_ivschat_value(NGX_IVSCHAT_USER_MAX)   \
        " characters of UTF-8, without control characters.")                  \
    row(NGX_IVSCHAT_INVALID_ATTRIBUTES,                                       \
        "invalid_attributes", 400, "Invalid attributes",                      \
        "The attributes must be UTF-8 text, "                                 \
        ngx_ivschat_value(NGX_IVSCHAT_ATTRIBUTES_KB) " KB at most, names "    \
        "and values together.")                                               \
    row(NGX_IVSCHAT_INVALID_REQUEST,                                          \
        "invalid_request", 400, "Invalid request",                            \
        "The body must be one JSON object whose members have the types and "  \
        "values described for this service.")                                 \
    row(NGX_IVSCHAT_REQUEST_TOO_LARGE,                                        \
        "request_too_large", 413, "Request too large",                        \
        "The body is larger than a request for a token may be.")              \
    row(NGX_IVSCHAT_THROTTLED,                                                \
        "throttled", 429, "Too many requests",                                \
        "More tokens are asked for than can be given now: wait as long as "   \
        "Retry-After says, then ask again.")                                  \
    row(NGX_IVSCHAT_MISCONFIGURED,                                            \
        "misconfigured", 500, "Server misconfigured",                         \
        "A setting of the server is wrong and no request can change that: "   \
        NGX_IVSCHAT_OPERATOR)                                                 \
    row(NGX_IVSCHAT_REJECTED,                                                 \
        "rejected", 502, "Chat service refused",                              \
        "The chat service refused the server's request: "                     \
        NGX_IVSCHAT_OPERATOR)                                                 \
    row(NGX_IVSCHAT_BAD_RESPONSE,                                             \
        "bad_response", 502, "Bad answer from the chat service",              \
        "The chat service gave an answer that is not a chat token.")          \
    row(NGX_IVSCHAT_UNAVAILABLE,                                              \
        "unavailable", 502, "Chat service unavailable",                       \
        "The chat service cannot be reached or is failing: ask again later.") \
    row(NGX_IVSCHAT_TIMEOUT,                                                  \
        "timeout", 504, "Chat service timed out",                             \
        "The chat service did not answer in time: ask again later.")          \
    row(NGX_IVSCHAT_NO_CREDENTIALS,                                           \
        "no_credentials", 503, "Server not ready",                            \
        "The server cannot ask the chat service at this time: "               \
        NGX_IVSCHAT_OPERATOR)

#define NGX_IVSCHAT_OPERATOR   "the reason is in the error log of the server."


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


/* Never NULL; what is not a result is taken for NGX_IVSCHAT_UNKNOWN. */

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
