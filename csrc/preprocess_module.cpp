// preprocess._native: the table of contents of what the offline half does in C++.
#include <Python.h>
#include <pybind11/pybind11.h>

#include <system_error>

#include "build_info.hpp"
#include "file_map.hpp"
#include "jsonl_binding.hpp"
#include "newlines.hpp"
#include "sentences_binding.hpp"
#include "sha256_lanes.hpp"
#include "wordpiece_binding.hpp"

namespace py = pybind11;

namespace {

// Raises OSError (FileNotFoundError, ... by errno) with the file's name, as Python's own open() does.
std::unique_ptr<FileMap> open_map(const std::string& path) {
    try {
        py::gil_scoped_release release;  // a network file system may take its time
        return std::make_unique<FileMap>(path);
    } catch (const std::system_error& error) {
        errno = error.code().value();
        PyErr_SetFromErrnoWithFilename(PyExc_OSError, path.c_str());
        throw py::error_already_set();
    }
}

// The Python function to call in the main thread after a page was lost; kept for the life of the process.
PyObject* lost_page_callback = nullptr;

int call_lost_page_callback(void*) {
    acknowledge_lost_pages();
    PyObject* result = PyObject_CallNoArgs(lost_page_callback);
    if (result == nullptr) return -1;  // the exception goes on in the main thread, at the statement that is running
    Py_DECREF(result);
    return 0;
}

// Py_AddPendingCall needs no interpreter lock. The thread that reads a map holds none of the interpreter's own locks
// at that instruction, so scheduling from the handler cannot deadlock with itself.
void schedule_lost_page_callback() { Py_AddPendingCall(call_lost_page_callback, nullptr); }

void register_file_map(py::module_& module) {
    py::class_<FileMap>(module, "FileMap", py::buffer_protocol(),
                        "FileMap(path)\n\nRead-only memory map of a whole, non-empty regular file. Supports the buffer "
                        "protocol; the map lives as long as the last array over it. Keeps no file descriptor.")
        .def(py::init(&open_map), py::arg("path"))
        .def_buffer([](const FileMap& map) {
            return py::buffer_info(map.data(), 1, py::format_descriptor<unsigned char>::format(), 1,
                                   {static_cast<py::ssize_t>(map.size())}, {1}, /*readonly=*/true);
        })
        .def_property_readonly("path", &FileMap::path)
        .def_property_readonly(
            "identity",
            [](const FileMap& map) {
                const FileIdentity& identity = map.identity();
                return py::make_tuple(identity.device, identity.inode, identity.modified_ns, identity.size);
            },
            "(device, inode, modification time in ns, size) of the file that was mapped");
    module.def("lost_page_count", &lost_page_count,
               "How many reads have met a page that its file no longer has: compare before and after a batch of reads in "
               "a thread of your own.");
    module.def(
        "on_lost_page",
        [](py::function callback) {
            Py_XDECREF(lost_page_callback);
            lost_page_callback = callback.release().ptr();
            set_lost_page_hook(schedule_lost_page_callback);
        },
        py::arg("callback"),
        "on_lost_page(callback)\n\nCall `callback()` in the main thread as soon as possible after a read of any FileMap "
        "met a lost page; what it raises is raised there.");
}

// The bytes of an object, which stay as long as the result does.
py::buffer_info contiguous_bytes(const py::buffer& data) {
    py::buffer_info bytes = data.request();
    if (bytes.ndim != 1 || bytes.itemsize != 1 || (bytes.size > 1 && bytes.strides[0] != 1)) {
        throw py::value_error("data must be contiguous bytes");
    }
    return bytes;
}

void register_bytes(py::module_& module) {
    module.def(
        "count_newlines",
        [](const py::buffer& data) {
            const py::buffer_info bytes = contiguous_bytes(data);
            const py::gil_scoped_release release;
            return count_newlines(static_cast<const char*>(bytes.ptr), static_cast<std::size_t>(bytes.size));
        },
        py::arg("data"), "How many \\n there are in bytes, or in a view of some.");
    module.def(
        "sha256_lanes",
        [](const py::buffer& data) {
            const py::buffer_info bytes = contiguous_bytes(data);
            const auto size = static_cast<std::size_t>(bytes.size);
            if (size % kSha256Lanes != 0) throw py::value_error("data must be eight messages of one length");
            std::array<Sha256, kSha256Lanes> digests;
            {
                const py::gil_scoped_release release;
                sha256_lanes(static_cast<const unsigned char*>(bytes.ptr), size / kSha256Lanes, digests);
            }
            py::list found;
            for (const Sha256& digest : digests) {
                found.append(py::bytes(reinterpret_cast<const char*>(digest.data()), digest.size()));
            }
            return found;
        },
        py::arg("data"), "The SHA-256 of each eighth of some bytes.");
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "Native half of preprocess; _native.pyi gives the types.";
    module.def("build_info", &build_info, "How this extension was compiled.");
    register_file_map(module);
    register_jsonl(module);
    register_bytes(module);
    register_wordpiece(module);
    register_sentences(module);
}
