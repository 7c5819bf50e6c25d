/* SPDX-License-Identifier: MIT */
/*
 * An event that changes the world outside, or reads from it what cannot be looked at
 * again, is a reason not to store. A file that is opened for reading is looked at once
 * when it is opened and once when the cell ends: small ones by content both times, big
 * ones by their times and size, with the content read once at the end. A file whose
 * change time is too fresh to tell two changes apart is not taken on its times.
 *
 * Aspects of the interpreter's state are compared by digest. A library's settings that
 * were not there before, because the cell imported it, are no change; a random
 * generator's state is.
 */
#include "py/watch-private.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "py/fault-private.h"
#include "py/valuehash-private.h"

#define FILES_MAX 1000
#define EAGER_MAX (4 << 20)
#define RACY_NS 60000000

struct ak_watch_file {
    char *path; /* owned: absolute */
    bool absent;
    bool digested;
    struct stat st;
    struct ak_digest digest;
};

void ak_watch_taint(struct ak_watch *watch, const char *format, ...) {
    char text[400];
    va_list args;
    if (watch->reason.len)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (ak_buf_add_str(&watch->reason, text))
        (void)ak_buf_add_char(&watch->reason, '?');
}

void ak_watch_done(struct ak_watch *watch) {
    for (size_t i = 0; i < watch->n_files; i++)
        free(watch->files[i].path);
    free(watch->files);
    ak_buf_done(&watch->reason);
    *watch = (struct ak_watch){0};
}

/* --- files -------------------------------------------------------------------------
 */

/* The digest of a regular file's content; *ret_size is what was read. 0 or -errno. */
static int digest_file(const struct ak_keyring *ring, const char *path,
                       struct stat *ret_st, struct ak_digest *ret_digest) {
    AK_CLEANUP(ak_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, ret_st) < 0)
        return -errno;
    if (!S_ISREG(ret_st->st_mode))
        return -EINVAL;
    size_t size = (size_t)ret_st->st_size;
    if (size == 0) {
        ak_hash_buffer(ring, "", 0, ret_digest);
        return 0;
    }
    /* Read, not mapped: a file that shrinks under a map ends the process. */
    char *data = malloc(size);
    if (!data)
        return -ENOMEM;
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, data + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (n == size)
        ak_hash_buffer(ring, data, size, ret_digest);
    free(data);
    return n == size ? 0 : -EIO;
}

static bool same_stat(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool is_fresh(const struct stat *st) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000000000 +
                  now.tv_nsec - st->st_ctim.tv_nsec;
    return age < RACY_NS;
}

static void note_file(struct ak_watch *watch, const char *path) {
    for (size_t i = 0; i < watch->n_files; i++) {
        if (strcmp(watch->files[i].path, path) == 0)
            return;
    }
    struct ak_watch_file *files =
        realloc(watch->files, (watch->n_files + 1) * sizeof(*files));
    struct ak_watch_file file = {.path = strdup(path)};
    if (files)
        watch->files = files;
    if (!files || !file.path || watch->n_files >= FILES_MAX) {
        free(file.path);
        ak_watch_taint(watch, "it reads too many files");
        return;
    }
    if (stat(path, &file.st) < 0) {
        file.absent = true;
    } else if (!S_ISREG(file.st.st_mode)) {
        ak_watch_taint(watch, "it reads %.200s, which is no regular file", path);
    } else if (file.st.st_size <= EAGER_MAX) {
        struct stat now;
        file.digested = digest_file(watch->ring, path, &now, &file.digest) == 0;
        if (!file.digested)
            ak_watch_taint(watch, "it reads %.200s, which cannot be read twice", path);
    } else if (is_fresh(&file.st)) {
        ak_watch_taint(watch, "it reads %.200s, which has just changed", path);
    }
    watch->files[watch->n_files++] = file;
}

/* Python's own caches of compiled modules stand for the sources beside them. */
static bool as_source(const char *path, char *ret_source, size_t size) {
    const char *cache = strstr(path, "/__pycache__/");
    if (!cache)
        return false;
    const char *name = cache + strlen("/__pycache__/");
    size_t stem = strcspn(name, ".");
    snprintf(ret_source, size, "%.*s/%.*s.py", (int)(cache - path), path, (int)stem,
             name);
    return true;
}

static bool is_library_file(const char *path) {
    PyObject *stdlib = PySys_GetObject("_stdlib_dir"); /* borrowed */
    const char *dir =
        stdlib && PyUnicode_Check(stdlib) ? PyUnicode_AsUTF8(stdlib) : NULL;
    size_t len = dir ? strlen(dir) : 0;
    return strstr(path, "/site-packages/") || strstr(path, "/dist-packages/") ||
           (len && strncmp(path, dir, len) == 0 && path[len] == '/');
}

static void see_open(struct ak_watch *watch, PyObject *args) {
    PyObject *path_object = PyTuple_GET_ITEM(args, 0);  /* borrowed */
    PyObject *flags_object = PyTuple_GET_ITEM(args, 2); /* borrowed */
    long flags = PyLong_Check(flags_object) ? PyLong_AsLong(flags_object) : O_WRONLY;
    AK_PYREF bytes = NULL;
    if (PyUnicode_Check(path_object))
        bytes = PyUnicode_EncodeFSDefault(path_object);
    else if (PyBytes_Check(path_object))
        bytes = Py_NewRef(path_object);
    if (!bytes) {
        Py_XDECREF(ak_fault_fetch());
        ak_watch_taint(watch, "it opens a descriptor");
        return;
    }
    char absolute[8192], source[8192];
    const char *path = PyBytes_AS_STRING(bytes);
    if (path[0] != '/') {
        char cwd[4096];
        if (!getcwd(cwd, sizeof(cwd)))
            cwd[0] = '\0';
        snprintf(absolute, sizeof(absolute), "%s/%s", cwd, path);
        path = absolute;
    }
    bool cached_code = as_source(path, source, sizeof(source));
    if (is_library_file(path))
        return;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
    if (cached_code && writes)
        return;
    if (writes)
        ak_watch_taint(watch, "it writes the file %.200s", path);
    else
        note_file(watch, cached_code ? source : path);
}

static int add_sized(struct ak_buf *out, const void *data, size_t len) {
    uint64_t n = len;
    int r = ak_buf_add(out, &n, sizeof(n));
    return r ? r : ak_buf_add(out, data, len);
}

int ak_watch_dependencies(struct ak_watch *watch, struct ak_buf *ret_bytes) {
    for (size_t i = 0; i < watch->n_files; i++) {
        struct ak_watch_file *file = &watch->files[i];
        struct stat now;
        bool there = stat(file->path, &now) == 0;
        struct ak_digest digest = {{0}};
        bool same = there == !file->absent;
        if (same && there && !file->digested)
            same = same_stat(&now, &file->st) &&
                   digest_file(watch->ring, file->path, &now, &file->digest) == 0 &&
                   same_stat(&now, &file->st);
        else if (same && there)
            same = digest_file(watch->ring, file->path, &now, &digest) == 0 &&
                   ak_digest_equal(&digest, &file->digest);
        if (!same) {
            ak_watch_taint(watch, "it reads %.200s, which changes meanwhile",
                           file->path);
            return 0;
        }
        int r = add_sized(ret_bytes, file->path, strlen(file->path));
        if (!r)
            r = ak_buf_add_char(ret_bytes, file->absent ? 0 : 1);
        if (!r)
            r = ak_buf_add(ret_bytes, file->digest.bytes, AK_DIGEST_SIZE);
        if (r)
            return ak_error_trace(r);
    }
    return 0;
}

bool ak_watch_dependencies_hold(const struct ak_keyring *ring, struct ak_bytes bytes) {
    const char *p = bytes.data;
    const char *end = p + bytes.len;
    while (p < end) {
        uint64_t len;
        char path[8192];
        if ((size_t)(end - p) < sizeof(len))
            return false;
        memcpy(&len, p, sizeof(len));
        p += sizeof(len);
        if (len >= sizeof(path) || (size_t)(end - p) < len + 1 + AK_DIGEST_SIZE)
            return false;
        memcpy(path, p, len);
        path[len] = '\0';
        bool there = p[len] != 0;
        struct ak_digest now;
        struct stat st;
        if ((stat(path, &st) == 0) != there)
            return false;
        if (there && (digest_file(ring, path, &st, &now) != 0 ||
                      memcmp(now.bytes, p + len + 1, AK_DIGEST_SIZE) != 0))
            return false;
        p += len + 1 + AK_DIGEST_SIZE;
    }
    return true;
}

/* --- events ------------------------------------------------------------------------
 */

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether a directory is one that imports look through. */
static bool is_import_directory(PyObject *args) {
    PyObject *path = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL;
    PyObject *places = PySys_GetObject("path"); /* borrowed */
    if (!path || !PyUnicode_Check(path))
        return false;
    const char *text = PyUnicode_AsUTF8(path);
    bool found = text && is_library_file(text);
    if (places && PyList_Check(places) && !found)
        found = PySequence_Contains(places, path) == 1;
    Py_XDECREF(ak_fault_fetch());
    return found;
}

void ak_watch_event(struct ak_watch *watch, const char *event, PyObject *args) {
    static const struct {
        const char *prefix;
        const char *why;
    } reasons[] = {
        {"subprocess.", "it starts a process"},
        {"socket.", "it uses the network"},
        {"shutil.", "it copies or moves files"},
        {"sqlite3.", "it uses a database"},
        {"tempfile.", "it makes temporary files"},
        {"urllib.", "it uses the network"},
        {"ftplib.", "it uses the network"},
        {"http.client.", "it uses the network"},
        {"smtplib.", "it uses the network"},
        {"imaplib.", "it uses the network"},
        {"webbrowser.", "it opens a browser"},
        {"pty.", "it starts a process"},
        {"builtins.input", "it asks the user"},
        {"builtins.breakpoint", "it stops in a debugger"},
        {"ctypes.", "it calls foreign code"},
        {"fcntl.", "it changes a descriptor"},
        {"glob.", "it lists directories"},
        {"pathlib.", "it lists directories"},
        {"signal.", "it sends signals"},
        {"syslog.", "it writes to the system's log"},
        {"resource.", "it changes limits"},
        {"sys.settrace", "it traces"},
        {"sys.setprofile", "it traces"},
        {"sys.addaudithook", "it adds an audit hook"},
        {"sys.unraisablehook", "it raises where nobody can catch it"},
        {"gc.", "it looks at the collector's objects"},
        {"os.", "it changes or lists files, or the process"},
    };
    if (strcmp(event, "open") == 0) {
        if (PyTuple_Check(args) && PyTuple_GET_SIZE(args) >= 3)
            see_open(watch, args);
        return;
    }
    if ((strcmp(event, "os.listdir") == 0 || strcmp(event, "os.scandir") == 0) &&
        is_import_directory(args))
        return;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (starts_with(event, reasons[i].prefix))
            ak_watch_taint(watch, "%s (%.60s)", reasons[i].why, event);
    }
}

/* --- state -------------------------------------------------------------------------
 */

static PyObject *loaded(const char *name) {
    AK_PYREF key = PyUnicode_InternFromString(name);
    PyObject *module = /* borrowed */
        key ? PyDict_GetItemWithError(PyImport_GetModuleDict(), key) : NULL;
    Py_XDECREF(ak_fault_fetch());
    return module;
}

/* The value of module.attribute, or of calling it: new reference or NULL, with or
 * without an exception. */
static PyObject *get(const char *module, const char *attribute, bool call) {
    PyObject *m = loaded(module); /* borrowed */
    if (!m)
        return NULL;
    return call ? PyObject_CallMethod(m, attribute, NULL)
                : PyObject_GetAttrString(m, attribute);
}

static PyObject *identities(PyObject *dict) {
    AK_PYREF list = PyList_New(0);
    Py_ssize_t position = 0;
    PyObject *key, *value; /* borrowed */
    while (list && PyDict_Next(dict, &position, &key, &value)) {
        if (PyUnicode_CompareWithASCIIString(key, "_") == 0)
            continue;
        AK_PYREF id = PyLong_FromSize_t((size_t)(void *)value);
        if (!id || PyList_Append(list, key) < 0 || PyList_Append(list, id) < 0)
            return NULL;
    }
    return AK_TAKE(list);
}

static PyObject *get_environment(void) {
    AK_PYREF environment = get("os", "environ", false);
    return environment ? PyObject_GetAttrString(environment, "_data") : NULL;
}

static PyObject *get_builtins(void) {
    return identities(PyEval_GetBuiltins());
}

static PyObject *get_sys(void) {
    static const char *const names[] = {
        "stdout",     "stderr",    "stdin",      "displayhook",    "excepthook",
        "__stdout__", "meta_path", "path_hooks", "unraisablehook", "ps1"};
    AK_PYREF list = PyList_New(0);
    for (size_t i = 0; list && i < sizeof(names) / sizeof(names[0]); i++) {
        PyObject *value = PySys_GetObject(names[i]); /* borrowed */
        size_t n = value && PyList_Check(value) ? (size_t)PyList_GET_SIZE(value) : 0;
        AK_PYREF id = PyLong_FromSize_t((size_t)(void *)value + n);
        if (!id || PyList_Append(list, id) < 0)
            return NULL;
    }
    return AK_TAKE(list);
}

static PyObject *get_sys_lists(void) {
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    PyObject *argv = PySys_GetObject("argv"); /* borrowed */
    return path && argv ? PyTuple_Pack(2, path, argv) : NULL;
}

static PyObject *get_directory(void) {
    char cwd[4096];
    return PyUnicode_FromString(getcwd(cwd, sizeof(cwd)) ? cwd : "");
}

static PyObject *get_threads(void) {
    size_t n = 0;
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    PyThreadState *thread = PyInterpreterState_ThreadHead(interpreter);
    for (; thread; thread = PyThreadState_Next(thread))
        n++;
    return PyLong_FromSize_t(n);
}

static PyObject *get_random(void) {
    return get("random", "getstate", true);
}

static PyObject *get_numpy_random(void) {
    return get("numpy.random", "get_state", true);
}

static PyObject *get_warnings(void) {
    return get("warnings", "filters", false);
}

static PyObject *get_interpreter(void) {
    const char *locale = setlocale(LC_ALL, NULL);
    AK_PYREF collecting = get("gc", "isenabled", true);
    Py_XDECREF(ak_fault_fetch());
    AK_PYREF seconds = get("_socket", "getdefaulttimeout", true);
    Py_XDECREF(ak_fault_fetch());
    return Py_BuildValue("(isOO)", Py_GetRecursionLimit(), locale ? locale : "",
                         collecting ? collecting : Py_None,
                         seconds ? seconds : Py_None);
}

static PyObject *get_signals(void) {
    AK_PYREF list = PyList_New(0);
    PyObject *module = loaded("_signal"); /* borrowed */
    for (int i = 1; module && list && i < 32; i++) {
        AK_PYREF handler = PyObject_CallMethod(module, "getsignal", "i", i);
        AK_PYREF id = handler ? PyLong_FromSize_t((size_t)(void *)handler) : NULL;
        bool number = handler && PyLong_Check(handler);
        if (!id || PyList_Append(list, number ? handler : id) < 0)
            return NULL;
    }
    return AK_TAKE(list);
}

static PyObject *get_exit_handlers(void) {
    return get("atexit", "_ncallbacks", true);
}

static PyObject *get_logging(void) {
    AK_PYREF root = get("logging", "root", false);
    AK_PYREF level = root ? PyObject_GetAttrString(root, "level") : NULL;
    AK_PYREF handlers = level ? PyObject_GetAttrString(root, "handlers") : NULL;
    Py_ssize_t n = handlers ? PyList_Size(handlers) : -1;
    return n < 0 ? NULL : Py_BuildValue("(On)", level, n);
}

static PyObject *get_decimal(void) {
    AK_PYREF context = get("decimal", "getcontext", true);
    AK_PYREF precision = context ? PyObject_GetAttrString(context, "prec") : NULL;
    AK_PYREF rounding = precision ? PyObject_GetAttrString(context, "rounding") : NULL;
    AK_PYREF traps = rounding ? PyObject_GetAttrString(context, "traps") : NULL;
    AK_PYREF values = traps ? PyMapping_Values(traps) : NULL;
    return values ? PyTuple_Pack(3, precision, rounding, values) : NULL;
}

static PyObject *get_numpy_errors(void) {
    return get("numpy", "geterr", true);
}

static PyObject *get_numpy_printing(void) {
    return get("numpy", "get_printoptions", true);
}

static PyObject *get_pandas(void) {
    return get("pandas._config.config", "_global_config", false);
}

static PyObject *get_matplotlib(void) {
    AK_PYREF parameters = get("matplotlib", "rcParams", false);
    AK_PYREF copy = parameters ? PyDict_New() : NULL;
    return copy && PyDict_Update(copy, parameters) == 0 ? AK_TAKE(copy) : NULL;
}

static PyObject *get_figures(void) {
    AK_PYREF numbers = get("matplotlib.pyplot", "get_fignums", true);
    return AK_TAKE(numbers);
}

static const struct {
    const char *what;
    PyObject *(*get)(void);
    bool newly; /* that it is there only afterwards counts as a change */
} aspects[] = {
    {"environment variables", get_environment, true},
    {"builtins", get_builtins, true},
    {"streams or hooks of sys", get_sys, true},
    {"sys.path or sys.argv", get_sys_lists, true},
    {"the working directory", get_directory, true},
    {"the threads that run", get_threads, true},
    {"random numbers", get_random, true},
    {"numpy's random numbers", get_numpy_random, true},
    {"warning filters", get_warnings, false},
    {"settings of the interpreter", get_interpreter, true},
    {"signal handlers", get_signals, true},
    {"exit handlers", get_exit_handlers, false},
    {"logging", get_logging, false},
    {"the decimal context", get_decimal, false},
    {"numpy's error handling", get_numpy_errors, false},
    {"numpy's print options", get_numpy_printing, false},
    {"pandas' options", get_pandas, false},
    {"matplotlib's parameters", get_matplotlib, false},
    {"open figures", get_figures, false},
};

_Static_assert(sizeof(aspects) / sizeof(aspects[0]) <= AK_WATCH_ASPECTS, "aspects");

/* Zero stands for "not there". */
static int look(struct ak_state *state, PyObject *names, const struct ak_keyring *ring,
                struct ak_digest *ret_digests) {
    AK_CLEANUP(ak_valuehash_freep) struct ak_valuehash *walk = NULL;
    if (ak_valuehash_new(&walk, state, ring, names) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < sizeof(aspects) / sizeof(aspects[0]); i++) {
        ret_digests[i] = (struct ak_digest){{0}};
        AK_PYREF value = aspects[i].get();
        if (!value) {
            if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
                return -1;
            Py_XDECREF(ak_fault_fetch());
            continue;
        }
        ak_buf_clear(&walk->reason);
        if (ak_valuehash_add(walk, value, &ret_digests[i]) < 0)
            return -1;
    }
    return 0;
}

int ak_watch_begin(struct ak_watch *watch, struct ak_state *state, PyObject *names,
                   const struct ak_keyring *ring) {
    watch->ring = ring;
    return look(state, names, ring, watch->before);
}

int ak_watch_end(struct ak_watch *watch, struct ak_state *state, PyObject *names) {
    static const struct ak_digest nothing = {{0}};
    struct ak_digest after[AK_WATCH_ASPECTS];
    if (look(state, names, watch->ring, after) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(aspects) / sizeof(aspects[0]); i++) {
        bool was = !ak_digest_equal(&watch->before[i], &nothing);
        bool same = ak_digest_equal(&watch->before[i], &after[i]);
        if (!same && (was || aspects[i].newly))
            ak_watch_taint(watch, "it changes %s", aspects[i].what);
    }
    return 0;
}
