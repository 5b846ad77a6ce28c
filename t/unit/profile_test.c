
/*
 * AWS's shared config and credentials files: their grammar, and what a
 * profile means.
 */


#include "aws/ngx_ivschat_profile.h"
#include "aws/ngx_ivschat_profile_plan.h"
#include "aws/ngx_ivschat_credentials.h"

#include <stdlib.h>

#include "tap.h"


#define size(a)  (sizeof(a) / sizeof((a)[0]))

#define str(s)   ngx_ivschat_str(s)

#define S(literal)   ngx_ivschat_string(literal)

#define SECRET       "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


/* A property that must be there; key NULL: the section has none. */

typedef struct {
    ngx_ivschat_section_e    type;
    const char              *section;  /* NULL: the end */
    const char              *key;
    const char              *value;
} expect_t;

typedef struct {
    const char   *name;
    const char   *config;
    const char   *credentials;
    const char   *error;               /* whole; NULL: expect counts */
    expect_t      expect[5];
} grammar_case_t;

typedef struct {
    const char          *config;
    const char          *credentials;
    ngx_ivschat_plan_e   rc;           /* ERROR also for what cannot be read */
    const char          *error;        /* its beginning */
} malformed_case_t;

typedef struct {
    const char          *name;
    const char          *config;
    const char          *credentials;
    ngx_ivschat_plan_e   rc;
    const char          *text;         /* of the plan, or of the reason */
} plan_case_t;


#define P(section, key, value)                                                \
    { NGX_IVSCHAT_PROFILE, section, key, value }
#define EMPTY(section)                                                        \
    { NGX_IVSCHAT_PROFILE, section, NULL, NULL }
#define SERVICES(section, key, value)                                         \
    { NGX_IVSCHAT_SERVICES, section, key, value }
#define NONE                                                                  \
    { NGX_IVSCHAT_PROFILE, NULL, NULL, NULL }


/*
 * The cases that AWS's SDKs have in common (profile-parser-tests.json of
 * smithy-rs), in their order, with our texts of errors; then our own.
 */

static const grammar_case_t  common[] = {

    { "Empty files have no profiles", "", NULL, NULL, { NONE } },
    { "Empty profiles have no properties", "[profile foo]", NULL, NULL,
      { EMPTY("foo") } },
    { "Profile names support alphanumeric characters and - / . % @ _ : +",
      "[profile some-thing:long/the_one%only.foo@bar+]\n[profile foo!bar]",
      NULL, NULL, { EMPTY("some-thing:long/the_one%only.foo@bar+") } },
    { "Profile definitions must end with brackets", "[profile foo", NULL,
      "config:1: a section must end with \"]\"", { NONE } },
    { "Profile names should be trimmed", "[profile \tfoo \t]", NULL, NULL,
      { EMPTY("foo") } },
    { "Tabs can separate profile names from profile prefix",
      "[profile\tfoo]", NULL, NULL, { EMPTY("foo") } },
    { "Properties must be defined in a profile", "name = value", NULL,
      "config:1: there must be a section, \"[…]\", before the first property",
      { NONE } },
    { "Profiles can contain properties", "[profile foo]\nname = value", NULL,
      NULL, { P("foo", "name", "value") } },
    { "Windows style line endings are supported",
      "[profile foo]\r\nname = value", NULL, NULL,
      { P("foo", "name", "value") } },
    { "Equals signs are supported in property values",
      "[profile foo]\nname = val=ue", NULL, NULL,
      { P("foo", "name", "val=ue") } },
    { "Unicode characters are supported in property values",
      "[profile foo]\nname = \xf0\x9f\x98\x82", NULL, NULL,
      { P("foo", "name", "\xf0\x9f\x98\x82") } },
    { "Profiles can contain multiple properties",
      "[profile foo]\nname = value\nname2 = value2", NULL, NULL,
      { P("foo", "name", "value"), P("foo", "name2", "value2") } },
    { "Profiles can contain multiple properties (again)",
      "[profile foo]\nname = value\nname2 = value2", NULL, NULL,
      { P("foo", "name", "value"), P("foo", "name2", "value2") } },
    { "Property keys and values are trimmed",
      "[profile foo]\nname \t=  \tvalue \t", NULL, NULL,
      { P("foo", "name", "value") } },
    { "Property values can be empty", "[profile foo]\nname =", NULL, NULL,
      { P("foo", "name", "") } },
    { "Property key cannot be empty", "[profile foo]\n= value", NULL,
      "config:2: no name before \"=\"", { NONE } },
    { "Property definitions must contain an equals sign",
      "[profile foo]\nkey : value", NULL, "config:2: no \"=\" in the line",
      { NONE } },
    { "Multiple profiles can be empty", "[profile foo]\n[profile bar]", NULL,
      NULL, { EMPTY("foo"), EMPTY("bar") } },
    { "Multiple profiles can have properties",
      "[profile foo]\nname = value\n[profile bar]\nname2 = value2", NULL,
      NULL, { P("foo", "name", "value"), P("bar", "name2", "value2") } },
    { "Blank lines are ignored",
      "\t \n[profile foo]\n\t\n \nname = value\n\t \n[profile bar]\n \t",
      NULL, NULL, { P("foo", "name", "value"), EMPTY("bar") } },
    { "Pound sign comments are ignored",
      "# Comment\n[profile foo] # Comment\n"
      "name = value # Comment with # sign", NULL, NULL,
      { P("foo", "name", "value") } },
    { "Semicolon sign comments are ignored",
      "; Comment\n[profile foo] ; Comment\n"
      "name = value ; Comment with ; sign", NULL, NULL,
      { P("foo", "name", "value") } },
    { "All comment types can be used together",
      "# Comment\n[profile foo] ; Comment\n"
      "name = value # Comment with ; sign", NULL, NULL,
      { P("foo", "name", "value") } },
    { "Comments can be empty", ";\n[profile foo];\nname = value ;\n", NULL,
      NULL, { P("foo", "name", "value") } },
    { "Comments can be adjacent to profile names",
      "[profile foo]; Adjacent semicolons\n"
      "[profile bar]# Adjacent pound signs", NULL, NULL,
      { EMPTY("foo"), EMPTY("bar") } },
    { "Comments adjacent to values are included in the value",
      "[profile foo]\nname = value; Adjacent semicolons\n"
      "name2 = value# Adjacent pound signs", NULL, NULL,
      { P("foo", "name", "value; Adjacent semicolons"),
        P("foo", "name2", "value# Adjacent pound signs") } },
    { "Property values can be continued on the next line",
      "[profile foo]\nname = value\n -continued", NULL, NULL,
      { P("foo", "name", "value\n-continued") } },
    { "Property values can be continued with multiple lines",
      "[profile foo]\nname = value\n -continued\n -and-continued", NULL, NULL,
      { P("foo", "name", "value\n-continued\n-and-continued") } },
    { "Continuations are trimmed",
      "[profile foo]\nname = value\n \t -continued \t ", NULL, NULL,
      { P("foo", "name", "value\n-continued") } },
    { "Continuation values include pound comments",
      "[profile foo]\nname = value\n -continued # Comment", NULL, NULL,
      { P("foo", "name", "value\n-continued # Comment") } },
    { "Continuation values include semicolon comments",
      "[profile foo]\nname = value\n -continued ; Comment", NULL, NULL,
      { P("foo", "name", "value\n-continued ; Comment") } },
    { "Continuations cannot be used outside of a profile", " -continued",
      NULL, "config:1: there must be a section, \"[…]\", before the first "
      "property", { NONE } },
    { "Continuations cannot be used outside of a property",
      "[profile foo]\n -continued", NULL, "config:2: the line is indented, "
      "but this section has no property that it could continue",
      { NONE } },
    { "Continuations reset with profile definitions",
      "[profile foo]\nname = value\n[profile foo]\n -continued", NULL,
      "config:4: the line is indented, but this section has no property "
      "that it could continue", { NONE } },
    { "Duplicate profiles in the same file merge properties",
      "[profile foo]\nname = value\n[profile foo]\nname2 = value2", NULL,
      NULL, { P("foo", "name", "value"), P("foo", "name2", "value2") } },
    { "Duplicate properties in a profile use the last one defined",
      "[profile foo]\nname = value\nname = value2", NULL, NULL,
      { P("foo", "name", "value2") } },
    { "Duplicate properties in duplicate profiles use the last one defined",
      "[profile foo]\nname = value\n[profile foo]\nname = value2", NULL, NULL,
      { P("foo", "name", "value2") } },
    { "Duplicate properties in duplicate profiles use the last one defined "
      "(case insensitive)",
      "[profile foo]\nName = value\n[profile foo]\nname = value2", NULL, NULL,
      { P("foo", "name", "value2") } },
    { "Default profile with profile prefix overrides default profile without "
      "prefix when profile prefix is first",
      "[profile default]\nname = value\n[default]\nname2 = value2", NULL,
      NULL, { P("default", "name", "value") } },
    { "Default profile with profile prefix overrides default profile without "
      "prefix when profile prefix is last",
      "[default]\nname2 = value2\n[profile default]\nname = value", NULL,
      NULL, { P("default", "name", "value") } },
    { "Invalid profile names are ignored",
      "[profile in valid]\nname = value", "[in valid 2]\nname2 = value2", NULL,
      { NONE } },
    { "Invalid property names are ignored",
      "[profile foo]\nin valid = value", NULL, NULL, { EMPTY("foo") } },
    { "All valid profile name characters are supported",
      "[profile ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
      "0123456789-_]", NULL, NULL,
      { EMPTY("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
              "0123456789-_") } },
    { "All valid property name characters are supported",
      "[profile foo]\nABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
      "0123456789-_ = value", NULL, NULL,
      { P("foo", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
                 "0123456789-_", "value") } },
    { "Properties can have sub-properties",
      "[profile foo]\ns3 =\n name = value", NULL, NULL,
      { P("foo", "s3", "\nname = value") } },
    { "Invalid sub-property definitions cause an error",
      "[profile foo]\ns3 =\n invalid", NULL, "config:3: no \"=\" in a line "
      "that belongs to a property with an empty value", { NONE } },
    { "Sub-property definitions can have an empty value",
      "[profile foo]\ns3 =\n name =", NULL, NULL,
      { P("foo", "s3", "\nname =") } },
    { "Sub-property definitions cannot have an empty name",
      "[profile foo]\ns3 =\n = value", NULL, "config:3: no name before \"=\"",
      { NONE } },
    { "Sub-property definitions can have an invalid name",
      "[profile foo]\ns3 =\n in valid = value", NULL, NULL,
      { P("foo", "s3", "\nin valid = value") } },
    { "Sub-properties can have blank lines that are ignored",
      "[profile foo]\ns3 =\n name = value\n\t \n name2 = value2", NULL, NULL,
      { P("foo", "s3", "\nname = value\nname2 = value2") } },
    { "Profiles duplicated in multiple files are merged",
      "[profile foo]\nname = value", "[foo]\nname2 = value2", NULL,
      { P("foo", "name", "value"), P("foo", "name2", "value2") } },
    { "Default profiles with mixed prefixes in the config file ignore the one "
      "without prefix when merging",
      "[profile default]\nname = value\n[default]\nname2 = value2\n"
      "[profile default]\nname3 = value3", NULL, NULL,
      { P("default", "name", "value"), P("default", "name3", "value3") } },
    { "Default profiles with mixed prefixes merge with credentials",
      "[profile default]\nname = value\n[default]\nname2 = value2\n"
      "[profile default]\nname3 = value3", "[default]\nsecret=foo", NULL,
      { P("default", "name", "value"), P("default", "name3", "value3"),
        P("default", "secret", "foo") } },
    { "Duplicate properties between files uses credentials property",
      "[profile foo]\nname = value", "[foo]\nname = value2", NULL,
      { P("foo", "name", "value2") } },
    { "Config profiles without prefix are ignored", "[foo]\nname = value",
      NULL, NULL, { NONE } },
    { "Credentials profiles with prefix are ignored", NULL,
      "[profile foo]\nname = value", NULL, { NONE } },
    { "Comment characters adjacent to profile decls",
      "[profile foo]; semicolon\n[profile bar]# pound", NULL, NULL,
      { EMPTY("foo"), EMPTY("bar") } },
    { "Invalid continuation",
      "[profile foo]\nname = value\n[profile foo]\n -continued", NULL,
      "config:4: the line is indented, but this section has no property "
      "that it could continue", { NONE } },
    { "sneaky profile name",
      "[profilefoo]\nname = value\n[profile bar]", NULL, NULL,
      { EMPTY("bar") } },
    { "profile name with extra whitespace",
      "[   profile foo    ]\nname = value\n[profile bar]", NULL, NULL,
      { EMPTY("bar"), P("foo", "name", "value") } },
    { "profile name with extra whitespace in credentials", NULL,
      "[   foo    ]\nname = value\n[profile bar]", NULL,
      { P("foo", "name", "value") } },
    { "properties from an invalid profile name are ignored",
      "[profile foo]\nname = value\n[profile in valid]\nx = 1\n"
      "[profile bar]\nname = value2", NULL, NULL,
      { P("bar", "name", "value2"), P("foo", "name", "value") } },
    { "sso-session with properties is skipped",
      "[sso-session foo]\nname = value\n[profile bar]", NULL, NULL,
      { EMPTY("bar") } },
    { "sso-session without the space before the name is a profile", NULL,
      "[sso-sessionfoo]\nname = value\n[bar]", NULL,
      { P("sso-sessionfoo", "name", "value"), EMPTY("bar") } }
};


static const grammar_case_t  ours[] = {

    { "no files", NULL, NULL, NULL, { NONE } },
    { "an empty credentials file", NULL, "", NULL, { NONE } },
    { "[default] in both", "[default]\na = 1", "[default]\nb = 2", NULL,
      { P("default", "a", "1"), P("default", "b", "2") } },
    { "Windows line ends everywhere",
      "[default]\r\na = 1\r\n\r\nb =\r\n  c = 2\r\n", NULL, NULL,
      { P("default", "a", "1"), P("default", "b", "\nc = 2") } },
    { "no line end at the end", "[default]\na = 1\nb = 2", NULL, NULL,
      { P("default", "a", "1"), P("default", "b", "2") } },
    { "indented comments are comments",
      "[default]\n  # x\na = 1\n  ; y\n\t# z\nb = 2", NULL, NULL,
      { P("default", "a", "1"), P("default", "b", "2") } },
    { "a comment between the lines of a value",
      "[default]\na = 1\n# x\n  2", NULL, NULL,
      { P("default", "a", "1\n2") } },
    { "a comment with a tab before it", "[default]\na = 1\t# x", NULL, NULL,
      { P("default", "a", "1") } },
    { "a comment where a value would be", "[default]\na = # x\n  b = 1", NULL,
      NULL, { P("default", "a", "\nb = 1") } },
    { "a \"#\" in a value", "[default]\na = 1#2;3", NULL, NULL,
      { P("default", "a", "1#2;3") } },
    { "quotes are part of a value", "[default]\na = \"1 2\"", NULL, NULL,
      { P("default", "a", "\"1 2\"") } },
    { "no blanks around \"=\"", "[default]\na=1", NULL, NULL,
      { P("default", "a", "1") } },
    { "keys are lower-cased", NULL, "[default]\nAWS_Access_Key_ID = A", NULL,
      { P("default", "aws_access_key_id", "A") } },
    { "names of profiles are not", NULL, "[Foo]\na = 1\n[foo]\na = 2", NULL,
      { P("Foo", "a", "1"), P("foo", "a", "2") } },
    { "what continues a property with a bad name is ignored",
      "[default]\nin valid = 1\n  more\na = 2", NULL, NULL,
      { P("default", "a", "2") } },
    { "what stands in an ignored section is ignored",
      "[plugins]\nno equals sign\n more\n= 1\n[default]\na = 1", NULL, NULL,
      { P("default", "a", "1") } },
    { "[default ] and [ default]", "[default ]\na = 1\n[ default]\nb = 2",
      NULL, NULL, { P("default", "a", "1"), P("default", "b", "2") } },
    { "a value that is replaced, and continued",
      "[default]\na = 1\na = 2\n  3", "[default]\na = 4\n  5", NULL,
      { P("default", "a", "4\n5") } },
    { "a section [services]",
      "[services s]\nsts =\n  endpoint_url = http://x\n[profile bar]", NULL,
      NULL, { SERVICES("s", "sts", "\nendpoint_url = http://x"),
              EMPTY("bar") } },
    { "no [services] in credentials", NULL, "[services s]\na = 1", NULL,
      { NONE } },
    { "profile and services of the same name",
      "[services s]\na = 1\n[profile s]\nb = 2\n[sso-session s]\nc = 3", NULL,
      NULL, { SERVICES("s", "a", "1"), P("s", "b", "2") } },
    { "a profile that is called profile", "[profile profile]\na = 1",
      "[profile]\nb = 2", NULL,
      { P("profile", "a", "1"), P("profile", "b", "2") } },
    { "an error in the second file", "[default]", "[default]\n\nx",
      "credentials:3: no \"=\" in the line", { NONE } },
    { "lines are counted through blanks and comments",
      "\n\n# x\n[default]\r\n\r\na = 1\n  2\nb", NULL,
      "config:8: no \"=\" in the line", { NONE } }
};


/* Faults of config or credentials, each with the file and the line. */

#define KEYS     "aws_access_key_id = AKIDEXAMPLE\n"                          \
                 "aws_secret_access_key = " SECRET "\n"
#define ROLE     "role_arn = arn:aws:iam::123456789012:role/app\n"
#define OTHER    "\n[profile b]\n" KEYS

#define E        NGX_IVSCHAT_PLAN_ERROR

static const malformed_case_t  malformed[] = {

    /* the grammar */

    { "[default", NULL, E, "config:1: a section must end with \"]\"" },
    { "[default] x\n", NULL, E, "config:1: a section must end with" },
    { "[", NULL, E, "config:1: a section must end with" },
    { "[#]", NULL, E, "config:1: a section must end with" },
    { "[]", NULL, E, "config:1: the section has no name" },
    { "\n[ \t]", NULL, E, "config:2: the section has no name" },
    { "[profile]\n" KEYS, NULL, E, "config:1: the section has no name" },
    { "[ profile ]\n" KEYS, NULL, E, "config:1: the section has no name" },
    { NULL, "[]", E, "credentials:1: the section has no name" },
    { NULL, KEYS, E, "credentials:1: there must be a section" },
    { "# comment\nregion = us-west-2", NULL, E,
      "config:2: there must be a section" },
    { NULL, "[default]\n" SECRET, E, "credentials:2: no \"=\"" },
    { NULL, "[default]\naws_secret_access_key: " SECRET, E,
      "credentials:2: no \"=\"" },
    { NULL, "[default]\naws_access_key_id A # = b", E,
      "credentials:2: no \"=\"" },
    { NULL, "[default]\n= " SECRET, E, "credentials:2: no name before \"=\"" },
    { NULL, "[default]\n  " SECRET, E,
      "credentials:2: the line is indented" },
    { "[default]\nsts =\n  " SECRET, NULL, E,
      "config:3: no \"=\" in a line that belongs to a property" },
    { "[default]\nsts =\n  a = 1\n  = 2", NULL, E,
      "config:4: no name before \"=\"" },
    { "\xef\xbb\xbf[default]\n", NULL, E,
      "config:1: the file begins with a byte order mark" },
    { "[default]\ra = 1\r", NULL, E, "config:1: a section must end with" },
    { "[default]\na = 1\rb = 2\n", NULL, E,
      "config:2: the line has a control character" },
    { "[default]\na = \x1b[1m", NULL, E,
      "config:2: the line has a control character" },
    { "[default]\na = 1\n \x7f", NULL, E,
      "config:3: the line has a control character" },

    /* keys */

    { NULL, "[default]\naws_access_key_id = AKID", E,
      "credentials:2: the profile has aws_access_key_id, but no "
      "aws_secret_access_key" },
    { NULL, "[default]\n\naws_secret_access_key = " SECRET, E,
      "credentials:3: the profile has aws_secret_access_key, but no "
      "aws_access_key_id" },
    { NULL, "[default]\naws_access_key_id =\naws_secret_access_key = "
      SECRET, E, "credentials:3: the profile has aws_secret_access_key" },
    { NULL, "[default]\naws_access_key_id = \"AKID\"\n"
      "aws_secret_access_key = " SECRET, E,
      "credentials:2: aws_access_key_id cannot be used: an access key id has "
      "only" },
    { NULL, "[default]\naws_access_key_id = AKID\n"
      "aws_secret_access_key = " SECRET " x", E,
      "credentials:3: aws_secret_access_key cannot be used" },
    { NULL, "[default]\naws_access_key_id = AKID\n"
      "aws_secret_access_key = " SECRET "\n  x", E,
      "credentials:3: aws_secret_access_key cannot be used" },
    { NULL, "[default]\n" KEYS "aws_session_token = " SECRET " #\n  x", E,
      "credentials:4: aws_session_token cannot be used" },
    { NULL, "[default]\n" KEYS "  [other]\n", E,
      "credentials:3: aws_secret_access_key cannot be used" },

    /* roles */

    { "[default]\n" ROLE, NULL, E,
      "config:2: role_arn needs source_profile, credential_source or" },
    { "[default]\n" KEYS ROLE, NULL, E, "config:4: role_arn needs" },
    { "[default]\nrole_arn = arn:foo\nsource_profile = b" OTHER, NULL, E,
      "config:2: role_arn cannot be used: the ARN of a role has" },
    { "[default]\nsource_profile = b\n"
      "role_arn = arn:aws:iam::123456789:role/RoleA" OTHER, NULL, E,
      "config:3: role_arn cannot be used: the ARN of a role has"
      " the form" },
    { "[default]\n" ROLE "source_profile = b\n"
      "credential_source = Environment" OTHER, NULL, E,
      "config:4: source_profile and credential_source are mutually exclusive" },
    { "[default]\n" ROLE "source_profile = c" OTHER, NULL, E,
      "config:3: source_profile \"c\" is neither in \"config\" nor in "
      "\"credentials\"" },
    { "[default]\n" ROLE "source_profile = b c" OTHER, NULL, E,
      "config:3: invalid name in source_profile" },
    { "[default]\n" ROLE "source_profile = default", NULL, E,
      "config:3: source_profile is the profile itself" },
    { "[default]\n" ROLE "source_profile = default\n"
      "aws_access_key_id = AKID", NULL, E,
      "config:3: source_profile is the profile itself" },
    { "[default]\n" ROLE "source_profile = b\n[profile b]\n" ROLE
      "source_profile = default", NULL, E,
      "config:6: source_profile \"default\" leads to a loop" },
    { "[default]\n" ROLE "source_profile = b\n[profile b]\n", NULL, E,
      "the profile \"b\" has no aws_access_key_id and no role_arn" },
    { "[default]\n" ROLE "source_profile = b\n[profile b]\n"
      "aws_access_key_id = AKID", NULL, E,
      "config:5: the profile has aws_access_key_id, but no" },
    { "[default]\n" ROLE "source_profile = b\nmfa_serial = "
      "arn:aws:iam::123456789012:mfa/me" OTHER, NULL, E,
      "config:4: mfa_serial is not supported, as it requires a typed code" },
    { "[default]\n" ROLE "source_profile = b\nduration_seconds = 60" OTHER,
      NULL, E, "config:4: duration_seconds cannot be used" },
    { "[default]\n" ROLE "source_profile = b\nduration_seconds = 1h" OTHER,
      NULL, E, "config:4: duration_seconds cannot be used" },
    { "[default]\n" ROLE "source_profile = b\n"
      "duration_seconds = 18446744073709555216" OTHER, NULL, E,
      "config:4: duration_seconds cannot be used" },
    { "[default]\n" ROLE "source_profile = b\nduration_seconds = -3600" OTHER,
      NULL, E, "config:4: duration_seconds cannot be used" },
    { "[default]\n" ROLE "source_profile = b\nrole_session_name = a b" OTHER,
      NULL, E, "config:4: role_session_name cannot be used" },
    { "[default]\n" ROLE "source_profile = b\nexternal_id = a" OTHER, NULL, E,
      "config:4: external_id cannot be used" },
    { "[default]\nweb_identity_token_file = /t", NULL, E,
      "config:2: web_identity_token_file needs role_arn" },
    { "[default]\n" ROLE "web_identity_token_file = t", NULL, E,
      "config:3: web_identity_token_file cannot be used: it must be an "
      "absolute path" },
    { "[default]\n" ROLE "web_identity_token_file = /t\n  region = x", NULL, E,
      "config:3: web_identity_token_file cannot be used: the next line" },
    { "[default]\nrole_arn = x\nweb_identity_token_file = /t", NULL, E,
      "config:2: role_arn cannot be used" },
    { "[default]\n" ROLE "source_profile = p1\n"
      "[profile p1]\n" ROLE "source_profile = p2\n"
      "[profile p2]\n" ROLE "source_profile = p3\n"
      "[profile p3]\n" ROLE "source_profile = p4\n"
      "[profile p4]\n" ROLE "source_profile = p5\n"
      "[profile p5]\n" ROLE "source_profile = p6\n"
      "[profile p6]\n" KEYS, NULL, E,
      "config:17: a chain of more than 5 roles" },

    /* region and endpoint */

    { "[default]\nregion = US West\n" KEYS, NULL, E,
      "config:2: region cannot be used" },
    { "[default]\nregion = us-west-2.evil.example/\n" KEYS, NULL, E,
      "config:2: region cannot be used" },
    { "[default]\nendpoint_url = sts.example\n" KEYS, NULL, E,
      "config:2: endpoint_url must be" },
    { "[default]\nendpoint_url = https://\n" KEYS, NULL, E,
      "config:2: endpoint_url must be" },
    { "[default]\nservices = s\n" KEYS, NULL, E,
      "config:2: there is no section" },
    { "[default]\nservices = s\n" KEYS "[services s]\nsts =\n"
      "  endpoint_url = ftp://x", NULL, E,
      "config:6: endpoint_url must be" },

    /* what needs a program, or a person */

    { "[default]\ncredential_process = /usr/bin/x", NULL, E,
      "config:2: credential_process is not supported, as it would block" },
    { "[default]\nregion = x\nsso_session = s\n[sso-session s]", NULL, E,
      "config:3: sso_session is not supported, as SSO requires a browser" },
    { "[default]\nsso_start_url = https://x", NULL, E,
      "config:2: sso_start_url is not supported" },
    { "[default]\nlogin_session = x", NULL, E,
      "config:2: login_session is not supported" },
    { "[default]\n" ROLE "source_profile = b\n[profile b]\n"
      "credential_process = x", NULL, E,
      "config:5: credential_process is not supported" }
};


/* The plan of profile "A". */

#define A_ROLE     "role_arn = arn:aws:iam::123456789012:role/RoleA\n"
#define B_ROLE     "role_arn = arn:aws:iam::123456789012:role/RoleB\n"
#define ROLE_A     "arn:aws:iam::123456789012:role/RoleA"
#define ROLE_B     "arn:aws:iam::123456789012:role/RoleB"
#define PAIR(k, s) "aws_access_key_id = " k "\naws_secret_access_key = " s "\n"

#define OK         NGX_IVSCHAT_PLAN_OK
#define NOTHING    NGX_IVSCHAT_PLAN_NOTHING

static const plan_case_t  plans[] = {

    /*
     * The cases that AWS's SDKs have in common (assume-role-tests.json of
     * smithy-rs), in their order; accounts made 12 digits long.
     */

    { "basic test case, a role_arn backed by a static credential",
      "[profile A]\n" A_ROLE "source_profile = B\n"
      "[profile B]\n" PAIR("abc123", "def456"), NULL, OK,
      "keys abc123 def456 > " ROLE_A },
    { "ignore explicit credentials when source profile is specified",
      "[profile A]\n" PAIR("abc123", "def456") A_ROLE "source_profile = B\n"
      "[profile B]\n" PAIR("ghi890", "jkl123"), NULL, OK,
      "keys ghi890 jkl123 > " ROLE_A },
    { "load role_session_name for the AssumeRole provider",
      "[profile A]\n" A_ROLE "role_session_name = my_session_name\n"
      "source_profile = B\n[profile B]\n" PAIR("abc123", "def456"), NULL, OK,
      "keys abc123 def456 > " ROLE_A " name=my_session_name" },
    { "load external id for the AssumeRole provider",
      "[profile A]\n" A_ROLE "external_id = my_external_id\n"
      "source_profile = B\n[profile B]\n" PAIR("abc123", "def456"), NULL, OK,
      "keys abc123 def456 > " ROLE_A " id=my_external_id" },
    { "self referential profile (first load base creds, then use for the "
      "role)",
      "[profile A]\n" PAIR("abc123", "def456") A_ROLE "source_profile = A\n",
      NULL, OK, "keys abc123 def456 > " ROLE_A },
    { "Load credentials from a credential_source",
      "[profile A]\n" A_ROLE "credential_source = Ec2InstanceMetadata\n",
      NULL, OK, "Ec2InstanceMetadata > " ROLE_A },
    { "role_arn without source source_profile", "[profile A]\n" A_ROLE, NULL,
      E, "config:2: role_arn needs source_profile" },
    { "source profile and credential source both present",
      "[profile A]\n" A_ROLE "credential_source = Environment\n"
      "source_profile = B\n[profile B]\n" PAIR("!23", "456"), NULL, E,
      "config:3: source_profile and credential_source are mutually exclusive" },
    { "partial credentials error (missing secret)",
      "[profile A]\n" A_ROLE "source_profile = B\n[profile B]\n"
      "aws_access_key_id = abc123\n", NULL, E,
      "config:5: the profile has aws_access_key_id, but no" },
    { "partial credentials error (missing access key)",
      "[profile A]\n" A_ROLE "source_profile = B\n[profile B]\n"
      "aws_secret_access_key = abc123\n", NULL, E,
      "config:5: the profile has aws_secret_access_key, but no" },
    { "missing credentials error (empty source profile)",
      "[profile A]\n" A_ROLE "source_profile = B\n[profile B]\n", NULL, E,
      "the profile \"B\" has no aws_access_key_id and no role_arn" },
    { "missing source profile", "[profile A]\n" A_ROLE "source_profile = B\n",
      NULL, E, "config:3: source_profile \"B\" is neither in" },
    { "missing root profile (should never happen in practice)", "", NULL,
      NOTHING, "there is no profile \"A\" in \"config\" or \"credentials\"" },
    { "multiple chained assume role profiles",
      "[profile A]\n" A_ROLE "source_profile = B\n"
      "[profile B]\n" B_ROLE "source_profile = C\n"
      "[profile C]\n" PAIR("mno456", "pqr789"), NULL, OK,
      "keys mno456 pqr789 > " ROLE_B " > " ROLE_A },
    { "chained assume role profiles with static credentials (ignore assume "
      "role when static credentials present)",
      "[profile A]\n" A_ROLE PAIR("bug", "bug") "source_profile = B\n"
      "[profile B]\n" B_ROLE "source_profile = C\n"
      PAIR("profile_b_key", "profile_b_secret")
      "[profile C]\n" PAIR("bug", "bug"), NULL, OK,
      "keys profile_b_key profile_b_secret > " ROLE_A },
    { "assume role profile infinite loop",
      "[profile A]\n" A_ROLE "source_profile = B\n"
      "[profile B]\n" B_ROLE "source_profile = A\n", NULL, E,
      "config:6: source_profile \"A\" leads to a loop" },
    { "infinite loop with static credentials",
      "[profile A]\n" A_ROLE PAIR("bug", "bug") "source_profile = B\n"
      "[profile B]\n" B_ROLE "source_profile = A\n", NULL, E,
      "config:8: source_profile \"A\" leads to a loop" },
    { "web identity role",
      "[profile A]\n" A_ROLE "web_identity_token_file = /var/token.jwt\n",
      NULL, OK, "web " ROLE_A " /var/token.jwt" },
    { "web identity role with session name",
      "[profile A]\n" A_ROLE "web_identity_token_file = /var/token.jwt\n"
      "role_session_name = some_session_name\n", NULL, OK,
      "web " ROLE_A " name=some_session_name /var/token.jwt" },
    { "web identity role without role_arn",
      "[profile A]\nweb_identity_token_file = /var/token.jwt\n", NULL, E,
      "config:2: web_identity_token_file needs role_arn" },
    { "web identity token as source profile",
      "[profile A]\n" A_ROLE "source_profile = B\n[profile B]\n" B_ROLE
      "web_identity_token_file = /var/token.jwt\n"
      "role_session_name = some_session_name\n", NULL, OK,
      "web " ROLE_B " name=some_session_name /var/token.jwt > " ROLE_A },

    /* our own */

    { "keys of credentials", NULL, "[A]\n" PAIR("k", "s"), OK, "keys k s" },
    { "keys with a token", NULL,
      "[A]\n" PAIR("k", "s") "aws_session_token = t\n"
      "aws_account_id = 123456789012\n", OK, "keys k s token=t" },
    { "an empty token is none", NULL,
      "[A]\n" PAIR("k", "s") "aws_session_token =\n", OK, "keys k s" },
    { "credentials go before config", "[profile A]\n" PAIR("bug", "bug"),
      "[A]\n" PAIR("k", "s"), OK, "keys k s" },
    { "a token of config is not for keys of credentials",
      "[profile A]\n" PAIR("bug", "bug") "aws_session_token = bug\n",
      "[A]\n" PAIR("k", "s"), OK, "keys k s" },
    { "a token of credentials is for keys of config",
      "[profile A]\n" PAIR("k", "s"), "[A]\naws_session_token = t\n", OK,
      "keys k s token=t" },
    { "a role of config with keys of credentials",
      "[profile A]\n" A_ROLE "source_profile = B\n", "[B]\n" PAIR("k", "s"),
      OK, "keys k s > " ROLE_A },
    { "Environment", "[profile A]\n" A_ROLE "credential_source=Environment",
      NULL, OK, "Environment > " ROLE_A },
    { "EcsContainer", "[profile A]\n" A_ROLE "credential_source=EcsContainer",
      NULL, OK, "EcsContainer > " ROLE_A },
    { "a source_profile with a credential_source",
      "[profile A]\n" A_ROLE "source_profile = B\nduration_seconds = 900\n"
      "[profile B]\n" B_ROLE "credential_source = EcsContainer\n"
      "duration_seconds = 43200\nexternal_id = x:/y", NULL, OK,
      "EcsContainer > " ROLE_B " id=x:/y s=43200 > " ROLE_A " s=900" },
    { "web_identity_token_file goes before source_profile",
      "[profile A]\n" A_ROLE "source_profile = B\n"
      "web_identity_token_file = /t\n[profile B]\n" PAIR("bug", "bug"), NULL,
      OK, "web " ROLE_A " /t" },
    { "web_identity_token_file goes before keys",
      "[profile A]\n" A_ROLE PAIR("bug", "bug")
      "web_identity_token_file = /t\n", NULL, OK, "web " ROLE_A " /t" },
    { "a web identity has neither external id nor duration",
      "[profile A]\n" A_ROLE "web_identity_token_file = /t\n"
      "external_id = xx\nduration_seconds = 900", NULL, OK,
      "web " ROLE_A " /t" },
    { "an empty role_arn is none",
      "[profile A]\nrole_arn =\n" PAIR("k", "s"), NULL, OK, "keys k s" },
    { "source_profile without role_arn means nothing",
      "[profile A]\nsource_profile = B\n" PAIR("k", "s"), NULL, OK,
      "keys k s" },
    { "keys go before SSO",
      "[profile A]\nsso_session = x\n" PAIR("k", "s"), NULL, OK, "keys k s" },
    { "keys go before a process",
      "[profile A]\ncredential_process = x\n" PAIR("k", "s"), NULL, OK,
      "keys k s" },
    { "a chain of 5 roles",
      "[profile A]\n" A_ROLE "source_profile = p1\n"
      "[profile p1]\n" B_ROLE "source_profile = p2\n"
      "[profile p2]\n" B_ROLE "source_profile = p3\n"
      "[profile p3]\n" B_ROLE "source_profile = p4\n"
      "[profile p4]\n" B_ROLE "source_profile = p5\n"
      "[profile p5]\n" PAIR("k", "s"), NULL, OK,
      "keys k s > " ROLE_B " > " ROLE_B " > " ROLE_B " > " ROLE_B " > "
      ROLE_A },
    { "a role whose source is itself, as a source",
      "[profile A]\n" A_ROLE "source_profile = B\n"
      "[profile B]\n" B_ROLE "source_profile = B\n" PAIR("k", "s"), NULL, OK,
      "keys k s > " ROLE_A },

    { "a region", "[profile A]\nregion = us-west-2\n" PAIR("k", "s"), NULL,
      OK, "keys k s region=us-west-2" },
    { "the region of the profile that is asked for",
      "[profile A]\nregion = r-a\n" A_ROLE "source_profile = B\n"
      "[profile B]\nregion = r-b\n" PAIR("k", "s"), NULL, OK,
      "keys k s > " ROLE_A " region=r-a" },
    { "else that of its source",
      "[profile A]\n" A_ROLE "source_profile = B\n"
      "[profile B]\nregion = r-b\n" PAIR("k", "s"), NULL, OK,
      "keys k s > " ROLE_A " region=r-b" },
    { "an endpoint", "[profile A]\nendpoint_url = http://x:1/\n"
      PAIR("k", "s"), NULL, OK, "keys k s endpoint=http://x:1/" },
    { "an endpoint of services",
      "[profile A]\nendpoint_url = http://bug\nservices = s\n" PAIR("k", "s")
      "[services s]\nivs =\n  endpoint_url = http://bug\n"
      "sts =\n  x = y\n  ENDPOINT_URL = https://x # y\n", NULL, OK,
      "keys k s endpoint=https://x" },
    { "services without STS",
      "[profile A]\nservices = s\nendpoint_url = http://x\n" PAIR("k", "s")
      "[services s]\nivs =\n  endpoint_url = http://bug\n", NULL, OK,
      "keys k s endpoint=http://x" },
    { "endpoints that are not to be followed",
      "[profile A]\nendpoint_url = http://bug\n"
      "ignore_configured_endpoint_urls = True\n" PAIR("k", "s"), NULL, OK,
      "keys k s" },

    { "neither file", NULL, NULL, NOTHING,
      "there is neither \"config\" nor \"credentials\"" },
    { "no such profile", "[default]", "[B]", NOTHING,
      "there is no profile \"A\" in \"config\" or \"credentials\"" },
    { "a profile in config without its prefix", "\n[A]\n" PAIR("k", "s"),
      NULL, NOTHING, "there is no profile \"A\" in \"config\" or "
      "\"credentials\": config:2 must be \"[profile A]\"" },
    { "a profile in credentials with a prefix", NULL,
      "[profile A]\n" PAIR("k", "s"), NOTHING, "there is no profile \"A\" in "
      "\"config\" or \"credentials\": credentials:1 must be \"[A]\"" },
    { "a profile with a region only", "[profile A]\nregion = us-west-2\n",
      NULL, NOTHING, "the profile \"A\" has no aws_access_key_id and no "
      "role_arn" }
};


/*
 * One byte behind the text, as the parser wants it, so that a sanitizer sees
 * who reads further.  drop() ends it.
 */

static ngx_ivschat_profiles_t *
parse_n(const char *config, size_t nconfig, const char *credentials,
    size_t ncredentials, char *reason)
{
    size_t                   i;
    ngx_ivschat_profiles_t  *profiles;

    const char  *text[2] = { config, credentials };
    size_t       len[2] = { nconfig, ncredentials };

    profiles = calloc(1, sizeof(ngx_ivschat_profiles_t));
    if (profiles == NULL) {
        abort();
    }

    profiles->files[NGX_IVSCHAT_CONFIG].name = "config";
    profiles->files[NGX_IVSCHAT_CREDENTIALS].name = "credentials";

    for (i = 0; i < 2; i++) {

        if (text[i] == NULL) {
            continue;
        }

        profiles->files[i].text = malloc(len[i] + 1);
        if (profiles->files[i].text == NULL) {
            abort();
        }

        memcpy(profiles->files[i].text, text[i], len[i]);
        profiles->files[i].text[len[i]] = 'x';
        profiles->files[i].len = len[i];
    }

    reason[0] = '\0';

    if (ngx_ivschat_profiles_parse(profiles, reason, NGX_IVSCHAT_REASON_LEN)
        != 0)
    {
        ngx_ivschat_profiles_free(profiles);
        free(profiles);
        return NULL;
    }

    return profiles;
}


static void
drop(ngx_ivschat_profiles_t *profiles)
{
    if (profiles != NULL) {
        ngx_ivschat_profiles_free(profiles);
        free(profiles);
    }
}


static ngx_ivschat_profiles_t *
parse(const char *config, const char *credentials, char *reason)
{
    return parse_n(config, config ? strlen(config) : 0, credentials,
                   credentials ? strlen(credentials) : 0, reason);
}


static ngx_ivschat_property_t *
get(const ngx_ivschat_profiles_t *profiles, ngx_ivschat_section_e type,
    const char *name, const char *key)
{
    ngx_ivschat_section_t  *section;

    section = ngx_ivschat_profiles_section(profiles, type, str(name));

    return section ? ngx_ivschat_section_property(section, str(key)) : NULL;
}


static void
check_expected(const ngx_ivschat_profiles_t *profiles, const char *name,
    const expect_t *expect)
{
    long                     properties[5], found;
    size_t                   i, k, sections;
    ngx_ivschat_section_t   *section;
    ngx_ivschat_property_t  *property;

    sections = 0;

    for (i = 0; expect[i].section; i++) {

        /* counted with the first mention of the section */

        for (k = 0; k < i; k++) {
            if (expect[k].type == expect[i].type
                && strcmp(expect[k].section, expect[i].section) == 0)
            {
                break;
            }
        }

        if (k == i) {
            sections++;
            properties[k] = 0;
        }

        if (expect[i].key == NULL) {
            continue;
        }

        properties[k]++;

        property = get(profiles, expect[i].type, expect[i].section,
                       expect[i].key);

        if (ok(property != NULL, "%s: %s", name, expect[i].key)) {
            is_str(property->value.data, expect[i].value, "%s: its value",
                   name);
            ok(property->value.len == strlen(expect[i].value),
               "%s: its length", name);
        }

        if (i != k) {
            properties[i] = -1;
        }
    }

    for (k = 0; k < i; k++) {
        if (properties[k] >= 0) {
            section = ngx_ivschat_profiles_section(profiles, expect[k].type,
                                                   str(expect[k].section));
            is_int(section ? (long) section->nproperties : -1, properties[k],
                   "%s: properties of %s", name, expect[k].section);
        }
    }

    found = 0;

    for (section = profiles->sections; section; section = section->next) {
        found += section->type != NGX_IVSCHAT_IGNORED;
    }

    is_int(found, (long) sections, "%s: sections", name);
}


static void
test_grammar(const grammar_case_t *cases, size_t n)
{
    char                     reason[NGX_IVSCHAT_REASON_LEN];
    size_t                   i;
    const grammar_case_t    *c;
    ngx_ivschat_profiles_t  *profiles;

    for (i = 0; i < n; i++) {
        c = &cases[i];

        profiles = parse(c->config, c->credentials, reason);

        if (c->error != NULL) {
            ok(profiles == NULL, "%s: is an error", c->name);
            is_str(reason, c->error, "%s: the reason", c->name);

        } else if (ok(profiles != NULL, "%s: %s", c->name, reason)) {
            check_expected(profiles, c->name, c->expect);
        }

        drop(profiles);
    }
}


static void
test_malformed(void)
{
    char                      reason[NGX_IVSCHAT_REASON_LEN];
    size_t                    i;
    ngx_ivschat_plan_e        rc;
    ngx_ivschat_plan_t        plan;
    ngx_ivschat_credentials_t  creds;
    ngx_ivschat_profiles_t   *profiles;
    const malformed_case_t   *c;

    for (i = 0; i < size(malformed); i++) {
        c = &malformed[i];
        rc = NGX_IVSCHAT_PLAN_ERROR;

        profiles = parse(c->config, c->credentials, reason);

        if (profiles != NULL) {
            rc = ngx_ivschat_profile_plan(profiles, str("default"), &plan,
                                          &creds, reason, sizeof(reason));
        }

        is_int(rc, c->rc, "malformed %d is refused", (int) i);

        if (!ok(strncmp(reason, c->error, strlen(c->error)) == 0,
                "malformed %d: %s", (int) i, reason))
        {
            printf("# expected: %s\n", c->error);
        }

        ok(strstr(reason, "wJalr") == NULL, "malformed %d: no secret in the "
           "reason", (int) i);

        drop(profiles);
    }
}


static void
put(char *text, size_t size, const char *before, const char *s)
{
    size_t  n;

    if (s != NULL && *s != '\0') {
        n = strlen(text);
        (void) snprintf(text + n, size - n, "%s%s", before, s);
    }
}


static void
put_role(char *text, size_t size, const char *before,
    const ngx_ivschat_role_t *role)
{
    size_t  n;

    put(text, size, before, role->role_arn);
    put(text, size, " name=", role->session_name);
    put(text, size, " id=", role->external_id);

    if (role->duration != 0) {
        n = strlen(text);
        (void) snprintf(text + n, size - n, " s=%u", role->duration);
    }
}


static void
put_plan(char *text, size_t size, const ngx_ivschat_plan_t *plan,
    const ngx_ivschat_credentials_t *creds)
{
    size_t  i, n;

    text[0] = '\0';

    if (plan->secret_key != NULL) {
        put(text, size, "keys ", creds->access_key);
        put(text, size, " ", creds->secret_key);
        put(text, size, " token=", creds->session_token);
    }

    if (plan->identity_file != NULL) {
        put_role(text, size, "web ", &plan->web);
        put(text, size, " ", plan->identity_file);
    }

    if (plan->source != NULL) {
        put(text, size, "", plan->source->value.data);
    }

    for (i = plan->nroles; i-- > 0; /* void */ ) {
        put_role(text, size, " > ", &plan->roles[i]);
    }

    put(text, size, " region=", plan->region);

    n = strlen(text);

    if (plan->sts_endpoint.len != 0) {
        (void) snprintf(text + n, size - n, " endpoint=%.*s",
                        (int) plan->sts_endpoint.len, plan->sts_endpoint.data);
    }
}


static void
test_plans(void)
{
    char                      text[4096], reason[NGX_IVSCHAT_REASON_LEN];
    size_t                    i;
    const plan_case_t        *c;
    ngx_ivschat_plan_e        rc;
    ngx_ivschat_plan_t        plan;
    ngx_ivschat_credentials_t  creds;
    ngx_ivschat_profiles_t   *profiles;

    for (i = 0; i < size(plans); i++) {
        c = &plans[i];

        profiles = parse(c->config, c->credentials, reason);

        if (!ok(profiles != NULL, "%s: %s", c->name, reason)) {
            continue;
        }

        rc = ngx_ivschat_profile_plan(profiles, str("A"), &plan, &creds, reason,
                                      sizeof(reason));

        is_int(rc, c->rc, "%s", c->name);

        if (rc == NGX_IVSCHAT_PLAN_OK) {
            put_plan(text, sizeof(text), &plan, &creds);
            is_str(text, c->text, "%s: the plan", c->name);

        } else if (c->rc == NGX_IVSCHAT_PLAN_NOTHING) {
            is_str(reason, c->text, "%s: the reason", c->name);

        } else {
            ok(strncmp(reason, c->text, strlen(c->text)) == 0, "%s: %s",
               c->name, reason);
        }

        drop(profiles);
    }
}


static void
test_where(void)
{
    char                       reason[NGX_IVSCHAT_REASON_LEN];
    ngx_ivschat_str_t          name = S("A"), none = { NULL, 0 }, nested;
    ngx_ivschat_plan_t         plan;
    ngx_ivschat_credentials_t  creds;
    ngx_ivschat_property_t    *property;
    ngx_ivschat_profiles_t    *profiles;

    profiles = parse("[profile A]\na = 1\nb = 2\n", "\n[A]\nb = 3\n", reason);

    if (!ok(profiles != NULL, "two files")) {
        return;
    }

    property = get(profiles, NGX_IVSCHAT_PROFILE, "A", "a");
    ok(property != NULL && property->file == NGX_IVSCHAT_CONFIG
       && property->line == 2, "the place of a property");
    property = get(profiles, NGX_IVSCHAT_PROFILE, "A", "B");
    ok(property != NULL && property->file == NGX_IVSCHAT_CREDENTIALS
       && property->line == 3, "the place of one that was replaced");
    ok(get(profiles, NGX_IVSCHAT_PROFILE, "A", "c") == NULL,
       "no such property");
    ok(get(profiles, NGX_IVSCHAT_PROFILE, "B", "a") == NULL,
       "no such profile");
    ok(get(profiles, NGX_IVSCHAT_SERVICES, "A", "a") == NULL,
       "no such section");
    ok(ngx_ivschat_profiles_section(profiles, NGX_IVSCHAT_PROFILE, none)
       == NULL, "no name at all");

    is_int(ngx_ivschat_profile_plan(profiles, none, &plan, &creds, reason,
                                    sizeof(reason)),
           NGX_IVSCHAT_PLAN_ERROR, "no plan without a name");
    is_int(ngx_ivschat_profile_plan(profiles, str("a b\n"), &plan, &creds,
                                    reason, sizeof(reason)),
           NGX_IVSCHAT_PLAN_ERROR, "nor for what is no name");
    ok(strchr(reason, '\n') == NULL, "%s", reason);

    drop(profiles);

    profiles = parse(NULL, NULL, reason);

    if (ok(profiles != NULL, "no files")) {
        is_int(ngx_ivschat_profile_plan(profiles, name, &plan, &creds, reason,
                                        sizeof(reason)),
               NGX_IVSCHAT_PLAN_NOTHING, "nothing");
    }

    drop(profiles);
        profiles = parse("[profile A]\nregion = r-1\nendpoint_url = http://x\n",
                     NULL, reason);

    if (ok(profiles != NULL, "a region and no credentials")) {
        is_int(ngx_ivschat_profile_plan(profiles, name, &plan, &creds, reason,
                                        sizeof(reason)),
               NGX_IVSCHAT_PLAN_NOTHING, "are no source");
        ok(strcmp(plan.region, "r-1") == 0 && plan.sts_endpoint.len == 8,
           "but the region and the endpoint count");
    }

    drop(profiles);

    ok(ngx_ivschat_profile_nested(str("\na = 1\nb = 2 ; x\na = 3"), str("a"),
                                  &nested) == 0
       && nested.len == 1 && nested.data[0] == '3', "the last of two nested");
    ok(ngx_ivschat_profile_nested(str("\na = 1\nb = 2 ; x"), str("b"), &nested)
       == 0 && nested.len == 1, "a nested one without its comment");
    is_int(ngx_ivschat_profile_nested(str("\na = 1"), str("b"), &nested), -1,
           "no such one");
    is_int(ngx_ivschat_profile_nested(str("b = 1"), str("b"), &nested), -1,
           "the line itself is none");
    is_int(ngx_ivschat_profile_nested(str(""), str("b"), &nested), -1,
           "nothing");
}


static void
test_limits(void)
{
    char                       *text, *p;
    char                        reason[NGX_IVSCHAT_REASON_LEN];
    size_t                      i;
    ngx_ivschat_property_t     *property;
    ngx_ivschat_profiles_t     *profiles;

    text = malloc(NGX_IVSCHAT_PROFILE_FILE_MAX + 2);
    if (text == NULL) {
        abort();
    }

    memset(text, '#', NGX_IVSCHAT_PROFILE_FILE_MAX + 1);

    profiles = parse_n(text, NGX_IVSCHAT_PROFILE_FILE_MAX, NULL, 0, reason);
    ok(profiles != NULL, "a file of 1 MB");
    drop(profiles);

    profiles = parse_n(text, NGX_IVSCHAT_PROFILE_FILE_MAX + 1, NULL, 0,
                       reason);
    ok(profiles == NULL && strcmp(reason, "config:1: the file is larger than "
                                  "1 MB") == 0, "a larger one");

    for (p = text, i = 0; i < 8193; i++) {
        p += sprintf(p, "[profile p%u]\n", (unsigned) i);
    }

    *p = '\0';
    profiles = parse(text, NULL, reason);
    ok(profiles == NULL && strncmp(reason, "config:8193: there are more", 27)
                           == 0, "8193 sections: %s", reason);

    for (p = text + sprintf(text, "[default]\n"), i = 0; i < 513; i++) {
        p += sprintf(p, "k%u = v\n", (unsigned) i);
    }

    *p = '\0';
    profiles = parse(text, NULL, reason);
    ok(profiles == NULL && strncmp(reason, "config:514: the section has more",
                                   32)
                           == 0, "513 properties: %s", reason);

    for (p = text + sprintf(text, "[default]\na = b\n"), i = 0; i < 100000;
         i++)
    {
        p += sprintf(p, " x\n");
    }

    *p = '\0';
    profiles = parse(text, NULL, reason);

    if (ok(profiles != NULL, "a value of 100000 lines")) {
        property = get(profiles, NGX_IVSCHAT_PROFILE, "default", "a");
        ok(property != NULL && property->value.len == 200001,
           "all of them are there");
    }

    drop(profiles);
    free(text);

    /* a NUL, and what an editor calls Unicode */

    profiles = parse_n("[default]\na\0b = c\n", 18, NULL, 0, reason);
    ok(profiles == NULL && strncmp(reason, "config:2: the line has a NUL", 28)
                           == 0, "a NUL: %s", reason);

    profiles = parse_n(NULL, 0, "[\0d\0]\0\n\0", 8, reason);
    ok(profiles == NULL
       && strncmp(reason, "credentials:1: the line has a NUL", 33) == 0,
       "UTF-16: %s", reason);
}


/* Every file that is cut, and every one with one byte broken. */

static void
test_broken(void)
{
    char                     body[512], reason[NGX_IVSCHAT_REASON_LEN];
    size_t                   i, len, leaks, nowhere;
    ngx_ivschat_plan_t         plan;
    ngx_ivschat_credentials_t  creds;
    ngx_ivschat_profiles_t  *profiles;

    static const char  whole[] =
        "[profile A] # x\n" A_ROLE "source_profile=b\nservices = s\n"
        "[profile b]\r\n" KEYS "[services s]\nsts =\n"
        "  endpoint_url = http://x\n";

    len = sizeof(whole) - 1;
    leaks = 0;
    nowhere = 0;

    for (i = 0; i < len * 257; i++) {
        memcpy(body, whole, len);

        if (i < len * 256) {
            body[i / 256] = (char) (i % 256);
            profiles = parse_n(body, len, NULL, 0, reason);

        } else {
            profiles = parse_n(body, i - len * 256, NULL, 0, reason);
        }

        if (profiles != NULL) {
            (void) ngx_ivschat_profile_plan(profiles, str("A"), &plan, &creds,
                                            reason, sizeof(reason));

        } else {
            nowhere += strncmp(reason, "config:", 7) != 0;
        }

        leaks += strstr(reason, "wJalr") != NULL;

        drop(profiles);
    }

    is_int((long long) nowhere, 0, "broken files: where it is always said");
    is_int((long long) leaks, 0, "broken files: no secret in a reason");
}


int
main(void)
{
    is_int(size(common), 64, "the common cases are all there");

    test_grammar(common, size(common));
    test_grammar(ours, size(ours));
    test_malformed();
    test_plans();
    test_where();
    test_limits();
    test_broken();

    return done_testing();
}
