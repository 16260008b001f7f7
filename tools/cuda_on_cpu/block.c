// Blocks of threads. A block's threads are coroutines: one runs until it waits for its warp or its
// block. Memory begins as NaN, and asynchronous copies are done no earlier than they are waited for or
// handed to a barrier. A warp that is not together, copies and matrix rows out of line, more shared
// memory than there is, and a block's barrier that not all can reach end the program.
#include "kernel.h"
#include <sys/mman.h>

// ---- Threads of a block

enum { READY, AT_BARRIER, IN_WARP, ENDED };
enum { EXCHANGE, LOAD_ROWS, MULTIPLY_ROWS, MULTIPLY_MATRICES };

struct Block {
    const Kernel *kernel;
    int count;
    Thread *threads, *current;
    void *scheduler;
};

static const size_t STACK = 96 << 10;
static __thread Block *running;
int last_to_first;

/// Goes on where `to` was left, and leaves this place in `from`.
__attribute__((naked)) static void change(void **from, void *to) {
    __asm__ volatile("push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
                     "mov %rsp, (%rdi); mov %rsi, %rsp\n"
                     "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret");
}

static void wait_as(Thread *t, int state) {
    t->state = state;
    change(&t->stack, t->of->scheduler);
}

static void begin(void) {
    Thread *t = running->current;
    running->kernel->run(t);
    if (t->copies) FAIL("copies that nobody waited for");
    wait_as(t, ENDED);
}

/// A stack on which `change` begins; where `begin` is entered, it is 8 beyond a multiple of 16.
static void *fresh_stack(char *memory) {
    void **top = (void **)(memory + STACK - 72);
    *top = NULL;
    *--top = (void *)begin;
    for (int saved = 0; saved < 6; saved++) *--top = NULL;
    return top;
}

void wait_for_block(Thread *t) { wait_as(t, AT_BARRIER); }

static void with_warp(Thread *t, int wish, void *operands) {
    t->wish = wish;
    t->operands = operands;
    wait_as(t, IN_WARP);
}

// ---- What a warp does together

typedef struct { int how, inside; uint32_t value, other, clamp, result; } Exchange;

uint32_t exchange(Thread *t, int how, uint32_t value, uint32_t other, uint32_t clamp, int *inside) {
    Exchange e = {how, 0, value, other, clamp, 0};
    with_warp(t, EXCHANGE, &e);
    *inside = e.inside;
    return e.result;
}

static void exchange_all(Thread **warp, int count) {
    for (int i = 0; i < count; i++) {
        Exchange *e = warp[i]->operands;
        int lane = warp[i]->lane, segment = e->clamp >> 8 & 31, clamp = e->clamp & 31, by = e->other & 31;
        int last = (lane & segment) | (clamp & ~segment), from;
        switch (e->how) {
            case UP: from = lane - by; e->inside = from >= last; break;
            case DOWN: from = lane + by; e->inside = from <= last; break;
            case BFLY: from = lane ^ by; e->inside = from <= last; break;
            default: from = (lane & segment) | (by & ~segment); e->inside = from <= last;
        }
        if (!e->inside) from = lane;
        for (int j = 0; j < count; j++)
            if ((int)warp[j]->lane == from) e->result = ((Exchange *)warp[j]->operands)->value;
    }
}

typedef struct { const uint8_t *row; int matrices, transposed; uint32_t *out; } Rows;

void load_rows(Thread *t, const uint8_t *row, int matrices, int transposed, uint32_t *out) {
    Rows rows = {row, matrices, transposed, out};
    with_warp(t, LOAD_ROWS, &rows);
}

static void load_all_rows(Thread **warp) {
    const Rows *first = warp[0]->operands;
    for (int m = 0; m < first->matrices; m++) {
        uint16_t matrix[8][8];
        for (int r = 0; r < 8; r++) {
            const uint8_t *row = ((Rows *)warp[8 * m + r]->operands)->row;
            if ((uintptr_t)row % 16) FAIL("a matrix row at %p", (void *)row);
            memcpy(matrix[r], row, 16);
        }
        for (int i = 0; i < 32; i++) {
            int a = i / 4, b = i % 4 * 2;
            uint32_t low = first->transposed ? matrix[b][a] : matrix[a][b];
            uint32_t high = first->transposed ? matrix[b + 1][a] : matrix[a][b + 1];
            ((Rows *)warp[i]->operands)->out[m] = high << 16 | low;
        }
    }
}

/// The nth element of registers that hold several.
static float element_of(const uint32_t *registers, int n, int element) {
    if (element >= F32) return AS(float, uint32_t, registers[n]);
    uint16_t bits = registers[n / 2] >> 16 * (n % 2);
    return element == F16 ? wide_f16(AS(f16, uint16_t, bits)) : wide_bf16((bf16){bits});
}

typedef struct { int element; const uint32_t *a, *b; float *c; } Product;

void multiply_rows(Thread *t, int element, const uint32_t *a, const uint32_t *b, float *c) {
    Product p = {element, a, b, c};
    with_warp(t, MULTIPLY_ROWS, &p);
}

/// mma.m16n8k16: registers hold pairs along k; lane i has rows i / 4 and i / 4 + 8.
static void multiply_all_rows(Thread **warp) {
    float a[16][16], b[16][8], c[16][8];
    for (int i = 0; i < 32; i++) {
        const Product *p = warp[i]->operands;
        int row = i / 4, pair = i % 4 * 2;
        for (int h = 0; h < 2; h++) {
            for (int part = 0; part < 4; part++)
                a[row + part % 2 * 8][pair + part / 2 * 8 + h] = element_of(p->a, 2 * part + h, p->element);
            for (int part = 0; part < 2; part++) {
                b[pair + part * 8 + h][row] = element_of(p->b, 2 * part + h, p->element);
                c[row + part * 8][pair + h] = p->c[2 * part + h];
            }
        }
    }
    for (int r = 0; r < 16; r++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 8; n++) c[r][n] += a[r][k] * b[k][n];
    for (int i = 0; i < 32; i++) {
        const Product *p = warp[i]->operands;
        for (int part = 0; part < 4; part++) p->c[part] = c[i / 4 + part / 2 * 8][i % 4 * 2 + part % 2];
    }
}

// wmma's registers are for the hardware to fill: here, element e is the lane's e % 32.

static size_t place(int row, int column, int row_major, uint32_t stride) {
    return row_major ? (size_t)row * stride + column : (size_t)column * stride + row;
}

void load_matrix(Thread *t, const uint8_t *from, int rows, int columns, int element, int row_major, uint32_t stride, uint32_t *out) {
    memset(out, 0, 8 * sizeof *out);
    for (int e = t->lane, n = 0; e < rows * columns; e += 32, n++) {
        size_t at = place(e / columns, e % columns, row_major, stride);
        if (element < F32) out[n / 2] |= (uint32_t)LOAD(uint16_t, from + 2 * at) << 16 * (n % 2);
        else out[n] = LOAD(uint32_t, from + 4 * at);
    }
}

void store_matrix(Thread *t, uint8_t *to, int rows, int columns, int element, int row_major, uint32_t stride, const uint32_t *values) {
    for (int e = t->lane, n = 0; e < rows * columns; e += 32, n++) {
        size_t at = place(e / columns, e % columns, row_major, stride);
        if (element < F32) STORE(uint16_t, to + 2 * at, (uint16_t)(values[n / 2] >> 16 * (n % 2)));
        else STORE(uint32_t, to + 4 * at, values[n]);
    }
}

typedef struct { const int *shape, *elements; const uint32_t *a, *b; uint32_t *c; } Matrices;

void multiply_matrices(Thread *t, const int shape[3], const int elements[3], const uint32_t *a, const uint32_t *b, uint32_t *c) {
    Matrices m = {shape, elements, a, b, c};
    with_warp(t, MULTIPLY_MATRICES, &m);
}

static void multiply_all_matrices(Thread **warp) {
    const Matrices *first = warp[0]->operands;
    int rows = first->shape[0], columns = first->shape[1], depth = first->shape[2];
    const int *elements = first->elements;
    float a[512], b[512], c[512];
    for (int i = 0; i < 32; i++) {
        const Matrices *m = warp[i]->operands;
        for (int e = i; e < rows * depth; e += 32) a[e] = element_of(m->a, e / 32, elements[0]);
        for (int e = i; e < depth * columns; e += 32) b[e] = element_of(m->b, e / 32, elements[0]);
        for (int e = i; e < rows * columns; e += 32) c[e] = element_of(m->c, e / 32, elements[1]);
    }
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < depth; k++)
            for (int n = 0; n < columns; n++) c[r * columns + n] += a[r * depth + k] * b[k * columns + n];
    for (int i = 0; i < 32; i++) {
        const Matrices *m = warp[i]->operands;
        memset(m->c, 0, 8 * sizeof *m->c);
        for (int e = i, n = 0; e < rows * columns; e += 32, n++) {
            if (elements[2] == F16) m->c[n / 2] |= (uint32_t)AS(uint16_t, f16, (f16)c[e]) << 16 * (n % 2);
            else m->c[n] = AS(uint32_t, float, c[e]);
        }
    }
}

static void together(Thread **warp, int count) {
    for (int i = 1; i < count; i++)
        if (warp[i]->wish != warp[0]->wish) FAIL("threads of a warp do different things");
    if (warp[0]->wish != EXCHANGE && count != 32) FAIL("%d threads for a matrix", count);
    switch (warp[0]->wish) {
        case EXCHANGE: exchange_all(warp, count); break;
        case LOAD_ROWS: load_all_rows(warp); break;
        case MULTIPLY_ROWS: multiply_all_rows(warp); break;
        default: multiply_all_matrices(warp);
    }
    for (int i = 0; i < count; i++) warp[i]->state = READY;
}

// ---- Asynchronous copies and barriers in memory

static void do_copies(Thread *t, int last_group) {
    int left = 0;
    for (int i = 0; i < t->copies; i++) {
        Copy c = t->copy[i];
        if (c.group > last_group) { t->copy[left++] = c; continue; }
        memcpy(c.to, c.from, c.copied);
        memset(c.to + c.copied, 0, c.bytes - c.copied);
    }
    t->copies = left;
}

void copy_later(Thread *t, uint8_t *to, const uint8_t *from, int bytes, int copied) {
    if ((uintptr_t)to % bytes || (uintptr_t)from % bytes) FAIL("a copy of %d bytes to %p", bytes, (void *)to);
    if (t->copies == sizeof t->copy / sizeof *t->copy) FAIL("more copies than this keeps");
    t->copy[t->copies++] = (Copy){to, from, bytes, copied, t->group};
}

void commit_copies(Thread *t) { t->group++; }
void wait_for_copies(Thread *t, int groups_left) { do_copies(t, t->group - 1 - groups_left); }

void arrive_with_copies(Thread *t, Barrier *b, int counted) {
    do_copies(t, t->group);
    if (counted) barrier_arrive(b, 1);
}

void barrier_init(Barrier *b, uint32_t count) { *b = (Barrier){count, count, 0}; }

uint64_t barrier_arrive(Barrier *b, uint32_t count) {
    uint64_t phase = b->phase;
    if (b->pending < count) FAIL("more arrivals than a barrier waits for");
    b->pending -= count;
    if (b->pending == 0) *b = (Barrier){b->expected, b->expected, b->phase + 1};
    return phase;
}

int barrier_passed(Thread *t, const Barrier *b, uint64_t token, int parity) {
    int passed = parity ? (b->phase & 1) != (token & 1) : b->phase != (uint32_t)token;
    if (!passed) wait_as(t, READY);
    return passed;
}

// ---- Launches

/// Runs every thread as far as it comes; whether any was ready.
static int run_ready(Block *b) {
    int ready = 0;
    for (int i = 0; i < b->count; i++) {
        Thread *t = &b->threads[last_to_first ? b->count - 1 - i : i];
        if (t->state != READY) continue;
        ready++;
        b->current = t;
        change(&b->scheduler, t->stack);
    }
    return ready;
}

/// Lets warps and blocks that have come together go on; whether any could.
static int let_go(Block *b) {
    int gone = 0, at_barrier = 0, ended = 0;
    for (int first = 0; first < b->count; first += 32) {
        Thread *warp[32];
        int here = 0, alive = 0;
        for (int i = first; i < b->count && i < first + 32; i++) {
            alive += b->threads[i].state != ENDED;
            if (b->threads[i].state == IN_WARP) warp[here++] = &b->threads[i];
        }
        if (here > 0 && here == alive) { together(warp, here); gone = 1; }
    }
    for (int i = 0; i < b->count; i++) {
        at_barrier += b->threads[i].state == AT_BARRIER;
        ended += b->threads[i].state == ENDED;
    }
    if (at_barrier > 0 && at_barrier + ended == b->count) {
        for (int i = 0; i < b->count; i++)
            if (b->threads[i].state == AT_BARRIER) b->threads[i].state = READY;
        gone = 1;
    }
    return gone;
}

static int all_ended(const Block *b) {
    for (int i = 0; i < b->count; i++)
        if (b->threads[i].state != ENDED) return 0;
    return 1;
}

static void run_block(Block *b, const Job *job, long index, char *stacks, uint8_t *shared) {
    const uint32_t *size = job->launch.block, *grid = job->launch.grid;
    memset(shared, 0xff, job->shared);
    for (int i = 0; i < b->count; i++) {
        Thread *t = &b->threads[i];
        *t = (Thread){.lane = i % 32, .shared = shared, .launch = &job->launch, .of = b, .state = READY,
            .thread = {i % size[0], i / size[0] % size[1], i / size[0] / size[1]},
            .block = {index % grid[0], index / grid[0] % grid[1], index / grid[0] / grid[1]}};
        if (!job->kernel->together) job->kernel->run(t);
        else t->stack = fresh_stack(stacks + i * STACK);
    }
    if (!job->kernel->together) return;
    running = b;
    do {
        int ready = run_ready(b);
        if (!let_go(b) && !ready) FAIL("the threads of %s wait for each other", job->name);
    } while (!all_ended(b));
}

void *run_blocks(void *argument) {
    Job *job = argument;
    const uint32_t *size = job->launch.block;
    Block b = {.kernel = job->kernel, .count = size[0] * size[1] * size[2]};
    b.threads = calloc(b.count, sizeof *b.threads);
    char *stacks = NULL;
    if (job->kernel->together)
        stacks = mmap(NULL, b.count * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *shared = aligned_alloc(1024, (job->shared + 2047) & ~1023ul);
    for (long i; (i = __sync_fetch_and_add(&job->next, 1)) < job->blocks;) run_block(&b, job, i, stacks, shared);
    if (stacks) munmap(stacks, b.count * STACK);
    free(shared);
    free(b.threads);
    return NULL;
}
