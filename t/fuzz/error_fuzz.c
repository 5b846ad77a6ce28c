
/*
 * An error of AWS, which begins with the headers x-amzn-errortype and
 * x-amz-retry-after: what is logged is one printable line without a session
 * token, and each error has its result.
 */


#include "aws/ngx_ivschat_errors.h"
#include "aws/ngx_ivschat_retry.h"

#include "fuzz.h"


/* The name in "ns#Name:http://...", or an empty string. */

static ngx_ivschat_str_t
name_of(const char *text)
{
    size_t             colon, hash;
    ngx_ivschat_str_t  name;

    text = text ? text : "";
    colon = strcspn(text, ",:");
    hash = strcspn(text, "#");

    if (hash < colon) {
        text += hash + 1;
        colon -= hash + 1;
    }

    for ( /* void */ ; *text == ' ' && colon; text++, colon--) { /* void */ }
    for ( /* void */ ; colon && text[colon - 1] == ' '; colon--) { /* void */ }

    name.data = text;
    name.len = colon;

    while (colon && text[colon - 1] > ' ' && text[colon - 1] <= '~') {
        colon--;
    }

    name.len = colon == 0 && name.len < 64 ? name.len : 0;

    return name;
}


static void
check_code(const char *header, ngx_ivschat_str_t body, const char *code)
{
    size_t              i;
    cJSON              *tree;
    const char         *reason;
    const cJSON        *object;
    ngx_ivschat_str_t   name;
    const char         *names[] = { "code", "Code", "__type" };

    name = name_of(header);
    tree = ngx_ivschat_json_object(body, 1000, &reason);
    object = cJSON_GetObjectItemCaseSensitive(tree, "Error");
    object = cJSON_IsObject(object) ? object : tree;

    for (i = 0; i < size(names) && name.len == 0; i++) {
        name = name_of(fuzz_string(object, names[i]));
    }

    must(fuzz_same(name, ngx_ivschat_str(code)));
    ngx_ivschat_json_delete(tree);
}


static void
check_result(const char *code, unsigned status)
{
    char                              buf[512];
    cJSON                            *tree;
    const char                       *reason;
    ngx_ivschat_str_t                 s;
    const ngx_ivschat_result_info_t  *info;

    info = ngx_ivschat_result_info(ngx_ivschat_result_of_aws(status, code));
    must(info->status >= 400 && info->status <= 599);

    s.data = buf;
    s.len = ngx_ivschat_problem_json(ngx_ivschat_result_of_aws(status, code),
                                     status, buf, sizeof(buf));

    tree = ngx_ivschat_json_object(s, 1, &reason);
    must(tree != NULL && fuzz_string(tree, "code") != NULL);
    ngx_ivschat_json_delete(tree);

    must(ngx_ivschat_remedy(status, code) != NULL);
    must(status >= 400
         || ngx_ivschat_retry_class(status, code)
            == (status ? NGX_IVSCHAT_RETRY_NEVER
                       : NGX_IVSCHAT_RETRY_TRANSIENT));
}


static void
check_hint(const char *text)
{
    int64_t  hint;

    hint = ngx_ivschat_retry_hint(ngx_ivschat_str(text));

    must((hint == -1) == (*text == '\0' || strlen(text) > 18
                          || text[strspn(text, "0123456789")]));
    must(hint == -1 || hint == atoll(text));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char                 *header, *hint;
    size_t                i;
    ngx_ivschat_str_t     s, rest, line;
    ngx_ivschat_error_t   error;

    static const unsigned  statuses[] = { 0, 200, 400, 404, 429, 503 };

    s = fuzz_copy(data, len);
    rest = s;
    line = fuzz_line(&rest);
    header = fuzz_text(line);
    hint = fuzz_text(fuzz_line(&rest));

    if (strlen(header) == line.len) {
        ngx_ivschat_error_parse(line, rest.data, rest.len, &error);

        fuzz_accepted += error.code[0] != '\0';

        check_code(header, rest, error.code);
        must(ngx_ivschat_utf8_length(ngx_ivschat_str(error.message)) >= 0);
        must(strstr(error.message, "x-amz-security-token:") == NULL);

        for (i = 0; error.message[i]; i++) {
            must(!iscntrl((unsigned char) error.message[i]));
        }

        for (i = 0; i < size(statuses); i++) {
            check_result(error.code, statuses[i]);
        }

        check_hint(hint);
    }

    free(header);
    free(hint);
    fuzz_free(s);

    return 0;
}
