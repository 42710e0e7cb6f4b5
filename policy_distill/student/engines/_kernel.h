/* The arithmetic of the native engine: dense layers and activations in float32, with AVX2 where the processor has it. */
#ifndef POLICY_DISTILL_KERNEL_H
#define POLICY_DISTILL_KERNEL_H

#define LANES 16 /* outputs that are computed together; widths are padded to it */

enum { ACTIVATION_NONE, ACTIVATION_TANH, ACTIVATION_RELU };

typedef struct {
    int n_in, n_padded, activation;
    float *weight; /* [n_padded / LANES][n_in][LANES] */
    float *bias;   /* [n_padded] */
} Layer;

/* tanh as x P(x²) / Q(x²), fitted to a relative error of 2e-8 on [0, 9.01], where float32 has reached 1. */
#define TANH_END 9.01f
#define P1 0.13380377f
#define P2 0.0034948166f
#define P3 2.0596359e-05f
#define P4 1.3336955e-08f
#define Q1 0.46713692f
#define Q2 0.025874048f
#define Q3 0.0003284372f
#define Q4 7.769329e-07f

static inline float tanh_near(float x) {
    x = x > TANH_END ? TANH_END : x;
    x = x < -TANH_END ? -TANH_END : x;
    const float u = x * x;
    const float p = (((P4 * u + P3) * u + P2) * u + P1) * u + 1.0f;
    const float q = (((Q4 * u + Q3) * u + Q2) * u + Q1) * u + 1.0f;
    const float y = x * p / q;
    return y > 1.0f ? 1.0f : (y < -1.0f ? -1.0f : y);
}

/* Several sums side by side, over inputs, hide the latency of adding. */
static void dense(const Layer *layer, const float *x, float *restrict y) {
    const float *w = layer->weight;
    for (int k = 0; k < layer->n_padded; k += LANES) {
        float a[LANES], b[LANES];
        for (int j = 0; j < LANES; j++) a[j] = layer->bias[k + j], b[j] = 0.0f;
        int i = 0;
        for (; i + 2 <= layer->n_in; i += 2, w += 2 * LANES)
            for (int j = 0; j < LANES; j++) a[j] += x[i] * w[j], b[j] += x[i + 1] * w[LANES + j];
        for (; i < layer->n_in; i++, w += LANES)
            for (int j = 0; j < LANES; j++) a[j] += x[i] * w[j];
        for (int j = 0; j < LANES; j++) y[k + j] = a[j] + b[j];
    }
}

static void activate(float *y, int n, int activation) {
    if (activation == ACTIVATION_TANH)
        for (int k = 0; k < n; k++) y[k] = tanh_near(y[k]);
    else if (activation == ACTIVATION_RELU)
        for (int k = 0; k < n; k++) y[k] = y[k] < 0.0f ? 0.0f : y[k];
}

/* A recurrent unit's step, in place: g has its sums r / 2, z / 2, c and d, each n numbers. */
static void gru_step(const float *restrict g, float *restrict h, int n) {
    for (int k = 0; k < n; k++) {
        const float c = tanh_near(g[2 * n + k] + tanh_near(g[k]) * g[3 * n + k]);
        h[k] = c + (0.5f + 0.5f * tanh_near(g[n + k])) * (h[k] - c);
    }
}

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define HAS_AVX2_KERNEL
#define AVX2 __attribute__((target("avx2,fma")))
#define ALL8 _mm256_set1_ps

AVX2 static inline __m256 tanh_near8(__m256 x) {
    /* The bound comes first: of two numbers that do not compare, these take the second, so NaN stays NaN. */
    x = _mm256_max_ps(ALL8(-TANH_END), _mm256_min_ps(ALL8(TANH_END), x));
    const __m256 u = _mm256_mul_ps(x, x);
    __m256 p = _mm256_fmadd_ps(ALL8(P4), u, ALL8(P3)), q = _mm256_fmadd_ps(ALL8(Q4), u, ALL8(Q3));
    p = _mm256_fmadd_ps(p, u, ALL8(P2)), q = _mm256_fmadd_ps(q, u, ALL8(Q2));
    p = _mm256_fmadd_ps(p, u, ALL8(P1)), q = _mm256_fmadd_ps(q, u, ALL8(Q1));
    p = _mm256_fmadd_ps(p, u, ALL8(1.0f)), q = _mm256_fmadd_ps(q, u, ALL8(1.0f));
    const __m256 y = _mm256_div_ps(_mm256_mul_ps(x, p), q);
    return _mm256_max_ps(ALL8(-1.0f), _mm256_min_ps(ALL8(1.0f), y));
}

/* a[0..1] += x w, for LANES outputs. */
AVX2 static inline void add_product(__m256 *a, __m256 x, const float *w) {
    a[0] = _mm256_fmadd_ps(x, _mm256_loadu_ps(w), a[0]);
    a[1] = _mm256_fmadd_ps(x, _mm256_loadu_ps(w + 8), a[1]);
}

AVX2 static inline void dense_avx2(const Layer *layer, const float *x, float *y) {
    const size_t block = (size_t)layer->n_in * LANES;
    const float *w = layer->weight;
    __m256 a[8];
    int k = 0;
    for (; k + 4 * LANES <= layer->n_padded; k += 4 * LANES, w += 4 * block) {
        for (int j = 0; j < 8; j++) a[j] = _mm256_loadu_ps(layer->bias + k + 8 * j);
        for (int i = 0; i < layer->n_in; i++) {
            const __m256 v = _mm256_broadcast_ss(x + i);
            for (int j = 0; j < 4; j++) add_product(a + 2 * j, v, w + j * block + (size_t)i * LANES);
        }
        for (int j = 0; j < 8; j++) _mm256_storeu_ps(y + k + 8 * j, a[j]);
    }
    for (; k < layer->n_padded; k += LANES, w += block) {
        for (int j = 0; j < 8; j++) a[j] = j < 2 ? _mm256_loadu_ps(layer->bias + k + 8 * j) : _mm256_setzero_ps();
        int i = 0;
        for (; i + 4 <= layer->n_in; i += 4)
            for (int j = 0; j < 4; j++) add_product(a + 2 * j, _mm256_broadcast_ss(x + i + j), w + (size_t)(i + j) * LANES);
        for (; i < layer->n_in; i++) add_product(a, _mm256_broadcast_ss(x + i), w + (size_t)i * LANES);
        for (int j = 0; j < 2; j++) {
            const __m256 left = _mm256_add_ps(a[j], a[2 + j]), right = _mm256_add_ps(a[4 + j], a[6 + j]);
            _mm256_storeu_ps(y + k + 8 * j, _mm256_add_ps(left, right));
        }
    }
}

/* `x` has the inputs; `x` and `y` take turns; returns the one that has the outputs. */
AVX2 static float *run_layers_avx2(const Layer *layers, int n_layers, float *x, float *y) {
    for (int n = 0; n < n_layers; n++) {
        dense_avx2(&layers[n], x, y);
        if (layers[n].activation == ACTIVATION_TANH)
            for (int k = 0; k < layers[n].n_padded; k += 8) _mm256_storeu_ps(y + k, tanh_near8(_mm256_loadu_ps(y + k)));
        else
            activate(y, layers[n].n_padded, layers[n].activation);
        float *swap = x;
        x = y, y = swap;
    }
    return x;
}
#endif

static float *run_layers_portable(const Layer *layers, int n_layers, float *x, float *y) {
    for (int n = 0; n < n_layers; n++) {
        dense(&layers[n], x, y);
        activate(y, layers[n].n_padded, layers[n].activation);
        float *swap = x;
        x = y, y = swap;
    }
    return x;
}

typedef float *(*RunLayers)(const Layer *layers, int n_layers, float *x, float *y);

/* The quickest that this processor can run. */
static RunLayers choose_kernel(void) {
#ifdef HAS_AVX2_KERNEL
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return run_layers_avx2;
#endif
    return run_layers_portable;
}

#endif
