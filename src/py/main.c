/* SPDX-License-Identifier: MIT */
/*
 * One __main__ for many worlds. pickle, dataclasses, typing, unittest and "import
 * __main__" find a module by its name in sys.modules, which the interpreter has once;
 * so what stands there is a proxy whose attributes are those of the module of the world
 * that the running context belongs to. Functions need none of it: their globals are the
 * namespace that their cell ran in.
 *
 * The proxy is a module by type, for those who ask. C code that takes its dictionary
 * without asking for the attribute (PyRun_SimpleString) gets one that no world sees.
 */
#include "py/space-private.h"

#include "py/fault-private.h"

static PyObject *module_of_context(PyObject *self) {
    struct ak_state *state = ak_state_of_type(Py_TYPE(self));
    struct ak_space *space = ak_space_current(state);
    return Py_NewRef(space && space->module ? space->module : state->home_main);
}

static PyObject *main_getattro(PyObject *self, PyObject *name) {
    AK_PYREF module = module_of_context(self);
    return PyObject_GetAttr(module, name);
}

static int main_setattro(PyObject *self, PyObject *name, PyObject *value) {
    AK_PYREF module = module_of_context(self);
    return PyObject_SetAttr(module, name, value);
}

static PyObject *main_repr(PyObject *self) {
    AK_PYREF module = module_of_context(self);
    return PyObject_Repr(module);
}

static PyType_Slot main_slots[] = {
    {Py_tp_getattro, (void *)main_getattro},
    {Py_tp_setattro, (void *)main_setattro},
    {Py_tp_repr, (void *)main_repr},
    {0, NULL},
};

static PyType_Spec main_spec = {
    .name = "_akernel.Main",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = main_slots,
};

int ak_main_install(struct ak_state *state) {
    if (state->main)
        return 0;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    AK_PYREF home = Py_XNewRef(PyImport_AddModule("__main__"));
    AK_PYREF bases = PyTuple_Pack(1, &PyModule_Type);
    AK_PYREF type =
        bases ? PyType_FromModuleAndSpec(state->module, &main_spec, bases) : NULL;
    AK_PYREF proxy = type ? PyObject_CallFunction(type, "s", "__main__") : NULL;
    if (!home || !proxy)
        return -1;
    Py_XSETREF(state->home_main, Py_NewRef(home));
    if (PyDict_SetItemString(modules, "__main__", proxy) < 0)
        return -1;
    state->main = Py_NewRef(proxy);
    return 0;
}
