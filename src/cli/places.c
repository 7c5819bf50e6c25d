/* SPDX-License-Identifier: MIT */
#include "cli/places.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"

int ak_places_prefix(const char *prefix, struct ak_buf *ret_dir) {
    return ak_buf_addf(ret_dir, "%s/share/jupyter/kernels", prefix);
}

int ak_places_user(struct ak_buf *ret_dir) {
    const char *data = getenv("JUPYTER_DATA_DIR");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (data && data[0])
        return ak_buf_addf(ret_dir, "%s/kernels", data);
    if (xdg && xdg[0])
        return ak_buf_addf(ret_dir, "%s/jupyter/kernels", xdg);
    return ak_buf_addf(ret_dir, "%s/.local/share/jupyter/kernels",
                       home ? home : "/root");
}

/* A walk over places, each of them once however many ways lead there. */
struct walk {
    void (*visit)(const char *dir, void *context);
    void *context;
    struct ak_map *seen;
};

static void visit(struct walk *walk, const char *dir) {
    AK_CLEANUP(ak_freep) char *real = realpath(dir, NULL);
    if (!real || ak_map_get(walk->seen, real, strlen(real)))
        return;
    if (ak_map_put(walk->seen, real, strlen(real), walk, NULL) == 0)
        walk->visit(dir, walk->context);
}

/* Each directory of a list with colons that ends as it should, with that end replaced.
 */
static void visit_list(struct walk *walk, const char *list, const char *end,
                       const char *replacement) {
    for (const char *p = list; p && *p;) {
        size_t len = strcspn(p, ":"), end_len = strlen(end);
        AK_BUF_AUTO dir = {0};
        if (len > end_len && memcmp(p + len - end_len, end, end_len) == 0 &&
            ak_buf_addf(&dir, "%.*s%s", (int)(len - end_len), p, replacement) == 0)
            visit(walk, ak_buf_str(&dir));
        p += len + (p[len] == ':');
    }
}

void ak_places_each(void (*found)(const char *dir, void *context), void *context) {
    AK_BUF_AUTO user = {0};
    AK_CLEANUP(ak_map_freep) struct ak_map *seen = NULL;
    if (ak_map_new(&seen))
        return;
    struct walk walk = {.visit = found, .context = context, .seen = seen};
    static const char kernels[] = "/share/jupyter/kernels";
    visit_list(&walk, getenv("JUPYTER_PATH"), "", "/kernels");
    if (ak_places_user(&user) == 0)
        visit(&walk, ak_buf_str(&user));
    visit_list(&walk, getenv("VIRTUAL_ENV"), "", kernels);
    /* An environment whose programs are on PATH may have its Jupyter there too. */
    visit_list(&walk, getenv("PATH"), "/bin", kernels);
    visit_list(&walk, "/usr/local:/usr", "", kernels);
}

int ak_places_make(const char *dir) {
    AK_BUF_AUTO path = {0};
    if (ak_buf_add_str(&path, dir))
        return -ENOMEM;
    for (char *p = path.data + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char c = *p;
        *p = '\0';
        if (mkdir(path.data, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = c;
        if (c == '\0')
            return 0;
    }
}

bool ak_places_is_ours(const char *spec_dir) {
    AK_BUF_AUTO path = {0};
    if (ak_buf_addf(&path, "%s/kernel.json", spec_dir))
        return false;
    json_auto_t *spec = json_load_file(ak_buf_str(&path), 0, NULL);
    json_t *argv = json_object_get(spec, "argv"); /* borrowed */
    const char *program = json_string_value(json_array_get(argv, 0));
    const char *command = json_string_value(json_array_get(argv, 1));
    const char *name = program ? strrchr(program, '/') : NULL;
    return command && strcmp(command, "launch") == 0 &&
           strcmp(name      ? name + 1
                  : program ? program
                            : "",
                  "akernel") == 0;
}

int ak_places_remove(const char *spec_dir) {
    struct stat st;
    if (lstat(spec_dir, &st) == 0 && S_ISLNK(st.st_mode))
        return unlink(spec_dir) < 0 ? -errno : 0;
    DIR *dir = opendir(spec_dir);
    if (!dir)
        return -errno;
    struct dirent *entry;
    int r = 0;
    while ((entry = readdir(dir)) && r == 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
            r = -errno;
    }
    closedir(dir);
    return r ? r : rmdir(spec_dir) < 0 ? -errno : 0;
}
