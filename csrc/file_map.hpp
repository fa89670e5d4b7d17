// A read-only memory map of a whole file that cannot take the process down.
//
// Python's own mmap keeps a file descriptor for every map, so a thousand datasets exhaust the process's limit; and
// when a mapped file is cut by somebody else, the next read of a lost page is a SIGBUS that ends the process.
// FileMap keeps no descriptor, and a SIGBUS inside one of its maps becomes: zeros in the lost page, a line on standard
// error, and a call of the hook that set_lost_page_hook() was given. The binding uses that hook to raise a Python
// exception in the main thread before the reading statement's result is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

struct FileIdentity {
    std::uint64_t device;
    std::uint64_t inode;
    std::int64_t modified_ns;
    std::uint64_t size;
};

class FileMap {
public:
    // Maps the whole of `path`. Throws std::system_error (the errno of open, fstat or mmap; EINVAL for anything but a
    // regular file with content) and never blocks on a FIFO.
    explicit FileMap(const std::string& path);
    ~FileMap();
    FileMap(const FileMap&) = delete;
    FileMap& operator=(const FileMap&) = delete;

    unsigned char* data() const { return data_; }
    std::size_t size() const { return static_cast<std::size_t>(identity_.size); }
    const FileIdentity& identity() const { return identity_; }
    const std::string& path() const { return path_; }
    bool lost_pages() const;  // whether a read has met a page that the file no longer has

private:
    std::string path_;
    FileIdentity identity_{};
    unsigned char* data_ = nullptr;
    struct GuardedRange* range_ = nullptr;
};

// Called from the signal handler, at most once until acknowledge_lost_pages(): it may only do what is safe there.
void set_lost_page_hook(void (*hook)());
void acknowledge_lost_pages();
