#include "file_map.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

// The signal handler reads this table without a lock, and fork() may copy it at any moment: so slots are claimed and
// freed by single atomic writes to `begin`, and blocks of slots are never given back.
struct GuardedRange {
    std::atomic<std::uintptr_t> begin{0};  // 0: free, 1: being filled
    std::atomic<std::uintptr_t> end{0};
    std::atomic<std::uintptr_t> lost_from{0};  // the lowest lost page since the last acknowledgement; 0: none
};

namespace {

constexpr std::uintptr_t kFree = 0;
constexpr std::uintptr_t kBeingFilled = 1;
constexpr std::size_t kSlotsPerBlock = 1024;

struct Block {
    GuardedRange ranges[kSlotsPerBlock];
    std::atomic<Block*> next{nullptr};
};

Block first_block;
std::atomic<void (*)()> lost_page_hook{nullptr};
std::atomic<bool> hook_called{false};
std::atomic<std::uint64_t> lost_pages{0};
std::atomic<bool> forwarded{false};
struct sigaction previous_action;
std::uintptr_t page_size = 4096;

GuardedRange* claim_range(std::uintptr_t begin, std::uintptr_t end) {
    for (Block* block = &first_block;; block = block->next.load()) {
        for (GuardedRange& range : block->ranges) {
            std::uintptr_t expected = kFree;
            if (range.begin.compare_exchange_strong(expected, kBeingFilled)) {
                range.end.store(end);
                range.lost_from.store(0);
                range.begin.store(begin);
                return &range;
            }
        }
        if (block->next.load() == nullptr) {
            Block* fresh = new Block();
            Block* expected = nullptr;
            if (!block->next.compare_exchange_strong(expected, fresh)) delete fresh;
        }
    }
}

GuardedRange* find_range(std::uintptr_t address) {
    for (Block* block = &first_block; block != nullptr; block = block->next.load()) {
        for (GuardedRange& range : block->ranges) {
            const std::uintptr_t begin = range.begin.load();
            if (begin > kBeingFilled && begin <= address && address < range.end.load()) return &range;
        }
    }
    return nullptr;
}

void note_lost_page(GuardedRange& range, std::uintptr_t page) {
    std::uintptr_t lowest = range.lost_from.load();
    while ((lowest == 0 || page < lowest) && !range.lost_from.compare_exchange_weak(lowest, page)) {
    }
    lost_pages.fetch_add(1);
    if (hook_called.exchange(true)) return;
    static const char message[] = "maskgen: a memory-mapped dataset file was cut while it was being read; an error follows\n";
    if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0) { /* nobody listens there; the hook still tells */ }
    if (void (*hook)() = lost_page_hook.load()) hook();
}

// Not ours: give the signal back to whoever was there before us and let it come again, as a fault when the instruction
// is retried, or by raise() when a process had sent it. The second time round it is the default action's turn: a
// handler that was installed between two of our own may lead back here.
void forward(int signal_number, const siginfo_t* info) {
    struct sigaction action = previous_action;
    if (forwarded.exchange(true)) {
        std::memset(&action, 0, sizeof(action));
        action.sa_handler = SIG_DFL;
    }
    sigaction(signal_number, &action, nullptr);
    if (info->si_code <= 0) raise(signal_number);
}

void on_bus_error(int signal_number, siginfo_t* info, void*) {
    const int saved_errno = errno;
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    GuardedRange* range = info->si_code > 0 ? find_range(address) : nullptr;
    void* page = reinterpret_cast<void*>(address & ~(page_size - 1));
    if (range != nullptr &&
        mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) {
        note_lost_page(*range, reinterpret_cast<std::uintptr_t>(page));  // the instruction is retried and reads zeros
    } else {
        forward(signal_number, info);
    }
    errno = saved_errno;
}

// Asked at every map and not once, since other libraries (a data loader's workers, fault handlers) take SIGBUS too:
// the last one to install itself is served first and forwards what is not its own.
void ensure_handler() {
    struct sigaction current;
    if (sigaction(SIGBUS, nullptr, &current) != 0) return;
    if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_bus_error) return;
    previous_action = current;
    forwarded.store(false);
    page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction ours;
    std::memset(&ours, 0, sizeof(ours));
    ours.sa_sigaction = on_bus_error;
    // SA_ONSTACK: a thread with a small stack (Go, Rust, faulthandler) may have given the kernel another one.
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, nullptr);
}

[[noreturn]] void fail(int error, const std::string& path) {
    throw std::system_error(error, std::generic_category(), path);
}

std::int64_t modified_ns(const struct stat& status) {
#ifdef __APPLE__
    const struct timespec& time = status.st_mtimespec;
#else
    const struct timespec& time = status.st_mtim;
#endif
    return static_cast<std::int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

}  // namespace

FileMap::FileMap(const std::string& path) : path_(path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) fail(errno, path);
    struct stat status;
    int error = fstat(descriptor, &status) != 0 ? errno : 0;
    if (error == 0 && (!S_ISREG(status.st_mode) || status.st_size <= 0)) error = EINVAL;
    void* address = MAP_FAILED;
    if (error == 0) {
        address = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
        if (address == MAP_FAILED) error = errno;
    }
    close(descriptor);
    if (error != 0) fail(error, path);
    identity_ = {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
                 modified_ns(status), static_cast<std::uint64_t>(status.st_size)};
    data_ = static_cast<unsigned char*>(address);
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    ensure_handler();
    // Up to the end of the last page: the handler's own page may lie there when the file shrinks within it.
    range_ = claim_range(begin, begin + (identity_.size + page_size - 1) / page_size * page_size);
}

FileMap::~FileMap() {
    range_->begin.store(kFree);
    munmap(data_, size());
}

std::uint64_t lost_page_count() { return lost_pages.load(); }

void set_lost_page_hook(void (*hook)()) { lost_page_hook.store(hook); }

void acknowledge_lost_pages() {
    hook_called.store(false);
#ifdef __linux__
    // Behind the first lost page the file has none. Mapping an empty file there makes each of them a SIGBUS again.
    static const int empty_file = memfd_create("maskgen-lost-pages", MFD_CLOEXEC);
    if (empty_file < 0) return;
    for (Block* block = &first_block; block != nullptr; block = block->next.load()) {
        for (GuardedRange& range : block->ranges) {
            const std::uintptr_t from = range.lost_from.exchange(0);
            if (from == 0 || range.begin.load() <= kBeingFilled) continue;
            mmap(reinterpret_cast<void*>(from), range.end.load() - from, PROT_READ, MAP_SHARED | MAP_FIXED, empty_file, 0);
        }
    }
#endif
}
