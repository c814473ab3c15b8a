// Ring of interleaved float32 audio frames: whole frames only, with counters of what went in and
// what was lost.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "spsc_ring.hpp"

namespace bailando {

class SampleRing {
   public:
    // Any thread, before the producer and the consumer exist.
    SampleRing(std::size_t capacity_frames, std::size_t channels)
        : channels_(channels), samples_(checked_samples(capacity_frames, channels)) {}

    std::size_t channels() const noexcept { return channels_; }
    std::size_t capacity_frames() const noexcept { return samples_.capacity() / channels_; }

    // Producer thread. Appends the frames that fit and counts the rest as lost (the newest are lost:
    // the consumer may be reading the oldest at this moment). Returns the number of frames taken.
    std::size_t write(const float* interleaved, std::size_t frames) noexcept {
        return account(frames, samples_.write(interleaved, fitting(frames) * channels_));
    }

    // Producer thread. As `write`, with silence.
    std::size_t write_silence(std::size_t frames) noexcept {
        return account(frames, samples_.write_fill(0.0F, fitting(frames) * channels_));
    }

    // Consumer thread. Takes up to `frames` frames; returns how many there were.
    std::size_t read(float* interleaved, std::size_t frames) noexcept {
        const std::size_t taken = std::min(frames, available());
        return samples_.read(interleaved, taken * channels_) / channels_;
    }

    // Consumer thread (any thread for a rough figure).
    std::size_t available() const noexcept { return samples_.available() / channels_; }

    // Any thread. Frames taken since construction.
    std::uint64_t written() const noexcept { return written_.load(std::memory_order_acquire); }

    // Any thread. Frames lost since construction because the ring was full.
    std::uint64_t overruns() const noexcept { return overruns_.load(std::memory_order_acquire); }

   private:
    static std::size_t checked_samples(std::size_t capacity_frames, std::size_t channels) {
        if (channels == 0) throw std::invalid_argument("a sample ring needs at least 1 channel");
        if (capacity_frames > std::numeric_limits<std::size_t>::max() / sizeof(float) / channels) {
            throw std::invalid_argument("the capacity of the sample ring is beyond all memory");
        }
        return capacity_frames * channels;
    }

    std::size_t fitting(std::size_t frames) const noexcept {
        return std::min(frames, samples_.writable() / channels_);
    }

    std::size_t account(std::size_t offered, std::size_t taken_samples) noexcept {
        const std::size_t taken = taken_samples / channels_;
        written_.fetch_add(taken, std::memory_order_release);
        if (taken < offered) overruns_.fetch_add(offered - taken, std::memory_order_release);
        return taken;
    }

    const std::size_t channels_;
    SpscRing<float> samples_;
    std::atomic<std::uint64_t> written_{0};
    std::atomic<std::uint64_t> overruns_{0};
};

}  // namespace bailando
