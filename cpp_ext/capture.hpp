// PortAudio input callback in C: copies a block into the ring and notes when it was recorded.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "clock.hpp"
#include "sample_ring.hpp"
#include "spsc_ring.hpp"

namespace bailando {

// The parts of PortAudio's ABI (version 19) that its stream callback sees.
namespace pa {
struct TimeInfo {
    double input_adc_time_s;
    double current_time_s;
    double output_dac_time_s;
};
using Flags = unsigned long;
inline constexpr Flags kInputOverflow = 0x2;
inline constexpr int kContinue = 0;
using StreamCallback = int(const void* input, void* output, unsigned long frames, const TimeInfo* time,
                           Flags flags, void* userdata);
}  // namespace pa

// When the first frame of a block was recorded.
struct CaptureStamp {
    std::uint64_t first_frame;   // position in the stream as recorded: frames taken and frames lost
    std::uint64_t lost_frames;   // lost in all, this block included
    double adc_time_s;           // PortAudio's clock
    double latency_s;            // from then to the callback, by PortAudio's clock; 0 if it does not know
    std::int64_t arrival_ns;     // monotonic clock, at the callback
};

class Capture {
   public:
    // Any thread, before the stream starts. The ring must outlive this object.
    Capture(SampleRing& ring, std::size_t stamp_capacity) : ring_(ring), stamps_(stamp_capacity) {}

    // Audio thread: PortAudio calls this with the object as userdata. Input is float32, interleaved,
    // with the ring's number of channels. No input (a driver's underflow) is recorded as silence, so
    // that the position in the stream stays the time.
    static int callback(const void* input, void*, unsigned long frames, const pa::TimeInfo* time,
                        pa::Flags flags, void* userdata) noexcept {
        auto& self = *static_cast<Capture*>(userdata);
        self.take(static_cast<const float*>(input), frames, time, flags);
        return pa::kContinue;
    }

    // Consumer thread. Takes the oldest stamp; false if there is none.
    bool next_stamp(CaptureStamp& stamp) noexcept { return stamps_.read(&stamp, 1) == 1; }

    // Any thread: what happened so far.
    std::uint64_t callbacks() const noexcept { return callbacks_.load(std::memory_order_relaxed); }
    std::uint64_t frames() const noexcept { return frames_.load(std::memory_order_relaxed); }
    std::uint64_t input_overflows() const noexcept { return overflows_.load(std::memory_order_relaxed); }
    std::uint64_t missing_input() const noexcept { return missing_.load(std::memory_order_relaxed); }
    std::uint64_t lost_stamps() const noexcept { return lost_stamps_.load(std::memory_order_relaxed); }
    double last_adc_time_s() const noexcept { return last_adc_time_s_.load(std::memory_order_relaxed); }
    std::int64_t last_arrival_ns() const noexcept { return last_arrival_ns_.load(std::memory_order_relaxed); }

   private:
    void take(const float* input, std::size_t frames, const pa::TimeInfo* time, pa::Flags flags) noexcept {
        const std::uint64_t first = frames_.load(std::memory_order_relaxed);
        const double adc_time_s = time == nullptr ? 0.0 : time->input_adc_time_s;
        const double latency_s = adc_time_s > 0.0 ? time->current_time_s - adc_time_s : 0.0;
        const std::int64_t arrival_ns = now_ns();
        if (input == nullptr) {
            ring_.write_silence(frames);
            missing_.fetch_add(1, std::memory_order_relaxed);
        } else {
            ring_.write(input, frames);
        }
        if ((flags & pa::kInputOverflow) != 0) overflows_.fetch_add(1, std::memory_order_relaxed);
        const CaptureStamp stamp{first, ring_.overruns(), adc_time_s, latency_s, arrival_ns};
        if (stamps_.write(&stamp, 1) == 0) lost_stamps_.fetch_add(1, std::memory_order_relaxed);
        last_adc_time_s_.store(adc_time_s, std::memory_order_relaxed);
        last_arrival_ns_.store(arrival_ns, std::memory_order_relaxed);
        frames_.store(first + frames, std::memory_order_relaxed);
        callbacks_.fetch_add(1, std::memory_order_relaxed);
    }

    SampleRing& ring_;
    SpscRing<CaptureStamp> stamps_;
    std::atomic<std::uint64_t> callbacks_{0};
    std::atomic<std::uint64_t> frames_{0};
    std::atomic<std::uint64_t> overflows_{0};
    std::atomic<std::uint64_t> missing_{0};
    std::atomic<std::uint64_t> lost_stamps_{0};
    std::atomic<double> last_adc_time_s_{0.0};
    std::atomic<std::int64_t> last_arrival_ns_{0};
};

static_assert(std::atomic<double>::is_always_lock_free);

}  // namespace bailando
