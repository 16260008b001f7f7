// What translated kernels and the driver share. A kernel is a function that one thread of a block runs;
// threads take turns, and wait for each other where the whole warp or block has a part.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef _Float16 f16;
typedef struct { uint16_t bits; } bf16;

/// A launch: sizes of a block and of the grid, arguments, bytes of shared memory with names.
typedef struct {
    uint32_t block[3], grid[3];
    const uint8_t *arguments;
    uint32_t named_shared;
} Launch;

/// An asynchronous copy that has not been waited for.
typedef struct {
    uint8_t *to;
    const uint8_t *from;
    int bytes, copied, group;
} Copy;

typedef struct Block Block;

typedef struct {
    uint32_t thread[3], block[3], lane;
    uint8_t *shared;
    const Launch *launch;
    // For the driver alone:
    Block *of;
    void *stack;
    int state, wish, copies, group;
    void *operands;
    Copy copy[256];
} Thread;

typedef struct { uint16_t expected, pending; uint32_t phase; } Barrier;

typedef struct {
    void (*run)(Thread *);
    const int (*arguments)[2]; // offset, bytes
    int count, together;       // whether threads wait for each other
    uint32_t named_shared;
} Kernel;

/// A launch under way, whose blocks all processors take one by one.
typedef struct {
    const Kernel *kernel;
    const char *name;
    Launch launch;
    size_t shared;
    long next, blocks;
} Job;

void *run_blocks(void *job);
extern int last_to_first; // the order of a block's threads

#define FAIL(...) do { fprintf(stderr, "cuda_on_cpu: " __VA_ARGS__); fputc('\n', stderr); abort(); } while (0)

enum { F16, BF16, F32, TF32 };
enum { UP, DOWN, BFLY, IDX };

void wait_for_block(Thread *);
uint32_t exchange(Thread *, int how, uint32_t value, uint32_t other, uint32_t clamp, int *inside);
void load_rows(Thread *, const uint8_t *row, int matrices, int transposed, uint32_t *out);
// D = A B + C of shape m, n, k; elements of A and B, of C and of D.
void multiply_rows(Thread *, int element, const uint32_t *a, const uint32_t *b, float *c);
void load_matrix(Thread *, const uint8_t *, int rows, int columns, int element, int row_major, uint32_t stride, uint32_t *);
void store_matrix(Thread *, uint8_t *, int rows, int columns, int element, int row_major, uint32_t stride, const uint32_t *);
void multiply_matrices(Thread *, const int shape[3], const int elements[3], const uint32_t *a, const uint32_t *b, uint32_t *c);
void copy_later(Thread *, uint8_t *to, const uint8_t *from, int bytes, int copied);
void commit_copies(Thread *);
void wait_for_copies(Thread *, int groups_left);
void arrive_with_copies(Thread *, Barrier *, int counted);
void barrier_init(Barrier *, uint32_t count);
uint64_t barrier_arrive(Barrier *, uint32_t count);
int barrier_passed(Thread *, const Barrier *, uint64_t token, int parity);

/// A value's bits as another type of its size.
#define AS(To, From, value) ({ From from_ = (From)(value); To to_; memcpy(&to_, &from_, sizeof to_); to_; })
#define LOAD(T, at) ({ T t_; memcpy(&t_, at, sizeof t_); t_; })
#define STORE(T, at, value) do { T t_ = (value); memcpy(at, &t_, sizeof t_); } while (0)
#define SHIFT_LEFT(T, value, by) ({ uint32_t by_ = by; by_ >= 8 * sizeof(T) ? (T)0 : (T)((value) << by_); })
#define SHIFT_RIGHT(T, value, by) ({ uint32_t by_ = by; T v_ = value; \
    by_ >= 8 * sizeof(T) ? (T)(v_ < 0 ? -1 : 0) : (T)(v_ >> by_); })

static inline float wide_f32(float x) { return x; }
static inline double wide_f64(double x) { return x; }
static inline float wide_f16(f16 x) { return (float)x; }
static inline float wide_bf16(bf16 x) { return AS(float, uint32_t, (uint32_t)x.bits << 16); }
static inline float narrow_f32(double x) { return (float)x; }
static inline double narrow_f64(double x) { return x; }
static inline f16 narrow_f16(double x) { return (f16)x; }
/// To the nearest, ties to even.
static inline bf16 narrow_bf16(double x) {
    uint32_t bits = AS(uint32_t, float, (float)x);
    if (isnan(x)) return (bf16){0x7fff};
    return (bf16){(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
static inline float saturated(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
static inline float fma_down(float a, float b, float c) {
    double exact = (double)a * b + c;
    float near = (float)exact;
    return near > exact ? nextafterf(near, -INFINITY) : near;
}
static inline double to_integer(double x, double least, double most) {
    return isnan(x) ? 0 : x < least ? least : x > most ? most : x;
}
static inline uint32_t insert_bits(uint32_t bits, uint32_t into, uint32_t at, uint32_t count) {
    at &= 255, count &= 255;
    if (at > 31 || count == 0) return into;
    uint32_t mask = (count > 31 ? ~0u : (1u << count) - 1) << at;
    return (into & ~mask) | (bits << at & mask);
}
static inline uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
    uint64_t both = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        int choice = selector >> 4 * i & 15;
        uint8_t byte = both >> 8 * (choice & 7);
        if (choice & 8) byte = byte & 128 ? 255 : 0;
        result |= (uint32_t)byte << 8 * i;
    }
    return result;
}
