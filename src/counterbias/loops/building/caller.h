/* What the generated table of loops and the caller (caller.c) share. */
#ifndef COUNTERBIAS_CALLER_H
#define COUNTERBIAS_CALLER_H

#include <stdint.h>

/* A compiled function: its arguments, flattened to words of 64 bits, and room for its result. It
   returns numba's status, 0 where nothing was raised. */
typedef int32_t (*entry_point)(const uint64_t *words, void *result);

/* One loop for one set of types. Types are texts (types.py makes them):
     l k      int64, uint64        i I h H b B   smaller integers, signed and unsigned
     d f ?    float64, float32, bool
     N        None
     2d       an array in C order with two dimensions;  ~2d one with any strides
     (ld)     a tuple */
struct loop {
    const char *module, *name, *arguments, *result;
    int more; /* how many entries for other types of this loop follow */
    const entry_point *code; /* one for each level */
};

extern const struct loop loops[];
extern const int number_of_loops;

/* The processors for which the loops are compiled, from the lowest to the highest. */
extern const char *const levels[];
extern const int number_of_levels;

#endif
