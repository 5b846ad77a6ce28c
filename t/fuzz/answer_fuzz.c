
/*
 * The answer of CreateChatToken: what is accepted is what cJSON finds in it,
 * and what a client gets is JSON that gives the same when it is read.
 */


#include "aws/ngx_ivschat_api.h"

#include "fuzz.h"


static int
good_time(const cJSON *item)
{
    int64_t  ms;

    if (cJSON_IsNumber(item)) {
        return item->valuedouble >= 0 && item->valuedouble < 253402300799.0;
    }

    return cJSON_IsString(item)
           && ngx_ivschat_time_parse(item->valuestring, &ms) == 0;
}


static int
good(const cJSON *tree)
{
    const char                 *token;
    ngx_ivschat_json_member_t   m[] = {
        { "token", NULL }, { "sessionExpirationTime", NULL },
        { "tokenExpirationTime", NULL }
    };

    token = fuzz_string(tree, "token");

    return token != NULL && *token
           && ngx_ivschat_json_members(tree, m, 3) == NULL
           && good_time(m[1].item) && good_time(m[2].item);
}


static void
check_sent(const ngx_ivschat_token_t *answer)
{
    char                 *json;
    cJSON                *tree;
    size_t                len;
    const char           *reason;
    ngx_ivschat_token_t   again;

    must(ngx_ivschat_token_json(answer, &json, &len) == 0);
    must(strlen(json) == len);

    tree = cJSON_Parse(json);
    must(strcmp(fuzz_string(tree, "token"), answer->token) == 0);
    must(cJSON_GetArraySize(tree) == 3);
    cJSON_Delete(tree);

    must(ngx_ivschat_token_parse(json, len, &again, &reason) == 0);
    must(strcmp(again.token, answer->token) == 0);
    must(again.session_expiration == answer->session_expiration);
    must(again.token_expiration == answer->token_expiration);

    ngx_ivschat_token_free(&again);
    free(json);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int                   rc;
    cJSON                *tree;
    const char           *reason, *why;
    ngx_ivschat_str_t     s;
    ngx_ivschat_token_t   answer;

    s = fuzz_copy(data, len);
    reason = NULL;
    rc = ngx_ivschat_token_parse(s.data, s.len, &answer, &reason);
    tree = ngx_ivschat_json_object(s, NGX_IVSCHAT_ANSWER_DEPTH, &why);

    must((rc == 0) == (tree != NULL && good(tree)));
    must((rc == 0) == (reason == NULL));

    if (rc == 0) {
        fuzz_accepted++;

        must(strcmp(answer.token, fuzz_string(tree, "token")) == 0);
        check_sent(&answer);

    } else {
        must(answer.token == NULL);
    }

    ngx_ivschat_token_free(&answer);
    ngx_ivschat_json_delete(tree);
    fuzz_free(s);

    return 0;
}
