// PortAudio output callback in C: plays a ring's samples so that each sounds at its own time.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "capture.hpp"
#include "clock.hpp"
#include "sample_ring.hpp"

namespace bailando {

// Sample k of the ring is to sound at base + k / rate. The card's own clock runs a little faster or
// slower, so the samples are read at up to 0.2 % more or less than their rate, between samples by a
// cubic through the four nearest; only what stays off by more than 0.1 s is jumped over.
class Playback {
   public:
    // Any thread, before the stream starts. The ring must outlive this object and have one channel.
    Playback(SampleRing& ring, double rate_hz, std::size_t channels)
        : ring_(ring), rate_hz_(rate_hz), channels_(channels) {
        if (ring.channels() != 1) throw std::invalid_argument("playback takes a ring of 1 channel");
        if (!(rate_hz > 0.0) || channels == 0) throw std::invalid_argument("playback needs a rate and a channel");
    }

    // Audio thread: PortAudio calls this with the object as userdata. Output is float32, interleaved.
    static int callback(const void*, void* output, unsigned long frames, const pa::TimeInfo* time, pa::Flags,
                        void* userdata) noexcept {
        auto& self = *static_cast<Playback*>(userdata);
        const double ahead_s =
            time != nullptr && time->output_dac_time_s > 0.0 ? time->output_dac_time_s - time->current_time_s : 0.0;
        const std::int64_t sounds_ns = now_ns() + static_cast<std::int64_t>(ahead_s * 1e9);
        self.fill(static_cast<float*>(output), frames, sounds_ns);
        return pa::kContinue;
    }

    // Any thread. When sample 0 is to sound, on the monotonic clock; 0 means silence.
    void set_base_ns(std::int64_t base_ns) noexcept { base_ns_.store(base_ns, std::memory_order_relaxed); }

    // Any thread: what happened so far.
    std::uint64_t callbacks() const noexcept { return callbacks_.load(std::memory_order_relaxed); }
    std::uint64_t underruns() const noexcept { return underruns_.load(std::memory_order_relaxed); }
    std::uint64_t skipped() const noexcept { return skipped_.load(std::memory_order_relaxed); }
    std::int64_t error_ns() const noexcept { return error_ns_.load(std::memory_order_relaxed); }

   private:
    static constexpr double kJumpSeconds = 0.1;
    static constexpr double kBelievedSeconds = 0.5;
    static constexpr double kMaxStretch = 0.002;
    static constexpr double kSettleSeconds = 2.0;

    void fill(float* output, std::size_t frames, std::int64_t sounds_ns) noexcept {
        callbacks_.fetch_add(1, std::memory_order_relaxed);
        const std::int64_t base_ns = base_ns_.load(std::memory_order_relaxed);
        std::size_t silent = frames;
        double stretch = 1.0;
        if (base_ns != 0) {
            const double wanted = static_cast<double>(sounds_ns - base_ns) * 1e-9 * rate_hz_;
            const double error = wanted - position();
            // Drivers are not sure when a block will sound; only what lasts for a second is followed, and one
            // that is wrong by a minute for a moment, after an underrun say, skips nothing.
            const double believed = std::clamp(error, -kBelievedSeconds * rate_hz_, kBelievedSeconds * rate_hz_);
            error_ += (believed - error_) * std::min(1.0, static_cast<double>(frames) / rate_hz_);
            if (std::abs(error_) > kJumpSeconds * rate_hz_) playing_ = false;
            if (!playing_) error_ = begin_at(error);
            error_ns_.store(static_cast<std::int64_t>(error_ / rate_hz_ * 1e9), std::memory_order_relaxed);
            // What is still ahead of its time waits in silence.
            silent = playing_ ? 0 : static_cast<std::size_t>(std::clamp(-error_, 0.0, static_cast<double>(frames)));
            if (!playing_ && silent < frames) {
                playing_ = true;
                error_ = 0.0;
            }
            stretch += std::clamp(error_ / (kSettleSeconds * rate_hz_), -kMaxStretch, kMaxStretch);
        }
        std::fill_n(output, silent * channels_, 0.0F);
        for (std::size_t frame = silent; frame < frames; ++frame) {
            std::fill_n(output + frame * channels_, channels_, next(stretch));
        }
    }

    // Skips what should have sounded before; returns how far the rest is off, in samples.
    double begin_at(double error) noexcept {
        while (error >= 1.0 && advance()) {
            error -= 1.0;
            skipped_.fetch_add(1, std::memory_order_relaxed);
        }
        return error;
    }

    // Index of the sample that sounds next, with its fraction.
    double position() const noexcept { return static_cast<double>(consumed_) - 3.0 + fraction_; }

    bool advance() noexcept {
        float sample = 0.0F;
        if (ring_.read(&sample, 1) == 0) return false;
        history_ = {history_[1], history_[2], history_[3], sample};
        ++consumed_;
        return true;
    }

    float next(double stretch) noexcept {
        while (fraction_ >= 1.0) {
            if (!advance()) {
                underruns_.fetch_add(1, std::memory_order_relaxed);
                playing_ = false;
                return 0.0F;
            }
            fraction_ -= 1.0;
        }
        const auto t = static_cast<float>(fraction_);
        fraction_ += stretch;
        // Catmull-Rom spline between history_[1] and history_[2].
        const auto [a, b, c, d] = history_;
        return b + 0.5F * t * (c - a + t * (2.0F * a - 5.0F * b + 4.0F * c - d + t * (3.0F * (b - c) + d - a)));
    }

    SampleRing& ring_;
    const double rate_hz_;
    const std::size_t channels_;
    std::array<float, 4> history_{};
    std::uint64_t consumed_ = 0;
    double fraction_ = 1.0;
    double error_ = 0.0;  // samples, smoothed
    bool playing_ = false;
    std::atomic<std::int64_t> base_ns_{0};
    std::atomic<std::uint64_t> callbacks_{0};
    std::atomic<std::uint64_t> underruns_{0};
    std::atomic<std::uint64_t> skipped_{0};
    std::atomic<std::int64_t> error_ns_{0};
};

}  // namespace bailando
