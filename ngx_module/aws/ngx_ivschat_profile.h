
/*
 * The files that AWS's tools share, ~/.aws/config and ~/.aws/credentials:
 * their grammar.  What a profile means is in ngx_ivschat_profile_plan.h.
 *
 * The rules: "Shared config and credentials files" in the AWS SDKs and Tools
 * Reference Guide, and the SDKs' common test cases for the parser.  Where
 * SDKs differ:
 *
 *     - a comment behind a value begins with a "#" or ";" that has a blank
 *       before it, as in the JavaScript, C and Rust SDKs (Python's keeps it);
 *     - a comment may be indented, as in Python's and JavaScript's (others
 *       append it to the value before);
 *     - a control character, "[]" and "[profile]" are errors.
 *
 * Nothing here does I/O or knows nginx.
 */


#ifndef _NGX_IVSCHAT_PROFILE_H_INCLUDED_
#define _NGX_IVSCHAT_PROFILE_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


#define NGX_IVSCHAT_PROFILE_FILE_MAX    (1024 * 1024)    /* bytes */
#define NGX_IVSCHAT_SECTIONS_MAX        8192             /* in both files */
#define NGX_IVSCHAT_PROPERTIES_MAX      512              /* in a section */


typedef struct ngx_ivschat_profiles_s  ngx_ivschat_profiles_t;


typedef enum {
    NGX_IVSCHAT_CONFIG = 0,
    NGX_IVSCHAT_CREDENTIALS
} ngx_ivschat_profile_file_e;


typedef enum {
    NGX_IVSCHAT_PROFILE = 0,           /* [default], [profile NAME], [NAME] */
    NGX_IVSCHAT_SSO_SESSION,           /* [sso-session NAME] */
    NGX_IVSCHAT_SERVICES               /* [services NAME] */
} ngx_ivschat_section_e;


/* A file that was read; text.data is NULL if there is none. */

typedef struct {
    const char         *name;          /* for messages */
    ngx_ivschat_str_t   text;
} ngx_ivschat_profile_file_t;


/* The value belongs to the profiles, and has a NUL. */

typedef struct {
    ngx_ivschat_str_t            value;
    ngx_ivschat_profile_file_e   file;     /* where it stands */
    unsigned                     line;
} ngx_ivschat_property_t;


/*
 * Reads both files.  The result is on the heap, holds copies of all it needs,
 * and is freed with ngx_ivschat_profiles_free(); wiping the texts is up to the
 * caller.  config or credentials may be NULL.  On failure the result is
 * NULL, and reason a text for the log, "/root/.aws/config:12: …", in which
 * nothing of the file is repeated.  NGX_IVSCHAT_REASON_LEN is enough for it,
 * unless the names of the files are very long.
 */

ngx_ivschat_profiles_t *ngx_ivschat_profiles_parse(
    const ngx_ivschat_profile_file_t *config,
    const ngx_ivschat_profile_file_t *credentials, char *reason, size_t size);

/* Wipes all values, and frees; NULL is harmless. */

void ngx_ivschat_profiles_free(ngx_ivschat_profiles_t *profiles);

/* How many sections of a type there are. */

size_t ngx_ivschat_profiles_count(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type);

/* How many properties a section has; -1 if there is no such section. */

long ngx_ivschat_profiles_properties(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name);

/* A property by its name in lower case; -1 if it is not there. */

int ngx_ivschat_profiles_get(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name, const char *key,
    ngx_ivschat_property_t *property);

/*
 * A property in the value of another one,
 *
 *     sts =
 *       endpoint_url = https://…
 *
 * trimmed, without its comment, and no NUL; -1 if it is not there.
 */

int ngx_ivschat_profile_nested(ngx_ivschat_str_t value, const char *key,
    ngx_ivschat_str_t *nested);

/* What the file is called, or "". */

const char *ngx_ivschat_profiles_file(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_profile_file_e file);

/* Whether there was such a file. */

int ngx_ivschat_profiles_has(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_profile_file_e file);

/*
 * The line of a section that would be this profile if it stood in the other
 * file: "[NAME]" in config, "[profile NAME]" in credentials.  0: there is none.
 */

unsigned ngx_ivschat_profiles_misplaced(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_str_t name, ngx_ivschat_profile_file_e *file);

/* Whether all is made of the characters that names may have. */

int ngx_ivschat_profile_name_valid(ngx_ivschat_str_t name);


#endif /* _NGX_IVSCHAT_PROFILE_H_INCLUDED_ */
