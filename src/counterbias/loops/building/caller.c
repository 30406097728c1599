/* Calls loops that numba compiled, without numba: a Python module in the limited API.

   find(module, name) returns a function. It takes the loop's arguments, arrays by the buffer
   protocol, releases the interpreter's lock while the loop runs, and returns its result, or
   NotImplemented where no set of types fits the arguments. Arrays may be read-only: loops write
   only to arrays that their callers have just made.

   linking.py defines MOST_WORDS, MOST_ARRAYS and RESULT_WORDS: what the loops of the table need. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "caller.h"

enum { MOST_DIMENSIONS = 9 }; /* one digit of a type */

/* The arguments of one call: words for the compiled code, and the arrays they point into. */
struct packed {
    uint64_t words[MOST_WORDS];
    Py_buffer arrays[MOST_ARRAYS];
    int number_of_words, number_of_arrays;
};

/* -- numba's run time: arrays that loops allocate ------------------------------------------- */

/* The beginning of numba's MemInfo, which compiled code reads itself. */
struct memory {
    size_t references;
    void (*destructor)(void *, size_t, void *);
    void *destructor_info;
    void *data;
    size_t size;
    void *allocator;
};

static _Thread_local int out_of_memory;

void *NRT_MemInfo_alloc_aligned(size_t size, uint32_t alignment)
{
    /* In one piece with its description, and rounded up so that nothing overflows. */
    struct memory *made = NULL;
    if (size < SIZE_MAX / 2)
        made = malloc(sizeof *made + size + alignment);
    if (made == NULL) {
        out_of_memory = 1;
        return NULL;
    }
    uintptr_t data = (uintptr_t)(made + 1);
    if (alignment > 1)
        data += (alignment - data % alignment) % alignment;
    memset(made, 0, sizeof *made);
    made->references = 1;
    made->data = (void *)data;
    made->size = size;
    return made;
}

static void destroy_items(void *data, size_t size, void *destructor)
{
    (void)size;
    if (destructor)
        ((void (*)(void *))(uintptr_t)destructor)(data);
}

/* Room for a list, such as np.sort's of what is to be sorted; its destructor takes the data. */
void *NRT_MemInfo_new_varsize_dtor(size_t size, void *destructor)
{
    struct memory *made = NRT_MemInfo_alloc_aligned(size, 16);
    if (made) {
        made->destructor = destroy_items;
        made->destructor_info = destructor;
    }
    return made;
}

void NRT_MemInfo_call_dtor(void *memory)
{
    struct memory *gone = memory;
    if (gone->destructor)
        gone->destructor(gone->data, gone->size, gone->destructor_info);
    free(gone);
}

/* -- arrays that are returned ---------------------------------------------------------------- */

/* An object that owns an array's memory and shows it by the buffer protocol. The memory is numba's,
   or that of an argument of which the array is a view, or a constant's in this library. */
struct owner {
    PyObject_HEAD
    struct memory *memory;
    PyObject *argument;
    void *data;
    char format[2];
    int dimensions, readonly;
    Py_ssize_t itemsize, shape[MOST_DIMENSIONS], strides[MOST_DIMENSIONS];
};

static PyTypeObject *owner_type;
static PyObject *asarray;   /* numpy.asarray */
static PyObject *bool_type; /* numpy.bool_ */

static int show(PyObject *self, Py_buffer *view, int flags)
{
    struct owner *owner = (struct owner *)self;
    (void)flags;
    Py_ssize_t size = owner->itemsize;
    for (int d = 0; d < owner->dimensions; d++)
        size *= owner->shape[d];
    memset(view, 0, sizeof *view);
    view->buf = owner->data;
    view->obj = self;
    Py_INCREF(self);
    view->len = size;
    view->readonly = owner->readonly;
    view->itemsize = owner->itemsize;
    view->ndim = owner->dimensions;
    view->format = owner->format;
    view->shape = owner->shape;
    view->strides = owner->strides;
    return 0;
}

static void let_go(PyObject *self)
{
    struct memory *memory = ((struct owner *)self)->memory;
    Py_XDECREF(((struct owner *)self)->argument);
    if (memory && __atomic_sub_fetch(&memory->references, 1, __ATOMIC_ACQ_REL) == 0)
        NRT_MemInfo_call_dtor(memory);
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyType_Slot owner_slots[] = {
    {Py_bf_getbuffer, show}, {Py_tp_dealloc, let_go}, {0, NULL}};
static PyType_Spec owner_spec = {
    "counterbias.loops._library.Owner", sizeof(struct owner), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, owner_slots};

static Py_ssize_t size_of(char code)
{
    switch (code) {
    case 'b': case 'B': case '?': return 1;
    case 'h': case 'H': return 2;
    case 'i': case 'I': case 'f': return 4;
    default: return 8;
    }
}

/* The format of an array's items as the buffer protocol has it. */
static char format_of(char code)
{
    switch (code) {
    case 'l': return sizeof(long) == 8 ? 'l' : 'q';
    case 'k': return sizeof(long) == 8 ? 'L' : 'Q';
    default: return code;
    }
}

/* The argument whose memory an address lies in; NULL where it is no argument's. */
static const Py_buffer *argument_at(const struct packed *arguments, const char *address)
{
    for (int i = 0; i < arguments->number_of_arrays; i++) {
        const Py_buffer *one = &arguments->arrays[i];
        const char *first = one->buf, *end = first + one->itemsize;
        for (int d = 0; d < one->ndim; d++) {
            Py_ssize_t reach = (one->shape[d] - 1) * one->strides[d];
            *(reach < 0 ? &first : &end) += reach;
        }
        if (one->len > 0 && address >= first && address < end)
            return one;
    }
    return NULL;
}

/* Make a numpy array of a structure {memory, parent, items, item size, data, shape…, strides…}. */
static PyObject *array_from(const uint64_t *words, int dimensions, char code,
                            const struct packed *arguments)
{
    struct memory *memory = (struct memory *)(uintptr_t)words[0];
    allocfunc allocate = (allocfunc)PyType_GetSlot(owner_type, Py_tp_alloc);
    struct owner *owner = (struct owner *)allocate(owner_type, 0);
    if (owner == NULL)
        return NULL;
    owner->memory = memory;
    owner->data = (void *)(uintptr_t)words[4];
    if (memory == NULL) {
        const Py_buffer *argument = argument_at(arguments, owner->data);
        owner->argument = argument ? Py_NewRef(argument->obj) : NULL;
        owner->readonly = argument ? argument->readonly : 1;
    }
    owner->format[0] = format_of(code);
    owner->itemsize = size_of(code);
    owner->dimensions = dimensions;
    for (int d = 0; d < dimensions; d++) {
        owner->shape[d] = (Py_ssize_t)words[5 + d];
        owner->strides[d] = (Py_ssize_t)words[5 + dimensions + d];
    }
    PyObject *array = PyObject_CallFunctionObjArgs(asarray, (PyObject *)owner, NULL);
    Py_DECREF(owner);
    return array;
}

/* -- results --------------------------------------------------------------------------------- */

/* Bytes after which a value of this type may begin; a tuple is aligned as its widest part. */
static size_t alignment_of(const char *type)
{
    size_t widest = 1;
    int depth = 0;
    do {
        if (*type == '(')
            depth++;
        else if (*type == ')')
            depth--;
        else if ((size_t)size_of(*type) > widest) /* 8 for what an array and None begin with */
            widest = (size_t)size_of(*type);
        type++;
    } while (depth > 0);
    return widest;
}

static PyObject *scalar_from(const void *at, char code)
{
    switch (code) {
    case '?': return PyBool_FromLong(*(const uint8_t *)at);
    case 'b': return PyLong_FromLong(*(const int8_t *)at);
    case 'B': return PyLong_FromLong(*(const uint8_t *)at);
    case 'h': return PyLong_FromLong(*(const int16_t *)at);
    case 'H': return PyLong_FromLong(*(const uint16_t *)at);
    case 'i': return PyLong_FromLong(*(const int32_t *)at);
    case 'I': return PyLong_FromUnsignedLong(*(const uint32_t *)at);
    case 'l': return PyLong_FromLongLong(*(const int64_t *)at);
    case 'k': return PyLong_FromUnsignedLongLong(*(const uint64_t *)at);
    case 'f': return PyFloat_FromDouble(*(const float *)at);
    case 'd': return PyFloat_FromDouble(*(const double *)at);
    default: return PyErr_Format(PyExc_SystemError, "unknown type of a result");
    }
}

/* Where in a result one is: its type, its bytes, and the arguments its arrays may lie in. */
struct reading {
    const char *type, *bytes;
    size_t offset;
    const struct packed *arguments;
};

static void align(struct reading *at, size_t alignment)
{
    at->offset = (at->offset + alignment - 1) / alignment * alignment;
}

static PyObject *next_value(struct reading *at);

static PyObject *next_tuple(struct reading *at)
{
    size_t alignment = alignment_of(at->type);
    PyObject *list = PyList_New(0);
    for (++at->type; list && *at->type != ')';) {
        PyObject *part = next_value(at);
        if (part == NULL || PyList_Append(list, part) < 0)
            Py_CLEAR(list);
        Py_XDECREF(part);
    }
    ++at->type;
    align(at, alignment);
    PyObject *tuple = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return tuple;
}

/* Take one value from the result; move past its type and its bytes. */
static PyObject *next_value(struct reading *at)
{
    align(at, alignment_of(at->type));
    if (*at->type == '(')
        return next_tuple(at);
    const void *value = at->bytes + at->offset;
    at->type += *at->type == '~';
    char code = *at->type++;
    if (code >= '0' && code <= '9') {
        at->offset += 8 * (5 + 2 * (size_t)(code - '0'));
        return array_from(value, code - '0', *at->type++, at->arguments);
    }
    if (code == 'N') {
        at->offset += 8;
        Py_RETURN_NONE;
    }
    at->offset += (size_t)size_of(code);
    return scalar_from(value, code);
}

/* -- arguments ------------------------------------------------------------------------------- */

/* One code for the formats of equal meaning: C's long and long long are both of 64 bits here. */
static char code_of(const char *format, Py_ssize_t itemsize)
{
    const uint16_t one = 1;
    const char own_order = *(const char *)&one ? '<' : '>';
    if (format == NULL)
        return 'B';
    if (*format == '@' || *format == '=' || *format == own_order)
        format++;
    if (*format == '\0' || format[1] != '\0')
        return 0;
    switch (*format) {
    case 'q': case 'n': return 'l';
    case 'l': return itemsize == 8 ? 'l' : 'i';
    case 'Q': case 'N': return 'k';
    case 'L': return itemsize == 8 ? 'k' : 'I';
    default: return *format;
    }
}

static int is_aligned(const Py_buffer *view)
{
    uintptr_t places = (uintptr_t)view->buf;
    for (int d = 0; d < view->ndim; d++)
        places |= view->shape[d] > 1 ? (uintptr_t)view->strides[d] : 0;
    return places % (uintptr_t)view->itemsize == 0;
}

static int in_c_order(const Py_buffer *view)
{
    Py_ssize_t expected = view->itemsize;
    for (int d = view->ndim - 1; d >= 0; d--) {
        if (view->shape[d] == 0)
            return 1;
        if (view->shape[d] != 1 && view->strides[d] != expected)
            return 0;
        expected *= view->shape[d];
    }
    return 1;
}

static int pack_array(struct packed *to, PyObject *value, int dimensions, char code, int strided)
{
    Py_buffer *view = &to->arrays[to->number_of_arrays];
    if (!PyObject_CheckBuffer(value) || PyObject_GetBuffer(value, view, PyBUF_RECORDS_RO) < 0) {
        PyErr_Clear();
        return 0;
    }
    to->number_of_arrays++;
    if (view->ndim != dimensions || code_of(view->format, view->itemsize) != code ||
        view->itemsize != size_of(code) || !is_aligned(view) || (!strided && !in_c_order(view)))
        return 0;
    uint64_t *words = to->words + to->number_of_words;
    words[0] = words[1] = 0; /* the caller owns the memory */
    words[2] = (uint64_t)(view->len / view->itemsize);
    words[3] = (uint64_t)view->itemsize;
    words[4] = (uint64_t)(uintptr_t)view->buf;
    Py_ssize_t stride = view->itemsize;
    for (int d = dimensions - 1; d >= 0; d--) {
        words[5 + d] = (uint64_t)view->shape[d];
        /* Those of axes with one element or none are arbitrary in numpy's arrays. */
        words[5 + dimensions + d] = (uint64_t)(strided ? view->strides[d] : stride);
        stride *= view->shape[d];
    }
    to->number_of_words += 5 + 2 * dimensions;
    return 1;
}

static int holds(char code, int64_t number)
{
    switch (code) {
    case 'b': return number == (int8_t)number;
    case 'B': return number == (uint8_t)number;
    case 'h': return number == (int16_t)number;
    case 'H': return number == (uint16_t)number;
    case 'i': return number == (int32_t)number;
    case 'I': return number == (uint32_t)number;
    default: return 1;
    }
}

/* The word of an integer; an error is set where the type does not hold it. */
static uint64_t word_of_integer(PyObject *value, char code)
{
    PyObject *index = PyNumber_Index(value);
    uint64_t word = 0;
    if (index && code == 'k') {
        word = PyLong_AsUnsignedLongLong(index);
    } else if (index) {
        int64_t number = PyLong_AsLongLong(index);
        if (!holds(code, number))
            PyErr_SetNone(PyExc_OverflowError);
        word = (uint64_t)number;
    }
    Py_XDECREF(index);
    return word;
}

static int pack_number(struct packed *to, PyObject *value, char code)
{
    uint64_t word = 0;
    if (code == '?') {
        if (!PyBool_Check(value) && (PyObject *)Py_TYPE(value) != bool_type)
            return 0;
        word = (uint64_t)PyObject_IsTrue(value);
    } else if (code == 'd') {
        double number = PyFloat_AsDouble(value);
        memcpy(&word, &number, sizeof number);
    } else if (code == 'f') {
        double number = PyFloat_AsDouble(value);
        float rounded = (float)number;
        if (isinf(rounded) && !isinf(number))
            return 0;
        memcpy(&word, &rounded, sizeof rounded);
    } else {
        word = word_of_integer(value, code);
    }
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    to->words[to->number_of_words++] = word;
    return 1;
}

/* Pack one value and move past its type; return 0 where it is of another type. */
static int pack(struct packed *to, PyObject *value, const char **type)
{
    if (**type == '(') {
        Py_ssize_t at = 0, size = PyTuple_Check(value) ? PyTuple_Size(value) : -1;
        for (++*type; **type != ')'; at++) {
            if (at >= size || !pack(to, PyTuple_GetItem(value, at), type))
                return 0;
        }
        ++*type;
        return at == size;
    }
    if (**type == 'N') {
        ++*type;
        to->words[to->number_of_words++] = 0;
        return value == Py_None;
    }
    int strided = **type == '~';
    *type += strided;
    if (**type >= '0' && **type <= '9') {
        int dimensions = **type - '0';
        char code = (*type)[1];
        *type += 2;
        return pack_array(to, value, dimensions, code, strided);
    }
    return pack_number(to, value, *(*type)++);
}

/* -- calling --------------------------------------------------------------------------------- */

static int chosen_level; /* of all loops of this process */

static PyObject *failed(const struct loop *loop)
{
    if (out_of_memory)
        return PyErr_NoMemory();
    return PyErr_Format(PyExc_RuntimeError, "the compiled loop %s.%s failed", loop->module,
                        loop->name);
}

static PyObject *run(const struct loop *loop, const struct packed *packed)
{
    uint64_t result[RESULT_WORDS] = {0};
    int32_t status;
    PyThreadState *thread = PyEval_SaveThread();
    out_of_memory = 0;
    status = loop->code[chosen_level](packed->words, result);
    PyEval_RestoreThread(thread);
    if (status == -2) /* numba's status of None */
        Py_RETURN_NONE;
    if (status != 0)
        return failed(loop);
    struct reading at = {loop->result, (const char *)result, 0, packed};
    return next_value(&at);
}

static PyObject *call(PyObject *self, PyObject *const *arguments, Py_ssize_t number)
{
    const struct loop *loop = PyCapsule_GetPointer(self, NULL);
    for (int more = loop->more; more >= 0; more--, loop++) {
        struct packed packed;
        packed.number_of_words = packed.number_of_arrays = 0;
        const char *type = loop->arguments;
        int fits = 1;
        for (Py_ssize_t i = 0; i < number && fits; i++)
            fits = *type != '\0' && pack(&packed, arguments[i], &type);
        PyObject *result = fits && *type == '\0' ? run(loop, &packed) : NULL;
        int done = result != NULL || PyErr_Occurred();
        for (int i = 0; i < packed.number_of_arrays; i++)
            PyBuffer_Release(&packed.arrays[i]);
        if (done)
            return result;
    }
    Py_RETURN_NOTIMPLEMENTED;
}

static PyMethodDef call_method = {"loop", (PyCFunction)(void (*)(void))call, METH_FASTCALL, NULL};

static PyObject *find(PyObject *self, PyObject *arguments)
{
    const char *module, *name;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "ss", &module, &name))
        return NULL;
    for (int i = 0; i < number_of_loops; i++) {
        if (strcmp(loops[i].name, name) == 0 && strcmp(loops[i].module, module) == 0) {
            PyObject *loop = PyCapsule_New((void *)&loops[i], NULL, NULL);
            PyObject *function = loop ? PyCFunction_NewEx(&call_method, loop, NULL) : NULL;
            Py_XDECREF(loop);
            return function;
        }
    }
    Py_RETURN_NONE;
}

/* Whether this processor, and its operating system, run code of a level. */
static int supported(const char *level)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    int v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    int v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (strcmp(level, "v2") == 0)
        return v2;
    if (strcmp(level, "v3") == 0)
        return v3;
    if (strcmp(level, "v4") == 0)
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return strcmp(level, "generic") == 0;
}

static PyObject *choose(PyObject *self, PyObject *arguments)
{
    const char *wanted;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "z", &wanted))
        return NULL;
    for (int level = number_of_levels - 1; level >= 0; level--) {
        if ((wanted == NULL || strcmp(wanted, levels[level]) == 0) && supported(levels[level])) {
            chosen_level = level;
            return PyUnicode_FromString(levels[level]);
        }
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"find", find, METH_VARARGS, "find(module, name): the function of a loop, or None."},
    {"choose", choose, METH_VARARGS,
     "choose(level): take the loops of this level, or the highest that this processor runs."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_library", "Compiled loops.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__library(void)
{
    PyObject *numpy = PyImport_ImportModule("numpy");
    asarray = numpy ? PyObject_GetAttrString(numpy, "asarray") : NULL;
    bool_type = asarray ? PyObject_GetAttrString(numpy, "bool_") : NULL;
    Py_XDECREF(numpy);
    owner_type = bool_type ? (PyTypeObject *)PyType_FromSpec(&owner_spec) : NULL;
    return owner_type ? PyModule_Create(&definition) : NULL;
}
