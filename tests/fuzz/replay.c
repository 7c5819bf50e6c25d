/* SPDX-License-Identifier: MIT */
/* replay DIRECTORY: every file of a corpus as it is, cut short at some places, and with
 * some bytes changed by a generator that starts alike each time. */
#include "fuzz.h"

#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES 400
#define SIZE_MAX_READ (1u << 20)

static uint32_t random_state = 1;

static uint32_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Exactly as large as what it holds, so that a sanitizer sees a read behind its end. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    assert(copy);
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void change(uint8_t *data, size_t size) {
    static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', '{', '[', ','};
    for (uint32_t n = 1 + next_random() % 8; n && size; n--) {
        size_t at = next_random() % size;
        uint32_t how = next_random() % 3;
        data[at] = how == 0   ? (uint8_t)next_random()
                   : how == 1 ? telling[next_random() % sizeof(telling)]
                              : (uint8_t)(data[at] ^ 1u << next_random() % 8);
    }
}

static void replay(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(SIZE_MAX_READ), *changed = malloc(SIZE_MAX_READ);
    assert(file && data && changed);
    size_t size = fread(data, 1, SIZE_MAX_READ, file);
    fclose(file);
    run(data, size);
    for (size_t i = 0; i < 64 && i < size; i++)
        run(data, size * i / 64);
    for (int i = 0; i < CHANGES; i++) {
        memcpy(changed, data, size);
        change(changed, size);
        run(changed, size);
    }
    free(changed);
    free(data);
}

int main(int argc, char **argv) {
    size_t n_files = 0;
    DIR *directory = argc > 1 ? opendir(argv[1]) : NULL;
    assert(directory);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        replay(path);
        n_files++;
    }
    closedir(directory);
    assert(n_files > 0);
    return 0;
}
