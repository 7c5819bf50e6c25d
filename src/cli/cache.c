/* SPDX-License-Identifier: MIT */
/*
 * What a user can do with a cache of cells from outside: look, verify, remove. Nothing
 * here needs a kernel or disturbs one that runs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/evict.h"
#include "cache/store.h"
#include "cli/cli.h"

static const char help[] =
    "usage: akernel cache COMMAND [options]\n"
    "\n"
    "Looks after the files in which the mode \"cache\" keeps what cells computed.\n"
    "\n"
    "  stats    how much there is, and how much time it saves\n"
    "  list     one line an entry, the last used first\n"
    "  verify   check every entry and buffer; exit code 1 if one is not as it was\n"
    "  gc       remove what is old, and what is too much\n"
    "  clear    remove everything\n"
    "\n"
    "  -c, --cache-dir DIR  the directory (default: AKERNEL_CACHE_DIR, else akernel "
    "in\n"
    "                       XDG_CACHE_HOME or ~/.cache)\n"
    "  --max-bytes SIZE     for gc: keep at most this much, such as 500M or 20G\n"
    "                       (default: AKERNEL_CACHE_MAX_BYTES, else 5G)\n"
    "  --max-days DAYS      for gc: keep what was used in this time\n"
    "                       (default: AKERNEL_CACHE_MAX_DAYS, else 30)\n"
    "  --repair             for verify: remove what is not as it was\n"
    "  --quiet              say nothing but what goes wrong\n";

struct options {
    const char *command, *dir, *max_bytes, *max_days;
    bool repair, quiet, help;
};

static int misunderstood(const char *format, const char *what) {
    fprintf(stderr, "akernel: ");
    fprintf(stderr, format, what);
    fprintf(stderr, "; \"akernel cache --help\" tells more\n");
    return 2;
}

static int parse(struct options *o, int argc, char **argv) {
    const struct {
        const char *name;
        const char **slot;
    } valued[] = {
        {"-c", &o->dir},
        {"--cache-dir", &o->dir},
        {"--max-bytes", &o->max_bytes},
        {"--max-days", &o->max_days},
    };
    for (int i = 0; i < argc; i++) {
        bool taken = false;
        for (size_t k = 0; k < sizeof(valued) / sizeof(valued[0]) && !taken; k++) {
            size_t len = strlen(valued[k].name);
            if (strncmp(argv[i], valued[k].name, len) != 0)
                continue;
            taken = argv[i][len] == '=' || argv[i][len] == '\0';
            if (taken && argv[i][len] == '\0' && i + 1 >= argc)
                return misunderstood("%s needs a value", argv[i]);
            if (taken)
                *valued[k].slot = argv[i][len] == '=' ? argv[i] + len + 1 : argv[++i];
        }
        if (taken)
            continue;
        if (strcmp(argv[i], "--repair") == 0)
            o->repair = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            o->quiet = true;
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            o->help = true;
        else if (argv[i][0] != '-' && !o->command)
            o->command = argv[i];
        else
            return misunderstood("\"%s\" is not understood", argv[i]);
    }
    return 0;
}

/* "12.3 MB" */
static const char *size_text(uint64_t bytes, char ret_text[static 24]) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.95 && unit < 5) {
        value /= 1000;
        unit++;
    }
    snprintf(ret_text, 24, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return ret_text;
}

/* "250 ms", "12.3 s", "4.5 h" */
static const char *time_text(double seconds, char ret_text[static 24]) {
    if (seconds < 1)
        snprintf(ret_text, 24, "%.0f ms", seconds * 1000);
    else if (seconds < 120)
        snprintf(ret_text, 24, "%.1f s", seconds);
    else if (seconds < 7200)
        snprintf(ret_text, 24, "%.1f min", seconds / 60);
    else if (seconds < 172800)
        snprintf(ret_text, 24, "%.1f h", seconds / 3600);
    else
        snprintf(ret_text, 24, "%.1f days", seconds / 86400);
    return ret_text;
}

/* --- commands ----------------------------------------------------------------------
 */

struct totals {
    uint64_t n, bytes, run_ns;
    int64_t oldest, newest;
};

static int add_up(void *context, const struct ak_entry_info *info) {
    struct totals *totals = context;
    if (!totals->n || info->used_s < totals->oldest)
        totals->oldest = info->used_s;
    if (!totals->n || info->used_s > totals->newest)
        totals->newest = info->used_s;
    totals->n++;
    totals->bytes += info->bytes;
    totals->run_ns += info->run_ns;
    return 0;
}

static int stats(struct ak_store *store, const struct ak_limits *limits) {
    struct totals totals = {0};
    char text[24];
    if (ak_store_each(store, add_up, &totals))
        return 1;
    uint64_t on_disk = ak_store_bytes(store);
    printf("directory    %s\n", ak_store_dir(store));
    printf("entries      %llu\n", (unsigned long long)totals.n);
    printf("on disk      %s", size_text(on_disk, text));
    printf(" of %s at most\n", size_text(limits->max_bytes, text));
    printf("restores     %s of values\n", size_text(totals.bytes, text));
    printf("saves        %s when each is used once\n",
           time_text((double)totals.run_ns / 1e9, text));
    if (totals.n) {
        time_t now = time(NULL);
        printf("last used    %s ago, the oldest ",
               time_text((double)(now - totals.newest), text));
        printf("%s ago\n", time_text((double)(now - totals.oldest), text));
    }
    return 0;
}

static int collect_info(void *context, const struct ak_entry_info *info) {
    return ak_buf_add(context, info, sizeof(*info));
}

static int last_used_first(const void *left, const void *right) {
    const struct ak_entry_info *a = left, *b = right;
    return (a->used_s < b->used_s) - (a->used_s > b->used_s);
}

static int list(struct ak_store *store) {
    AK_BUF_AUTO infos = {0};
    if (ak_store_each(store, collect_info, &infos)) {
        fprintf(stderr, "akernel: there is no memory for a list of all entries\n");
        return 1;
    }
    struct ak_entry_info *info = (void *)infos.data;
    size_t n = infos.len / sizeof(*info);
    time_t now = time(NULL);
    if (n)
        qsort(info, n, sizeof(*info), last_used_first);
    for (size_t i = 0; i < n; i++) {
        char hex[AK_DIGEST_HEX_SIZE], size[24], run[24], used[24];
        ak_digest_hex(&info[i].key, hex);
        printf("%.12s  %9s  ran %9s  used %9s ago  %s\n", hex,
               size_text(info[i].bytes, size),
               time_text((double)info[i].run_ns / 1e9, run),
               time_text((double)(now - info[i].used_s), used), info[i].label);
    }
    return 0;
}

struct verification {
    struct ak_store *store;
    bool repair;
    uint64_t n_good, n_bad;
};

static int verify_one(void *context, const struct ak_entry_info *info) {
    struct verification *verification = context;
    AK_BUF_AUTO reason = {0};
    AK_CLEANUP(ak_loaded_done) struct ak_loaded loaded = {0};
    char hex[AK_DIGEST_HEX_SIZE];
    int r = ak_store_get(verification->store, &info->key, &loaded, &reason);
    if (r < 0)
        return r;
    if (r == 0) {
        verification->n_good++;
    } else if (reason.len) {
        verification->n_bad++;
        ak_digest_hex(&info->key, hex);
        printf("%.12s  %s%s\n", hex, ak_buf_str(&reason),
               verification->repair ? "; removed" : "");
    }
    return 0;
}

static int verify(struct ak_store *store, const struct options *o) {
    struct verification verification = {.store = store, .repair = o->repair};
    if (ak_store_each(store, verify_one, &verification)) {
        fprintf(stderr, "akernel: there is no memory for that\n");
        return 1;
    }
    uint64_t n_unreadable = 0;
    if (ak_store_unreadable(store, o->repair, &n_unreadable))
        return 1;
    verification.n_bad += n_unreadable;
    if (!o->quiet)
        printf("%llu entries are as they were stored, %llu are not\n",
               (unsigned long long)verification.n_good,
               (unsigned long long)verification.n_bad);
    return verification.n_bad ? 1 : 0;
}

static int gc(struct ak_store *store, const struct ak_limits *limits, bool quiet) {
    struct ak_collection collection;
    char left[24], removed[24];
    int r = ak_store_collect(store, limits, &collection);
    if (r == AK_EVICT_E_BUSY) {
        if (!quiet)
            printf("Another process is at it.\n");
        return 0;
    }
    if (r) {
        fprintf(stderr, "akernel: %s could not be collected: %s\n", ak_store_dir(store),
                strerror(-r));
        return 1;
    }
    if (!quiet)
        printf("Removed %llu of %llu entries, %s; %s are left\n",
               (unsigned long long)collection.n_entries_removed,
               (unsigned long long)collection.n_entries,
               size_text(collection.bytes_removed, removed),
               size_text(collection.bytes - collection.bytes_removed, left));
    return 0;
}

static int clear(struct ak_store *store, bool quiet) {
    if (ak_store_clear(store)) {
        fprintf(stderr, "akernel: %s could not be cleared\n", ak_store_dir(store));
        return 1;
    }
    if (!quiet)
        printf("Cleared %s\n", ak_store_dir(store));
    return 0;
}

static int run(struct ak_store *store, const struct options *o,
               const struct ak_limits *limits) {
    if (strcmp(o->command, "stats") == 0)
        return stats(store, limits);
    if (strcmp(o->command, "list") == 0)
        return list(store);
    if (strcmp(o->command, "verify") == 0)
        return verify(store, o);
    if (strcmp(o->command, "gc") == 0)
        return gc(store, limits, o->quiet);
    return clear(store, o->quiet);
}

static int take_limits(const struct options *o, struct ak_limits *limits) {
    AK_BUF_AUTO message = {0};
    if (ak_limits_from_environment(limits, &message) < 0)
        return misunderstood("%s", ak_buf_str(&message));
    if (o->max_bytes && ak_limits_parse_bytes(o->max_bytes, &limits->max_bytes) < 0)
        return misunderstood("\"%s\" is no size: write 500M or 20G", o->max_bytes);
    if (o->max_days && ak_limits_parse_days(o->max_days, &limits->max_age_s) < 0)
        return misunderstood("\"%s\" is no number of days", o->max_days);
    return 0;
}

static int open_and_run(const struct options *o, const struct ak_limits *limits) {
    AK_BUF_AUTO dir = {0};
    AK_BUF_AUTO message = {0};
    AK_CLEANUP(ak_keyring_freep) struct ak_keyring *ring = NULL;
    AK_CLEANUP(ak_store_freep) struct ak_store *store = NULL;
    struct ak_keyring_config keys = {0};
    bool verifies = strcmp(o->command, "verify") == 0;
    bool removes = strcmp(o->command, "gc") == 0 || strcmp(o->command, "clear") == 0;
    if (o->dir ? ak_buf_add_str(&dir, o->dir) : ak_store_default_dir(&dir))
        return 1;
    if (access(ak_buf_str(&dir), F_OK) < 0 && errno == ENOENT) {
        if (!o->quiet)
            printf("There is no cache in %s.\n", ak_buf_str(&dir));
        return 0;
    }
    struct ak_store_config config = {.dir = ak_buf_str(&dir),
                                     .read_only = !removes && !(verifies && o->repair)};
    int r = verifies ? ak_keyring_new(&ring, &keys, &message) : 0;
    if (!r)
        r = ak_store_new(&store, &config, ring, &message);
    if (r) {
        fprintf(stderr, "akernel: %s\n",
                message.len ? ak_buf_str(&message) : strerror(-r));
        return 1;
    }
    return run(store, o, limits);
}

int ak_cli_cache(int argc, char **argv) {
    static const char *const commands[] = {"stats", "list", "verify", "gc", "clear"};
    struct options options = {0};
    struct ak_limits limits;
    bool known = false;
    int r = parse(&options, argc, argv);
    if (r)
        return r;
    if (options.help) {
        fputs(help, stdout);
        return 0;
    }
    if (!options.command) {
        fputs(help, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        known = known || strcmp(options.command, commands[i]) == 0;
    if (!known)
        return misunderstood("\"%s\" is not a command", options.command);
    r = take_limits(&options, &limits);
    return r ? r : open_and_run(&options, &limits);
}
