// The vector types of an instruction set with FL_WIDTH floats, and what the compilers' own vector operations suffice for.
// isa_*.h includes this at its beginning, inside the namespace of the instruction set.

#define FL_FN static inline FL_TARGET

constexpr int W = FL_WIDTH;
constexpr int L = W / 2;  // as many doubles
typedef float F __attribute__((vector_size(4 * W)));
typedef int32_t I __attribute__((vector_size(4 * W)));
typedef uint32_t U __attribute__((vector_size(4 * W)));
typedef double D __attribute__((vector_size(8 * L)));
typedef int64_t DI __attribute__((vector_size(8 * L)));
typedef uint64_t DU __attribute__((vector_size(8 * L)));
typedef float DF __attribute__((vector_size(4 * L)));

FL_FN F load(const float* p) { F v; std::memcpy(&v, p, sizeof v); return v; }
FL_FN void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }
FL_FN F splat(float v) { return v - F{}; }
FL_FN F where(I mask, F a, F b) { return (F)(((I)a & mask) | ((I)b & ~mask)); }
FL_FN F widen(const float* p) { return load(p); }
FL_FN void narrow(float* p, F v) { store(p, v); }
// The upper half of each lane, rounded to nearest. (A tie is the float32's, not the true gradient's: away from zero is as
// good as to even, and cheaper.) A NaN stays one: those made by arithmetic have no low bits that could carry.
FL_FN U bfloat_rounded(F v) { return (U)v + 0x8000u; }
FL_FN U bfloat_lanes(F v) { return bfloat_rounded(v) >> 16; }

FL_FN D load(const double* p) { D v; std::memcpy(&v, p, sizeof v); return v; }
FL_FN void store(double* p, D v) { std::memcpy(p, &v, sizeof v); }
FL_FN DI load(const int64_t* p) { DI v; std::memcpy(&v, p, sizeof v); return v; }
FL_FN void store(int64_t* p, DI v) { std::memcpy(p, &v, sizeof v); }
FL_FN D splat(double v) { return v - D{}; }
FL_FN D where(DI mask, D a, D b) { return (D)(((DI)a & mask) | ((DI)b & ~mask)); }
// Lanes of two vectors: lane k of the result is lane from[k] of a, or lane from[k] - L of b.
FL_FN D shuffle(D a, D b, DI from) {
#if defined(__clang__)
    D v;
    for (int k = 0; k < L; ++k) v[k] = from[k] < L ? a[from[k]] : b[from[k] - L];
    return v;
#else
    return __builtin_shuffle(a, b, from);
#endif
}
// Lanes k with k & S of a change places with lanes k - S of b.
template <int S> FL_FN void exchange(D& a, D& b) {
    DI from_a, from_b;  // into the lanes of both, a's first
    for (int k = 0; k < L; ++k) {
        from_a[k] = k & S ? L + k - S : k;
        from_b[k] = k & S ? L + k : k + S;
    }
    const D first = shuffle(a, b, from_a);
    b = shuffle(a, b, from_b);
    a = first;
}
FL_FN D absolute(D v) { return (D)((DI)v & INT64_MAX); }

// L numbers of any format as doubles, and back, rounded to nearest.
FL_FN D wide(const double* p) { return load(p); }
FL_FN void unwide(double* p, D v) { store(p, v); }
// (isa_*.h: of and to the other formats)
