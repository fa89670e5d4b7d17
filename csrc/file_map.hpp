// A read-only memory map of a whole file that cannot take the process down.
//
// Python's own mmap keeps a file descriptor for every map, so a thousand datasets exhaust the process's limit; and
// when a mapped file is cut by somebody else, the next read of a lost page is a SIGBUS that ends the process.
// FileMap keeps no descriptor, and a SIGBUS inside one of its maps becomes: zeros in the lost page, a line on standard
// error, one more in lost_page_count(), and a call of the hook that set_lost_page_hook() was given. The binding uses
// that hook to raise a Python exception in the main thread as soon as the interpreter looks for pending calls. A thread
// of one's own compares lost_page_count() before and after the work.
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

private:
    std::string path_;
    FileIdentity identity_{};
    unsigned char* data_ = nullptr;
    struct GuardedRange* range_ = nullptr;
};

// How many reads have met a page that its file no longer has, in all maps of the process.
std::uint64_t lost_page_count();

// The hook is called from the signal handler, at most once until acknowledge_lost_pages(): it may only do what is safe
// there. Acknowledging makes the lost pages fail again, so that later reads of them are not silent either.
void set_lost_page_hook(void (*hook)());
void acknowledge_lost_pages();
