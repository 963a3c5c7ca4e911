/* As much of libcuda as the SDK calls, on the host, stricter than the real one: work waits until
 * the stream is synchronised, every address and handle is checked, and everything is counted. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK, INVALID = 1, NO_MEMORY = 2, NO_CONTEXT = 201, BAD_HANDLE = 400, IN_CAPTURE = 900 };
#define DEVICE_OFFSET ((uint64_t)1 << 56) /* so that a device address is none of the host's */
#define MOST 4096

typedef int (*work)(long);
typedef struct { int kind; uint64_t to, from; size_t size; work run; long argument; } operation;
typedef struct { int count; operation operations[MOST]; } queue;
typedef struct { char *start; size_t size; int device, live; } block;

static block blocks[MOST];
static int block_count, devices = 1, retained, streams, graphs, executables, capturing;
static queue stream_queue, capture_queue;
static size_t memory = (size_t)8 << 30, used;
static char failing[64];
static int failing_code, calls_of_watched;
static char watched[64];
static __thread int depth;

static int enter(const char *name, int needs_context) {
    if (!strcmp(name, watched)) calls_of_watched++;
    if (!strcmp(name, failing)) return failing_code;
    return needs_context && !depth ? NO_CONTEXT : OK;
}
#define ENTER(needs) do { int code_ = enter(__func__, needs); if (code_) return code_; } while (0)

/* For the tests. */
void fake_fail(const char *name, int code) { strncpy(failing, name, 63); failing_code = code; }
void fake_watch(const char *name) { strncpy(watched, name, 63); calls_of_watched = 0; }
int fake_calls(void) { return calls_of_watched; }
void fake_devices(int count) { devices = count; }
void fake_memory(size_t bytes) { memory = bytes; }
int fake_live(void) {
    int live = retained + streams + graphs + executables + depth;
    for (int i = 0; i < block_count; i++) live += blocks[i].live;
    return live;
}
int fake_context(void) { return depth; }
int fake_capturing(void) { return capturing; }
static char *find(uint64_t address, size_t size, int device) {
    char *start = (char *)(uintptr_t)(address - (device ? DEVICE_OFFSET : 0));
    for (int i = 0; i < block_count; i++) {
        block *b = &blocks[i];
        if (b->live && b->device == device && start >= b->start &&
            start + size <= b->start + b->size) return start;
    }
    return NULL;
}
char *fake_host(uint64_t address, size_t size) { return find(address, size, 1); }
static int add(void *stream, operation o) {
    if (stream != &stream_queue) return BAD_HANDLE;
    queue *q = capturing ? &capture_queue : &stream_queue;
    if (q->count == MOST) return NO_MEMORY;
    q->operations[q->count++] = o;
    return OK;
}
int fake_enqueue(void *stream, work run, long argument) {
    return add(stream, (operation){2, 0, 0, 0, run, argument});
}

static int allocate(size_t size, int device, char **start) {
    if (capturing) return IN_CAPTURE;
    if (!size) return INVALID;
    if (block_count == MOST || (device && used + size > memory)) return NO_MEMORY;
    char *memory_ = aligned_alloc(256, (size + 255) / 256 * 256);
    memset(memory_, 0xA5, size); /* what was never written shows */
    blocks[block_count++] = (block){memory_, size, device, 1};
    if (device) used += size;
    *start = memory_;
    return OK;
}
static int release(char *start, int device) {
    for (int i = 0; i < block_count; i++)
        if (blocks[i].live && blocks[i].start == start && blocks[i].device == device) {
            blocks[i].live = 0;
            if (device) used -= blocks[i].size;
            free(start);
            return OK;
        }
    return INVALID;
}

int cuInit(unsigned flags) { ENTER(0); return flags ? INVALID : OK; }
int cuDriverGetVersion(int *version) { ENTER(0); *version = 12060; return OK; }
int cuDeviceGetCount(int *count) { ENTER(0); *count = devices; return OK; }
int cuDeviceGet(int *device, int ordinal) {
    ENTER(0);
    *device = 0;
    return ordinal < devices ? OK : 101;
}
int cuDeviceGetName(char *name, int length, int device) {
    ENTER(0);
    strncpy(name, "Fake Orin", length);
    return device ? 101 : OK;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    ENTER(0);
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
    return device ? 101 : OK;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { ENTER(0); *bytes = memory; return device; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    ENTER(0);
    retained++;
    *context = &retained;
    return device ? 101 : OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) { ENTER(0); retained--; return device; }
int cuCtxPushCurrent_v2(void *context) {
    ENTER(0);
    if (context != &retained || !retained) return NO_CONTEXT;
    depth++;
    return OK;
}
int cuCtxPopCurrent_v2(void **context) { ENTER(1); depth--; *context = &retained; return OK; }
int cuMemAlloc_v2(uint64_t *address, size_t size) {
    ENTER(1);
    char *start = NULL;
    int code = allocate(size, 1, &start);
    *address = (uint64_t)(uintptr_t)start + DEVICE_OFFSET;
    return code;
}
int cuMemFree_v2(uint64_t address) {
    ENTER(1);
    return release((char *)(uintptr_t)(address - DEVICE_OFFSET), 1);
}
int cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    ENTER(1);
    return flags ? INVALID : allocate(size, 0, (char **)address);
}
int cuMemFreeHost(void *address) { ENTER(1); return release(address, 0); }
int cuMemcpyHtoDAsync_v2(uint64_t to, void *from, size_t size, void *stream) {
    ENTER(1);
    return add(stream, (operation){0, to, (uintptr_t)from, size, NULL, 0});
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
    ENTER(1);
    return add(stream, (operation){1, (uintptr_t)to, from, size, NULL, 0});
}
int cuStreamCreate(void **stream, unsigned flags) {
    ENTER(1);
    streams++;
    stream_queue.count = 0;
    *stream = &stream_queue;
    return flags == 1 ? OK : INVALID;
}
int cuStreamDestroy_v2(void *stream) { ENTER(1); streams--; return stream ? OK : BAD_HANDLE; }
int cuStreamSynchronize(void *stream) {
    ENTER(1);
    if (capturing) return IN_CAPTURE;
    if (stream != &stream_queue) return BAD_HANDLE;
    int code = OK;
    for (int i = 0; i < stream_queue.count && !code; i++) {
        operation o = stream_queue.operations[i];
        if (o.kind == 2) {
            code = o.run(o.argument);
            continue;
        }
        char *to = find(o.to, o.size, o.kind == 0), *from = find(o.from, o.size, o.kind == 1);
        if (!to || !from) code = 700;
        else memcpy(to, from, o.size);
    }
    stream_queue.count = 0;
    return code;
}
int cuStreamBeginCapture_v2(void *stream, int mode) {
    ENTER(1);
    if (stream != &stream_queue || mode != 1 || capturing) return INVALID;
    capturing = 1;
    capture_queue.count = 0;
    return OK;
}
int cuStreamEndCapture(void *stream, void **graph) {
    if (!capturing || stream != &stream_queue) return INVALID;
    capturing = 0; /* also where it fails, as the real one */
    ENTER(1);
    graphs++;
    queue *copy = malloc(sizeof(queue));
    *copy = capture_queue;
    *graph = copy;
    return OK;
}
int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    ENTER(1);
    if (!graph || flags) return INVALID;
    executables++;
    queue *copy = malloc(sizeof(queue));
    *copy = *(queue *)graph;
    *executable = copy;
    return OK;
}
int cuGraphLaunch(void *executable, void *stream) {
    ENTER(1);
    queue *q = executable;
    int code = OK;
    for (int i = 0; i < q->count && !code; i++) code = add(stream, q->operations[i]);
    return code;
}
int cuGraphExecDestroy(void *executable) { ENTER(1); executables--; free(executable); return OK; }
int cuGraphDestroy(void *graph) { ENTER(1); graphs--; free(graph); return OK; }
int cuGetErrorName(int code, const char **name) {
    *name = code == NO_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
          : code == NO_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT"
          : code == IN_CAPTURE ? "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
          : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : NULL;
    return *name ? OK : INVALID;
}
