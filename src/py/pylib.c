/* SPDX-License-Identifier: MIT */
/*
 * The few Python sources of ours travel inside the worker as frozen modules. The table
 * of frozen modules is CPython's own extension point: ours is put in front of what is
 * there.
 */
#include "py/pylib-private.h"

#include "py/frozen_pylib.h"

int ak_pylib_install(struct ak_state *state) {
    (void)state;
    PyImport_FrozenModules = ak_frozen_pylib;
    AK_PYREF start = PyImport_ImportModule("akernel._start");
    return start ? 0 : -1;
}
