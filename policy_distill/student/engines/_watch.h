/* A monitor in the native engine: how novel a step is, in float64 as NumPy computes it, with AVX2 where there is it. */
#ifndef POLICY_DISTILL_WATCH_H
#define POLICY_DISTILL_WATCH_H

#define ROWS 8 /* directions that are computed together; their number is padded to it with zeros */

/* From x[n] and n_blocks of directions, [n][ROWS] each, to the sum of squares along them. */
typedef double (*SumSquares)(const double *x, int n, const double *rows, int n_blocks);

typedef struct {
    int n_observed, n_taken, n_place, n_step; /* the last two in blocks */
    double *center, *place, *step;
    double *factor, *shift; /* what an action is seen by: action * factor - shift; a choice is 1 among zeros */
    double largest;         /* a novelty beyond all others, also of what is no number */
    SumSquares squares;
    Py_buffer state; /* the caller's: an observation and the one before, less the mean, the action between; going on */
    int has_state;
} Watch;

/* Two sums side by side, over inputs, hide the latency of adding. */
#define SQUARES(name, attributes)                                                                                     \
    attributes static double name(const double *x, int n, const double *rows, int n_blocks) {                         \
        double total[ROWS] = {0.0}, sum = 0.0;                                                                        \
        for (int block = 0; block < n_blocks; block++) {                                                              \
            double z[ROWS] = {0.0}, other[ROWS] = {0.0};                                                              \
            int i = 0;                                                                                                \
            for (; i + 2 <= n; i += 2, rows += 2 * ROWS)                                                              \
                for (int j = 0; j < ROWS; j++) z[j] += x[i] * rows[j], other[j] += x[i + 1] * rows[ROWS + j];         \
            for (; i < n; i++, rows += ROWS)                                                                          \
                for (int j = 0; j < ROWS; j++) z[j] += x[i] * rows[j];                                                \
            for (int j = 0; j < ROWS; j++) z[j] += other[j], total[j] += z[j] * z[j];                                 \
        }                                                                                                             \
        for (int j = 0; j < ROWS; j++) sum += total[j];                                                               \
        return sum;                                                                                                   \
    }
SQUARES(squares_portable, )
#ifdef HAS_AVX2_KERNEL
SQUARES(squares_avx2, AVX2)
#endif

static SumSquares choose_squares(void) {
#ifdef HAS_AVX2_KERNEL
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return squares_avx2;
#endif
    return squares_portable;
}

#define LOOK(name, type)                                                                                              \
    static void name(const Watch *watch, const type *obs) {                                                           \
        double *now = watch->state.buf;                                                                               \
        for (int i = 0; i < watch->n_observed; i++) now[i] = (double)obs[i] - watch->center[i];                       \
    }
LOOK(look_at_floats, float)
LOOK(look_at_doubles, double)

/* The larger one of the two novelties of what was looked at last. */
static double novelty(const Watch *watch) {
    const double *x = watch->state.buf;
    const int wide = 2 * watch->n_observed + watch->n_taken;
    const double place = watch->squares(x, watch->n_observed, watch->place, watch->n_place);
    const double step = x[wide] != 0.0 ? watch->squares(x, wide, watch->step, watch->n_step) : 0.0;
    /* Written so that what does not compare is as novel as can be. */
    if (!(place <= watch->largest && step <= watch->largest)) return watch->largest;
    return step > place ? step : place;
}

/* The place that the numbers of an action are written to; what was looked at has become what was before. */
static double *go_on(const Watch *watch) {
    double *x = watch->state.buf;
    const int n = watch->n_observed;
    memcpy(x + n, x, n * sizeof(double));
    x[2 * n + watch->n_taken] = 1.0;
    return x + 2 * n;
}

#endif
