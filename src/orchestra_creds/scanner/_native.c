/* The loops of a scan that cost most, in C: reading a pack's table of contents, applying a delta, finding hex.

   Optional: git/pack.py and git/delta.py hold the same functions in Python, decoding/decode.py the pattern that finds hex, and tests hold
   both to the same answers, also on damaged input. Everything read here comes from a hostile repository: no offset, size
   or count is used before it was checked against the buffer it points into. Stable ABI of CPython 3.11, so one build
   serves later versions. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BROKEN = 0, OFS_DELTA = 6, REF_DELTA = 7, UNKNOWN = 254, VISITED = 255 };

static uint32_t be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- survey: what a pack holds ---------------------------------------------------------------------------------- */

typedef struct {
    int64_t offset;
    uint32_t place; /* in the index, which is sorted by object id */
} Entry;

/* Sorts by offset; entries with the same offset stay in the order they have. Twice as much room is needed as there are
   entries; answers where the sorted ones begin: there, or `count` behind it. A damaged offset, -1, comes first. */
static Entry *sort(Entry *entries, int32_t count, int64_t most) {
    Entry *from = entries, *to = entries + count;
    for (int shift = 0; shift < 64 && ((uint64_t)most + 1) >> shift; shift += 11) {
        uint32_t starts[2048] = {0}, at = 0;
        for (int32_t i = 0; i < count; i++) starts[(uint64_t)(from[i].offset + 1) >> shift & 2047]++;
        for (int i = 0; i < 2048; i++) {
            uint32_t many = starts[i];
            starts[i] = at;
            at += many;
        }
        for (int32_t i = 0; i < count; i++) to[starts[(uint64_t)(from[i].offset + 1) >> shift & 2047]++] = from[i];
        Entry *other = from;
        from = to;
        to = other;
    }
    return from;
}

/* Position of `offset` in the sorted entries, or -1. */
static int32_t find_offset(const Entry *entries, int32_t count, int64_t offset) {
    int32_t low = 0, high = count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (entries[middle].offset < offset) low = middle + 1;
        else high = middle;
    }
    return low < count && entries[low].offset == offset ? low : -1;
}

/* Place of an object id in the index, or -1. */
static int32_t find_name(const uint8_t *fanout, const uint8_t *names, const uint8_t *name, Py_ssize_t width) {
    int64_t low = name[0] ? be32(fanout + 4 * (name[0] - 1)) : 0, high = be32(fanout + 4 * name[0]);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = memcmp(names + middle * width, name, (size_t)width);
        if (order == 0) return (int32_t)middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

/* Reads the header of one object; answers 0 when it is damaged. */
static int read_header(const uint8_t *pack, int64_t offset, int64_t end, Py_ssize_t width, int *type, int64_t *size,
                       int64_t *data, int64_t *base) {
    int64_t at = offset;
    if (at < 12 || at >= end) return 0;
    uint8_t byte = pack[at++];
    uint64_t value = byte & 15;
    int shift = 4;
    *type = byte >> 4 & 7;
    while (byte & 0x80) {
        if (at >= end || shift > 53) return 0;
        byte = pack[at++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    }
    *size = (int64_t)value;
    *base = -1;
    if (*type == OFS_DELTA) {
        if (at >= end) return 0;
        byte = pack[at++];
        uint64_t back = byte & 0x7f;
        while (byte & 0x80) {
            if (at >= end || back >= (uint64_t)1 << 55) return 0;
            byte = pack[at++];
            back = (back + 1) << 7 | (byte & 0x7f);
        }
        if (back == 0 || back > (uint64_t)offset) return 0;
        *base = offset - (int64_t)back;
    } else if (*type == REF_DELTA) {
        if (end - at < width) return 0;
        *base = at;
        at += width;
    } else if (*type < 1 || *type > 4) return 0;
    *data = at;
    return 1;
}

static PyObject *survey(PyObject *self, PyObject *args) {
    Py_buffer index, pack;
    Py_ssize_t width;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*n", &index, &pack, &width)) return NULL;
    const uint8_t *idx = index.buf, *bytes = pack.buf;
    PyObject *result = NULL, *columns[9] = {NULL};
    Entry *room = NULL, *entries;
    const char *wrong = "the index is damaged";
    if (width != 20 && width != 32) goto refuse;
    if (index.len < 8 + 1024 + 2 * width || memcmp(idx, "\377tOc\0\0\0\2", 8)) goto refuse;
    const uint8_t *fanout = idx + 8;
    uint32_t previous = 0;
    for (int i = 0; i < 256; i++) {
        uint32_t next = be32(fanout + 4 * i);
        if (next < previous) goto refuse;
        previous = next;
    }
    int64_t total = previous;
    if (total > INT32_MAX - 1 || (index.len - 8 - 1024 - 2 * width) / (width + 8) < total) goto refuse;
    int32_t count = (int32_t)total;
    const uint8_t *names = fanout + 1024, *small = names + total * (width + 4), *large = small + total * 4;
    int64_t larges = (idx + index.len - 2 * width - large) / 8;
    wrong = "the pack is damaged";
    if (pack.len < 12 + width || memcmp(bytes, "PACK\0\0\0", 7) || (bytes[7] != 2 && bytes[7] != 3)) goto refuse;
    if (be32(bytes + 8) != (uint32_t)count) {
        wrong = "the pack and its index do not belong together";
        goto refuse;
    }
    int64_t end = pack.len - width;

    room = malloc((2 * (size_t)count + 1) * sizeof *room);
    if (!room) {
        PyErr_NoMemory();
        goto done;
    }
    entries = room;
    int64_t most = 0;
    for (int32_t i = 0; i < count; i++) {
        uint32_t offset = be32(small + 4 * (int64_t)i);
        entries[i].place = (uint32_t)i;
        entries[i].offset = offset;
        if (offset & 0x80000000u) {
            int64_t at = offset & 0x7fffffffu;
            entries[i].offset = -1; /* sorted to the front, broken */
            if (at < larges) {
                uint64_t far = (uint64_t)be32(large + 8 * at) << 32 | be32(large + 8 * at + 4);
                if (far < (uint64_t)end) entries[i].offset = (int64_t)far;
            }
        }
        if (entries[i].offset > most) most = entries[i].offset;
    }
    entries = sort(room, count, most);

    /* the columns of git/pack.py */
    const int widths[9] = {4, 8, 1, 8, 8, 4, 8, 4, 4};
    for (int i = 0; i < 9; i++)
        if (!(columns[i] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)count * widths[i]))) goto done;
    uint32_t *place = (uint32_t *)PyBytes_AsString(columns[0]);
    int64_t *offset = (int64_t *)PyBytes_AsString(columns[1]);
    uint8_t *kind = (uint8_t *)PyBytes_AsString(columns[2]);
    int64_t *size = (int64_t *)PyBytes_AsString(columns[3]);
    int64_t *data = (int64_t *)PyBytes_AsString(columns[4]);
    int32_t *parent = (int32_t *)PyBytes_AsString(columns[5]);
    int64_t *weight = (int64_t *)PyBytes_AsString(columns[6]);
    int32_t *first = (int32_t *)PyBytes_AsString(columns[7]), *next = (int32_t *)PyBytes_AsString(columns[8]);
    for (int32_t i = 0; i < count; i++) {
        int type;
        int64_t base, limit = i + 1 < count ? entries[i + 1].offset : end;
        place[i] = entries[i].place;
        offset[i] = entries[i].offset;
        parent[i] = first[i] = next[i] = -1;
        kind[i] = BROKEN;
        size[i] = data[i] = 0;
        if (limit > end) limit = end;
        if (read_header(bytes, offset[i], limit, width, &type, &size[i], &data[i], &base)) {
            kind[i] = (uint8_t)type;
            if (type == REF_DELTA) {
                int32_t found = find_name(fanout, names, bytes + base, width);
                base = -1;
                if (found >= 0) { /* the offset that the index gives that object, as above */
                    uint32_t low = be32(small + 4 * (int64_t)found);
                    base = low;
                    if (low & 0x80000000u) {
                        int64_t at = low & 0x7fffffffu;
                        base = at < larges ? (int64_t)((uint64_t)be32(large + 8 * at) << 32 | be32(large + 8 * at + 4)) : -1;
                    }
                }
            }
            if (type == REF_DELTA || type == OFS_DELTA) {
                parent[i] = base < 0 ? -1 : find_offset(entries, count, base);
                kind[i] = parent[i] < 0 ? BROKEN : UNKNOWN;
            }
        } else size[i] = data[i] = 0;
        weight[i] = 4096 + (size[i] < ((int64_t)1 << 40) ? size[i] : 0);
    }
    /* The kind of a delta is that of the object its chain ends in; a chain that bites its own tail is broken. */
    for (int32_t i = 0; i < count; i++) {
        int32_t j = i;
        if (kind[i] != UNKNOWN) continue;
        while (kind[j] == UNKNOWN) {
            kind[j] = VISITED;
            j = parent[j];
        }
        uint8_t found = kind[j] == VISITED ? BROKEN : kind[j];
        for (j = i; kind[j] == VISITED; j = parent[j]) kind[j] = found;
    }
    for (int32_t i = count - 1; i >= 0; i--)
        if (parent[i] >= 0 && parent[i] < i) weight[parent[i]] += weight[i];
    for (int32_t i = count - 1; i >= 0; i--)
        if (parent[i] >= 0 && kind[i] != BROKEN) {
            next[i] = first[parent[i]];
            first[parent[i]] = i;
        }
    result = PyTuple_New(9);
    for (int i = 0; result && i < 9; i++) {
        PyTuple_SetItem(result, i, columns[i]);
        columns[i] = NULL;
    }
    goto done;
refuse:
    PyErr_SetString(PyExc_ValueError, wrong);
done:
    for (int i = 0; i < 9; i++) Py_XDECREF(columns[i]);
    free(room);
    PyBuffer_Release(&index);
    PyBuffer_Release(&pack);
    return result;
}

/* ---- apply: the text of a delta, and the windows of it that are new ---------------------------------------------- */

typedef struct {
    int64_t to, from, length;
} Run;

static const char SEPARATOR[] = "\n\0\n"; /* the one of git/delta.py */

static int read_size(const uint8_t **at, const uint8_t *end, int64_t *size) {
    uint64_t value = 0;
    int shift = 0;
    uint8_t byte;
    do {
        if (*at >= end || shift > 56) return 0;
        byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (value > INT64_MAX) return 0;
    *size = (int64_t)value;
    return 1;
}

/* The part [low, high) of a copied run that need not be read again; answers 0 when it is empty. */
static int inner(const Run *run, int64_t old, int64_t new, int64_t back, int64_t ahead, int64_t *low, int64_t *high) {
    *low = run->to + (run->to == 0 && run->from == 0 ? 0 : ahead);
    *high = run->to + run->length - (run->to + run->length == new && run->from + run->length == old ? 0 : back);
    return *low < *high;
}

static PyObject *apply(PyObject *self, PyObject *args) {
    Py_buffer base, delta;
    long long limit, back, ahead;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*LLL", &base, &delta, &limit, &back, &ahead)) return NULL;
    const uint8_t *source = base.buf, *at = delta.buf, *end = at + delta.len;
    PyObject *text = NULL, *windows = NULL, *cuts = NULL, *copies = NULL, *result = NULL;
    Run *runs = NULL;
    size_t count = 0, room = 0;
    int64_t old, new, filled = 0;
    if (back < 0 || ahead < 0 || back > (1 << 28) || ahead > (1 << 28)) goto damaged;
    if (!read_size(&at, end, &old) || !read_size(&at, end, &new) || old != base.len) goto damaged;
    if (new > limit) {
        PyErr_SetString(PyExc_OverflowError, "larger than the limit");
        goto done;
    }
    if (!(text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)new))) goto done;
    uint8_t *target = (uint8_t *)PyBytes_AsString(text);
    while (at < end) {
        uint8_t op = *at++;
        if (op & 0x80) {
            int64_t from = 0, length = 0;
            for (int i = 0; i < 4; i++)
                if (op & 1 << i) {
                    if (at >= end) goto damaged;
                    from |= (int64_t)*at++ << 8 * i;
                }
            for (int i = 0; i < 3; i++)
                if (op & 0x10 << i) {
                    if (at >= end) goto damaged;
                    length |= (int64_t)*at++ << 8 * i;
                }
            if (length == 0) length = 0x10000;
            if (from > old || length > old - from || length > new - filled) goto damaged;
            memcpy(target + filled, source + from, (size_t)length);
            Run *last = count ? &runs[count - 1] : NULL;
            if (last && last->to + last->length == filled && last->from + last->length == from) last->length += length;
            else {
                if (count == room) {
                    room = room ? room * 2 : 64;
                    Run *grown = realloc(runs, room * sizeof *runs);
                    if (!grown) {
                        PyErr_NoMemory();
                        goto done;
                    }
                    runs = grown;
                }
                runs[count++] = (Run){filled, from, length};
            }
            filled += length;
        } else {
            if (op == 0 || end - at < op || op > new - filled) goto damaged;
            memcpy(target + filled, at, op);
            at += op;
            filled += op;
        }
    }
    if (filled != new) goto damaged;

    /* Only runs with an inner part stay in the list; what lies between the inner parts is read again. */
    size_t useful = 0;
    int64_t low, high;
    for (size_t i = 0; i < count; i++)
        if (inner(&runs[i], old, new, back, ahead, &low, &high)) runs[useful++] = runs[i];
    if (!(copies = PyBytes_FromStringAndSize((const char *)runs, (Py_ssize_t)(useful * sizeof *runs)))) goto done;
    int64_t(*window)[2] = malloc((useful + 1) * sizeof *window);
    if (!window) {
        PyErr_NoMemory();
        goto done;
    }
    size_t opened = 0;
    int64_t from = 0, room_for = 0;
    for (size_t i = 0; i <= useful; i++) {
        low = high = new;
        if (i < useful) inner(&runs[i], old, new, back, ahead, &low, &high);
        if (from < low) {
            window[opened][0] = from;
            window[opened++][1] = low;
            room_for += low - from + (int64_t)sizeof SEPARATOR - 1;
        }
        from = high;
    }
    if (opened == 1 && window[0][0] == 0 && window[0][1] == new) {
        Py_INCREF(text); /* all of it is new */
        windows = text;
    } else windows = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room_for);
    cuts = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(opened * 3 * sizeof(int64_t)));
    if (windows && cuts) {
        uint8_t *to = (uint8_t *)PyBytes_AsString(windows), *start = to;
        int64_t *cut = (int64_t *)PyBytes_AsString(cuts);
        for (size_t i = 0; i < opened; i++) {
            int64_t length = window[i][1] - window[i][0];
            *cut++ = to - start;
            *cut++ = window[i][0];
            *cut++ = length;
            if (windows == text) break;
            memcpy(to, target + window[i][0], (size_t)length);
            to += length;
            memcpy(to, SEPARATOR, sizeof SEPARATOR - 1);
            to += sizeof SEPARATOR - 1;
        }
        result = PyTuple_Pack(4, text, windows, cuts, copies);
    }
    free(window);
    goto done;
damaged:
    PyErr_SetString(PyExc_ValueError, "the delta is damaged");
done:
    free(runs);
    Py_XDECREF(text);
    Py_XDECREF(windows);
    Py_XDECREF(cuts);
    Py_XDECREF(copies);
    PyBuffer_Release(&base);
    PyBuffer_Release(&delta);
    return result;
}

/* ---- hex_ends: runs of digits that spell text ------------------------------------------------------------------- */

enum { DIGITS = 32 };

static int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10 || (uint8_t)((c | 32) - 'a') < 6; }

/* Whether two digits are a printable character, a tab or a line break. */
static int is_pair(uint8_t high, uint8_t low) {
    return (high >= '2' && high <= '7') || (high == '0' && (low == '9' || (low | 32) == 'a' || (low | 32) == 'd'));
}

/* Looks at one byte in 32 until that is a digit: a run of 32 holds one of them. */
static PyObject *hex_ends(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer data;
    Py_ssize_t gap;
    if (!PyArg_ParseTuple(args, "y*n", &data, &gap)) return NULL;
    const uint8_t *text = data.buf;
    int64_t size = data.len, last = -1, until = -1, at = DIGITS - 1;
    PyObject *ends = PyList_New(0);
    while (ends && at < size) {
        if (!is_digit(text[at])) {
            at += DIGITS;
            continue;
        }
        int64_t start = at;
        while (start > at - DIGITS + 1 && is_digit(text[start - 1])) start--;
        if (start > at - DIGITS + 1) {
            at = start + DIGITS - 1;
            continue;
        }
        int64_t pairs[2] = {0, 0}; /* how many follow each other up to here, from even and from odd places */
        for (at = start; at + 1 < size && is_digit(text[at + 1]); at++) {
            int64_t *count = &pairs[at & 1], end = at + 2;
            *count = is_pair(text[at], text[at + 1]) ? *count + 1 : 0;
            if (*count < DIGITS / 2 || (end >= last && end <= until)) continue;
            const uint8_t *nul = memchr(text + end, 0, (size_t)(size - end < gap ? size - end : gap));
            last = end;
            until = nul ? nul - text : end + gap;
            PyObject *number = PyLong_FromLongLong(end);
            if (!number || PyList_Append(ends, number)) Py_CLEAR(ends);
            Py_XDECREF(number);
            if (!ends) break;
        }
        at += DIGITS + 1;
    }
    PyBuffer_Release(&data);
    return ends;
}

/* ---- count_breaks: lines ------------------------------------------------------------------------------------------ */

/* In blocks whose counts fit into a byte, which a compiler turns into vectors. */
static PyObject *count_breaks(PyObject *self, PyObject *arg) {
    (void)self;
    Py_buffer data;
    if (PyObject_GetBuffer(arg, &data, PyBUF_SIMPLE) < 0) return NULL;
    const uint8_t *text = data.buf;
    Py_ssize_t count = 0, at = 0;
    for (; at + 255 * 16 <= data.len; at += 255 * 16) {
        uint8_t lanes[16] = {0};
        for (int row = 0; row < 255; row++)
            for (int lane = 0; lane < 16; lane++) lanes[lane] += text[at + row * 16 + lane] == '\n';
        for (int lane = 0; lane < 16; lane++) count += lanes[lane];
    }
    for (; at < data.len; at++) count += text[at] == '\n';
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(count);
}

static PyMethodDef methods[] = {
    {"survey", survey, METH_VARARGS, "survey(index, pack, width): see git/pack.py"},
    {"apply", apply, METH_VARARGS, "apply(base, delta, limit, back, ahead): see git/delta.py"},
    {"hex_ends", hex_ends, METH_VARARGS, "hex_ends(data, gap): see engine/prefilter.py"},
    {"count_breaks", count_breaks, METH_O, "count_breaks(data): see content/locate.py"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }
