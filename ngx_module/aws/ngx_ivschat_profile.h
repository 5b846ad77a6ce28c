
/*
 * The files that AWS's tools share, ~/.aws/config and ~/.aws/credentials:
 * their grammar.  What a profile means is in ngx_ivschat_profile_plan.h.
 *
 * The rules: "Shared config and credentials files" in the AWS SDKs and Tools
 * Reference Guide, and the SDKs' common test cases for the parser.  Where
 * SDKs differ:
 *
 *     - a comment after a value begins with a "#" or ";" that follows a blank,
 *       as in the JavaScript, C and Rust SDKs (Python's keeps it);
 *     - a comment may be indented, as in Python's and JavaScript's (others
 *       append it to the value before);
 *     - a name may be in quotes, as in Python's and JavaScript's;
 *     - a control character, "[]" and "[profile]" are errors.
 *
 * Nothing here does I/O or knows nginx.
 */


#ifndef _NGX_IVSCHAT_PROFILE_H_INCLUDED_
#define _NGX_IVSCHAT_PROFILE_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


#define NGX_IVSCHAT_PROFILE_FILE_MB     1
#define NGX_IVSCHAT_PROFILE_FILE_MAX    (NGX_IVSCHAT_PROFILE_FILE_MB << 20)
#define NGX_IVSCHAT_SECTIONS_MAX        8192             /* in both files */
#define NGX_IVSCHAT_PROPERTIES_MAX      512              /* in a section */


typedef struct ngx_ivschat_property_s  ngx_ivschat_property_t;
typedef struct ngx_ivschat_section_s   ngx_ivschat_section_t;


typedef enum {
    NGX_IVSCHAT_CONFIG = 0,
    NGX_IVSCHAT_CREDENTIALS,
    NGX_IVSCHAT_PROFILE_FILES
} ngx_ivschat_profile_file_e;


typedef enum {
    NGX_IVSCHAT_PROFILE = 0,           /* [default], [profile NAME], [NAME] */
    NGX_IVSCHAT_SERVICES,              /* [services NAME] */
    NGX_IVSCHAT_IGNORED                /* all others; without properties */
} ngx_ivschat_section_e;


struct ngx_ivschat_property_s {
    ngx_ivschat_property_t       *next;
    ngx_ivschat_str_t             key;     /* as in the file */
    ngx_ivschat_str_t             value;   /* with a NUL */
    ngx_ivschat_profile_file_e    file;
    unsigned                      line;
    unsigned                      nested:1;   /* the value is empty, but for
                                                 "key = value" lines */
};


struct ngx_ivschat_section_s {
    ngx_ivschat_section_t        *next;
    ngx_ivschat_property_t       *properties;
    size_t                        nproperties;
    ngx_ivschat_str_t             name;
    ngx_ivschat_section_e         type;
    ngx_ivschat_profile_file_e    file;
    unsigned                      line;
    unsigned                      prefixed:1;   /* [profile default] */
};


typedef struct {
    const char                   *name;    /* for messages */
    char                         *text;    /* NULL: there is no such file */
    size_t                        len;
} ngx_ivschat_profile_file_t;


typedef struct {
    ngx_ivschat_profile_file_t    files[NGX_IVSCHAT_PROFILE_FILES];
    ngx_ivschat_section_t        *sections;
    size_t                        nsections;
} ngx_ivschat_profiles_t;


/*
 * Reads both files, in place.  The caller sets files, and clears the rest.
 * The texts come from malloc(), with one byte to spare behind len; the names
 * must live as long as the profiles.  Returns -1 on failure, and reason is a
 * text for the log, "/root/.aws/config:12: ...", that repeats nothing of the
 * file.  ngx_ivschat_profiles_free() is due in any case.
 */

int ngx_ivschat_profiles_parse(ngx_ivschat_profiles_t *profiles, char *reason,
    size_t size);

/* Wipes and frees the texts, and frees all that was made of them. */

void ngx_ivschat_profiles_free(ngx_ivschat_profiles_t *profiles);

/* A section by its type and name, or NULL. */

ngx_ivschat_section_t *ngx_ivschat_profiles_section(
    const ngx_ivschat_profiles_t *profiles, ngx_ivschat_section_e type,
    ngx_ivschat_str_t name);

/* A property by its name, in which case does not matter, or NULL. */

ngx_ivschat_property_t *ngx_ivschat_section_property(
    const ngx_ivschat_section_t *section, ngx_ivschat_str_t key);

/*
 * A property in the value of another one,
 *
 *     sts =
 *       endpoint_url = https://...
 *
 * trimmed, without its comment, and no NUL; -1 if it is not there.
 */

int ngx_ivschat_profile_nested(ngx_ivschat_str_t value, ngx_ivschat_str_t key,
    ngx_ivschat_str_t *nested);

/*
 * The section that would be this profile in the other file: "[NAME]" in
 * config, "[profile NAME]" in credentials; NULL if there is none.
 */

const ngx_ivschat_section_t *ngx_ivschat_profiles_misplaced(
    const ngx_ivschat_profiles_t *profiles, ngx_ivschat_str_t name);

/* Whether a name is not empty and has only the characters allowed in names. */

int ngx_ivschat_profile_name_valid(ngx_ivschat_str_t name);


#endif /* _NGX_IVSCHAT_PROFILE_H_INCLUDED_ */
