/* Listing folders and reading small files, in C: in a tree of many small files these calls cost more than the matching.
   And a worker's memory: what it frees is kept for its next text, for every fresh page costs a fault.

   Optional and for Linux alone: tree/inventory.py and tree/batch_scan.py do the same in Python, file by file, and are asked about all
   that is not plain here: whatever does not open, is no regular file, is large, or may be more than its bytes. Tests hold
   both ways to the same reports. No link is followed, nothing blocks. Stable ABI of CPython 3.11. */

#define _GNU_SOURCE
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__linux__) && defined(SYS_getdents64)

/* ---- walk: what lies below a folder ------------------------------------------------------------------------------ */

enum { ROOM = 64 << 10, MOST_DEEP = 64 };

typedef struct {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
} Entry;

typedef struct {
    PyObject *files, *left, *odd; /* lists of paths */
    char *room;                   /* for entries */
} Walk;

static int append(PyObject *list, const char *path, size_t length) {
    PyObject *item = PyBytes_FromStringAndSize(path, (Py_ssize_t)length);
    int failed = item == NULL || PyList_Append(list, item);
    Py_XDECREF(item);
    return failed ? -1 : 0;
}

/* Room for `size` bytes, with what is there already; -1 for an exception. */
static int grow(char **room, size_t size) {
    char *grown = realloc(*room, size);
    if (!grown) {
        PyErr_NoMemory();
        return -1;
    }
    *room = grown;
    return 0;
}

/* The path of `name` below `path`, with room for one more byte; -1 for an exception. */
static int join(char **joined, const char *path, size_t length, const char *name, size_t size) {
    if (grow(joined, length + size + 1)) return -1;
    memcpy(*joined, path, length);
    memcpy(*joined + length, name, size);
    return 0;
}

/* Lists the folder `fd`, whose path is `path` (with a slash behind it, or empty), and all below it; -1 for an exception. */
static int walk_folder(Walk *walk, int fd, const char *path, size_t length, int depth) {
    char *below = NULL; /* the names of its folders, each with a NUL behind it */
    size_t filled = 0, space = 0;
    char *joined = NULL;
    int failed = -1;
    if (PyErr_CheckSignals()) return -1;
    for (;;) {
        long got = syscall(SYS_getdents64, fd, walk->room, (size_t)ROOM);
        if (got < 0) { /* whoever asks will be told what is wrong */
            failed = append(walk->left, path, length ? length - 1 : 0);
            goto done;
        }
        if (got == 0) break;
        for (long at = 0; at < got;) {
            const Entry *entry = (const Entry *)(walk->room + at);
            const char *name = entry->name;
            size_t size = strlen(name);
            unsigned char type = entry->type;
            at += entry->length;
            if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.'))) continue;
            if (type == DT_UNKNOWN) {
                struct stat status;
                if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW)) continue; /* gone */
                type = S_ISDIR(status.st_mode) ? DT_DIR : S_ISREG(status.st_mode) ? DT_REG : S_ISLNK(status.st_mode) ? DT_LNK : DT_CHR;
            }
            if (type == DT_DIR) {
                if (size == 4 && !memcmp(name, ".git", 4)) continue;
                if (filled + size + 1 > space) {
                    space = 2 * space + size + 256;
                    if (grow(&below, space)) goto done;
                }
                memcpy(below + filled, name, size + 1);
                filled += size + 1;
                continue;
            }
            if (join(&joined, path, length, name, size)) goto done;
            if (append(type == DT_REG || type == DT_LNK ? walk->files : walk->odd, joined, length + size)) goto done;
        }
    }
    for (size_t at = 0; at < filled;) {
        const char *name = below + at;
        size_t size = strlen(name);
        at += size + 1;
        if (join(&joined, path, length, name, size)) goto done;
        joined[length + size] = '/';
        int inner = depth >= MOST_DEEP ? -1 : openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        int bad = inner < 0 ? append(walk->left, joined, length + size) : walk_folder(walk, inner, joined, length + size + 1, depth + 1);
        if (inner >= 0) close(inner);
        if (bad) goto done;
    }
    failed = 0;
done:
    free(below);
    free(joined);
    return failed;
}

static PyObject *walk(PyObject *self, PyObject *args) {
    int fd;
    const char *path;
    Py_ssize_t length;
    (void)self;
    if (!PyArg_ParseTuple(args, "iy#", &fd, &path, &length)) return NULL;
    Walk found = {PyList_New(0), PyList_New(0), PyList_New(0), malloc(ROOM)};
    PyObject *result = NULL;
    if (found.files && found.left && found.odd) {
        if (!found.room) PyErr_NoMemory();
        else if (!walk_folder(&found, fd, path, (size_t)length, 0)) result = PyTuple_Pack(3, found.files, found.left, found.odd);
    }
    free(found.room);
    Py_XDECREF(found.files);
    Py_XDECREF(found.left);
    Py_XDECREF(found.odd);
    return result;
}

/* ---- fill: small files into a buffer ----------------------------------------------------------------------------- */

enum { SNIFF = 1024, ZIP_TAIL = 22, OPENAT2 = 437 };

static const char SEPARATOR[] = "\n\0\n"; /* the one of engine/engine.py */

typedef struct {
    uint64_t flags, mode, resolve;
} How; /* of openat2(2), Linux 5.6 */

static const How HOW = {O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, 0x04 | 0x08}; /* no symlinks, beneath */

/* The first four bytes of archives, as in buffers.py: those whose files need not have a zero near their start. */
static const char MAGICS[] = "PK\3\4" "PK\5\6" "PK\7\x08" "PK00" "(\xb5/\xfd" "!<ar" "0707" "\x04\"M\x18" "\x02!L\x18" "ISc("
                             "\xed\xab\xee\xdb" "LZIP" "SZDD" "KWAJ" "Stuf" "ANDR" "\x03\xd9\xa2\x9a" "LUKS" "7z\xbc\xaf" "Rar!" "xar!" "hsqs";
static const char LFS[] = "version https://git-lfs.github.com/spec/v1\n";
static const char FIRSTS[] = "P(!0\x04\x02I\xedLSKA\x03" "7RxhB";

/* Whether the file may be more than its bytes: an archive, text in another encoding, or a pointer; see tree/batch_scan.py. */
static int is_special(const uint8_t *text, int64_t size) {
    if (size == 0) return 0;
    if (memchr("\x1f\xfd\xff\xfe", text[0], 4)) return 1;
    if (size >= 4 && memchr(FIRSTS, text[0], sizeof FIRSTS - 1)) {
        if (text[0] == 'B' && text[1] == 'Z') return 1;
        for (size_t at = 0; at < sizeof MAGICS - 1; at += 4) {
            if (!memcmp(text, MAGICS + at, 4)) return 1;
        }
    }
    if (text[0] == 'v' && size >= (int64_t)sizeof LFS && !memcmp(text, LFS, sizeof LFS - 1)) return 1;
    if (memchr(text, 0, (size_t)(size < SNIFF ? size : SNIFF))) return 1;
    return size >= ZIP_TAIL && !memcmp(text + size - ZIP_TAIL, "PK\5\6", 4);
}

/* Reads a file to `to`, where there are `room` bytes: its size, -1 when there is too little room, -2 when it is not plain. */
static int64_t read_file(int root, const char *path, uint8_t *to, int64_t room, int64_t most) {
    struct stat status;
    int64_t size, filled = 0;
    int fd = (int)syscall(OPENAT2, root, path, &HOW, sizeof HOW);
    if (fd < 0) return -2;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size > most) size = -2;
    else if (status.st_size > room) size = -1;
    else if (status.st_size == 0) size = pread(fd, to, 1, 0) ? -2 : 0; /* those of /proc say they are empty, and are not */
    else {
        size = status.st_size;
        while (filled < size) {
            ssize_t got = read(fd, to + filled, (size_t)(size - filled));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) break;
            if (got == 0) size = filled;
            filled += got;
        }
        if (filled < size || is_special(to, size)) size = -2;
    }
    close(fd);
    return size;
}

static PyObject *fill(PyObject *self, PyObject *args) {
    int root;
    PyObject *paths, *result = NULL, *starts = NULL, *kept = NULL;
    Py_ssize_t first, stop;
    long long at, end, most;
    Py_buffer buffer;
    (void)self;
    if (!PyArg_ParseTuple(args, "iO!nnw*LLL", &root, &PyList_Type, &paths, &first, &stop, &buffer, &at, &end, &most)) return NULL;
    starts = PyList_New(0);
    kept = PyList_New(0);
    if (!starts || !kept) goto done;
    if (first < 0 || stop > PyList_Size(paths) || at < 0 || end > buffer.len - (long long)(sizeof SEPARATOR - 1)) {
        PyErr_SetString(PyExc_ValueError, "outside of the paths or of the buffer");
        goto done;
    }
    PyObject *odd = PyList_New(0);
    if (!odd) goto done;
    for (; first < stop; first++) {
        PyObject *path = PyList_GetItem(paths, first); /* borrowed; the list does not change while it is read */
        const char *name = path ? PyBytes_AsString(path) : NULL;
        int64_t size;
        if (!name) break;
        uint8_t *to = (uint8_t *)buffer.buf + at;
        int64_t room = end - at;
        Py_BEGIN_ALLOW_THREADS
        size = read_file(root, name, to, room, most);
        Py_END_ALLOW_THREADS
        if (size == -1) break;
        if (size == -2) {
            if (PyList_Append(odd, path)) break;
            continue;
        }
        PyObject *span = Py_BuildValue("LL", at, at + (long long)size);
        int failed = !span || PyList_Append(starts, span) || PyList_Append(kept, path);
        Py_XDECREF(span);
        if (failed) break;
        memcpy(to + size, SEPARATOR, sizeof SEPARATOR - 1);
        at += size + (long long)sizeof SEPARATOR - 1;
        if (at > end) { /* full to the last byte */
            first++;
            break;
        }
    }
    if (!PyErr_Occurred()) result = Py_BuildValue("nLOOO", first, at, starts, kept, odd);
    Py_DECREF(odd);
done:
    Py_XDECREF(starts);
    Py_XDECREF(kept);
    PyBuffer_Release(&buffer);
    return result;
}

static PyObject *hold(PyObject *self, PyObject *args) {
    int most;
    (void)self;
    if (!PyArg_ParseTuple(args, "i", &most)) return NULL;
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, most);
    mallopt(M_TRIM_THRESHOLD, most);
#endif
    Py_RETURN_NONE;
}

#endif

static PyMethodDef methods[] = {
#if defined(__linux__) && defined(SYS_getdents64)
    {"walk", walk, METH_VARARGS, "walk(fd, path): files, folders not listed, and what is neither, below an open folder"},
    {"hold", hold, METH_VARARGS, "hold(most): freed memory up to so many bytes stays with this process"},
    {"fill", fill, METH_VARARGS, "fill(root, paths, first, stop, buffer, at, end, most): reads files as far as there is room"},
#endif
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_files", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__files(void) { return PyModuleDef_Init(&module); }
