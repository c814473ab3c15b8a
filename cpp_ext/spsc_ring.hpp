// Lock-free ring for exactly one producer thread and one consumer thread.
//
// Positions are monotone 64-bit counters, so "full" and "empty" are never confused, any capacity is
// allowed (not only powers of two) and every slot is usable. A producer's stores to the slots become
// visible to the consumer through the release store of `head_`; the slots that a consumer has finished
// with go back through the release store of `tail_`. Nothing here allocates after construction, blocks
// or throws on the producer's or the consumer's side.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <type_traits>

namespace bailando {

// Far enough apart that the two threads' counters never share a cache line (128: adjacent-line
// prefetch on x86, and the line size of Apple's cores).
inline constexpr std::size_t kCacheLine = 128;

template <typename T>
class SpscRing {
    static_assert(std::is_trivially_copyable_v<T>, "slots are copied as plain memory");

   public:
    // Any thread, before the other two exist. Throws std::invalid_argument for a capacity of 0.
    explicit SpscRing(std::size_t capacity)
        : capacity_(checked(capacity)), slots_(new T[capacity]()) {}

    SpscRing(const SpscRing&) = delete;
    SpscRing& operator=(const SpscRing&) = delete;

    std::size_t capacity() const noexcept { return capacity_; }

    // Producer thread. Free slots; may only grow until the producer's next write.
    std::size_t writable() const noexcept {
        return capacity_ - static_cast<std::size_t>(head_.load(std::memory_order_relaxed) -
                                                    tail_.load(std::memory_order_acquire));
    }

    // Consumer thread (any thread for a rough figure). Filled slots; may only grow until the
    // consumer's next read.
    std::size_t available() const noexcept {
        const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
        return static_cast<std::size_t>(head_.load(std::memory_order_acquire) - tail);
    }

    // Producer thread. Appends the first `count` items that fit; returns how many were taken.
    std::size_t write(const T* items, std::size_t count) noexcept {
        return append(count, [items](T* slot, std::size_t done, std::size_t n) {
            std::copy_n(items + done, n, slot);
        });
    }

    // Producer thread. As `write`, with `count` copies of one item.
    std::size_t write_fill(const T& item, std::size_t count) noexcept {
        return append(count, [&item](T* slot, std::size_t, std::size_t n) {
            std::fill_n(slot, n, item);
        });
    }

    // Consumer thread. Takes up to `count` items, oldest first; returns how many there were.
    std::size_t read(T* items, std::size_t count) noexcept {
        const std::size_t taken = peek(items, count);
        skip(taken);
        return taken;
    }

    // Consumer thread. As `read`, and the items stay.
    std::size_t peek(T* items, std::size_t count) const noexcept {
        const std::size_t taken = std::min(count, available());
        const std::size_t start = index(tail_.load(std::memory_order_relaxed));
        const std::size_t first = std::min(taken, capacity_ - start);
        std::copy_n(slots_.get() + start, first, items);
        if (taken > first) std::copy_n(slots_.get(), taken - first, items + first);
        return taken;
    }

    // Consumer thread. Throws away up to `count` of the oldest items; returns how many.
    std::size_t skip(std::size_t count) noexcept {
        const std::size_t taken = std::min(count, available());
        tail_.store(tail_.load(std::memory_order_relaxed) + taken, std::memory_order_release);
        return taken;
    }

   private:
    static std::size_t checked(std::size_t capacity) {
        if (capacity == 0) throw std::invalid_argument("a ring needs a capacity of at least 1");
        return capacity;
    }

    std::size_t index(std::uint64_t position) const noexcept {
        return static_cast<std::size_t>(position % capacity_);
    }

    template <typename Fill>
    std::size_t append(std::size_t count, Fill fill) noexcept {
        const std::size_t taken = std::min(count, writable());
        const std::uint64_t head = head_.load(std::memory_order_relaxed);
        const std::size_t start = index(head);
        const std::size_t first = std::min(taken, capacity_ - start);
        fill(slots_.get() + start, 0, first);
        if (taken > first) fill(slots_.get(), first, taken - first);
        head_.store(head + taken, std::memory_order_release);
        return taken;
    }

    const std::size_t capacity_;
    const std::unique_ptr<T[]> slots_;
    alignas(kCacheLine) std::atomic<std::uint64_t> head_{0};  // written by the producer only
    alignas(kCacheLine) std::atomic<std::uint64_t> tail_{0};  // written by the consumer only
};

}  // namespace bailando
