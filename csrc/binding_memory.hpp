// For the binding files: other objects' bytes, held while the interpreter lock is free, and memory given to numpy.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdlib>
#include <memory>
#include <vector>

// The bytes of anything with a contiguous buffer. BufferError or TypeError otherwise.
class HeldBytes {
public:
    explicit HeldBytes(const pybind11::object& owner) {
        if (PyObject_GetBuffer(owner.ptr(), &view_, PyBUF_SIMPLE) != 0) throw pybind11::error_already_set();
    }
    ~HeldBytes() { PyBuffer_Release(&view_); }
    HeldBytes(const HeldBytes&) = delete;
    HeldBytes& operator=(const HeldBytes&) = delete;

    // Never null, so that arithmetic on it is always defined.
    const char* begin() const { return view_.buf == nullptr ? "" : static_cast<const char*>(view_.buf); }
    std::size_t size() const { return static_cast<std::size_t>(view_.len); }

private:
    Py_buffer view_;
};

// An array over memory from malloc.
template <typename Value>
pybind11::array_t<Value> adopt(Value* values, std::size_t count) {
    const pybind11::capsule owner(values, [](void* memory) { std::free(memory); });
    return pybind11::array_t<Value>(static_cast<pybind11::ssize_t>(count), values, owner);
}

// An array of that shape over a vector's memory.
template <typename Value>
pybind11::array_t<Value> adopt(std::vector<Value>&& values, std::vector<pybind11::ssize_t> shape) {
    auto held = std::make_unique<std::vector<Value>>(std::move(values));
    Value* data = held->data();
    const pybind11::capsule owner(held.get(), [](void* vector) { delete static_cast<std::vector<Value>*>(vector); });
    (void)held.release();
    return pybind11::array_t<Value>(std::move(shape), data, owner);
}
