/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>

#include "cache/store.h"
#include "unit/cache/world.h"

static struct ak_store *new_store(const struct world *world) {
    AK_BUF_AUTO reason = {0};
    struct ak_store *store = NULL;
    struct ak_store_config config = {.dir = world->store};
    if (ak_store_new(&store, &config, world->ring, &reason))
        fprintf(stderr, "%s\n", ak_buf_str(&reason));
    assert(store && reason.len == 0);
    return store;
}

static struct ak_digest name(unsigned number) {
    struct ak_digest digest = {{0}};
    digest.bytes[0] = (unsigned char)number;
    digest.bytes[1] = (unsigned char)(number >> 8);
    return digest;
}

static void put(struct ak_store *store, unsigned number, const struct ak_entry *entry,
                bool replace) {
    AK_BUF_AUTO reason = {0};
    struct ak_digest key = name(number);
    int r = ak_store_put(store, &key, entry, replace, NULL, &reason);
    if (r)
        fprintf(stderr, "%s\n", ak_buf_str(&reason));
    assert(r == 0);
}

static int get(struct ak_store *store, unsigned number, struct ak_loaded *loaded,
               struct ak_buf *reason) {
    struct ak_digest key = name(number);
    ak_buf_clear(reason);
    return ak_store_get(store, &key, loaded, reason);
}

static struct ak_bytes text(const char *s) {
    return ak_bytes(s, strlen(s));
}

static void check_bytes(const struct ak_buffer *buffer, const void *data, size_t len) {
    assert(buffer->len == len);
    assert(((uintptr_t)buffer->data & 63) == 0);
    assert(memcmp(buffer->data, data, len) == 0);
}

/* The files below a directory of the store, and where one of them is. */
static size_t count_files(const struct world *world, const char *kind,
                          struct ak_buf *ret_last) {
    AK_BUF_AUTO dir = {0};
    size_t n = 0;
    assert(ak_buf_addf(&dir, "%s/%s", world->store, kind) == 0);
    DIR *outer = opendir(ak_buf_str(&dir));
    struct dirent *sub, *file;
    while (outer && (sub = readdir(outer))) {
        AK_BUF_AUTO path = {0};
        if (sub->d_name[0] == '.')
            continue;
        assert(ak_buf_addf(&path, "%s/%s", ak_buf_str(&dir), sub->d_name) == 0);
        DIR *inner = opendir(ak_buf_str(&path));
        while (inner && (file = readdir(inner))) {
            if (strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0)
                continue;
            n++;
            if (ret_last) {
                ak_buf_clear(ret_last);
                assert(ak_buf_addf(ret_last, "%s/%s", ak_buf_str(&path),
                                   file->d_name) == 0);
            }
        }
        closedir(inner);
    }
    if (outer)
        closedir(outer);
    return n;
}

/* --- what goes in comes out --------------------------------------------------------
 */

static void round_trip(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    struct ak_loaded loaded;
    char *bytes = world_bytes(300000, 1);
    size_t bodies[] = {0, 1, 1000, 65000, 70000, 300000};
    struct ak_bytes buffers[] = {
        ak_bytes(bytes, 200000),      ak_bytes(bytes, 0),
        ak_bytes(bytes + 1, 65535),   ak_bytes(bytes + 2, 65536),
        ak_bytes(bytes + 3, 65537),   ak_bytes(bytes, 200000),
        ak_bytes(bytes + 100000, 10),
    };
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned n = 0; n <= 7; n += 7) {
            struct ak_entry entry = {.body = ak_bytes(bytes, bodies[i]),
                                     .buffers = buffers,
                                     .n_buffers = n,
                                     .run_ns = 7 + i,
                                     .label = text("x = 1")};
            assert(get(store, 10 * i + n, &loaded, &reason) == AK_STORE_E_MISS);
            assert(reason.len == 0);
            put(store, 10 * i + n, &entry, false);
            assert(get(store, 10 * i + n, &loaded, &reason) == 0);
            assert(loaded.run_ns == 7 + i && loaded.n_buffers == n);
            assert(strcmp(loaded.label, "x = 1") == 0);
            assert(loaded.body.len == bodies[i]);
            assert(memcmp(loaded.body.data, bytes, bodies[i]) == 0);
            for (unsigned k = 0; k < n; k++)
                check_bytes(&loaded.buffers[k], buffers[k].data, buffers[k].len);
            ak_loaded_done(&loaded);
        }
    }
    /* Four different long buffers, of which one came twice, in six entries. */
    assert(count_files(&world, "objects", NULL) == 3);
    assert(ak_store_counts(store)->n_hits == 12);
    free(bytes);
    world_done(&world);
}

/* A restored buffer is the caller's own: writable, not shared, alive without its file.
 */
static void buffers_are_private(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    AK_BUF_AUTO path = {0};
    struct ak_loaded first, second;
    char *bytes = world_bytes(200000, 2);
    struct ak_bytes buffers[] = {ak_bytes(bytes, 200000), ak_bytes(bytes, 200000)};
    struct ak_entry entry = {.buffers = buffers, .n_buffers = 2};
    put(store, 1, &entry, false);
    assert(get(store, 1, &first, &reason) == 0);
    assert(get(store, 1, &second, &reason) == 0);
    assert(first.buffers[0].data != first.buffers[1].data);
    memset(first.buffers[0].data, 'w', 200000);
    check_bytes(&first.buffers[1], bytes, 200000);
    check_bytes(&second.buffers[0], bytes, 200000);
    assert(count_files(&world, "objects", &path) == 1);
    assert(unlink(ak_buf_str(&path)) == 0);
    check_bytes(&second.buffers[1], bytes, 200000);
    struct ak_buffer taken = second.buffers[1];
    second.buffers[1] = (struct ak_buffer){0};
    ak_loaded_done(&first);
    ak_loaded_done(&second);
    check_bytes(&taken, bytes, 200000);
    ak_buffer_done(&taken);
    assert(get(store, 1, &first, &reason) == AK_STORE_E_MISS);
    assert(strstr(ak_buf_str(&reason), "cannot be read"));
    free(bytes);
    world_done(&world);
}

static void first_stays_unless_replaced(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    struct ak_loaded loaded;
    struct ak_entry one = {.body = text("one")}, two = {.body = text("two")};
    put(store, 1, &one, false);
    put(store, 1, &two, false);
    assert(get(store, 1, &loaded, &reason) == 0);
    assert(memcmp(loaded.body.data, "one", 3) == 0);
    ak_loaded_done(&loaded);
    put(store, 1, &two, true);
    assert(get(store, 1, &loaded, &reason) == 0);
    assert(memcmp(loaded.body.data, "two", 3) == 0);
    ak_loaded_done(&loaded);
    assert(count_files(&world, "entries", NULL) == 1);
    struct ak_digest key = name(1);
    ak_store_remove(store, &key);
    assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS && !reason.len);
    world_done(&world);
}

static void variants(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    AK_BUF_AUTO path = {0};
    struct ak_variant *found;
    struct ak_digest key = name(1), other = name(2);
    size_t n;
    assert(ak_store_variants(store, &key, &found, &n) == 0 && n == 0);
    ak_variants_free(found, n);
    for (unsigned i = 0; i < AK_VARIANTS_MAX + 3; i++) {
        char dependencies[32];
        struct ak_digest entry = name(100 + i);
        snprintf(dependencies, sizeof(dependencies), "file %u", i);
        assert(ak_store_put_variant(store, i ? &key : &other, text(dependencies),
                                    &entry, &reason) == 0);
    }
    assert(ak_store_variants(store, &other, &found, &n) == 0 && n == 1);
    assert(strcmp(ak_buf_str(&found[0].dependencies), "file 0") == 0);
    struct ak_digest entry = name(100);
    assert(ak_digest_equal(&found[0].entry, &entry));
    ak_variants_free(found, n);
    assert(ak_store_variants(store, &key, &found, &n) == 0 && n == AK_VARIANTS_MAX);
    ak_variants_free(found, n);
    /* The same again replaces, and a damaged one is left out. */
    assert(ak_store_put_variant(store, &other, text("new"), &entry, &reason) == 0);
    assert(ak_store_variants(store, &other, &found, &n) == 0 && n == 1);
    assert(strcmp(ak_buf_str(&found[0].dependencies), "new") == 0);
    ak_variants_free(found, n);
    char from[AK_DIGEST_HEX_SIZE], to[AK_DIGEST_HEX_SIZE];
    ak_digest_hex(&other, from);
    ak_digest_hex(&entry, to);
    assert(ak_buf_addf(&path, "%s/variants/%.2s/%s-%s", world.store, from, from, to) ==
           0);
    FILE *file = fopen(ak_buf_str(&path), "r+");
    if (!file) { /* 0400 for somebody who is not root */
        assert(chmod(ak_buf_str(&path), 0600) == 0);
        file = fopen(ak_buf_str(&path), "r+");
    }
    assert(file && fseek(file, 113, SEEK_SET) == 0 && fputc('X', file) == 'X');
    fclose(file);
    assert(ak_store_variants(store, &other, &found, &n) == 0 && n == 0);
    ak_variants_free(found, n);
    world_done(&world);
}

/* --- what is not believed ----------------------------------------------------------
 */

static void overwrite(const char *path, const char *data, size_t len) {
    world_write(path, data, len, 0400);
}

static char *slurp(const char *path, size_t *ret_len) {
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert(fd >= 0 && fstat(fd, &st) == 0);
    char *data = malloc((size_t)st.st_size + 1);
    assert(read(fd, data, (size_t)st.st_size) == st.st_size);
    close(fd);
    *ret_len = (size_t)st.st_size;
    return data;
}

/* Every bit of a small entry, and every shorter length of it. */
static void every_bit_counts(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    AK_BUF_AUTO path = {0};
    struct ak_loaded loaded;
    struct ak_bytes buffers[] = {text("abc"), text(""), text("defg")};
    struct ak_entry entry = {.body = text("the body"),
                             .buffers = buffers,
                             .n_buffers = 3,
                             .label = text("l")};
    put(store, 1, &entry, false);
    assert(count_files(&world, "entries", &path) == 1);
    size_t len;
    char *good = slurp(ak_buf_str(&path), &len), *changed = malloc(len + 1);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        memcpy(changed, good, len);
        changed[bit / 8] ^= (char)(1 << (bit % 8));
        overwrite(ak_buf_str(&path), changed, len);
        assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS);
        assert(reason.len);
        assert(access(ak_buf_str(&path), F_OK) < 0);
    }
    for (size_t n = 0; n < len; n++) {
        overwrite(ak_buf_str(&path), good, n);
        assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS && reason.len);
    }
    memcpy(changed, good, len);
    changed[len] = 'x';
    overwrite(ak_buf_str(&path), changed, len + 1);
    assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS && reason.len);
    overwrite(ak_buf_str(&path), good, len);
    assert(get(store, 1, &loaded, &reason) == 0);
    ak_loaded_done(&loaded);
    free(good);
    free(changed);
    world_done(&world);
}

static void objects_are_checked(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    AK_BUF_AUTO path = {0};
    struct ak_loaded loaded;
    char *bytes = world_bytes(100000, 3), *changed = malloc(100001);
    struct ak_bytes buffer = ak_bytes(bytes, 100000);
    struct ak_entry entry = {.buffers = &buffer, .n_buffers = 1};
    put(store, 1, &entry, false);
    assert(count_files(&world, "objects", &path) == 1);
    for (size_t i = 0; i < 100000; i += 997) {
        memcpy(changed, bytes, 100000);
        changed[i] ^= 1;
        overwrite(ak_buf_str(&path), changed, 100000);
        assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS && reason.len);
        /* The entry went with it, so the cell that ran instead stores both anew. */
        assert(count_files(&world, "entries", NULL) == 0);
        put(store, 1, &entry, false);
        assert(get(store, 1, &loaded, &reason) == 0);
        check_bytes(&loaded.buffers[0], bytes, 100000);
        ak_loaded_done(&loaded);
    }
    overwrite(ak_buf_str(&path), bytes, 99999);
    assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS && reason.len);
    put(store, 1, &entry, false);
    overwrite(ak_buf_str(&path), bytes, 99999); /* noticed while storing, too */
    put(store, 1, &entry, true);
    assert(get(store, 1, &loaded, &reason) == 0);
    ak_loaded_done(&loaded);
    free(bytes);
    free(changed);
    world_done(&world);
}

/* An entry under another name, and one sealed by another user. */
static void foreign_entries(void) {
    struct world world, stranger;
    world_init(&world);
    world_init(&stranger);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *theirs = new_store(&stranger);
    AK_BUF_AUTO reason = {0};
    AK_BUF_AUTO path = {0};
    AK_BUF_AUTO their_path = {0};
    struct ak_loaded loaded;
    struct ak_entry entry = {.body = text("body")};
    put(store, 1, &entry, false);
    put(theirs, 1, &entry, false);
    assert(count_files(&world, "entries", &path) == 1);
    assert(count_files(&stranger, "entries", &their_path) == 1);
    size_t len;
    char *data = slurp(ak_buf_str(&their_path), &len);
    overwrite(ak_buf_str(&path), data, len);
    free(data);
    assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS);
    assert(strstr(ak_buf_str(&reason), "another key"));
    put(store, 1, &entry, false);
    data = slurp(ak_buf_str(&path), &len);
    put(store, 2, &entry, false);
    ak_buf_clear(&path);
    char hex[AK_DIGEST_HEX_SIZE];
    struct ak_digest two = name(2);
    ak_digest_hex(&two, hex);
    assert(ak_buf_addf(&path, "%s/entries/%.2s/%s", world.store, hex, hex) == 0);
    overwrite(ak_buf_str(&path), data, len);
    free(data);
    assert(get(store, 2, &loaded, &reason) == AK_STORE_E_MISS);
    assert(strstr(ak_buf_str(&reason), "changed"));
    assert(ak_store_counts(store)->n_bad == 2);
    world_done(&world);
    world_done(&stranger);
}

/* --- the directory -----------------------------------------------------------------
 */

static void refused(const struct world *world, const char *dir, const char *part) {
    AK_BUF_AUTO reason = {0};
    struct ak_store *store = NULL;
    struct ak_store_config config = {.dir = dir};
    assert(ak_store_new(&store, &config, world->ring, &reason) == AK_STORE_E_REFUSED);
    assert(!store);
    if (!strstr(ak_buf_str(&reason), part))
        fprintf(stderr, "\"%s\" is not in: %s\n", part, ak_buf_str(&reason));
    assert(strstr(ak_buf_str(&reason), part));
}

static void whose_directory(void) {
    struct world world;
    struct stat st;
    world_init(&world);
    AK_BUF_AUTO path = {0};
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    assert(stat(world.store, &st) == 0 && (st.st_mode & 07777) == 0700);
    assert(ak_buf_addf(&path, "%s/CACHEDIR.TAG", world.store) == 0);
    size_t len;
    char *tag = slurp(ak_buf_str(&path), &len);
    assert(memcmp(tag, "Signature: 8a477f597d28d172789f06886806bc55", 43) == 0);
    free(tag);
    /* Ours but opened meanwhile: closed again. Open and empty: closed. */
    assert(chmod(world.store, 0755) == 0);
    store = ak_store_free(store);
    store = new_store(&world);
    assert(stat(world.store, &st) == 0 && (st.st_mode & 07777) == 0700);
    ak_buf_clear(&path);
    assert(ak_buf_addf(&path, "%s/open", world.dir) == 0);
    assert(mkdir(ak_buf_str(&path), 0755) == 0);
    assert(chmod(ak_buf_str(&path), 0755) == 0);
    struct ak_store *other = NULL;
    AK_BUF_AUTO reason = {0};
    struct ak_store_config config = {.dir = ak_buf_str(&path)};
    assert(ak_store_new(&other, &config, world.ring, &reason) == 0);
    other = ak_store_free(other);
    assert(stat(ak_buf_str(&path), &st) == 0 && (st.st_mode & 07777) == 0700);
    /* Open with other things in it: not touched. */
    assert(chmod(world.dir, 0755) == 0);
    refused(&world, world.dir, "chmod 700");
    assert(stat(world.dir, &st) == 0 && (st.st_mode & 07777) == 0755);
    refused(&world, world.key, "is not a directory");
    refused(&world, "/proc/nothing/here", "cannot be made");
    if (geteuid() == 0) {
        assert(chown(world.store, 12345, 12345) == 0);
        refused(&world, world.store, "belongs to somebody else");
        assert(chown(world.store, 0, 0) == 0);
    }
    world_done(&world);
}

static void relative_directory(void) {
    struct world world;
    world_init(&world);
    assert(chdir(world.dir) == 0);
    strcpy(world.store, "here//");
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    assert(chdir("/") == 0);
    struct ak_entry entry = {.body = text("body")};
    put(store, 1, &entry, false);
    AK_BUF_AUTO dir = {0};
    assert(ak_buf_addf(&dir, "%s/here", world.dir) == 0);
    assert(strcmp(ak_store_dir(store), ak_buf_str(&dir)) == 0);
    assert(access(ak_buf_str(&dir), F_OK) == 0);
    world_done(&world);
}

static void default_directory(void) {
    AK_BUF_AUTO dir = {0};
    setenv("AKERNEL_CACHE_DIR", "/given", 1);
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    setenv("HOME", "/home/somebody", 1);
    assert(ak_store_default_dir(&dir) == 0 && !strcmp(ak_buf_str(&dir), "/given"));
    ak_buf_clear(&dir);
    setenv("AKERNEL_CACHE_DIR", "", 1);
    assert(ak_store_default_dir(&dir) == 0 &&
           !strcmp(ak_buf_str(&dir), "/xdg/akernel"));
    ak_buf_clear(&dir);
    setenv("XDG_CACHE_HOME", "relative", 1);
    assert(ak_store_default_dir(&dir) == 0 &&
           !strcmp(ak_buf_str(&dir), "/home/somebody/.cache/akernel"));
}

static void deleted_while_running(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    AK_BUF_AUTO reason = {0};
    struct ak_loaded loaded;
    char *bytes = world_bytes(100000, 4);
    struct ak_bytes buffer = ak_bytes(bytes, 100000);
    struct ak_entry entry = {.buffers = &buffer, .n_buffers = 1};
    for (int i = 0; i < 3; i++) {
        put(store, 1, &entry, false);
        assert(get(store, 1, &loaded, &reason) == 0);
        ak_loaded_done(&loaded);
        assert(nftw(world.store, world_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
        assert(get(store, 1, &loaded, &reason) == AK_STORE_E_MISS && !reason.len);
    }
    assert(ak_store_usable(store));
    free(bytes);
    world_done(&world);
}

static void read_only_store(void) {
    struct world world;
    world_init(&world);
    AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
    struct ak_entry entry = {.body = text("body")};
    put(store, 1, &entry, false);
    AK_BUF_AUTO reason = {0};
    struct ak_loaded loaded;
    AK_CLEANUP(ak_store_freep) struct ak_store *reader = NULL;
    struct ak_store_config config = {.dir = world.store, .read_only = true};
    assert(ak_store_new(&reader, &config, world.ring, &reason) == 0);
    assert(get(reader, 1, &loaded, &reason) == 0);
    ak_loaded_done(&loaded);
    struct ak_digest key = name(2);
    assert(ak_store_put(reader, &key, &entry, false, NULL, &reason) ==
           AK_STORE_E_REFUSED);
    assert(get(store, 2, &loaded, &reason) == AK_STORE_E_MISS);
    world_done(&world);
}

/* --- several processes -------------------------------------------------------------
 */

/* Processes that store, replace and read the same few keys all see whole entries. */
static void many_processes(void) {
    enum {
        PROCESSES = 4,
        ROUNDS = 150,
        KEYS = 5
    };
    struct world world;
    world_init(&world);
    for (unsigned p = 0; p < PROCESSES; p++) {
        if (fork() != 0)
            continue;
        AK_CLEANUP(ak_store_freep) struct ak_store *store = new_store(&world);
        AK_BUF_AUTO reason = {0};
        char *bytes = world_bytes(90000, 5);
        for (unsigned i = 0; i < ROUNDS; i++) {
            struct ak_bytes buffer = ak_bytes(bytes + i % 7, 80000);
            char body[16];
            snprintf(body, sizeof(body), "%u", i % 7);
            struct ak_entry entry = {
                .body = text(body), .buffers = &buffer, .n_buffers = 1};
            struct ak_loaded loaded;
            put(store, (i + p) % KEYS, &entry, i % 3 == 0);
            int r = get(store, (i + p) % KEYS, &loaded, &reason);
            if (r)
                fprintf(stderr, "%s\n", ak_buf_str(&reason));
            assert(r == 0);
            unsigned which = (unsigned)(*(char *)loaded.body.data - '0');
            check_bytes(&loaded.buffers[0], bytes + which, 80000);
            ak_loaded_done(&loaded);
        }
        assert(ak_store_counts(store)->n_bad == 0);
        free(bytes);
        _exit(0);
    }
    for (unsigned p = 0; p < PROCESSES; p++) {
        int status;
        assert(wait(&status) > 0 && status == 0);
    }
    assert(count_files(&world, "entries", NULL) == KEYS);
    assert(count_files(&world, "objects", NULL) <= 7);
    world_done(&world);
}

static const struct ak_test tests[] = {
    {"round-trip", round_trip},
    {"buffers-are-private", buffers_are_private},
    {"first-stays-unless-replaced", first_stays_unless_replaced},
    {"variants", variants},
    {"every-bit-counts", every_bit_counts},
    {"objects-are-checked", objects_are_checked},
    {"foreign-entries", foreign_entries},
    {"whose-directory", whose_directory},
    {"relative-directory", relative_directory},
    {"default-directory", default_directory},
    {"deleted-while-running", deleted_while_running},
    {"read-only-store", read_only_store},
    {"many-processes", many_processes},
};
AK_TEST_MAIN(tests)
