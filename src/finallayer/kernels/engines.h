// Everything that uses vectors, compiled once per instruction set: isa_*.h includes this at its end.

#include "wide_math.h"
#include "pairs.h"
#include "row_lanes.h"
#include "capped.h"
#include "float_rows.h"
#include "short_rows.h"
#include "wide_rows.h"
#include "columns.h"
#include "float_columns.h"
#include "binary.h"
#include "scaling.h"

constexpr Engines kEngines = {
    {float_rows<float>, float_rows<bfloat16>, float_rows<float16>},
    {short_rows<float>, short_rows<bfloat16>, short_rows<float16>},
    {float_columns<float>, float_columns<bfloat16>, float_columns<float16>},
    {wide_rows<float>, wide_rows<bfloat16>, wide_rows<float16>, wide_rows<double>},
    {columns<float>, columns<bfloat16>, columns<float16>, columns<double>},
    {binary_elements<float>, binary_elements<bfloat16>, binary_elements<float16>, binary_elements<double>},
    {scaled<float>, scaled<bfloat16>, scaled<float16>, scaled<double>},
};

#undef FL_FN
#undef FL_TARGET
