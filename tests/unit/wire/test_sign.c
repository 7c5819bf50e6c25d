/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "wire/limits.h"
#include "wire/sign.h"

static struct ak_signer *new_signer(const char *key) {
    struct ak_signer *signer = NULL;
    assert(ak_signer_new(&signer, key) == 0);
    return signer;
}

static struct ak_bytes text(const char *s) {
    return ak_bytes(s, strlen(s));
}

/* RFC 4231, test case 2, with the data cut into four frames. */
static void known_vector(void) {
    AK_CLEANUP(ak_signer_freep) struct ak_signer *signer = new_signer("Jefe");
    struct ak_bytes frames[4] = {text("what do "), text("ya want "), text("for "),
                                 text("nothing?")};
    char hex[AK_SIGN_HEX_SIZE];
    ak_signer_sign(signer, frames, hex);
    assert(strcmp(hex,
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") ==
           0);
    assert(ak_signer_check(signer, frames, text(hex)) == 0);
}

static void unsigned_messages(void) {
    AK_CLEANUP(ak_signer_freep) struct ak_signer *signer = new_signer("");
    struct ak_bytes frames[4] = {text("{}"), text("{}"), text("{}"), text("{}")};
    char hex[AK_SIGN_HEX_SIZE];
    ak_signer_sign(signer, frames, hex);
    assert(hex[0] == '\0');
    assert(ak_signer_check(signer, frames, text("anything")) == 0);
    assert(ak_signer_check(signer, frames, text("")) == 0);
}

static void wrong(void) {
    AK_CLEANUP(ak_signer_freep) struct ak_signer *signer = new_signer("k");
    struct ak_bytes frames[4] = {text("{}"), text("{}"), text("{}"), text("{}")};
    char hex[AK_SIGN_HEX_SIZE];
    ak_signer_sign(signer, frames, hex);
    hex[10] ^= 1;
    assert(ak_signer_check(signer, frames, text(hex)) == AK_SIGN_E_BAD);
    assert(ak_signer_check(signer, frames, text("")) == AK_SIGN_E_BAD);
    assert(ak_signer_check(signer, frames, ak_bytes(hex, 63)) == AK_SIGN_E_BAD);
}

static void replayed(void) {
    AK_CLEANUP(ak_signer_freep) struct ak_signer *signer = new_signer("k");
    struct ak_bytes frames[4] = {text("{}"), text("{}"), text("{}"), text("{}")};
    char hex[AK_SIGN_HEX_SIZE];
    ak_signer_sign(signer, frames, hex);
    assert(ak_signer_check(signer, frames, text(hex)) == 0);
    assert(ak_signer_check(signer, frames, text(hex)) == AK_SIGN_E_REPLAYED);
}

static int check_numbered(struct ak_signer *signer, unsigned number) {
    char header[32], hex[AK_SIGN_HEX_SIZE];
    snprintf(header, sizeof(header), "%u", number);
    struct ak_bytes frames[4] = {text(header), text("{}"), text("{}"), text("{}")};
    ak_signer_sign(signer, frames, hex);
    return ak_signer_check(signer, frames, text(hex));
}

static void forgets_the_oldest(void) {
    AK_CLEANUP(ak_signer_freep) struct ak_signer *signer = new_signer("k");
    for (unsigned i = 0; i <= AK_WIRE_DIGESTS; i++)
        assert(check_numbered(signer, i) == 0);
    assert(check_numbered(signer, 1) == AK_SIGN_E_REPLAYED);
    assert(check_numbered(signer, AK_WIRE_DIGESTS) == AK_SIGN_E_REPLAYED);
    assert(check_numbered(signer, 0) == 0);
}

static const struct ak_test tests[] = {
    {"known-vector", known_vector},
    {"unsigned", unsigned_messages},
    {"wrong", wrong},
    {"replayed", replayed},
    {"forgets-the-oldest", forgets_the_oldest},
};
AK_TEST_MAIN(tests)
