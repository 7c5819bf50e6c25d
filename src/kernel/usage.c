/* SPDX-License-Identifier: MIT */
/*
 * usage_request, as jupyter-resource-usage asks it: what /proc says of this process,
 * the workers and their children. Fields that cannot be read are left out.
 */
#include "kernel/kernel-private.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

struct totals {
    unsigned long long memory; /* bytes of proportional set size */
    unsigned long long ticks;  /* of processor time */
    int n_processes;
};

static bool read_text(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t n = fread(text, 1, size - 1, file);
    text[n] = '\0';
    fclose(file);
    return n > 0;
}

static unsigned long long field_kib(const char *text, const char *name) {
    const char *found = strstr(text, name);
    unsigned long long value = 0;
    return found && sscanf(found + strlen(name), " %llu", &value) == 1 ? value * 1024
                                                                       : 0;
}

/* Adds one process; its parent process and group through the outs. */
static bool add_process(pid_t pid, struct totals *totals) {
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    if (read_text(path, text, sizeof(text)))
        totals->memory += field_kib(text, "\nPss:");
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof(text)))
        return false;
    unsigned long user = 0, system = 0;
    const char *rest = strrchr(text, ')');
    if (rest && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                       &user, &system) == 2)
        totals->ticks += user + system;
    totals->n_processes++;
    return true;
}

static pid_t group_of(pid_t pid) {
    char path[64], text[4096];
    int parent = 0, group = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof(text)))
        return 0;
    const char *rest = strrchr(text, ')');
    return rest && sscanf(rest + 1, " %*c %d %d", &parent, &group) == 2 ? group : 0;
}

static void add_group(pid_t leader, struct totals *totals) {
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid > 0 && group_of(pid) == leader)
            add_process(pid, totals);
    }
    closedir(proc);
}

static void uptime(double *ret_seconds) {
    char text[128];
    *ret_seconds = 0;
    if (read_text("/proc/uptime", text, sizeof(text)))
        (void)sscanf(text, "%lf", ret_seconds);
}

/* Average share of one processor since the worker started, in percent. */
static double cpu_percent(pid_t pid, const struct totals *totals) {
    char path[64], text[4096];
    double now;
    unsigned long long start = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    uptime(&now);
    if (!read_text(path, text, sizeof(text)))
        return 0;
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                        "%*d %*d %*d %*d %llu",
                        &start) != 1)
        return 0;
    double hz = (double)sysconf(_SC_CLK_TCK);
    double age = now - (double)start / hz;
    return age > 0 ? 100.0 * (double)totals->ticks / hz / age : 0;
}

static double host_cpu_percent(void) {
    char text[512];
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0;
    if (!read_text("/proc/stat", text, sizeof(text)) ||
        sscanf(text, "cpu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
               &wait) != 5)
        return 0;
    double all = (double)(user + nice + system + idle + wait);
    return all > 0 ? 100.0 * (double)(user + nice + system) / all : 0;
}

int ak_usage_add_json(struct ak_kernel *kernel, struct ak_buf *content) {
    struct totals totals = {0};
    char host[256] = "", memory[4096] = "";
    add_process(getpid(), &totals);
    pid_t pid = 0;
    ak_list_for_each(node, next, &kernel->processes) {
        struct ak_process *process = ak_list_entry(node, struct ak_process, node);
        if (process->pid)
            add_group(process->pid, &totals);
        pid = pid ? pid : process->pid;
    }
    gethostname(host, sizeof(host) - 1);
    read_text("/proc/meminfo", memory, sizeof(memory));
    unsigned long long total = field_kib(memory, "MemTotal:");
    unsigned long long available = field_kib(memory, "MemAvailable:");
    int r = ak_buf_add_str(content, "{\"status\": \"ok\", \"hostname\": ");
    if (!r)
        r = ak_buf_add_json_string(content, host, strlen(host));
    if (!r)
        r = ak_buf_addf(
            content,
            ", \"pid\": %d, \"kernel_cpu\": %.1f, \"kernel_memory\": %llu, "
            "\"host_cpu_percent\": %.1f, \"cpu_count\": %ld, "
            "\"host_virtual_memory\": {\"total\": %llu, \"available\": %llu, "
            "\"used\": %llu, \"free\": %llu, \"percent\": %.1f}}",
            (int)pid, cpu_percent(pid, &totals), totals.memory, host_cpu_percent(),
            sysconf(_SC_NPROCESSORS_ONLN), total, available, total - available,
            field_kib(memory, "MemFree:"),
            total ? 100.0 * (double)(total - available) / (double)total : 0);
    return r ? ak_error_trace(r) : 0;
}
