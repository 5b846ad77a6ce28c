
/*
 * The grammar of AWS's shared config and credentials files.
 */


#include "ngx_ivschat_profile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>


typedef struct ngx_ivschat_entry_s    ngx_ivschat_entry_t;
typedef struct ngx_ivschat_section_s  ngx_ivschat_section_t;

/* A property; key and value have a NUL. */

struct ngx_ivschat_entry_s {
    ngx_ivschat_entry_t          *next;
    char                         *key;     /* lower case */
    char                         *value;
    size_t                        len;
    size_t                        size;    /* of what value points to */
    ngx_ivschat_profile_file_e    file;
    unsigned                      line;
};

/* Those whose name makes them none of ours are kept, for a hint, empty. */

struct ngx_ivschat_section_s {
    ngx_ivschat_section_t        *next;
    ngx_ivschat_entry_t          *entries;
    ngx_ivschat_section_e         type;
    ngx_ivschat_str_t             name;    /* behind the structure */
    size_t                        nentries;
    ngx_ivschat_profile_file_e    file;
    unsigned                      line;
    unsigned                      prefixed:1;   /* [profile default] */
    unsigned                      ignored:1;
};

struct ngx_ivschat_profiles_s {
    ngx_ivschat_section_t        *sections;
    size_t                        nsections;
    char                         *names[2];     /* of the files */
    unsigned                      there[2];
};


/* What a line that begins with a blank belongs to. */

typedef enum {
    NGX_IVSCHAT_NOTHING = 0,
    NGX_IVSCHAT_VALUE,
    NGX_IVSCHAT_NESTED,                /* an empty value: "key = value" lines */
    NGX_IVSCHAT_IGNORED                /* a property with a bad name */
} ngx_ivschat_continued_e;

typedef struct {
    ngx_ivschat_profiles_t       *profiles;
    ngx_ivschat_section_t        *section;      /* NULL: before the first */
    ngx_ivschat_entry_t          *entry;
    ngx_ivschat_continued_e       continued;
    ngx_ivschat_profile_file_e    file;
    unsigned                      line;
    const char                   *why;          /* the reason of a failure */
} ngx_ivschat_profile_reader_t;


static int ngx_ivschat_profile_read(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t text);
static int ngx_ivschat_profile_line(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line);
static int ngx_ivschat_profile_header(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line);
static int ngx_ivschat_profile_continue(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line);
static int ngx_ivschat_profile_property(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line);
static int ngx_ivschat_profile_kind(ngx_ivschat_profile_file_e file,
    ngx_ivschat_str_t *name, ngx_ivschat_section_e *type);
static int ngx_ivschat_profile_enter(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name, int ignored,
    int prefixed);
static ngx_ivschat_section_t *ngx_ivschat_profile_section(
    ngx_ivschat_profile_reader_t *reader, ngx_ivschat_section_e type,
    ngx_ivschat_str_t name);
static int ngx_ivschat_profile_fail(ngx_ivschat_profile_reader_t *reader,
    const char *why);

static ngx_ivschat_section_t *ngx_ivschat_profile_find(
    const ngx_ivschat_profiles_t *profiles, ngx_ivschat_section_e type,
    ngx_ivschat_str_t name);
static ngx_ivschat_entry_t *ngx_ivschat_profile_entry(
    const ngx_ivschat_section_t *section, ngx_ivschat_str_t key);
static ngx_ivschat_entry_t *ngx_ivschat_profile_add_entry(
    ngx_ivschat_section_t *section, ngx_ivschat_str_t key);
static int ngx_ivschat_profile_append(ngx_ivschat_entry_t *entry,
    ngx_ivschat_str_t s);
static void ngx_ivschat_profile_free_entries(ngx_ivschat_section_t *section);

static ngx_ivschat_str_t ngx_ivschat_profile_next_line(
    ngx_ivschat_str_t *text);
static ngx_ivschat_str_t ngx_ivschat_profile_trim(ngx_ivschat_str_t s);
static ngx_ivschat_str_t ngx_ivschat_profile_uncomment(ngx_ivschat_str_t s,
    int blank);
static int ngx_ivschat_profile_split(ngx_ivschat_str_t s,
    ngx_ivschat_str_t *key, ngx_ivschat_str_t *value);
static int ngx_ivschat_profile_word(ngx_ivschat_str_t *s, const char *word);
static int ngx_ivschat_profile_is(ngx_ivschat_str_t s, const char *text);
static int ngx_ivschat_profile_blank(char c);
static char ngx_ivschat_profile_lower(char c);


ngx_ivschat_profiles_t *
ngx_ivschat_profiles_parse(const ngx_ivschat_profile_file_t *config,
    const ngx_ivschat_profile_file_t *credentials, char *reason, size_t size)
{
    size_t                             i;
    ngx_ivschat_profiles_t            *profiles;
    ngx_ivschat_profile_reader_t       reader;
    const ngx_ivschat_profile_file_t  *files[2] = { config, credentials };

    profiles = calloc(1, sizeof(ngx_ivschat_profiles_t));

    if (profiles == NULL) {
        (void) snprintf(reason, size, "no memory");
        return NULL;
    }

    for (i = 0; i < 2; i++) {

        if (files[i] == NULL) {
            continue;
        }

        profiles->names[i] = strdup(files[i]->name ? files[i]->name : "");

        if (profiles->names[i] == NULL) {
            (void) snprintf(reason, size, "no memory");
            goto failed;
        }

        if (files[i]->text.data == NULL) {
            continue;
        }

        profiles->there[i] = 1;

        memset(&reader, 0, sizeof(ngx_ivschat_profile_reader_t));
        reader.profiles = profiles;
        reader.file = (ngx_ivschat_profile_file_e) i;

        if (ngx_ivschat_profile_read(&reader, files[i]->text) != 0) {
            (void) snprintf(reason, size, "%s:%u: %s", profiles->names[i],
                            reader.line, reader.why);
            goto failed;
        }
    }

    return profiles;

failed:

    ngx_ivschat_profiles_free(profiles);

    return NULL;
}


void
ngx_ivschat_profiles_free(ngx_ivschat_profiles_t *profiles)
{
    ngx_ivschat_section_t  *section;

    if (profiles == NULL) {
        return;
    }

    while (profiles->sections != NULL) {
        section = profiles->sections;
        profiles->sections = section->next;

        ngx_ivschat_profile_free_entries(section);
        free(section);
    }

    free(profiles->names[NGX_IVSCHAT_CONFIG]);
    free(profiles->names[NGX_IVSCHAT_CREDENTIALS]);
    free(profiles);
}


size_t
ngx_ivschat_profiles_count(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type)
{
    size_t                        n;
    const ngx_ivschat_section_t  *section;

    n = 0;

    for (section = profiles->sections; section; section = section->next) {
        if (!section->ignored && section->type == type) {
            n++;
        }
    }

    return n;
}


long
ngx_ivschat_profiles_properties(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name)
{
    const ngx_ivschat_section_t  *section;

    section = ngx_ivschat_profile_find(profiles, type, name);

    return section != NULL ? (long) section->nentries : -1;
}


int
ngx_ivschat_profiles_get(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name, const char *key,
    ngx_ivschat_property_t *property)
{
    ngx_ivschat_str_t             s;
    const ngx_ivschat_entry_t    *entry;
    const ngx_ivschat_section_t  *section;

    section = ngx_ivschat_profile_find(profiles, type, name);

    if (section == NULL) {
        return -1;
    }

    s.data = key;
    s.len = strlen(key);

    entry = ngx_ivschat_profile_entry(section, s);

    if (entry == NULL) {
        return -1;
    }

    property->value.data = entry->value;
    property->value.len = entry->len;
    property->file = entry->file;
    property->line = entry->line;

    return 0;
}


int
ngx_ivschat_profile_nested(ngx_ivschat_str_t value, const char *key,
    ngx_ivschat_str_t *nested)
{
    int                found;
    ngx_ivschat_str_t  line, name, rest;

    found = -1;

    /* the first line stands beside the name, and the last one wins */

    (void) ngx_ivschat_profile_next_line(&value);

    while (value.len != 0) {
        line = ngx_ivschat_profile_next_line(&value);
        line = ngx_ivschat_profile_uncomment(line, 1);

        if (ngx_ivschat_profile_split(line, &name, &rest) == 0
            && name.len == strlen(key)
            && strncasecmp(name.data, key, name.len) == 0)
        {
            *nested = rest;
            found = 0;
        }
    }

    return found;
}


const char *
ngx_ivschat_profiles_file(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_profile_file_e file)
{
    return  profiles->names[file] != NULL ? profiles->names[file] : "";
}


int
ngx_ivschat_profiles_has(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_profile_file_e file)
{
    return  profiles->there[file] != 0;
}


unsigned
ngx_ivschat_profiles_misplaced(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_str_t name, ngx_ivschat_profile_file_e *file)
{
    ngx_ivschat_str_t             s;
    const ngx_ivschat_section_t  *section;

    for (section = profiles->sections; section; section = section->next) {

        if (!section->ignored) {
            continue;
        }

        s = section->name;

        if (section->file == NGX_IVSCHAT_CREDENTIALS
            && ngx_ivschat_profile_word(&s, "profile") != 0)
        {
            continue;
        }

        if (s.len == name.len && memcmp(s.data, name.data, s.len) == 0) {
            *file = section->file;
            return section->line;
        }
    }

    return 0;
}


int
ngx_ivschat_profile_name_valid(ngx_ivschat_str_t name)
{
    char    c;
    size_t  i;

    if (name.len == 0) {
        return 0;
    }

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
              || (c >= 'a' && c <= 'z')
              || (c != '\0' && strchr("_-/.%@:+", c) != NULL)))
        {
            return 0;
        }
    }

    return 1;
}


static int
ngx_ivschat_profile_read(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t text)
{
    size_t             i;
    ngx_ivschat_str_t  line;

    reader->line = 1;

    if (text.len > NGX_IVSCHAT_PROFILE_FILE_MAX) {
        return ngx_ivschat_profile_fail(reader, "the file is larger than 1 MB");
    }

    if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        return ngx_ivschat_profile_fail(reader, "the file begins with a byte "
                                        "order mark: save it as UTF-8 without "
                                        "one");
    }

    for (reader->line = 0; text.len != 0; /* void */ ) {
        reader->line++;

        line = ngx_ivschat_profile_next_line(&text);

        for (i = 0; i < line.len; i++) {
            if (line.data[i] == '\0') {
                return ngx_ivschat_profile_fail(reader, "the line has a NUL: "
                                                "is it UTF-16?  It must be "
                                                "UTF-8");
            }
        }

        if (ngx_ivschat_profile_line(reader, line) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
ngx_ivschat_profile_line(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line)
{
    size_t             i;
    ngx_ivschat_str_t  s;

    s = ngx_ivschat_profile_trim(line);

    if (s.len == 0 || s.data[0] == '#' || s.data[0] == ';') {
        return 0;
    }

    if (line.data[0] == '[') {
        return ngx_ivschat_profile_header(reader, s);
    }

    if (reader->section == NULL) {
        return ngx_ivschat_profile_fail(reader, "there must be a section, "
                                        "\"[…]\", before the first property");
    }

    if (reader->section->ignored) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {
        if (((unsigned char) s.data[i] < ' ' && s.data[i] != '\t')
            || s.data[i] == 0x7f)
        {
            return ngx_ivschat_profile_fail(reader, "the line has a control "
                                            "character");
        }
    }

    if (ngx_ivschat_profile_blank(line.data[0])) {
        return ngx_ivschat_profile_continue(reader, s);
    }

    return ngx_ivschat_profile_property(reader, s);
}


static int
ngx_ivschat_profile_header(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line)
{
    int                    ours, prefixed;
    ngx_ivschat_str_t      name;
    ngx_ivschat_section_e  type;

    line = ngx_ivschat_profile_uncomment(line, 0);

    if (line.data[line.len - 1] != ']') {
        return ngx_ivschat_profile_fail(reader, "a section must end with "
                                        "\"]\"");
    }

    line.data++;
    line.len -= 2;

    line = ngx_ivschat_profile_trim(line);

    if (line.len == 0 || (reader->file == NGX_IVSCHAT_CONFIG
                          && ngx_ivschat_profile_is(line, "profile")))
    {
        return ngx_ivschat_profile_fail(reader, "the section has no name");
    }

    type = NGX_IVSCHAT_PROFILE;
    name = line;
    ours = ngx_ivschat_profile_kind(reader->file, &name, &type) == 0;
    prefixed = name.len != line.len;

    return ngx_ivschat_profile_enter(reader, type, name, !ours, prefixed);
}


/* What kind of section it is; *name becomes what stands behind the kind. */

static int
ngx_ivschat_profile_kind(ngx_ivschat_profile_file_e file,
    ngx_ivschat_str_t *name, ngx_ivschat_section_e *type)
{
    ngx_ivschat_str_t  s;

    s = *name;
    *type = NGX_IVSCHAT_PROFILE;

    if (file == NGX_IVSCHAT_CONFIG) {

        if (ngx_ivschat_profile_word(&s, "profile") == 0) {
            /* void */

        } else if (ngx_ivschat_profile_word(&s, "sso-session") == 0) {
            *type = NGX_IVSCHAT_SSO_SESSION;

        } else if (ngx_ivschat_profile_word(&s, "services") == 0) {
            *type = NGX_IVSCHAT_SERVICES;

        } else if (!ngx_ivschat_profile_is(s, "default")) {
            return -1;
        }
    }

    if (!ngx_ivschat_profile_name_valid(s)) {
        return -1;
    }

    *name = s;

    return 0;
}


/* What follows belongs to this section. */

static int
ngx_ivschat_profile_enter(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name, int ignored,
    int prefixed)
{
    int                     mixed;
    ngx_ivschat_section_t  *section;

    reader->entry = NULL;
    reader->continued = NGX_IVSCHAT_NOTHING;

    section = NULL;

    if (!ignored) {
        section = ngx_ivschat_profile_find(reader->profiles, type, name);
    }

    /* of [default] and [profile default] in config only the latter counts */

    mixed = section != NULL && reader->file == NGX_IVSCHAT_CONFIG
            && section->prefixed != (unsigned) prefixed;

    if (mixed && prefixed) {
        ngx_ivschat_profile_free_entries(section);
        section->prefixed = 1;

    } else if (mixed) {
        ignored = 1;
        section = NULL;
    }

    if (section == NULL) {
        section = ngx_ivschat_profile_section(reader, type, name);

        if (section == NULL) {
            return -1;
        }

        section->ignored = ignored ? 1 : 0;
        section->prefixed = prefixed ? 1 : 0;
    }

    reader->section = section;

    return 0;
}


static ngx_ivschat_section_t *
ngx_ivschat_profile_section(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name)
{
    char                   *p;
    ngx_ivschat_section_t  *section;

    if (reader->profiles->nsections == NGX_IVSCHAT_SECTIONS_MAX) {
        (void) ngx_ivschat_profile_fail(reader, "there are more than 8192 "
                                        "sections");
        return NULL;
    }

    section = calloc(1, sizeof(ngx_ivschat_section_t) + name.len + 1);

    if (section == NULL) {
        (void) ngx_ivschat_profile_fail(reader, "no memory");
        return NULL;
    }

    p = (char *) section + sizeof(ngx_ivschat_section_t);
    memcpy(p, name.data, name.len);

    section->name.data = p;
    section->name.len = name.len;
    section->type = type;
    section->file = reader->file;
    section->line = reader->line;

    section->next = reader->profiles->sections;
    reader->profiles->sections = section;
    reader->profiles->nsections++;

    return section;
}


static int
ngx_ivschat_profile_continue(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line)
{
    ngx_ivschat_str_t  key, value, feed = ngx_ivschat_string("\n");

    switch (reader->continued) {

    case NGX_IVSCHAT_NOTHING:
        return ngx_ivschat_profile_fail(reader, "the line begins with a blank, "
                                        "but there is no property in this "
                                        "section that it could continue");

    case NGX_IVSCHAT_IGNORED:
        return 0;

    case NGX_IVSCHAT_NESTED:

        if (ngx_ivschat_profile_split(line, &key, &value) != 0) {
            return ngx_ivschat_profile_fail(reader, "no \"=\" in a line that "
                                            "belongs to a property with an "
                                            "empty value");
        }

        if (key.len == 0) {
            return ngx_ivschat_profile_fail(reader, "no name before \"=\"");
        }

        break;

    default: /* NGX_IVSCHAT_VALUE */
        break;
    }

    if (ngx_ivschat_profile_append(reader->entry, feed) != 0
        || ngx_ivschat_profile_append(reader->entry, line) != 0)
    {
        return ngx_ivschat_profile_fail(reader, "no memory");
    }

    return 0;
}


static int
ngx_ivschat_profile_property(ngx_ivschat_profile_reader_t *reader,
    ngx_ivschat_str_t line)
{
    ngx_ivschat_str_t     key, value;
    ngx_ivschat_entry_t  *entry;

    line = ngx_ivschat_profile_uncomment(line, 1);

    if (ngx_ivschat_profile_split(line, &key, &value) != 0) {
        return ngx_ivschat_profile_fail(reader, "no \"=\" in the line");
    }

    if (key.len == 0) {
        return ngx_ivschat_profile_fail(reader, "no name before \"=\"");
    }

    if (!ngx_ivschat_profile_name_valid(key)) {
        reader->continued = NGX_IVSCHAT_IGNORED;
        return 0;
    }

    entry = ngx_ivschat_profile_entry(reader->section, key);

    if (entry == NULL) {

        if (reader->section->nentries == NGX_IVSCHAT_PROPERTIES_MAX) {
            return ngx_ivschat_profile_fail(reader, "the section has more than "
                                            "512 properties");
        }

        entry = ngx_ivschat_profile_add_entry(reader->section, key);

        if (entry == NULL) {
            return ngx_ivschat_profile_fail(reader, "no memory");
        }
    }

    explicit_bzero(entry->value, entry->len);

    entry->len = 0;
    entry->file = reader->file;
    entry->line = reader->line;

    if (ngx_ivschat_profile_append(entry, value) != 0) {
        return ngx_ivschat_profile_fail(reader, "no memory");
    }

    reader->entry = entry;
    reader->continued = value.len != 0 ? NGX_IVSCHAT_VALUE
                                       : NGX_IVSCHAT_NESTED;

    return 0;
}


static int
ngx_ivschat_profile_fail(ngx_ivschat_profile_reader_t *reader, const char *why)
{
    reader->why = why;

    return -1;
}


static ngx_ivschat_section_t *
ngx_ivschat_profile_find(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name)
{
    ngx_ivschat_section_t  *section;

    for (section = profiles->sections; section; section = section->next) {
        if (!section->ignored
            && section->type == type
            && section->name.len == name.len
            && memcmp(section->name.data, name.data, name.len) == 0)
        {
            return section;
        }
    }

    return NULL;
}


static ngx_ivschat_entry_t *
ngx_ivschat_profile_entry(const ngx_ivschat_section_t *section,
    ngx_ivschat_str_t key)
{
    ngx_ivschat_entry_t  *entry;

    for (entry = section->entries; entry; entry = entry->next) {
        if (strlen(entry->key) == key.len
            && strncasecmp(entry->key, key.data, key.len) == 0)
        {
            return entry;
        }
    }

    return NULL;
}


static ngx_ivschat_entry_t *
ngx_ivschat_profile_add_entry(ngx_ivschat_section_t *section,
    ngx_ivschat_str_t key)
{
    size_t                i;
    ngx_ivschat_entry_t  *entry;

    entry = calloc(1, sizeof(ngx_ivschat_entry_t));
    if (entry == NULL) {
        return NULL;
    }

    entry->size = 64;
    entry->value = calloc(1, entry->size);
    entry->key = malloc(key.len + 1);

    if (entry->value == NULL || entry->key == NULL) {
        free(entry->value);
        free(entry->key);
        free(entry);
        return NULL;
    }

    for (i = 0; i < key.len; i++) {
        entry->key[i] = ngx_ivschat_profile_lower(key.data[i]);
    }

    entry->key[key.len] = '\0';

    entry->next = section->entries;
    section->entries = entry;
    section->nentries++;

    return entry;
}


/* realloc() would leave what may be a secret behind. */

static int
ngx_ivschat_profile_append(ngx_ivschat_entry_t *entry, ngx_ivschat_str_t s)
{
    char   *p;
    size_t  size;

    if (entry->size - entry->len <= s.len) {
        size = 2 * (entry->len + s.len + 1);

        p = malloc(size);
        if (p == NULL) {
            return -1;
        }

        memcpy(p, entry->value, entry->len);

        explicit_bzero(entry->value, entry->len);
        free(entry->value);

        entry->value = p;
        entry->size = size;
    }

    memcpy(entry->value + entry->len, s.data, s.len);

    entry->len += s.len;
    entry->value[entry->len] = '\0';

    return 0;
}


static void
ngx_ivschat_profile_free_entries(ngx_ivschat_section_t *section)
{
    ngx_ivschat_entry_t  *entry;

    while (section->entries != NULL) {
        entry = section->entries;
        section->entries = entry->next;

        explicit_bzero(entry->value, entry->len);
        free(entry->value);
        free(entry->key);
        free(entry);
    }

    section->nentries = 0;
}


/* Takes off and returns the first line, without its end. */

static ngx_ivschat_str_t
ngx_ivschat_profile_next_line(ngx_ivschat_str_t *text)
{
    const char        *feed;
    ngx_ivschat_str_t  line;

    line = *text;

    feed = text->len != 0 ? memchr(text->data, '\n', text->len) : NULL;

    if (feed == NULL) {
        text->len = 0;

    } else {
        line.len = (size_t) (feed - line.data);
        text->data += line.len + 1;
        text->len -= line.len + 1;
    }

    if (line.len != 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }

    return line;
}


static ngx_ivschat_str_t
ngx_ivschat_profile_trim(ngx_ivschat_str_t s)
{
    while (s.len != 0 && ngx_ivschat_profile_blank(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && ngx_ivschat_profile_blank(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


/* Cuts a comment off; blank: only one that has a blank before it. */

static ngx_ivschat_str_t
ngx_ivschat_profile_uncomment(ngx_ivschat_str_t s, int blank)
{
    size_t  i;

    for (i = 1; i < s.len; i++) {
        if ((s.data[i] == '#' || s.data[i] == ';')
            && (!blank || ngx_ivschat_profile_blank(s.data[i - 1])))
        {
            s.len = i;
        }
    }

    return ngx_ivschat_profile_trim(s);
}


/* At the first "=", both parts trimmed. */

static int
ngx_ivschat_profile_split(ngx_ivschat_str_t s, ngx_ivschat_str_t *key,
    ngx_ivschat_str_t *value)
{
    size_t             n;
    ngx_ivschat_str_t  part;

    for (n = 0; n < s.len; n++) {

        if (s.data[n] != '=') {
            continue;
        }

        part.data = s.data;
        part.len = n;
        *key = ngx_ivschat_profile_trim(part);

        part.data = s.data + n + 1;
        part.len = s.len - n - 1;
        *value = ngx_ivschat_profile_trim(part);

        return 0;
    }

    return -1;
}


/* Takes a word and the blanks behind it off. */

static int
ngx_ivschat_profile_word(ngx_ivschat_str_t *s, const char *word)
{
    size_t  len;

    len = strlen(word);

    if (s->len <= len || memcmp(s->data, word, len) != 0
        || !ngx_ivschat_profile_blank(s->data[len]))
    {
        return -1;
    }

    s->data += len;
    s->len -= len;

    *s = ngx_ivschat_profile_trim(*s);

    return 0;
}


static int
ngx_ivschat_profile_is(ngx_ivschat_str_t s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}


static int
ngx_ivschat_profile_blank(char c)
{
    return  c == ' ' || c == '\t';
}


static char
ngx_ivschat_profile_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char) (c | 0x20) : c;
}
