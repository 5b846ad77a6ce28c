
/*
 * The grammar of AWS's shared config and credentials files.
 */


#include "ngx_ivschat_profile.h"

#include <stdio.h>
#include <stdlib.h>


#define NGX_IVSCHAT_BLANKS   " \t"


typedef struct {
    ngx_ivschat_profiles_t       *profiles;
    ngx_ivschat_section_t        *section;    /* NULL: before the first */
    ngx_ivschat_property_t       *property;   /* that a line may continue */
    ngx_ivschat_profile_file_e    file;
    unsigned                      line;
    unsigned                      skip:1;     /* the property's name is bad */
} ngx_ivschat_reader_t;


/* These return NULL, or why the file cannot be used. */

static const char *ngx_ivschat_read_text(ngx_ivschat_reader_t *reader,
    ngx_ivschat_str_t text);
static const char *ngx_ivschat_read_line(ngx_ivschat_reader_t *reader,
    ngx_ivschat_str_t line);
static const char *ngx_ivschat_read_header(ngx_ivschat_reader_t *reader,
    ngx_ivschat_str_t line);
static const char *ngx_ivschat_enter_section(ngx_ivschat_reader_t *reader,
    ngx_ivschat_section_t *section);
static const char *ngx_ivschat_read_property(ngx_ivschat_reader_t *reader,
    ngx_ivschat_str_t line);
static const char *ngx_ivschat_add_property(ngx_ivschat_reader_t *reader,
    ngx_ivschat_str_t key);
static const char *ngx_ivschat_continue_value(ngx_ivschat_reader_t *reader,
    ngx_ivschat_str_t line);
static const char *ngx_ivschat_split(ngx_ivschat_str_t s,
    ngx_ivschat_str_t *key, ngx_ivschat_str_t *value);

static ngx_ivschat_section_e ngx_ivschat_section_type(
    ngx_ivschat_profile_file_e file, ngx_ivschat_str_t *name);
static void ngx_ivschat_free_properties(ngx_ivschat_section_t *section);
static ngx_ivschat_str_t ngx_ivschat_next_line(ngx_ivschat_str_t *text);
static ngx_ivschat_str_t ngx_ivschat_uncomment(ngx_ivschat_str_t s, int blank);
static int ngx_ivschat_skip_word(ngx_ivschat_str_t *s, const char *word);


int
ngx_ivschat_profiles_parse(ngx_ivschat_profiles_t *profiles, char *reason,
    size_t size)
{
    size_t                 i;
    const char            *why;
    ngx_ivschat_str_t      text;
    ngx_ivschat_reader_t   reader;

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {

        text.data = profiles->files[i].text;
        text.len = profiles->files[i].len;

        memset(&reader, 0, sizeof(ngx_ivschat_reader_t));
        reader.profiles = profiles;
        reader.file = (ngx_ivschat_profile_file_e) i;

        why = text.data ? ngx_ivschat_read_text(&reader, text) : NULL;

        if (why != NULL) {
            return ngx_ivschat_fail(reason, size, "%s:%u: %s",
                                    profiles->files[i].name, reader.line, why);
        }
    }

    return 0;
}


void
ngx_ivschat_profiles_free(ngx_ivschat_profiles_t *profiles)
{
    size_t                       i;
    ngx_ivschat_section_t       *section;
    ngx_ivschat_profile_file_t  *file;

    while (profiles->sections != NULL) {
        section = profiles->sections;
        profiles->sections = section->next;

        ngx_ivschat_free_properties(section);
        free(section);
    }

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {
        file = &profiles->files[i];

        if (file->text != NULL) {
            explicit_bzero(file->text, file->len);
            free(file->text);
            file->text = NULL;
        }
    }
}


ngx_ivschat_section_t *
ngx_ivschat_profiles_section(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_section_e type, ngx_ivschat_str_t name)
{
    ngx_ivschat_section_t  *section;

    for (section = profiles->sections; section; section = section->next) {
        if (section->type == type
            && ngx_ivschat_str_equal(section->name, name))
        {
            return section;
        }
    }

    return NULL;
}


ngx_ivschat_property_t *
ngx_ivschat_section_property(const ngx_ivschat_section_t *section,
    ngx_ivschat_str_t key)
{
    ngx_ivschat_property_t  *property;

    for (property = section->properties; property; property = property->next) {
        if (property->key.len == key.len
            && strncasecmp(property->key.data, key.data, key.len) == 0)
        {
            return property;
        }
    }

    return NULL;
}


int
ngx_ivschat_profile_nested(ngx_ivschat_str_t value, ngx_ivschat_str_t key,
    ngx_ivschat_str_t *nested)
{
    int                found;
    ngx_ivschat_str_t  line, name, rest;

    found = -1;

    /* the first line is the one with the name; the last match counts */

    (void) ngx_ivschat_next_line(&value);

    while (value.len != 0) {
        line = ngx_ivschat_uncomment(ngx_ivschat_next_line(&value), 1);

        if (ngx_ivschat_split(line, &name, &rest) == NULL
            && name.len == key.len
            && strncasecmp(name.data, key.data, key.len) == 0)
        {
            *nested = rest;
            found = 0;
        }
    }

    return found;
}


const ngx_ivschat_section_t *
ngx_ivschat_profiles_misplaced(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_str_t name)
{
    ngx_ivschat_str_t             s;
    const ngx_ivschat_section_t  *section;

    for (section = profiles->sections; section; section = section->next) {
        s = section->name;

        if (section->type == NGX_IVSCHAT_IGNORED
            && (section->file == NGX_IVSCHAT_CONFIG
                || ngx_ivschat_skip_word(&s, "profile"))
            && ngx_ivschat_str_equal(s, name))
        {
            return section;
        }
    }

    return NULL;
}


int
ngx_ivschat_profile_name_valid(ngx_ivschat_str_t name)
{
    return name.len != 0
           && ngx_ivschat_str_only(name, NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS
                                   "_-/.%@:+");
}


static const char *
ngx_ivschat_read_text(ngx_ivschat_reader_t *reader, ngx_ivschat_str_t text)
{
    const char         *why;
    ngx_ivschat_str_t   line;

    reader->line = 1;

    if (text.len > NGX_IVSCHAT_PROFILE_FILE_MAX) {
        return "the file is larger than "
               ngx_ivschat_value(NGX_IVSCHAT_PROFILE_FILE_MB) " MB";
    }

    if (ngx_ivschat_str_skip(&text, "\xef\xbb\xbf")) {
        return "the file begins with a byte order mark: save it as UTF-8 "
               "without one";
    }

    for ( /* void */ ; text.len != 0; reader->line++) {
        line = ngx_ivschat_next_line(&text);
        why = ngx_ivschat_read_line(reader, line);

        if (why != NULL) {
            return why;
        }
    }

    return NULL;
}


static const char *
ngx_ivschat_read_line(ngx_ivschat_reader_t *reader, ngx_ivschat_str_t line)
{
    size_t             i;
    unsigned char      c;
    ngx_ivschat_str_t  s;

    if (line.len != 0 && memchr(line.data, '\0', line.len) != NULL) {
        return "the line has a NUL: is it UTF-16?  It must be UTF-8";
    }

    s = ngx_ivschat_str_trim(line, NGX_IVSCHAT_BLANKS);

    if (s.len == 0 || s.data[0] == '#' || s.data[0] == ';') {
        return NULL;
    }

    if (line.data[0] == '[') {
        return ngx_ivschat_read_header(reader, s);
    }

    if (reader->section == NULL) {
        return "there must be a section, \"[…]\", before the first property";
    }

    if (reader->section->type == NGX_IVSCHAT_IGNORED) {
        return NULL;
    }

    for (i = 0; i < s.len; i++) {
        c = (unsigned char) s.data[i];

        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return "the line has a control character";
        }
    }

    return s.data != line.data ? ngx_ivschat_continue_value(reader, s)
                               : ngx_ivschat_read_property(reader, s);
}


static const char *
ngx_ivschat_read_header(ngx_ivschat_reader_t *reader, ngx_ivschat_str_t line)
{
    ngx_ivschat_section_t  section;

    line = ngx_ivschat_uncomment(line, 0);

    if (line.data[line.len - 1] != ']') {
        return "a section must end with \"]\"";
    }

    line.data++;
    line.len -= 2;

    line = ngx_ivschat_str_trim(line, NGX_IVSCHAT_BLANKS);

    if (line.len == 0 || (reader->file == NGX_IVSCHAT_CONFIG
                          && ngx_ivschat_str_is(line, "profile")))
    {
        return "the section has no name";
    }

    memset(&section, 0, sizeof(ngx_ivschat_section_t));

    section.name = line;
    section.type = ngx_ivschat_section_type(reader->file, &section.name);
    section.prefixed = section.name.len != line.len;
    section.file = reader->file;
    section.line = reader->line;

    return ngx_ivschat_enter_section(reader, &section);
}


/* Cuts the type off the name, unless the section is to be ignored. */

static ngx_ivschat_section_e
ngx_ivschat_section_type(ngx_ivschat_profile_file_e file,
    ngx_ivschat_str_t *name)
{
    ngx_ivschat_str_t      s;
    ngx_ivschat_section_e  type;

    s = *name;
    type = NGX_IVSCHAT_PROFILE;

    if (file == NGX_IVSCHAT_CONFIG && !ngx_ivschat_skip_word(&s, "profile")) {

        if (ngx_ivschat_skip_word(&s, "services")) {
            type = NGX_IVSCHAT_SERVICES;

        } else if (!ngx_ivschat_str_is(s, "default")) {
            return NGX_IVSCHAT_IGNORED;
        }
    }

    if (file == NGX_IVSCHAT_CONFIG && s.len > 2
        && (*s.data == '"' || *s.data == '\'')
        && s.data[s.len - 1] == *s.data)
    {
        s.data++;
        s.len -= 2;
    }

    if (!ngx_ivschat_profile_name_valid(s)) {
        return NGX_IVSCHAT_IGNORED;
    }

    *name = s;

    return type;
}


/* The lines that follow belong to this section. */

static const char *
ngx_ivschat_enter_section(ngx_ivschat_reader_t *reader,
    ngx_ivschat_section_t *section)
{
    ngx_ivschat_section_t   *known;
    ngx_ivschat_profiles_t  *profiles;

    profiles = reader->profiles;
    reader->property = NULL;
    reader->skip = 0;

    known = section->type == NGX_IVSCHAT_IGNORED ? NULL
            : ngx_ivschat_profiles_section(profiles, section->type,
                                           section->name);

    /* of [default] and [profile default] in config only the latter counts */

    if (known != NULL && reader->file == NGX_IVSCHAT_CONFIG) {

        if (section->prefixed && !known->prefixed) {
            ngx_ivschat_free_properties(known);
            known->prefixed = 1;

        } else if (!section->prefixed && known->prefixed) {
            section->type = NGX_IVSCHAT_IGNORED;
            known = NULL;
        }
    }

    if (known == NULL) {

        if (profiles->nsections == NGX_IVSCHAT_SECTIONS_MAX) {
            return "there are more than "
                   ngx_ivschat_value(NGX_IVSCHAT_SECTIONS_MAX) " sections";
        }

        known = malloc(sizeof(ngx_ivschat_section_t));

        if (known == NULL) {
            return "out of memory";
        }

        *known = *section;
        known->next = profiles->sections;

        profiles->sections = known;
        profiles->nsections++;
    }

    reader->section = known;

    return NULL;
}


static const char *
ngx_ivschat_read_property(ngx_ivschat_reader_t *reader, ngx_ivschat_str_t line)
{
    const char              *why;
    ngx_ivschat_str_t        key, value;
    ngx_ivschat_property_t  *property;

    line = ngx_ivschat_uncomment(line, 1);
    why = ngx_ivschat_split(line, &key, &value);

    if (why != NULL) {
        return why;
    }

    reader->skip = !ngx_ivschat_profile_name_valid(key);

    if (reader->skip) {
        return NULL;
    }

    reader->property = ngx_ivschat_section_property(reader->section, key);

    if (reader->property == NULL) {
        why = ngx_ivschat_add_property(reader, key);

        if (why != NULL) {
            return why;
        }
    }

    ((char *) value.data)[value.len] = '\0';

    property = reader->property;
    property->value = value;
    property->nested = value.len == 0;
    property->file = reader->file;
    property->line = reader->line;

    return NULL;
}


static const char *
ngx_ivschat_add_property(ngx_ivschat_reader_t *reader, ngx_ivschat_str_t key)
{
    ngx_ivschat_section_t   *section;
    ngx_ivschat_property_t  *property;

    section = reader->section;

    if (section->nproperties == NGX_IVSCHAT_PROPERTIES_MAX) {
        return "the section has more than "
               ngx_ivschat_value(NGX_IVSCHAT_PROPERTIES_MAX) " properties";
    }

    property = calloc(1, sizeof(ngx_ivschat_property_t));

    if (property == NULL) {
        return "out of memory";
    }

    property->key = key;
    property->next = section->properties;

    section->properties = property;
    section->nproperties++;

    reader->property = property;

    return NULL;
}


/* A line that begins with a blank. */

static const char *
ngx_ivschat_continue_value(ngx_ivschat_reader_t *reader,
    ngx_ivschat_str_t line)
{
    char               *end;
    const char         *why;
    ngx_ivschat_str_t   key, rest, *value;

    if (reader->skip) {
        return NULL;
    }

    if (reader->property == NULL) {
        return "the line is indented, but this section has no property that "
               "it could continue";
    }

    if (reader->property->nested) {

        if (memchr(line.data, '=', line.len) == NULL) {
            return "no \"=\" in a line that belongs to a property with an "
                   "empty value";
        }

        why = ngx_ivschat_split(line, &key, &rest);

        if (why != NULL) {
            return why;
        }
    }

    /* the value ends before this line, with a line end and a blank between */

    value = &reader->property->value;
    end = (char *) value->data + value->len;

    *end++ = '\n';
    memmove(end, line.data, line.len);
    end[line.len] = '\0';

    value->len += 1 + line.len;

    return NULL;
}


/* At the first "=", both parts trimmed. */

static const char *
ngx_ivschat_split(ngx_ivschat_str_t s, ngx_ivschat_str_t *key,
    ngx_ivschat_str_t *value)
{
    size_t  len;

    len = s.len;
    *key = ngx_ivschat_str_cut(&s, '=');

    if (key->len == len) {
        return "no \"=\" in the line";
    }

    *key = ngx_ivschat_str_trim(*key, NGX_IVSCHAT_BLANKS);
    *value = ngx_ivschat_str_trim(s, NGX_IVSCHAT_BLANKS);

    return key->len != 0 ? NULL : "no name before \"=\"";
}


static void
ngx_ivschat_free_properties(ngx_ivschat_section_t *section)
{
    ngx_ivschat_property_t  *property;

    while (section->properties != NULL) {
        property = section->properties;
        section->properties = property->next;

        free(property);
    }

    section->nproperties = 0;
}


/* Takes off and returns the first line, without its end. */

static ngx_ivschat_str_t
ngx_ivschat_next_line(ngx_ivschat_str_t *text)
{
    ngx_ivschat_str_t  line;

    line = ngx_ivschat_str_cut(text, '\n');

    if (line.len != 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }

    return line;
}


/* Cuts a comment off; blank: only one that follows a blank. */

static ngx_ivschat_str_t
ngx_ivschat_uncomment(ngx_ivschat_str_t s, int blank)
{
    size_t  i;

    for (i = 1; i < s.len; i++) {
        if ((s.data[i] == '#' || s.data[i] == ';')
            && (!blank || s.data[i - 1] == ' ' || s.data[i - 1] == '\t'))
        {
            s.len = i;
        }
    }

    return ngx_ivschat_str_trim(s, NGX_IVSCHAT_BLANKS);
}


/* Takes off a word and the blanks after it; 0 if it is not there. */

static int
ngx_ivschat_skip_word(ngx_ivschat_str_t *s, const char *word)
{
    ngx_ivschat_str_t  rest, trimmed;

    rest = *s;

    if (!ngx_ivschat_str_skip(&rest, word)) {
        return 0;
    }

    trimmed = ngx_ivschat_str_trim(rest, NGX_IVSCHAT_BLANKS);

    if (trimmed.len == rest.len) {
        return 0;
    }

    *s = trimmed;

    return 1;
}
