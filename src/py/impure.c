/* SPDX-License-Identifier: MIT */
/*
 * What no hook and no comparison of states can see, and what therefore has a list: the
 * clock, entropy, the environment, the state of files that are not opened, and code
 * that reaches names which the analysis cannot know. A name too many costs a run; a
 * name too few may cost a wrong result.
 */
#include "py/valuehash-private.h"

#include <string.h>

#define CLOCK "reads the clock"
#define ENTROPY "draws random bits"
#define ENVIRONMENT "looks at the process or its environment"
#define FILES "looks at the state of files"
#define NAMESPACE "reaches names that cannot be known"
#define QUERY "evaluates text that may name anything"
#define TALKS "asks the user or the kernel"
#define IDENTITY "depends on addresses or on the hash seed"
#define COMPUTED "sets attributes that cannot be known"
#define HOOKS "changes hooks of the interpreter"
#define LOGGING "configures logging"
#define PROCESS "changes the process"

struct row {
    const char *name;
    const char *why;
};

/* Globals count only when they are the builtin of that name. */
static const struct row globals[] = {
    {"__import__", NAMESPACE}, {"ainput", TALKS},      {"breakpoint", TALKS},
    {"compile", NAMESPACE},    {"delattr", COMPUTED},  {"dir", NAMESPACE},
    {"eval", NAMESPACE},       {"exec", NAMESPACE},    {"exit", TALKS},
    {"get_ipython", TALKS},    {"globals", NAMESPACE}, {"hash", IDENTITY},
    {"help", TALKS},           {"id", IDENTITY},       {"input", TALKS},
    {"locals", NAMESPACE},     {"quit", TALKS},        {"setattr", COMPUTED},
    {"vars", NAMESPACE},
};

static const struct row attributes[] = {
    {"_current_frames", NAMESPACE},
    {"_getframe", NAMESPACE},
    {"absolute", FILES},
    {"abspath", FILES},
    {"access", FILES},
    {"addFilter", LOGGING},
    {"addHandler", LOGGING},
    {"basicConfig", LOGGING},
    {"cache_clear", PROCESS},
    {"captureWarnings", LOGGING},
    {"cpu_count", ENVIRONMENT},
    {"currentframe", NAMESPACE},
    {"cwd", FILES},
    {"dictConfig", LOGGING},
    {"environ", ENVIRONMENT},
    {"environb", ENVIRONMENT},
    {"exists", FILES},
    {"expanduser", ENVIRONMENT},
    {"expandvars", ENVIRONMENT},
    {"f_globals", NAMESPACE},
    {"f_locals", NAMESPACE},
    {"getcwd", FILES},
    {"getcwdb", FILES},
    {"getenv", ENVIRONMENT},
    {"gethostname", ENVIRONMENT},
    {"getloadavg", ENVIRONMENT},
    {"getlogin", ENVIRONMENT},
    {"getmtime", FILES},
    {"getpid", ENVIRONMENT},
    {"getppid", ENVIRONMENT},
    {"getrandbits", ENTROPY},
    {"getrandom", ENTROPY},
    {"getsize", FILES},
    {"getuser", ENVIRONMENT},
    {"glob", FILES},
    {"home", ENVIRONMENT},
    {"iglob", FILES},
    {"import_module", NAMESPACE},
    {"is_dir", FILES},
    {"is_file", FILES},
    {"isdir", FILES},
    {"isfile", FILES},
    {"islink", FILES},
    {"iterdir", FILES},
    {"lexists", FILES},
    {"listdir", FILES},
    {"lstat", FILES},
    {"monotonic", CLOCK},
    {"monotonic_ns", CLOCK},
    {"nice", PROCESS},
    {"now", CLOCK},
    {"perf_counter", CLOCK},
    {"perf_counter_ns", CLOCK},
    {"process_time", CLOCK},
    {"process_time_ns", CLOCK},
    {"query", QUERY},
    {"randbytes", ENTROPY},
    {"removeHandler", LOGGING},
    {"rglob", FILES},
    {"samefile", FILES},
    {"scandir", FILES},
    {"sched_setaffinity", PROCESS},
    {"setLevel", LOGGING},
    {"set_asyncgen_hooks", PROCESS},
    {"set_coroutine_origin_tracking_depth", PROCESS},
    {"set_debug", PROCESS},
    {"set_event_loop", PROCESS},
    {"set_event_loop_policy", PROCESS},
    {"set_int_max_str_digits", PROCESS},
    {"set_start_method", PROCESS},
    {"setdlopenflags", PROCESS},
    {"setlocale", PROCESS},
    {"setpriority", PROCESS},
    {"setprofile", HOOKS},
    {"setrlimit", PROCESS},
    {"setswitchinterval", HOOKS},
    {"settrace", HOOKS},
    {"settrace_all_threads", PROCESS},
    {"stack_size", PROCESS},
    {"stat", FILES},
    {"statvfs", FILES},
    {"time_ns", CLOCK},
    {"today", CLOCK},
    {"token_bytes", ENTROPY},
    {"token_hex", ENTROPY},
    {"token_urlsafe", ENTROPY},
    {"tracemalloc", ENVIRONMENT},
    {"tzset", PROCESS},
    {"umask", PROCESS},
    {"urandom", ENTROPY},
    {"utcnow", CLOCK},
    {"uuid1", ENTROPY},
    {"uuid4", ENTROPY},
    {"walk", FILES},
};

/* Attributes that are harmless elsewhere, but not when the object is a frame of pandas
 * or a module of the interpreter. */
static const struct row evaluators[] = {
    {"eval", QUERY},
    {"evaluate", QUERY},
    {"modules", NAMESPACE},
};

/* Whole modules whose functions have a hidden input. */
static const struct row modules[] = {
    {"_locale", ENVIRONMENT}, {"faulthandler", PROCESS}, {"gc", ENVIRONMENT},
    {"getpass", TALKS},       {"inspect", NAMESPACE},    {"platform", ENVIRONMENT},
    {"psutil", ENVIRONMENT},  {"pwd", ENVIRONMENT},      {"resource", ENVIRONMENT},
    {"secrets", ENTROPY},     {"tempfile", FILES},       {"tracemalloc", ENVIRONMENT},
};

/* In the order of the rows, whatever that is: a row out of place must not be a name
 * that is missed, and what a table of this size costs is less than a microsecond. */
static const char *look(const struct row *rows, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].why;
    }
    return NULL;
}

#define LOOK(rows, name) look(rows, sizeof(rows) / sizeof((rows)[0]), name)

const char *ak_impure_global(const char *name) {
    return LOOK(globals, name);
}

const char *ak_impure_attribute(const char *name) {
    const char *why = LOOK(attributes, name);
    return why ? why : LOOK(evaluators, name);
}

const char *ak_impure_function(const char *module, const char *name) {
    static const char *const pure_of_time[] = {"asctime", "mktime", "sleep", "strptime",
                                               "struct_time"};
    if (strcmp(module, "time") == 0) {
        for (size_t i = 0; i < sizeof(pure_of_time) / sizeof(pure_of_time[0]); i++) {
            if (strcmp(name, pure_of_time[i]) == 0)
                return NULL;
        }
        return CLOCK;
    }
    if (strcmp(module, "builtins") == 0)
        return strcmp(name, "hash") == 0 ? NULL : LOOK(globals, name);
    const char *why = LOOK(modules, module);
    return why ? why : LOOK(attributes, name);
}
