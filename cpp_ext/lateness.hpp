// Histogram of durations: four buckets to the octave from 1 us to more than 3 s, written by one
// thread and read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bailando {

class LatenessHistogram {
   public:
    static constexpr std::size_t kBuckets = 92;

    // Any thread. The shortest duration of a bucket, ns; the last one holds all that is longer.
    static std::int64_t lower_bound_ns(std::size_t bucket) noexcept {
        if (bucket < 8) return static_cast<std::int64_t>(bucket) * 250;
        const std::size_t octave = bucket / 4 - 1;
        return static_cast<std::int64_t>(4 + bucket % 4) * (std::int64_t{250} << octave);
    }

    // The measuring thread.
    void add(std::int64_t duration_ns) noexcept {
        counts_[bucket_of(duration_ns)].fetch_add(1, std::memory_order_relaxed);
        if (duration_ns > max_ns_.load(std::memory_order_relaxed)) {
            max_ns_.store(duration_ns, std::memory_order_relaxed);
        }
    }

    // Any thread.
    std::uint64_t count(std::size_t bucket) const noexcept {
        return counts_[bucket].load(std::memory_order_relaxed);
    }
    std::int64_t max_ns() const noexcept { return max_ns_.load(std::memory_order_relaxed); }

   private:
    static std::size_t bucket_of(std::int64_t duration_ns) noexcept {
        if (duration_ns <= 0) return 0;
        std::uint64_t quarters = static_cast<std::uint64_t>(duration_ns) / 250;  // quarters of a us
        std::size_t octave = 0;
        for (; quarters >= 8; quarters >>= 1) ++octave;
        const std::size_t bucket = octave * 4 + static_cast<std::size_t>(quarters);
        return bucket < kBuckets ? bucket : kBuckets - 1;
    }

    std::array<std::atomic<std::uint64_t>, kBuckets> counts_{};
    std::atomic<std::int64_t> max_ns_{0};
};

}  // namespace bailando
