/* Products of unsigned bytes and signed ones by the instructions that profiles are named after. A lane of eight columns
 * of an output row at a time: every word of 32 bits holds four consecutive bytes of the depth, which is a multiple of 4. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static __m256i four_of_a_row(const uint8_t *a)
{
    int32_t word;
    memcpy(&word, a, 4);
    return _mm256_set1_epi32(word);
}

/* b is [depth / 4][columns][4], columns a multiple of 8. */
static __m256i four_of_eight_columns(const int8_t *b)
{
    return _mm256_loadu_si256((const __m256i *)b);
}

__attribute__((target("avx2"))) static __m256i avx2(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}

#ifdef VNNI
static __m256i vnni(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_dpbusd_epi32(sum, a, b);
}

static __m256i vnni_saturate(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_dpbusds_epi32(sum, a, b);
}
#endif

#define PRODUCT(name, step) \
    void name(const uint8_t *a, const int8_t *b, int32_t *out, int64_t rows, int64_t depth, int64_t columns) \
    { \
        for (int64_t i = 0; i < rows; i++) \
            for (int64_t j = 0; j < columns; j += 8) { \
                __m256i sum = _mm256_setzero_si256(); \
                for (int64_t k = 0; k < depth; k += 4) \
                    sum = step(sum, four_of_a_row(a + i * depth + k), four_of_eight_columns(b + (k * columns + 4 * j))); \
                _mm256_storeu_si256((__m256i *)(out + i * columns + j), sum); \
            } \
    }

PRODUCT(product_avx2, avx2)
#ifdef VNNI
PRODUCT(product_vnni, vnni)
PRODUCT(product_vnni_saturate, vnni_saturate)
#endif
