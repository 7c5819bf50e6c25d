/* SPDX-License-Identifier: MIT */
/*
 * To run a Python just to ask for its version would cost more than everything else that
 * happens before a kernel is ready. In the usual case nobody has to ask: pip built the
 * wheel with the Python of the environment, and its program is the very file that a
 * virtual environment links to.
 */
#include "cli/environment.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "build_config.h"
#include "cli/paths.h"
#include "cli/probe.h"

void ak_environment_done(struct ak_environment *environment) {
    ak_buf_done(&environment->python);
    ak_buf_done(&environment->version);
}

int ak_environment_python(struct ak_buf *ret_python) {
    static const char *const names[] = {"python", "python3"};
    AK_BUF_AUTO program = {0};
    int r = ak_paths_program(&program);
    if (r)
        return ak_error_trace(r);
    const char *slash = strrchr(ak_buf_str(&program), '/');
    int len = slash ? (int)(slash - program.data) : 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        AK_BUF_AUTO path = {0};
        if (ak_buf_addf(&path, "%.*s/%s", len, program.data, names[i]))
            return ak_error_origin(ENOMEM);
        if (access(path.data, X_OK) == 0)
            return ak_buf_add_str(ret_python, path.data);
    }
    return 0;
}

static bool same_file(const char *a, const char *b) {
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

/* Another program than the one built with: what it is, only it can say. */
static int ask(struct ak_environment *environment, struct ak_buf *ret_message) {
    AK_CLEANUP(ak_probe_done) struct ak_probe probe = {0};
    if (ak_probe_python(&probe, environment->python.data, ret_message) < 0 ||
        ak_probe_check(&probe, ret_message) < 0)
        return -1;
    environment->extension = !probe.same_build;
    environment->debugger = probe.debugger;
    return ak_buf_add_str(&environment->version, probe.version) ? -1 : 0;
}

/* The one that was built with: where its packages are is known without running it. */
static int know(struct ak_environment *environment) {
    AK_BUF_AUTO debugpy = {0};
    const char *slash = strrchr(ak_buf_str(&environment->python), '/');
    int bin = slash ? (int)(slash - environment->python.data) : 0;
    int minor = (int)(strrchr(AK_PYTHON_VERSION, '.') - AK_PYTHON_VERSION);
    if (ak_buf_add_str(&environment->version, AK_PYTHON_VERSION) ||
        ak_buf_addf(&debugpy, "%.*s/../lib/python%.*s/site-packages/debugpy", bin,
                    ak_buf_str(&environment->python), minor, AK_PYTHON_VERSION))
        return ak_error_origin(ENOMEM);
    environment->debugger = access(debugpy.data, F_OK) == 0;
    return 0;
}

int ak_environment_find(struct ak_environment *ret_environment,
                        struct ak_buf *ret_message) {
    struct ak_environment found = {0};
    int r = ak_environment_python(&found.python);
    if (!r && found.python.len && !same_file(found.python.data, AK_PYTHON_EXECUTABLE))
        r = ask(&found, ret_message);
    else if (!r)
        r = know(&found);
    if (r) {
        if (ret_message->len == 0)
            (void)ak_buf_add_str(ret_message,
                                 "the Python beside this program cannot be looked for");
        ak_environment_done(&found);
        return -1;
    }
    *ret_environment = found;
    return 0;
}
