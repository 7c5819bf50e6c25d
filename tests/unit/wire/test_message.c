/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "wire/limits.h"
#include "wire/message.h"

static const char header[] =
    "{\"msg_id\": \"m\", \"msg_type\": \"execute_request\", \"session\": \"s\"}";

static struct ak_bytes text(const char *s) {
    return ak_bytes(s, strlen(s));
}

static int parse(const struct ak_bytes *frames, size_t n, struct ak_message *message) {
    struct ak_signer *signer;
    assert(ak_signer_new(&signer, "") == 0);
    int r = ak_message_parse(message, frames, n, signer);
    ak_signer_free(signer);
    return r;
}

static void parses(void) {
    struct ak_bytes frames[] = {text("id1"), text("id2"),       text("<IDS|MSG>"),
                                text(""),    text(header),      text("{}"),
                                text("{}"),  text("{\"a\":1}"), text("buffer")};
    struct ak_message message;
    assert(parse(frames, 9, &message) == 0);
    assert(message.n_identities == 2 && message.n_buffers == 1);
    assert(strcmp(message.msg_type, "execute_request") == 0);
    assert(message.content.len == 7 && strcmp(message.username, "") == 0);
    ak_message_done(&message);
}

static void missing_delimiter(void) {
    struct ak_bytes frames[40];
    struct ak_message message;
    for (int i = 0; i < 40; i++)
        frames[i] = text("x");
    assert(parse(frames, 40, &message) == AK_MESSAGE_E_NO_DELIMITER);
    assert(parse(frames, 0, &message) == AK_MESSAGE_E_NO_DELIMITER);
    frames[30] = text("<IDS|MSG>");
    assert(parse(frames, 40, &message) == AK_MESSAGE_E_NO_DELIMITER);
}

static void too_few(void) {
    struct ak_bytes frames[] = {text("<IDS|MSG>"), text(""), text(header), text("{}"),
                                text("{}")};
    struct ak_message message;
    for (size_t n = 1; n <= 5; n++)
        assert(parse(frames, n, &message) == AK_MESSAGE_E_TOO_FEW);
}

static void too_big(void) {
    char *big = calloc(1, AK_WIRE_HEADER_MAX + 1);
    struct ak_bytes frames[] = {
        text("<IDS|MSG>"), text(""),   ak_bytes(big, AK_WIRE_HEADER_MAX + 1),
        text("{}"),        text("{}"), text("{}")};
    struct ak_message message;
    assert(parse(frames, 6, &message) == AK_MESSAGE_E_TOO_BIG);
    assert(parse(frames, AK_WIRE_FRAMES_MAX + 1, &message) == AK_MESSAGE_E_TOO_BIG);
    free(big);
    /* Buffers have no bound of their own; all frames together have one. */
    struct ak_bytes many[8] = {text("<IDS|MSG>"), text(""),   text(header), text("{}"),
                               text("{}"),        text("{}"), text("b"),    text("b")};
    assert(parse(many, 8, &message) == 0);
    ak_message_done(&message);
    many[6].len = many[7].len = AK_WIRE_MESSAGE_MAX / 2;
    assert(parse(many, 8, &message) == AK_MESSAGE_E_TOO_BIG);
    many[7].len = SIZE_MAX - 16;
    assert(parse(many, 8, &message) == AK_MESSAGE_E_TOO_BIG);
}

static void bad_header(void) {
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"msg_id\": 1, \"msg_type\": \"t\", \"session\": \"s\"}",
        "{\"msg_id\": \"m\", \"session\": \"s\"}",
        "{\"msg_id\": \"m\", \"msg_type\": \"t\"}",
        "\xff\xfe"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ak_bytes frames[] = {text("<IDS|MSG>"), text(""),   text(bad[i]),
                                    text("{}"),        text("{}"), text("{}")};
        struct ak_message message;
        assert(parse(frames, 6, &message) == AK_MESSAGE_E_HEADER);
    }
}

/* A session of another type is told to its client, which takes a message. */
static void bad_session(void) {
    static const char *const bad[] = {"5", "null", "[\"s\"]", "{}", "true"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char json[128];
        (void)snprintf(json, sizeof(json),
                       "{\"msg_id\": \"m\", \"msg_type\": \"t\", \"session\": %s}",
                       bad[i]);
        struct ak_bytes frames[] = {text("<IDS|MSG>"), text(""),   text(json),
                                    text("{}"),        text("{}"), text("{}")};
        struct ak_message message;
        assert(parse(frames, 6, &message) == 0);
        assert(message.bad_session && strcmp(message.session, "") == 0);
        ak_message_done(&message);
    }
}

/* Whatever comes, parsing ends with an outcome. */
static void random_frames(void) {
    unsigned state = 12345;
    for (int round = 0; round < 20000; round++) {
        unsigned char bytes[10][64];
        struct ak_bytes frames[10];
        struct ak_message message;
        for (int i = 0; i < 10; i++) {
            for (int k = 0; k < 64; k++) {
                state = state * 1103515245u + 12345u;
                bytes[i][k] = (unsigned char)(state >> 16);
            }
            frames[i] = ak_bytes(bytes[i], state >> 8 & 63);
        }
        frames[state >> 10 & 3] = text("<IDS|MSG>");
        int r = parse(frames, 10, &message);
        assert(r > 0 && r < AK_MESSAGE_E_N);
    }
}

static void authors(void) {
    struct ak_author *author;
    AK_BUF_AUTO one = {0};
    AK_BUF_AUTO two = {0};
    const char *msg_id;
    assert(ak_author_new(&author) == 0);
    assert(ak_author_header(author, "status", &one, &msg_id) == 0);
    assert(strstr(ak_buf_str(&one), msg_id));
    assert(strstr(ak_buf_str(&one), ak_author_session(author)));
    assert(ak_author_header(author, "status", &two, NULL) == 0);
    assert(strcmp(ak_buf_str(&one), ak_buf_str(&two)) != 0);
    json_t *parsed = json_loads(ak_buf_str(&two), 0, NULL);
    assert(parsed && json_object_size(parsed) == 6);
    json_decref(parsed);
    ak_buf_clear(&two);
    assert(ak_author_header(author, "x\", \"session\": \"y", &two, NULL) == 0);
    parsed = json_loads(ak_buf_str(&two), JSON_REJECT_DUPLICATES, NULL);
    assert(parsed && json_object_size(parsed) == 6);
    json_decref(parsed);
    ak_author_free(author);
}

static const struct ak_test tests[] = {
    {"parses", parses},
    {"missing-delimiter", missing_delimiter},
    {"too-few", too_few},
    {"too-big", too_big},
    {"bad-header", bad_header},
    {"bad-session", bad_session},
    {"random-frames", random_frames},
    {"authors", authors},
};
AK_TEST_MAIN(tests)
