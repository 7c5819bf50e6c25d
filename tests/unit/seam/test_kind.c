/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "seam/kind.h"

static void names(void) {
    for (int i = 1; i < AK_KIND_N; i++)
        assert(ak_kind_find(ak_kind_name((enum ak_kind)i)) == (enum ak_kind)i);
    assert(ak_kind_find("nonsense") == AK_KIND_UNKNOWN);
    assert(strcmp(ak_kind_name((enum ak_kind)9999), "unknown") == 0);
    assert(strcmp(ak_kind_reply_name(AK_KIND_EXECUTE_REQUEST), "execute_reply") == 0);
    assert(ak_kind_reply_name(AK_KIND_COMM_MSG) == NULL);
}

static const struct ak_test tests[] = {{"names", names}};
AK_TEST_MAIN(tests)
