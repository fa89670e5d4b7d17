#include "token_source.hpp"

#include <stdexcept>
#include <type_traits>

namespace {

// The maps come from files of any alignment; memcpy of a known size is a plain load.
template <typename Token>
bool copy_ids(const void* from, std::size_t count, std::int64_t vocabulary, std::int32_t* ids) {
    const auto* bytes = static_cast<const unsigned char*>(from);
    // A negative id is a huge one without its sign; ids of up to 32 bits are compared as such, four at a time.
    using Unsigned = std::conditional_t<sizeof(Token) == 8, std::uint64_t, std::uint32_t>;
    const auto limit = static_cast<Unsigned>(vocabulary);
    bool outside = false;
    for (std::size_t i = 0; i < count; ++i) {
        Token token;
        std::memcpy(&token, bytes + i * sizeof(Token), sizeof(Token));
        outside |= static_cast<Unsigned>(token) >= limit;
        ids[i] = static_cast<std::int32_t>(token);
    }
    return !outside;
}

}  // namespace

CopyIds copy_of(char kind, std::size_t width) {
    if (kind == 'u' && width == 1) return copy_ids<std::uint8_t>;
    if (kind == 'u' && width == 2) return copy_ids<std::uint16_t>;
    if (kind == 'u' && width == 4) return copy_ids<std::uint32_t>;
    if (kind == 'i' && width == 1) return copy_ids<std::int8_t>;
    if (kind == 'i' && width == 2) return copy_ids<std::int16_t>;
    if (kind == 'i' && width == 4) return copy_ids<std::int32_t>;
    if (kind == 'i' && width == 8) return copy_ids<std::int64_t>;
    throw std::invalid_argument("tokens are not integers; expected ids of up to 64 bits");
}

TokenSource::TokenSource(const void* tokens, char kind, std::size_t width, const void* pointers, const void* lengths,
                         std::size_t sequences)
    : tokens_(tokens),
      width_(width),
      pointers_(pointers),
      lengths_(lengths),
      sequences_(sequences),
      copy_(copy_of(kind, width)) {}
