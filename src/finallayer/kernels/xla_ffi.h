// What a handler needs of XLA's FFI C ABI (major version 0), declared here so that the library builds where no XLA is.
//
// XLA keeps this ABI stable and asks a handler for its version before it calls it; a test compares every offset with
// the header that jaxlib ships. https://openxla.org/xla/custom_call, xla/ffi/api/c_api.h
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace xla_ffi {

constexpr int kMajorVersion = 0;
constexpr int kMinorVersion = 3;

constexpr int kMetadataExtension = 1;
constexpr int kExecuteStage = 3;
constexpr int kScalarAttribute = 3;
constexpr int kInvalidArgument = 3, kOutOfRange = 11, kResourceExhausted = 8;  // error codes
constexpr int kS32 = 4, kF16 = 10, kF32 = 11, kF64 = 12, kBF16 = 16;               // data types

struct Error;
struct ExecutionContext;

struct Extension {
    size_t struct_size;
    int type;
    Extension* next;
};

struct Version {
    size_t struct_size;
    Extension* extensions;
    int major, minor;
};

struct Metadata {
    size_t struct_size;
    Version version;
    uint32_t traits;
};

struct MetadataExtension {
    Extension base;
    Metadata* metadata;
};

struct Buffer {
    size_t struct_size;
    Extension* extensions;
    int dtype;
    void* data;
    int64_t rank;
    int64_t* dims;
};

struct Buffers {  // a call's arguments, or its results
    size_t struct_size;
    Extension* extensions;
    int64_t size;
    int* types;
    Buffer** buffers;
};

struct ByteSpan {
    const char* start;
    size_t size;
};

struct Scalar {
    int dtype;
    const void* value;
};

struct Attributes {
    size_t struct_size;
    Extension* extensions;
    int64_t size;
    int* types;
    ByteSpan** names;
    void** values;
};

struct ErrorArgs {
    size_t struct_size;
    Extension* extensions;
    const char* message;
    int code;
};

struct Api {
    size_t struct_size;
    Extension* extensions;
    Version version;
    const void* internal;
    Error* (*create_error)(ErrorArgs*);
};

struct CallFrame {
    size_t struct_size;
    Extension* extensions;
    const Api* api;
    ExecutionContext* context;
    int stage;
    Buffers args;
    Buffers results;
    Attributes attributes;
};

}  // namespace xla_ffi
