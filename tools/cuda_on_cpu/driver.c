// A CUDA driver that computes on the processor: as much of the driver's interface as CubeCL calls.
// Modules are translated to C by translate.py and compiled; a launch has run when it returns, so that
// streams and events have nothing to wait for.
#include "kernel.h"
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct { const Kernel *kernel; char name[200]; } Function;
typedef int Result;
typedef uint64_t Address;
enum { MOST_SHARED = 232448 };
enum { SUCCESS = 0, NO_MEMORY = 2, BAD_KERNEL = 218, NOT_FOUND = 500 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

Result cuLaunchKernel(Function *f, uint32_t gx, uint32_t gy, uint32_t gz, uint32_t bx, uint32_t by, uint32_t bz,
                      uint32_t shared, void *stream, void **arguments, void **extra) {
    uint8_t packed[4096];
    for (int i = 0; i < f->kernel->count; i++) memcpy(packed + f->kernel->arguments[i][0], arguments[i], f->kernel->arguments[i][1]);
    uint32_t named = (f->kernel->named_shared + 127) & ~127u;
    Job job = {f->kernel, f->name, {{bx, by, bz}, {gx, gy, gz}, packed, named}, named + shared, 0, (long)gx * gy * gz};
    if (job.shared > MOST_SHARED) FAIL("%s wants %zu bytes of shared memory", f->name, job.shared);
    pthread_mutex_lock(&one_at_a_time);
    if (getenv("CUDA_ON_CPU_LOG"))
        fprintf(stderr, "cuda_on_cpu: %s grid %u %u %u block %u %u %u shared %u\n", f->name, gx, gy, gz, bx, by, bz, shared);
    pthread_t helpers[64];
    int count = 0, most = sysconf(_SC_NPROCESSORS_ONLN) - 1;
    while (count < most && count < 64 && count < job.blocks - 1) pthread_create(&helpers[count++], NULL, run_blocks, &job);
    run_blocks(&job);
    while (count > 0) pthread_join(helpers[--count], NULL);
    pthread_mutex_unlock(&one_at_a_time);
    return SUCCESS;
}

// ---- Modules

static Result translated(const char *ptx, char *library, size_t room) {
    const char *folder = getenv("CUDA_ON_CPU_CACHE"), *tools = getenv("CUDA_ON_CPU_TOOLS");
    if (!folder || !tools) FAIL("is to be started by its script `run`");
    uint64_t hash = 0xcbf29ce484222325;
    for (const char *c = ptx; *c; c++) hash = (hash ^ (uint8_t)*c) * 0x100000001b3;
    char refused[512], source[512], command[2048];
    snprintf(library, room, "%s/%016lx.so", folder, hash);
    snprintf(refused, sizeof refused, "%s/%016lx.refused", folder, hash);
    if (!access(library, R_OK)) return SUCCESS;
    if (!access(refused, R_OK)) return BAD_KERNEL;
    snprintf(source, sizeof source, "%s/%016lx.ptx", folder, hash);
    FILE *file = fopen(source, "w");
    if (!file || fputs(ptx, file) < 0 || fclose(file)) FAIL("cannot write %s", source);
    snprintf(command, sizeof command, "unset LD_LIBRARY_PATH; python3 '%s/translate.py' '%s' '%s'", tools, source, library);
    enum { REFUSED = 3 }; // as in translate.py
    int status = system(command);
    if (status == 0) return SUCCESS;
    FILE *mark = WIFEXITED(status) && WEXITSTATUS(status) == REFUSED ? fopen(refused, "w") : NULL;
    if (!mark) FAIL("%s could not be translated", source);
    fclose(mark);
    return BAD_KERNEL;
}

Result cuModuleLoadData(void **module, const void *ptx) {
    char library[512];
    pthread_mutex_lock(&one_at_a_time);
    Result result = translated(ptx, library, sizeof library);
    pthread_mutex_unlock(&one_at_a_time);
    if (result != SUCCESS) return result;
    *module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!*module) FAIL("%s", dlerror());
    return SUCCESS;
}

Result cuModuleGetFunction(Function **function, void *module, const char *name) {
    Function *f = malloc(sizeof *f);
    snprintf(f->name, sizeof f->name, "kernel_%s", name);
    f->kernel = dlsym(module, f->name);
    *function = f;
    return f->kernel ? SUCCESS : NOT_FOUND;
}

// ---- Memory

static long used;

static long room(void) {
    const char *megabytes = getenv("CUDA_ON_CPU_MEMORY");
    return (megabytes ? atol(megabytes) : 16384) << 20;
}

Result cuMemAlloc_v2(Address *address, size_t bytes) {
    if (__sync_fetch_and_add(&used, 0) + (long)bytes > room()) return NO_MEMORY;
    void *memory = aligned_alloc(512, (bytes + 511) & ~511ul);
    memset(memory, 0xff, bytes);
    __sync_fetch_and_add(&used, malloc_usable_size(memory));
    *address = (Address)memory;
    return SUCCESS;
}

Result cuMemFree_v2(Address address) {
    __sync_fetch_and_sub(&used, malloc_usable_size((void *)address));
    free((void *)address);
    return SUCCESS;
}

Result cuMemAllocAsync(Address *address, size_t bytes, void *stream) { return cuMemAlloc_v2(address, bytes); }
Result cuMemFreeAsync(Address address, void *stream) { return cuMemFree_v2(address); }
Result cuMemAllocHost_v2(void **memory, size_t bytes) { *memory = malloc(bytes); return SUCCESS; }
Result cuMemHostAlloc(void **memory, size_t bytes, uint32_t flags) { return cuMemAllocHost_v2(memory, bytes); }
Result cuMemFreeHost(void *memory) { free(memory); return SUCCESS; }
Result cuMemGetInfo_v2(size_t *left, size_t *total) { *total = room(); *left = *total - used; return SUCCESS; }
Result cuDeviceTotalMem_v2(size_t *total, int device) { *total = room(); return SUCCESS; }
Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *stream) { memcpy((void *)to, from, bytes); return SUCCESS; }
Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *stream) { memcpy(to, (void *)from, bytes); return SUCCESS; }

typedef struct { size_t x, y; int kind; void *host; Address device; void *array; size_t pitch; } Plane;
typedef struct { Plane from, to; size_t width, height; } Copy2D;

Result cuMemcpy2DAsync_v2(const Copy2D *copy, void *stream) {
    enum { HOST = 1 };
    const char *from = copy->from.kind == HOST ? copy->from.host : (void *)copy->from.device;
    char *to = copy->to.kind == HOST ? copy->to.host : (void *)copy->to.device;
    for (size_t y = 0; y < copy->height; y++)
        memcpy(to + (copy->to.y + y) * copy->to.pitch + copy->to.x, from + (copy->from.y + y) * copy->from.pitch + copy->from.x, copy->width);
    return SUCCESS;
}

// ---- One device, of Hopper's kind

Result cuInit(uint32_t flags) { last_to_first = getenv("CUDA_ON_CPU_REVERSE") != NULL; return SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
Result cuDeviceGet(int *device, int index) { *device = index; return SUCCESS; }
Result cuDeviceGetName(char *name, int room, int device) { snprintf(name, room, "processor"); return SUCCESS; }
Result cuDeviceGetUuid(void *id, int device) { memset(id, 1, 16); return SUCCESS; }
Result cuDeviceGetUuid_v2(void *id, int device) { return cuDeviceGetUuid(id, device); }
Result cuDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return SUCCESS; }
Result cuDeviceGetDefaultMemPool(void **pool, int device) { *pool = (void *)1; return SUCCESS; }

Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    static const int known[][2] = {
        {1, 1024}, {2, 1024}, {3, 1024}, {4, 64},             // threads of a block and along its axes
        {5, 2147483647}, {6, 65535}, {7, 65535},              // blocks along the grid's axes
        {8, 49152}, {97, MOST_SHARED}, {10, 32}, {16, 132},   // shared memory, warp, multiprocessors
        {75, 9}, {76, 0},                                     // compute capability
    };
    *value = 1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i][0] == attribute) *value = known[i][1];
    return SUCCESS;
}

// ---- What has nothing to do here

#define NOTHING(name) Result name(void) { return SUCCESS; }
#define GIVES(name) Result name(void **object) { *object = (void *)1; return SUCCESS; }
GIVES(cuDevicePrimaryCtxRetain) GIVES(cuCtxGetCurrent) GIVES(cuStreamCreate) GIVES(cuStreamCreateWithPriority) GIVES(cuEventCreate)
NOTHING(cuDevicePrimaryCtxRelease_v2) NOTHING(cuCtxSetCurrent) NOTHING(cuCtxSynchronize)
NOTHING(cuStreamSynchronize) NOTHING(cuStreamDestroy_v2) NOTHING(cuStreamWaitEvent)
NOTHING(cuEventRecord) NOTHING(cuEventSynchronize) NOTHING(cuEventDestroy_v2) NOTHING(cuEventQuery)
NOTHING(cuModuleUnload) NOTHING(cuFuncSetAttribute) NOTHING(cuTensorMapEncodeTiled) NOTHING(cuTensorMapEncodeIm2col)
Result cuEventElapsedTime(float *milliseconds) { *milliseconds = 1; return SUCCESS; }
Result cuEventElapsedTime_v2(float *milliseconds) { return cuEventElapsedTime(milliseconds); }
Result cuLaunchHostFunc(void *stream, void (*function)(void *), void *data) { function(data); return SUCCESS; }
Result cuGetErrorString(int error, const char **text) { *text = "no text"; return SUCCESS; }
Result cuGetErrorName(int error, const char **text) { return cuGetErrorString(error, text); }
